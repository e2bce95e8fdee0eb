// How a row is drawn: a picture, lines of a sequence, bars of a table; and the small pieces that a page is made of.

const COLOURS = ["#0072B2", "#E69F00", "#009E73", "#D55E00", "#56B4E9", "#CC79A7", "#7F7F7F", "#B8A800", "#AA4499", "#8C564B"];
const colourOf = number => (number < 0 ? "#9aa3ad" : COLOURS[number] || `hsl(${(number * 137.5) % 360} 60% 50%)`);
const shade = share => `hsl(${260 - 210 * share} 65% ${32 + 26 * share}%)`; // of a number from 0 to 1
const ink = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const byId = id => document.getElementById(id);
const format = (value, digits = 3) => (Number.isFinite(value) ? String(Number(value.toPrecision(digits))).replace("-", "−") : "–");

/** An element with properties, attributes (in small letters, with a dash) and children; texts stay texts. */
function make(tag, given = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(given)) {
    if (key.includes("-") || key === "role") node.setAttribute(key, value);
    else node[key] = value;
  }
  node.append(...children);
  return node;
}

/** The columns of a table; of other rows of numbers the first features. */
function listColumns() {
  if (DATA.table) return DATA.table.columns;
  return Array.from({ length: Math.min(VALUES, 64) }, (_, i) => ({ name: `feature ${i + 1}`, categories: [], place: i }));
}

const kindOf = shape => (shape.length === 3 ? "picture" : shape.length === 2 ? "wave" : "bars");

/** A figure with a canvas and a caption; with `press` the canvas is a button. */
function makeTile(parent, shape, { large = false, press = null, label = "" } = {}) {
  const canvas = make("canvas"), caption = make("figcaption");
  const figure = make("figure", { className: `${kindOf(shape)}${large ? " large" : ""}` });
  figure.append(press ? make("button", { type: "button", onclick: press, "aria-label": label }, canvas) : canvas, caption);
  parent.append(figure);
  return { figure, canvas, caption };
}

/** Draws the values of a row; `masks`: classes in colours, `length`: steps of a sequence, `mean` and `spread` of bars. */
function drawRow(canvas, values, shape, { limits, masks = null, length = null, mean = null, spread: widths = null }) {
  if (shape.length === 3) drawPicture(canvas, values, shape, limits, masks);
  else if (shape.length === 2) drawWave(canvas, values, shape, limits, length);
  else drawBars(canvas, values, limits, mean, widths);
}

function drawPicture(canvas, values, [channels, height, width], [low, high], masks) {
  canvas.width = width;
  canvas.height = height;
  const context = canvas.getContext("2d"), image = context.createImageData(width, height), area = height * width;
  for (let i = 0; i < area; i++) {
    let rgb;
    if (masks) rgb = classColour(Math.round(values[i] * (masks.length - 1)));
    else rgb = [0, 1, 2].map(c => 255 * (values[(channels >= 3 ? c : 0) * area + i] - low) / (high - low || 1));
    image.data.set([...rgb, 255], 4 * i);
  }
  context.putImageData(image, 0, 0);
}

/** Red, green and blue of a class of pixels. */
function classColour(number) {
  const hex = number === 0 ? "#20262c" : COLOURS[(number - 1) % COLOURS.length];
  return [1, 3, 5].map(place => parseInt(hex.slice(place, place + 2), 16));
}

/** A canvas of that many CSS pixels, sharp on any screen. */
function prepare(canvas, width, height) {
  const dots = window.devicePixelRatio || 1, context = canvas.getContext("2d");
  canvas.width = Math.round(width * dots);
  canvas.height = Math.round(height * dots);
  context.setTransform(dots, 0, 0, dots, 0, 0);
  context.clearRect(0, 0, width, height);
  return context;
}

function drawWave(canvas, values, [steps, features], [low, high], length) {
  const wide = canvas.clientWidth || 150, tall = Math.round(wide * 0.55), context = prepare(canvas, wide, tall);
  const count = length || steps, range = high - low || 1;
  const x = t => 4 + (wide - 8) * t / Math.max(1, steps - 1), y = value => 4 + (tall - 8) * (high - value) / range;
  context.strokeStyle = ink("--line");
  context.strokeRect(0.5, 0.5, wide - 1, tall - 1);
  for (let f = features - 1; f >= 0; f--) {
    context.strokeStyle = colourOf(f);
    context.lineWidth = 1.6;
    context.beginPath();
    for (let t = 0; t < count; t++) context[t ? "lineTo" : "moveTo"](x(t), y(values[t * features + f]));
    context.stroke();
  }
}

/** A bar for each feature: how many standard deviations it is from the mean of the rows. */
function drawBars(canvas, values, limits, mean, widths) {
  const count = values.length, wide = canvas.clientWidth || 84, line = Math.max(3, Math.min(9, 110 / count)), tall = count * line + 4;
  const context = prepare(canvas, wide, tall);
  context.strokeStyle = ink("--soft");
  context.beginPath();
  context.moveTo(wide / 2, 0);
  context.lineTo(wide / 2, tall);
  context.stroke();
  for (let i = 0; i < count; i++) {
    const off = Math.max(-3, Math.min(3, (values[i] - mean[i]) / (widths[i] || 1)));
    context.fillStyle = off > 0 ? "#D55E00" : "#0072B2";
    context.fillRect(wide / 2, 2 + i * line, off / 3 * (wide / 2 - 2), Math.max(1, line - 1));
  }
}

/** The squared error between two rows of numbers. */
const squaredError = (a, b) => a.reduce((sum, value, i) => sum + (value - b[i]) ** 2, 0);
