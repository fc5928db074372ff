// The pages of groups.
import { h, fill, full, table } from "./dom.js";
import { limitLines } from "./amounts.js";
import { limitBars, itemsOf } from "./bars.js";
import { Part } from "./part.js";
import { UsageCharts, ranges, rangeTabs } from "./usage.js";
import { Cadence, head, button, state, groupLink, between } from "./page.js";
import { subscriptionTable, readLists } from "./subscriptions.js";
import { editGroup } from "./editors.js";
import * as act from "./actions.js";

/** Returns groups in the order of a tree, each with its depth. One whose parent is missing, or
 * that is its own ancestor, is at the top. */
export function asTree(groups) {
  const below = Map.groupBy(groups, (g) => (groups.some((p) => p.id === g.parent) ? g.parent : "")), done = new Set(), rows = [];
  const add = (g, depth) => {
    if (done.has(g.id)) return;
    done.add(g.id);
    rows.push({ ...g, depth });
    for (const child of below.get(g.id) ?? []) add(child, depth + 1);
  };
  for (const g of [...(below.get("") ?? []), ...groups]) add(g, 0);
  return rows;
}

/** Returns the ids of a group and of the groups below it. */
function idsBelow(groups, id) {
  const ids = new Set([id]);
  for (let size = 0; size !== ids.size;) {
    size = ids.size;
    for (const g of groups) if (ids.has(g.parent)) ids.add(g.id);
  }
  return ids;
}

/** Makes a table of groups, which are in the order of a tree. */
function groupTable(view, groups, subscriptions, all) {
  const top = Math.min(...groups.map((g) => g.depth));
  return table("Groups", [
    { name: "Group", class: "name", cell: (g) => [h("span", { class: "depth", "data-depth": String(Math.min(g.depth - top, 4)) }, g.depth > top ? h("span", { "aria-hidden": "true" }, "└ ") : null, groupLink(g.id)), g.name ? h("small", {}, g.name) : null] },
    { name: "Parent", cell: (g) => g.parent || "–" },
    { name: "Limits", cell: (g) => limitLines(g.limits).map((line) => h("div", {}, line)) },
    { name: "Subscriptions", class: "num", cell: (g) => { const below = idsBelow(all, g.id); return full(subscriptions.filter((s) => below.has(s.group)).length); } },
    { name: "State", cell: (g) => state(g) },
    { name: "Actions", class: "acts", cell: (g) => groupActions(view, g, all) },
  ], groups);
}

const groupActions = (view, g, all) => [
  button("Edit", `Edit ${g.id}`, () => view.act(editGroup, g, all)),
  button(g.suspended ? "Resume" : "Suspend", `${g.suspended ? "Resume" : "Suspend"} ${g.id}`, () => view.act(g.suspended ? act.resume : act.suspend, "group", g)),
  button("Delete", `Delete ${g.id}`, () => view.remove("group", g), "revoke"),
];

const read = async (operator) => {
  const [subscriptions, lists] = await Promise.all([operator.all("/subscriptions"), readLists(operator)]);
  return { subscriptions, lists };
};

export class GroupsPage {
  constructor(view) {
    Object.assign(this, { view, operator: view.operator, cadence: new Cadence(), groups: [] });
    this.list = h("div");
    this.part = new Part(this.list);
    this.element = h("div", { class: "view" }, head("Groups", "Teams, departments and organizations. All subscriptions below a group share its limits.", h("button", { type: "button", onclick: () => view.act(editGroup, null, this.groups) }, "New group")),
      h("section", { class: "card", "aria-label": "Groups" }, this.part.element));
  }

  async load(now = false) {
    if (!now && !this.cadence.due()) return;
    await this.cadence.wait(this.part.load(read(this.operator), ({ subscriptions, lists }) => {
      this.groups = lists.groups;
      fill(this.list, this.groups.length ? groupTable(this.view, asTree(this.groups), subscriptions, this.groups) : h("p", { class: "hint" }, "There are no groups yet."));
    }));
  }

  stop() {}
}

export class GroupPage {
  constructor(view, id) {
    Object.assign(this, { view, operator: view.operator, id, range: "hour", cadence: new Cadence() });
    this.about = h("p", { class: "sub" });
    this.acts = h("div", { class: "ends" });
    this.limits = h("div");
    this.within = h("div");
    this.members = h("div", { class: "content" });
    this.charts = new UsageCharts(this.operator, { group: id });
    this.limitsPart = new Part(this.limits);
    this.membersPart = new Part(this.members);
    this.element = h("div", { class: "view" }, head(id, undefined, this.acts), this.about,
      h("section", { class: "card", "aria-labelledby": "limits-title" }, h("h2", { id: "limits-title" }, "Limits that all below it share"), this.limitsPart.element),
      h("div", { class: "head" }, h("h2", {}, "Usage of all below it"), rangeTabs(this.range, (range) => this.choose(range))),
      this.charts.tokensCard, this.charts.refusedCard,
      h("section", { class: "card", "aria-labelledby": "members-title" }, h("h2", { id: "members-title" }, "What is below it"), this.membersPart.element));
  }

  async load(now = false) {
    const group = this.operator.get(this.operator.group(this.id));
    const loads = [this.limitsPart.load(Promise.all([group, this.operator.all("/usage", { search: `${this.id}@` })]), ([g, standings]) => this.showLimits(g, standings))];
    if (now) this.cadence.again();
    if (this.cadence.due()) loads.push(this.charts.load(ranges[this.range]), this.membersPart.load(Promise.all([group, read(this.operator)]), ([g, all]) => this.showMembers(g, all)));
    await this.cadence.wait(...loads);
  }

  choose(range) {
    this.range = range;
    this.charts.forget();
    this.view.report(this.cadence.wait(this.charts.load(ranges[range])));
  }

  showLimits(group, standings) {
    const gone = standings.filter((s) => s.gone && s.group === this.id).map((s) => ({ ...s, name: s.limit, owner: {} }));
    fill(this.limits, limitBars([...itemsOf(group.limits, { group: this.id }, standings), ...gone], true, "The group has no limits."));
    fill(this.about, between(" · ", [group.name, group.parent ? h("span", {}, "Part of ", groupLink(group.parent)) : "At the top", state(group)]));
  }

  showMembers(group, { subscriptions, lists }) {
    const below = asTree(lists.groups).filter((g) => g.id !== this.id && idsBelow(lists.groups, this.id).has(g.id)), ids = idsBelow(lists.groups, this.id);
    const members = subscriptions.filter((s) => ids.has(s.group));
    fill(this.acts, groupActions(this.view, group, lists.groups), button("New subscription", undefined, () => this.view.act(act.create, lists.tiers, lists.groups, this.id)), button("New group", undefined, () => this.view.act(editGroup, null, lists.groups, this.id)));
    fill(this.members, below.length ? groupTable(this.view, below, subscriptions, lists.groups) : null,
      members.length ? subscriptionTable(this.view, members, lists) : h("p", { class: "hint" }, "No subscription belongs to it."));
  }

  stop() {
    this.charts.stop();
  }
}
