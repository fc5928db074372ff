// The page of prices: what models cost, and what is wrong with their prices.
import { h, fill, table } from "./dom.js";
import { Part } from "./part.js";
import { Cadence, head, button } from "./page.js";
import { editPrice, editCurrency } from "./editors.js";
import { ifMatch } from "./api.js";
import { form } from "./dialogs.js";

/** The kinds of findings that make limits in cost refuse calls. */
const wrong = ["currency", "unpriced", "unreadable", "partial"];

const rates = [["Prompt", "prompt"], ["Cached", "cached"], ["Cache write", "cacheWrite"], ["Write, an hour or longer", "cacheWriteLong"], ["Completion", "completion"]];

async function remove(operator, price) {
  const done = await form({
    title: `Delete the price of ${price.model} from ${price.from}?`, confirm: "Delete", danger: true,
    body: h("p", {}, "The price before it takes effect again. Without one, limits in cost refuse calls of the model. Recorded costs stay."),
    send: () => operator.ask("DELETE", `/prices/${encodeURIComponent(price.model)}/${encodeURIComponent(price.from)}`, undefined, ifMatch(price)),
  });
  return done && `The price of ${price.model} from ${price.from} was deleted.`;
}

export class PricesPage {
  constructor(view) {
    Object.assign(this, { view, operator: view.operator, cadence: new Cadence(), stored: {} });
    this.findings = h("div");
    this.list = h("div");
    this.currency = h("p", { class: "sub" });
    this.checkPart = new Part(this.findings);
    this.listPart = new Part(this.currency, this.list);
    this.element = h("div", { class: "view" }, head("Prices", "What a million tokens of each model cost.", h("button", { type: "button", onclick: () => this.edit(undefined) }, "New price")),
      h("section", { class: "card", "aria-labelledby": "check-title" }, h("h2", { id: "check-title" }, "Findings"), this.checkPart.element),
      h("section", { class: "card", "aria-labelledby": "prices-title" }, h("h2", { id: "prices-title" }, "Prices"), this.listPart.element));
  }

  edit(price) {
    return this.view.act(editPrice, price, this.served, this.stored.currency);
  }

  async load(now = false) {
    if (!now && !this.cadence.due()) return;
    await this.cadence.wait(
      this.checkPart.load(this.operator.get("/prices/check"), (check) => this.showFindings(check)),
      this.listPart.load(Promise.all([this.operator.all("/prices"), this.operator.get("/prices/currency")]), ([prices, stored]) => this.show(prices, stored)),
    );
  }

  showFindings({ items, served }) {
    this.served = served;
    const badge = (f) => (wrong.includes(f.kind) ? h("span", { class: "badge bad" }, "✕ Refused under a limit in cost") : h("span", { class: "badge warn" }, "! Note"));
    fill(this.findings, items.length === 0 ? h("p", { class: "hint" }, "All served models have a price that can be used.") : table("Findings", [
      { name: "Model", class: "name", cell: (f) => f.model || "All" },
      { name: "What", cell: (f) => h("span", {}, `${f.problem[0].toUpperCase()}${f.problem.slice(1)}. `, h("span", { class: "hint" }, `To fix it, ${f.fix}.`)) },
      { name: "Effect", cell: badge },
      { name: "Actions", class: "acts", cell: (f) => (f.kind === "unpriced" ? button("Set price", `Set the price of ${f.model}`, () => this.edit({ model: f.model })) : f.kind === "currency" ? button("Set currency", undefined, () => this.view.act(editCurrency, this.stored)) : null) },
    ], items));
  }

  show(prices, stored) {
    this.stored = stored;
    fill(this.currency, stored.currency ? `All amounts are in ${stored.currency}.` : "No currency is set. ", stored.currency ? null : button("Set the currency", undefined, () => this.view.act(editCurrency, stored)));
    const today = new Date().toISOString().slice(0, 10), now = (p) => p.from <= today && !prices.some((q) => q.model === p.model && q.from > p.from && q.from <= today);
    fill(this.list, prices.length === 0 ? h("p", { class: "hint" }, "No model has a price yet. Set them here, or with tollgate price import.") : table("Prices", [
      { name: "Model", class: "name", cell: (p) => [p.model, p.source ? h("small", {}, p.source) : null] },
      { name: "From", cell: (p) => [p.from, " ", now(p) ? h("span", { class: "badge good" }, "In effect") : p.from > today ? h("span", { class: "badge" }, "Future") : h("span", { class: "badge" }, "Past")] },
      ...rates.map(([name, kind]) => ({ name, class: "num", cell: (p) => p[kind] ?? "–" })),
      { name: "Notes", cell: (p) => [p.unreadable ? h("span", { class: "fault" }, p.unreadable) : null, Object.entries(p.multipliers ?? {}).map(([endpoint, by]) => `× ${by} at ${endpoint}`).join(", "), p.partial?.length ? ` More at ${p.partial.join(", ")}${p.acceptPartial ? ", accepted" : ""}` : null].filter(Boolean) },
      { name: "Actions", class: "acts", cell: (p) => [button("Change", `Change the price of ${p.model} from ${p.from}`, () => this.edit(p)), button("Delete", `Delete the price of ${p.model} from ${p.from}`, () => this.view.act(remove, p), "revoke")] },
    ], prices));
  }

  stop() {}
}
