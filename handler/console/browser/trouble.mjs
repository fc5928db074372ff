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

/** A page on a phone that gets the answers in this object until a case changes them. */
async function open(secret, script) {
  const page = await browser.newPage({ viewport: { width: 360, height: 800 } });
  page.setDefaultTimeout(30_000);
  if (script) await page.addInitScript(script);
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  const window = (limit, left) => ({ limit, used: limit - left, left, resetAt: new Date(Date.now() + day).toISOString() });
  const used = { from: new Date().toISOString(), subscription: long, promptTokens: 1, completionTokens: 2, totalTokens: 3, requests: 1, refused: 0 };
  const s = { id: long, name: "N".repeat(256), tier: "t".repeat(63), version: 1 };
  const answers = {
    "GET /usage": { subscription: long, tier: "t".repeat(63), minute: window(100, 0), quota: window(300, 0), quotaPeriod: "Daily", minutes: [] },
    "GET /manage/me": { who: "an operator" },
    "GET /manage/usage": { items: [{ counter: long, minute: window(100, 0), quota: window(300, 0) }, { counter: "small" }] },
    "GET /manage/usage/history": { from: new Date().toISOString(), items: [used] },
    "GET /manage/subscriptions": { items: [s, { id: "small", tier: "t", version: 1 }] },
    "GET /manage/tiers": { items: [{ id: "t".repeat(63), tokensPerMinute: 100, version: 1 }] },
    "GET /manage/audit": { items: [] },
    [`GET /manage/subscriptions/${long}`]: { ...s, keys: [] },
  };
  const asked = [];
  const hidden = { answers, asked, faults, down: false };
  await page.route(/\/(usage|manage)/, async (route) => {
    const request = route.request(), name = `${request.method()} ${new URL(request.url()).pathname}`;
    asked.push(name);
    if (hidden.down) return route.abort();
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
  async "a rate is of a whole hour at least, however long a point is"() {
    const page = await caller();
    const said = await page.evaluate(async (day) => {
      const { lasts } = await import("./caller.js");
      const now = Date.now(), at = Math.floor(now / day) * day;
      const points = [at - day, at].map((at) => ({ at, promptTokens: 240, completionTokens: 0 }));
      return lasts(points, { left: 240, limit: 1000, resetAt: new Date(now + 30 * day).toISOString() });
    }, day);
    assert.match(said, /is used up by/);
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

await Promise.all(Object.entries(cases).map(([name, test]) => test().catch((error) => console.log(`${name}: ${error.message}`))));
await browser.close();
