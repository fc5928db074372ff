// The operator's view: its pages, and what they share.
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

/** The pages by the first part of the address after #/, with the page of one thing. */
const pages = {
  "": ["Overview", OverviewPage], subscriptions: ["Subscriptions", SubscriptionsPage, SubscriptionPage], groups: ["Groups", GroupsPage, GroupPage],
  tiers: ["Tiers", TiersPage, TierPage], prices: ["Prices", PricesPage], changes: ["Changes", ChangesPage],
};

/** The operator's view. Its pages have an element, look() that refreshes it, and stop(). */
export class OperatorView {
  constructor(operator, status) {
    Object.assign(this, { operator, status, pause: 5000 });
    this.nav = h("nav", { class: "pages", "aria-label": "Pages" });
    this.place = h("div", { class: "view" });
    this.element = h("div", { class: "view" }, this.nav, this.place);
    this.moved = () => this.go(true);
    addEventListener("hashchange", this.moved);
    this.go(false);
  }

  /** Shows the page that the address names. */
  go(moved) {
    const hash = location.hash;
    if (this.page && hash && !hash.startsWith("#/")) return; // a link within the page
    const [name = "", id] = hash.replace(/^#\/?/, "").split("/").map(readable);
    const [title, List, One] = pages[name] ?? pages[""];
    this.page?.stop();
    this.page = id && One ? new One(this, id) : new List(this);
    fill(this.nav, Object.entries(pages).map(([path, [text]]) => link(text, `#/${path}`, { "aria-current": text === title ? "page" : undefined })));
    this.place.replaceChildren(this.page.element);
    document.title = `${id && One ? `${id}, ` : ""}${title}: Tollgate`;
    if (!moved) return;
    scrollTo(0, 0);
    const heading = this.place.querySelector("h1");
    heading.tabIndex = -1;
    heading.focus({ preventScroll: true });
    this.look().catch((error) => this.status("off", error.message));
  }

  async look() {
    this.currency ??= this.operator.get("/prices/currency").then((c) => useCurrency(c.currency), () => { this.currency = undefined; }); // amounts are shown without it until it is known
    await this.currency;
    await this.page.look();
  }

  /** Runs an action in a dialog, then refreshes the page. */
  async act(action, ...args) {
    await this.refresh(await this.attempt(action, ...args));
  }

  /** Runs an action, unless another one is running. If what it needs can't be read, a dialog
   * says so. */
  async attempt(action, ...args) {
    if (this.acting) return undefined; // a second click, before the dialog of the first is there
    this.acting = true;
    try {
      return await action(this.operator, ...args);
    } catch (error) {
      await form({ title: "That can't be done now", confirm: "Close", cancel: false, body: h("p", { class: "fault", role: "alert" }, error.message), send: () => true });
      return undefined;
    } finally {
      this.acting = false;
    }
  }

  /** Deletes a tier, group or subscription. Then its page gives way to that of all. */
  async remove(kind, of) {
    const done = await this.attempt(remove, kind, of);
    if (done && location.hash === `#/${kind}s/${encodeURIComponent(of.id)}`) {
      location.hash = `#/${kind}s`;
      announce(done);
    } else {
      await this.refresh(done);
    }
  }

  /** Loads the page again, and announces what was done. */
  async refresh(done) {
    try { // also after a cancelled dialog: another operator's change may be the reason
      this.currency = undefined; // which the action may have set
      await this.page.look(true);
      if (typeof done === "string") announce(done);
    } catch (error) {
      this.status("off", error.message);
    }
  }

  stop() {
    this.status = () => {}; // requests in progress must not report any more
    removeEventListener("hashchange", this.moved);
    this.page.stop();
    useCurrency("");
    document.title = "Tollgate";
  }
}

function readable(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
