// Layers, norms, sums and orders, each on arrays {data, shape} of one row.

/** (M, K) times (K, N); `rows`: the weight lies as (N, K), as that of nn.Linear does. */
function linear([x, weight], shape, { rows }) {
  const y = array(shape), [count, outputs] = shape, inputs = x.shape[1], w = weight.data;
  for (let m = 0; m < count; m++) {
    const line = x.data.subarray(m * inputs, (m + 1) * inputs), out = y.data.subarray(m * outputs, (m + 1) * outputs);
    if (rows) {
      for (let n = 0, at = 0; n < outputs; n++) {
        let sum = 0;
        for (let k = 0; k < inputs; k++, at++) sum += line[k] * w[at];
        out[n] = sum;
      }
    } else {
      for (let k = 0, at = 0; k < inputs; k++) {
        const factor = line[k];
        if (factor === 0) { at += outputs; continue; }
        for (let n = 0; n < outputs; n++, at++) out[n] += factor * w[at];
      }
    }
  }
  return y;
}

function bmm([a, b], shape) {
  const y = array(shape), [batch, m, n] = shape, k = a.shape[2];
  for (let i = 0; i < batch; i++) {
    const one = array([m, k], a.data.subarray(i * m * k, (i + 1) * m * k));
    const other = array([k, n], b.data.subarray(i * k * n, (i + 1) * k * n));
    y.data.set(linear([one, other], [m, n], { rows: false }).data, i * m * n);
  }
  return y;
}

const TURNED = new WeakMap(); // weights of convolutions as they are read, by their data and how they are used

/** Weights (O, I, k, k), or (I, O, k, k) of a transposed one, as (groups, I of a group, k k, O of a group). */
function turnWeights({ data, shape }, groups, transposed) {
  const known = TURNED.get(data) || TURNED.set(data, new Map()).get(data), use = `${groups} ${transposed}`;
  if (known.has(use)) return known.get(use);
  const kernel = shape[2] * shape[3], turned = new Float32Array(data.length);
  const inputs = transposed ? shape[0] / groups : shape[1], outputs = transposed ? shape[1] : shape[0] / groups;
  for (let g = 0, to = 0; g < groups; g++) for (let i = 0; i < inputs; i++) for (let k = 0; k < kernel; k++) {
    for (let o = 0; o < outputs; o++, to++) {
      const place = transposed ? (g * inputs + i) * outputs + o : (g * outputs + o) * inputs + i;
      turned[to] = data[place * kernel + k];
    }
  }
  known.set(use, turned);
  return turned;
}

/**
 * A convolution, or its transpose, over (1, C, H, W). Each number of the input is added to all channels of the places
 * that it reaches, side by side in memory; one that is 0, as half of them are behind a rectifier, costs nothing.
 */
function conv([x, weight], shape, { stride, padding, dilation, transposed, groups }) {
  const [, inputs, height, width] = x.shape, [, outputs, tall, wide] = shape, [tallKernel, wideKernel] = weight.shape.slice(2);
  const w = turnWeights(weight, groups, transposed), each = outputs / groups, perGroup = inputs / groups;
  const sums = new Float32Array(tall * wide * outputs);
  for (let i = 0, from = 0; i < inputs; i++) {
    const first = Math.floor(i / perGroup) * each;
    for (let r = 0; r < height; r++) for (let c = 0; c < width; c++, from++) {
      const value = x.data[from];
      if (value === 0) continue;
      for (let k = 0; k < tallKernel; k++) {
        let row = transposed ? r * stride[0] + k * dilation[0] - padding[0] : r + padding[0] - k * dilation[0];
        if (!transposed) { if (row % stride[0]) continue; row /= stride[0]; }
        if (row < 0 || row >= tall) continue;
        for (let l = 0; l < wideKernel; l++) {
          let column = transposed ? c * stride[1] + l * dilation[1] - padding[1] : c + padding[1] - l * dilation[1];
          if (!transposed) { if (column % stride[1]) continue; column /= stride[1]; }
          if (column < 0 || column >= wide) continue;
          let to = (row * wide + column) * outputs + first, at = ((i * tallKernel + k) * wideKernel + l) * each;
          for (const end = to + each; to < end; to++, at++) sums[to] += value * w[at];
        }
      }
    }
  }
  const y = array(shape), places = tall * wide;
  for (let place = 0, from = 0; place < places; place++) for (let o = 0; o < outputs; o++, from++) y.data[o * places + place] = sums[from];
  return y;
}

/** Runs of `size` neighbouring numbers at mean 0 and variance 1. */
function norm([x], shape, { size: run, eps }) {
  const y = array(shape);
  for (let begin = 0; begin < y.data.length; begin += run) {
    let mean = 0, square = 0;
    for (let i = begin; i < begin + run; i++) mean += x.data[i] / run;
    for (let i = begin; i < begin + run; i++) square += (x.data[i] - mean) ** 2 / run;
    const factor = 1 / Math.sqrt(square + eps);
    for (let i = begin; i < begin + run; i++) y.data[i] = (x.data[i] - mean) * factor;
  }
  return y;
}

function pool([x], shape, { largest, kernel, stride, padding }) {
  const y = array(shape), [height, width] = x.shape.slice(-2), [tall, wide] = shape.slice(-2);
  for (let out = 0; out < y.data.length; out++) {
    const c = out % wide, r = Math.floor(out / wide) % tall, plane = Math.floor(out / wide / tall) * height * width;
    let best = -Infinity, sum = 0;
    for (let i = 0; i < kernel[0]; i++) for (let j = 0; j < kernel[1]; j++) {
      const row = r * stride[0] + i - padding[0], column = c * stride[1] + j - padding[1];
      if (row < 0 || column < 0 || row >= height || column >= width) continue;
      const value = x.data[plane + row * width + column];
      best = Math.max(best, value);
      sum += value;
    }
    y.data[out] = largest ? best : sum / (kernel[0] * kernel[1]);
  }
  return y;
}

/** Calls `visit(numbers along the axis, function that sets one of them in the output)` for each line of x. */
function alongAxis(x, y, axis, visit) {
  const side = x.shape[axis], inner = size(x.shape.slice(axis + 1)), line = new Float64Array(side);
  for (let outer = 0; outer < x.data.length / side / inner; outer++) for (let i = 0; i < inner; i++) {
    const begin = outer * side * inner + i;
    for (let k = 0; k < side; k++) line[k] = x.data[begin + k * inner];
    visit(line, (k, value) => { y.data[begin + k * inner] = value; }, outer * inner + i);
  }
  return y;
}

const softmax = logs => ([x], shape, { axis }) => alongAxis(x, array(shape), axis, (line, set) => {
  const most = Math.max(...line), total = line.reduce((sum, value) => sum + Math.exp(value - most), 0);
  line.forEach((value, k) => set(k, logs ? value - most - Math.log(total) : Math.exp(value - most) / total));
});

const sorted = places => ([x], shape, { axis, falling }) => alongAxis(x, array(shape), axis, (line, set) => {
  const order = Array.from(line.keys()).sort((a, b) => (falling ? line[b] - line[a] : line[a] - line[b]));
  order.forEach((place, k) => set(k, places ? place : line[place]));
});

const extreme = sign => ([x], shape, { axis }) => {
  const y = array(shape);
  alongAxis(x, y, axis, (line, _, number) => {
    let best = 0;
    for (let k = 1; k < line.length; k++) if (sign * line[k] > sign * line[best]) best = k;
    y.data[number] = best;
  });
  return y;
};

function cumsum([x], shape, { axis }) {
  return alongAxis(x, array(shape), axis, (line, set) => {
    let sum = 0;
    line.forEach((value, k) => set(k, (sum += value)));
  });
}

function reduce([x], shape, { kind, axes }) {
  const start = { amax: -Infinity, amin: Infinity }[kind] || 0, y = new Float64Array(size(shape)).fill(start);
  const kept = stridesOf(x.shape.filter((_, axis) => !axes.includes(axis)));
  const strides = x.shape.map((_, axis) => (axes.includes(axis) ? 0 : kept[axis - axes.filter(a => a < axis).length]));
  const join = { amax: Math.max, amin: Math.min }[kind] || ((a, b) => a + b);
  walk(x.shape, strides, 0, (from, to) => { y[to] = join(y[to], x.data[from]); });
  const count = kind === "mean" ? x.data.length / y.length : 1;
  return array(shape, Float32Array.from(y, value => value / count));
}

/** All states (1, T, H) of a gated recurrent unit (Cho et al. 2014) as torch writes it: gates r, z, n. */
function gru([x, state, inputWeight, stateWeight, inputBias, stateBias], shape) {
  const y = array(shape), [, steps, hidden] = shape, width = x.shape[2];
  let h = state.data.slice(0, hidden);
  const affine = (weight, bias, from) => linear([array([1, from.length], from), weight], [1, 3 * hidden], { rows: true })
    .data.map((value, i) => value + bias.data[i]);
  for (let t = 0; t < steps; t++) {
    const i = affine(inputWeight, inputBias, x.data.subarray(t * width, (t + 1) * width)), s = affine(stateWeight, stateBias, h);
    const next = new Float32Array(hidden);
    for (let k = 0; k < hidden; k++) {
      const reset = UNARY.sigmoid(i[k] + s[k]), keep = UNARY.sigmoid(i[hidden + k] + s[hidden + k]);
      next[k] = (1 - keep) * Math.tanh(i[2 * hidden + k] + reset * s[2 * hidden + k]) + keep * h[k];
    }
    y.data.set(next, t * hidden);
    h = next;
  }
  return y;
}

/** x of A x = b by Gauss's elimination with pivots, in double precision. */
function solve([matrix, right], shape) {
  const y = array(shape), [batch, side, columns] = shape;
  for (let i = 0; i < batch; i++) {
    const rows = Array.from({ length: side }, (_, r) => Float64Array.from({ length: side + columns }, (_, c) =>
      (c < side ? matrix.data[(i * side + r) * side + c] : right.data[(i * side + r) * columns + c - side])));
    for (let k = 0; k < side; k++) {
      let pivot = k;
      for (let r = k + 1; r < side; r++) if (Math.abs(rows[r][k]) > Math.abs(rows[pivot][k])) pivot = r;
      [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
      for (let r = 0; r < side; r++) {
        const factor = r === k ? 0 : rows[r][k] / rows[k][k];
        if (factor) for (let c = k; c < side + columns; c++) rows[r][c] -= factor * rows[k][c];
      }
    }
    rows.forEach((row, r) => {
      for (let c = 0; c < columns; c++) y.data[(i * side + r) * columns + c] = row[side + c] / row[r];
    });
  }
  return y;
}

const LAYERS = {
  linear, bmm, conv, solve, norm, pool, cumsum, reduce, gru, softmax: softmax(false), log_softmax: softmax(true),
  sort: sorted(false), argsort: sorted(true), argmax: extreme(1), argmin: extreme(-1),
};
