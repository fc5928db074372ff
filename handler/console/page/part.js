// Parts of the page that show an answer of the gateway.
import { h, second } from "./dom.js";

/** A part that waits for an answer, shows it, and says so if it is slow or fails. It never
 * shows content of which nothing is known. */
export class Part {
  constructor(...content) {
    this.waiting = h("div", { class: "waiting" }, h("span", {}, "Loading"));
    this.fault = h("p", { class: "notice bad small", hidden: true });
    this.content = h("div", { class: "content", hidden: true }, content);
    this.element = h("div", { class: "part", "aria-busy": "true" }, this.fault, this.waiting, this.content);
  }

  /** Forgets what is shown, which belongs to another question. */
  forget() {
    this.known = undefined;
    this.turn = undefined;
    this.content.hidden = this.fault.hidden = true;
    this.waiting.hidden = false;
    this.waiting.firstChild.textContent = "Loading";
    this.element.setAttribute("aria-busy", "true");
  }

  /** Shows the answer, unless a later question has been asked, and throws what went wrong. */
  async load(answer, show) {
    const mine = (this.turn = {});
    const slow = setTimeout(() => { if (mine === this.turn) this.waiting.firstChild.textContent = "Loading takes longer than usual"; }, 4000);
    try {
      const known = await answer;
      if (mine !== this.turn) return;
      this.waiting.hidden = this.fault.hidden = true;
      this.content.hidden = false;
      show(known);
      this.known = Date.now();
    } catch (error) {
      if (mine === this.turn) this.fail(error);
      throw error;
    } finally {
      clearTimeout(slow);
      if (mine === this.turn) this.element.removeAttribute("aria-busy");
    }
  }

  fail(error) {
    this.waiting.hidden = true;
    this.fault.hidden = false;
    this.fault.textContent = this.known ? `Not up to date: this is from ${second(this.known)}. ${error.message}` : `This can't be shown. ${error.message}`;
  }
}

/** Waits for all loads, then throws the first failure. */
export async function all(loads) {
  const failed = (await Promise.allSettled(loads)).find((load) => load.status === "rejected");
  if (failed) throw failed.reason;
}
