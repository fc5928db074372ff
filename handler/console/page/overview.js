// The operator's first page: what all subscriptions use now and used recently.
import { h, fill, short, full, when, table } from "./dom.js";
import { money } from "./amounts.js";
import { smallBar, stateOf, leastLeft } from "./bars.js";
import { Part, all } from "./part.js";
import { UsageCharts, ranges, rangeTabs, DAY } from "./usage.js";
import { choice } from "./fields.js";
import { Cadence, head, subscriptionLink } from "./page.js";

/** Returns the cell with the limit of a subscription that has least left. */
function fullest({ subscription, limits = [] }) {
  const live = limits.filter((s) => !s.gone && (s.minute || s.quota)).toSorted((a, b) => leastLeft(a) - leastLeft(b));
  if (!live.length) return "–";
  const [s] = live, left = (w) => (w ? Number(w.left) / Number(w.limit) : 2);
  const [window, words] = left(s.minute) <= left(s.quota) ? [s.minute, "this minute"] : [s.quota, "quota"];
  return [smallBar(window, s.unit, `${subscription}: ${s.limit}, ${words}`), h("small", { class: "hint" }, `${s.limit}, ${words}: ${stateOf(window, s.unit).words.toLowerCase()}`)];
}

export class OverviewPage {
  constructor(view) {
    Object.assign(this, { view, operator: view.operator, range: "hour", cadence: new Cadence() });
    this.tiles = h("div", { class: "tiles" });
    this.charts = new UsageCharts(this.operator, {});
    this.topTitle = h("h2", { id: "top-title" }, "Top subscriptions");
    this.top = h("div");
    this.order = choice("sort", [["tokens", "Tokens"], ["cost", "Cost"], ["calls", "Calls"], ["refused", "Refusals"]], "tokens");
    this.order.addEventListener("change", () => this.choose(this.range));
    this.nowPart = new Part(this.tiles);
    this.topPart = new Part(this.top);
    this.element = h("div", { class: "view" }, head("All subscriptions", "Times are UTC. Changes reach gateways within a minute.", rangeTabs(this.range, (range) => this.choose(range))), this.nowPart.element, this.charts.tokensCard,
      h("div", { class: "cards" }, h("section", { class: "card", "aria-labelledby": "top-title" }, h("div", { class: "head" }, this.topTitle, h("label", { class: "order" }, h("span", {}, "By "), this.order)), this.topPart.element), this.charts.refusedCard));
  }

  async load() {
    const loads = [this.nowPart.load(this.operator.get("/usage/now"), (now) => this.showNow(now))];
    if (this.cadence.due()) loads.push(this.loadUsage());
    await this.cadence.wait(...loads);
  }

  choose(range) {
    this.range = range;
    this.charts.forget();
    this.topPart.forget();
    this.view.report(this.cadence.wait(this.loadUsage()));
  }

  loadUsage() {
    const range = ranges[this.range];
    return all([this.charts.load(range), this.topPart.load(this.operator.get("/usage/top", { from: range.from, n: 8, sort: this.order.value }), (top) => this.showTop(top))]);
  }

  showNow({ minute, last, full: atLimit, counters }) {
    const cost = Number(minute.cost) || Number(last.cost);
    fill(this.tiles, [["Tokens", "totalTokens"], ["Calls", "calls"], ["Refused", "refused"]].map(([name, count]) =>
      h("div", { class: "tile" }, h("p", { class: "label" }, `${name} this minute`), h("div", { class: "big", title: full(minute[count]) }, short(minute[count])), h("p", { class: "hint" }, `so far; ${short(last[count])} in the one before`))),
    cost ? h("div", { class: "tile" }, h("p", { class: "label" }, "Cost this minute"), h("div", { class: "big" }, money(minute.cost)), h("p", { class: "hint" }, `so far; ${money(last.cost)} in the one before`)) : null,
    h("div", { class: "tile" }, h("p", { class: "label" }, "At or near a limit"), h("div", { class: "big", title: full(atLimit) }, short(atLimit)), h("p", { class: "hint" }, `of ${short(counters)} counters: at most 2% left`)));
  }

  showTop(top) {
    this.topTitle.textContent = Date.now() - new Date(top.from) < DAY ? "Top subscriptions today" : `Top subscriptions since ${when(top.from)}`;
    const written = top.writtenAt ? ` Gateways write the running day every 5 minutes, last at ${when(top.writtenAt)}.` : "";
    const cost = Number(top.total.cost);
    this.order.querySelector("[value=cost]").hidden = !cost;
    fill(this.top, h("p", { class: "hint" }, `${full(top.active)} subscriptions made calls, by whole days${cost ? `, for ${money(top.total.cost)}` : ""}.${written}`), top.items.length === 0 ? null : table("Subscriptions that used most", [
      { name: "Subscription", class: "name", cell: (s) => subscriptionLink(s.subscription) },
      { name: "Tokens", class: "num", cell: (s) => short(s.totalTokens) },
      { name: "Calls", class: "num", cell: (s) => short(s.calls) },
      { name: "Refused", class: "num", cell: (s) => short(s.refused) },
      cost ? { name: "Cost", class: "num", cell: (s) => money(s.cost) } : null,
      { name: "Fullest limit", cell: fullest },
    ].filter(Boolean), top.items));
  }

  stop() {
    this.charts.stop();
  }
}
