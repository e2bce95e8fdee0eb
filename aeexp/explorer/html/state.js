// What the page knows, and what all runs are shown: the input, clean and under noise, and two rows of a walk.

const PAGE = JSON.parse(byId("data").textContent);
const BLOBS = readBlobs(byId("blobs").textContent, PAGE.places);
const DATA = PAGE.data;
const VALUES = size(DATA.shape);

const state = { clean: null, truth: null, noisy: null, row: 0, length: null, noise: { kind: "gaussian", level: 0, seed: 1 }, a: 0, b: 1, share: 0.5, arc: false };
const listeners = { input: [], walk: [] };
const changed = what => listeners[what].forEach(listen => listen());

/** The row of that number, as the encoder gets it. */
function rowOf(number) {
  const { blob, scale, shift } = DATA.rows;
  return Float32Array.from(BLOBS[blob].subarray(number * VALUES, (number + 1) * VALUES), value => value * scale + shift);
}

const lengthOf = number => (DATA.lengths === null ? null : BLOBS[DATA.lengths][number]);

/** Mean and standard deviation of each value over the rows of the page. */
const USUAL = (() => {
  const mean = new Float64Array(VALUES), square = new Float64Array(VALUES);
  for (let i = 0; i < DATA.count; i++) rowOf(i).forEach((value, k) => { mean[k] += value / DATA.count; square[k] += value * value / DATA.count; });
  const spreads = square.map((value, k) => Math.sqrt(Math.max(value - mean[k] ** 2, 1e-12)));
  return { mean, spread: spreads, all: Math.sqrt(spreads.reduce((sum, value) => sum + value * value, 0) / VALUES) };
})();

/** What a row is labelled with; "" where nobody knows. */
function labelOf(number) {
  if (DATA.labels !== null) {
    const label = BLOBS[DATA.labels][number];
    return label < 0 ? "" : DATA.classes[label] ?? String(label);
  }
  if (DATA.numbers !== null && Number.isFinite(BLOBS[DATA.numbers][number])) return format(BLOBS[DATA.numbers][number]);
  return "";
}

/** The colour of a row's dot. */
function dotColour(number) {
  if (DATA.labels !== null) return colourOf(BLOBS[DATA.labels][number]);
  if (DATA.numbers === null) return colourOf(0);
  const all = BLOBS[DATA.numbers], known = all.filter(Number.isFinite);
  const low = known.reduce((a, b) => Math.min(a, b), Infinity), high = known.reduce((a, b) => Math.max(a, b), -Infinity);
  return Number.isFinite(all[number]) ? shade((all[number] - low) / (high - low || 1)) : colourOf(-1);
}

/** Numbers from 0 to 1 that follow from a seed (mulberry32). */
function makeDraw(seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A draw of N(0, 1) (Box and Muller). */
const drawNormal = draw => Math.sqrt(-2 * Math.log(1 - draw())) * Math.cos(2 * Math.PI * draw());

/** The input under noise: the same draws at every level, so that the slider moves one noise. */
function addNoise(values) {
  const { kind, level, seed } = state.noise, draw = makeDraw(seed), [low, high] = DATA.limits;
  const unit = DATA.shape.length === 3 ? high - low : USUAL.all;
  const end = state.length === null ? VALUES : state.length * DATA.shape[1];
  return values.map((value, i) => {
    const normal = drawNormal(draw), first = draw(), second = draw();
    if (level === 0 || i >= end) return value;
    if (kind === "gaussian") return value + level * unit * normal;
    if (first >= level) return value;
    return kind === "masking" ? 0 : second < 0.5 ? low : high;
  });
}

/** Shows all runs other values; `row` is their number where they are a row of the page, `truth` what was there before a
 *  hole was made: errors are counted from it. */
function setInput(values, row = null, length = state.length, truth = values) {
  Object.assign(state, { clean: values, row, length, truth });
  state.noisy = addNoise(values);
  changed("input");
}

const setRow = row => setInput(rowOf(row), row, lengthOf(row));

/** How values of the input's shape are drawn. */
const look = (more = {}) => ({ limits: DATA.limits, mean: USUAL.mean, spread: USUAL.spread, length: state.length, ...more });
