// What a script adds to a page that is whole without it: tables that sort and filter, numbers of maps
// under the pointer and the arrow keys, all folds opened at once and in print. Text is set as text.
(() => {
  "use strict";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const make = (tag, text = "", attributes = {}) => {
    const element = document.createElement(tag);
    element.textContent = text;
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  document.documentElement.classList.add("js");

  // --- numbers as the views write them: ~12.3k, (1.2±0.3)e-5, 97.5 %, 1.21 MiB → 512 B
  const FACTORS = {
    "": 1, k: 1e3, M: 1e6, G: 1e9, B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40,
  };
  const NUMBER = /^[~(+]*(-?(?:inf|[\d.]+(?:e[-+]?\d+)?))(?:±[\d.]+)?\)?(e[-+]?\d+)?\s*([KMGT]iB|[kMGB])?/;
  const value = (text) => {
    const found = NUMBER.exec(text.trim());
    if (!found) return NaN;
    const number = found[1].endsWith("inf") ? (found[1][0] === "-" ? -Infinity : Infinity) : +found[1];
    return number * (found[2] ? +("1" + found[2]) : 1) * FACTORS[found[3] || ""];
  };

  // --- sorting: down, up, as it was; what is no number stays last
  const sorted = (rows, column, direction) => {
    const text = (row) => row.cells[column].textContent;
    const numbers = new Map(rows.map((row) => [row, value(text(row))]));
    const numeric = [...numbers.values()].some((number) => !Number.isNaN(number));
    return [...rows].sort((a, b) => {
      if (!numeric) return -direction * text(a).localeCompare(text(b), undefined, { numeric: true });
      const [x, y] = [numbers.get(a), numbers.get(b)];
      if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
      return x === y ? 0 : direction * (y > x ? 1 : -1);
    });
  };
  for (const table of all("table")) {
    const body = table.tBodies[0];
    const original = [...body.rows];
    if (original.length < 2) continue;
    const heads = all("thead th", table);
    heads.forEach((head, column) => {
      if (!head.textContent || head.textContent.startsWith("along")) return;
      const button = make("button", head.textContent, { type: "button" });
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const next = { descending: "ascending", ascending: "" }[head.getAttribute("aria-sort")] ?? "descending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        if (next) head.setAttribute("aria-sort", next);
        body.append(...(next ? sorted(original, column, next === "descending" ? 1 : -1) : original));
      });
    });
    if (!table.classList.contains("long")) continue;
    const label = make("label", "Filter ", { class: "filter" });
    const field = make("input", "", { type: "search", placeholder: "part of a name", autocomplete: "off" });
    const said = make("output");
    label.append(field, said);
    table.parentElement.before(label);
    field.addEventListener("input", () => {
      const wanted = field.value.toLowerCase();
      let shown = 0;
      for (const row of original) {
        row.hidden = !row.cells[0].textContent.toLowerCase().includes(wanted);
        shown += !row.hidden;
      }
      said.textContent = wanted ? `${shown} of ${original.length} rows` : "";
    });
  }

  // --- maps: what lies under the pointer, or under a cell that the arrow keys move
  const DIGITS = Array.from({ length: 92 }, (_, i) => String.fromCharCode(35 + i))
    .filter((character) => !"&'<>\"\\`".includes(character)).join("");
  for (const cells of all("svg.cells")) {
    const data = cells.dataset;
    const [texts, digits] = [data.texts.split(" "), +data.digits];
    const [columns, layers] = [JSON.parse(data.columns), JSON.parse(data.layers)];
    const cursor = cells.querySelector(".cursor");
    const outer = cells.ownerSVGElement;
    const said = outer.parentElement.querySelector(".readout");
    let [x, y] = [columns.length - 1, 0];
    const show = () => {
      const start = (y * columns.length + x) * digits;
      let place = 0;
      for (const character of data.places.slice(start, start + digits)) place = place * DIGITS.length + DIGITS.indexOf(character);
      said.classList.remove("hint");
      said.textContent = `${layers[y]}, ${columns[x]}: ${texts[place]}`;
      const box = { x, y, width: 1, height: 1 };
      for (const [key, number] of Object.entries(box)) cursor.setAttribute(key, number);
    };
    const point = (event) => {
      const matrix = cells.querySelector("g").getScreenCTM().inverse();
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(matrix);
      x = Math.min(Math.max(Math.floor(at.x), 0), columns.length - 1);
      y = Math.min(Math.max(Math.floor(at.y + 0.5), 0), layers.length - 1);
      show();
    };
    cells.addEventListener("pointermove", point);
    cells.addEventListener("pointerdown", point);
    outer.setAttribute("tabindex", "0");
    outer.setAttribute("aria-roledescription", "map; the arrow keys read its cells");
    outer.addEventListener("focus", () => { if (outer.matches(":focus-visible")) show(); });
    outer.addEventListener("keydown", (event) => {
      const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
      if (!move) return;
      event.preventDefault();
      x = Math.min(Math.max(x + move[0], 0), columns.length - 1);
      y = Math.min(Math.max(y + move[1], 0), layers.length - 1);
      show();
    });
    said.setAttribute("aria-live", "polite");
    said.textContent = "Point at a cell, or focus the map and use the arrow keys.";
    said.classList.add("hint");
  }

  // --- folds
  const contents = document.querySelector("nav details");
  if (contents && window.matchMedia("(max-width: 40rem)").matches) contents.open = false;
  const folds = all("main details");
  const tools = make("p", "", { class: "tools" });
  const toggle = make("button", "Open all", { type: "button" });
  toggle.addEventListener("click", () => {
    const open = toggle.textContent === "Open all";
    folds.forEach((fold) => { fold.open = open; });
    toggle.textContent = open ? "Close all" : "Open all";
  });
  tools.append(toggle);
  document.querySelector("nav").append(tools);
  let closed = [];
  window.addEventListener("beforeprint", () => {
    closed = folds.filter((fold) => !fold.open && !fold.classList.contains("values"));
    closed.forEach((fold) => { fold.open = true; });
  });
  window.addEventListener("afterprint", () => { closed.forEach((fold) => { fold.open = false; }); });
})();
