// Number by number, and numbers moved: each takes arrays {data, shape} and gives one. Truth is 1, falsehood 0.

const size = shape => shape.reduce((product, side) => product * side, 1);
const array = (shape, data) => ({ shape, data: data || new Float32Array(size(shape)) });

/** How far one step along each axis goes in the data. */
function stridesOf(shape) {
  const strides = new Array(shape.length);
  for (let axis = shape.length - 1, step = 1; axis >= 0; step *= shape[axis--]) strides[axis] = step;
  return strides;
}

/** Calls `visit(place in the output, place in the input)` for all places of `shape`, by steps `strides` of the input. */
function walk(shape, strides, start, visit) {
  const dims = shape.length, at = new Array(dims).fill(0), total = size(shape);
  for (let out = 0, from = start; out < total; out++) {
    visit(out, from);
    for (let axis = dims - 1; axis >= 0; axis--) {
      from += strides[axis];
      if (++at[axis] < shape[axis]) break;
      from -= strides[axis] * shape[axis];
      at[axis] = 0;
    }
  }
}

/** The numbers of x as an array of `shape`, repeated along sides of 1. */
function spread(x, shape) {
  if (size(x.shape) === size(shape)) return x.data;
  const missing = shape.length - x.shape.length, own = stridesOf(x.shape), data = new Float32Array(size(shape));
  const wide = x.shape.map((side, axis) => (side > 1 ? axis + missing : -1)).filter(axis => axis >= 0);
  if (wide.length <= 1) { // one number, or one for each channel
    const inner = wide.length ? size(shape.slice(wide[0] + 1)) : data.length;
    for (let to = 0, from = 0; to < data.length; to += inner, from = (from + 1) % x.data.length) data.fill(x.data[from], to, to + inner);
    return data;
  }
  const strides = shape.map((_, axis) => (axis < missing || x.shape[axis - missing] === 1 ? 0 : own[axis - missing]));
  walk(shape, strides, 0, (out, from) => { data[out] = x.data[from]; });
  return data;
}

/** The error function, by its series, and by a continued fraction where that is slow. */
function erf(x) {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let sum = z;
    for (let n = 1, term = z; Math.abs(term) > 1e-17 * sum && n < 80; n++) sum += (term *= -z * z / n) / (2 * n + 1);
    return Math.sign(x) * sum * 2 / Math.sqrt(Math.PI);
  }
  let fraction = z;
  for (let n = 40; n > 0; n--) fraction = z + n / 2 / fraction;
  return Math.sign(x) * (1 - Math.exp(-z * z) / (fraction * Math.sqrt(Math.PI)));
}

/** To the even one of two neighbours that are as near. */
function roundEven(x) {
  const near = Math.round(x);
  return Math.abs(x % 1) === 0.5 && near % 2 !== 0 ? near - 1 : near;
}

const UNARY = {
  relu: x => (x > 0 ? x : 0), sigmoid: x => 1 / (1 + Math.exp(-x)), tanh: Math.tanh, neg: x => -x, exp: Math.exp,
  log: Math.log, log1p: Math.log1p, expm1: Math.expm1, sqrt: Math.sqrt, rsqrt: x => 1 / Math.sqrt(x),
  reciprocal: x => 1 / x, abs: Math.abs, sin: Math.sin, cos: Math.cos, erf, floor: Math.floor, ceil: Math.ceil,
  round: roundEven, trunc: Math.trunc, sign: Math.sign, square: x => x * x,
  gelu: x => 0.5 * x * (1 + erf(x * Math.SQRT1_2)),
  gelu_tanh: x => 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x * x * x))),
  elu: (x, o) => o.scale * (x > 0 ? x : o.alpha * Math.expm1(o.slope * x)),
  leaky_relu: (x, o) => (x > 0 ? x : o.slope * x),
};

const BINARY = {
  add: (a, b) => a + b, sub: (a, b) => a - b, mul: (a, b) => a * b, div: (a, b) => a / b, pow: Math.pow,
  maximum: Math.max, minimum: Math.min, atan2: Math.atan2, eq: (a, b) => +(a === b), ne: (a, b) => +(a !== b),
  lt: (a, b) => +(a < b), le: (a, b) => +(a <= b), gt: (a, b) => +(a > b), ge: (a, b) => +(a >= b),
};

const MOVES = {
  reshape: ([x], shape) => array(shape, x.data),
  expand: ([x], shape) => array(shape, spread(x, shape)),
  permute([x], shape, { axes }) {
    const own = stridesOf(x.shape), y = array(shape);
    walk(shape, axes.map(axis => own[axis]), 0, (out, from) => { y.data[out] = x.data[from]; });
    return y;
  },
  slice([x], shape, { axis, start, step }) {
    const strides = stridesOf(x.shape), first = start * strides[axis], y = array(shape);
    strides[axis] *= step;
    walk(shape, strides, first, (out, from) => { y.data[out] = x.data[from]; });
    return y;
  },
  cat(parts, shape, { axis }) {
    const y = array(shape), outer = size(shape.slice(0, axis)), row = size(shape.slice(axis));
    let begin = 0;
    for (const part of parts) {
      const width = size(part.shape.slice(axis));
      for (let i = 0; i < outer; i++) y.data.set(part.data.subarray(i * width, (i + 1) * width), i * row + begin);
      begin += width;
    }
    return y;
  },
  take([x], shape, { places, fill }) {
    const y = array(shape);
    for (let i = 0; i < y.data.length; i++) y.data[i] = places[i] < 0 ? fill : x.data[places[i]];
    return y;
  },
  rows([table, index], shape) {
    const y = array(shape), width = size(table.shape.slice(1));
    index.data.forEach((row, i) => y.data.set(table.data.subarray(row * width, (row + 1) * width), i * width));
    return y;
  },
  gather([x, index], shape, { axis }) {
    const y = array(shape), own = stridesOf(x.shape);
    walk(shape, own.map((step, i) => (i === axis ? 0 : step)), 0, (out, from) => {
      y.data[out] = x.data[from + index.data[out] * own[axis]];
    });
    return y;
  },
  where([condition, a, b], shape) {
    const [c, one, other] = [condition, a, b].map(x => spread(x, shape));
    return array(shape, Float32Array.from(c, (yes, i) => (yes ? one[i] : other[i])));
  },
};
