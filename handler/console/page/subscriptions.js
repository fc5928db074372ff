// The page of all subscriptions, and what other pages need to list them.
import { h, fill, full, when, table } from "./dom.js";
import { Part } from "./part.js";
import { field } from "./fields.js";
import { Cadence, head, button, state, subscriptionLink, groupLink, tierLink } from "./page.js";
import { editSubscription } from "./editors.js";
import * as act from "./actions.js";

/** The most rows that a list shows. */
const maxRows = 100;

/** Makes the buttons for the actions on a subscription. */
export function subscriptionActions(view, s, lists) {
  return [
    button("Edit", `Edit ${s.id}`, () => view.act(editSubscription, s, lists.tiers, lists.groups)),
    button("Keys", `Keys of ${s.id}`, () => view.act(act.keys, s)),
    button(s.suspended ? "Resume" : "Suspend", `${s.suspended ? "Resume" : "Suspend"} ${s.id}`, () => view.act(s.suspended ? act.resume : act.suspend, "subscription", s)),
  ];
}

/** Makes a table of subscriptions. without: the name of a column to leave out. */
export function subscriptionTable(view, subscriptions, lists, without = "") {
  return table("Subscriptions", [
    { name: "Subscription", class: "name", cell: (s) => [subscriptionLink(s.id), s.name ? h("small", {}, s.name) : null] },
    { name: "Tier", cell: (s) => [tierLink(s.tier), s.overrides ? h("span", { class: "hint" }, " with overrides") : null] },
    { name: "Group", cell: (s) => (s.group ? groupLink(s.group) : "–") },
    { name: "State", cell: (s) => state(s) },
    { name: "Created", cell: (s) => (s.created ? when(s.created) : "–") },
    { name: "Actions", class: "acts", cell: (s) => subscriptionActions(view, s, lists) },
  ].filter((column) => column.name !== without), subscriptions.slice(0, maxRows));
}

/** Reads the tiers and groups that subscriptions may refer to. */
export const readLists = async (operator) => {
  const [tiers, groups] = await Promise.all([operator.all("/tiers"), operator.all("/groups")]);
  return { tiers, groups };
};

export class SubscriptionsPage {
  constructor(view) {
    Object.assign(this, { view, operator: view.operator, cadence: new Cadence(), all: [], lists: { tiers: [], groups: [] } });
    this.list = h("div");
    this.count = h("p", { class: "hint", role: "status" });
    this.search = h("input", { type: "search", placeholder: "id or name", autocomplete: "off", spellcheck: "false", oninput: () => this.show() });
    this.ofTier = h("select", { onchange: () => this.show() });
    this.ofGroup = h("select", { onchange: () => this.show() });
    this.state = h("select", { onchange: () => this.show() }, h("option", { value: "" }, "All"), h("option", { value: "active" }, "Active"), h("option", { value: "suspended" }, "Suspended"));
    this.part = new Part(h("div", { class: "bar" }, field("Search", this.search), field("Tier", this.ofTier), field("Group", this.ofGroup), field("State", this.state)), this.count, this.list);
    this.element = h("div", { class: "view" }, head("Subscriptions", "Callers, with their keys and limits.", h("button", { type: "button", onclick: () => view.act(act.create, this.lists.tiers, this.lists.groups) }, "New subscription")),
      h("section", { class: "card", "aria-label": "Subscriptions" }, this.part.element));
  }

  async load(now = false) {
    if (!now && !this.cadence.due()) return;
    await this.cadence.wait(this.part.load(Promise.all([this.operator.all("/subscriptions"), readLists(this.operator)]), ([all, lists]) => {
      Object.assign(this, { all, lists });
      this.show();
    }));
  }

  show() {
    const search = this.search.value.trim().toLowerCase(), tier = this.ofTier.value, group = this.ofGroup.value;
    const options = (items, chosen) => [h("option", { value: "" }, "All"), items.map((item) => h("option", { value: item.id, selected: item.id === chosen }, item.id))].flat();
    fill(this.ofTier, options(this.lists.tiers, tier));
    fill(this.ofGroup, options(this.lists.groups, group));
    const found = this.all.filter((s) => (!search || `${s.id} ${s.name ?? ""}`.toLowerCase().includes(search)) && (!tier || s.tier === tier) && (!group || s.group === group) && (!this.state.value || Boolean(s.suspended) === (this.state.value === "suspended")));
    this.count.textContent = `${full(found.length)} of ${full(this.all.length)} subscriptions${found.length > maxRows ? `; the first ${maxRows} are shown, search for others` : ""}`;
    fill(this.list, found.length === 0 ? h("p", { class: "hint" }, this.all.length ? "No subscription matches." : "There are no subscriptions yet.") : subscriptionTable(this.view, found, this.lists));
  }

  stop() {}
}
