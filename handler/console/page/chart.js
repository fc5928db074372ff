// Charts, drawn by uPlot (vendor/). Each has a caption and a table of its values, for
// users who can't see it.
import { h, fill, short, when, full } from "./dom.js";

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

/** Kinds of series, by what they show. */
const kinds = {
  total: () => ({ label: "completion", fill: resolved("--completion"), stroke: resolved("--completion"), width: 0, paths: bars(40), points: { show: false } }),
  prompt: () => ({ label: "prompt", fill: resolved("--prompt"), stroke: resolved("--prompt"), width: 0, paths: bars(40), points: { show: false } }),
  limit: () => ({ label: "limit", stroke: resolved("--limit"), width: 2, dash: [6, 5], points: { show: false } }),
  refused: () => ({ label: "refused", fill: resolved("--limit"), stroke: resolved("--limit"), width: 0, paths: bars(40), points: { show: false } }),
  left: () => ({ label: "left", stroke: resolved("--accent"), width: 2, fill: resolved("--track"), paths: stepped(), points: { show: false } }),
};

/** A chart of one or more series over time. */
export class Chart {
  /** series: kinds in drawing order; legend: [class, text] pairs; columns: of the table, [name, cell(point)]. */
  constructor({ title, series, legend, columns, low = false, empty = "Nothing yet." }) {
    this.series = series;
    this.columns = columns;
    this.plot = h("div", { class: `plot${low ? " low" : ""}`, "aria-hidden": "true" });
    this.caption = h("figcaption");
    this.rows = h("tbody");
    this.empty = h("div", { class: "empty" }, empty);
    this.values = h("details", {}, h("summary", {}, "Show as a table"),
      h("div", { class: "scroll", tabIndex: 0, role: "region", "aria-label": `${title}: values` }, h("table", {}, h("caption", { class: "hidden" }, title),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "From"), columns.map(([name]) => h("th", { scope: "col", class: "num" }, name)))), this.rows)));
    this.values.addEventListener("toggle", () => this.tabulate());
    this.element = h("figure", { class: "chart" },
      h("div", { class: "chart-head" }, h("h2", {}, title), h("div", { class: "key", "aria-hidden": "true" }, legend.map(([kind, text]) => h("span", { class: kind }, text)))),
      this.plot, this.caption, this.values);
    this.resized = new ResizeObserver(() => this.fit());
    this.resized.observe(this.plot);
    drawn.add(this);
  }

  /** Shows points, oldest first: {at: milliseconds, …}; values are the series' numbers. */
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
    fill(this.rows, this.points.toReversed().map((p) => h("tr", {}, h("td", {}, when(p.at)), this.columns.map(([, cell]) => h("td", { class: "num" }, full(cell(p)))))));
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

const columns = [["Prompt", (p) => p.promptTokens], ["Completion", (p) => p.completionTokens], ["Tokens", (p) => p.promptTokens + p.completionTokens], ["Calls", (p) => p.requests], ["Refused", (p) => p.refused]];

/** A chart of tokens by minute, hour or day, with the limit if there is one. */
export function tokensChart(title) {
  const chart = new Chart({ title, series: ["total", "prompt", "limit"], legend: [["prompt", "Prompt"], ["completion", "Completion"], ["limit line", "Limit"]], columns, empty: "No tokens were used in this time." });
  return Object.assign(chart, {
    tokens(points, limit, caption) {
      chart.element.querySelector(".key .limit").hidden = !limit;
      chart.show(points, [points.map((p) => p.promptTokens + p.completionTokens), points.map((p) => p.promptTokens), points.map(() => limit || null)], caption);
    },
  });
}

/** A chart of refused calls. */
export function refusalsChart(title) {
  const chart = new Chart({ title, series: ["refused"], legend: [["refused", "Refused calls"]], columns: [["Refused", (p) => p.refused]], low: true, empty: "No call was refused in this time." });
  return Object.assign(chart, { refusals: (points, caption) => chart.show(points, [points.map((p) => p.refused)], caption) });
}

/** A chart of what is left of a quota. */
export function burndownChart(title) {
  const chart = new Chart({ title, series: ["left"], legend: [["left", "Quota left"]], columns: [["Left", (p) => p.left]], low: true, empty: "Nothing is left." });
  return Object.assign(chart, { burndown: (points, caption) => chart.show(points, [points.map((p) => p.left)], caption) });
}

/** Sums spans in consecutive buckets. length and times are in milliseconds. */
export function buckets(spans, from, to, length) {
  const all = [];
  const byTime = new Map();
  for (let at = Math.floor(from / length) * length; at < to; at += length) {
    const bucket = { at, promptTokens: 0, completionTokens: 0, requests: 0, refused: 0 };
    all.push(bucket);
    byTime.set(at, bucket);
  }
  for (const span of spans) {
    const bucket = byTime.get(Math.floor(new Date(span.from ?? span.minute).getTime() / length) * length);
    if (!bucket) continue;
    for (const name of ["promptTokens", "completionTokens", "requests", "refused"]) bucket[name] += span[name] ?? 0;
  }
  return all;
}

/** A caption for a chart of tokens. */
export function inWords(points, unit) {
  const total = points.reduce((sum, p) => sum + p.promptTokens + p.completionTokens, 0);
  const peak = points.reduce((best, p) => (p.promptTokens + p.completionTokens > best.promptTokens + best.completionTokens ? p : best), points[0]);
  if (!total) return "No tokens in this time. Times are UTC.";
  return `${short(total)} tokens in all; most in a ${unit}: ${short(peak.promptTokens + peak.completionTokens)} at ${when(peak.at)}.`;
}
