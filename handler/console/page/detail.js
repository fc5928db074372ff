// A dialog with what one subscription used, and what it has left.
import { h } from "./dom.js";
import { tokensChart, refusalsChart, burndownChart, modelTable, buckets, byModel, inWords } from "./chart.js";
import { Part, all } from "./part.js";
import { show } from "./dialogs.js";
import { forecast, recentTokens, begins, step, leftOver } from "./quota.js";

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** Shows one subscription in a range of time; see operator.js. */
export class Detail {
  constructor(operator, id, range) {
    Object.assign(this, { operator, id, range });
    this.tokens = tokensChart(`Tokens by ${range.unit}`);
    this.models = modelTable();
    this.refused = refusalsChart("Refusals");
    this.burndown = burndownChart("Quota left");
    this.used = new Part(this.tokens.element, this.models, this.refused.element);
    this.quota = new Part(this.burndown.element);
    this.dialog = h("dialog", { class: "wide", "aria-labelledby": "detail-title", onclose: () => this.stop() },
      h("form", { onsubmit: (event) => { event.preventDefault(); this.dialog.close(); } }, h("h2", { id: "detail-title" }, id),
        h("div", { class: "tall" }, this.used.element), this.quota.element, h("div", { class: "ends" }, h("button", { type: "submit" }, "Close"))));
  }

  open() {
    show(this.dialog);
    const standing = this.operator.get("/usage", { subscription: this.id }).then((page) => page.items.find((s) => s.counter === this.id));
    const history = this.history(this.range.by, this.range.from, { models: "each" });
    all([
      this.used.load(Promise.all([history, standing]), ([answer, own]) => this.showUsed(answer, own)),
      this.quota.load(this.left(history, standing), (left) => this.showLeft(left)),
    ]).catch(() => {}); // the parts say it
  }

  history(by, from, more = {}) {
    return this.operator.get("/usage/history", { subscription: this.id, by, from, ...more });
  }

  showUsed(answer, own) {
    const { length, unit } = this.range;
    const points = buckets(answer.items, new Date(answer.from).getTime(), new Date(answer.to).getTime(), length);
    this.tokens.tokens(points, own?.minute ? own.minute.limit * (length / MINUTE) : 0, inWords(points, unit));
    this.models.set(byModel(answer.items));
    this.refused.refusals(points);
  }

  /** Returns what is left of the subscription's own quota, and what was used of it since it
   * began, in the range; undefined without such a quota. */
  async left(history, standing) {
    const [answer, own] = await Promise.all([history, standing]);
    if (!own?.quota) return undefined;
    const now = Date.now(), begin = begins(own.quota, new Date(answer.from).getTime());
    const by = now - begin <= 6 * HOUR ? "minute" : now - begin <= 14 * DAY ? "hour" : "day";
    const [since, recent] = await Promise.all([this.history(by, new Date(begin).toISOString()), this.history("minute", "15m")]);
    return { quota: own.quota, now, begin, length: Math.max(step(begin, now), { minute: MINUTE, hour: HOUR, day: DAY }[by]), spans: since.items, recent: recentTokens(recent.items, now) };
  }

  showLeft(left) {
    this.quota.element.hidden = !left;
    if (left) this.burndown.burndown(leftOver(left.spans, left.quota, left.begin, left.length, left.now), forecast(left.quota, left.recent, left.now));
  }

  stop() {
    for (const chart of [this.tokens, this.refused, this.burndown]) chart.stop();
  }
}
