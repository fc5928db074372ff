// What an operator can do, each after a dialog that says what will happen.
// Changes carry the version they are for, so that none undoes another's unseen.
import { h, fill, when, full } from "./dom.js";
import { form, field, choice, showKey } from "./dialogs.js";

const fault = (text) => h("p", { class: "fault", role: "alert" }, text);

const versioned = (of) => ({ "If-Match": `"${of.version}"` });

const expiries = [["", "Never"], ["24", "In a day"], ["168", "In 7 days"], ["720", "In 30 days"], ["2160", "In 90 days"]];
const inHours = (hours) => (hours ? new Date(Date.now() + Number(hours) * 3_600_000).toISOString().replace(/\.\d+Z$/, "Z") : undefined);

/** Makes a subscription with its first key. */
export async function create(operator, tiers) {
  const made = await form({
    title: "New subscription", confirm: "Create",
    body: [
      field("Id", h("input", { type: "text", name: "id", required: true, autocomplete: "off", spellcheck: "false", pattern: "[a-z0-9][a-z0-9._-]{0,62}" }), "1 to 63 of a-z, 0-9, '.', '_' and '-'. It can't be changed later."),
      field("Name", h("input", { type: "text", name: "name", maxLength: 256, autocomplete: "off" }), "To show; may be left out."),
      field("Tier", choice("tier", tiers.map((t) => [t.id, describe(t)]))),
      h("label", { class: "check" }, h("input", { type: "checkbox", name: "key", checked: true }), "Make its primary key, and show it"),
    ],
    async send({ id, name, tier, key }) {
      await operator.ask("PUT", operator.subscription(id), { tier, name: name || undefined }, { "If-None-Match": "*" });
      return { id, key };
    },
  });
  if (made?.key) {
    const { body, message } = await operator.ask("POST", `${operator.subscription(made.id)}/keys/primary`).catch((error) => error);
    await (body ? showKey(body) : form({ title: `${made.id} was made without a key`, confirm: "Close", cancel: false, body: [fault(message), h("p", {}, "Make the key with Keys in its row.")], send: () => true }));
  }
  return made && `${made.id} was made.`;
}

const describe = (t) => `${t.id}: ${t.tokensPerMinute ? `${full(t.tokensPerMinute)} tokens a minute` : "no limit a minute"}${t.tokenQuota ? `, ${full(t.tokenQuota)} ${t.tokenQuotaPeriod}` : ""}`;

export async function changeTier(operator, subscription, tiers) {
  const done = await form({
    title: `Change the tier of ${subscription.id}`, confirm: "Change tier",
    body: [h("p", {}, `It has ${subscription.tier} now. What it has used stays counted; the new limits hold within a minute.`),
      subscription.overrides ? h("p", { class: "hint" }, `Its overrides stay: ${JSON.stringify(subscription.overrides)}`) : null,
      field("New tier", choice("tier", tiers.map((t) => [t.id, describe(t)]), subscription.tier))],
    send: ({ tier }) => operator.ask("PATCH", operator.subscription(subscription.id), { tier }, versioned(subscription)),
  });
  return done && `${subscription.id} has another tier.`;
}

export async function suspend(operator, subscription) {
  const done = await form({
    title: `Suspend ${subscription.id}?`, confirm: "Suspend", danger: true,
    body: h("p", {}, "Within a minute every call with its keys is answered with 401. Its keys and limits stay, and it can be resumed."),
    send: () => operator.ask("PATCH", operator.subscription(subscription.id), { suspended: true }),
  });
  return done && `${subscription.id} is suspended.`;
}

export async function resume(operator, subscription) {
  const done = await form({
    title: `Resume ${subscription.id}?`, confirm: "Resume",
    body: h("p", {}, "Within a minute its calls pass again, with the keys it has."),
    send: () => operator.ask("PATCH", operator.subscription(subscription.id), { suspended: false }, versioned(subscription)),
  });
  return done && `${subscription.id} is active again.`;
}

/** Shows a subscription's keys, and makes, rotates or revokes them. */
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
    body: [h("p", { class: "hint" }, "Calls may carry either key, so that one can be replaced while the other goes on."), list],
    send: () => true,
  });
  return changed;
}

function keyRow(slot, keys, act) {
  keys = keys.toSorted((a, b) => (a.expires ? 1 : 0) - (b.expires ? 1 : 0) || b.created.localeCompare(a.created)); // the one that goes on first
  const good = keys.filter((k) => !k.expires || new Date(k.expires) > new Date());
  const about = (k) => `made ${when(k.created)}${k.expires ? `, ${new Date(k.expires) > new Date() ? "expires" : "expired"} ${when(k.expires)}` : ""}`;
  const button = (text, action, danger) => h("button", { type: "button", class: `quiet small${danger ? " revoke" : ""}`, "aria-label": `${text} the ${slot} key`, onclick: () => act(action) }, text);
  return h("div", { class: "keyrow" }, h("div", {}, h("h3", {}, slot[0].toUpperCase() + slot.slice(1)), keys.length ? keys.map((k) => h("p", { class: "hint" }, about(k))) : h("p", { class: "hint" }, "none")),
    h("div", { class: "ends" }, good.length ? [button("Rotate", rotateKey), button("Revoke", revokeKey, true)] : button("Create", createKey)));
}

const createKey = (operator, subscription, slot) => form({
  title: `Create the ${slot} key of ${subscription.id}`, confirm: "Create key",
  body: field("It expires", choice("expires", expiries, "")),
  send: ({ expires }) => operator.ask("POST", `${operator.subscription(subscription.id)}/keys/${slot}`, { expires: inHours(expires) }),
});

const rotateKey = (operator, subscription, slot) => form({
  title: `Rotate the ${slot} key of ${subscription.id}`, confirm: "Rotate key", danger: true,
  body: [field("The old key goes on", choice("overlap", [["24h", "For a day"], ["1h", "For an hour"], ["168h", "For 7 days"], ["0s", "Not at all: it ends within a minute"]], "24h"), "So that callers have time to take the new one up."),
    field("The new key expires", choice("expires", expiries, ""))],
  send: ({ overlap, expires }) => operator.ask("POST", `${operator.subscription(subscription.id)}/keys/${slot}/rotate`, { overlap, expires: inHours(expires) }),
});

const revokeKey = (operator, subscription, slot) => form({
  title: `Revoke the ${slot} key of ${subscription.id}?`, confirm: "Revoke key", danger: true,
  body: h("p", {}, "Within a minute every call with it is answered with 401. It can't be brought back; a new one can be made."),
  send: () => operator.ask("DELETE", `${operator.subscription(subscription.id)}/keys/${slot}`),
});

const periods = [["", "–"], ["Hourly", "an hour"], ["Daily", "a day"], ["Weekly", "a week"], ["Monthly", "a month"], ["Yearly", "a year"]];

/** Makes a tier, or changes its limits. */
export async function setTier(operator, tier) {
  const number = (name, value) => h("input", { type: "number", name, min: "0", step: "1", inputMode: "numeric", value: value ? String(value) : "" });
  const done = await form({
    title: tier ? `Change the limits of ${tier.id}` : "New tier", confirm: tier ? "Change limits" : "Create", danger: Boolean(tier),
    body: [
      tier ? h("p", {}, "They hold for every subscription of the tier within a minute, but for values that it overrides.")
        : field("Id", h("input", { type: "text", name: "id", required: true, autocomplete: "off", spellcheck: "false" }), "1 to 63 of a-z, 0-9, '.', '_' and '-'."),
      field("Tokens a minute", number("tokensPerMinute", tier?.tokensPerMinute), "Empty: no limit."),
      field("Burst tokens", number("burstTokens", tier?.burstTokens), "Unused tokens that may be carried over."),
      field("Token quota", number("tokenQuota", tier?.tokenQuota), "Empty: no quota."),
      field("For", choice("tokenQuotaPeriod", periods, tier?.tokenQuotaPeriod ?? "")),
      field("Reserve", choice("reserve", [["prompt", "the prompt: what the answer takes is charged afterwards"], ["none", "one token: what a call takes is charged afterwards"], ["full", "prompt and answer: nothing can pass the limit"]], tier?.reserve || "prompt")),
    ],
    send({ id, reserve, tokenQuotaPeriod, ...numbers }) {
      const limits = { reserve, tokenQuotaPeriod: tokenQuotaPeriod || null };
      for (const [name, text] of Object.entries(numbers)) limits[name] = text === "" ? null : Number(text);
      return operator.ask("PATCH", `/tiers/${encodeURIComponent(tier?.id ?? id)}`, limits, tier ? versioned(tier) : { "If-None-Match": "*" });
    },
  });
  return done && "The tier's limits are changed.";
}
