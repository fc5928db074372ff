// Formats amounts of the units that limits count. Money is a decimal in a string. It is added
// up in whole billionths, and never becomes a floating-point number.
import { short, full } from "./dom.js";

const NANO = 1_000_000_000n;

/** The units of limits, in words. Money has its currency instead. */
export const units = { tokens: "tokens", "prompt-tokens": "prompt tokens", "completion-tokens": "completion tokens", calls: "calls", cost: "" };

let code = "";

/** Sets the currency of all amounts of money; empty: none is set. */
export function useCurrency(currency) {
  code = currency ?? "";
}

/** Returns the currency of all amounts of money; empty: none is set. */
export const currency = () => code;

/** Returns a decimal in billionths. */
export function nano(decimal) {
  const [, sign, whole, part = ""] = /^(-?)(\d+)(?:\.(\d{1,9}))?$/.exec(decimal ?? "0") ?? [null, "", "0"];
  const n = BigInt(whole) * NANO + BigInt(part.padEnd(9, "0"));
  return sign ? -n : n;
}

/** Returns billionths as a decimal. */
export function decimal(n) {
  const size = n < 0n ? -n : n;
  const part = String(size % NANO).padStart(9, "0").replace(/0+$/, "");
  return `${n < 0n ? "-" : ""}${size / NANO}${part ? `.${part}` : ""}`;
}

/** Adds up decimals. */
export const addUp = (decimals) => decimal(decimals.reduce((total, d) => total + nano(d), 0n));

/** Shortens money to two decimals or, below 1, to its first three digits other than leading
 * zeros. It truncates, so that a limit never looks reached before it is. */
function digits(text) {
  const [, sign, whole, part = ""] = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text) ?? [null, "", text];
  if (whole.length > 4) return `${sign}${short(Number(whole))}`;
  const kept = whole === "0" ? (/^0*[0-9]{0,3}/.exec(part) ?? [""])[0].replace(/0+$/, "") : part.slice(0, 2);
  return `${sign}${full(Number(whole))}.${kept.padEnd(2, "0")}`;
}

const withCurrency = (text) => (code ? `${text} ${code}` : text);

/** Formats money in a short form: 12.50 USD. */
export const money = (text) => withCurrency(digits(text));

/** Formats money in full. */
export function moneyInFull(text) {
  const [whole, part = ""] = text.split(".");
  return withCurrency(`${full(Number(whole))}.${part.padEnd(2, "0")}`);
}

const nounOf = (n, unit) => (n === 1 ? (units[unit] ?? unit).replace(/s$/, "") : (units[unit] ?? unit));

/** Formats an amount in a short form, without its unit. */
export const shortNumber = (value, unit) => (unit === "cost" ? digits(String(value)) : short(value));

/** Formats an amount in full, with its unit. */
export const amount = (value, unit) => (unit === "cost" ? moneyInFull(String(value)) : `${full(value)} ${nounOf(value, unit)}`);

/** Formats an amount in a short form, with its unit. */
export const shortAmount = (value, unit) => (unit === "cost" ? money(String(value)) : `${short(value)} ${nounOf(value, unit)}`);

/** Returns a unit in words. */
export const unitWords = (unit) => (unit === "cost" ? `cost${code ? ` in ${code}` : ""}` : (units[unit] ?? unit));

const per = { Hourly: "an hour", Daily: "a day", Weekly: "a week", Monthly: "a month", Yearly: "a year" };

/** Describes what a limit allows: "2,000 tokens a minute and 500,000 a day". */
export function describeLimit(l) {
  const words = [];
  if (Number(l.perMinute)) words.push(`${amount(l.perMinute, l.unit)} a minute${Number(l.burst) ? ` (burst ${amount(l.burst, l.unit)})` : ""}`);
  if (Number(l.quota)) words.push(`${amount(l.quota, l.unit)} ${per[l.period] ?? l.period ?? ""}`.trim());
  return words.join(" and ") || "no amount";
}

/** Describes each limit, with its name. */
export const limitLines = (limits) => (limits?.length ? limits.map((l) => `${l.name}: ${describeLimit(l)}${l.shadow ? ", in shadow" : ""}`) : ["no limits"]);

/** Describes limits in one line. */
export const describeLimits = (limits) => limitLines(limits).join("; ");
