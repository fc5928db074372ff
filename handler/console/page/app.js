// Start reading here: this signs in and out, chooses the view, and refreshes it.
import { h, fill, withSeconds, announce } from "./dom.js";
import { Caller, Operator } from "./api.js";
import { CallerView } from "./caller.js";
import { OperatorView } from "./operator.js";
import { recolour } from "./chart.js";
import { field } from "./fields.js";

const main = document.getElementById("main");
const live = document.getElementById("live");
const who = document.getElementById("who");
const signOutButton = document.getElementById("leave");

/** Returns a storage of the browser, or one that stores nothing if the browser denies it. */
function storage(name) {
  try {
    return window[name];
  } catch {
    return { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  }
}

const tabStorage = storage("sessionStorage"), lastingStorage = storage("localStorage");

// The name under which a key or token is stored: for this tab only, and only if its box is
// checked. Otherwise it is only in memory. A tab opened from this one, or duplicated from it,
// gets a copy.
const credentialName = "tollgate.session";
let view = null;
let timer = 0;

function status(state, text) {
  if (live.dataset.state !== state && text) announce(text); // only when the state changes, not at each refresh
  live.dataset.state = state;
  live.textContent = text;
}

/** Refreshes the view repeatedly: less often after a failure, never while hidden. */
async function refresh() {
  clearTimeout(timer);
  const current = view;
  if (!current || document.hidden) return;
  let pause = current.pause;
  try {
    await current.load();
    if (current !== view) return;
    status("on", `Live, ${withSeconds(Date.now())}`);
  } catch (error) {
    if (current !== view) return;
    if (error.status === 401 || error.status === 403) {
      signOut(error.status === 403 ? error.message : "The key or token is no longer accepted.");
      return;
    }
    pause = Math.max((error.retry ?? 0) * 1000, 10_000);
    status("off", error.status === undefined ? "The page failed." : error.message);
    if (error.status === undefined) console.error(error);
  }
  timer = setTimeout(refresh, pause);
}

function open(made, name) {
  view?.stop();
  view = made;
  who.textContent = name;
  signOutButton.hidden = false;
  fill(main, made.element);
  main.focus();
  refresh();
}

function signOut(reason = "") {
  tabStorage.removeItem(credentialName);
  view?.stop();
  view = null;
  clearTimeout(timer);
  signOutButton.hidden = true;
  who.textContent = "";
  status("", "");
  showSignIn(reason);
}

/** Checks a key or token with the gateway, and returns a function that opens its view. Throws
 * the gateway's error. */
async function signIn(kind, secret) {
  if (kind === "caller") {
    const caller = new Caller(secret);
    const usage = await caller.usage(1);
    return () => open(new CallerView(caller, status, signOut), `Caller of ${usage.subscription}`);
  }
  const operator = new Operator(secret);
  const me = await operator.get("/me");
  return () => open(new OperatorView(operator, status, signOut), me.who);
}

const reasons = {
  caller: { 401: "This isn't the key of an active subscription." },
  operator: { 401: "This is neither the operator's key nor a valid token.", 404: "The operators' API is off: set MANAGE_ISSUER and MANAGE_AUDIENCE, or MANAGE_KEY." },
};

function signInForm(kind, { title, about, label, button, hint }) {
  const fault = h("p", { class: "fault", role: "alert" });
  const secret = h("input", { type: "password", name: "secret", required: true, autocomplete: "off", spellcheck: "false" });
  const keep = h("input", { type: "checkbox", name: "keep", checked: kind === "caller" });
  const go = h("button", { type: "submit" }, button);
  return h("section", { class: "card", "aria-labelledby": `${kind}-title` }, h("h2", { id: `${kind}-title` }, title), h("p", { class: "sub" }, about),
    h("form", { novalidate: true, onsubmit: async (event) => {
      event.preventDefault();
      const value = secret.value.trim();
      fault.textContent = value ? "" : `${label} is missing.`;
      if (!value) return secret.focus();
      go.disabled = true;
      try {
        const show = await signIn(kind, value);
        if (keep.checked) tabStorage.setItem(credentialName, JSON.stringify([kind, value]));
        show();
      } catch (error) {
        fault.textContent = reasons[kind][error.status] ?? error.message;
        go.disabled = false;
        secret.select();
      }
    } }, field(label, secret, hint), h("label", { class: "check" }, keep, "Keep it until this tab is closed"), fault, go));
}

function showSignIn(reason) {
  fill(main, h("div", { class: "entry" },
    h("div", {}, h("h1", {}, "Token usage and limits"), h("p", { class: "sub" }, "What you enter is sent to this gateway only and kept in this tab: in memory, or across reloads if you choose so. Tabs that you then duplicate or open from this one get a copy.")),
    reason ? h("p", { class: "notice bad", role: "alert" }, reason) : null,
    h("div", { class: "cards" },
      signInForm("caller", { title: "My usage", about: "Your limits, what is left of them, and what your calls used.", label: "API key", button: "Show my usage", hint: "The key that your calls use. It begins with tg_." }),
      signInForm("operator", { title: "Operate", about: "Everybody's usage, subscriptions, keys and tiers.", label: "Entra ID token or operator key", button: "Operate",
        hint: "az account get-access-token --resource <MANAGE_AUDIENCE> --query accessToken -o tsv" }))));
}

/** Applies the colour scheme: the system's or the one chosen here. */
function theme() {
  const select = document.getElementById("theme");
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const root = document.documentElement.dataset;
    if (select.value) root.theme = select.value;
    else delete root.theme;
    root.scheme = select.value || (dark.matches ? "dark" : "light");
    recolour();
  };
  select.value = lastingStorage.getItem("tollgate.theme") ?? "";
  select.addEventListener("change", () => {
    lastingStorage.setItem("tollgate.theme", select.value);
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}

theme();
signOutButton.addEventListener("click", () => signOut());
document.addEventListener("visibilitychange", refresh);
const stored = JSON.parse(tabStorage.getItem(credentialName) ?? "null");
showSignIn("");
if (stored) signIn(...stored).then((show) => show(), (error) => (error.status === 401 ? signOut("The key or token is no longer accepted.") : showSignIn(error.message)));
