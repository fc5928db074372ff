// The view of a caller: its limits and its usage.
import { h, fill, short, full, tabs, announce } from "./dom.js";
import { money, moneyInFull, useCurrency } from "./amounts.js";
import { limitBars } from "./bars.js";
import { tokensChart, refusalsChart, burndownChart, modelTable, buckets, inWords, costly } from "./chart.js";
import { Part, all } from "./part.js";
import { forecast, recentTokens, begins, step, leftOver } from "./quota.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The length of a span for each choice of hours, in milliseconds. */
const spans = { 1: MINUTE, 3: MINUTE, 24: 15 * MINUTE, 168: HOUR };
const names = { [MINUTE]: "minute", [15 * MINUTE]: "quarter of an hour", [HOUR]: "hour" };

/** Returns the item of a limit; see limitBars. */
function itemOf({ counted, tier, group, ...limit }) {
  const parts = Object.entries(counted?.parts ?? {}).filter(([kind]) => kind !== "group").map(([kind, value]) => `${kind} ${value || "(none)"}`).join(", ");
  return { ...limit, owner: { tier, group }, parts, shared: counted?.shared ? `Shared with others of the ${group ? "group" : "tier"}` : "" };
}

/** The caller's view. It calls status(state, text) when the connection changes. */
export class CallerView {
  constructor(caller, status, leave) {
    Object.assign(this, { caller, status, leave, hours: "3" });
    this.title = h("h1", {}, "My usage");
    this.sub = h("p", { class: "sub" });
    this.bars = h("div");
    this.tokens = tokensChart("Tokens");
    this.models = modelTable();
    this.refused = refusalsChart("Refusals");
    this.burndown = burndownChart("Quota left");
    this.tiles = h("div", { class: "tiles" });
    this.limits = new Part(this.bars);
    this.sums = new Part(this.tiles);
    this.tokensPart = new Part(this.tokens.element, this.models);
    this.burndownPart = new Part(this.burndown.element);
    this.refusedPart = new Part(this.refused.element);
    this.burndownCard = h("section", { class: "card tall", "aria-label": "Quota left" }, this.burndownPart.element);
    this.element = h("div", { class: "view" },
      h("div", { class: "head" }, h("div", {}, this.title, this.sub),
        tabs("Time shown", "hours", { 1: "1 hour", 3: "3 hours", 24: "1 day", 168: "7 days" }, this.hours, (hours) => this.choose(hours))),
      h("section", { class: "card", "aria-labelledby": "limits-title" }, h("h2", { id: "limits-title" }, "Limits"), this.limits.element), this.sums.element,
      h("section", { class: "card tall", "aria-label": "Tokens" }, this.tokensPart.element),
      h("div", { class: "cards" }, this.burndownCard, h("section", { class: "card tall", "aria-label": "Refusals" }, this.refusedPart.element)));
    this.pause = 3000;
  }

  /** The parts that show the chosen time. */
  get timed() {
    return [this.sums, this.tokensPart, this.burndownPart, this.refusedPart];
  }

  choose(hours) {
    this.hours = hours;
    for (const part of this.timed) part.forget();
    this.load().catch((error) => this.status("off", error.message));
  }

  async load() {
    const hours = Number(this.hours);
    const answer = this.caller.usage(hours);
    const used = answer.then((usage) => {
      if (usage.problem) throw new Error(usage.problem); // the usage is unknown, which must not be shown as none
      return usage;
    });
    used.catch(() => {});
    await answer.catch(async (error) => {
      await all([this.limits, ...this.timed].map((part) => part.load(answer, () => {}))).catch(() => {});
      throw error;
    });
    await this.limits.load(answer, (usage) => this.showLimits(usage));
    await all([
      this.sums.load(used, (usage) => this.showSums(usage)),
      this.tokensPart.load(used, (usage) => this.showTokens(usage, hours)),
      this.refusedPart.load(used, (usage) => this.refused.refusals(this.points(usage, hours))),
      this.burndownPart.load(used, (usage) => this.showQuota(usage, hours)),
    ]).catch(() => {}); // each part shows its failure; the connection works
  }

  showLimits(usage) {
    this.title.textContent = usage.subscription;
    useCurrency(usage.currency);
    this.sub.textContent = `Tier ${usage.tier}${usage.group ? `, group ${usage.group}` : ""}`;
    fill(this.bars, limitBars(usage.limits.map(itemOf), false, "This subscription has no limits."));
    this.burndownCard.hidden = !usage.quota;
    const empty = usage.limits.filter((l) => !l.shadow && [l.minute, l.quota].some((w) => w && Number(w.left) <= 0)).map((l) => l.name).join(", ");
    if (empty && empty !== this.announced) announce(`Used up: ${empty}.`);
    this.announced = empty;
  }

  /** Reports whether the tier's limit named tokens counts all of the caller's tokens and nobody
   * else's. */
  countsOwnTokens(usage) {
    const tokens = usage.limits.find((l) => l.tier && l.name.toLowerCase() === "tokens");
    return Boolean(tokens && !tokens.counted && !tokens.models);
  }

  points(usage, hours) {
    const to = Date.now();
    return buckets(usage.minutes, to - hours * HOUR, to, spans[hours]);
  }

  showSums({ total }) {
    fill(this.tiles, [["Prompt tokens", total.promptTokens], ["Completion tokens", total.completionTokens], ["Calls", total.calls], ["Refused", total.refused], total.shadowed ? ["Would have been refused", total.shadowed] : null].filter(Boolean).map(([name, n]) =>
      h("div", { class: "tile" }, h("p", { class: "label" }, name), h("div", { class: "big", title: full(n) }, short(n)))),
    costly([total]) ? h("div", { class: "tile" }, h("p", { class: "label" }, "Cost"), h("div", { class: "big", title: moneyInFull(total.cost) }, money(total.cost)), total.unpriced ? h("p", { class: "hint" }, `without ${short(total.unpriced)} calls that had no price`) : null) : null);
  }

  showTokens(usage, hours) {
    const length = spans[hours], unit = names[length], points = this.points(usage, hours);
    this.tokens.element.querySelector("h2").textContent = `Tokens by ${unit}`;
    this.tokens.tokens(points, usage.minute && this.countsOwnTokens(usage) ? usage.minute.limit * (length / MINUTE) : 0, inWords(points, unit));
    this.models.set(usage.models);
  }

  /** Shows what is left of the quota. The curve is computed from the caller's usage, so it is
   * shown only if the quota counts exactly that. */
  showQuota(usage, hours) {
    if (!usage.quota) return;
    const own = this.countsOwnTokens(usage), now = Date.now(), begin = begins(usage.quota, now - hours * HOUR);
    const words = forecast(usage.quota, own ? recentTokens(usage.minutes, now) : undefined, now);
    this.burndown.plot.hidden = this.burndown.values.hidden = !own;
    if (own) this.burndown.burndown(leftOver(usage.minutes.filter((m) => new Date(m.minute) >= begin - MINUTE), usage.quota, begin, step(begin, now), now), words);
    else this.burndown.caption.textContent = words;
  }

  stop() {
    this.status = () => {}; // requests in progress must no longer report
    for (const chart of [this.tokens, this.refused, this.burndown]) chart.stop();
  }
}
