// Drives the console in a real browser, and checks what must hold on every page.
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, mkdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { chromium } from "playwright-core";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const devices = [["light", "desk", 1280, 900], ["dark", "desk", 1280, 900], ["light", "phone", 390, 844], ["dark", "phone", 390, 844]];

/** Starts a browser. url is the gateway's, pictures the folder of screenshots. */
export async function drive(url, operatorKey, pictures) {
  mkdirSync(pictures, { recursive: true });
  const profile = mkdtempSync(join(tmpdir(), "console-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM_PATH,
    headless: true, viewport: { width: 1280, height: 900 }, colorScheme: "light", locale: "en-GB", timezoneId: "America/New_York",
    args: ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"],
  });
  return new Driver(context, profile, url, operatorKey, pictures);
}

class Driver {
  constructor(context, profile, url, operatorKey, pictures) {
    Object.assign(this, { context, profile, url, operatorKey, pictures, faults: [], expected: 0 }); // expected: the number of refusals that a test provokes, which the browser logs as errors
    this.page = context.pages()[0];
    this.page.setDefaultTimeout(60_000);
    // Requests to other hosts, script errors and policy violations are faults.
    this.page.on("request", (request) => {
      if (!request.url().startsWith(url) && !request.url().startsWith("data:")) this.faults.push(`requested ${request.url()}`);
    });
    this.page.on("pageerror", (error) => this.faults.push(`threw ${error.stack}`));
    this.page.on("console", (message) => {
      if (message.type() !== "error") return;
      if (this.expected > 0 && /status of 4\d\d/.test(message.text())) this.expected -= 1;
      else this.faults.push(`logged ${message.text()} at ${message.location().url}`);
    });
  }

  /** Runs parts of a test one after the other, and saves a picture of a failure. */
  async run(...parts) {
    try {
      for (const part of parts) await part();
      assert.deepEqual(this.faults, []);
    } catch (error) {
      await this.page.screenshot({ path: join(this.pictures, "failed.png"), fullPage: true });
      console.error(this.faults.join("\n"));
      throw error;
    } finally {
      await this.context.close();
      rmSync(this.profile, { recursive: true, force: true });
    }
  }

  /** Fails if axe finds accessibility faults in the current view. */
  async accessible(view) {
    await this.page.evaluate(axe);
    const found = await this.page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
    assert.deepEqual(found.violations.map((v) => `${view}: ${v.id}: ${v.nodes.map((n) => `${n.target} ${n.failureSummary}`).join("; ")}`), []);
  }

  /** Takes screenshots of a view in both schemes, on a desktop and a phone, and checks each. */
  async picture(view) {
    for (const [scheme, device, width, height] of devices) {
      await this.page.emulateMedia({ colorScheme: scheme });
      await this.page.setViewportSize({ width, height });
      await this.page.waitForFunction((want) => document.documentElement.dataset.scheme === want, scheme);
      await this.page.evaluate(() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn))));
      const beyond = await this.page.evaluate(() => Math.max(...[document.documentElement, ...document.querySelectorAll("dialog")].map((e) => e.scrollWidth - e.clientWidth)));
      assert.equal(beyond, 0, `${view} on a ${device} is ${beyond} px too wide`);
      if (device === "desk" || scheme === "light") await this.accessible(`${view}, ${scheme}, ${device}`);
      await this.page.screenshot({ path: join(this.pictures, `${view}-${device}-${scheme}.png`), fullPage: true });
    }
    await this.page.emulateMedia({ colorScheme: "light" });
    await this.page.setViewportSize({ width: 1280, height: 900 });
  }

  /** Takes one screenshot of a view, and checks it. */
  async shot(view) {
    await this.accessible(view);
    await this.page.screenshot({ path: join(this.pictures, `${view}.png`) });
  }

  /** Clicks a button. */
  act(name) {
    return this.page.getByRole("button", { name, exact: true }).click();
  }

  get dialog() {
    return this.page.getByRole("dialog").last();
  }

  /** Clicks a button of the dialog, and waits until it has closed. */
  async done(name) {
    await this.dialog.getByRole("button", { name, exact: true }).click();
    await this.page.getByRole("dialog").waitFor({ state: "detached" });
  }

  /** Opens one of the operator's pages. */
  async open(name, heading = name) {
    await this.page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name, exact: true }).click();
    await this.page.getByRole("heading", { name: heading, level: 1 }).waitFor();
  }

  section(name) {
    return this.page.locator(`section[aria-labelledby="${name}"]`);
  }

  async chat(key, content = "Can you tell me the time, please?") {
    const answer = await fetch(`${this.url}/openai/v1/chat/completions`, { method: "POST", headers: { "api-key": key, "Content-Type": "application/json" },
      body: JSON.stringify({ model: "DeepSeek-R1", messages: [{ role: "user", content }] }) });
    await answer.arrayBuffer();
    return answer.status;
  }

  /** Makes a request to /manage and returns the answer. */
  async manage(path, method = "GET", body = undefined) {
    const answer = await fetch(`${this.url}/manage${path}`, { method, headers: { Authorization: `Bearer ${this.operatorKey}`, "Content-Type": method === "PATCH" ? "application/merge-patch+json" : "application/json" }, body: body && JSON.stringify(body) });
    return answer.json();
  }

  /** Signs in as an operator. */
  async operate() {
    await this.page.goto(`${this.url}/console/`);
    const form = this.section("operator-title");
    await form.getByLabel("Entra ID token or operator key", { exact: true }).fill(this.operatorKey);
    assert.equal(await form.getByLabel("Keep it until this tab is closed").isChecked(), false, "an operator's key is kept although its box is unchecked");
    await form.getByRole("button").click();
    await this.page.getByRole("heading", { name: "All subscriptions" }).waitFor();
  }
}

export const field = (within, label) => within.getByLabel(label, { exact: true });
