// Cells and the console below them. Without this script the textarea and its button still run code.
"use strict";

const composer = () => document.querySelector("form.composer");

// What was typed, and the language, outlive a reload and an expired sign-in: for this tab and person alone.
function keep(form) {
  try { sessionStorage.setItem(`console ${form.dataset.draft}`, JSON.stringify({ code: form.elements.code.value, kind: form.elements.kind.value })); } catch { /* a browser without storage */ }
}
function restore(form) {
  const { code, kind } = form.elements;
  let kept = null;
  try { kept = JSON.parse(sessionStorage.getItem(`console ${form.dataset.draft}`)); } catch { /* as above */ }
  if (!kept) return;
  code.value = kept.code;
  if ([...kind.options].some((one) => one.value === kept.kind)) kind.value = kept.kind;
}
function fill(form, text, kind) {
  const { code } = form.elements;
  if (kind && [...form.elements.kind.options].some((one) => one.value === kind)) {
    form.elements.kind.value = kind;
    form.elements.kind.dispatchEvent(new Event("change", { bubbles: true }));
  }
  code.value = text;
  code.dispatchEvent(new Event("input", { bubbles: true }));
}

const codeOf = (cell) => cell.querySelector(".code").textContent;
const acts = {
  copy(cell, button) { return clip(codeOf(cell), button); },
  link(cell, button) {
    const url = new URL(location.href);
    url.searchParams.delete("until");
    url.searchParams.set("statement", cell.id.slice(1));
    url.hash = cell.id;
    return clip(url.href, button);
  },
  again(cell, button) {
    const form = composer();
    if (form) htmx.ajax("POST", form.getAttribute("hx-post"), { source: button, target: "#next", swap: "outerHTML", values: { code: codeOf(cell), kind: cell.dataset.kind, after: document.getElementById("after").value } });
  },
  edit(cell) {
    const form = composer();
    if (!form) return;
    fill(form, codeOf(cell), cell.dataset.kind);
    form.elements.code.focus();
  },
  fold(cell, button) { button.setAttribute("aria-expanded", String(!cell.classList.toggle("folded"))); },
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (button) acts[button.dataset.act](button.closest(".cell"), button);
});

document.addEventListener("keydown", (event) => {
  const form = composer();
  if (form && event.target === form.elements.code && event.key === "Enter" && (event.ctrlKey || event.metaKey || event.shiftKey)) {
    event.preventDefault();
    form.requestSubmit();
  }
  if (form && event.key === "/" && !event.ctrlKey && !event.altKey && !event.metaKey && !event.target.closest("input, textarea, select, [contenteditable]")) {
    event.preventDefault();
    form.elements.code.focus();
  }
  // A toolbar is one stop of the Tab key; arrows move within it.
  const bar = event.target.closest("[role=toolbar]"), by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (bar && by) {
    const buttons = [...bar.querySelectorAll("button")], next = buttons[(buttons.indexOf(event.target) + by + buttons.length) % buttons.length];
    event.preventDefault();
    event.target.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  }
});

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (form.matches("form.composer") && !form.elements.code.value.trim()) { event.preventDefault(); event.stopImmediatePropagation(); form.elements.code.focus(); }
}, true);
for (const name of ["input", "change"]) {
  document.addEventListener(name, (event) => { const form = event.target.closest("form.composer"); if (form) keep(form); });
}
document.addEventListener("htmx:afterRequest", (event) => {
  const form = event.detail.elt, { code } = form.elements || {};
  if (!event.detail.successful || event.detail.xhr.status >= 400 || !form.matches("form.composer")) return;
  // More may have been typed meanwhile.
  const sent = String(event.detail.requestConfig.formData.get("code"));
  if (code.value === sent.replaceAll("\r\n", "\n")) fill(form, "");
  code.focus();
  form.scrollIntoView({ block: "end" });
});

if (composer()) restore(composer());

// A page opens at the cell that runs, else at the last one; a reload leaves it where it was.
const opened = performance.getEntriesByType("navigation")[0]?.type === "navigate" && !location.hash && !new URLSearchParams(location.search).has("until");
if (opened) {
  const running = document.querySelector(".cell[hx-get]"), last = [...document.querySelectorAll(".cell")].pop();
  if (running) running.scrollIntoView({ block: "start" });
  else if (last) scrollTo(0, document.documentElement.scrollHeight);
}
