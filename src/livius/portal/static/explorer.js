// The explorer's tree: open beside the content, folded above it on narrow screens; and its filter.
const tree = document.querySelector(".tree"), filter = document.getElementById("tree-filter");
const wide = matchMedia("(min-width: 1000px)");
const fit = () => { tree.open = wide.matches; };
wide.addEventListener("change", fit);
fit();

function sift() {
  const needle = filter.value.trim().toLowerCase();
  let found = 0;
  const here = (item) => {
    const inner = [...item.querySelectorAll(":scope > ul > li")].map(here).includes(true);
    const isFound = inner || item.firstElementChild.textContent.toLowerCase().includes(needle);
    item.hidden = !isFound;
    found += isFound;
    return isFound;
  };
  const nav = document.getElementById("tree");
  for (const list of nav.querySelectorAll(":scope > ul, :scope > details > ul")) for (const item of list.children) here(item);
  for (const group of nav.querySelectorAll(":scope > details")) { group.hidden = !group.querySelector("li:not([hidden])"); if (needle) group.open = true; }
  nav.querySelector(".none").hidden = found > 0 || !needle;
}
filter.addEventListener("input", sift);
document.addEventListener("htmx:afterSettle", () => { if (filter.value) sift(); });
tree.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" });
