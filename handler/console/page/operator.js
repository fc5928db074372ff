// The operator's view: everybody's usage, subscriptions, tiers and the audit.
import { h, fill, short, full, when, meter, tabs, table, announce } from "./dom.js";
import { tokensChart, refusalsChart, burndownChart, buckets, inWords } from "./chart.js";
import { leftOver, lasts } from "./caller.js";
import { field, show } from "./dialogs.js";
import * as act from "./actions.js";

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** The query for each choice of time. Lengths are in milliseconds. */
const ranges = {
  hour: { text: "1 hour", by: "minute", from: "1h", length: MINUTE, span: HOUR, unit: "minute" },
  day: { text: "1 day", by: "hour", from: "24h", length: HOUR, span: DAY, unit: "hour" },
  month: { text: "30 days", by: "day", from: "720h", length: DAY, span: 30 * DAY, unit: "day" },
};

/** The most rows that a list shows. */
const most = 100;

const used = (window) => Math.max(0, window.limit - window.left);
const share = (window) => (window?.limit > 0 ? used(window) / window.limit : 0);

function gauge(window, label) {
  if (!window) return "–";
  return h("div", {}, meter(label).set(used(window), window.limit), h("small", { class: "hint", title: `${full(used(window))} of ${full(window.limit)}` }, `${short(used(window))} of ${short(window.limit)}`));
}

export class OperatorView {
  constructor(operator, status, leave) {
    Object.assign(this, { operator, status, leave, range: "hour", pause: 5000, subscriptions: [], tiers: [], now: [], history: [], days: { from: null, items: [] } });
    this.tiles = h("div", { class: "tiles" });
    this.tokens = tokensChart("Tokens");
    this.refused = refusalsChart("Refusals");
    this.top = h("div");
    this.list = h("div");
    this.tierList = h("div");
    this.changes = h("div");
    this.count = h("p", { class: "hint", role: "status" });
    this.search = h("input", { type: "search", placeholder: "id or name", autocomplete: "off", spellcheck: "false", oninput: () => this.showList() });
    this.ofTier = h("select", { onchange: () => this.showList() });
    this.state = h("select", { onchange: () => this.showList() }, h("option", { value: "" }, "All"), h("option", { value: "active" }, "Active"), h("option", { value: "suspended" }, "Suspended"));
    this.element = h("div", { class: "view" },
      h("div", { class: "head" }, h("div", {}, h("h1", {}, "All subscriptions"), h("p", { class: "sub" }, "Times are UTC. Changes reach gateways within a minute.")),
        tabs("Time shown", "range", Object.fromEntries(Object.entries(ranges).map(([name, r]) => [name, r.text])), this.range, (range) => { this.range = range; this.lookBack(true).catch((error) => this.status("off", error.message)); })),
      this.tiles,
      h("section", { class: "card", "aria-label": "Tokens" }, this.tokens.element),
      h("div", { class: "cards" },
        h("section", { class: "card", "aria-labelledby": "top-title" }, h("h2", { id: "top-title" }, "Top subscriptions"), this.top),
        h("section", { class: "card", "aria-label": "Refusals" }, this.refused.element)),
      h("section", { class: "card", "aria-labelledby": "list-title" },
        h("div", { class: "head" }, h("h2", { id: "list-title" }, "Subscriptions"), h("button", { type: "button", onclick: () => this.act(act.create, this.tiers) }, "New subscription")),
        h("div", { class: "bar" }, field("Search", this.search), field("Tier", this.ofTier), field("State", this.state)),
        this.count, this.list),
      h("section", { class: "card", "aria-labelledby": "tiers-title" }, h("div", { class: "head" }, h("h2", { id: "tiers-title" }, "Tiers"), h("button", { type: "button", class: "quiet", onclick: () => this.act(act.setTier, null) }, "New tier")), this.tierList),
      h("section", { class: "card", "aria-labelledby": "audit-title" }, h("h2", { id: "audit-title" }, "Latest changes"), this.changes));
  }

  /** Refreshes the view: counters each time; the ledger and lists every 30 s and when a
   * minute ends. */
  async look() {
    const now = await this.operator.all("/usage");
    this.now = now;
    const at = Date.now();
    if (!this.looked || at - this.looked > 30_000 || Math.floor(at / MINUTE) !== Math.floor(this.looked / MINUTE)) {
      this.looked = at;
      await Promise.all([this.lookBack(), this.reload()]);
    }
    this.showNow();
  }

  async lookBack(redraw = false) {
    const range = ranges[this.range];
    const [history, days] = await Promise.all([
      this.operator.get("/usage/history", { by: range.by, from: range.from, sum: "all" }),
      this.operator.get("/usage/history", { by: "day", from: range.from }),
    ]);
    if (range !== ranges[this.range]) return;
    this.history = history.items;
    this.days = days;
    if (redraw) this.showNow();
  }

  async reload() {
    [this.subscriptions, this.tiers, this.audit] = await Promise.all([this.operator.all("/subscriptions"), this.operator.all("/tiers"), this.operator.get("/audit", { limit: 20 }).then((page) => page.items)]);
    this.showList();
    this.showTiers();
    this.showAudit();
  }

  showNow() {
    const range = ranges[this.range], to = Date.now();
    this.points = buckets(this.history, to - range.span, to, range.length);
    this.tokens.element.querySelector("h2").textContent = `Tokens a ${range.unit}`;
    this.tokens.tokens(this.points, 0, inWords(this.points, range.unit));
    const refused = this.points.reduce((sum, p) => sum + p.refused, 0);
    this.refused.refusals(this.points, `${full(refused)} calls were refused by a limit.`);
    const last = this.points.at(-1);
    const full1 = this.now.filter((s) => s.minute?.left === 0 || s.quota?.left === 0).length;
    fill(this.tiles, [[`Tokens this ${range.unit}`, last.promptTokens + last.completionTokens], [`Calls this ${range.unit}`, last.requests], [`Refused this ${range.unit}`, last.refused], ["At a limit now", full1]].map(([name, n]) =>
      h("div", { class: "tile" }, h("p", { class: "label" }, name), h("div", { class: "big", title: full(n) }, short(n)))));
    this.showTop();
  }

  /** Days are summed by subscription, so the top ones are of whole days. */
  showTop() {
    const sums = new Map();
    for (const span of this.days.items) {
      sums.set(span.subscription, (sums.get(span.subscription) ?? 0) + span.promptTokens + span.completionTokens);
    }
    const standing = new Map(this.now.map((s) => [s.counter, s]));
    const top = [...sums.keys()].filter((id) => sums.get(id) > 0).sort((a, b) => sums.get(b) - sums.get(a)).slice(0, 8);
    const since = this.days.from ? h("p", { class: "hint" }, `Since ${this.days.from.slice(0, 10)}, as of at most 5 minutes ago.`) : "";
    fill(this.top, since, top.length === 0 ? h("p", { class: "hint" }, "No tokens were used in this time.") : table("Subscriptions that used most", [
      { name: "Subscription", class: "name", cell: (c) => h("button", { type: "button", class: "quiet small", onclick: () => this.detail(c).catch((error) => this.status("off", error.message)) }, c) },
      { name: "Tokens", class: "num", cell: (c) => short(sums.get(c)) },
      { name: "This minute", cell: (c) => gauge(standing.get(c)?.minute, `${c}: this minute`) },
      { name: "Quota", cell: (c) => gauge(standing.get(c)?.quota, `${c}: quota`) },
    ], top));
  }

  /** One subscription's own charts. */
  async detail(id) {
    const range = ranges[this.range];
    const { items } = await this.operator.get("/usage/history", { by: range.by, from: range.from, subscription: id });
    const standing = this.now.find((s) => s.counter === id);
    const tokens = tokensChart(`Tokens a ${range.unit}`), burndown = burndownChart("Quota left");
    const dialog = h("dialog", { class: "wide", "aria-labelledby": "detail-title", onclose: () => { tokens.stop(); burndown.stop(); } },
      h("form", { onsubmit: (event) => { event.preventDefault(); dialog.close(); } }, h("h2", { id: "detail-title" }, id), tokens.element,
        standing?.quota ? burndown.element : null, h("div", { class: "ends" }, h("button", { type: "submit" }, "Close"))));
    show(dialog);
    const to = Date.now();
    const points = buckets(items, to - range.span, to, range.length);
    tokens.tokens(points, standing?.minute ? standing.minute.limit * (range.length / MINUTE) : 0, inWords(points, range.unit));
    if (standing?.quota) burndown.burndown(leftOver(points, standing.quota), lasts(points, standing.quota));
  }

  showList() {
    const search = this.search.value.trim().toLowerCase();
    const chosen = this.ofTier.value;
    fill(this.ofTier, h("option", { value: "" }, "All"), this.tiers.map((t) => h("option", { value: t.id, selected: t.id === chosen }, t.id)));
    const found = this.subscriptions.filter((s) => (!search || `${s.id} ${s.name ?? ""}`.toLowerCase().includes(search)) && (!chosen || s.tier === chosen) && (!this.state.value || Boolean(s.suspended) === (this.state.value === "suspended")));
    this.count.textContent = `${full(found.length)} of ${full(this.subscriptions.length)} subscriptions${found.length > most ? `; the first ${most} are shown, search for others` : ""}`;
    fill(this.list, found.length === 0 ? h("p", { class: "hint" }, this.subscriptions.length ? "No subscription matches." : "There are no subscriptions yet.") : table("Subscriptions", [
      { name: "Subscription", class: "name", cell: (s) => [s.id, s.name ? h("small", {}, s.name) : null] },
      { name: "Tier", cell: (s) => [s.tier, s.overrides ? h("span", { class: "hint", title: JSON.stringify(s.overrides) }, " with overrides") : null].filter(Boolean) },
      { name: "State", cell: (s) => h("span", { class: `badge ${s.suspended ? "bad" : "good"}` }, s.suspended ? "Suspended" : "Active") },
      { name: "Created", cell: (s) => (s.created ? when(s.created) : "–") },
      { name: "Actions", class: "acts", cell: (s) => [
        h("button", { type: "button", class: "quiet small", "aria-label": `Keys of ${s.id}`, onclick: () => this.act(act.keys, s) }, "Keys"),
        h("button", { type: "button", class: "quiet small", "aria-label": `Change tier of ${s.id}`, onclick: () => this.act(act.changeTier, s, this.tiers) }, "Change tier"),
        h("button", { type: "button", class: "quiet small", "aria-label": `${s.suspended ? "Resume" : "Suspend"} ${s.id}`, onclick: () => this.act(s.suspended ? act.resume : act.suspend, s) }, s.suspended ? "Resume" : "Suspend")] },
    ], found.slice(0, most)));
  }

  showTiers() {
    fill(this.tierList, this.tiers.length === 0 ? h("p", { class: "hint" }, "There are no tiers yet. Create one before you create a subscription.") : table("Tiers", [
      { name: "Tier", class: "name", cell: (t) => t.id },
      { name: "Tokens a minute", class: "num", cell: (t) => (t.tokensPerMinute ? full(t.tokensPerMinute) : "–") },
      { name: "Quota", class: "num", cell: (t) => (t.tokenQuota ? `${full(t.tokenQuota)} ${t.tokenQuotaPeriod}` : "–") },
      { name: "Burst", class: "num", cell: (t) => (t.burstTokens ? full(t.burstTokens) : "–") },
      { name: "Reserve", cell: (t) => t.reserve || "prompt" },
      { name: "Subscriptions", class: "num", cell: (t) => full(this.subscriptions.filter((s) => s.tier === t.id).length) },
      { name: "Actions", class: "acts", cell: (t) => h("button", { type: "button", class: "quiet small", "aria-label": `Change the limits of ${t.id}`, onclick: () => this.act(act.setTier, t) }, "Change") },
    ], this.tiers));
  }

  showAudit() {
    const badge = { done: "good", refused: "warn", unknown: "warn" };
    const text = (v) => (typeof v === "object" ? JSON.stringify(v) : String(v));
    const change = ([name, c]) => (c.from === undefined ? `${name} ${text(c.to)}` : c.to === undefined ? `${name} no longer ${text(c.from)}` : `${name} from ${text(c.from)} to ${text(c.to)}`);
    fill(this.changes, !this.audit?.length ? h("p", { class: "hint" }, "No changes yet.") : table("Latest changes", [
      { name: "When", cell: (e) => when(e.when) },
      { name: "What", class: "name", cell: (e) => [`${e.action} ${e.target}`, h("small", {}, Object.entries(e.changes ?? {}).map(change).join(", "))] },
      { name: "Who", cell: (e) => e.who },
      { name: "Outcome", cell: (e) => h("span", { class: `badge ${badge[e.outcome]}` }, e.outcome) },
    ], this.audit));
  }

  /** Runs an action in a dialog, then reloads the lists. */
  async act(action, ...args) {
    const done = await action(this.operator, ...args);
    try { // also after a cancelled dialog: another operator's change may be the reason
      await this.reload();
      if (typeof done === "string") announce(done);
    } catch (error) {
      this.status("off", error.message);
    }
  }

  stop() {
    this.status = () => {}; // requests in progress must not report any more
    this.tokens.stop();
    this.refused.stop();
  }
}
