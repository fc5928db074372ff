// The page with the latest changes.
import { h, fill, when, table } from "./dom.js";
import { describeLimits } from "./amounts.js";
import { Part } from "./part.js";
import { Cadence, head } from "./page.js";

const badge = { done: "good", refused: "warn", unknown: "warn" };
const text = (name, v) => (name === "limits" && Array.isArray(v) ? describeLimits(v) : typeof v === "object" ? JSON.stringify(v) : String(v));
const change = ([name, c]) => (c.from === undefined ? `${name} ${text(name, c.to)}` : c.to === undefined ? `${name} was ${text(name, c.from)}` : `${name} from ${text(name, c.from)} to ${text(name, c.to)}`);

export class ChangesPage {
  constructor(view) {
    Object.assign(this, { operator: view.operator, cadence: new Cadence() });
    this.list = h("div");
    this.part = new Part(this.list);
    this.element = h("div", { class: "view" }, head("Latest changes", "Who changed what. For older changes, run tollgate audit."), h("section", { class: "card", "aria-label": "Latest changes" }, this.part.element));
  }

  async load(now = false) {
    if (!now && !this.cadence.due()) return;
    await this.cadence.wait(this.part.load(this.operator.get("/audit", { limit: 100 }), (page) => fill(this.list, page.items.length === 0 ? h("p", { class: "hint" }, "No changes yet.") : table("Latest changes", [
      { name: "When", cell: (e) => when(e.when) },
      { name: "What", class: "name", cell: (e) => [`${e.action} ${e.target}`, h("small", {}, Object.entries(e.changes ?? {}).map(change).join(", "))] },
      { name: "Who", cell: (e) => e.who },
      { name: "Outcome", cell: (e) => h("span", { class: `badge ${badge[e.outcome]}` }, e.outcome) },
    ], page.items))));
  }

  stop() {}
}
