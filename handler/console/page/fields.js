// Makes the controls of forms, and shows errors at the controls that they are about.
import { h } from "./dom.js";

let made = 0;

/** Returns a labelled control with an optional hint. */
export function field(text, control, hint) {
  control.id = `field-${(made += 1)}`;
  if (hint) control.setAttribute("aria-describedby", `${control.id}-hint`);
  return h("div", { class: "field" }, h("label", { for: control.id }, text), control, hint ? h("small", { id: `${control.id}-hint` }, hint) : null);
}

/** Returns a select of values. */
export function choice(name, values, chosen) {
  return h("select", { name }, values.map(([value, text]) => h("option", { value, selected: value === chosen }, text)));
}

/** Returns a labelled checkbox. */
export function check(text, name, checked, more = {}) {
  return h("label", { class: "check" }, h("input", { type: "checkbox", name, checked: Boolean(checked), ...more }), text);
}

/** Returns a text box for a number or a word. */
export const box = (name, value = "", more = {}) => h("input", { type: "text", name, value: String(value), autocomplete: "off", spellcheck: "false", ...more });

const withoutOverrides = (path) => path.replace(/^overrides\./, "");

/** The controls of a form by the fields of the API, whose errors are shown at them. */
export class Fields {
  constructor() {
    this.controls = []; // [path(), control]
  }

  /** Registers and returns a control. path is the path of its field in the API, or a function
   * that returns it if it depends on a name that users change. */
  add(path, control) {
    this.controls.push([typeof path === "string" ? () => path : path, control]);
    return control;
  }

  /** Returns the control of a field or, if it has none, of the field around it. */
  find(path) {
    for (let wanted = withoutOverrides(path); wanted; wanted = wanted.replace(/\.?[^.]*$/, "")) {
      const shown = this.controls.filter(([, control]) => control.isConnected && !control.closest("[hidden]"));
      const found = shown.find(([of]) => withoutOverrides(of()) === wanted) ?? shown.find(([of]) => withoutOverrides(of()).toLowerCase() === wanted.toLowerCase()); // names of limits ignore case
      if (found) return found[1];
    }
    return undefined;
  }

  clear() {
    for (const [, control] of this.controls) unmark(control);
  }

  /** Shows each error at its control, and puts the focus on the first. Returns the errors
   * without a control, as sentences. */
  show(errors) {
    const rest = [], marked = [];
    for (const { field: path, problem, fix } of errors) {
      const control = this.find(path);
      const sentence = (name) => `${name} ${problem}: ${fix}.`;
      if (!control) rest.push(sentence(path));
      else marked.push(mark(control, sentence(nameOf(control) ?? path)));
    }
    marked.sort((a, b) => (a.compareDocumentPosition(b) & Node.DOCUMENT_POSITION_FOLLOWING ? -1 : 1));
    (marked.find((control) => "value" in control) ?? marked[0])?.focus();
    return rest;
  }
}

const nameOf = (control) => control.labels?.[0]?.textContent ?? control.dataset.name;

function mark(control, text) {
  const within = control.closest(".field") ?? control;
  control.id ||= `field-${(made += 1)}`;
  const id = `${control.id}-fault`, shown = document.getElementById(id);
  if (shown) {
    shown.textContent += ` ${text}`;
    return control;
  }
  const message = h("small", { class: "fault", id }, text);
  if (within === control) control.firstElementChild.after(message); // a group of controls: after its heading
  else within.append(message);
  if ("value" in control) {
    control.setAttribute("aria-invalid", "true");
    control.addEventListener("input", () => unmark(control), { once: true });
  }
  control.setAttribute("aria-describedby", `${control.getAttribute("aria-describedby") ?? ""} ${id}`.trim());
  for (let inside = control.closest("details"); inside; inside = inside.parentElement.closest("details")) inside.open = true;
  return control;
}

function unmark(control) {
  const id = `${control.id}-fault`, fault = control.id && document.getElementById(id);
  if (!fault) return;
  fault.remove();
  control.removeAttribute("aria-invalid");
  control.setAttribute("aria-describedby", (control.getAttribute("aria-describedby") ?? "").replace(id, "").trim());
}
