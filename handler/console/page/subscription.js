// The page of one subscription: its limits, its usage, and the actions on it.
import { h, fill } from "./dom.js";
import { burndownChart } from "./chart.js";
import { limitBars, itemsOf } from "./bars.js";
import { Part, all } from "./part.js";
import { forecast, recentTokens, begins, step, leftOver } from "./quota.js";
import { UsageCharts, ranges, rangeTabs, MINUTE, HOUR, DAY } from "./usage.js";
import { Cadence, head, button, state, groupLink, tierLink, between } from "./page.js";
import { readLists, subscriptionActions } from "./subscriptions.js";

export class SubscriptionPage {
  constructor(view, id) {
    Object.assign(this, { view, operator: view.operator, id, range: "hour", cadence: new Cadence() });
    this.about = h("p", { class: "sub" });
    this.acts = h("div", { class: "ends" });
    this.limits = h("div");
    this.charts = new UsageCharts(this.operator, { subscription: id });
    this.burndown = burndownChart("Quota left");
    this.limitsPart = new Part(this.limits);
    this.quotaPart = new Part(this.burndown.element);
    this.quotaCard = h("section", { class: "card tall", "aria-label": "Quota left", hidden: true }, this.quotaPart.element);
    this.element = h("div", { class: "view" }, head(id, undefined, this.acts), this.about,
      h("section", { class: "card", "aria-labelledby": "limits-title" }, h("h2", { id: "limits-title" }, "Limits"), this.limitsPart.element),
      h("div", { class: "head" }, h("h2", {}, "Usage"), rangeTabs(this.range, (range) => this.choose(range))),
      this.charts.tokensCard, h("div", { class: "cards" }, this.quotaCard, this.charts.refusedCard));
  }

  async load(now = false) {
    if (now) this.cadence.again();
    const due = this.cadence.due();
    if (due) this.lists = undefined;
    const limits = this.readLimits();
    const loads = [this.limitsPart.load(limits, (limits) => this.showLimits(limits))];
    if (due) loads.push(this.loadUsage(limits));
    await this.cadence.wait(...loads);
  }

  choose(range) {
    this.range = range;
    this.charts.forget();
    this.quotaPart.forget();
    this.view.report(this.cadence.wait(this.loadUsage(this.readLimits())));
  }

  /** Reads the subscription, what it refers to, and the counters that its calls are charged to. */
  async readLimits() {
    const [account, lists] = await Promise.all([this.operator.get(this.operator.subscription(this.id)), this.lists ?? readLists(this.operator)]);
    this.lists = lists;
    const { tier, groups = [], rules } = account;
    const shared = rules.limits?.some((l) => l.counterKey && !l.counterKey.includes("{subscription}")) ? [`${tier}:`] : [];
    const pages = await Promise.all([this.operator.all("/usage", { subscription: this.id }), ...[...shared, ...groups.map((g) => `${g.id}@`)].map((search) => this.operator.all("/usage", { search }))]);
    return { account, lists, standings: [...new Map(pages.flat().map((s) => [s.counter, s])).values()] }; // a search may find what another one did
  }

  showLimits({ account, lists, standings }) {
    const { groups = [], overrides, rules } = account, shadow = rules.shadow ? { shadow: true } : {};
    const override = (l) => overrides?.limits?.find((o) => o.name.toLowerCase() === l.name.toLowerCase() && !(o.until && new Date(o.until) <= new Date()));
    const own = itemsOf(rules.limits, { tier: account.tier }, standings, account, (l) => ({ overridden: Boolean(override(l)), until: override(l)?.until, ...shadow }));
    const above = groups.flatMap((g) => itemsOf(g.limits, { group: g.id }, standings, account, () => shadow));
    const gone = standings.filter((s) => s.gone && s.subscription === this.id).map((s) => ({ ...s, name: s.limit, owner: {} }));
    fill(this.limits, limitBars([...own, ...above, ...gone], true));
    const suspended = groups.find((g) => g.suspended);
    fill(this.about, between(" · ", [account.name, h("span", {}, "Tier ", tierLink(account.tier)), groups.length ? h("span", {}, "Group ", between(" in ", groups.map((g) => groupLink(g.id)))) : "No group", state(account), suspended && !account.suspended ? h("span", { class: "badge bad" }, `Its group ${suspended.id} is suspended`) : null]));
    fill(this.acts, subscriptionActions(this.view, account, lists), button("Delete", `Delete ${account.id}`, () => this.view.remove("subscription", account), "revoke"));
  }

  loadUsage(limits) {
    const range = ranges[this.range];
    const own = limits.then(({ standings }) => standings.find((s) => s.subscription === this.id && s.limit === "tokens" && s.unit === "tokens" && !s.counter.slice(`${this.id}/`.length).includes("/") && !s.gone));
    return all([
      this.charts.load(range, own.then((s) => s?.minute?.limit ?? 0)),
      this.quotaPart.load(this.left(own), (left) => this.showLeft(left)),
    ]);
  }

  /** Returns what the chart of the quota shows: the quota of the subscription's own limit in
   * tokens, and its usage in the range, since the period began at the earliest; undefined
   * without such a quota. */
  async left(standing) {
    const quota = (await standing)?.quota;
    if (!quota) return undefined;
    const now = Date.now(), begin = begins(quota, now - { hour: HOUR, day: DAY, month: 30 * DAY }[this.range]);
    const by = now - begin <= 6 * HOUR ? "minute" : now - begin <= 14 * DAY ? "hour" : "day";
    const history = (by, from) => this.operator.get("/usage/history", { subscription: this.id, by, from });
    const [since, recent] = await Promise.all([history(by, new Date(begin).toISOString()), history("minute", "15m")]);
    return { quota, now, begin, length: Math.max(step(begin, now), { minute: MINUTE, hour: HOUR, day: DAY }[by]), spans: since.items, recent: recentTokens(recent.items, now) };
  }

  showLeft(left) {
    this.quotaCard.hidden = !left;
    if (left) this.burndown.burndown(leftOver(left.spans, left.quota, left.begin, left.length, left.now), forecast(left.quota, left.recent, left.now));
  }

  stop() {
    this.charts.stop();
    this.burndown.stop();
  }
}
