// The operator's actions. Each opens a dialog that announces the change. Changes carry
// the version they are based on, so that none silently undoes another.
import { h, fill, when, full } from "./dom.js";
import { form, field, choice, showKey } from "./dialogs.js";

const fault = (text) => h("p", { class: "fault", role: "alert" }, text);

const versioned = (of) => ({ "If-Match": `"${of.version}"` });

const expiries = [["", "Never"], ["24", "In a day"], ["168", "In 7 days"], ["720", "In 30 days"], ["2160", "In 90 days"]];
const inHours = (hours) => (hours ? new Date(Date.now() + Number(hours) * 3_600_000).toISOString().replace(/\.\d+Z$/, "Z") : undefined);

/** Creates a subscription and, if asked to, its primary key. */
export async function create(operator, tiers) {
  const made = await form({
    title: "New subscription", confirm: "Create",
    body: [
      field("Id", h("input", { type: "text", name: "id", required: true, autocomplete: "off", spellcheck: "false", pattern: "[a-z0-9][a-z0-9._-]{0,62}" }), "1 to 63 of a-z, 0-9, '.', '_' and '-'. It can't be changed later."),
      field("Name", h("input", { type: "text", name: "name", maxLength: 256, autocomplete: "off" }), "Optional."),
      field("Tier", choice("tier", tiers.map((t) => [t.id, describe(t)]))),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "key", checked: true }), "Create its primary key and show it"),
    ],
    async send({ id, name, tier, key }) {
      await operator.ask("PUT", operator.subscription(id), { tier, name: name || undefined }, { "If-None-Match": "*" });
      return { id, key };
    },
  });
  if (made?.key) {
    const { body, message } = await operator.ask("POST", `${operator.subscription(made.id)}/keys/primary`).catch((error) => error);
    await (body ? showKey(body) : form({ title: `${made.id} was created without a key`, confirm: "Close", cancel: false, body: [fault(message), h("p", {}, "Create the key with Keys in its row.")], send: () => true }));
  }
  return made && `${made.id} was created.`;
}

const describe = (t) => `${t.id}: ${t.tokensPerMinute ? `${full(t.tokensPerMinute)} tokens a minute` : "no limit a minute"}${t.tokenQuota ? `, ${full(t.tokenQuota)} ${t.tokenQuotaPeriod}` : ""}`;

export async function changeTier(operator, subscription, tiers) {
  const done = await form({
    title: `Change the tier of ${subscription.id}`, confirm: "Change tier",
    body: [h("p", {}, `Its tier is ${subscription.tier}. What it has used stays counted; the new limits take effect within a minute.`),
      subscription.overrides ? h("p", { class: "hint" }, `It keeps its overrides: ${JSON.stringify(subscription.overrides)}`) : null,
      field("New tier", choice("tier", tiers.map((t) => [t.id, describe(t)]), subscription.tier))],
    send: ({ tier }) => operator.ask("PATCH", operator.subscription(subscription.id), { tier }, versioned(subscription)),
  });
  return done && `The tier of ${subscription.id} was changed.`;
}

export async function suspend(operator, subscription) {
  const done = await form({
    title: `Suspend ${subscription.id}?`, confirm: "Suspend", danger: true,
    body: h("p", {}, "Within a minute all calls with its keys get 401. It keeps its keys and limits and can be resumed."),
    send: () => operator.ask("PATCH", operator.subscription(subscription.id), { suspended: true }),
  });
  return done && `${subscription.id} is suspended.`;
}

export async function resume(operator, subscription) {
  const done = await form({
    title: `Resume ${subscription.id}?`, confirm: "Resume",
    body: h("p", {}, "Within a minute its keys work again."),
    send: () => operator.ask("PATCH", operator.subscription(subscription.id), { suspended: false }, versioned(subscription)),
  });
  return done && `${subscription.id} is active again.`;
}

/** Shows a subscription's keys and lets the operator create, rotate or revoke them. */
export async function keys(operator, subscription) {
  const path = operator.subscription(subscription.id);
  const list = h("div");
  let changed = false;
  const show = () => operator.get(path).then((account) => fill(list, ["primary", "secondary"].map((slot) => keyRow(slot, account.keys.filter((k) => k.slot === slot), async (action) => {
    const made = await action(operator, subscription, slot);
    if (!made) return;
    changed = true;
    if (made.body?.key) await showKey(made.body);
    await show();
  }))), (error) => fill(list, fault(error.message)));
  await show();
  await form({
    title: `Keys of ${subscription.id}`, confirm: "Done", cancel: false,
    body: [h("p", { class: "hint" }, "Callers may use either key, so one can be replaced while the other is in use."), list],
    send: () => true,
  });
  return changed;
}

function keyRow(slot, keys, act) {
  keys = keys.toSorted((a, b) => (a.expires ? 1 : 0) - (b.expires ? 1 : 0) || b.created.localeCompare(a.created)); // keys that don't expire first, then the newest
  const good = keys.filter((k) => !k.expires || new Date(k.expires) > new Date());
  const about = (k) => `created ${when(k.created)}${k.expires ? `, ${new Date(k.expires) > new Date() ? "expires" : "expired"} ${when(k.expires)}` : ""}`;
  const button = (text, action, danger) => h("button", { type: "button", class: `quiet small${danger ? " revoke" : ""}`, "aria-label": `${text} the ${slot} key`, onclick: () => act(action) }, text);
  return h("div", { class: "keyrow" }, h("div", {}, h("h3", {}, slot[0].toUpperCase() + slot.slice(1)), keys.length ? keys.map((k) => h("p", { class: "hint" }, about(k))) : h("p", { class: "hint" }, "none")),
    h("div", { class: "ends" }, good.length ? [button("Rotate", rotateKey), button("Revoke", revokeKey, true)] : button("Create", createKey)));
}

const createKey = (operator, subscription, slot) => form({
  title: `Create the ${slot} key of ${subscription.id}`, confirm: "Create key",
  body: field("Expires", choice("expires", expiries, "")),
  send: ({ expires }) => operator.ask("POST", `${operator.subscription(subscription.id)}/keys/${slot}`, { expires: inHours(expires) }),
});

const rotateKey = (operator, subscription, slot) => form({
  title: `Rotate the ${slot} key of ${subscription.id}`, confirm: "Rotate key", danger: true,
  body: [field("Keep the old key", choice("overlap", [["24h", "For a day"], ["1h", "For an hour"], ["168h", "For 7 days"], ["0s", "Not at all: revoke it within a minute"]], "24h"), "Gives callers time to switch to the new key."),
    field("The new key expires", choice("expires", expiries, ""))],
  send: ({ overlap, expires }) => operator.ask("POST", `${operator.subscription(subscription.id)}/keys/${slot}/rotate`, { overlap, expires: inHours(expires) }),
});

const revokeKey = (operator, subscription, slot) => form({
  title: `Revoke the ${slot} key of ${subscription.id}?`, confirm: "Revoke key", danger: true,
  body: h("p", {}, "Within a minute all calls with it get 401. This can't be undone, but a new key can be created."),
  send: () => operator.ask("DELETE", `${operator.subscription(subscription.id)}/keys/${slot}`),
});

const periods = [["", "–"], ["Hourly", "an hour"], ["Daily", "a day"], ["Weekly", "a week"], ["Monthly", "a month"], ["Yearly", "a year"]];

/** Creates a tier or changes its limits. */
export async function setTier(operator, tier) {
  const number = (name, value) => h("input", { type: "number", name, min: "0", step: "1", inputMode: "numeric", value: value ? String(value) : "" });
  const done = await form({
    title: tier ? `Change the limits of ${tier.id}` : "New tier", confirm: tier ? "Change limits" : "Create", danger: Boolean(tier),
    body: [
      tier ? h("p", {}, "The limits take effect within a minute for every subscription of the tier, except where it overrides them.")
        : field("Id", h("input", { type: "text", name: "id", required: true, autocomplete: "off", spellcheck: "false" }), "1 to 63 of a-z, 0-9, '.', '_' and '-'."),
      field("Tokens a minute", number("tokensPerMinute", tier?.tokensPerMinute), "Empty: no limit."),
      field("Burst tokens", number("burstTokens", tier?.burstTokens), "How many unused tokens may be carried over."),
      field("Token quota", number("tokenQuota", tier?.tokenQuota), "Empty: no quota."),
      field("Quota period", choice("tokenQuotaPeriod", periods, tier?.tokenQuotaPeriod ?? "")),
      field("Reserve", choice("reserve", [["prompt", "the prompt; the answer is charged afterwards"], ["none", "one token; the call is charged afterwards"], ["full", "prompt and answer; the limit can't be exceeded"]], tier?.reserve || "prompt")),
      field("Stored content", choice("storedContent", [["refuse", "refuse calls that name conversations, files and the like"], ["allow", "allow them: callers share what the endpoints keep"]], tier?.storedContent || "refuse")),
    ],
    send({ id, reserve, storedContent, tokenQuotaPeriod, ...numbers }) {
      const limits = { reserve, storedContent, tokenQuotaPeriod: tokenQuotaPeriod || null };
      for (const [name, text] of Object.entries(numbers)) limits[name] = text === "" ? null : Number(text);
      return operator.ask("PATCH", `/tiers/${encodeURIComponent(tier?.id ?? id)}`, limits, tier ? versioned(tier) : { "If-None-Match": "*" });
    },
  });
  return done && "The tier's limits were changed.";
}
