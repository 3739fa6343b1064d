// What pages do beyond links and forms. No page needs it to be read; htmx does the fetching.
"use strict";

const words = document.documentElement.dataset;
document.documentElement.classList.add("with-script");

function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
  clearTimeout(saying);
  saying = setTimeout(() => { place.textContent = ""; }, 2500);
}
let saying = 0;

// Copies, and shows a tick for a moment.
async function clip(text, button) {
  await navigator.clipboard.writeText(text);
  say(words.copied);
  const use = button.querySelector("use"), before = use.getAttribute("href");
  if (before === "#i-check") return;
  use.setAttribute("href", "#i-check");
  setTimeout(() => use.setAttribute("href", before), 1500);
}

// Times come as UTC; they are shown as this browser's own.
const moments = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium", hour12: false });
function localTimes(root) {
  for (const one of root.querySelectorAll("time[datetime]:not([data-local])")) {
    one.dataset.local = "";
    one.title = one.textContent.trim();
    const local = moments.format(new Date(one.dateTime));
    if ("ago" in one.dataset) one.title = local;
    else one.textContent = local;
  }
}

// How long ago, in the largest unit that fits; a day later the date says more.
const agoWords = new Intl.RelativeTimeFormat(document.documentElement.lang, { numeric: "auto", style: "short" });
const units = [["hour", 3600], ["minute", 60], ["second", 1]];
function timesAgo() {
  for (const one of document.querySelectorAll("time[data-ago]")) {
    const seconds = Math.max(0, (Date.now() - Date.parse(one.dateTime)) / 1000);
    const [unit, length] = units.find(([, length]) => seconds >= length) || units[2];
    one.textContent = seconds < 86400 ? agoWords.format(-Math.floor(seconds / length), unit) : one.title;
  }
}

function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds)), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  const parts = [[h, words.hours], [m, words.minutes], [s % 60, words.seconds]];
  const first = h ? 0 : m ? 1 : 2;
  return parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}
function tick() {
  timesAgo();
  for (const one of document.querySelectorAll("[data-since]")) {
    one.textContent = duration((Date.now() - Date.parse(one.dataset.since)) / 1000);
  }
  for (const one of document.querySelectorAll("[data-until]")) {
    one.textContent = duration((Date.parse(one.dataset.until) - Date.now()) / 1000);
  }
}
setInterval(() => { if (!gone) tick(); }, 1000);

const fire = (name) => htmx.trigger(document.body, `live-${name}`);

// Live: the stream says which parts of the page have changed; each part fetches itself.
let stream = null;
function live() {
  const source = document.querySelector("[data-live]");
  const wanted = source && document.visibilityState === "visible";
  if (stream && (!wanted || stream.of !== source.dataset.live)) hangUp();
  if (!wanted || stream) return;
  // A browser that creates the source again forgets where it was: the page remembers.
  const last = source.dataset.lastId;
  stream = new EventSource(source.dataset.live + (last ? `${source.dataset.live.includes("?") ? "&" : "?"}after=${encodeURIComponent(last)}` : ""));
  stream.of = source.dataset.live;
  const on = (name, act) => stream.addEventListener(name, (event) => { source.dataset.lastId = event.lastEventId; act(event.data); });
  on("message", (names) => { if (/(^| )h\d/.test(names)) headSoon(); for (const name of names.split(" ")) /^[hs]\d/.test(name) ? about(Number(name.slice(1)), () => fire(name)) : fire(name); });
  on("text", (data) => { const said = JSON.parse(data); about(said.number, (cell) => append(cell, said)); });
  on("progress", (data) => { const said = JSON.parse(data); about(said.number, (cell) => { cell.querySelector(".progress").innerHTML = said.html; }); });
  on("queue", (data) => {
    const waiting = JSON.parse(data).numbers;
    for (const number of waiting) about(number, () => {});
    for (const head of document.querySelectorAll("[data-waiting]")) if (!waiting.includes(Number(head.dataset.waiting))) fire(head.id);
  });
  on("end", () => { delete source.dataset.live; hangUp(); });
  stream.onopen = () => {
    found();
    catchUp();
    for (const name of missed) { missed.delete(name); fire(name); }
  };
  stream.onerror = () => {
    // A stream that only ended is open again before anybody needs to know.
    lost(1500);
    // Refused (signed out, gone, too many): the browser does not try again by itself.
    if (stream && stream.readyState === EventSource.CLOSED) { stream.close(); stream = null; setTimeout(live, 2000); }
  };
}
function hangUp() { stream.close(); stream = null; found(); }
document.addEventListener("visibilitychange", live);
window.addEventListener("pagehide", () => { if (stream) hangUp(); });
window.addEventListener("pageshow", live);

// Parts that changed, and could not be fetched because the server was gone.
const missed = new Set();
let losing = 0, gone = false;
function lost(after) {
  losing = losing || setTimeout(() => {
    gone = true;
    document.getElementById("lost").textContent = words.lost;
    // States and clocks are those of before: they pale and stand still.
    document.body.classList.add("is-lost");
    seek();
  }, after);
}
function found() {
  clearTimeout(losing);
  losing = 0;
  if (!gone) return;
  gone = false;
  document.getElementById("lost").textContent = "";
  document.body.classList.remove("is-lost");
  tick();
}
// A page without a stream asks for something small until the server is back.
async function seek() {
  while (gone) {
    await new Promise((go) => setTimeout(go, 1000));
    if (stream || document.visibilityState !== "visible") continue;
    try {
      await fetch(document.querySelector("link[rel=stylesheet]").href, { method: "GET", cache: "no-store", signal: AbortSignal.timeout(3000) });
      found();
      live();
    } catch { /* not yet */ }
  }
}
window.addEventListener("offline", () => lost(0));

// The head says whether code runs. Of many changes at once it shows the last.
let heading = 0;
function headSoon() { heading = heading || setTimeout(() => { heading = 0; fire("head"); }, 500); }

// What the stream says of a statement waits until its cell is here; a cell of an ended one has it all.
const late = new Map();
function about(number, act) {
  const cell = document.getElementById(`s${number}`), next = document.getElementById("after");
  if (cell) { if (cell.hasAttribute("hx-get")) act(cell); return; }
  if (!next || number < Number(next.value)) return;
  late.set(number, [...(late.get(number) || []), act]);
  fire("list");
}
function catchUp() {
  for (const [number, acts] of late) {
    if (document.getElementById(`s${number}`)) { late.delete(number); for (const act of acts) about(number, act); }
  }
  if (late.size) fire("list");
}

// Printed text is bounded: the rest of it is a download away.
const most = 200000;
function append(cell, said) {
  const text = cell.querySelector(".text");
  const isRead = text.scrollTop + text.clientHeight < text.scrollHeight - 40;
  if (said.is_cut) { text.replaceChildren(); text.held = 0; }
  const held = text.held ?? text.textContent.length;
  text.insertAdjacentHTML("beforeend", `<span>${said.html}</span>`);
  text.held = held + text.lastChild.textContent.length;
  let isCut = said.is_cut;
  for (; text.held > most && text.firstChild !== text.lastChild; isCut = true) {
    text.held -= text.firstChild.textContent.length;
    text.firstChild.remove();
  }
  if (isCut) cell.querySelector(".cut").hidden = false;
  if (!isRead) text.scrollTop = text.scrollHeight;
}

// A form that says so is saved once something differs from what the page came with.
const differs = (one) => one.type === "checkbox" ? one.checked !== one.defaultChecked
  : one.options ? one.selectedIndex !== Math.max(0, [...one.options].findIndex((option) => option.defaultSelected))
  : one.value !== one.defaultValue;
function changed(form) {
  for (const one of form.querySelectorAll("button:not([type=button])")) one.disabled = ![...form.elements].some((field) => field.name && field.tagName !== "BUTTON" && differs(field));
}
document.addEventListener("input", (event) => { const form = event.target.closest("form[data-changed]"); if (form) changed(form); });

function settle(root) {
  localTimes(root);
  tick();
  for (const form of root.querySelectorAll("form[data-changed]")) changed(form);
  for (const one of root.querySelectorAll("[data-follow]")) one.scrollTop = one.scrollHeight;
  const dialog = root.querySelector && root.querySelector("dialog[data-open]");
  if (dialog && !dialog.open) dialog.showModal();
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await clip(document.getElementById(copy.dataset.copy).textContent.trim(), copy);
    return;
  }
  if (event.target.closest("[data-close]")) {
    const dialog = event.target.closest("dialog");
    if (dialog) dialog.close();
    const panel = event.target.closest(".panel");
    if (panel) closePanel(panel);
  }
  if (event.target.closest("[data-shortcuts]")) showShortcuts();
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target) || event.target.closest("[data-shortcuts]")) menu.open = false;
  }
});

// A dialog that was closed is gone: what is swapped in later must not open it again.
document.addEventListener("close", (event) => { if (event.target.matches("dialog")) event.target.remove(); }, true);

// What a page keeps in this tab is the person's, and goes with them.
document.addEventListener("submit", (event) => { if (event.target.matches(`[action$="/sign-out"]`)) sessionStorage.clear(); });

let opener = null;
function closePanel(panel) {
  panel.replaceChildren();
  if (opener && opener.isConnected) opener.focus();
}

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    const panel = document.getElementById("panel");
    if (panel && panel.childElementCount && !document.querySelector("dialog[open]")) closePanel(panel);
    for (const menu of document.querySelectorAll("details.menu[open]")) { menu.open = false; menu.querySelector("summary").focus(); }
  }
  shortcut(event);
});

// Single keys work where nobody types. Speech input presses keys too, so they can be switched off.
let after = "", keyed = 0;
function shortcut(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || document.querySelector("dialog[open]")) return;
  if (event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]") || localStorage.getItem("keys") === "off") return;
  const before = after;
  after = event.key === "g" ? "g" : "";
  clearTimeout(keyed);
  keyed = setTimeout(() => { after = ""; }, 1500);
  const there = before === "g" && [...document.querySelectorAll("[data-go]")].find((one) => one.dataset.go === event.key);
  const field = event.key === "/" && (document.querySelector(".composer .cm-content, .composer textarea") || document.querySelector("main input[type=search]"));
  if (there) there.click();
  else if (field) field.focus();
  else if (event.key === "?") showShortcuts();
  else return;
  event.preventDefault();
}
function showShortcuts() {
  const place = document.getElementById("dialog"), made = document.getElementById("shortcuts");
  if (!made) return;
  place.replaceChildren(made.content.cloneNode(true));
  place.querySelector("[data-keys]").checked = localStorage.getItem("keys") !== "off";
  settle(place);
}
document.addEventListener("change", (event) => {
  if (event.target.matches("[data-keys]")) localStorage.setItem("keys", event.target.checked ? "on" : "off");
});

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target && event.detail.target.id === "panel") opener = event.detail.elt;
});
// What a person has unfolded in a part stays so when the part is replaced.
let unfolded = [];
document.addEventListener("htmx:beforeSwap", (event) => { unfolded = [...event.detail.target.querySelectorAll("details[open][id]")].map((one) => one.id); });
document.addEventListener("htmx:afterSwap", (event) => {
  for (const id of unfolded) { const one = document.getElementById(id); if (one) one.open = true; }
  const target = event.detail.target;
  settle(target.isConnected ? target : document);
  if (target.id === "panel") {
    const heading = target.querySelector("h2");
    if (heading) { heading.tabIndex = -1; heading.focus(); }
  }
  live();
});
// Not before: cells hear of nothing until htmx has settled them, at once.
document.addEventListener("htmx:afterSettle", (event) => { if (event.detail.target.id === "next") catchUp(); });
document.addEventListener("htmx:afterRequest", (event) => {
  // An error that is shown counts as successful here: what was typed stays then.
  const done = event.detail.successful && event.detail.xhr.status < 400;
  if (done) found();
});
// What is as before stays, with the focus in it.
document.addEventListener("htmx:oobBeforeSwap", (event) => {
  if (event.detail.target.innerHTML === event.detail.fragment.innerHTML) event.detail.shouldSwap = false;
});
document.addEventListener("htmx:oobAfterSwap", () => settle(document));
// An answer that is an error is shown where people look, not thrown away.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status >= 400 && xhr.getResponseHeader("X-Portal-Note")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    event.detail.target = document.getElementById("notes");
    document.querySelector("dialog[open]")?.close(); // it would hide the note
    event.detail.swapOverride = "innerHTML";
  }
});
document.addEventListener("done", (event) => say(event.detail.value));
document.addEventListener("htmx:sendError", (event) => {
  lost(0);
  const part = (event.detail.elt.getAttribute("hx-trigger") || "").match(/^live-(\S+)/);
  if (part) missed.add(part[1]);
});

// Rich output lives in frames that may tell nothing but how tall they are.
window.addEventListener("message", (event) => {
  for (const frame of document.querySelectorAll("iframe[data-rich]")) {
    if (frame.contentWindow === event.source && Number.isFinite(event.data)) {
      frame.style.blockSize = `${Math.min(900, Math.max(32, event.data))}px`;
    }
  }
});

document.addEventListener("DOMContentLoaded", () => {
  settle(document);
  live();
  const done = document.getElementById("said").textContent;
  if (done) say(done);
  // Sideways alone: the page itself may be elsewhere.
  for (const one of document.querySelectorAll(".tabs [aria-current]")) {
    const bar = one.closest(".tabs");
    bar.scrollLeft = one.offsetLeft - bar.offsetLeft - (bar.clientWidth - one.offsetWidth) / 2;
  }
});
