// The page: who is looking, which view they see, and when it looks again.
import { h, fill, second, announce } from "./dom.js";
import { Caller, Operator } from "./api.js";
import { CallerView } from "./caller.js";
import { OperatorView } from "./operator.js";
import { recolour } from "./chart.js";
import { field } from "./dialogs.js";

const main = document.getElementById("main");
const live = document.getElementById("live");
const who = document.getElementById("who");
const leave = document.getElementById("leave");

/** What the browser keeps for this page: nothing where it is told not to. */
function keeps(where) {
  try {
    return window[where];
  } catch {
    return { getItem: () => null, setItem: () => {}, removeItem: () => {} };
  }
}

const tab = keeps("sessionStorage"), always = keeps("localStorage");

// A key or token is kept for this tab only, and only if its user says so: an
// operator's is in memory alone unless its box is checked. A tab that is opened
// from this one, or duplicates it, gets a copy of what is kept.
const kept = "tollgate.session";
let view = null;
let timer = 0;

function status(state, text) {
  if (live.dataset.state !== state && text) announce(text); // and not each look's time
  live.dataset.state = state;
  live.textContent = text;
}

/** Looks again and again: soon, later after a failure, and not while nobody sees it. */
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
      signOut(error.status === 403 ? error.message : "The key or token isn't taken any more.");
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

/** Signs in as a caller or an operator; throws what the gateway says. */
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
  operator: { 401: "This is neither the operator's key nor a token that is taken here.", 404: "Operating is off here: set MANAGE_ISSUER and MANAGE_AUDIENCE, or MANAGE_KEY." },
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
    h("div", {}, h("h1", {}, "Tokens, spent and left"), h("p", { class: "sub" }, "What you enter goes to this gateway alone, and is kept in this tab: in memory alone, or through reloads if you say so. Then a tab that you duplicate or open from it has a copy.")),
    reason ? h("p", { class: "notice bad", role: "alert" }, reason) : null,
    h("div", { class: "cards" },
      signIn("caller", { title: "My usage", about: "Your limits, what is left of them, and what your calls used.", label: "API key", button: "Show my usage", hint: "The key that your calls carry; it begins with tg_." }),
      signIn("operator", { title: "Operate", about: "Everybody's usage, subscriptions, keys and tiers.", label: "Entra ID token or operator key", button: "Operate",
        hint: "az account get-access-token --resource <MANAGE_AUDIENCE> --query accessToken -o tsv" }))));
}

/** The colours: the system's, or those that were chosen here. */
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
if (before) enter(...before).then((show) => show(), (error) => (error.status === 401 ? signOut("The key or token isn't taken any more.") : entry(error.message)));
