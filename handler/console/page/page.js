// What the operator's pages share.
import { h, link } from "./dom.js";
import { MINUTE } from "./usage.js";

/** Says when a page loads again what changes slowly: every 30 s and when a minute ends. */
export class Cadence {
  due(now = Date.now()) {
    const due = !this.last || now - this.last > 30_000 || Math.floor(now / MINUTE) !== Math.floor(this.last / MINUTE);
    if (due) this.last = now;
    return due;
  }

  /** Makes it due: something failed, or changed. */
  again() {
    this.last = undefined;
  }
}

/** The head of a page. */
export const head = (title, sub, ...actions) => h("div", { class: "head" }, h("div", {}, h("h1", {}, title), sub ? h("p", { class: "sub" }, sub) : null), ...actions);

/** A small button in a row or head. */
export const button = (text, label, onclick, more = "") => h("button", { type: "button", class: `quiet small ${more}`.trim(), "aria-label": label, onclick }, text);

/** Says whether something is suspended. */
export const state = (of) => h("span", { class: `badge ${of.suspended ? "bad" : "good"}` }, of.suspended ? "Suspended" : "Active");

export const toSubscription = (id) => link(id, `#/subscriptions/${encodeURIComponent(id)}`);
export const toGroup = (id) => link(id, `#/groups/${encodeURIComponent(id)}`);
export const toTier = (id) => link(id, `#/tiers/${encodeURIComponent(id)}`);

/** Texts and links with separators between them. */
export const between = (separator, parts) => parts.filter(Boolean).flatMap((part, i) => (i ? [separator, part] : [part]));
