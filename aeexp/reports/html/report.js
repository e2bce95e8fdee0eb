"use strict";
const byId = id => document.getElementById(id);

// --- tables: a header's button sorts by data-sort, numbers before words, nothing last whichever way

function order(a, b) {
  const [x, y] = [Number(a), Number(b)];
  if (!Number.isNaN(x) && !Number.isNaN(y)) return x - y;
  if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1;
  return a.localeCompare(b, undefined, { numeric: true });
}

function sortBy(head) {
  const table = head.closest("table"), column = head.cellIndex, body = table.tBodies[0];
  const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
  for (const other of table.tHead.rows[0].cells) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
  const key = row => row.cells[column].dataset.sort;
  const rows = [...body.rows].sort((a, b) => {
    if (key(a) === "" || key(b) === "") return (key(a) === "") - (key(b) === "");
    return sign * order(key(a), key(b));
  });
  body.append(...rows);
}

for (const button of document.querySelectorAll(".sortable thead button"))
  button.addEventListener("click", () => sortBy(button.closest("th")));
byId("all")?.addEventListener("change", event => byId("table").classList.toggle("all", event.target.checked));

// --- figures: one at a time on the screen

function showFigure() {
  for (const part of document.querySelectorAll(".figures")) part.hidden = part.dataset.figure !== byId("figure").value;
}
if (byId("figure")) {
  const names = [...byId("figure").options].map(option => option.value);
  byId("figure").value = names.includes("reconstructions") ? "reconstructions" : names[0];
  byId("figure").addEventListener("change", showFigure);
  byId("large").addEventListener("change", event => byId("figures").classList.toggle("large", event.target.checked));
  showFigure();
}

// --- a figure large, by a click or a key; Escape, a click or a key closes it

function enlarge(image) {
  const shown = byId("enlarged").querySelector("img");
  [shown.src, shown.alt] = [image.src, image.alt];
  byId("enlarged").showModal();
}
for (const image of document.querySelectorAll("main img")) {
  [image.tabIndex, image.role] = [0, "button"];
  image.addEventListener("click", () => enlarge(image));
  image.addEventListener("keydown", event => {
    if (event.key !== "Enter" && event.key !== " ") return;
    event.preventDefault();
    enlarge(image);
  });
}
byId("enlarged").addEventListener("click", () => byId("enlarged").close());

// --- scatter: Okabe and Ito's colours, and a shape as a second sign

const COLORS = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "var(--ink)"];
const SHAPES = [
  r => `M${-r},0A${r},${r} 0 1 0 ${r},0A${r},${r} 0 1 0 ${-r},0Z`,
  r => `M${-r},${-r}H${r}V${r}H${-r}Z`,
  r => `M0,${-1.25 * r}L${1.2 * r},${r}H${-1.2 * r}Z`,
  r => `M0,${-1.4 * r}L${1.4 * r},0L0,${1.4 * r}L${-1.4 * r},0Z`,
  r => `M0,${1.25 * r}L${1.2 * r},${-r}H${-1.2 * r}Z`,
];
const SVG = "http://www.w3.org/2000/svg";
const BOX = { width: 900, height: 520, left: 78, right: 20, top: 16, bottom: 56 }; // width and height fit the screen

function make(name, values, parent, text) {
  const node = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(values)) node.setAttribute(key, value);
  if (text !== undefined) node.textContent = text;
  parent?.append(node);
  return node;
}

const short = value => {
  const size = Math.abs(value);
  const text = size !== 0 && (size < 1e-3 || size >= 1e6) ? value.toExponential(2) : String(Number(value.toPrecision(4)));
  return text.replace("-", "−");
};

function ticks(low, high, log) {
  const found = [];
  if (log) {
    for (const steps of [[1, 2, 5], [1, 3], [1]]) {
      found.length = 0;
      for (let e = Math.floor(Math.log10(low)); e <= Math.ceil(Math.log10(high)); e++)
        for (const step of steps) if (step * 10 ** e >= low * 0.999 && step * 10 ** e <= high * 1.001) found.push(step * 10 ** e);
      if (found.length <= 9) break;
    }
    if (found.length >= 2) return found;
    found.length = 0;
  }
  const rough = (high - low) / 6, power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find(by => by * power >= rough);
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; i++) found.push(Number((i * step).toPrecision(12)));
  return found;
}

function scale(values, log, from, to) {
  const by = log ? Math.log : value => value, back = log ? Math.exp : value => value;
  let low = Math.min(...values.map(by)), high = Math.max(...values.map(by));
  const gap = (high - low) * 0.06 || Math.abs(high) * 0.1 || 1;
  [low, high] = [low - gap, high + gap];
  const place = value => from + (by(value) - low) / (high - low) * (to - from);
  return { place, ticks: ticks(back(low), back(high), log), low: back(low) };
}

function scatter(data) {
  const axis = id => data.axes.find(one => one.id === byId(id).value);
  const pairs = (x, y, name) => data.groups
    .map((group, i) => ({ group, x: x[name][i], y: y[name][i] }))
    .filter(one => one.x != null && one.y != null);

  function baselines(x, y) {
    const spots = [];
    for (const name of Object.keys(data.baselines)) {
      const seen = new Set();
      for (const one of pairs(x, y, name)) {
        const key = `${one.x.toPrecision(3)} ${one.y.toPrecision(3)}`;
        if (!seen.has(key)) spots.push({ ...one, name });
        seen.add(key);
      }
    }
    return spots;
  }

  function extent(points, spots, by, log) {
    const ends = points.flatMap(one => [one[by][0], one[by][0] - one[by][1], one[by][0] + one[by][1]]);
    return [...ends, ...spots.map(one => one[by])].filter(value => !log || value > 0);
  }

  function draw() {
    const x = axis("across"), y = axis("up"), logs = [byId("across-log").checked, byId("up-log").checked];
    const visible = one => (!logs[0] || one.x > 0 || one.x[0] > 0) && (!logs[1] || one.y > 0 || one.y[0] > 0);
    const points = pairs(x, y, "values").filter(visible), spots = baselines(x, y).filter(visible);
    byId("plot").replaceChildren();
    byId("legend").replaceChildren();
    BOX.width = Math.max(320, Math.min(900, byId("plot").clientWidth));
    BOX.height = Math.round(Math.max(320, 0.58 * BOX.width));
    if (!points.length) { byId("plot").textContent = "No group has both numbers."; return; }
    const words = `${y.key} over ${x.key}, ${points.length} groups`;
    const svg = make("svg", { viewBox: `0 0 ${BOX.width} ${BOX.height}`, role: "group", "aria-label": words }, byId("plot"));
    const across = scale(extent(points, spots, "x", logs[0]), logs[0], BOX.left, BOX.width - BOX.right);
    const up = scale(extent(points, spots, "y", logs[1]), logs[1], BOX.height - BOX.bottom, BOX.top);
    if (x.part === "setting") {
      const values = [...new Set(points.map(one => one.x[0]))];
      if (values.length <= 8) across.ticks = values;
    }
    frame(svg, across, up, x, y);
    joined(svg, points, across, up);
    for (const one of spots) reference(svg, one, across, up, x, y);
    for (const one of points) point(svg, one, across, up, logs, x, y);
    legend(points, spots);
  }

  function frame(svg, across, up, x, y) {
    const low = BOX.height - BOX.bottom, grid = { stroke: "var(--grid)", "stroke-width": 1 };
    for (const tick of across.ticks) {
      make("line", { x1: across.place(tick), x2: across.place(tick), y1: BOX.top, y2: low, ...grid }, svg);
      make("text", { x: across.place(tick), y: low + 18, "text-anchor": "middle" }, svg, short(tick));
    }
    for (const tick of up.ticks) {
      make("line", { x1: BOX.left, x2: BOX.width - BOX.right, y1: up.place(tick), y2: up.place(tick), ...grid }, svg);
      make("text", { x: BOX.left - 8, y: up.place(tick) + 4, "text-anchor": "end" }, svg, short(tick));
    }
    make("path", { d: `M${BOX.left},${BOX.top}V${low}H${BOX.width - BOX.right}`, fill: "none", stroke: "var(--soft)" }, svg);
    const named = one => one.key + (one.part === "setting" || BOX.width < 640 ? "" : `, ${one.words}`) + (one.unit ? ` (${one.unit})` : "");
    make("text", { class: "name", x: (BOX.left + BOX.width - BOX.right) / 2, y: BOX.height - 12, "text-anchor": "middle" }, svg, named(x));
    make("text", { class: "name", transform: `translate(18 ${(BOX.top + low) / 2}) rotate(-90)`, "text-anchor": "middle" }, svg, named(y));
  }

  function joined(svg, points, across, up) {
    if (data.swept === null) return;
    data.lines.forEach((_, i) => {
      const own = points.filter(one => one.group.line === i).sort((a, b) => a.group.at - b.group.at);
      const path = own.map(one => `${across.place(one.x[0])},${up.place(one.y[0])}`).join("L");
      if (own.length > 1) make("path", { d: `M${path}`, fill: "none", stroke: COLORS[i % COLORS.length], "stroke-width": 1.3, opacity: 0.6 }, svg);
    });
  }

  function point(svg, one, across, up, logs, x, y) {
    const color = COLORS[one.group.line % COLORS.length], [a, b] = [across.place(one.x[0]), up.place(one.y[0])];
    const end = (value, half, axis, log) => axis.place(log ? Math.max(value + half, axis.low) : value + half);
    const line = { stroke: color, "stroke-width": 1.3 };
    if (one.x[1]) make("path", { d: `M${end(one.x[0], -one.x[1], across, logs[0])},${b}H${end(one.x[0], one.x[1], across, logs[0])}`, ...line }, svg);
    if (one.y[1]) make("path", { d: `M${a},${end(one.y[0], -one.y[1], up, logs[1])}V${end(one.y[0], one.y[1], up, logs[1])}`, ...line }, svg);
    const number = value => short(value[0]) + (value[1] ? ` ± ${short(Number(value[1].toPrecision(2)))}` : "");
    const runs = one.group.n > 1 ? `mean of ${one.group.n} runs` : "one run";
    const text = [one.group.name, ...[x, y].map((axis, i) => `${axis.key} (${axis.words}): ${number(i ? one.y : one.x)}`), runs].join("\n");
    const shape = SHAPES[one.group.line % SHAPES.length](5.5);
    const node = { class: "point", d: shape, transform: `translate(${a} ${b})`, fill: color, stroke: "var(--paper)", "stroke-width": 1 };
    tip(make("path", { ...node, tabindex: 0, role: "img", "aria-label": text }, svg), text);
  }

  function reference(svg, one, across, up, x, y) {
    const sign = { d: mark(one.name), fill: one.name === "raw" ? "var(--ink)" : "var(--paper)", stroke: "var(--ink)", "stroke-width": 1.5 };
    const text = `${data.baselines[one.name]} (beside ${one.group.name})\n${x.key}: ${short(one.x)}\n${y.key}: ${short(one.y)}`;
    const place = `translate(${across.place(one.x)} ${up.place(one.y)})`;
    tip(make("path", { class: "point", ...sign, transform: place, tabindex: 0, role: "img", "aria-label": text }, svg), text);
  }

  const mark = name => name === "raw" ? SHAPES[3](5) : SHAPES[1](5);

  function legend(points, spots) {
    const entry = (values, words) => {
      const item = document.createElement("span");
      make("path", { transform: "translate(8 8)", ...values }, make("svg", { width: 16, height: 16, "aria-hidden": true }, item));
      item.append(words);
      byId("legend").append(item);
    };
    for (const i of new Set(points.map(one => one.group.line)))
      entry({ d: SHAPES[i % SHAPES.length](5), fill: COLORS[i % COLORS.length] }, data.lines[i]);
    for (const name of new Set(spots.map(one => one.name)))
      entry({ d: mark(name), fill: name === "raw" ? "var(--ink)" : "var(--paper)", stroke: "var(--ink)", "stroke-width": 1.5 }, data.baselines[name]);
  }

  function tip(node, text) {
    const show = () => {
      const box = node.getBoundingClientRect(), words = byId("tip");
      words.textContent = text;
      words.hidden = false;
      const left = Math.min(box.right + 8, innerWidth - words.offsetWidth - 8);
      words.style.left = `${Math.max(8, left)}px`;
      words.style.top = `${Math.max(8, box.top - words.offsetHeight - 8)}px`;
    };
    for (const name of ["pointerenter", "focus"]) node.addEventListener(name, show);
    for (const name of ["pointerleave", "blur"]) node.addEventListener(name, () => { byId("tip").hidden = true; });
  }

  function fit(id) { // a logarithmic axis where it can be, and is on where numbers spread
    const chosen = axis(id), box = byId(`${id}-log`);
    const values = chosen.values.filter(value => value != null).map(value => value[0]);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    box.disabled = !(low > 0);
    box.checked = low > 0 && high > (chosen.part === "setting" ? 10 : 20) * low;
  }

  ["across", "up"].forEach((id, i) => {
    for (const words of new Set(data.axes.map(one => one.words))) {
      const part = document.createElement("optgroup");
      part.label = words;
      for (const one of data.axes.filter(one => one.words === words)) part.append(new Option(one.key, one.id));
      byId(id).append(part);
    }
    byId(id).value = data.first[i];
    fit(id);
    byId(id).addEventListener("change", () => { fit(id); draw(); });
    byId(`${id}-log`).addEventListener("change", draw);
  });
  draw();
  let width = byId("plot").clientWidth;
  addEventListener("resize", () => {
    if (byId("plot").clientWidth !== width) draw();
    width = byId("plot").clientWidth;
  });
}

if (byId("data")) scatter(JSON.parse(byId("data").textContent));
