// Makes elements, and formats numbers and times. Text is always set as text, so that no name
// can become markup.

/** Makes an element: h("p", {class: "sub"}, "text", child). */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name in element && typeof value !== "string") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const nameOf = (button) => button.getAttribute("aria-label") ?? button.textContent;

const focusable = "button, a[href]";

/** Returns the button or link within an element that replaced an earlier one: it has the same
 * name. */
export const findAgain = (within, control) => [...within.querySelectorAll(focusable)].find((b) => b.tagName === control.tagName && nameOf(b) === nameOf(control));

/** Replaces the content of an element. If one of its buttons or links had the focus, the new
 * one of the same name gets it or, without one, the one at the same position. */
export function fill(element, ...children) {
  const focused = document.activeElement, place = [...element.querySelectorAll(focusable)].indexOf(focused);
  element.replaceChildren(...children.flat().filter(Boolean));
  if (place >= 0) (findAgain(element, focused) ?? element.querySelectorAll(focusable)[place])?.focus({ preventScroll: true });
  return element;
}

/** Makes a link to another page of the console. */
export const link = (text, href, more = {}) => h("a", { href, ...more }, text);

/** Announces a text to screen readers. */
export function announce(text) {
  document.getElementById("announce").textContent = text;
}

const whole = new Intl.NumberFormat("en");

/** Formats a number in a short form: 9,999, 12.4k, 3.1M. It truncates, so that a limit never
 * looks reached before it is. */
export function short(n) {
  const size = Math.abs(n);
  if (size < 10_000) return whole.format(n);
  for (const [unit, name] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (size >= unit) return `${n < 0 ? "-" : ""}${whole.format(Math.trunc(size / (unit / 10)) / 10)}${name}`;
  }
  return whole.format(n);
}

/** Formats a number in full. */
export const full = (n) => whole.format(n);

const clock = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit" });
const clockSeconds = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });

/** Formats a time: 14:03 UTC, with the day unless it is today. */
export function when(time) {
  const at = new Date(time);
  const hour = `${clock.format(at)} UTC`;
  return day.format(at) === day.format(new Date()) ? hour : `${day.format(at)}, ${hour}`;
}

/** Formats the time of day with seconds: 14:03:07 UTC. */
export const withSeconds = (time) => `${clockSeconds.format(new Date(time))} UTC`;

/** Formats how long it is until a time: "in 42 s", "in 3 h 5 min". */
export function until(time) {
  const seconds = Math.max(0, Math.round((new Date(time) - Date.now()) / 1000));
  if (seconds < 60) return `in ${seconds} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `in ${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return `in ${hours} h ${minutes % 60} min`;
  return `in ${Math.round(hours / 24)} days`;
}

/** Makes a choice of radio buttons that look like tabs. */
export function tabs(label, name, choices, chosen, onchoose) {
  return h("fieldset", { class: "tabs", "aria-label": label, role: "radiogroup" }, Object.entries(choices).map(([value, text]) =>
    h("label", {}, h("input", { type: "radio", name, value, checked: value === chosen, onchange: () => onchoose(value) }), h("span", {}, text))));
}

/** Makes a table. Each column: {name, class, cell(item)}. */
export function table(caption, columns, items, stack = true) {
  return h("div", { class: "scroll" }, h("table", { class: stack ? "stack" : "" },
    h("caption", { class: "hidden" }, caption),
    h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: c.class ?? "" }, c.name)))),
    h("tbody", {}, items.map((item) => h("tr", {}, columns.map((c) => h("td", { class: c.class ?? "", "data-label": c.name }, h("div", {}, c.cell(item)))))))));
}
