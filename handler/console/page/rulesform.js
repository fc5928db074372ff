// The forms of a tier's rules other than limits, and of a subscription's overrides.
import { h, fill } from "./dom.js";
import { describeLimit } from "./amounts.js";
import { field, choice, box } from "./fields.js";
import { LimitValues, whole, models } from "./limitform.js";

const reserves = [["none", "one token; the call is charged afterwards"], ["prompt", "the prompt; the answer is charged afterwards"], ["full", "prompt and answer: the limit can't be exceeded"]];
const storeDown = [["degrade", "each gateway goes on with its share"], ["closed", "refuse with 503"], ["open", "let everything pass"]];
const stored = [["refuse", "refuse calls that name conversations, files and the like"], ["allow", "allow them: callers share what the endpoints keep"]];

/** The form of rules other than limits. of: the tier, if the rules override its own. */
export class RulesForm {
  constructor(fields, rules, of) {
    const unset = (name) => (of ? `same as the tier: ${of[name] ?? "the default"}` : "the default");
    const pick = (name, choices) => fields.add(name, choice("", [["", unset(name)], ...choices.map(([value, text]) => [value, `${value}: ${text}`])], rules[name] ?? ""));
    const text = (name, shown, none, more = {}) => fields.add(name, box("", shown, of ? { ...more, placeholder: String(of[name] ?? none) } : more));
    this.controls = {
      reserve: pick("reserve", reserves), onStoreDown: pick("onStoreDown", storeDown), storedContent: pick("storedContent", stored),
      shadow: fields.add("shadow", choice("", [["", of ? `same as the tier: ${of.shadow ? "yes" : "no"}` : "no"], ["true", "yes: no limit ever refuses"], ...(of ? [["false", "no"]] : [])], rules.shadow === undefined ? "" : String(rules.shadow))),
      maxCompletionTokens: text("maxCompletionTokens", rules.maxCompletionTokens, "none", { inputMode: "numeric" }),
      maxConcurrent: text("maxConcurrent", rules.maxConcurrent, "100", { inputMode: "numeric" }),
      maxWait: text("maxWait", rules.maxWait, "0s"),
      models: fields.add("models", box("", rules.models?.join(", "), of ? { placeholder: of.models?.join(", ") || "all" } : {})),
    };
    const c = this.controls, same = of ? "Empty: same as the tier." : "";
    this.given = Object.keys(rules).some((name) => name in c);
    this.element = h("div", { class: "grid" }, field("Reserve", c.reserve), field("All limits in shadow", c.shadow), field("Max completion tokens", c.maxCompletionTokens, same || "The cap for calls that set none. Empty: no cap."),
      field("Max wait", c.maxWait, same || "How long a call may queue, such as 2s. Empty: not at all."), field("Max concurrent calls", c.maxConcurrent, same || "On one gateway. Empty: 100. 0: any number."),
      field("Models", c.models, same || "Those that calls may name, separated by commas. Empty: all."), field("While counters can't be reached", c.onStoreDown), field("Stored content", c.storedContent));
  }

  /** Returns the values typed; null for empty controls. */
  read() {
    const c = this.controls;
    return {
      reserve: c.reserve.value || null, onStoreDown: c.onStoreDown.value || null, storedContent: c.storedContent.value || null, shadow: c.shadow.value === "" ? null : c.shadow.value === "true",
      maxCompletionTokens: whole(c.maxCompletionTokens.value) ?? null, maxConcurrent: whole(c.maxConcurrent.value) ?? null, maxWait: c.maxWait.value.trim() || null, models: models(c.models.value) ?? null,
    };
  }
}

/** Formats a time as a control for times takes it, in UTC. */
const inputTime = (time) => (time ? new Date(time).toISOString().slice(0, 16) : "");

/** The form of an override of one limit. */
class OverrideForm {
  constructor(fields, name, limit, override) {
    const path = () => `limits.${name}`;
    Object.assign(this, { name, unit: limit?.unit });
    this.values = new LimitValues(fields, path, override, limit ?? {}, "With {subscription}, where the tier's has none.");
    this.until = fields.add(() => `${path()}.until`, h("input", { type: "datetime-local", value: inputTime(override.until) }));
    this.shadow = fields.add(() => `${path()}.shadow`, choice("", [["", `same as the tier's: ${limit?.shadow ? "yes" : "no"}`], ["true", "yes: never refuses"], ["false", "no"]], override.shadow === undefined ? "" : String(override.shadow)));
    const given = Object.keys(override).length > 1;
    this.element = h("details", { class: "more", open: given }, h("summary", {}, `${name}: ${limit ? describeLimit(limit) : "the tier has no limit of this name"}${given ? ", overridden" : ""}`),
      h("div", { class: "content" }, this.values.main, h("div", { class: "grid" }, field("Until (UTC)", this.until, "When the override ends by itself. Empty: never."), field("In shadow", this.shadow)), this.values.more));
    this.element.dataset.name = `The limit ${name}`;
    fields.add(path, this.element);
    this.before = override.until;
  }

  /** Returns the override, or undefined if nothing is overridden. */
  read() {
    const values = this.values.read(this.unit);
    if (this.shadow.value) values.shadow = this.shadow.value === "true";
    const typed = this.until.value;
    if (typed) values.until = this.before && inputTime(this.before) === typed ? this.before : `${typed}:00Z`;
    return Object.values(values).some((value) => value !== undefined) ? { name: this.name, ...values } : undefined;
  }
}

/** The form of a subscription's overrides. */
export class OverridesForm {
  constructor(fields, overrides = {}) {
    this.fields = fields;
    this.overrides = overrides;
    this.element = fields.add("limits", h("section", { class: "content", "aria-label": "Overrides", tabIndex: -1 }));
    this.element.dataset.name = "The list";
  }

  /** Shows the limits and rules of a tier, with what was entered so far. */
  show(tier) {
    if (this.limits) this.overrides = this.entered();
    const { limits = [], ...rules } = this.overrides, of = tier?.limits ?? [];
    const names = [...of.map((l) => l.name), ...limits.map((o) => o.name).filter((name) => !of.some((l) => l.name.toLowerCase() === name.toLowerCase()))];
    const same = (name) => (l) => l.name.toLowerCase() === name.toLowerCase();
    this.limits = names.map((name) => new OverrideForm(this.fields, name, of.find(same(name)), limits.find(same(name)) ?? { name }));
    this.rules = new RulesForm(this.fields, rules, tier ?? {});
    fill(this.element, h("h3", {}, "Overrides of the tier's limits and rules"), names.length ? null : h("p", { class: "hint" }, "The tier has no limits."), this.limits.map((l) => l.element),
      h("details", { class: "more", open: this.rules.given }, h("summary", {}, "Rules"), this.rules.element));
  }

  entered() {
    const rules = Object.fromEntries(Object.entries(this.rules.read()).filter(([, value]) => value !== null));
    return { ...rules, limits: this.limits.map((l) => l.read()).filter(Boolean) };
  }

  /** Returns the merge patch of the overrides. */
  read() {
    const limits = this.limits.map((l) => l.read()).filter(Boolean), rules = this.rules.read();
    return limits.length || Object.values(rules).some((value) => value !== null) ? { ...rules, limits } : null;
  }
}
