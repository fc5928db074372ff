// Charts of usage: of all subscriptions, of a group or of one subscription.
import { h, tabs } from "./dom.js";
import { tokensChart, refusalsChart, modelTable, buckets, byModel, inWords } from "./chart.js";
import { Part, all } from "./part.js";

export const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** The query for each choice of time. Lengths are in milliseconds. */
export const ranges = {
  hour: { text: "1 hour", by: "minute", from: "1h", length: MINUTE, unit: "minute" },
  day: { text: "1 day", by: "hour", from: "24h", length: HOUR, unit: "hour" },
  month: { text: "30 days", by: "day", from: "720h", length: DAY, unit: "day" },
};

/** Makes a choice of the time shown. */
export const rangeTabs = (chosen, onchoose) => tabs("Time shown", "range", Object.fromEntries(Object.entries(ranges).map(([name, r]) => [name, r.text])), chosen, onchoose);

/** Returns the usage in an answer by spans of a range, empty ones included. */
export const points = (answer, range) => buckets(answer.items, new Date(answer.from).getTime(), new Date(answer.to).getTime(), range.length);

/** Charts of tokens, models and refusals. query selects whose. */
export class UsageCharts {
  constructor(operator, query) {
    Object.assign(this, { operator, query });
    this.tokens = tokensChart("Tokens");
    this.models = modelTable();
    this.refused = refusalsChart("Refusals");
    this.tokensPart = new Part(this.tokens.element, this.models);
    this.refusedPart = new Part(this.refused.element);
    this.tokensCard = h("section", { class: "card tall", "aria-label": "Tokens" }, this.tokensPart.element);
    this.refusedCard = h("section", { class: "card tall", "aria-label": "Refusals" }, this.refusedPart.element);
  }

  /** Hides what is shown, because the time shown changes. */
  forget() {
    this.tokensPart.forget();
    this.refusedPart.forget();
  }

  /** Loads a range. limit is the tokens that a minute allows, or a promise of it. */
  load(range, limit = 0) {
    const history = this.operator.get("/usage/history", { ...this.query, by: range.by, from: range.from, sum: "all", models: "each" });
    return all([
      this.tokensPart.load(Promise.all([history, limit]), ([answer, perMinute]) => {
        const shown = points(answer, range);
        this.tokens.element.querySelector("h2").textContent = `Tokens by ${range.unit}`;
        this.tokens.tokens(shown, perMinute * (range.length / MINUTE), inWords(shown, range.unit));
        this.models.set(byModel(answer.items));
      }),
      this.refusedPart.load(history, (answer) => this.refused.refusals(points(answer, range))),
    ]);
  }

  stop() {
    this.tokens.stop();
    this.refused.stop();
  }
}
