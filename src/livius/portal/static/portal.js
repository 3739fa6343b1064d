// What pages do beyond links and forms. No page needs it to be read; htmx does the fetching.
"use strict";

const words = document.documentElement.dataset;

function say(text) {
  const place = document.getElementById("said");
  place.textContent = "";
  requestAnimationFrame(() => { place.textContent = text; });
}

// Times come as UTC; they are shown as this browser's own.
const moments = new Intl.DateTimeFormat(document.documentElement.lang, { dateStyle: "medium", timeStyle: "medium", hour12: false });
function localTimes(root) {
  for (const one of root.querySelectorAll("time[datetime]:not([data-local])")) {
    one.dataset.local = "";
    one.title = one.textContent.trim();
    one.textContent = moments.format(new Date(one.dateTime));
  }
}

function duration(seconds) {
  const s = Math.max(0, Math.floor(seconds)), h = Math.floor(s / 3600), m = Math.floor(s / 60) % 60;
  const parts = [[h, words.hours], [m, words.minutes], [s % 60, words.seconds]];
  const first = h ? 0 : m ? 1 : 2;
  return parts.slice(first, first + 2).map(([n, unit]) => `${n} ${unit}`).join(" ");
}
function tick() {
  for (const one of document.querySelectorAll("[data-since]")) {
    one.textContent = duration((Date.now() - Date.parse(one.dataset.since)) / 1000);
  }
}
setInterval(tick, 1000);

// Live: the stream says which parts of the page have changed; each part fetches itself.
let stream = null;
function live() {
  const source = document.querySelector("[data-live]");
  const wanted = source && document.visibilityState === "visible";
  if (stream && (!wanted || stream.of !== source.dataset.live)) { stream.close(); stream = null; }
  if (!wanted || stream) return;
  // A browser that creates the source again forgets where it was: the page remembers.
  const last = source.dataset.lastId || "";
  stream = new EventSource(source.dataset.live + (last ? `${source.dataset.live.includes("?") ? "&" : "?"}after=${encodeURIComponent(last)}` : ""));
  stream.of = source.dataset.live;
  stream.onmessage = (event) => {
    source.dataset.lastId = event.lastEventId;
    for (const name of event.data.split(" ")) htmx.trigger(document.body, `live-${name}`);
  };
  stream.onerror = () => {
    // Refused for good (signed out, gone): the browser does not try again by itself.
    if (stream && stream.readyState === EventSource.CLOSED) { stream.close(); stream = null; setTimeout(live, 10000); }
  };
}
document.addEventListener("visibilitychange", live);
window.addEventListener("pagehide", () => { if (stream) { stream.close(); stream = null; } });
window.addEventListener("pageshow", live);

function settle(root) {
  localTimes(root);
  tick();
  for (const one of root.querySelectorAll("[data-follow]")) one.scrollTop = one.scrollHeight;
  const dialog = root.querySelector && root.querySelector("dialog[data-open]");
  if (dialog && !dialog.open) dialog.showModal();
}

document.addEventListener("click", async (event) => {
  const copy = event.target.closest("[data-copy]");
  if (copy) {
    await navigator.clipboard.writeText(document.getElementById(copy.dataset.copy).textContent.trim());
    say(words.copied);
    return;
  }
  if (event.target.closest("[data-close]")) {
    const dialog = event.target.closest("dialog");
    if (dialog) dialog.close();
    const panel = event.target.closest(".panel");
    if (panel) closePanel(panel);
  }
  for (const menu of document.querySelectorAll("details.menu[open]")) {
    if (!menu.contains(event.target)) menu.open = false;
  }
});

// A dialog that was closed is gone: what is swapped in later must not open it again.
document.addEventListener("close", (event) => { if (event.target.matches("dialog")) event.target.remove(); }, true);

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
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.matches(".composer textarea")) {
    event.preventDefault();
    event.target.form.requestSubmit();
  }
  if (event.key === "/" && !event.target.closest("input, textarea, select, [contenteditable]")) {
    const search = document.querySelector(".filters input[type=search]");
    if (search) { event.preventDefault(); search.focus(); }
  }
});

document.addEventListener("htmx:beforeRequest", (event) => {
  if (event.detail.target && event.detail.target.id === "panel") opener = event.detail.elt;
});
document.addEventListener("htmx:afterSwap", (event) => {
  const target = event.detail.target;
  settle(target.isConnected ? target : document);
  if (target.id === "panel") {
    const heading = target.querySelector("h2");
    if (heading) { heading.tabIndex = -1; heading.focus(); }
  }
  live();
});
document.addEventListener("htmx:afterRequest", (event) => {
  // An error that is shown counts as successful here: what was typed stays then.
  const done = event.detail.successful && event.detail.xhr.status < 400;
  if (done && event.detail.elt.matches("form.composer")) {
    const code = event.detail.elt.querySelector("textarea");
    code.value = "";
    code.focus();
    code.form.scrollIntoView({ block: "end" });
  }
});
document.addEventListener("htmx:oobAfterSwap", () => settle(document));
// An answer that is an error is shown where people look, not thrown away.
document.addEventListener("htmx:beforeSwap", (event) => {
  const { xhr } = event.detail;
  if (xhr.status >= 400 && xhr.getResponseHeader("X-Portal-Note")) {
    event.detail.shouldSwap = true;
    event.detail.isError = false;
    event.detail.target = document.getElementById("notes");
    event.detail.swapOverride = "innerHTML";
  }
});
document.addEventListener("htmx:sendError", () => say(words.offline));

// Rich output lives in frames that may tell nothing but how tall they are.
window.addEventListener("message", (event) => {
  for (const frame of document.querySelectorAll("iframe[data-rich]")) {
    if (frame.contentWindow === event.source && Number.isFinite(event.data)) {
      frame.style.blockSize = `${Math.min(900, Math.max(32, event.data))}px`;
    }
  }
});

document.addEventListener("DOMContentLoaded", () => { settle(document); live(); });
