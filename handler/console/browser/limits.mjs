// Reads and changes limits, groups, overrides and prices in a real browser, with a running
// gateway. Exits with an error at the first failure.
//
//   node limits.mjs URL OPERATOR_KEY CALLER_KEY PICTURES
import assert from "node:assert/strict";
import { drive, field } from "./driver.mjs";

const [url, operatorKey, callerKey, pictures] = process.argv.slice(2);
const d = await drive(url, operatorKey, pictures);
const { page } = d;

/** Returns the limit with a name that an owner has. */
const limit = (name, owner) => page.getByRole("listitem").filter({ has: page.getByRole("heading", { name, exact: true }), hasText: owner });
/** Opens a page by its address. */
async function visit(path, heading) {
  await page.evaluate((path) => { location.hash = path; }, `#/${path}`);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
}
const value = (name) => page.getByRole("meter", { name, exact: true }).getAttribute("aria-valuetext");
/** Presses a button of the dialog, which stays open. */
const save = (name) => d.dialog.getByRole("button", { name, exact: true }).click();

/** Checks that a caller sees all of its limits, with units and owners, and which are in shadow or
 * shared. */
async function caller() {
  await page.goto(`${url}/console/`);
  await field(d.section("caller-title"), "API key").fill(callerKey);
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { name: "lab-1", level: 1 }).waitFor();
  await limit("budget", "Group org").getByText("Shared with others of the group").waitFor();
  await limit("trial", "Tier many").getByText("In shadow: never refuses").waitFor();
  assert.equal(await page.getByRole("listitem").count(), 7);
  assert.match(await value("calls of group lab: this minute"), /of 600 calls used/);
  assert.match(await value("spend: this month"), /of 25\.00 USD used, .* left$/);
  assert.match(await page.locator(".tile", { hasText: "Cost" }).textContent(), /^Cost0\.\d+ USD$/);
  await d.picture("caller-limits");
  await d.act("Sign out");
}

/** Checks the pages of subscriptions with many limits, with none, and with a debt. */
async function subscriptions() {
  await d.operate();
  await visit("subscriptions/lab-1", "lab-1");
  await limit("calls", "Tier many").getByRole("meter").waitFor();
  await limit("calls", "Group lab").getByText("Shared by the group").waitFor();
  await limit("tokens", "Tier many").getByText("of 400,000 tokens").waitFor();
  assert.match(await value("prompt: this week"), /of 90 prompt tokens used/);
  await page.getByText("Loading").first().waitFor({ state: "hidden" });
  await page.getByText(/tokens in total, for 0\.\d+ USD; most in a minute/).waitFor();
  await d.picture("subscription");
  await visit("subscriptions/lab-2", "lab-2");
  await limit("calls", "Tier many").getByText(/Overridden until .* UTC/).waitFor();
  await limit("calls", "Tier many").getByText("No calls yet").waitFor();
  await limit("calls", "Tier many").getByText("of 50 calls").waitFor();
  await visit("subscriptions/free", "free");
  await page.getByText("Nothing is limited: there are no limits.").waitFor();
  await visit("subscriptions/debtor", "debtor");
  await limit("tokens", "Tier tight").getByText(/Owes \d+ tokens/).waitFor();
  assert.match(await value("tokens: this minute"), /, \d+ tokens owed$/);
  await d.shot("debt");
}

/** Edits a tier's limits: errors are shown at their fields, nothing entered is lost, and a change
 * that came first is shown. */
async function tier() {
  await d.open("Tiers");
  await page.getByText(/calls: 6 calls a minute/).waitFor();
  await d.shot("tiers");
  await d.act("Edit many");
  await d.picture("tier-editor");
  const trial = d.dialog.getByRole("group", { name: "trial", exact: true });
  await field(trial, "Per minute").fill("2x");
  d.expected = 1;
  await save("Save");
  await trial.getByText("Per minute is not a whole number").waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.value), "2x", "the wrong field has no focus");
  await field(trial, "Per minute").fill("20");
  await field(d.dialog.getByRole("group", { name: "prompt", exact: true }), "Alert at").fill("95, 50");
  await d.act("Add a limit");
  await page.keyboard.type("Calls");
  await field(d.dialog.getByRole("group", { name: "Calls", exact: true }), "Counts").selectOption("calls");
  d.expected = 1;
  await save("Save");
  await d.dialog.getByText("Alert at is not ascending").waitFor();
  await d.dialog.getByRole("group", { name: "Calls", exact: true }).getByText('Name differs from "calls" by case only').waitFor();
  await d.dialog.getByRole("group", { name: "Calls", exact: true }).getByText("Per minute is missing").waitFor();
  assert.equal(await field(d.dialog.getByRole("group", { name: "prompt", exact: true }), "Alert at").inputValue(), "95, 50");
  await d.picture("tier-errors");
  await field(d.dialog.getByRole("group", { name: "prompt", exact: true }), "Alert at").fill("50, 95");
  await d.act("Remove the limit Calls");
  await d.act("Remove the limit trial");
  await d.act("Keep the limit trial");
  await d.manage("/tiers/many", "PATCH", { maxWait: "3s" }); // another operator's change
  d.expected = 1;
  await save("Save");
  await d.dialog.getByText("Somebody else changed it in the meantime").waitFor();
  await d.shot("conflict");
  await d.done("Overwrite it with mine");
  const saved = await d.manage("/tiers/many");
  assert.deepEqual(saved.limits.map((l) => l.name), ["tokens", "calls", "prompt", "trial", "spend"]);
  assert.deepEqual(saved.limits[2].alertAt, [50, 95]);
  assert.equal(saved.limits[4].quota, "25");
}

/** Checks that entries are discarded only after a warning. */
async function discarding() {
  await d.act("Edit many");
  await d.act("Remove the limit spend");
  await field(d.dialog.getByRole("group", { name: "calls", exact: true }), "Per minute").fill("7");
  await page.keyboard.press("Escape");
  await d.dialog.getByText("What you entered isn't saved.").waitFor();
  await page.keyboard.press("Escape");
  await page.getByRole("dialog").waitFor({ state: "detached" });
}

/** Creates groups, reads what they share, and suspends and deletes one. */
async function groups() {
  await d.open("Groups");
  await d.act("New group");
  await d.dialog.getByLabel("Id").fill("team");
  await field(d.dialog, "Parent").selectOption("lab");
  await d.act("Add a limit");
  await page.keyboard.type("weighted");
  const weighted = d.dialog.getByRole("group", { name: "weighted", exact: true });
  await field(weighted, "Per minute").fill("500");
  await weighted.getByText("More: ").click();
  await field(weighted, "Completion").fill("4000");
  await d.done("Create");
  assert.deepEqual((await d.manage("/groups/team")).limits, [{ name: "weighted", unit: "tokens", weights: { completion: 4000 }, perMinute: 500 }]);
  await d.shot("groups");
  await page.getByRole("link", { name: "lab", exact: true }).click();
  await page.getByRole("heading", { name: "lab", level: 1 }).waitFor();
  await limit("calls", "Group lab").getByText("Shared by the group").waitFor();
  await page.getByRole("link", { name: "lab-1", exact: true }).waitFor();
  await page.getByText("Loading").first().waitFor({ state: "hidden" });
  await d.picture("group");
  await page.getByRole("button", { name: "Suspend lab", exact: true }).click();
  await d.done("Suspend");
  await page.getByRole("button", { name: "Resume lab", exact: true }).click();
  await d.done("Resume");
  assert.ok(!(await d.manage("/groups/lab")).suspended);
  await page.getByRole("button", { name: "Delete lab", exact: true }).click();
  await d.dialog.getByText("2 subscriptions will be moved to the group org").waitFor();
  await d.dialog.getByText("1 group will be moved to the group org").waitFor();
  await d.picture("delete");
  await save("Delete anyway");
  await d.dialog.getByText("Type lab to confirm.").waitFor();
  await d.dialog.getByLabel("Type lab to confirm").fill("lab");
  await d.done("Delete anyway");
  await page.getByRole("heading", { name: "Groups", level: 1 }).waitFor();
  assert.equal((await d.manage("/subscriptions/lab-1")).group, "org");
}

/** Edits a subscription's group and its overrides, with their end. */
async function overrides() {
  await visit("subscriptions/lab-2", "lab-2");
  await d.act("Edit lab-2");
  const calls = d.dialog.locator("details", { hasText: "calls: 6 calls a minute" }).first();
  await field(d.dialog, "Group").selectOption("team");
  await field(calls, "Per minute").fill("70");
  await field(calls, "Until (UTC)").fill("2001-01-01T12:00");
  d.expected = 1;
  await save("Save");
  await calls.getByText("Until (UTC) has passed").waitFor();
  await d.shot("overrides");
  await field(calls, "Until (UTC)").fill("2099-01-01T12:00");
  await d.done("Save");
  const saved = await d.manage("/subscriptions/lab-2");
  assert.equal(saved.group, "team");
  assert.deepEqual(saved.overrides, { limits: [{ name: "calls", perMinute: 70, until: "2099-01-01T12:00:00Z" }] });
  await limit("calls", "Tier many").getByText("of 70 calls").waitFor();
  await d.act("Edit lab-2");
  await field(calls, "Per minute").fill("");
  await field(calls, "Until (UTC)").fill("");
  await d.done("Save");
  assert.equal((await d.manage("/subscriptions/lab-2")).overrides, undefined);
}

/** Deletes a subscription, and a tier together with the subscription that uses it. */
async function deletions() {
  await d.act("Delete lab-2");
  await d.done("Delete");
  await page.getByRole("heading", { name: "Subscriptions", level: 1 }).waitFor();
  await d.open("Tiers");
  await d.act("Delete tight");
  await d.dialog.getByText("1 subscription will be deleted").waitFor();
  await d.dialog.getByText("1 key will be deleted").waitFor();
  await d.dialog.getByLabel("Type tight to confirm").fill("tight");
  await d.done("Delete anyway");
  assert.deepEqual((await d.manage("/subscriptions")).items.map((s) => s.id), ["free", "lab-1"]);
}

/** Reads, checks, sets and deletes prices, and reads the latest changes. */
async function prices() {
  await d.open("Prices");
  await page.getByText("All amounts are in USD.").waitFor();
  await page.getByText("All served models have a price that can be used.").waitFor();
  await d.act("New price");
  await d.dialog.getByLabel("Model").fill("other");
  await field(d.dialog, "Prompt").fill("cheap");
  d.expected = 1;
  await save("Set price");
  await d.dialog.getByText('Prompt "cheap"').waitFor();
  await d.dialog.getByText("Completion is missing").waitFor();
  await d.shot("price-errors");
  await field(d.dialog, "Prompt").fill("2.50");
  await field(d.dialog, "Completion").fill("10");
  await field(d.dialog, "Multipliers").fill("us-zone = 1.1");
  await d.done("Set price");
  const [, set] = (await d.manage("/prices")).items;
  assert.deepEqual([set.model, set.prompt, set.completion, set.multipliers], ["other", "2.5", "10", { "us-zone": "1.1" }]);
  await page.getByText("! Note").first().waitFor();
  await d.picture("prices");
  await d.act(`Delete the price of other from ${set.from}`);
  await d.done("Delete");
  assert.equal((await d.manage("/prices")).items.length, 1);
  await d.open("Changes", "Latest changes");
  await page.getByText("price.delete other").waitFor();
  await page.getByText(/limits from tokens: 1,000 tokens a minute/).first().waitFor();
  await d.accessible("changes");
}

await d.run(caller, subscriptions, tier, discarding, groups, overrides, deletions, prices);
