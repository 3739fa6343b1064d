// The hub's chosen sessions and columns: both outlive a list that is fetched again.
"use strict";

const picked = new Set();
const bar = document.getElementById("picks"), of = document.getElementById("column-choice");
const columns = JSON.parse(localStorage.getItem("hub-columns") || "{}");

function picks() {
  const boxes = [...document.querySelectorAll("[name=pick]")], there = new Set(boxes.map((one) => one.value));
  for (const key of picked) if (!there.has(key)) picked.delete(key);
  for (const one of boxes) one.checked = picked.has(one.value);
  const all = document.querySelector("[data-pick-all]");
  if (all) {
    all.disabled = !boxes.length;
    all.checked = boxes.length > 0 && picked.size === boxes.length;
    all.indeterminate = picked.size > 0 && !all.checked;
  }
  bar.hidden = !picked.size;
  document.getElementById("picked").textContent = bar.dataset.words.replace("{n}", picked.size);
}

// What a person chose goes before what the server hides because all rows have the same.
function shape() {
  const table = document.querySelector("#results table");
  if (!table) return;
  for (const box of of.querySelectorAll("input")) {
    const name = box.value, hidden = name in columns ? !columns[name] : table.classList.contains(`no-${name}`);
    table.classList.toggle(`no-${name}`, hidden);
    box.checked = !hidden;
    const same = document.querySelector(`[data-same="${name}"]`);
    if (same) same.hidden = !hidden;
  }
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.name === "pick") { if (box.checked) picked.add(box.value); else picked.delete(box.value); picks(); }
  if (box.matches("[data-pick-all]")) {
    for (const one of document.querySelectorAll("[name=pick]")) { if (box.checked) picked.add(one.value); else picked.delete(one.value); }
    picks();
  }
  if (of.contains(box)) { columns[box.value] = box.checked; localStorage.setItem("hub-columns", JSON.stringify(columns)); shape(); }
});
document.getElementById("pick-none").addEventListener("click", () => { picked.clear(); picks(); });
document.addEventListener("htmx:afterSwap", () => { picks(); shape(); });
document.addEventListener("done", () => { picked.clear(); picks(); });
picks();
shape();
