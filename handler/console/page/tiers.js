// The page of all tiers and the page of one.
import { h, fill, full, table } from "./dom.js";
import { describeLimits, limitLines } from "./amounts.js";
import { limitBars, itemsOf } from "./bars.js";
import { Part } from "./part.js";
import { Cadence, head, button, tierLink } from "./page.js";
import { subscriptionTable, readLists } from "./subscriptions.js";
import { editTier } from "./editors.js";

const tierActions = (view, t) => [
  button("Edit", `Edit ${t.id}`, () => view.act(editTier, t)),
  button("Delete", `Delete ${t.id}`, () => view.remove("tier", t), "revoke"),
];

export class TiersPage {
  constructor(view) {
    Object.assign(this, { view, operator: view.operator, cadence: new Cadence() });
    this.list = h("div");
    this.part = new Part(this.list);
    this.element = h("div", { class: "view" }, head("Tiers", "Named sets of limits and rules that subscriptions share.", h("button", { type: "button", onclick: () => view.act(editTier, null) }, "New tier")),
      h("section", { class: "card", "aria-label": "Tiers" }, this.part.element));
  }

  async load(now = false) {
    if (!now && !this.cadence.due()) return;
    await this.cadence.wait(this.part.load(Promise.all([this.operator.all("/tiers"), this.operator.all("/subscriptions")]), ([tiers, subscriptions]) => this.show(tiers, subscriptions)));
  }

  show(tiers, subscriptions) {
    fill(this.list, tiers.length === 0 ? h("p", { class: "hint" }, "There are no tiers yet. Create one before you create a subscription.") : table("Tiers", [
      { name: "Tier", class: "name", cell: (t) => tierLink(t.id) },
      { name: "Limits", cell: (t) => [...limitLines(t.limits).map((line) => h("div", {}, line)), t.shadow ? h("span", { class: "badge warn" }, "All in shadow") : null] },
      { name: "Reserve", cell: (t) => t.reserve || "prompt" },
      { name: "Subscriptions", class: "num", cell: (t) => full(subscriptions.filter((s) => s.tier === t.id).length) },
      { name: "Actions", class: "acts", cell: (t) => tierActions(this.view, t) },
    ], tiers));
  }

  stop() {}
}

/** The page of one tier: its counters, those with least left first, and its subscriptions. */
export class TierPage {
  constructor(view, id) {
    Object.assign(this, { view, operator: view.operator, id, cadence: new Cadence() });
    this.about = h("p", { class: "sub" });
    this.acts = h("div", { class: "ends" });
    this.limits = h("div");
    this.members = h("div");
    this.part = new Part(this.limits);
    this.membersPart = new Part(this.members);
    this.element = h("div", { class: "view" }, head(id, undefined, this.acts), this.about,
      h("section", { class: "card", "aria-labelledby": "limits-title" }, h("h2", { id: "limits-title" }, "Counters with least left"), this.part.element),
      h("section", { class: "card", "aria-labelledby": "members-title" }, h("h2", { id: "members-title" }, "Subscriptions"), this.membersPart.element));
  }

  async load(now = false) {
    if (!now && !this.cadence.due()) return;
    const tier = this.operator.get(this.operator.tier(this.id));
    const members = Promise.all([this.operator.all("/subscriptions", { tier: this.id }), readLists(this.operator)]);
    await this.cadence.wait(
      this.part.load(Promise.all([tier, this.operator.all("/usage", { tier: this.id })]), ([t, standings]) => this.show(t, standings)),
      this.membersPart.load(members, ([all, lists]) => fill(this.members, all.length ? subscriptionTable(this.view, all, lists, "Tier") : h("p", { class: "hint" }, "No subscription has it."))),
    );
  }

  show(tier, standings) {
    fill(this.limits, limitBars(itemsOf(tier.limits, { tier: this.id }, standings, undefined, () => (tier.shadow ? { shadow: true } : {})), true));
    fill(this.about, `${describeLimits(tier.limits)}. Reserve ${tier.reserve || "prompt"}${tier.models ? `. Only ${tier.models.join(", ")}` : ""}.`);
    fill(this.acts, tierActions(this.view, tier));
  }

  stop() {}
}
