// Parts of a page that each show an answer of the gateway.
import { h, withSeconds } from "./dom.js";

/** A part waits for an answer and shows it, or that it is slow or failed. Before the first
 * answer it shows no content, so that nothing unknown looks like zero. */
export class Part {
  constructor(...content) {
    this.waiting = h("div", { class: "waiting" }, h("span", {}, "Loading"));
    this.fault = h("p", { class: "notice bad small", hidden: true });
    this.content = h("div", { class: "content", hidden: true }, content);
    this.element = h("div", { class: "part", "aria-busy": "true" }, this.fault, this.waiting, this.content);
  }

  /** Hides what is shown, because the next answer will be about something else. */
  forget() {
    this.loadedAt = undefined;
    this.latest = undefined;
    this.content.hidden = this.fault.hidden = true;
    this.waiting.hidden = false;
    this.waiting.firstChild.textContent = "Loading";
    this.element.setAttribute("aria-busy", "true");
  }

  /** Waits for an answer and shows it, unless a later load or forget came first. Throws what went
   * wrong. */
  async load(answer, show) {
    const mine = (this.latest = {});
    const slow = setTimeout(() => { if (mine === this.latest) this.waiting.firstChild.textContent = "Loading takes longer than usual"; }, 4000);
    try {
      const content = await answer;
      if (mine !== this.latest) return;
      this.waiting.hidden = this.fault.hidden = true;
      this.content.hidden = false;
      show(content);
      this.loadedAt = Date.now();
    } catch (error) {
      if (mine === this.latest) this.fail(error);
      throw error;
    } finally {
      clearTimeout(slow);
      if (mine === this.latest) this.element.removeAttribute("aria-busy");
    }
  }

  fail(error) {
    this.waiting.hidden = true;
    this.fault.hidden = false;
    this.fault.textContent = this.loadedAt ? `Not up to date: this is from ${withSeconds(this.loadedAt)}. ${error.message}` : `This can't be shown. ${error.message}`;
  }
}

/** Waits for all loads, then throws the first failure. */
export async function all(loads) {
  const failed = (await Promise.allSettled(loads)).find((load) => load.status === "rejected");
  if (failed) throw failed.reason;
}
