// Dialogs. They are the browser's own, which handle the keyboard focus.
import { h, when, like } from "./dom.js";

/** Shows a dialog until it is closed, then restores the focus, even if its element was
 * redrawn meanwhile. */
export function show(dialog) {
  const from = document.activeElement;
  dialog.addEventListener("close", () => {
    dialog.remove();
    if (!from.isConnected) like(document, from)?.focus();
  });
  document.body.append(dialog);
  dialog.showModal();
}

/** Opens a dialog with a form. send gets the form's values and does the work; if it
 * throws, the dialog shows the error and stays open. Resolves to send's result, or to
 * undefined if the dialog was cancelled. */
export function form({ title, body, confirm, danger = false, cancel = true, send }) {
  return new Promise((resolve) => {
    const fault = h("p", { class: "fault", role: "alert" });
    const go = h("button", { type: "submit", class: danger ? "danger" : "" }, confirm);
    let result;
    const dialog = h("dialog", { "aria-labelledby": "dialog-title", onclose: () => resolve(result) },
      h("form", { novalidate: true, onsubmit: async (event) => {
        event.preventDefault();
        const misread = [...event.target.elements].find((control) => control.validity.badInput); // its value is empty then
        fault.textContent = misread ? `${misread.labels[0].textContent}: not a number.` : "";
        if (misread) return misread.focus();
        go.disabled = true;
        try {
          result = (await send(Object.fromEntries(new FormData(event.target)))) ?? true;
          dialog.close();
        } catch (error) {
          fault.textContent = error.message;
          go.disabled = false;
        }
      } }, h("h2", { id: "dialog-title" }, title), body, fault,
      h("div", { class: "ends" }, cancel ? h("button", { type: "button", class: "quiet", onclick: () => dialog.close() }, "Cancel") : null, go)));
    show(dialog);
  });
}

let fields = 0;

/** Returns a labelled control with an optional hint. */
export function field(text, control, hint) {
  control.id = `field-${(fields += 1)}`;
  if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control, hint ? h("small", { id: `${control.id}-hint` }, hint) : null);
}

/** Returns a select of values. */
export function choice(name, values, chosen) {
  return h("select", { name }, values.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
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

