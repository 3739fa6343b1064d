// A log by line: it follows what is printed while its end is in view, and steps through matches in place.
"use strict";

(() => {
document.documentElement.classList.add("with-script");
const box = document.getElementById("log"), list = box.querySelector(".lines"), most = 5000;
const form = document.getElementById("look"), errors = form.elements.errors.checked, follow = document.getElementById("follow"), wrap = document.getElementById("wrap");

for (const name of ["log", "errors"]) form.elements[name].addEventListener("change", () => form.requestSubmit());

// Lines are wrapped or not, as this person last had it.
const wrapped = (on) => { box.classList.toggle("wrapped", on); wrap.ariaPressed = String(on); };
try { wrapped(localStorage.getItem("log wrap") === "1"); } catch { wrapped(false); }
wrap.addEventListener("click", () => {
  const on = !box.classList.contains("wrapped");
  wrapped(on);
  if (!centre() && follows()) toEnd();
  try { localStorage.setItem("log wrap", on ? "1" : "0"); } catch { /* a browser without storage */ }
});

// Following: on while the end is in view.
const atEnd = () => box.scrollTop + box.clientHeight >= box.scrollHeight - 8;
const toEnd = () => { box.scrollTop = box.scrollHeight; };
const follows = () => follow?.ariaPressed === "true";
let behind = false, reading = false;
async function read() {
  behind = reading || !follows();
  if (behind) return;
  reading = true;
  // What was last may have been incomplete: it comes again.
  const last = [...list.children].findLast((line) => !errors || !line.classList.contains("more-of"));
  const from = last ? Number(last.id.slice(1)) : Number(list.dataset.end);
  try {
    const answer = await fetch(`${follow.dataset.more}&from=${from}`, { headers: { "HX-Request": "true" } });
    if (!answer.ok) throw new Error(answer.status);
    take(await answer.text(), from);
  } catch { setTimeout(read, 3000); }
  reading = false;
  if (behind) read();
}
function take(html, from) {
  const place = document.createElement("template");
  place.innerHTML = html;
  const fresh = place.content.querySelector(".lines"), isWhole = Number(fresh.dataset.start) <= from;
  for (const line of [...list.children]) if (!isWhole || Number(line.id.slice(1)) >= from) line.remove();
  list.dataset.end = fresh.dataset.end;
  list.append(...fresh.children);
  while (list.childElementCount > most) list.firstElementChild.remove();
  if (list.childElementCount) {
    box.classList.remove("unseen");
    document.getElementById("no-lines")?.remove();
  }
  toEnd();
  count();
}
document.body.addEventListener("live-log", read);
if (follow) {
  follow.addEventListener("click", () => { if (follows()) follow.ariaPressed = "false"; else resume(); });
  box.addEventListener("scroll", () => {
    if (follows() && !atEnd()) follow.ariaPressed = "false";
    else if (!follows() && atEnd()) resume();
  }, { passive: true });
}
function resume() {
  follow.ariaPressed = "true";
  toEnd();
  if (behind) read();
}

// Line numbers of a long log come once the lines before are counted, some in each request.
let counting = false;
async function count() {
  const links = [...list.querySelectorAll("[data-uncounted]")];
  if (!links.length || counting) return;
  counting = true;
  const offset = (link) => Number(link.parentNode.id.slice(1));
  // Lines are next to each other unless they are errors alone.
  const asked = errors ? links.map(offset) : [offset(links[0])];
  for (let tries = 0; tries < 1000; tries++) {
    let numbers = null;
    try {
      const answer = await fetch(`${box.dataset.counted}&at=${asked.join(",")}`, { headers: { Accept: "application/json" } });
      if (!answer.ok) break;
      ({ numbers } = await answer.json());
    } catch { break; }
    if (!numbers) continue;
    links.forEach((link, at) => {
      link.textContent = errors ? numbers[at] : numbers[0] + at;
      link.removeAttribute("data-uncounted");
      link.removeAttribute("aria-label");
    });
    break;
  }
  counting = false;
}

// Matches: a step within the lines that are here needs no request.
const matches = document.getElementById("matches");
const hits = matches?.dataset.hits ? matches.dataset.hits.split(",") : [];
function show(offset) {
  for (const one of list.querySelectorAll(".hit")) one.classList.remove("hit");
  document.getElementById(`o${offset}`)?.classList.add("hit");
  centre();
}
function centre() {
  const line = list.querySelector(".hit");
  if (line) box.scrollTop = line.offsetTop - (box.clientHeight - line.offsetHeight) / 2;
  return line;
}
matches?.addEventListener("click", (event) => {
  const step = event.target.closest("[data-step]");
  if (!step) return;
  const at = hits.indexOf(matches.dataset.hit) + Number(step.dataset.step), offset = hits[at];
  if (offset === undefined) { event.preventDefault(); return; }
  if (!document.getElementById(`o${offset}`)) {
    // Another part of the log: the address of this match, wherever steps have led since the page came.
    event.preventDefault();
    const to = new URL(location.href);
    to.searchParams.set("hit", offset);
    to.hash = `o${offset}`;
    location.assign(to);
    return;
  }
  event.preventDefault();
  matches.dataset.hit = offset;
  show(offset);
  const said = matches.querySelector("[role=status]");
  said.textContent = said.dataset.said.replace("%(at)s", at + 1);
  for (const link of matches.querySelectorAll("[data-step]")) {
    const there = hits[at + Number(link.dataset.step)];
    if (there === undefined) { link.removeAttribute("href"); link.ariaDisabled = "true"; } else { link.href = `#o${there}`; link.removeAttribute("aria-disabled"); }
  }
});

if (matches?.dataset.hit) show(matches.dataset.hit);
else if (location.hash) show(location.hash.slice(2));
else if ("tail" in box.dataset) toEnd();
count();
})();
