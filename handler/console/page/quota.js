// Computes what is left of a quota, and how long it lasts.
import { short, when } from "./dom.js";

const MINUTE = 60_000, HOUR = 60 * MINUTE, DAY = 24 * HOUR;

/** The time over which the recent pace is measured, in milliseconds. */
export const RECENT = 15 * MINUTE;

const time = (text) => new Date(text).getTime();

/** Says how long a quota lasts at the faster of two paces: the period's, and that of the last
 * 15 minutes. recent is the number of tokens used in those; undefined if it is unknown. */
export function forecast(quota, recent, now = Date.now()) {
  const resets = time(quota.resetAt), started = time(quota.startedAt);
  if (quota.left <= 0) return quota.held > 0 ? `Gateways hold the last ${short(quota.held)} tokens; the quota resets ${when(resets)}.` : `Used up until ${when(resets)}.`;
  const paces = [["this period's pace", quota.used / Math.max(now - started, MINUTE)], ["the pace of the last 15 minutes", (recent ?? 0) / RECENT]];
  const [name, pace] = paces.reduce((a, b) => (b[1] > a[1] ? b : a));
  if (!pace) return `${short(quota.left)} tokens left until ${when(resets)}.`;
  const end = now + quota.left / pace;
  return end >= resets ? `At ${name} it lasts until it resets, ${when(resets)}.` : `At ${name} it is used up by ${when(end)}, before it resets ${when(resets)}.`;
}

/** Returns the tokens that were used in the last 15 minutes. */
export const recentTokens = (minutes, now = Date.now()) =>
  minutes.reduce((sum, m) => sum + (time(m.minute ?? m.from) > now - RECENT ? m.totalTokens : 0), 0);

/** Returns when a curve of what is left begins: with the range, or at the last reset. */
export const begins = (quota, from) => Math.max(from, time(quota.startedAt));

/** Returns the length of the steps of a curve that begins at a time. */
export const step = (begin, now = Date.now()) => (now - begin <= 3 * HOUR ? MINUTE : now - begin <= DAY ? 15 * MINUTE : now - begin <= 7 * DAY ? HOUR : DAY);

/** Returns what was left at the beginning of each step and is left now. It is computed backwards
 * from now. spans hold the usage since the period began. */
export function leftOver(spans, quota, begin, length, now = Date.now()) {
  const used = new Map();
  for (const span of spans) {
    const at = Math.max(begin, Math.floor(time(span.minute ?? span.from) / length) * length);
    used.set(at, (used.get(at) ?? 0) + span.totalTokens);
  }
  const points = [{ at: now, left: quota.left }];
  let left = quota.left;
  for (let at = Math.floor(now / length) * length; at + length > begin; at -= length) {
    const from = Math.max(begin, at);
    left += used.get(from) ?? 0;
    points.push({ at: from, left: Math.min(quota.limit, left) });
  }
  return points.reverse();
}
