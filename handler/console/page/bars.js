// Draws limits as bars: how much of each is used, held and left, and when it resets.
import { h, when, until, link } from "./dom.js";
import { amount, shortAmount, shortNumber, unitWords } from "./amounts.js";

const MINUTE = 60_000;

/** Words for a quota's running period. */
export const periods = { Hourly: "This hour", Daily: "Today", Weekly: "This week", Monthly: "This month", Yearly: "This year" };

/** Returns the state of a window: a level, which selects its colour, and a sign and words with
 * the same meaning. */
export function stateOf(window, unit) {
  const limit = Number(window.limit), percent = limit > 0 ? Math.floor((100 * Number(window.used)) / limit) : 0;
  if (Number(window.owed) > 0) return { level: "bad", sign: "▲", words: `Owes ${shortAmount(window.owed, unit)}`, percent };
  if (Number(window.left) <= 0 && Number(window.held) > 0) return { level: "warn", sign: "!", words: "Rest is held", percent };
  if (Number(window.left) <= 0) return { level: "bad", sign: "✕", words: "Used up", percent };
  if (percent >= 80) return { level: "warn", sign: "!", words: `${percent}% used`, percent };
  return { level: "good", sign: "✓", words: `${percent}% used`, percent };
}

const badge = (level, sign, words) => h("span", { class: `badge ${level}` }, h("span", { "aria-hidden": "true" }, `${sign} `), words);

/** Draws a window as a bar: what is used, then what is held. */
export function bar(window, unit, label) {
  const limit = Number(window.limit), state = stateOf(window, unit);
  const share = (n) => (limit > 0 ? Math.max(0, (100 * Number(n)) / limit) : 0);
  const used = Math.min(100, share(window.used)), held = Math.min(100 - used, share(window.held));
  const parts = [h("div", { class: "used" }), h("div", { class: "held" })];
  parts[0].style.width = `${state.level === "bad" && Number(window.owed) > 0 ? 100 : used}%`;
  parts[0].dataset.level = state.level;
  parts[1].style.width = `${held}%`;
  return h("div", { class: "meter", role: "meter", "aria-label": label, "aria-valuemin": "0", "aria-valuemax": "100", "aria-valuenow": String(Math.min(100, state.percent)),
    "aria-valuetext": `${amount(window.used, unit)} of ${amount(window.limit, unit)} used, ${amount(window.held, unit)} held, ${amount(window.left, unit)} left${Number(window.owed) > 0 ? `, ${amount(window.owed, unit)} owed` : ""}` }, parts);
}

/** Draws a window in a cell of a table: a bar and a short text. */
export function smallBar(window, unit, label) {
  if (!window) return "–";
  return h("div", {}, bar(window, unit, label), h("small", { class: "hint", title: `${amount(window.used, unit)} of ${amount(window.limit, unit)}` }, `${shortNumber(window.used, unit)} of ${shortAmount(window.limit, unit)}`));
}

function windowRow(item, name, window) {
  const state = stateOf(window, item.unit), pair = (text, value) => h("div", {}, h("dt", {}, text), h("dd", { title: amount(value, item.unit) }, shortNumber(value, item.unit)));
  return h("div", { class: "window" },
    h("div", { class: "window-head" }, h("span", { class: "window-name" }, name), h("span", { class: "hint" }, `of ${amount(window.limit, item.unit)}`), item.idle ? h("span", { class: "badge" }, "No calls yet") : badge(state.level, state.sign, state.words)),
    bar(window, item.unit, `${item.name}${item.owner.group ? ` of group ${item.owner.group}` : ""}${item.parts ? ` of ${item.parts}` : ""}: ${name.toLowerCase()}`),
    h("dl", { class: "amounts" }, pair("Used", window.used), pair("Held", window.held), pair("Left", window.left), Number(window.owed) > 0 ? h("div", { class: "owed" }, h("dt", {}, "Owed"), h("dd", {}, amount(window.owed, item.unit))) : null,
      window.resetAt ? h("div", {}, h("dt", {}, "Resets"), h("dd", {}, `${until(window.resetAt)}, ${when(window.resetAt)}`)) : null));
}

/** Returns labels that say who has the limit, what it counts, and what is special about it. */
function labels(item, linked) {
  const { tier, group } = item.owner, id = group ?? tier;
  const owner = id && [group ? "Group " : "Tier ", linked ? link(id, `#/${group ? "groups" : "tiers"}/${encodeURIComponent(id)}`) : id];
  return [
    owner ? h("span", {}, owner) : null,
    h("span", {}, `Counts ${unitWords(item.unit)}`),
    item.models?.length ? h("span", {}, `Only ${item.models.join(", ")}`) : null,
    item.parts ? h("span", {}, item.parts) : null,
    item.shared ? badge("", "⇄", item.shared) : null,
    item.shadow ? badge("warn", "◌", "In shadow: never refuses") : null,
    item.overridden ? badge("", "✎", item.until ? `Overridden until ${when(item.until)}` : "Overridden") : null,
    item.gone ? badge("warn", "–", "No longer a limit") : null,
  ].filter(Boolean);
}

/** Draws one limit, with a bar for each of its windows. */
function limitBar(item, linked) {
  return h("li", { class: `limit-bar${item.shadow || item.gone ? " faint" : ""}` },
    h("div", { class: "limit-head" }, h("h3", { class: "limit-name" }, item.name), h("div", { class: "labels" }, labels(item, linked))),
    item.problem ? h("p", { class: "fault" }, `Its counter can't be read: ${item.problem}`) : null,
    h("div", { class: "windows" }, item.minute ? windowRow(item, "This minute", item.minute) : null, item.quota ? windowRow(item, periods[item.quotaPeriod] ?? "Quota", item.quota) : null));
}

/** Draws a list of limits, those with least left first. Items: {name, unit, owner, shared,
 * shadow, models, parts, overridden, until, idle, gone, problem, minute, quota,
 * quotaPeriod}. linked: owners are links to their pages. */
export function limitBars(items, linked = false, none = "Nothing is limited: there are no limits.") {
  if (!items.length) return h("p", { class: "notice" }, none);
  const left = (window) => (window && Number(window.limit) > 0 ? (Number(window.left) - Number(window.owed)) / Number(window.limit) : 1);
  const tightest = (item) => (item.gone ? 3 : item.shadow ? 2 : 0) + Math.min(left(item.minute), left(item.quota), 1);
  return h("ul", { class: "limits" }, items.toSorted((a, b) => tightest(a) - tightest(b)).map((item) => limitBar(item, linked)));
}

/** Returns the values in a counter's key, by kind: {model: "gpt-4o"}. */
function partsOf(counter) {
  const rest = counter.replace(/^[^/:@]*[/:@]/, "").split("/").slice(1);
  const read = (text) => {
    try {
      return decodeURIComponent(text);
    } catch {
      return text; // not UTF-8, or cut
    }
  };
  return rest.map((part) => part.split("=")).map(([kind, value]) => (value === undefined ? ["", read(kind)] : [read(kind), read(value)]));
}

/** The most counters of one limit that are shown: a limit that counts by address has
 * thousands. */
const maxCounters = 8;

/** Returns the windows of a limit whose counter doesn't exist yet. */
const unusedWindows = (l, unit) => ({
  minute: Number(l.perMinute) ? { limit: l.perMinute, used: 0, held: 0, owed: 0, left: l.perMinute, resetAt: new Date(Math.ceil(Date.now() / MINUTE) * MINUTE).toISOString() } : undefined,
  quota: Number(l.quota) ? { limit: l.quota, used: 0, held: 0, owed: 0, left: l.quota } : undefined,
  quotaPeriod: l.period, unit,
});

/** Returns the items of an owner's limits, with the standings of their counters. of is the
 * subscription that they are shown for, if they are shown for one. */
export function itemsOf(limits, owner, standings, of, more = () => ({})) {
  const items = [];
  for (const l of limits ?? []) {
    const key = l.counterKey || (owner.group ? "{group}" : "{subscription}");
    const own = !owner.group && key.includes("{subscription}");
    const mine = standings.filter((s) => s.limit.toLowerCase() === l.name.toLowerCase() && s.unit === l.unit && !s.gone && (own ? s.subscription && (!of || s.subscription === of.id) : owner.group ? s.group === owner.group : s.tier === owner.tier) &&
      partsOf(s.counter).every(([kind, value]) => !of || (kind === "subscription" ? value === of.id : kind !== "group" || value === (of.group ?? ""))));
    const base = { name: l.name, unit: l.unit, owner, models: l.models, shadow: l.shadow, shared: own || key.includes("{subscription}") ? "" : owner.group ? "Shared by the group" : "Shared by the tier", ...more(l) };
    if (!mine.length) items.push({ ...base, ...unusedWindows(l, l.unit), idle: true });
    const shown = mine.toSorted((a, b) => leastLeft(a) - leastLeft(b)).slice(0, maxCounters);
    for (const s of shown) {
      const whose = !of && s.subscription ? [["subscription", s.subscription]] : [];
      const parts = [...whose, ...partsOf(s.counter)].filter(([kind]) => kind !== "subscription" || !of).map(([kind, value]) => (kind ? `${kind} ${value || "(none)"}` : value)).join(", ");
      items.push({ ...base, parts, minute: s.minute, quota: s.quota, quotaPeriod: s.quotaPeriod, problem: s.problem });
    }
    if (mine.length > shown.length) items.at(-1).parts += `; ${mine.length - shown.length} other counters have more left`;
  }
  return items;
}

/** Returns the share that a counter has left of its minute or of its quota, whichever is less. */
export const leastLeft = (s) => Math.min(...[s.minute, s.quota].filter(Boolean).map((w) => (Number(w.limit) ? Number(w.left) / Number(w.limit) : 1)), 1);
