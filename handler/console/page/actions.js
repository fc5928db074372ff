// What operators do other than edit: create, suspend, resume and delete things, and manage
// keys. Each action opens a dialog that says what will happen. Changes carry the version
// that they are based on, so that none silently undoes another.
import { h, fill, when, full } from "./dom.js";
import { ifMatch } from "./api.js";
import { describeLimits } from "./amounts.js";
import { form, showKey } from "./dialogs.js";
import { field, choice, check, box, Fields } from "./fields.js";

const fault = (text) => h("p", { class: "fault", role: "alert" }, text);

const expiries = [["", "Never"], ["24", "In a day"], ["168", "In 7 days"], ["720", "In 30 days"], ["2160", "In 90 days"]];
const inHours = (hours) => (hours ? new Date(Date.now() + Number(hours) * 3_600_000).toISOString().replace(/\.\d+Z$/, "Z") : undefined);

/** Creates a subscription and, if the operator wants it, its primary key. */
export async function create(operator, tiers, groups, group = "") {
  const fields = new Fields(), id = fields.add("id", box("id", "", { required: true }));
  const made = await form({
    title: "New subscription", confirm: "Create", fields,
    body: [
      field("Id", id, "1 to 63 of a-z, 0-9, '.', '_' and '-'. It can't be changed later."),
      field("Name", fields.add("name", box("name")), "Optional."),
      field("Tier", fields.add("tier", choice("tier", [["", "Choose a tier"], ...tiers.map((t) => [t.id, `${t.id}: ${describeLimits(t.limits)}`])], tiers.length === 1 ? tiers[0].id : ""))),
      groups.length ? field("Group", fields.add("group", choice("group", [["", "none"], ...groups.map((g) => [g.id, g.id])], group))) : null,
      check("Create its primary key and show it", "key", true),
    ],
    async send({ id, name, tier, group: chosen, key }) {
      await operator.ask("PUT", operator.subscription(id), { tier, name: name || undefined, group: chosen || undefined }, { "If-None-Match": "*" });
      return { id, key };
    },
  });
  if (made?.key) {
    const { body, message } = await operator.ask("POST", `${operator.subscription(made.id)}/keys/primary`).catch((error) => error);
    await (body ? showKey(body) : form({ title: `${made.id} was created without a key`, confirm: "Close", cancel: false, body: [fault(message), h("p", {}, "Press Keys in its row to create the key.")], send: () => true }));
  }
  return made && `${made.id} was created.`;
}

/** The kinds of things that actions change: their paths, and what suspending and resuming them
 * does. A tier can't be suspended. */
const kinds = {
  subscription: { path: (operator, of) => operator.subscription(of.id), suspending: "Within a minute all calls with its keys get 401. It keeps its keys and limits and can be resumed.", resuming: "Within a minute its keys work again." },
  group: { path: (operator, of) => operator.group(of.id), suspending: "Within a minute all calls of the subscriptions below it get 401, until it is resumed.", resuming: "Within a minute the subscriptions below it may call again, unless they or another group of theirs are suspended." },
  tier: { path: (operator, of) => operator.tier(of.id) },
};

export async function suspend(operator, kind, of) {
  const done = await form({
    title: `Suspend ${of.id}?`, confirm: "Suspend", danger: true, body: h("p", {}, kinds[kind].suspending),
    send: () => operator.ask("PATCH", kinds[kind].path(operator, of), { suspended: true }),
  });
  return done && `${of.id} is suspended.`;
}

export async function resume(operator, kind, of) {
  const done = await form({
    title: `Resume ${of.id}?`, confirm: "Resume", body: h("p", {}, kinds[kind].resuming),
    send: () => operator.ask("PATCH", kinds[kind].path(operator, of), { suspended: false }, ifMatch(of)),
  });
  return done && `${of.id} is active again.`;
}

const counted = (n, noun) => (n ? `${full(n)} ${noun}${n === 1 ? "" : "s"}` : "");

/** Lists what a deletion also deletes or moves. */
function consequences({ subscriptions, keys, movedGroups, movedSubscriptions, movedTo }) {
  const to = movedTo ? `will be moved to the group ${movedTo}` : "will have no group";
  return [
    [counted(subscriptions?.length, "subscription"), "will be deleted", subscriptions],
    [counted(keys, "key"), "will be deleted: calls with them get 401"],
    [counted(movedGroups?.length, "group"), movedTo ? to : "will have no parent", movedGroups],
    [counted(movedSubscriptions?.length, "subscription"), to, movedSubscriptions],
  ].filter(([count]) => count).map(([count, what, ids]) => h("li", {}, `${count} ${what}`, ids ? h("details", { open: ids.length <= 5 }, h("summary", {}, "Which"), h("p", { class: "hint" }, ids.join(", "))) : null));
}

/** Deletes a tier, group or subscription. First it asks the gateway what else that would delete
 * or move. */
export async function remove(operator, kind, of) {
  const path = kinds[kind].path(operator, of), { version } = await operator.get(path);
  const would = await operator.ask("DELETE", `${path}?force=true&dryRun=true`, undefined, ifMatch({ version }));
  const along = consequences(would.body), typed = box("typed");
  const done = await form({
    title: `Delete the ${kind} ${of.id}?`, confirm: along.length ? "Delete anyway" : "Delete", danger: true,
    body: [h("p", {}, "This can't be undone. Its usage stays in the ledger, and the audit records who deleted it."),
      along.length ? h("p", {}, "It is in use, so this will happen too:") : null, along.length ? h("ul", { class: "along" }, along) : null,
      along.length ? field(`Type ${of.id} to confirm`, typed) : null],
    send() {
      if (along.length && typed.value.trim() !== of.id) throw new Error(`Type ${of.id} to confirm.`);
      return operator.ask("DELETE", `${path}${along.length ? "?force=true" : ""}`, undefined, ifMatch({ version }));
    },
  });
  return done && `${of.id} was deleted.`;
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
  const valid = keys.filter((k) => !k.expires || new Date(k.expires) > new Date());
  const about = (k) => `created ${when(k.created)}${k.expires ? `, ${new Date(k.expires) > new Date() ? "expires" : "expired"} ${when(k.expires)}` : ""}`;
  const button = (text, action, danger) => h("button", { type: "button", class: `quiet small${danger ? " revoke" : ""}`, "aria-label": `${text} the ${slot} key`, onclick: () => act(action) }, text);
  return h("div", { class: "keyrow" }, h("div", {}, h("h3", {}, slot[0].toUpperCase() + slot.slice(1)), keys.length ? keys.map((k) => h("p", { class: "hint" }, about(k))) : h("p", { class: "hint" }, "none")),
    h("div", { class: "ends" }, valid.length ? [button("Rotate", rotateKey), button("Revoke", revokeKey, true)] : button("Create", createKey)));
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
