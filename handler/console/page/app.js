// Start here: signing in and out, choosing the view, and refreshing it.
import { h, fill, second, announce } from "./dom.js";
import { Caller, Operator } from "./api.js";
import { CallerView } from "./caller.js";
import { OperatorView } from "./operator.js";
import { recolour } from "./chart.js";
import { field } from "./fields.js";

const main = document.getElementById("main");
const live = document.getElementById("live");
const who = document.getElementById("who");
const leave = document.getElementById("leave");

/** Returns a browser storage, or a dummy if the browser denies it. */
function keeps(where) {
  try {
    return window[where];
  } catch {
    return { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  }
}

const tab = keeps("sessionStorage"), always = keeps("localStorage");

// A key or token is stored for this tab only, and only if its box is checked; else it is
// in memory alone. A tab opened from this one, or duplicated from it, gets a copy.
const kept = "tollgate.session";
let view = null;
let timer = 0;

function status(state, text) {
  if (live.dataset.state !== state && text) announce(text); // only changes of state, not each refresh
  live.dataset.state = state;
  live.textContent = text;
}

/** Refreshes the view repeatedly: less often after a failure, never while hidden. */
async function look() {
  clearTimeout(timer);
  const mine = view;
  if (!mine || document.hidden) return;
  let pause = mine.pause;
  try {
    await mine.look();
    if (mine !== view) return;
    status("on", `Live, ${second(Date.now())}`);
  } catch (error) {
    if (mine !== view) return;
    if (error.status === 401 || error.status === 403) {
      signOut(error.status === 403 ? error.message : "The key or token is no longer accepted.");
      return;
    }
    pause = Math.max((error.retry ?? 0) * 1000, 10_000);
    status("off", error.status === undefined ? "The page failed." : error.message);
    if (error.status === undefined) console.error(error);
  }
  timer = setTimeout(look, pause);
}

function open(made, name) {
  view?.stop();
  view = made;
  who.textContent = name;
  leave.hidden = false;
  fill(main, made.element);
  main.focus();
  look();
}

function signOut(reason = "") {
  tab.removeItem(kept);
  view?.stop();
  view = null;
  clearTimeout(timer);
  leave.hidden = true;
  who.textContent = "";
  status("", "");
  entry(reason);
}

/** Signs in as a caller or an operator. Throws the gateway's error. */
async function enter(kind, secret) {
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

function signIn(kind, { title, about, label, button, hint }) {
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
        const show = await enter(kind, value);
        if (keep.checked) tab.setItem(kept, JSON.stringify([kind, value]));
        show();
      } catch (error) {
        fault.textContent = reasons[kind][error.status] ?? error.message;
        go.disabled = false;
        secret.select();
      }
    } }, field(label, secret, hint), h("label", { class: "check" }, keep, "Keep it until this tab is closed"), fault, go));
}

function entry(reason) {
  fill(main, h("div", { class: "entry" },
    h("div", {}, h("h1", {}, "Token usage and limits"), h("p", { class: "sub" }, "What you enter is sent to this gateway only and kept in this tab: in memory, or across reloads if you choose so. Tabs that you then duplicate or open from this one get a copy.")),
    reason ? h("p", { class: "notice bad", role: "alert" }, reason) : null,
    h("div", { class: "cards" },
      signIn("caller", { title: "My usage", about: "Your limits, what is left of them, and what your calls used.", label: "API key", button: "Show my usage", hint: "The key that your calls use. It begins with tg_." }),
      signIn("operator", { title: "Operate", about: "Everybody's usage, subscriptions, keys and tiers.", label: "Entra ID token or operator key", button: "Operate",
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
  select.value = always.getItem("tollgate.theme") ?? "";
  select.addEventListener("change", () => {
    always.setItem("tollgate.theme", select.value);
    apply();
  });
  dark.addEventListener("change", apply);
  apply();
}

theme();
leave.addEventListener("click", () => signOut());
document.addEventListener("visibilitychange", look);
const before = JSON.parse(tab.getItem(kept) ?? "null");
entry("");
if (before) enter(...before).then((show) => show(), (error) => (error.status === 401 ? signOut("The key or token is no longer accepted.") : entry(error.message)));
