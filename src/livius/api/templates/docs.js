// Search, and opening what an address names. The page is whole without it.
"use strict";

const field = document.getElementById("q"), operations = [...document.querySelectorAll(".operation")];
const texts = new Map(operations.map((one) => [one, one.querySelector("summary").textContent.toLowerCase() + one.querySelector(".words").textContent.toLowerCase()]));
field.parentElement.hidden = false;

function search() {
  const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
  let count = 0;
  for (const one of operations) {
    one.hidden = !words.every((word) => texts.get(one).includes(word));
    document.querySelector(`[data-of="${one.id}"]`).hidden = one.hidden;
    count += one.hidden ? 0 : 1;
  }
  for (const group of document.querySelectorAll(".group:has(.operation), .group:has([data-of])")) group.hidden = !group.querySelector(".operation:not([hidden]), [data-of]:not([hidden])");
  document.getElementById("shapes").hidden = words.length > 0;
  if (words.length) scrollTo(0, 0);
  document.getElementById("found").textContent = words.length ? `${count} of ${operations.length} operations` : "";
}
function open() {
  const there = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (there instanceof HTMLDetailsElement) { there.open = true; there.scrollIntoView(); }
}
field.addEventListener("input", search);
window.addEventListener("hashchange", open);
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.target.closest("input, textarea")) { event.preventDefault(); field.focus(); }
  if (event.key === "Escape" && event.target === field) { field.value = ""; search(); }
});
open();
