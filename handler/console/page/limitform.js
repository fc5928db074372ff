// The form of the limits of a tier or group.
import { h, announce } from "./dom.js";
import { units, describeLimit } from "./amounts.js";
import { field, choice, box } from "./fields.js";

/** The periods of quotas. */
export const periods = [["", "none"], ["Hourly", "hour"], ["Daily", "day"], ["Weekly", "week, from Monday"], ["Monthly", "month"], ["Yearly", "year"]];

const unitChoices = Object.entries(units).map(([unit, words]) => [unit, words || "cost, in money"]);

/** The most limits of a tier or group. */
const maxLimits = 8;

const kinds = [["prompt", "Prompt"], ["cached", "Cached"], ["cacheWrite", "Cache write"], ["completion", "Completion"], ["reasoning", "Reasoning"]];

const list = (text) => text.split(/[\n,]/).map((part) => part.trim()).filter(Boolean);

/** Returns the JSON of a number that was typed; undefined: nothing was typed. What isn't a whole
 * number stays text, so that the gateway refuses it and says why. */
export function whole(text) {
  const typed = text.trim();
  return typed === "" ? undefined : /^-?\d{1,18}$/.test(typed) ? Number(typed) : typed;
}

/** Returns the JSON of an amount of a unit that was typed. */
export const typedAmount = (text, unit) => (unit === "cost" ? text.trim() || undefined : whole(text));

/** Returns the JSON of a list of percents that was typed. */
const percents = (text) => {
  const all = list(text).map((part) => whole(part.replace(/\s*%$/, "")));
  return all.length ? all : undefined;
};

/** Returns the JSON of a list of models that was typed. */
export const models = (text) => {
  const all = list(text);
  return all.length ? all : undefined;
};

/** The controls of a limit's values, for the limit itself or for an override of it. of: the
 * limit that an override changes, whose values are shown where the override has none. */
export class LimitValues {
  constructor(fields, path, values, of, keyHint) {
    const add = (name, control) => fields.add(() => `${path()}.${name}`, control);
    const amounts = { inputMode: "decimal" }, inherited = (name, none) => ({ placeholder: of ? String(of[name] ?? none) : "" });
    this.inherits = Boolean(of);
    this.perMinute = add("perMinute", box("", values.perMinute, { ...amounts, ...inherited("perMinute", "none") }));
    this.burst = add("burst", box("", values.burst, { ...amounts, ...inherited("burst", "none") }));
    this.quota = add("quota", box("", values.quota, { ...amounts, ...inherited("quota", "none") }));
    this.period = add("period", choice("", of ? [["", "same as the tier's"], ...periods.slice(1)] : periods, values.period ?? ""));
    this.counterKey = add("counterKey", box("", values.counterKey, of ? inherited("counterKey", "{subscription}") : {}));
    this.models = add("models", box("", values.models?.join(", "), of ? { placeholder: of.models?.join(", ") || "all" } : {}));
    this.alertAt = add("alertAt", box("", values.alertAt?.join(", "), of ? { placeholder: of.alertAt?.join(", ") || "none" } : {}));
    this.main = h("div", { class: "grid" }, field("Per minute", this.perMinute, of ? "Empty: same as the tier's. 0: no limit." : "Empty: no limit a minute."), field("Burst", this.burst, "Unused amount that later minutes may use."),
      field("Quota", this.quota, of ? "Empty: same as the tier's. 0: none." : "Empty: no quota."), field("Period", this.period));
    this.more = h("div", { class: "grid" }, field("Counter key", this.counterKey, keyHint), field("Models", this.models, "Names, with commas. Empty: all."), field("Alert at", this.alertAt, "Percentages of the quota, such as 50, 80, 95."));
  }

  /** Returns the values typed; undefined for empty controls. */
  read(unit) {
    return {
      perMinute: typedAmount(this.perMinute.value, unit), burst: typedAmount(this.burst.value, unit), quota: typedAmount(this.quota.value, unit), period: this.period.value || undefined,
      counterKey: this.counterKey.value.trim() || undefined, models: models(this.models.value), alertAt: percents(this.alertAt.value),
    };
  }
}

/** The form of one limit. */
class LimitForm {
  constructor(fields, limit, owner) {
    const path = () => `limits.${this.name.value.trim() || "(no name)"}`, add = (name, control) => fields.add(() => `${path()}.${name}`, control);
    this.name = add("name", box("", limit.name, { maxLength: 64 }));
    this.unit = add("unit", choice("", unitChoices, limit.unit));
    this.values = new LimitValues(fields, path, limit, undefined, `What is counted together: ${owner === "group" ? "{group} unless you set another. " : "{subscription} unless you set another. "}Join {subscription}, {group}, {client-ip}, {model}, {header:NAME}.`);
    this.shadow = h("input", { type: "checkbox", checked: Boolean(limit.shadow) });
    this.weights = Object.fromEntries(kinds.map(([kind]) => [kind, add(`weights.${kind}`, box("", limit.weights?.[kind], { inputMode: "numeric" }))]));
    const weights = add("weights", h("fieldset", { class: "weights" }, h("legend", {}, "Weights, in thousandths"), h("p", { class: "hint" }, "1000 counts a token as one. Empty: cached, cache write as the prompt; reasoning as the completion; those as 1000."),
      h("div", { class: "grid" }, kinds.map(([kind, text]) => field(text, this.weights[kind])))));
    weights.dataset.name = "Weights";
    const more = h("details", { class: "more", open: Boolean(limit.counterKey || limit.models || limit.alertAt || limit.weights || limit.shadow) }, h("summary", {}, "More: shadow, counter key, models, alerts, weights"),
      h("div", { class: "content" }, h("label", { class: "check" }, this.shadow, "In shadow: decide and report, never refuse"), this.values.more, weights));
    this.legend = h("legend", {});
    this.notice = h("p", { class: "hint" }, describeLimit(limit));
    this.inputs = h("div", { class: "content" }, h("div", { class: "grid" }, field("Name", this.name, "In refusals, metrics and usage."), field("Counts", this.unit)), this.values.main, more);
    this.drop = h("button", { type: "button", class: "quiet small", onclick: () => this.remove(!this.removed) });
    this.element = h("fieldset", { class: "limit-form", oninput: () => this.updateTitle() }, this.legend, this.inputs, this.notice, this.drop);
    fields.add(path, this.element);
    const updateWeights = () => { weights.hidden = this.unit.value !== "tokens"; };
    this.unit.addEventListener("input", updateWeights);
    updateWeights();
    this.remove(false, true);
  }

  updateTitle() {
    const name = this.name.value.trim() || "New limit";
    this.legend.textContent = name;
    this.element.dataset.name = `Limit ${name}`;
    this.drop.textContent = this.removed ? "Keep" : "Remove";
    this.drop.setAttribute("aria-label", `${this.removed ? "Keep" : "Remove"} the limit ${name}`);
  }

  /** Marks the limit to be removed when the form is saved, or to be kept. What was entered stays
   * in the form. */
  remove(removed, quiet = false) {
    this.removed = removed;
    this.inputs.hidden = removed;
    this.notice.hidden = !removed;
    this.notice.textContent = "Will be removed.";
    this.updateTitle();
    if (!quiet) announce(`The limit ${this.legend.textContent} ${removed ? "will be removed" : "will be kept"}.`);
  }

  read() {
    const unit = this.unit.value, weights = {};
    for (const [kind, control] of Object.entries(this.weights)) if (unit === "tokens" && control.value.trim()) weights[kind] = whole(control.value);
    return { name: this.name.value.trim(), unit, ...this.values.read(unit), shadow: this.shadow.checked || undefined, weights: Object.keys(weights).length ? weights : undefined };
  }
}

/** The form of all limits of a tier or group. */
export class LimitsForm {
  constructor(fields, limits, owner) {
    this.fields = fields;
    this.owner = owner;
    this.forms = [];
    this.list = h("div", { class: "content" });
    this.none = h("p", { class: "hint" }, "There are no limits: nothing is limited.");
    this.adder = h("button", { type: "button", class: "quiet", onclick: () => this.add({ name: "", unit: "tokens" }, true) }, "Add a limit");
    this.element = fields.add("limits", h("section", { class: "content", "aria-label": "Limits", tabIndex: -1 }, h("div", { class: "head" }, h("h3", {}, "Limits"), this.adder), h("p", { class: "hint" }, "All must have room for a call to pass."), this.none, this.list));
    this.element.dataset.name = "The list";
    for (const limit of limits ?? []) this.add(limit, false);
    this.updateCount();
  }

  add(limit, isNew) {
    const made = new LimitForm(this.fields, limit, this.owner);
    this.forms.push(made);
    this.list.append(made.element);
    this.updateCount();
    if (isNew) made.name.focus();
  }

  updateCount() {
    this.none.hidden = this.forms.length > 0;
    this.adder.disabled = this.forms.length >= 2 * maxLimits; // removed ones count here; the gateway checks the number of the others
  }

  read() {
    return this.forms.filter((f) => !f.removed).map((f) => f.read());
  }
}
