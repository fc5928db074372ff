// Opens dialogs. They are the browser's own, which handle the keyboard focus.
import { h, fill, when, findAgain } from "./dom.js";

/** Shows a dialog until it is closed, then restores the focus, even if its element was
 * redrawn meanwhile. */
export function show(dialog) {
  const from = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (!from.isConnected) findAgain(document, from)?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Opens a dialog with a form. send gets the form's values and does the work. If it throws,
 * the dialog stays open with all that was entered and shows the error: with fields, at the
 * fields that the error names. Resolves to send's result, or to undefined if the dialog was
 * cancelled. keep: entries are discarded only after a warning. conflict(error, resolve, again)
 * returns what to show if another change came first. */
export function form({ title, body, confirm, danger = false, cancel = true, wide = false, keep = false, fields, conflict, send }) {
  return new Promise((resolve) => {
    const fault = h("div", { class: "fault", role: "alert" });
    const go = h("button", { type: "submit", class: danger ? "danger" : "" }, confirm);
    let result, changed = false, warned = false;
    const leave = (event) => {
      if (!keep || !changed || warned) return event?.type === "click" ? dialog.close() : undefined;
      event.preventDefault();
      warned = true;
      fault.textContent = "What you entered isn't saved. Do that again to discard it.";
      return undefined;
    };
    const finish = (value) => {
      result = value;
      dialog.close();
    };
    const submit = async () => {
      go.disabled = true;
      fault.replaceChildren();
      fields?.clear();
      try {
        finish((await send(Object.fromEntries(new FormData(inner)))) ?? true);
      } catch (error) {
        go.disabled = false;
        await showError(error);
      }
    };
    const showError = async (error) => {
      if (error.code === "stale" && conflict) {
        fill(fault, await conflict(error, finish, submit).catch((failed) => failed.message));
        fault.querySelector("button")?.focus();
        return;
      }
      const rest = fields && error.errors?.length ? fields.show(error.errors) : [error.message];
      fault.textContent = rest.length ? rest.join(" ") : "Nothing was saved. Correct the marked fields.";
    };
    const inner = h("form", { novalidate: true, oninput: () => { changed = true; warned = false; }, onsubmit: (event) => {
      event.preventDefault();
      submit();
    } }, h("h2", { id: "dialog-title" }, title), body, fault,
    h("div", { class: "ends" }, cancel ? h("button", { type: "button", class: "quiet", onclick: leave }, "Cancel") : null, go));
    const dialog = h("dialog", { class: wide ? "wide" : "", "aria-labelledby": "dialog-title", oncancel: leave, onclose: () => resolve(result) }, inner);
    show(dialog);
  });
}

/** Shows a new key. */
export function showKey(made) {
  return new Promise((resolve) => {
    const copied = h("span", { class: "hint", role: "status" });
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => resolve() },
      h("form", { onsubmit: (event) => { event.preventDefault(); dialog.close(); } },
        h("h2", { id: "dialog-title" }, `The new ${made.slot} key of ${made.subscription}`),
        h("p", {}, "It is shown only now and isn't stored. Copy it."),
        h("div", { class: "secret" }, h("code", { id: "made-key", tabIndex: 0 }, made.key),
          h("button", { type: "button", class: "quiet", onclick: async () => {
            try {
              await navigator.clipboard.writeText(made.key);
              copied.textContent = "Copied.";
            } catch {
              getSelection().selectAllChildren(dialog.querySelector("#made-key"));
              copied.textContent = "Selected: copy it with the keyboard.";
            }
          } }, "Copy")), copied,
        made.expires ? h("p", { class: "hint" }, `It expires ${when(made.expires)}.`) : null,
        made.warning ? h("p", { class: "fault", role: "alert" }, made.warning) : null,
        h("div", { class: "ends" }, h("button", { type: "submit" }, "I have copied it"))));
    show(dialog);
  });
}
