// Uses the console in a real browser like its users, with a running gateway. Exits with an
// error at the first failure.
//
//   node console.mjs URL OPERATOR_KEY CALLER_KEY PICTURES
import assert from "node:assert/strict";
import { drive, field } from "./driver.mjs";

const [url, operatorKey, callerKey, pictures] = process.argv.slice(2);
const d = await drive(url, operatorKey, pictures);
const { page } = d;
const act = (name) => d.act(name), section = (name) => d.section(name);

/** Signs in without a key, with a wrong one, and with the keyboard only. */
async function entry() {
  const response = await page.goto(`${url}/console`);
  const policy = response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  await page.getByRole("heading", { name: "My usage" }).waitFor();
  await d.picture("entry");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await act("Show my usage");
  assert.match(await section("caller-title").getByRole("alert").textContent(), /is missing/);
  d.expected = 2;
  await field(section("caller-title"), "API key").fill(callerKey.slice(0, -1));
  await page.keyboard.press("Enter");
  await page.getByText("This isn't the key of an active subscription.").waitFor();
  await field(section("operator-title"), "Entra ID token or operator key").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("This is neither the operator's key").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "a refused key was kept");
}

/** Checks the view of a caller, and that it refreshes by itself. */
async function caller() {
  await field(section("caller-title"), "API key").fill(callerKey);
  await section("caller-title").getByRole("button").click();
  await page.getByRole("heading", { name: "team-a", level: 1 }).waitFor();
  const minute = page.getByRole("meter", { name: "tokens: this minute" });
  await page.waitForFunction(() => document.querySelector(".live").dataset.state === "on");
  const before = await minute.getAttribute("aria-valuetext");
  assert.equal(await d.chat(callerKey), 200);
  await page.waitForFunction((was) => document.querySelector('[aria-label="tokens: this minute"]').getAttribute("aria-valuetext") !== was, before);
  assert.match(await minute.getAttribute("aria-valuetext"), / of 2,000 tokens used, \d+ tokens held, [\d,]+ tokens left$/);
  assert.match(await page.locator(".tile", { hasText: "Calls" }).textContent(), /^Calls[1-9]/);
  assert.match(await page.locator("figcaption").first().textContent(), /UTC/);
  await page.getByText("Show as a table").first().click();
  await page.locator("details[open] tbody tr").nth(100).waitFor({ state: "attached" }); // three hours have 180 minutes
  await page.getByText("Show as a table").first().click();
  await page.getByRole("radio", { name: "1 day" }).check();
  await page.getByRole("heading", { name: "Tokens by quarter of an hour" }).waitFor();
  await page.getByRole("radio", { name: "1 hour" }).check();
  await page.getByRole("heading", { name: "Tokens by minute" }).waitFor();
  await d.picture("caller");
  await page.getByLabel("Colours").selectOption("dark");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 23, 26)");
  await page.reload();
  await page.getByRole("heading", { name: "team-a", level: 1 }).waitFor(); // the tab stores the key
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 23, 26)");
  await page.getByLabel("Colours").selectOption("");
  await act("Sign out");
  await page.getByRole("heading", { name: "Operate" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "signing out left the key");
}

/** Does what operators do: look around, and create, change and suspend a subscription. */
async function operator() {
  await d.operate();
  await section("top-title").getByRole("link", { name: "team-a", exact: true }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "a key was kept although its box is unchecked");
  await d.picture("operator");
  await section("top-title").getByRole("link", { name: "team-a", exact: true }).click();
  await page.getByRole("heading", { name: "team-a", level: 1 }).waitFor();
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "team-a", "the new page's heading has no focus");
  await page.locator("canvas").first().waitFor();
  await page.goBack();
  await page.getByRole("heading", { name: "All subscriptions" }).waitFor();
  await d.open("Subscriptions");
  await search();
  await create();
  await change();
  await keys();
}

async function search() {
  const list = page.getByRole("region", { name: "Subscriptions", exact: true });
  await field(list, "Search").fill("RESEARCH");
  await list.getByText("1 of 4 subscriptions").waitFor();
  await field(list, "Search").fill("");
  await field(list, "State").selectOption("suspended");
  await list.getByText("1 of 4 subscriptions").waitFor();
  await field(list, "State").selectOption("");
}

/** Returns the key that a dialog shows, and closes the dialog. */
async function shownKey() {
  const key = await d.dialog.locator("#made-key").textContent();
  assert.match(key, /^tg_[0-9A-Za-z]{38}$/);
  await d.dialog.getByRole("button", { name: "I have copied it" }).click();
  return key;
}

async function create() {
  await act("New subscription");
  await field(d.dialog, "Tier").selectOption("gold");
  await d.dialog.getByRole("textbox").first().fill("Bad Id");
  d.expected = 1;
  await d.dialog.getByRole("button", { name: "Create" }).click();
  await d.dialog.getByText("is not an id").waitFor();
  await d.shot("create");
  await d.dialog.getByRole("textbox").first().fill("new-one");
  await d.dialog.getByRole("button", { name: "Create" }).click();
  const key = await shownKey();
  await page.getByText("5 of 5 subscriptions").waitFor();
  assert.equal(await d.chat(key), 200, "the new key is refused");
}

async function change() {
  await page.getByRole("button", { name: "Edit new-one", exact: true }).dblclick(); // which opens one dialog
  await d.dialog.waitFor();
  assert.equal(await page.getByRole("dialog").count(), 1);
  await page.keyboard.press("Escape"); // which changes nothing
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await act("Edit new-one");
  await field(d.dialog, "Tier").selectOption("gold");
  await d.done("Save");
  assert.equal((await d.manage("/subscriptions/new-one")).tier, "gold");
  await act("Suspend new-one");
  await d.shot("suspend");
  await d.dialog.getByRole("button", { name: "Suspend" }).click();
  await page.getByRole("button", { name: "Resume new-one" }).waitFor();
  assert.equal((await d.manage("/subscriptions/new-one")).suspended, true);
  await act("Resume new-one");
  await d.dialog.getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Suspend new-one" }).waitFor();
}

async function keys() {
  await act("Keys of new-one");
  await act("Rotate the primary key");
  await d.accessible("rotate");
  await d.dialog.getByRole("button", { name: "Rotate key" }).click();
  assert.equal(await d.chat(await shownKey()), 200, "the rotated key is refused");
  await d.dialog.getByText(/, expires /).waitFor(); // the old one
  await act("Create the secondary key");
  await d.dialog.getByRole("button", { name: "Create key" }).click();
  await shownKey();
  await d.shot("keys");
  await act("Revoke the secondary key");
  await d.dialog.getByRole("button", { name: "Revoke key" }).click();
  await page.getByRole("button", { name: "Create the secondary key" }).waitFor();
  await d.dialog.getByRole("button", { name: "Done" }).click();
  assert.equal((await d.manage("/subscriptions/new-one")).keys.length, 2);
}

await d.run(entry, caller, operator);
