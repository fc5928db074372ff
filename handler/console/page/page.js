// What the operator's pages share.
import { h, link } from "./dom.js";
import { all } from "./part.js";
import { MINUTE } from "./usage.js";

/** Decides when a page loads again what changes slowly: every 30 s, when a minute ends, and
 * after a failure. */
export class Cadence {
  /** Reports whether it is time to load. If it is, the page must load now. */
  due(now = Date.now()) {
    const due = !this.last || now - this.last > 30_000 || Math.floor(now / MINUTE) !== Math.floor(this.last / MINUTE);
    if (due) this.last = now;
    return due;
  }

  /** Makes the next load due at once. */
  again() {
    this.last = undefined;
  }

  /** Waits for loads, and throws the first failure. After a failure the next load is due. */
  async wait(...loads) {
    try {
      await all(loads);
    } catch (error) {
      this.again();
      throw error;
    }
  }
}

/** Makes the head of a page. */
export const head = (title, sub, ...actions) => h("div", { class: "head" }, h("div", {}, h("h1", {}, title), sub ? h("p", { class: "sub" }, sub) : null), ...actions);

/** Makes a small button for a row or head. */
export const button = (text, label, onclick, more = "") => h("button", { type: "button", class: `quiet small ${more}`.trim(), "aria-label": label, onclick }, text);

/** Makes a badge that says whether something is suspended. */
export const state = (of) => h("span", { class: `badge ${of.suspended ? "bad" : "good"}` }, of.suspended ? "Suspended" : "Active");

export const subscriptionLink = (id) => link(id, `#/subscriptions/${encodeURIComponent(id)}`);
export const groupLink = (id) => link(id, `#/groups/${encodeURIComponent(id)}`);
export const tierLink = (id) => link(id, `#/tiers/${encodeURIComponent(id)}`);

/** Puts separators between texts and links. */
export const between = (separator, parts) => parts.filter(Boolean).flatMap((part, i) => (i ? [separator, part] : [part]));
