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

/** Returns the usage of calls with two tokens each. */
const counts = (calls = 0, more = {}) => ({ calls, failed: 0, unknownUsage: 0, shadowed: 0, refused: 0, unpriced: 0, cost: "0", promptTokens: calls, cachedTokens: 0, cacheWriteTokens: 0, completionTokens: calls, reasoningTokens: 0, totalTokens: 2 * calls, ...more });
const today = (later = 0) => new Date(Math.floor(Date.now() / day) * day + later).toISOString();
const minutesAgo = (n) => new Date(Math.floor(Date.now() / 60_000 - n) * 60_000).toISOString();
const history = (items) => ({ from: minutesAgo(60), to: minutesAgo(-1), by: "minute", items });

/** Opens the console on a phone. It gets the answers below until a case changes them. */
async function open(secret, script) {
  const page = await browser.newPage({ viewport: { width: 360, height: 800 } });
  page.setDefaultTimeout(30_000);
  if (script) await page.addInitScript(script);
  const faults = [];
  page.on("pageerror", (error) => faults.push(error.message));
  const window = (limit, left) => ({ limit, used: limit - left, owed: 0, held: 0, left, startedAt: new Date(Date.now() - day / 24).toISOString(), resetAt: new Date(Date.now() + day).toISOString() });
  const windows = { minute: window(100, 0), quota: window(300, 0), quotaPeriod: "Daily" };
  const limit = { name: "tokens", unit: "tokens", perMinute: 100, quota: 300, period: "Daily" };
  const standing = { counter: `${long}/tokens`, subscription: long, limit: "tokens", unit: "tokens", ...windows };
  const s = { id: long, name: "N".repeat(256), tier: "t".repeat(63), version: 1 };
  const answers = {
    "GET /usage": { subscription: long, tier: "t".repeat(63), ...windows, limits: [{ name: "tokens", unit: "tokens", tier: "t".repeat(63), ...windows }], total: counts(), models: [], minutes: [] },
    "GET /manage/me": { who: "an operator" },
    "GET /manage/usage": { items: [standing] },
    "GET /manage/usage/now": { minute: { from: new Date().toISOString(), ...counts() }, last: { from: new Date().toISOString(), ...counts(3) }, counters: 2, full: 1 },
    "GET /manage/usage/top": { from: today(), to: today(day), active: 2, total: counts(6), items: [{ subscription: long, limits: [standing], ...counts(5) }, { subscription: "small", ...counts(1) }] },
    "GET /manage/usage/history": history([]),
    "GET /manage/subscriptions": { items: [s, { id: "small", tier: "t", version: 1 }] },
    "GET /manage/tiers": { items: [{ id: "t".repeat(63), limits: [limit], version: 1 }] },
    "GET /manage/groups": { items: [{ id: "g".repeat(63), name: "G".repeat(256), limits: [limit], version: 1 }] },
    [`GET /manage/groups/${"g".repeat(63)}`]: { id: "g".repeat(63), name: "G".repeat(256), limits: [limit], version: 1 },
    [`GET /manage/tiers/${"t".repeat(63)}`]: { id: "t".repeat(63), limits: [limit], version: 1 },
    "GET /manage/prices": { items: [{ model: "m".repeat(100), from: "2026-01-01", prompt: "1", completion: "2", source: "s".repeat(200), version: 1 }] },
    [`GET /manage/prices/${"m".repeat(100)}/2026-01-01`]: { model: "m".repeat(100), from: "2026-01-01", prompt: "1", completion: "2", version: 1 },
    "GET /manage/prices/currency": { currency: "USD", version: 1 },
    "GET /manage/prices/check": { items: [{ model: "m".repeat(100), kind: "unpriced", problem: "has no price", fix: "set it" }] },
    "GET /manage/audit": { items: [] },
    [`GET /manage/subscriptions/${long}`]: { ...s, rules: { limits: [limit] }, keys: [] },
  };
  const asked = [];
  const hidden = { answers, asked, faults, down: false, slow: "" };
  await page.route(/^[a-z]+:\/\/[^/]+\/(usage|manage)/, async (route) => {
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
/** Waits until a button or link has the focus. */
const focused = (page, name) => page.waitForFunction((name) => document.activeElement.matches("button, a") && document.activeElement.textContent === name, name);

/** Waits until an operator's page has redrawn what a selector finds. */
async function redrawn(page, selector = ".tile") {
  const was = await page.locator(selector).first().elementHandle();
  await page.waitForFunction((tile) => !tile.isConnected, was);
}

/** Opens a page of the operator's. */
async function visit(page, path, heading) {
  await page.evaluate((path) => { location.hash = path; }, `#/${path}`);
  await page.getByRole("heading", { name: heading, level: 1 }).waitFor();
  await page.getByText("Loading").locator("visible=true").first().waitFor({ state: "detached" });
}

/** Checks that nothing is wider than the screen. */
async function fits(page, what) {
  const beyond = await page.evaluate(() => [document.documentElement, ...document.querySelectorAll("dialog")].map((e) => e.scrollWidth - e.clientWidth));
  assert.deepEqual(beyond.filter((px) => px > 0), [], `${what} is too wide`);
}

const cases = {
  async "long names are broken on a phone"() {
    await fits(await caller(), "the caller's view");
    const page = await operator();
    await fits(page, "the overview");
    for (const [path, heading, ...dialogs] of [["subscriptions", "Subscriptions", `Edit ${long}`, `Keys of ${long}`, `Suspend ${long}`], [`subscriptions/${long}`, long, `Edit ${long}`], ["groups", "Groups", `Edit ${"g".repeat(63)}`, `Delete ${"g".repeat(63)}`],
      [`groups/${"g".repeat(63)}`, "g".repeat(63)], ["tiers", "Tiers", `Edit ${"t".repeat(63)}`], [`tiers/${"t".repeat(63)}`, "t".repeat(63)], ["prices", "Prices", `Change the price of ${"m".repeat(100)} from 2026-01-01`], ["changes", "Latest changes"]]) {
      await visit(page, path, heading);
      await fits(page, path);
      for (const name of dialogs) {
        await act(page, name);
        await page.getByRole("dialog").waitFor();
        await fits(page, name);
        await page.keyboard.press("Escape");
        await page.getByRole("dialog").waitFor({ state: "detached" });
      }
    }
    assert.deepEqual(page.faults, []);
  },
  async "the focus stays when limits are redrawn"() {
    const page = await operator();
    await visit(page, `subscriptions/${long}`, long);
    await page.locator(".limit-bar").getByRole("link", { name: "t".repeat(63) }).focus();
    await redrawn(page, ".limit-bar");
    await focused(page, "t".repeat(63));
    await page.getByRole("button", { name: `Edit ${long}`, exact: true }).focus();
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await redrawn(page, ".limit-bar");
    await page.keyboard.press("Escape");
    await focused(page, "Edit");
  },
  async "a dialog says that keys can't be read"() {
    const page = await operator();
    await visit(page, "subscriptions", "Subscriptions");
    page.set({ down: true });
    await act(page, `Keys of ${long}`);
    await page.getByRole("dialog").getByText("The gateway can't be reached.").waitFor();
  },
  async "a subscription created without its key is reported and listed"() {
    const page = await operator();
    page.answers["POST /manage/subscriptions/new/keys/primary"] = { status: 503, detail: "The tables can't be reached." };
    await visit(page, "subscriptions", "Subscriptions");
    await act(page, "New subscription");
    await page.getByRole("dialog").getByRole("textbox").first().fill("new");
    page.answers["GET /manage/subscriptions"].items.push({ id: "new", tier: "t", version: 1 });
    await act(page, "Create");
    await page.getByText("The tables can't be reached.").waitFor();
    await act(page, "Close");
    await page.getByRole("button", { name: "Keys of new" }).waitFor();
  },
  async "a number that can't be read is sent as it is, and removes no limit"() {
    const page = await operator();
    const name = `PATCH /manage/tiers/${"t".repeat(63)}`;
    page.answers[name] = { status: 422, code: "invalid", detail: "limits.tokens.perMinute is not a whole number", errors: [{ field: "limits.tokens.perMinute", problem: "is not a whole number", fix: "use a whole number, such as 1000" }] };
    await visit(page, "tiers", "Tiers");
    await act(page, `Edit ${"t".repeat(63)}`);
    await page.getByLabel("Per minute").fill("1e");
    const sent = page.waitForRequest((request) => request.method() === "PATCH");
    await act(page, "Save");
    assert.deepEqual((await sent).postDataJSON().limits, [{ name: "tokens", unit: "tokens", perMinute: "1e", quota: 300, period: "Daily" }]);
    await page.getByText("Per minute is not a whole number: use a whole number, such as 1000.").waitFor();
    assert.equal(await page.getByLabel("Per minute").getAttribute("aria-invalid"), "true");
    assert.equal(await page.getByLabel("Per minute").inputValue(), "1e");
  },
  async "what can't be read can't be edited, and the page says so"() {
    const page = await operator();
    await visit(page, "tiers", "Tiers");
    page.answers[`GET /manage/tiers/${"t".repeat(63)}`] = { status: 503, detail: "The tables can't be reached." };
    await act(page, `Edit ${"t".repeat(63)}`);
    await page.getByRole("dialog").getByText("The tables can't be reached.").waitFor();
    await act(page, "Close");
    await act(page, `Delete ${"t".repeat(63)}`);
    await page.getByRole("dialog").getByText("The tables can't be reached.").waitFor();
    assert.deepEqual(page.faults, []);
  },
  async "an error of a field that the form lacks is shown in the dialog"() {
    const page = await operator();
    page.answers[`PATCH /manage/tiers/${"t".repeat(63)}`] = { status: 422, code: "invalid", detail: "more", errors: [{ field: "somethingElse", problem: "is wrong", fix: "mend it" }] };
    await visit(page, "tiers", "Tiers");
    await act(page, `Edit ${"t".repeat(63)}`);
    await act(page, "Save");
    await page.getByRole("alert").getByText("somethingElse is wrong: mend it.").waitFor();
  },
  async "an operator can discard a change and edit another operator's instead"() {
    const page = await operator();
    const id = "t".repeat(63), changed = { id, limits: [{ name: "theirs", unit: "calls", perMinute: 7 }], version: 2 };
    page.answers[`PATCH /manage/tiers/${id}`] = { status: 412, code: "stale", detail: "was changed meanwhile" };
    await visit(page, "tiers", "Tiers");
    await act(page, `Edit ${id}`);
    await page.getByLabel("Per minute").fill("42");
    page.answers[`GET /manage/tiers/${id}`] = changed;
    await act(page, "Save");
    await page.getByText("theirs: 7 calls a minute").waitFor();
    assert.equal(await page.getByLabel("Per minute").inputValue(), "42");
    await act(page, "Discard mine, edit theirs");
    await page.getByRole("group", { name: "theirs", exact: true }).waitFor();
    assert.equal(await page.getByLabel("Per minute").inputValue(), "7");
    delete page.answers[`PATCH /manage/tiers/${id}`];
    const sent = page.waitForRequest((request) => request.method() === "PATCH");
    await act(page, "Save");
    assert.equal((await sent).headers()["if-match"], '"2"');
  },
  async "each limit gets the counters that are its own"() {
    const page = await operator();
    const items = await page.evaluate(async () => {
      const { itemsOf } = await import("./bars.js");
      const w = (left) => ({ limit: 100, used: 100 - left, held: 0, owed: 0, left }), s = (counter, limit, owner, left = 50, more = {}) => ({ counter, limit, unit: "tokens", ...owner, minute: w(left), ...more });
      const of = { id: "a", group: "lab" }, tier = { tier: "gold" }, own = { subscription: "a" };
      const said = (limits, owner, standings, whose = of) => itemsOf(limits, owner, standings, whose).map((i) => [i.name, i.idle ? "idle" : i.minute.left, i.parts ?? "", i.shared].join("|"));
      const l = (counterKey, more = {}) => [{ name: "tokens", unit: "tokens", perMinute: 100, counterKey, ...more }];
      return [
        said(l(), tier, [s("a/tokens", "tokens", own), s("b/tokens", "tokens", { subscription: "b" }), s("a/tokens", "Tokens", own, 1, { gone: true })]),
        said(l(), tier, [s("a/tokens.calls", "tokens", own, 5, { unit: "calls" })]),
        said(l("{subscription}/{model}"), tier, [s("a/tokens/model=x%2Fy", "tokens", own, 9), s("a/tokens/model=%FF", "tokens", own, 3)]),
        said(l("{client-ip}"), tier, [s("gold:tokens/client-ip=::1", "tokens", { tier: "gold" })]),
        said(l("{group}"), tier, [s("gold:tokens/group=lab", "tokens", { tier: "gold" }), s("gold:tokens/group=other", "tokens", { tier: "gold" })]),
        said(l("{group}/{subscription}"), { group: "org" }, [s("org@tokens/subscription=a", "tokens", { group: "org" }), s("org@tokens/subscription=b", "tokens", { group: "org" }), s("lab@tokens", "tokens", { group: "lab" })]),
        said(l("{model}"), tier, Array.from({ length: 11 }, (_, i) => s(`gold:tokens/model=m${i}`, "tokens", { tier: "gold" }, 90 - i))).slice(-1),
        said(l(), tier, [s("a/tokens", "tokens", own), s("b/tokens", "tokens", { subscription: "b" }, 10)], null),
      ];
    });
    assert.deepEqual(items, [["tokens|50||"], ["tokens|idle||"], ["tokens|3|model %FF|", "tokens|9|model x/y|"], ["tokens|50|client-ip ::1|Shared by the tier"], ["tokens|50|group lab|Shared by the tier"], ["tokens|50||"],
      ["tokens|87|model m3; 3 other counters have more left|Shared by the tier"], ["tokens|10|subscription b|", "tokens|50|subscription a|"]]);
  },
  async "a debt, what is held and what is used up have words and signs of their own"() {
    const page = await operator();
    const said = await page.evaluate(async () => {
      const { stateOf } = await import("./bars.js");
      return [[100, 10, 0, 90, 0], [100, 80, 0, 20, 0], [100, 60, 40, 0, 0], [100, 100, 0, 0, 0], [100, 100, 0, 0, 30], ["2.50", "2.499999999", "0", "0.000000001", "0"]].map(([limit, used, held, left, owed]) => {
        const { sign, words } = stateOf({ limit, used, held, left, owed }, typeof limit === "string" ? "cost" : "calls");
        return `${sign} ${words}`;
      });
    });
    assert.deepEqual(said, ["✓ 10% used", "! 80% used", "! Rest is held", "✕ Used up", "▲ Owes 30 calls", "! 99% used"]);
  },
  async "costs are added up exactly"() {
    const page = await operator();
    page.answers["GET /manage/usage/history"] = history([counts(1, { from: minutesAgo(2), model: "a", cost: "0.100000001" }), counts(1, { from: minutesAgo(2), model: "b", cost: "9007199254740993.000000002", unpriced: 3 })]);
    page.answers["GET /manage/usage/top"].items[0].cost = page.answers["GET /manage/usage/top"].total.cost = "12.345";
    await page.getByRole("radio", { name: "1 day" }).check();
    await page.locator("summary", { hasText: "By model" }).click();
    await page.getByRole("cell", { name: "12.34 USD" }).waitFor();
    const exact = await page.evaluate(async () => (await import("./amounts.js")).addUp(["0.100000001", "9007199254740993.000000002", "-0.000000003"]));
    assert.equal(exact, "9007199254740993.1");
    const said = await page.evaluate(async () => { const { money, moneyInFull, amount } = await import("./amounts.js"); return [money("0.000012345"), money("1234.569"), money("0"), moneyInFull("1234.5"), amount(1, "calls")]; });
    assert.deepEqual(said, ["0.0000123 USD", "1,234.56 USD", "0.00 USD", "1,234.50 USD", "1 call"]);
  },
  async "the currency is set where none is"() {
    const page = await operator();
    page.answers["GET /manage/prices/currency"] = { currency: "" };
    await visit(page, "prices", "Prices");
    await act(page, "Set the currency");
    await page.getByLabel("Code").fill("EUR");
    const sent = page.waitForRequest((request) => request.method() === "PUT");
    await act(page, "Set currency");
    assert.deepEqual((await sent).postDataJSON(), { currency: "EUR" });
  },
  async "where nothing cost anything, no cost is shown"() {
    const page = await operator();
    await page.locator("summary", { hasText: "By model" }).click();
    assert.equal(await page.getByText(/Cost|USD/).locator("visible=true").count(), 0);
  },
  async "an answer that breaks off is reported as a failure of the gateway, not of the page"() {
    const page = await caller();
    page.answers["GET /usage"] = "broken";
    await page.locator(".live[data-state=off]").waitFor();
    assert.equal(await page.locator(".live").textContent(), "The gateway can't be reached.");
  },
  async "an answer of another server is an error"() {
    const page = await operator();
    page.answers[`GET /manage/subscriptions/${long}`].keys = [{ slot: "primary", created: new Date().toISOString() }];
    page.answers[`DELETE /manage/subscriptions/${long}/keys/primary`] = "page";
    await visit(page, "subscriptions", "Subscriptions");
    await act(page, `Keys of ${long}`);
    await act(page, "Revoke the primary key");
    await act(page, "Revoke key");
    await page.getByRole("alert").getByText("didn't come from the gateway").waitFor();
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
  async "the page works in a browser that denies storage"() {
    await open("API key", () => {
      for (const where of ["localStorage", "sessionStorage"]) Object.defineProperty(window, where, { get: () => { throw new DOMException("denied", "SecurityError"); } });
    });
  },
  async "a chart of a quota that is used up says that nothing is left"() {
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
    await redrawn(page); // the others go on
    await page.locator(".live[data-state=off]").waitFor();
  },
  async "a load that fails later says how old what it shows is"() {
    const page = await caller();
    page.set({ down: true });
    await page.getByRole("region", { name: "Tokens", exact: true }).getByText(/^Not up to date: this is from .* UTC\. The gateway can't be reached\.$/).waitFor();
  },
  async "a slow load says so, and shows nothing of the range chosen before"() {
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
  async "an answer without usage shows the limits, and that the usage is unknown"() {
    const page = await caller();
    page.answers["GET /usage"].problem = "What was used can't be read just now.";
    await page.getByRole("radio", { name: "1 day" }).check();
    await page.getByRole("region", { name: "Tokens", exact: true }).getByText("This can't be shown. What was used can't be read just now.").waitFor();
    await page.getByRole("meter", { name: "tokens: this minute" }).waitFor();
    assert.equal(await page.getByText(/No tokens|No call/).locator("visible=true").count(), 0);
  },
  async "a quota shared with others has a forecast, but no curve"() {
    const page = await caller();
    page.answers["GET /usage"].limits[0].counted = { counterKey: "{client-ip}", shared: true, parts: { "client-ip": "192.0.2.7" } };
    page.answers["GET /usage"].quota = { limit: 300, used: 10, owed: 0, held: 0, left: 290, startedAt: minutesAgo(60), resetAt: minutesAgo(-1000) };
    await page.getByRole("region", { name: "Quota left" }).getByText("At this period's pace it lasts until it resets").waitFor();
    assert.equal(await page.getByRole("region", { name: "Quota left" }).locator("canvas").locator("visible=true").count(), 0);
    await page.getByText("Shared with others of the tier").waitFor();
    await page.getByText("client-ip 192.0.2.7").waitFor();
  },
  async "when a minute ends, the charts load at once"() {
    const page = await operator();
    page.asked.length = 0;
    await page.evaluate(() => { // another minute, but not half a minute later, when it loads anyway
      const now = Date.now;
      Date.now = () => now() - 120_000; // not the minute before: meanwhile another may have begun
    });
    await redrawn(page);
    if (!page.asked.includes("GET /manage/usage/history")) await redrawn(page); // the first load had begun before
    assert.ok(page.asked.includes("GET /manage/usage/history"), page.asked.join());
  },
};

// Four cases run at a time: more pages start slowly.
const left = Object.entries(cases);
await Promise.all([1, 2, 3, 4].map(async () => {
  for (let next = left.shift(); next; next = left.shift()) await next[1]().catch((error) => console.log(`${next[0]}: ${error.message}`));
}));
await browser.close();
