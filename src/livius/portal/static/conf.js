// The configuration: a filter in place, the requested keys alone, and a copy of what is shown.
"use strict";

(() => {
const rows = [...document.querySelectorAll("#conf tbody tr")];
const filter = document.getElementById("conf-filter"), asked = document.getElementById("conf-asked");
const count = document.getElementById("conf-count"), none = document.getElementById("conf-none");
const values = new Map(rows.map((row) => [row, JSON.parse(row.dataset.row)]));
const texts = new Map(rows.map((row) => [row, `${values.get(row)[0]} ${row.textContent}`.toLowerCase()]));
const table = document.getElementById("conf");

function look() {
  const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
  for (const row of rows) row.hidden = (asked.checked && !("asked" in row.dataset)) || !words.every((word) => texts.get(row).includes(word));
  const shown = rows.filter((row) => !row.hidden).length;
  count.textContent = count.dataset.of.replace("%(shown)s", shown).replace("%(total)s", rows.length);
  none.hidden = shown > 0;
  table.hidden = !shown;
}
filter.addEventListener("input", look);
filter.addEventListener("keydown", (event) => { if (event.key === "Escape") { filter.value = ""; look(); } });
asked.addEventListener("change", look);
document.getElementById("conf-copy").addEventListener("click", (event) => {
  const shown = rows.filter((row) => !row.hidden).map((row) => values.get(row));
  clip(JSON.stringify(Object.fromEntries(shown), null, 2), event.currentTarget);
});
look();
})();
