// Dialogs that edit tiers, groups, subscriptions and prices. Each change carries the version
// that it is based on. If another change came first, the dialog shows it, and the operator
// chooses between the two: nothing entered is lost.
import { h } from "./dom.js";
import { ifMatch } from "./api.js";
import { describeLimits } from "./amounts.js";
import { form } from "./dialogs.js";
import { field, choice, check, box, Fields } from "./fields.js";
import { LimitsForm } from "./limitform.js";
import { RulesForm, OverridesForm } from "./rulesform.js";

const idHint = "1 to 63 of a-z, 0-9, '.', '_' and '-'. It can't be changed later.";

/** The field under which a form returns what another operator stored, if the operator chose to
 * edit that. */
const theirs = Symbol("theirs");

/** Returns a form's conflict, which shows what is stored when another change came first. read
 * returns what is stored now, describe returns that in words, and rebase(current) bases the
 * form's change on it. */
export function conflictWith(read, describe, rebase) {
  return async (error, finish, again) => {
    const current = await read();
    return [h("p", {}, "Somebody else changed it in the meantime, so your change wasn't saved. Stored now:"), h("p", { class: "notice small" }, describe(current)),
      h("div", { class: "ends" }, h("button", { type: "button", class: "quiet small", onclick: () => finish({ [theirs]: current }) }, "Discard mine, edit theirs"),
        h("button", { type: "button", class: "danger small", onclick: () => { rebase(current); again(); } }, "Overwrite it with mine"))];
  };
}

/** Returns the id that was typed in a control. */
function typedId(control) {
  const id = control.value.trim();
  if (!id) throw Object.assign(new Error("The id is missing."), { errors: [{ field: "id", problem: "is missing", fix: "enter one" }] });
  return id;
}

const created = { "If-None-Match": "*" };

/** Opens a dialog to edit what read returns or, without read, something new. It opens the
 * dialog again each time the operator chooses to edit another operator's change instead. */
async function edit(open, read) {
  for (let current = await read?.(); ;) {
    const done = await open(current);
    if (!done?.[theirs]) return done;
    current = done[theirs];
  }
}

/** Creates a tier, or changes its limits and rules. */
export async function editTier(operator, tier) {
  const done = await edit((of) => {
    const fields = new Fields(), id = fields.add("id", box("id")), limits = new LimitsForm(fields, of?.limits, "tier"), rules = new RulesForm(fields, of ?? {});
    return form({
      title: of ? `Tier ${of.id}` : "New tier", confirm: of ? "Save" : "Create", wide: true, keep: true, fields,
      body: [of ? h("p", { class: "hint" }, "Changes take effect within a minute for every subscription of the tier, except where it overrides them. What was used stays counted.") : field("Id", id, idHint),
        limits.element, h("details", { class: "more", open: rules.given && Boolean(of) }, h("summary", {}, "Rules: reserve, waiting, models and more"), rules.element)],
      conflict: of && conflictWith(() => operator.get(operator.tier(of.id)), (t) => describeLimits(t.limits), (t) => { of = { ...of, version: t.version }; }),
      send: () => operator.ask("PATCH", operator.tier(of?.id ?? typedId(id)), { ...rules.read(), limits: limits.read() }, of ? ifMatch(of) : created),
    });
  }, tier && (() => operator.get(operator.tier(tier.id))));
  return done && `The tier ${done.body.id} was ${tier ? "changed" : "created"}.`;
}

const none = [["", "none"]];

/** Creates a group, or changes it. groups are all groups; parent is the initial choice. */
export async function editGroup(operator, group, groups, parent = "") {
  const done = await edit((of) => {
    const fields = new Fields(), id = fields.add("id", box("id")), name = fields.add("name", box("name", of?.name)), limits = new LimitsForm(fields, of?.limits, "group");
    const above = fields.add("parent", choice("parent", [...none, ...groups.filter((g) => g.id !== of?.id).map((g) => [g.id, g.name ? `${g.id}: ${g.name}` : g.id])], of ? (of.parent ?? "") : parent));
    const read = () => ({ name: name.value.trim() || null, parent: above.value || null, limits: limits.read() });
    return form({
      title: of ? `Group ${of.id}` : "New group", confirm: of ? "Save" : "Create", wide: true, keep: true, fields,
      body: [of ? h("p", { class: "hint" }, "All subscriptions below the group share its limits. Changes take effect within a minute.") : field("Id", id, idHint),
        h("div", { class: "grid" }, field("Name", name, "Optional."), field("Parent", above, "The group that it is part of.")), limits.element],
      conflict: of && conflictWith(() => operator.get(operator.group(of.id)), (g) => `${g.parent ? `Parent ${g.parent}. ` : ""}${describeLimits(g.limits)}`, (g) => { of = { ...of, version: g.version }; }),
      send: () => (of ? operator.ask("PATCH", operator.group(of.id), read(), ifMatch(of)) : operator.ask("PUT", operator.group(typedId(id)), given(read()), created)),
    });
  }, group && (() => operator.get(operator.group(group.id))));
  return done && `The group ${done.body.id} was ${group ? "changed" : "created"}.`;
}

/** Returns an object without its nulls. */
const given = (all) => Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== undefined));

/** Changes a subscription's name, tier, group and overrides. */
export async function editSubscription(operator, subscription, tiers, groups) {
  const done = await edit((of) => {
    const fields = new Fields(), overrides = new OverridesForm(fields, of.overrides);
    const chosen = () => tiers.find((t) => t.id === tier.value);
    const name = fields.add("name", box("name", of.name)), tier = fields.add("tier", choice("tier", tiers.map((t) => [t.id, t.id]), of.tier));
    const group = fields.add("group", choice("group", [...none, ...groups.map((g) => [g.id, g.name ? `${g.id}: ${g.name}` : g.id])], of.group ?? ""));
    tier.addEventListener("change", () => overrides.show(chosen()));
    overrides.show(chosen());
    return form({
      title: `Subscription ${of.id}`, confirm: "Save", wide: true, keep: true, fields,
      body: [h("p", { class: "hint" }, "What it has used stays counted. Changes take effect within a minute."),
        h("div", { class: "grid" }, field("Name", name, "Optional."), field("Tier", tier), field("Group", group, "It shares the limits of its group and those above.")), overrides.element],
      conflict: conflictWith(() => operator.get(operator.subscription(of.id)), (s) => `Tier ${s.tier}, group ${s.group || "none"}${s.overrides ? `, overrides ${JSON.stringify(s.overrides)}` : ", no overrides"}.`, (s) => { of = { ...of, version: s.version }; }),
      send: () => operator.ask("PATCH", operator.subscription(of.id), { name: name.value.trim() || null, tier: tier.value, group: group.value || null, overrides: overrides.read() }, ifMatch(of)),
    });
  }, () => operator.get(operator.subscription(subscription.id)));
  return done && `${subscription.id} was changed.`;
}

const rates = [["prompt", "Prompt", "0: free."], ["completion", "Completion", "Reasoning included. 0: free."], ["cached", "Cached prompt", "Empty: as the dearest prompt price."], ["cacheWrite", "Cache write", "Empty: as the dearest prompt price."], ["cacheWriteLong", "Cache write, an hour or longer", "Empty: as the dearest prompt price."]];

/** Write and read multipliers, one a line. */
const lines = (multipliers) => Object.entries(multipliers ?? {}).map(([endpoint, by]) => `${endpoint}=${by}`).join("\n");
const multipliersIn = (text) => Object.fromEntries(text.split("\n").map((line) => line.trim()).filter(Boolean).map((line) => line.split("=").map((part) => part.trim())).map(([endpoint, by = ""]) => [endpoint, by]));

const pathOf = ({ model, from }) => `/prices/${encodeURIComponent(model)}/${encodeURIComponent(from)}`;

/** Sets the price of a model from a date on. served are the models that the gateway serves. */
export async function editPrice(operator, price, served, currency) {
  const done = await edit((of) => {
    const fields = new Fields(), stored = Boolean(of?.version);
    const model = fields.add("model", box("model", of?.model, { list: "served" })), from = fields.add("from", h("input", { type: "date", name: "from", value: of?.from ?? new Date().toISOString().slice(0, 10) }));
    const rate = Object.fromEntries(rates.map(([kind]) => [kind, fields.add(kind, box(kind, of?.[kind], { inputMode: "decimal" }))]));
    const multipliers = fields.add("multipliers", h("textarea", { name: "multipliers", rows: 2, spellcheck: "false" }, lines(of?.multipliers)));
    const accept = of?.partial?.length ? check("Limits in cost use this price anyway", "acceptPartial", of.acceptPartial) : null;
    const read = () => given({ ...Object.fromEntries(rates.map(([kind]) => [kind, rate[kind].value.trim() || undefined])), multipliers: multipliers.value.trim() ? multipliersIn(multipliers.value) : undefined,
      partial: of?.partial, acceptPartial: accept?.querySelector("input").checked || undefined, source: of?.source });
    const path = () => pathOf(stored ? of : { model: model.value.trim(), from: from.value });
    return form({
      title: stored ? `Price of ${of.model} from ${of.from}` : "New price", confirm: "Set price", wide: true, keep: true, fields,
      body: [h("p", { class: "hint" }, `Of a million tokens${currency ? `, in ${currency}` : ""}. Calls are priced when they start, and never again.`),
        stored ? null : h("div", { class: "grid" }, field("Model", model, "As callers name it."), field("From (UTC)", from)), h("datalist", { id: "served" }, (served ?? []).map((m) => h("option", { value: m }))),
        h("div", { class: "grid" }, rates.map(([kind, text, hint]) => field(text, rate[kind], hint))), field("Multipliers", multipliers, "By endpoint, one a line: us-zone=1.1. Empty: 1 for all."),
        of?.partial?.length ? h("p", { class: "notice small" }, `A call may cost more: the model's price also depends on ${of.partial.join(", ")}.`) : null, accept],
      conflict: stored ? conflictWith(() => operator.get(path()), (p) => rates.filter(([kind]) => p[kind]).map(([kind, text]) => `${text} ${p[kind]}`).join(", "), (p) => { of = { ...of, version: p.version }; }) : undefined,
      send: () => operator.ask("PUT", path(), read(), stored ? ifMatch(of) : created),
    });
  }, price && (() => (price.version ? operator.get(pathOf(price)) : price)));
  return done && `The price of ${done.body.model} from ${done.body.from} was set.`;
}

/** Sets the currency of all amounts of money. */
export async function editCurrency(operator, stored) {
  const fields = new Fields(), code = fields.add("currency", box("currency", stored.currency, { maxLength: 3 }));
  const done = await form({
    title: "Currency", confirm: "Set currency", fields,
    body: [h("p", {}, "A label for all amounts of money. Nothing is converted, so it can't be changed while there are prices."), field("Code", code, "Three capital letters, such as USD.")],
    send: () => operator.ask("PUT", "/prices/currency", { currency: code.value.trim() }, stored.version ? ifMatch(stored) : {}),
  });
  return done && `The currency is ${done.body.currency}.`;
}
