// Draws charts with uPlot (vendor/). Each has a caption and a table of its values, for users
// who can't see it.
import { h, fill, short, when, full, table } from "./dom.js";
import { addUp, money } from "./amounts.js";

const drawn = new Set();

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** Resolves a colour in the current scheme, because canvas doesn't support light-dark(). */
function resolved(name) {
  const probe = h("span", { class: "hidden" });
  probe.style.color = colour(name);
  document.body.append(probe);
  const value = getComputedStyle(probe).color;
  probe.remove();
  return value;
}

const bars = (width) => window.uPlot.paths.bars({ size: [0.82, width], radius: 0.15 });
const stepped = () => window.uPlot.paths.stepped({ align: 1 });

/** The kinds of series, by name. */
const kinds = {
  total: () => ({ label: "completion", fill: resolved("--completion"), stroke: resolved("--completion"), width: 0, paths: bars(40), points: { show: false } }),
  prompt: () => ({ label: "prompt", fill: resolved("--prompt"), stroke: resolved("--prompt"), width: 0, paths: bars(40), points: { show: false } }),
  limit: () => ({ label: "limit", stroke: resolved("--limit"), width: 2, dash: [6, 5], points: { show: false } }),
  refused: () => ({ label: "refused", fill: resolved("--limit"), stroke: resolved("--limit"), width: 0, paths: bars(40), points: { show: false } }),
  shadowed: () => ({ label: "would have been refused", fill: resolved("--shadowed"), stroke: resolved("--shadowed"), width: 0, paths: bars(40), points: { show: false } }),
  left: () => ({ label: "left", stroke: resolved("--accent"), width: 2, fill: resolved("--track"), paths: stepped(), points: { show: false } }),
};

/** A chart of one or more series over time. */
export class Chart {
  /** series: kinds in drawing order; legend: [class, text] pairs; columns: of the table,
   * [name, cell(point), in words, shown if any point has it]. */
  constructor({ title, series, legend, columns, low = false, empty = "Nothing yet." }) {
    this.series = series;
    this.columns = columns;
    this.plot = h("div", { class: `plot${low ? " low" : ""}`, "aria-hidden": "true" });
    this.caption = h("figcaption");
    this.heading = h("tr");
    this.rows = h("tbody");
    this.empty = h("div", { class: "empty" }, empty);
    this.values = h("details", {}, h("summary", {}, "Show as a table"),
      h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `${title}: values` }, h("table", {}, h("caption", { class: "hidden" }, title),
        h("thead", {}, this.heading), this.rows)));
    this.values.addEventListener("toggle", () => this.tabulate());
    this.element = h("figure", { class: "chart" },
      h("div", { class: "chart-head" }, h("h2", {}, title), h("div", { class: "key", "aria-hidden": "true" }, legend.map(([kind, text]) => h("span", { class: kind }, text)))),
      this.plot, this.caption, this.values);
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.plot);
    drawn.add(this);
  }

  /** Shows points, oldest first: {at: milliseconds, …}. values has the numbers of each series. */
  show(points, values, caption) {
    this.points = points;
    this.data = [points.map((p) => p.at / 1000), ...values];
    this.caption.textContent = caption;
    this.draw();
    this.tabulate();
  }

  draw() {
    if (!this.data || !this.plot.isConnected || !this.plot.clientWidth) return;
    const nothing = this.data.slice(1).every((values) => values.every((v) => !v));
    if (this.made && this.scheme === document.documentElement.dataset.scheme) {
      this.made.setData(this.data);
    } else {
      this.made?.destroy();
      this.scheme = document.documentElement.dataset.scheme;
      this.made = new window.uPlot(this.options(), this.data, this.plot);
    }
    if (nothing) this.plot.append(this.empty);
    else this.empty.remove();
  }

  options() {
    const axis = { stroke: resolved("--soft"), grid: { stroke: resolved("--line"), width: 1 }, ticks: { stroke: resolved("--line"), width: 1 }, font: "12px system-ui, sans-serif" };
    return {
      width: this.plot.clientWidth, height: this.plot.clientHeight,
      tzDate: (seconds) => window.uPlot.tzDate(new Date(seconds * 1000), "Etc/UTC"),
      padding: [8, 8, 0, 0], cursor: { drag: { x: false, y: false }, points: { show: false } }, legend: { show: false },
      scales: { x: { range: (chart, from, to) => { const half = chart.data[0].length > 1 ? (chart.data[0][1] - chart.data[0][0]) / 2 : 30; return [from - half, to + half]; } }, y: { range: (_, low, high) => [Math.min(0, low ?? 0), Math.max(high ?? 0, 1) * 1.08] } },
      axes: [{ ...axis, space: 70, values: [
        [86400, "{D} {MMM}", null, null, null, null, null, null, 1],
        [3600, "{HH}:00", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
        [60, "{HH}:{mm}", "\n{D} {MMM}", null, "\n{D} {MMM}", null, null, null, 1],
        [1, "{HH}:{mm}:{ss}", null, null, null, null, null, null, 1],
      ] }, { ...axis, size: 58, values: (_, ticks) => ticks.map((t) => (Number.isInteger(t) || Math.abs(t) >= 10 ? short(t) : "")) }],
      series: [{}, ...this.series.map((kind) => kinds[kind]())],
    };
  }

  fit() {
    if (this.made) this.made.setSize({ width: this.plot.clientWidth, height: this.plot.clientHeight });
    else this.draw();
  }

  /** Writes the table, newest first, if it is open. */
  tabulate() {
    if (!this.values.open || !this.points) return;
    const columns = this.columns.filter(([, , , any]) => !any || any(this.points));
    fill(this.heading, h("th", { scope: "col" }, "From"), columns.map(([name]) => h("th", { scope: "col", class: "num" }, name)));
    fill(this.rows, this.points.toReversed().map((p) => h("tr", {}, h("td", {}, when(p.at)), columns.map(([, cell, words = full]) => h("td", { class: "num" }, words(cell(p)))))));
  }

  stop() {
    this.resized.disconnect();
    this.made?.destroy();
    drawn.delete(this);
  }
}

/** Redraws all charts in the current colours. */
export function recolour() {
  for (const chart of drawn) chart.draw();
}

/** Reports whether any of the spans cost anything. */
export function costly(spans) {
  return spans.some((span) => Number(span.cost) > 0);
}

const columns = [["Prompt", (p) => p.promptTokens], ["Cached", (p) => p.cachedTokens], ["Completion", (p) => p.completionTokens], ["Reasoning", (p) => p.reasoningTokens], ["Tokens", (p) => p.totalTokens], ["Calls", (p) => p.calls], ["Refused", (p) => p.refused], ["Cost", (p) => p.cost, money, costly]];

/** Draws tokens by minute, hour or day, with the limit if there is one. */
export function tokensChart(title) {
  const chart = new Chart({ title, series: ["total", "prompt", "limit"], legend: [["prompt", "Prompt"], ["completion", "Completion"], ["limit line", "Limit"]], columns, empty: "No tokens were used in this time." });
  return Object.assign(chart, {
    tokens(points, limit, caption) {
      chart.element.querySelector(".key .limit").hidden = !limit;
      chart.show(points, [points.map((p) => p.totalTokens), points.map((p) => p.promptTokens), points.map(() => limit || null)], caption);
    },
  });
}

/** Draws refused calls and, on top of them, calls that a limit in shadow would have refused. */
export function refusalsChart(title) {
  const chart = new Chart({ title, series: ["shadowed", "refused"], legend: [["refused", "Refused"], ["shadowed", "Would have been refused"]], columns: [["Refused", (p) => p.refused], ["Would have been refused", (p) => p.shadowed]], low: true, empty: "No call was refused in this time." });
  return Object.assign(chart, {
    refusals(points) {
      const refused = sum(points, "refused"), shadowed = sum(points, "shadowed");
      chart.element.querySelector(".key .shadowed").hidden = !shadowed;
      const words = [refused ? `${full(refused)} calls were refused by a limit${byLimit(points)}.` : "No call was refused.", shadowed ? `${full(shadowed)} calls would have been refused, were their limits not in shadow.` : "", "Times are UTC."];
      chart.show(points, [points.map((p) => p.refused + p.shadowed), points.map((p) => p.refused)], words.filter(Boolean).join(" "));
    },
  });
}

/** Names the limits that refused, with the number of calls of each: ": 3 by tokens". */
function byLimit(points) {
  const limits = new Map();
  for (const p of points) for (const [name, calls] of Object.entries(p.refusedBy)) limits.set(name, (limits.get(name) ?? 0) + calls);
  const named = [...limits].sort((a, b) => b[1] - a[1]).map(([name, calls]) => `${full(calls)} by ${name}`);
  return named.length ? `: ${named.join(", ")}` : "";
}

/** Draws what is left of a quota. */
export function burndownChart(title) {
  const chart = new Chart({ title, series: ["left"], legend: [["left", "Quota left"]], columns: [["Left", (p) => p.left]], low: true, empty: "Nothing is left." });
  return Object.assign(chart, { burndown: (points, caption) => chart.show(points, [points.map((p) => p.left)], caption) });
}

const counts = ["promptTokens", "cachedTokens", "completionTokens", "reasoningTokens", "totalTokens", "calls", "refused", "shadowed", "unpriced"];

const sum = (spans, name) => spans.reduce((total, span) => total + span[name], 0);

const nothing = () => ({ ...Object.fromEntries(counts.map((name) => [name, 0])), cost: "0" });

/** Adds a span to a sum. */
function add(total, span) {
  for (const name of counts) total[name] += span[name];
  if (Number(span.cost)) total.cost = addUp([total.cost, span.cost]);
}

/** Returns the sums of spans in consecutive buckets. length and times are in milliseconds. */
export function buckets(spans, from, to, length) {
  const all = [];
  const byTime = new Map();
  for (let at = Math.floor(from / length) * length; at < to; at += length) {
    const bucket = { at, refusedBy: {}, ...nothing() };
    all.push(bucket);
    byTime.set(at, bucket);
  }
  for (const span of spans) {
    const bucket = byTime.get(Math.floor(new Date(span.from ?? span.minute).getTime() / length) * length);
    if (!bucket) continue;
    add(bucket, span);
    for (const [name, calls] of Object.entries(span.refusedBy ?? {})) bucket.refusedBy[name] = (bucket.refusedBy[name] ?? 0) + calls;
  }
  return all;
}

/** Returns the sums of spans by model, most tokens first. */
export function byModel(spans) {
  const models = new Map();
  for (const span of spans) {
    const model = models.get(span.model) ?? { model: span.model, ...nothing() };
    add(model, span);
    models.set(span.model, model);
  }
  return [...models.values()].sort((a, b) => b.totalTokens - a.totalTokens);
}

/** Returns a table of the usage of each model and the total. */
export function modelTable() {
  const body = h("div");
  return Object.assign(h("details", {}, h("summary", {}, "By model"), body), {
    set(models) {
      const total = { model: "Total", ...nothing() };
      for (const model of models) add(total, model);
      const rows = models.length > 1 ? [...models, total] : models;
      fill(body, rows.length === 0 ? h("p", { class: "hint" }, "No calls in this time.") : table("By model", [
        { name: "Model", class: "name", cell: (m) => m.model || "(none)" },
        ...[["Prompt", "promptTokens"], ["Cached", "cachedTokens"], ["Completion", "completionTokens"], ["Reasoning", "reasoningTokens"], ["Tokens", "totalTokens"], ["Calls", "calls"], ["Refused", "refused"]].map(([name, count]) => ({ name, class: "num", cell: (m) => short(m[count]) })),
        ...(costly(models) ? [{ name: "Cost", class: "num", cell: (m) => (m.unpriced ? `${money(m.cost)}, without ${short(m.unpriced)} calls` : money(m.cost)) }] : []),
      ], rows));
    },
  });
}

/** Returns the caption of a chart of tokens. */
export function inWords(points, unit) {
  const total = sum(points, "totalTokens");
  const peak = points.reduce((best, p) => (p.totalTokens > best.totalTokens ? p : best), points[0]);
  if (!total) return "No tokens in this time. Times are UTC.";
  const article = unit === "hour" ? "an" : "a";
  return `${short(total)} tokens in total${cost(points)}; most in ${article} ${unit}: ${short(peak.totalTokens)} at ${when(peak.at)}.`;
}

/** Returns what spans cost, in words, with the number of calls that the cost leaves out; empty
 * if they cost nothing. */
function cost(spans) {
  const unpriced = sum(spans, "unpriced");
  if (!costly(spans)) return "";
  return `, for ${money(addUp(spans.map((span) => span.cost)))}${unpriced ? ` without ${full(unpriced)} calls that had no price` : ""}`;
}
