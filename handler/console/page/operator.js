// The view of an operator: its pages, and what they share.
import { h, fill, announce, link } from "./dom.js";
import { useCurrency } from "./amounts.js";
import { OverviewPage } from "./overview.js";
import { SubscriptionsPage } from "./subscriptions.js";
import { SubscriptionPage } from "./subscription.js";
import { GroupsPage, GroupPage } from "./groups.js";
import { TiersPage, TierPage } from "./tiers.js";
import { PricesPage } from "./prices.js";
import { ChangesPage } from "./changes.js";
import { remove } from "./actions.js";
import { form } from "./dialogs.js";

/** The pages by the first part of the address after #/: the title, the page of all, and the
 * page of one. */
const pages = {
  "": ["Overview", OverviewPage], subscriptions: ["Subscriptions", SubscriptionsPage, SubscriptionPage], groups: ["Groups", GroupsPage, GroupPage],
  tiers: ["Tiers", TiersPage, TierPage], prices: ["Prices", PricesPage], changes: ["Changes", ChangesPage],
};

/** The view of an operator. Each page has an element, load() that refreshes it, and stop(). */
export class OperatorView {
  constructor(operator, status) {
    Object.assign(this, { operator, status, pause: 5000 });
    this.nav = h("nav", { class: "pages", "aria-label": "Pages" });
    this.place = h("div", { class: "view" });
    this.element = h("div", { class: "view" }, this.nav, this.place);
    this.navigated = () => this.go(true);
    addEventListener("hashchange", this.navigated);
    this.go(false);
  }

  /** Shows the page that the address names. navigated: the operator followed a link. */
  go(navigated) {
    const hash = location.hash;
    if (this.page && hash && !hash.startsWith("#/")) return; // a link within the page
    const [name = "", id] = hash.replace(/^#\/?/, "").split("/").map(decoded);
    const [title, List, One] = pages[name] ?? pages[""];
    this.page?.stop();
    this.page = id && One ? new One(this, id) : new List(this);
    fill(this.nav, Object.entries(pages).map(([path, [text]]) => link(text, `#/${path}`, { "aria-current": text === title ? "page" : undefined })));
    this.place.replaceChildren(this.page.element);
    document.title = `${id && One ? `${id}, ` : ""}${title}: Tollgate`;
    if (!navigated) return;
    scrollTo(0, 0);
    const heading = this.place.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    this.report(this.load());
  }

  /** Shows in the status if a load that the operator asked for fails. */
  report(load) {
    load.catch((error) => this.status("off", error.message));
  }

  async load() {
    this.currency ??= this.operator.get("/prices/currency").then((c) => useCurrency(c.currency), () => { this.currency = undefined; }); // until it is read, amounts are shown without it
    await this.currency;
    await this.page.load();
  }

  /** Runs an action in a dialog, then refreshes the page. */
  async act(action, ...args) {
    await this.refresh(await this.attempt(action, ...args));
  }

  /** Runs an action, unless another one is running. If the action fails before its dialog opens,
   * a dialog shows the error. */
  async attempt(action, ...args) {
    if (this.acting) return undefined; // a second click, before the dialog of the first opens
    this.acting = true;
    try {
      return await action(this.operator, ...args);
    } catch (error) {
      await form({ title: "This can't be done now", confirm: "Close", cancel: false, body: h("p", { class: "fault", role: "alert" }, error.message), send: () => true });
      return undefined;
    } finally {
      this.acting = false;
    }
  }

  /** Deletes a tier, group or subscription. If its own page is shown, the page of all replaces
   * it. */
  async remove(kind, of) {
    const done = await this.attempt(remove, kind, of);
    if (done && location.hash === `#/${kind}s/${encodeURIComponent(of.id)}`) {
      location.hash = `#/${kind}s`;
      announce(done);
    } else {
      await this.refresh(done);
    }
  }

  /** Loads the page again. done: what to announce. */
  async refresh(done) {
    try { // also after a cancelled dialog: the operator may have seen that the page is out of date
      this.currency = undefined; // which the action may have set
      await this.page.load(true);
      if (typeof done === "string") announce(done);
    } catch (error) {
      this.status("off", error.message);
    }
  }

  stop() {
    this.status = () => {}; // requests in progress must no longer report
    removeEventListener("hashchange", this.navigated);
    this.page.stop();
    useCurrency("");
    document.title = "Tollgate";
  }
}

function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
