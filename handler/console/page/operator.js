// The operator's view: everybody's usage, subscriptions, tiers and the audit.
import { h, fill, short, full, when, meter, tabs, table, announce } from "./dom.js";
import { tokensChart, refusalsChart, modelTable, buckets, byModel, inWords } from "./chart.js";
import { Part, all } from "./part.js";
import { Detail } from "./detail.js";
import { field } from "./dialogs.js";
import * as act from "./actions.js";

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** The query for each choice of time. Lengths are in milliseconds. */
export const ranges = {
  hour: { text: "1 hour", by: "minute", from: "1h", length: MINUTE, unit: "minute" },
  day: { text: "1 day", by: "hour", from: "24h", length: HOUR, unit: "hour" },
  month: { text: "30 days", by: "day", from: "720h", length: DAY, unit: "day" },
};

/** The most rows that a list shows. */
const most = 100;

const used = (window) => Math.max(0, window.limit - window.left);

function gauge(window, label) {
  if (!window) return "–";
  return h("div", {}, meter(label).set(used(window), window.limit), h("small", { class: "hint", title: `${full(used(window))} of ${full(window.limit)}` }, `${short(used(window))} of ${short(window.limit)}`));
}

/** Returns what an answer says of each span of its time. */
export const points = (answer, range) => buckets(answer.items, new Date(answer.from).getTime(), new Date(answer.to).getTime(), range.length);

export class OperatorView {
  constructor(operator, status, leave) {
    Object.assign(this, { operator, status, leave, range: "hour", pause: 5000, subscriptions: [], tiers: [] });
    this.tiles = h("div", { class: "tiles" });
    this.tokens = tokensChart("Tokens");
    this.models = modelTable();
    this.refused = refusalsChart("Refusals");
    this.topTitle = h("h2", { id: "top-title" }, "Top subscriptions");
    this.top = h("div");
    this.list = h("div");
    this.tierList = h("div");
    this.changes = h("div");
    this.count = h("p", { class: "hint", role: "status" });
    this.search = h("input", { type: "search", placeholder: "id or name", autocomplete: "off", spellcheck: "false", oninput: () => this.showList() });
    this.ofTier = h("select", { onchange: () => this.showList() });
    this.state = h("select", { onchange: () => this.showList() }, h("option", { value: "" }, "All"), h("option", { value: "active" }, "Active"), h("option", { value: "suspended" }, "Suspended"));
    this.nowPart = new Part(this.tiles);
    this.tokensPart = new Part(this.tokens.element, this.models);
    this.topPart = new Part(this.top);
    this.refusedPart = new Part(this.refused.element);
    this.lists = [new Part(h("div", { class: "bar" }, field("Search", this.search), field("Tier", this.ofTier), field("State", this.state)), this.count, this.list), new Part(this.tierList), new Part(this.changes)];
    this.element = h("div", { class: "view" },
      h("div", { class: "head" }, h("div", {}, h("h1", {}, "All subscriptions"), h("p", { class: "sub" }, "Times are UTC. Changes reach gateways within a minute.")),
        tabs("Time shown", "range", Object.fromEntries(Object.entries(ranges).map(([name, r]) => [name, r.text])), this.range, (range) => this.choose(range))),
      this.nowPart.element,
      h("section", { class: "card tall", "aria-label": "Tokens" }, this.tokensPart.element),
      h("div", { class: "cards" },
        h("section", { class: "card", "aria-labelledby": "top-title" }, this.topTitle, this.topPart.element),
        h("section", { class: "card tall", "aria-label": "Refusals" }, this.refusedPart.element)),
      h("section", { class: "card", "aria-labelledby": "list-title" },
        h("div", { class: "head" }, h("h2", { id: "list-title" }, "Subscriptions"), h("button", { type: "button", onclick: () => this.act(act.create, this.tiers) }, "New subscription")),
        this.lists[0].element),
      h("section", { class: "card", "aria-labelledby": "tiers-title" }, h("div", { class: "head" }, h("h2", { id: "tiers-title" }, "Tiers"), h("button", { type: "button", class: "quiet", onclick: () => this.act(act.setTier, null) }, "New tier")), this.lists[1].element),
      h("section", { class: "card", "aria-labelledby": "audit-title" }, h("h2", { id: "audit-title" }, "Latest changes"), this.lists[2].element));
  }

  /** Refreshes the view: the running minute each time; charts and lists every 30 s and when
   * a minute ends. */
  async look() {
    const at = Date.now();
    const loads = [this.nowPart.load(this.operator.get("/usage/now"), (now) => this.showNow(now))];
    if (!this.looked || at - this.looked > 30_000 || Math.floor(at / MINUTE) !== Math.floor(this.looked / MINUTE)) {
      this.looked = at;
      loads.push(this.lookBack(), this.reload());
    }
    await all(loads).catch((error) => {
      this.looked = undefined; // to try everything again
      throw error;
    });
  }

  choose(range) {
    this.range = range;
    for (const part of [this.tokensPart, this.refusedPart, this.topPart]) part.forget();
    this.lookBack().catch((error) => this.status("off", error.message));
  }

  lookBack() {
    const range = ranges[this.range];
    const history = this.operator.get("/usage/history", { by: range.by, from: range.from, sum: "all", models: "each" });
    return all([
      this.tokensPart.load(history, (answer) => this.showTokens(answer, range)),
      this.refusedPart.load(history, (answer) => this.refused.refusals(points(answer, range))),
      this.topPart.load(this.operator.get("/usage/top", { from: range.from, n: 8 }), (top) => this.showTop(top)),
    ]);
  }

  reload() {
    const subscriptions = this.operator.all("/subscriptions"), tiers = this.operator.all("/tiers");
    const [list, tierList, changes] = this.lists;
    return all([
      list.load(Promise.all([subscriptions, tiers]), ([subs, tiers]) => { Object.assign(this, { subscriptions: subs, tiers }); this.showList(); }),
      tierList.load(Promise.all([subscriptions, tiers]), ([subs, tiers]) => { Object.assign(this, { subscriptions: subs, tiers }); this.showTiers(); }),
      changes.load(this.operator.get("/audit", { limit: 20 }), (page) => { this.audit = page.items; this.showAudit(); }),
    ]);
  }

  showNow({ minute, last, full: atLimit, counters }) {
    fill(this.tiles, [["Tokens", "totalTokens"], ["Calls", "calls"], ["Refused", "refused"]].map(([name, count]) =>
      h("div", { class: "tile" }, h("p", { class: "label" }, `${name} this minute`), h("div", { class: "big", title: full(minute[count]) }, short(minute[count])), h("p", { class: "hint" }, `so far; ${short(last[count])} in the last`))),
    h("div", { class: "tile" }, h("p", { class: "label" }, "At or near a limit"), h("div", { class: "big", title: full(atLimit) }, short(atLimit)), h("p", { class: "hint" }, `of ${short(counters)} counters: at most 2% left`)));
  }

  showTokens(answer, range) {
    const shown = points(answer, range);
    this.tokens.element.querySelector("h2").textContent = `Tokens by ${range.unit}`;
    this.tokens.tokens(shown, 0, inWords(shown, range.unit));
    this.models.set(byModel(answer.items));
  }

  showTop(top) {
    this.topTitle.textContent = Date.now() - new Date(top.from) < DAY ? "Top subscriptions today" : `Top subscriptions since ${when(top.from)}`;
    const written = top.writtenAt ? ` Gateways write the running day every 5 minutes, last at ${when(top.writtenAt)}.` : "";
    fill(this.top, h("p", { class: "hint" }, `${full(top.active)} subscriptions made calls, by whole days.${written}`), top.items.length === 0 ? null : table("Subscriptions that used most", [
      { name: "Subscription", class: "name", cell: (s) => h("button", { type: "button", class: "quiet small", onclick: () => this.detail(s.subscription) }, s.subscription) },
      { name: "Tokens", class: "num", cell: (s) => short(s.totalTokens) },
      { name: "This minute", cell: (s) => gauge(s.standing?.minute, `${s.subscription}: this minute`) },
      { name: "Quota", cell: (s) => gauge(s.standing?.quota, `${s.subscription}: quota`) },
    ], top.items));
  }

  /** One subscription's own charts. */
  detail(id) {
    new Detail(this.operator, id, ranges[this.range]).open();
  }

  showList() {
    const search = this.search.value.trim().toLowerCase();
    const chosen = this.ofTier.value;
    fill(this.ofTier, h("option", { value: "" }, "All"), this.tiers.map((t) => h("option", { value: t.id, selected: t.id === chosen }, t.id)));
    const found = this.subscriptions.filter((s) => (!search || `${s.id} ${s.name ?? ""}`.toLowerCase().includes(search)) && (!chosen || s.tier === chosen) && (!this.state.value || Boolean(s.suspended) === (this.state.value === "suspended")));
    this.count.textContent = `${full(found.length)} of ${full(this.subscriptions.length)} subscriptions${found.length > most ? `; the first ${most} are shown, search for others` : ""}`;
    fill(this.list, found.length === 0 ? h("p", { class: "hint" }, this.subscriptions.length ? "No subscription matches." : "There are no subscriptions yet.") : table("Subscriptions", [
      { name: "Subscription", class: "name", cell: (s) => [h("button", { type: "button", class: "quiet small", "aria-label": `Usage of ${s.id}`, onclick: () => this.detail(s.id) }, s.id), s.name ? h("small", {}, s.name) : null] },
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
