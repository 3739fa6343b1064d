// Grids: what the server has drawn as a table gets order, filter, widths, a selection to copy, all rows, and charts.
"use strict";

(() => {
const texts = JSON.parse(document.currentScript.dataset.words);
const number = new Intl.NumberFormat("en-US").format;
const filled = (text, values) => text.replace(/%\((\w+)\)s/g, (_all, name) => values[name]);
const make = (name, values = {}, ...children) => {
  const one = Object.assign(document.createElement(name), values);
  one.append(...children);
  return one;
};
const few = 300; // rows that are simply there; of more, those in view are
const beyond = 20; // rows above and below them
const collator = new Intl.Collator(undefined, { numeric: true });
const value = { number: (text) => Number(text), time: (text) => Date.parse(text.replace(" ", "T")) };

function ordered(rows, at, kind, down) {
  const of = value[kind], key = new Map();
  for (const row of rows) { const cell = row[at]; key.set(row, cell === null || cell === undefined ? null : of ? of(cell) : cell); }
  const compare = of ? (a, b) => a - b : collator.compare;
  const missing = (one) => one === null || Number.isNaN(one);
  return [...rows].sort((a, b) => {
    const x = key.get(a), y = key.get(b);
    // What is missing is last, in either order.
    if (missing(x) || missing(y)) return missing(x) - missing(y);
    return down ? compare(y, x) : compare(x, y);
  });
}

class Grid {
  constructor(place) {
    this.place = place;
    this.box = place.querySelector(".grid-box");
    this.table = place.querySelector("table");
    this.body = this.table.tBodies[0];
    this.columns = [...this.table.tHead.rows[0].cells].map((th) => ({ th, name: th.textContent, kind: th.dataset.kind }));
    this.all = [...this.body.rows].map((row) => [...row.cells].map((td) => (td.querySelector(".null") ? null : td.textContent)));
    this.shown = this.all;
    this.total = Number(place.dataset.total);
    this.count = place.querySelector(".shown");
    this.first = this.count.textContent;
    this.order = { at: -1, down: false };
    this.needle = "";
    this.from = 0;
    this.to = this.all.length;
    place.classList.add("ready");
    this.tools();
    for (const column of this.columns) this.head(column);
    this.box.addEventListener("scroll", () => this.draw(), { passive: true });
    this.box.addEventListener("keydown", (event) => this.key(event));
    this.box.addEventListener("pointerdown", (event) => this.point(event));
    this.box.addEventListener("pointerover", (event) => { if (event.buttons === 1 && this.pointing) this.select(this.cellAt(event.target), true); });
  }

  tools() {
    this.search = make("input", { type: "search", placeholder: texts.filter, ariaLabel: texts.filter });
    let asked = 0;
    this.search.addEventListener("input", () => { clearTimeout(asked); asked = setTimeout(() => this.filter(this.search.value), 120); });
    const as = (name) => make("button", { type: "button", className: "command", textContent: texts[name], ariaPressed: String(name === "table"), onclick: () => this.see(name) });
    this.views = { table: as("table"), chart: as("chart") };
    this.bar = make("div", { className: "tools" }, this.views.table, this.views.chart, this.search);
    this.box.before(this.bar);
    if (this.place.dataset.url) {
      this.further = make("button", { type: "button", className: "plain", textContent: texts.more, onclick: () => this.change(() => {}) });
      this.place.querySelector(".links").prepend(this.further);
    }
  }

  head({ th, name }) {
    const at = th.cellIndex;
    const button = make("button", { type: "button", textContent: name, tabIndex: at ? -1 : 0, onclick: () => this.sort(at) });
    button.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      if (!by) return;
      event.preventDefault();
      event.stopPropagation();
      if (event.altKey || event.shiftKey) { this.widen(at, by * 20); return; }
      const next = this.columns[at + by]?.th.querySelector("button");
      if (next) { button.tabIndex = -1; next.tabIndex = 0; next.focus(); }
    });
    const grip = make("span", { className: "grip", title: filled(texts.widen, { name }) });
    grip.addEventListener("pointerdown", (event) => {
      event.stopPropagation();
      event.preventDefault();
      grip.setPointerCapture(event.pointerId);
      let x = event.clientX;
      grip.onpointermove = (moved) => { this.widen(at, moved.clientX - x); x = moved.clientX; };
      grip.onpointerup = () => { grip.onpointermove = null; };
    });
    th.replaceChildren(button, grip);
  }

  // Widths that no longer follow the rows: before one is changed, and before rows come and go.
  size() {
    if (this.table.classList.contains("sized")) return;
    const widths = this.columns.map(({ th }) => th.offsetWidth);
    this.columns.forEach(({ th }, at) => { th.style.width = `${widths[at]}px`; });
    this.table.style.width = `${widths.reduce((sum, one) => sum + one, 0)}px`;
    this.table.classList.add("sized");
  }
  widen(at, by) {
    this.size();
    const { th } = this.columns[at], width = Math.max(48, parseFloat(th.style.width) + by);
    this.table.style.width = `${parseFloat(this.table.style.width) + width - parseFloat(th.style.width)}px`;
    th.style.width = `${width}px`;
  }

  // Order and filter are of all rows, so the rest is fetched first.
  async load() {
    if (!this.place.dataset.url) return true;
    try {
      const answer = await fetch(this.place.dataset.url, { headers: { Accept: "application/json" } });
      if (!answer.ok) throw new Error(answer.status);
      this.all = (await answer.json()).rows;
    } catch {
      say(texts.failed);
      return false;
    }
    delete this.place.dataset.url;
    this.first = this.all.length === this.total ? "" : this.first;
    if (this.further) this.further.remove();
    return true;
  }
  async change(act) {
    if (!await this.load()) return;
    act();
    const needle = this.needle.toLowerCase();
    this.shown = needle ? this.all.filter((row) => row.some((cell) => cell !== null && cell.toLowerCase().includes(needle))) : this.all;
    if (this.order.at >= 0) this.shown = ordered(this.shown, this.order.at, this.columns[this.order.at].kind, this.order.down);
    this.chosen = null;
    this.box.scrollTop = 0;
    this.draw(true);
    this.count.textContent = !this.shown.length && needle ? texts.none_found : this.shown === this.all && this.first ? this.first : filled(texts.count, { shown: number(this.shown.length), total: number(this.total) });
    if (this.chart) this.see("chart");
  }
  filter(text) { return this.change(() => { this.needle = text; }); }
  sort(at) {
    return this.change(() => {
      const { order } = this;
      this.order = order.at !== at ? { at, down: false } : order.down ? { at: -1, down: false } : { at, down: true };
      for (const { th } of this.columns) th.removeAttribute("aria-sort");
      if (this.order.at >= 0) this.columns[at].th.setAttribute("aria-sort", this.order.down ? "descending" : "ascending");
    });
  }

  draw(anew = false) {
    const count = this.shown.length;
    let from = 0, to = count;
    if (count > few) {
      this.size();
      const height = this.height ??= this.body.querySelector("tr:not(.space)").offsetHeight;
      from = Math.max(0, Math.floor(this.box.scrollTop / height) - beyond);
      to = Math.min(count, Math.ceil((this.box.scrollTop + this.box.clientHeight) / height) + beyond);
      if (!anew && from >= this.from && to <= this.to && this.from !== this.to) return;
      from = Math.max(0, from - beyond);
      to = Math.min(count, to + beyond);
    } else if (!anew) return;
    this.from = from;
    this.to = to;
    const space = (rows) => {
      const tr = make("tr", { className: "space" });
      tr.style.height = `${rows * this.height}px`;
      tr.setAttribute("aria-hidden", "true");
      return tr;
    };
    const drawn = this.shown.slice(from, to).map((row, at) => this.row(row, from + at));
    this.body.replaceChildren(...(from ? [space(from)] : []), ...drawn, ...(to < count ? [space(count - to)] : []));
    this.table.setAttribute("aria-rowcount", count + 1);
    this.mark();
  }
  row(row, at) {
    const tr = document.createElement("tr");
    tr.setAttribute("aria-rowindex", at + 2);
    this.columns.forEach(({ kind }, place) => {
      const td = tr.insertCell(), cell = row[place] ?? null;
      if (kind === "number") td.className = "number";
      if (cell === null) td.append(make("span", { className: "null", textContent: "null" }));
      else td.textContent = cell;
    });
    return tr;
  }

  // A selection is a rectangle: from where it began to where it is.
  cellAt(target) {
    const td = target.closest("td");
    if (!td || !this.body.contains(td)) return null;
    const rows = this.body.querySelectorAll("tr:not(.space)");
    return { row: this.from + [...rows].indexOf(td.parentNode), column: td.cellIndex };
  }
  point(event) {
    const cell = event.button === 0 && event.pointerType === "mouse" && this.cellAt(event.target);
    if (!cell) return;
    event.preventDefault();
    this.box.focus({ preventScroll: true });
    this.pointing = true;
    document.addEventListener("pointerup", () => { this.pointing = false; }, { once: true });
    this.select(cell, event.shiftKey);
  }
  select(cell, further) {
    if (!cell) return;
    this.chosen = { begin: further && this.chosen ? this.chosen.begin : cell, end: cell };
    this.mark();
  }
  area() {
    const { begin, end } = this.chosen;
    return { top: Math.min(begin.row, end.row), bottom: Math.max(begin.row, end.row), left: Math.min(begin.column, end.column), right: Math.max(begin.column, end.column) };
  }
  mark() {
    for (const one of this.body.querySelectorAll(".selected")) one.classList.remove("selected");
    if (!this.chosen) return;
    const { top, bottom, left, right } = this.area(), rows = this.body.querySelectorAll("tr:not(.space)");
    for (let row = Math.max(top, this.from); row <= bottom && row < this.to; row++) {
      for (let column = left; column <= right; column++) rows[row - this.from].cells[column].classList.add("selected");
    }
  }
  key(event) {
    if (event.target !== this.box || !this.shown.length) return;
    const command = event.ctrlKey || event.metaKey, last = { row: this.shown.length - 1, column: this.columns.length - 1 };
    if (command && event.key === "c" && this.chosen) { event.preventDefault(); this.copy(); return; }
    if (command && event.key === "a") { event.preventDefault(); this.chosen = { begin: { row: 0, column: 0 }, end: last }; this.mark(); return; }
    if (event.key === "Escape" && this.chosen) { event.stopPropagation(); this.chosen = null; this.mark(); return; }
    const page = Math.max(1, Math.floor(this.box.clientHeight / 28) - 2);
    const step = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [page, 0], PageUp: [-page, 0], Home: [0, -1e9], End: [0, 1e9] }[event.key];
    if (!step || event.altKey) return;
    event.preventDefault();
    const at = this.chosen?.end ?? { row: -step[0], column: -step[1] }, far = command ? 1e9 : 1;
    const next = (place, by, most) => Math.min(most, Math.max(0, place + by * far));
    this.select({ row: next(at.row, step[0], last.row), column: next(at.column, step[1], last.column) }, event.shiftKey);
    this.reveal(this.chosen.end);
  }
  reveal({ row, column }) {
    if (row < this.from || row >= this.to) { this.box.scrollTop = Math.max(0, (row - 3) * this.height); this.draw(); }
    this.body.querySelectorAll("tr:not(.space)")[row - this.from].cells[column].scrollIntoView({ block: "nearest", inline: "nearest" });
  }
  async copy() {
    const { top, bottom, left, right } = this.area();
    const plain = (cell) => (cell ?? "").replace(/[\t\r\n]+/g, " ");
    const lines = this.shown.slice(top, bottom + 1).map((row) => row.slice(left, right + 1).map(plain).join("\t"));
    await navigator.clipboard.writeText(lines.join("\n"));
    say(words.copied);
  }

  see(name) {
    for (const [key, button] of Object.entries(this.views)) button.ariaPressed = String(key === name);
    if (this.chart) this.chart.remove();
    this.chart = null;
    this.box.hidden = name === "chart";
    if (name === "table") { this.draw(true); return; }
    this.load().then(() => { if (this.shown.length < this.all.length && !this.needle && this.order.at < 0) this.shown = this.all; this.chart?.remove(); this.chart = charted(this); this.box.before(this.chart); });
  }
}

// Charts: SVG of the rows that are shown.
const H = 300, left = 64, right = 16, top = 14, bottom = 34, mostBars = 60, mostPoints = 3000;
const svg = (name, values = {}, text) => {
  const one = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, is] of Object.entries(values)) one.setAttribute(key, is);
  if (text !== undefined) one.textContent = text;
  return one;
};
function ticks(low, high) {
  const step = 10 ** Math.floor(Math.log10((high - low) / 4 || 1)), by = [1, 2, 5, 10].map((one) => one * step).find((one) => (high - low) / one <= 6) ?? step * 10;
  const found = [];
  // Counted, because beyond 2^53 a number plus one is the same number.
  for (let begin = Math.ceil(low / by), n = 0; n <= 12 && (begin + n) * by <= high + by / 1e6; n++) found.push((begin + n) * by);
  return found;
}
const brief = new Intl.NumberFormat("en-US", { notation: "compact", maximumSignificantDigits: 4 }).format;
const short = (text) => (text.length > 14 ? `${text.slice(0, 13)}…` : text);

function guess(columns) {
  const numbers = columns.filter((one) => one.kind === "number");
  const x = columns.find((one) => one.kind === "time") ?? columns.find((one) => one.kind === "text" || one.kind === "flag") ?? numbers[0] ?? columns[0];
  const y = numbers.find((one) => one !== x && !/id$/i.test(one.name)) ?? numbers.find((one) => one !== x) ?? numbers[0];
  return { x: columns.indexOf(x), y: columns.indexOf(y), kind: x.kind === "time" ? "line" : x.kind === "number" ? "scatter" : "bar" };
}
function charted(grid) {
  const place = make("div", { className: "chart" });
  const numbers = grid.columns.map(({ kind }, at) => ({ kind, at })).filter((one) => one.kind === "number");
  if (!numbers.length) { place.append(make("p", { className: "soft small", textContent: texts.none })); return place; }
  const now = grid.drawing ??= guess(grid.columns);
  const chosen = (label, name, options) => {
    const select = make("select", { onchange: () => { now[name] = name === "kind" ? select.value : Number(select.value); picture(); } }, ...options.map(([is, text]) => make("option", { value: is, textContent: text, selected: String(now[name]) === String(is) })));
    return make("label", {}, label, select);
  };
  const named = (all) => all.map(({ at }) => [at, grid.columns[at].name]);
  place.append(make("div", { className: "tools" }, chosen(texts.kind, "kind", ["bar", "line", "scatter"].map((one) => [one, texts[one]])), chosen(texts.across, "x", named(grid.columns.map((_one, at) => ({ at })))), chosen(texts.up, "y", named(numbers))));
  const note = make("p", { className: "soft small" });
  const picture = () => {
    place.querySelector("svg")?.remove();
    const { drawing, count } = draw(grid, now);
    note.textContent = count < grid.shown.length ? filled(texts.some, { shown: number(count), total: number(grid.shown.length) }) : "";
    place.append(drawing, note);
  };
  picture();
  return place;
}
function draw(grid, { kind, x, y }) {
  const W = Math.max(280, grid.place.clientWidth), labels = Math.max(2, Math.floor(W / 120));
  const across = grid.columns[x], of = kind !== "bar" && value[across.kind];
  let points = grid.shown.map((row) => ({ label: row[x] ?? "null", x: of ? of(row[x] ?? "?") : 0, y: row[y] === null ? NaN : Number(row[y]) })).filter((one) => Number.isFinite(one.y) && Number.isFinite(one.x));
  const most = kind === "bar" ? mostBars : mostPoints;
  if (kind === "line" && of) points.sort((a, b) => a.x - b.x);
  if (points.length > most) { const every = points.length / most; points = kind === "bar" ? points.slice(0, most) : Array.from({ length: most }, (_none, at) => points[Math.floor(at * every)]); }
  if (!of) points.forEach((one, at) => { one.x = at; });
  const drawing = svg("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": `${texts[kind]}: ${across.name}, ${grid.columns[y].name}` });
  if (!points.length) return { drawing, count: 0 };
  const least = (key) => points.reduce((low, one) => Math.min(low, one[key]), Infinity), greatest = (key) => points.reduce((high, one) => Math.max(high, one[key]), -Infinity);
  let low = least("y"), high = greatest("y");
  if (kind === "bar") { low = Math.min(0, low); high = Math.max(0, high); }
  if (low === high) { const more = Math.max(1, Math.abs(low) / 1e6); low -= more; high += more; }
  const begin = kind === "bar" ? -0.5 : least("x"), end = kind === "bar" ? points.length - 0.5 : greatest("x"), wide = end - begin || 1;
  const px = (at) => left + ((at - begin) / wide) * (W - left - right), py = (at) => H - bottom - ((at - low) / (high - low)) * (H - top - bottom);
  for (const at of ticks(low, high)) drawing.append(svg("line", { class: "rule", x1: left, x2: W - right, y1: py(at), y2: py(at) }), svg("text", { x: left - 8, y: py(at) + 4, "text-anchor": "end" }, brief(at)));
  const label = (at, text) => drawing.append(svg("text", { x: px(at), y: H - bottom + 18, "text-anchor": "middle" }, short(text)));
  if (of && across.kind === "number") for (const at of ticks(begin, end)) label(at, brief(at));
  else { const every = Math.ceil(points.length / labels); points.forEach((one, at) => { if (at % every === 0) label(one.x, one.label); }); }
  const titled = (shape, one) => { shape.append(svg("title", {}, `${one.label}: ${one.y}`)); return shape; };
  if (kind === "bar") {
    const width = Math.max(1, ((W - left - right) / points.length) * 0.8);
    for (const one of points) drawing.append(titled(svg("rect", { class: "mark", x: px(one.x) - width / 2, width, y: Math.min(py(one.y), py(0)), height: Math.max(1, Math.abs(py(one.y) - py(0))) }), one));
  } else {
    if (kind === "line") drawing.append(svg("polyline", { class: "line", points: points.map((one) => `${px(one.x).toFixed(1)},${py(one.y).toFixed(1)}`).join(" ") }));
    if (kind === "scatter" || points.length <= 200) for (const one of points) drawing.append(titled(svg("circle", { class: "mark", cx: px(one.x), cy: py(one.y), r: 3 }), one));
  }
  return { drawing, count: points.length };
}

function raise() {
  for (const place of document.querySelectorAll("[data-grid]:not(.ready)")) new Grid(place);
}
document.addEventListener("DOMContentLoaded", raise);
document.addEventListener("htmx:afterSettle", raise);
})();
