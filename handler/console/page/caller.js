// The caller's view: its limits and its usage.
import { h, fill, short, full, when, until, meter, tabs, announce } from "./dom.js";
import { tokensChart, refusalsChart, burndownChart, buckets, inWords } from "./chart.js";

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

/** The length of a span for each choice of hours, in milliseconds. */
const spans = { 1: MINUTE, 3: MINUTE, 24: 15 * MINUTE, 168: HOUR };
const names = { [MINUTE]: "minute", [15 * MINUTE]: "quarter of an hour", [HOUR]: "hour" };

/** A card that shows a limit: used, left, and when it resets. */
function limitCard(title) {
  const gauge = meter(title);
  const big = h("div", { class: "big" });
  const left = h("dd"), resets = h("dd"), all = h("dd");
  const element = h("section", { class: "card", "aria-label": title }, h("h2", {}, title), big, gauge,
    h("dl", { class: "pairs" }, h("dt", {}, "Left"), left, h("dt", {}, "Limit"), all, h("dt", {}, "Resets"), resets));
  return Object.assign(element, {
    set(window, words) {
      element.hidden = !window;
      if (!window) return;
      const used = Math.max(0, window.limit - window.left);
      fill(big, short(used), " ", h("small", {}, `of ${short(window.limit)} tokens${words ? ` ${words}` : ""}`));
      gauge.set(used, window.limit);
      left.textContent = `${full(window.left)} tokens`;
      all.textContent = `${full(window.limit)} tokens`;
      resets.textContent = `${until(window.resetAt)}, ${when(window.resetAt)}`;
    },
  });
}

/** Words for a quota's period: "a day". */
const periods = { Hourly: "this hour", Daily: "today", Weekly: "this week", Monthly: "this month", Yearly: "this year" };

/** Returns what was left of a quota at each point, computed back from what is left now. */
export function leftOver(points, quota) {
  let left = quota.left;
  const back = points.toReversed().map((p) => {
    const at = { at: p.at, left: Math.min(quota.limit, left) };
    left += p.promptTokens + p.completionTokens;
    return at;
  });
  return back.toReversed();
}

/** Says when a quota will be used up at the rate of the last hour. It uses whole points,
 * because the running one alone says little. */
export function lasts(points, quota) {
  const now = Date.now(), length = points[1].at - points[0].at;
  const recent = points.filter((p) => p.at + length > now - HOUR);
  const used = recent.reduce((sum, p) => sum + p.promptTokens + p.completionTokens, 0);
  const resets = new Date(quota.resetAt).getTime();
  if (quota.left <= 0) return `Used up until ${when(resets)}.`;
  if (!used) return `${short(quota.left)} tokens left until ${when(resets)}.`;
  const end = now + (quota.left / used) * (now - recent[0].at), rate = `At the rate since ${when(recent[0].at)}`;
  return end >= resets ? `${rate} it lasts until it resets, ${when(resets)}.` : `${rate} it is used up by ${when(end)}, before it resets ${when(resets)}.`;
}

/** The caller's view. It calls status(state, text) when the connection changes. */
export class CallerView {
  constructor(caller, status, leave) {
    Object.assign(this, { caller, status, leave, hours: "3" });
    this.title = h("h1", {}, "My usage");
    this.sub = h("p", { class: "sub" });
    this.minute = limitCard("This minute");
    this.quota = limitCard("Quota");
    this.note = h("p", { class: "notice", hidden: true });
    this.tokens = tokensChart("Tokens");
    this.refused = refusalsChart("Refusals");
    this.burndown = burndownChart("Quota left");
    this.burndownCard = h("section", { class: "card", "aria-label": "Quota left" }, this.burndown.element);
    this.tiles = h("div", { class: "tiles" });
    this.element = h("div", { class: "view" },
      h("div", { class: "head" }, h("div", {}, this.title, this.sub),
        tabs("Time shown", "hours", { 1: "1 hour", 3: "3 hours", 24: "1 day", 168: "7 days" }, this.hours, (hours) => { this.hours = hours; this.look().catch((error) => this.status("off", error.message)); })),
      this.note, h("div", { class: "cards" }, this.minute, this.quota), this.tiles,
      h("section", { class: "card", "aria-label": "Tokens" }, this.tokens.element),
      h("div", { class: "cards" }, this.burndownCard, h("section", { class: "card", "aria-label": "Refusals" }, this.refused.element)));
    this.pause = 3000;
  }

  async look() {
    const asked = this.hours;
    const usage = await this.caller.usage(asked);
    if (asked === this.hours) this.show(usage);
  }

  show(usage) {
    this.title.textContent = usage.subscription;
    this.sub.textContent = `Tier ${usage.tier}${usage.counted ? `, counted by ${usage.counted.counterKey}${usage.counted.shared ? " together with others of the tier" : ""}` : ""}`;
    this.note.hidden = Boolean(usage.minute || usage.quota) && !usage.problem;
    this.note.textContent = usage.problem ?? "This subscription has no limits.";
    this.minute.set(usage.minute);
    this.quota.set(usage.quota, periods[usage.quotaPeriod]);
    const length = spans[this.hours], to = Date.now();
    const points = buckets(usage.minutes ?? [], to - Number(this.hours) * HOUR, to, length);
    const unit = names[length];
    this.tokens.element.querySelector("h2").textContent = `Tokens a ${unit}`;
    this.tokens.tokens(points, usage.minute ? usage.minute.limit * (length / MINUTE) : 0, inWords(points, unit));
    const refused = points.reduce((sum, p) => sum + p.refused, 0);
    this.refused.refusals(points, `${full(refused)} calls were refused by a limit. Times are UTC.`);
    this.burndownCard.hidden = !usage.quota;
    if (usage.quota) this.burndown.burndown(leftOver(points, usage.quota), lasts(points, usage.quota));
    const sum = (name) => points.reduce((total, p) => total + p[name], 0);
    fill(this.tiles, [["Prompt tokens", sum("promptTokens")], ["Completion tokens", sum("completionTokens")], ["Calls", sum("requests")], ["Refused", refused]].map(([name, n]) =>
      h("div", { class: "tile" }, h("p", { class: "label" }, name), h("div", { class: "big", title: full(n) }, short(n)))));
    if (usage.minute?.left === 0 && !this.announced) announce("This minute's tokens are used up.");
    this.announced = usage.minute?.left === 0;
  }

  stop() {
    this.status = () => {}; // requests in progress must not report any more
    for (const chart of [this.tokens, this.refused, this.burndown]) chart.stop();
  }
}
