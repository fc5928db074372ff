// Tests the console's error cases in a real browser with made-up answers. It prints each
// case that fails, and why.
//
//   node trouble.mjs URL
import assert from "node:assert/strict";
import { chromium } from "playwright-core";

const url = process.argv[2];
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM_PATH, args: ["--no-sandbox", "--disable-gpu"] });
const long = "l".repeat(63);
const day = 24 * 3600_000;

/** What calls with two tokens each came to. */
const counts = (calls = 0, more = {}) => ({ calls, failed: 0, unknownUsage: 0, shadowed: 0, refused: 0, promptTokens: calls, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: calls, reasoningTokens: 0, totalTokens: 2 * calls, ...more });
const today = (later = 0) => new Date(Math.floor(Date.now() / day) * day + later).toISOString();
const minutesAgo = (n) => new Date(Math.floor(Date.now() / 60_000 - n) * 60_000).toISOString();
const history = (items) => ({ from: minutesAgo(60), to: minutesAgo(-1), by: "minute", items });

/** A page on a phone that gets the answers in this object until a case changes them. */
async function open(secret, script) {
  const page = await browser.newPage({ viewport: { width: 360, height: 800 } });
  page.setDefaultTimeout(30_000);
  if (script) await page.addInitScript(script);
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  const window = (limit, left) => ({ limit, used: limit - left, owed: 0, held: 0, left, startedAt: new Date(Date.now() - day / 24).toISOString(), resetAt: new Date(Date.now() + day).toISOString() });
  const standing = { counter: long, subscription: long, minute: window(100, 0), quota: window(300, 0), quotaPeriod: "Daily" };
  const s = { id: long, name: "N".repeat(256), tier: "t".repeat(63), version: 1 };
  const answers = {
    "GET /usage": { subscription: long, tier: "t".repeat(63), minute: window(100, 0), quota: window(300, 0), quotaPeriod: "Daily", total: counts(), models: [], minutes: [] },
    "GET /manage/me": { who: "an operator" },
    "GET /manage/usage": { items: [standing] },
    "GET /manage/usage/now": { minute: { from: new Date().toISOString(), ...counts() }, last: { from: new Date().toISOString(), ...counts(3) }, counters: 2, full: 1 },
    "GET /manage/usage/top": { from: today(), to: today(day), active: 2, total: counts(6), items: [{ subscription: long, standing, ...counts(5) }, { subscription: "small", ...counts(1) }] },
    "GET /manage/usage/history": history([]),
    "GET /manage/subscriptions": { items: [s, { id: "small", tier: "t", version: 1 }] },
    "GET /manage/tiers": { items: [{ id: "t".repeat(63), tokensPerMinute: 100, version: 1 }] },
    "GET /manage/audit": { items: [] },
    [`GET /manage/subscriptions/${long}`]: { ...s, keys: [] },
  };
  const asked = [];
  const hidden = { answers, asked, faults, down: false, slow: "" };
  await page.route(/\/(usage|manage)/, async (route) => {
    const request = route.request(), name = `${request.method()} ${new URL(request.url()).pathname}`;
    asked.push(name);
    if (hidden.down) return route.abort();
    while (hidden.slow === name) await new Promise((later) => setTimeout(later, 50));
    const answer = answers[name];
    if (answer === "broken") return route.continue(); // to a server that breaks off its answer
    if (answer === "page") return route.fulfill({ contentType: "text/html", body: "<p>Log in</p>" });
    if (answer?.status >= 400) return route.fulfill({ status: answer.status, json: answer });
    return answer ? route.fulfill({ json: answer }) : route.fulfill({ status: 201, json: {} });
  });
  await page.goto(`${url}/console/`);
  const key = page.getByLabel(secret, { exact: true });
  await key.fill("a secret");
  await key.press("Enter");
  await page.locator(".live[data-state=on]").waitFor();
  return Object.assign(page, hidden, { set: (now) => Object.assign(hidden, now) });
}

const caller = () => open("API key");
const operator = () => open("Entra ID token or operator key");
const act = (page, name) => page.getByRole("button", { name, exact: true }).click();
/** Waits until a button has the focus. */
const at = (page, name) => page.waitForFunction((name) => document.activeElement.tagName === "BUTTON" && document.activeElement.textContent === name, name);

/** Waits until the operator's view has refreshed. */
async function anew(page) {
  const was = await page.locator(".tile").first().elementHandle();
  await page.waitForFunction((tile) => !tile.isConnected, was);
}

async function narrow(page, what) {
  const beyond = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll("dialog")].map((e) => e.scrollWidth - e.clientWidth));
  assert.deepEqual(beyond.filter((px) => px > 0), [], `${what} is too wide`);
}

const cases = {
  async "long names are broken on a phone"() {
    await narrow(await caller(), "the caller's view");
    const page = await operator();
    for (const name of [long, `Keys of ${long}`, `Change tier of ${long}`, `Suspend ${long}`, `Change the limits of ${"t".repeat(63)}`]) {
      await act(page, name);
      await page.getByRole("dialog").waitFor();
      await narrow(page, name);
      await page.keyboard.press("Escape");
    }
  },
  async "the focus stays when lists are redrawn"() {
    const page = await operator();
    await page.getByRole("button", { name: "small", exact: true }).focus();
    await anew(page);
    await at(page, "small");
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await anew(page);
    await page.keyboard.press("Escape");
    await at(page, "small");
  },
  async "keys that can't be read are said to be"() {
    const page = await operator();
    page.set({ down: true });
    await act(page, `Keys of ${long}`);
    await page.getByRole("dialog").getByText("The gateway can't be reached.").waitFor();
  },
  async "a subscription created without its key is reported and listed"() {
    const page = await operator();
    page.answers["POST /manage/subscriptions/new/keys/primary"] = { status: 503, detail: "The tables can't be reached." };
    await act(page, "New subscription");
    await page.getByRole("dialog").getByRole("textbox").first().fill("new");
    page.answers["GET /manage/subscriptions"].items.push({ id: "new", tier: "t", version: 1 });
    await act(page, "Create");
    await page.getByText("The tables can't be reached.").waitFor();
    await act(page, "Close");
    await page.getByRole("button", { name: "Keys of new" }).waitFor();
  },
  async "a number that can't be read removes no limit"() {
    const page = await operator();
    await act(page, `Change the limits of ${"t".repeat(63)}`);
    await page.getByLabel("Tokens a minute").fill("");
    await page.getByLabel("Tokens a minute").pressSequentially("1e");
    await act(page, "Change limits");
    await page.getByRole("alert").getByText("Tokens a minute").waitFor();
    assert.ok(!page.asked.some((name) => name.startsWith("PATCH")), "the change was sent");
  },
  async "an answer that breaks off is the gateway's, not the page's"() {
    const page = await caller();
    page.answers["GET /usage"] = "broken";
    await page.locator(".live[data-state=off]").waitFor();
    assert.equal(await page.locator(".live").textContent(), "The gateway can't be reached.");
  },
  async "an answer of another server is an error"() {
    const page = await operator();
    page.answers[`GET /manage/subscriptions/${long}`].keys = [{ slot: "primary", created: new Date().toISOString() }];
    page.answers[`DELETE /manage/subscriptions/${long}/keys/primary`] = "page";
    await act(page, `Keys of ${long}`);
    await act(page, "Revoke the primary key");
    await act(page, "Revoke key");
    await page.getByRole("alert").getByText("isn't the gateway's").waitFor();
  },
  async "choosing a time while the gateway is unreachable shows an error"() {
    const page = await caller();
    page.set({ down: true });
    await page.getByRole("radio", { name: "1 day" }).check();
    await page.locator(".live[data-state=off]").waitFor();
    assert.deepEqual(page.faults, []);
  },
  async "screen readers hear when the gateway goes and returns, but not each refresh"() {
    const page = await caller();
    assert.equal(await page.locator(".live").getAttribute("role"), null);
    page.set({ down: true });
    await page.locator("#announce").getByText("The gateway can't be reached.").waitFor();
    page.set({ down: false });
    await page.locator("#announce").getByText("Live").waitFor();
  },
  async "a browser that keeps nothing shows the page"() {
    await open("API key", () => {
      for (const where of ["localStorage", "sessionStorage"]) Object.defineProperty(window, where, { get: () => { throw new DOMException("denied", "SecurityError"); } });
    });
  },
  async "a quota that is used up is not nothing yet"() {
    const page = await caller();
    await page.getByLabel("Quota left").getByText("Nothing is left.").waitFor();
  },
  async "a forecast is at the faster of the period's pace and that of the last 15 minutes"() {
    const page = await caller();
    const said = await page.evaluate(async (day) => {
      const { forecast } = await import("./quota.js");
      const now = Date.UTC(2026, 0, 2, 12), quota = { limit: 1000, used: 500, held: 0, left: 500, startedAt: new Date(now - day / 2), resetAt: new Date(now + day / 2) };
      return [forecast(quota, 0, now), forecast(quota, 100, now), forecast({ ...quota, left: 499 }, 0, now), forecast({ ...quota, used: 0 }, 0, now), forecast({ ...quota, left: 0 }, 0, now), forecast({ ...quota, left: 0, held: 40 }, 0, now), forecast(quota, undefined, now)];
    }, day);
    for (const [i, want] of [/this period's pace it lasts until it resets/, /the last 15 minutes it is used up by 2 Jan 2026, 13:15 UTC/, /this period's pace it is used up by .*, before it resets/, /^500 tokens left until/, /^Used up until/, /^Gateways hold the last 40 tokens/, /this period's pace it lasts/].entries()) assert.match(said[i], want);
  },
  async "what is left of a quota begins full at the last reset, and is nothing while nothing is left"() {
    const page = await caller();
    const [since, blocked, part] = await page.evaluate(async () => {
      const { leftOver, begins } = await import("./quota.js");
      const minute = 60_000, now = 30_000_000 * minute, quota = { limit: 100, left: 40, startedAt: new Date(now - 3 * minute) };
      const used = (ago, totalTokens) => ({ minute: new Date(now - ago * minute), totalTokens });
      const curve = (spans, quota, from) => leftOver(spans, quota, begins(quota, from), minute, now).map((p) => p.left).join();
      return [curve([used(3, 50), used(1, 10)], quota, now - 60 * minute), curve([used(3, 100)], { ...quota, left: 0 }, now - 60 * minute), curve([used(1, 10)], quota, now - 2 * minute)];
    });
    assert.equal(since, "100,50,50,40,40"); // the reset, each minute after it, the running one, and now
    assert.equal(blocked, "100,0,0,0,0");
    assert.equal(part, "50,50,40,40");
  },
  async "calls that a limit in shadow would have refused aren't called refused"() {
    const page = await caller();
    const minute = counts(72, { minute: minutesAgo(1), shadowed: 72 });
    Object.assign(page.answers["GET /usage"], { total: counts(72, { shadowed: 72 }), minutes: [minute] });
    await page.getByText("No call was refused. 72 calls would have been refused, were their limits not in shadow.").waitFor();
    assert.equal(await page.getByText(/\d calls were refused/).count(), 0);
  },
  async "refusals are named by limit"() {
    const page = await caller();
    Object.assign(page.answers["GET /usage"], { total: counts(0, { refused: 5 }), minutes: [counts(0, { minute: minutesAgo(1), refused: 5, refusedBy: { tokens: 4, calls: 1 } })] });
    await page.getByText("5 calls were refused by a limit: 4 by tokens, 1 by calls.").waitFor();
  },
  async "a load that fails says so in its card, and never that nothing was used"() {
    const page = await operator();
    page.answers["GET /manage/usage/history"] = page.answers["GET /manage/usage/top"] = { status: 503, detail: "The tables can't be reached." };
    await page.getByRole("radio", { name: "1 day" }).check();
    for (const card of ["Tokens", "Refusals", "Top subscriptions today"]) await page.getByRole("region", { name: card, exact: true }).getByText("This can't be shown. The tables can't be reached.").waitFor();
    assert.equal(await page.getByText(/No tokens|No call/).locator("visible=true").count(), 0);
    await page.getByRole("region", { name: "Subscriptions", exact: true }).getByRole("button", { name: "Keys of small" }).waitFor(); // the others go on
    await page.locator(".live[data-state=off]").waitFor();
  },
  async "a load that fails later says how old what it shows is"() {
    const page = await caller();
    page.set({ down: true });
    await page.getByRole("region", { name: "Tokens", exact: true }).getByText(/^Not up to date: this is from .* UTC\. The gateway can't be reached\.$/).waitFor();
  },
  async "a slow load shows that it waits, and nothing of the range before"() {
    const page = await operator();
    page.set({ slow: "GET /manage/usage/history" });
    await page.getByRole("radio", { name: "30 days" }).check();
    const card = page.getByRole("region", { name: "Tokens", exact: true });
    await card.getByText("Loading takes longer than usual").waitFor();
    assert.equal(await card.locator("figure").locator("visible=true").count(), 0);
    assert.equal(await page.getByText(/No tokens|No call/).locator("visible=true").count(), 0);
    page.set({ slow: "" });
    await card.getByRole("heading", { name: "Tokens by day" }).waitFor();
  },
  async "an answer without what was used shows the limits, and that the rest isn't known"() {
    const page = await caller();
    page.answers["GET /usage"].problem = "What was used can't be read just now.";
    await page.getByRole("radio", { name: "1 day" }).check();
    await page.getByRole("region", { name: "Tokens", exact: true }).getByText("This can't be shown. What was used can't be read just now.").waitFor();
    await page.getByRole("meter", { name: "This minute" }).waitFor();
    assert.equal(await page.getByText(/No tokens|No call/).locator("visible=true").count(), 0);
  },
  async "a quota that others share has a forecast, and no curve of the caller's alone"() {
    const page = await caller();
    page.answers["GET /usage"].counted = { counterKey: "{client-ip}", shared: true };
    page.answers["GET /usage"].quota = { limit: 300, used: 10, owed: 0, held: 0, left: 290, startedAt: minutesAgo(60), resetAt: minutesAgo(-1000) };
    await page.getByRole("region", { name: "Quota left" }).getByText("At this period's pace it lasts until it resets").waitFor();
    assert.equal(await page.getByRole("region", { name: "Quota left" }).locator("canvas").locator("visible=true").count(), 0);
  },
  async "a minute that has ended is looked up at once"() {
    const page = await operator();
    page.asked.length = 0;
    await page.evaluate(() => { // another minute, and not half a minute later, when it looks anyway
      const now = Date.now;
      Date.now = () => now() - 60_000;
    });
    await anew(page);
    if (!page.asked.includes("GET /manage/usage/history")) await anew(page); // the first look had begun before
    assert.ok(page.asked.includes("GET /manage/usage/history"), page.asked.join());
  },
};

// Four at a time: more pages than that start slowly.
const left = Object.entries(cases);
await Promise.all([1, 2, 3, 4].map(async () => {
  for (let next = left.shift(); next; next = left.shift()) await next[1]().catch((error) => console.log(`${next[0]}: ${error.message}`));
}));
await browser.close();
