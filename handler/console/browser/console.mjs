// Uses the console in a real browser like its users, with a running gateway. Exits with an
// error at the first failure.
//
//   node console.mjs URL OPERATOR_KEY CALLER_KEY PICTURES
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const [url, operatorKey, callerKey, pictures] = process.argv.slice(2);
const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
mkdirSync(pictures, { recursive: true });

const profile = mkdtempSync(join(tmpdir(), "console-"));
const context = await chromium.launchPersistentContext(profile, {
  executablePath: process.env.CHROMIUM_PATH,
  headless: true, viewport: { width: 1280, height: 900 }, colorScheme: "light", locale: "en-GB", timezoneId: "America/New_York",
  args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
});
const page = context.pages()[0];
page.setDefaultTimeout(60_000);

// Requests to other hosts, script errors and policy violations are faults.
const faults = [];
let expected = 0; // refusals that the test provokes and the browser logs as errors
page.on("request", (request) => {
  if (!request.url().startsWith(url) && !request.url().startsWith("data:")) faults.push(`asked ${request.url()}`);
});
page.on("pageerror", (error) => faults.push(`threw ${error.stack}`));
page.on("console", (message) => {
  if (message.type() !== "error") return;
  if (expected > 0 && /status of 4\d\d/.test(message.text())) expected -= 1;
  else faults.push(`said ${message.text()} at ${message.location().url}`);
});

const section = (name) => page.locator(`section[aria-labelledby="${name}"]`);
const field = (within, label) => within.getByLabel(label, { exact: true });

/** Fails if axe finds accessibility faults in the current view. */
async function accessible(view) {
  await page.evaluate(axe);
  const found = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  assert.deepEqual(found.violations.map((v) => `${view}: ${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`), []);
}

/** Takes screenshots of a view in both schemes, on a desktop and a phone, and checks each. */
async function picture(view) {
  for (const [scheme, device, width, height] of [["light", "desk", 1280, 900], ["dark", "desk", 1280, 900], ["light", "phone", 390, 844], ["dark", "phone", 390, 844]]) {
    await page.emulateMedia({ colorScheme: scheme });
    await page.setViewportSize({ width, height });
    await page.waitForFunction((want) => document.documentElement.dataset.scheme === want, scheme);
    await page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
    const beyond = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
    assert.equal(beyond, 0, `${view} on a ${device} is ${beyond} px too wide`);
    if (device === "desk" || scheme === "light") await accessible(`${view}, ${scheme}, ${device}`);
    await page.screenshot({ path: join(pictures, `${view}-${device}-${scheme}.png`), fullPage: true });
  }
  await page.emulateMedia({ colorScheme: "light" });
  await page.setViewportSize({ width: 1280, height: 900 });
}

/** Clicks a button. */
const act = (name) => page.getByRole("button", { name, exact: true }).click();
const dialog = () => page.getByRole("dialog").last();

async function chat(key) {
  const answer = await fetch(`${url}/openai/v1/chat/completions`, { method: "POST", headers: { "api-key": key, "Content-Type": "application/json" },
    body: JSON.stringify({ model: "DeepSeek-R1", messages: [{ role: "user", content: "Can you tell me the time, please?" }] }) });
  await answer.arrayBuffer();
  return answer.status;
}

async function manage(path) {
  return (await fetch(`${url}/manage${path}`, { headers: { Authorization: `Bearer ${operatorKey}` } })).json();
}

/** Signs in without a key, with a wrong one, and with the keyboard only. */
async function entry() {
  const response = await page.goto(`${url}/console`);
  const policy = response.headers()["content-security-policy"];
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe/);
  await page.getByRole("heading", { name: "My usage" }).waitFor();
  await picture("entry");
  await page.keyboard.press("Tab");
  assert.equal(await page.evaluate(() => document.activeElement.textContent), "Skip to the content");
  await act("Show my usage");
  assert.match(await section("caller-title").getByRole("alert").textContent(), /is missing/);
  expected = 2;
  await field(section("caller-title"), "API key").fill(callerKey.slice(0, -1));
  await page.keyboard.press("Enter");
  await page.getByText("This isn't the key of an active subscription.").waitFor();
  await field(section("operator-title"), "Entra ID token or operator key").fill("wrong");
  await page.keyboard.press("Enter");
  await page.getByText("This is neither the operator's key").waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "a refused key was kept");
}

/** Checks the caller's view and that it refreshes by itself. */
async function caller() {
  await field(section("caller-title"), "API key").fill(callerKey);
  await section("caller-title").getByRole("button").click();
  await page.getByRole("heading", { name: "team-a", level: 1 }).waitFor();
  const minute = page.getByRole("meter", { name: "This minute" });
  await page.waitForFunction(() => document.querySelector(".live").dataset.state === "on");
  const before = await minute.getAttribute("aria-valuetext");
  assert.equal(await chat(callerKey), 200);
  await page.waitForFunction((was) => document.querySelector("[role=meter]").getAttribute("aria-valuetext") !== was, before);
  assert.match(await minute.getAttribute("aria-valuetext"), /of 2,000 tokens$/);
  assert.match(await page.locator(".tile", { hasText: "Calls" }).textContent(), /^Calls[1-9]/);
  assert.match(await page.locator("figcaption").first().textContent(), /UTC/);
  await page.getByText("Show as a table").first().click();
  await page.locator("details[open] tbody tr").nth(100).waitFor({ state: "attached" }); // three hours have 180 minutes
  await page.getByText("Show as a table").first().click();
  await page.getByRole("radio", { name: "1 day" }).check();
  await page.getByRole("heading", { name: "Tokens by quarter of an hour" }).waitFor();
  await page.getByRole("radio", { name: "1 hour" }).check();
  await page.getByRole("heading", { name: "Tokens by minute" }).waitFor();
  await picture("caller");
  await page.getByLabel("Colours").selectOption("dark");
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 23, 26)");
  await page.reload();
  await page.getByRole("heading", { name: "team-a", level: 1 }).waitFor(); // the tab remembers
  assert.equal(await page.evaluate(() => getComputedStyle(document.body).backgroundColor), "rgb(16, 23, 26)");
  await page.getByLabel("Colours").selectOption("");
  await act("Sign out");
  await page.getByRole("heading", { name: "Operate" }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "signing out left the key");
}

/** What an operator sees and does. */
async function operator() {
  const form = section("operator-title");
  await field(form, "Entra ID token or operator key").fill(operatorKey);
  assert.equal(await form.getByLabel("Keep it until this tab is closed").isChecked(), false, "an operator's key is kept although its box is unchecked");
  await form.getByRole("button").click();
  await page.getByRole("heading", { name: "All subscriptions" }).waitFor();
  await section("top-title").getByRole("button", { name: "team-a", exact: true }).waitFor();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0, "a key that isn't to be kept was kept");
  await picture("operator");
  await section("top-title").getByRole("button", { name: "team-a", exact: true }).click();
  await dialog().locator("canvas").first().waitFor();
  await accessible("detail");
  await page.screenshot({ path: join(pictures, "detail.png") });
  await dialog().getByRole("button", { name: "Close" }).click();
  await search();
  await create();
  await change();
  await keys();
}

async function search() {
  const list = section("list-title");
  await field(list, "Search").fill("RESEARCH");
  await list.getByText("1 of 4 subscriptions").waitFor();
  await field(list, "Search").fill("");
  await field(list, "State").selectOption("suspended");
  await list.getByText("1 of 4 subscriptions").waitFor();
  await field(list, "State").selectOption("");
}

/** Reads the key that is shown, and leaves its dialog. */
async function shownKey() {
  const key = await dialog().locator("#made-key").textContent();
  assert.match(key, /^tg_[0-9A-Za-z]{38}$/);
  await dialog().getByRole("button", { name: "I have copied it" }).click();
  return key;
}

async function create() {
  await act("New subscription");
  await field(dialog(), "Tier").waitFor();
  await dialog().getByRole("textbox").first().fill("Bad Id");
  expected = 1;
  await dialog().getByRole("button", { name: "Create" }).click();
  await dialog().getByText("is not an id").waitFor();
  await accessible("create");
  await page.screenshot({ path: join(pictures, "create.png") });
  await dialog().getByRole("textbox").first().fill("new-one");
  await dialog().getByRole("button", { name: "Create" }).click();
  const key = await shownKey();
  await section("list-title").getByText("5 of 5 subscriptions").waitFor();
  assert.equal(await chat(key), 200, "the new key is refused");
}

async function change() {
  await act("Change tier of new-one");
  await page.keyboard.press("Escape"); // which changes nothing
  await page.getByRole("dialog").waitFor({ state: "detached" });
  await act("Change tier of new-one");
  await dialog().getByRole("combobox").selectOption("gold");
  await dialog().getByRole("button", { name: "Change tier" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal((await manage("/subscriptions/new-one")).tier, "gold");
  await act("Suspend new-one");
  await accessible("suspend");
  await page.screenshot({ path: join(pictures, "suspend.png") });
  await dialog().getByRole("button", { name: "Suspend" }).click();
  await page.getByRole("button", { name: "Resume new-one" }).waitFor();
  assert.equal((await manage("/subscriptions/new-one")).suspended, true);
  await act("Resume new-one");
  await dialog().getByRole("button", { name: "Resume" }).click();
  await page.getByRole("button", { name: "Suspend new-one" }).waitFor();
  await act("Change the limits of gold");
  await dialog().getByLabel("Burst tokens").fill("250");
  await dialog().getByRole("button", { name: "Change limits" }).click();
  await page.getByRole("dialog").waitFor({ state: "detached" });
  assert.equal((await manage("/tiers/gold")).burstTokens, 250);
  await section("audit-title").getByText("burstTokens 250").waitFor();
}

async function keys() {
  await act("Keys of new-one");
  await act("Rotate the primary key");
  await accessible("rotate");
  await dialog().getByRole("button", { name: "Rotate key" }).click();
  assert.equal(await chat(await shownKey()), 200, "the rotated key is refused");
  await dialog().getByText(/, expires /).waitFor(); // the old one
  await act("Create the secondary key");
  await dialog().getByRole("button", { name: "Create key" }).click();
  await shownKey();
  await accessible("keys");
  await page.screenshot({ path: join(pictures, "keys.png") });
  await act("Revoke the secondary key");
  await dialog().getByRole("button", { name: "Revoke key" }).click();
  await page.getByRole("button", { name: "Create the secondary key" }).waitFor();
  await dialog().getByRole("button", { name: "Done" }).click();
  assert.equal((await manage("/subscriptions/new-one")).keys.length, 2);
}

try {
  for (const part of [entry, caller, operator]) await part();
  assert.deepEqual(faults, []);
} catch (error) {
  await page.screenshot({ path: join(pictures, "failed.png"), fullPage: true });
  console.error(faults.join("\n"));
  throw error;
} finally {
  await context.close();
  rmSync(profile, { recursive: true, force: true });
}
