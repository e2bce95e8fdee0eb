// One run on the page: its networks, its code as it is now, and the card that shows both.

/** A run's networks as functions of one row; null where the page cannot compute one. */
function openRun(entry) {
  const build = name => (entry.graphs[name] ? compile(entry.graphs[name], BLOBS) : null);
  const codes = BLOBS[entry.codes], dim = entry.dim;
  const networks = Object.fromEntries(["decode", "reconstruct", "way", "label"].map(name => [name, build(name)]));
  const pca = entry.pca && entry.pca.graph ? compile(entry.pca.graph, BLOBS) : null;
  const steps = length => Float32Array.from({ length: DATA.shape[0] }, (_, t) => +(t < (length ?? DATA.shape[0])));
  const mask = length => (DATA.lengths === null ? {} : { mask: steps(length) });
  const takes = (graph, context) => (graph && graph.inputs.context ? { context } : {});
  const run = {
    ...entry, codes, networks,
    codeOf: row => codes.slice(row * dim, (row + 1) * dim),
    contextOf: row => (entry.context ? BLOBS[entry.context.rows].slice(row * entry.context.size, (row + 1) * entry.context.size) : null),
    decode: networks.decode && ((z, context) => networks.decode({ z, ...takes(entry.graphs.decode, context) })),
    encode: networks.reconstruct && ((x, context, length) =>
      networks.reconstruct({ x, ...takes(entry.graphs.reconstruct, context), ...mask(length) })),
    findLabel: networks.label && (x => networks.label({ x })[0]),
    rebuild: pca && ((x, length) => pca({ x, ...mask(length) })[2]),
    nearest(z, count) {
      const away = Array.from({ length: DATA.count }, (_, i) => {
        let sum = 0;
        for (let k = 0; k < dim; k++) sum += (codes[i * dim + k] - z[k]) ** 2;
        return [Math.sqrt(sum), i];
      });
      return away.sort((a, b) => a[0] - b[0]).slice(0, count);
    },
  };
  return run;
}

/** The card of a run. `take(row)` makes a row the input of all runs. */
function makeCard(run, parent, take) {
  const now = {
    z: run.codeOf(0), mean: run.codeOf(0), deviation: null, // the code, and what the encoder gave
    context: run.contextOf(0), under: run.contextOf(0), // side information of the input, and of what is decoded
    byHand: false, row: null, decoded: null, output: null, other: null, sample: 0,
  };
  run.now = now;
  const article = make("article", { "aria-label": run.title });
  const body = make("div", { className: "body" }), left = make("div"), right = make("div");
  const facts = run.facts.map(([name, words]) => `${name}: ${words}`).join(" · ");
  article.append(make("h2", {}, run.title), make("p", { className: "facts" }, facts));
  const refuse = words => article.append(make("p", { className: "refusal" }, `Not computed in the page: ${words}.`));
  run.refusals.forEach(words => refuse(`${words}. Map and pictures of rows are there`));
  if (run.pca && run.pca.reason) refuse(run.pca.reason);
  body.append(left, right);
  article.append(body);
  parent.append(article);

  const setCode = (z, byHand, row = null) => { Object.assign(now, { z, byHand, row }); refresh(); };
  const decode = (z, context = now.under) => (run.decode ? run.decode(z, context)[1] : null);
  const placeOf = (z, { mean, axes }) => [0, 1].map(k =>
    z.reduce((sum, value, i) => sum + (value - BLOBS[mean][i]) * BLOBS[axes][k * z.length + i], 0));
  const moveOn = ({ mean, axes }, place) => { // along the plane; what lies beside it stays
    const old = placeOf(now.z, { mean, axes });
    return now.z.map((value, i) => value + [0, 1].reduce((sum, k) => sum + (place[k] - old[k]) * BLOBS[axes][k * now.z.length + i], 0));
  };
  const map = run.maps.length ? makeMap(run, left, {
    onPlace: (u, v) => setCode(moveOn(map.view.plane, [u, v]), true),
    onRow: row => setCode(run.codeOf(row), true, row),
    onTake: take,
    decodeAt: (u, v) => decode(moveOn(map.view.plane, [u, v])),
  }) : null;
  if (map) map.refresh = () => showMap();
  left.append(makeLegend());

  const compare = make("div"), status = make("p", { className: "hint" });
  const buttons = make("div", { className: "line" });
  const press = (text, action) => {
    const button = make("button", { type: "button", onclick: action }, text);
    buttons.append(button);
    return button;
  };
  if (run.encode) press("back to the input’s code", () => encodeInput());
  if (run.decode) press("a sample", () => {
    const { codes, count } = run.samples, z = BLOBS[codes].slice(now.sample * run.dim, (now.sample + 1) * run.dim);
    now.sample = (now.sample + 1) % count;
    setCode(z, true);
  });
  const drawPosterior = () => {
    const draw = makeDraw((Math.random() * 2 ** 31) | 0);
    setCode(now.mean.map((mean, i) => mean + now.deviation[i] * drawNormal(draw)), true);
  };
  const posterior = run.decode && run.encode ? press("a draw of q(z|x)", drawPosterior) : null;
  const side = run.context ? makeSide(run, now, () => encodeInput(), () => refresh()) : null;
  right.append(compare, status, buttons);
  if (side) right.append(side.node);

  const panels = [];
  const panel = (where, title, open, update) => { const one = makePanel(where, title, open, update); panels.push(one); return one; };
  const units = run.decode ? panel(left, `Units of the code (${run.dim})`, true, () => moveSliders(now.z)) : null;
  const moveSliders = units ? makeSliders(run, units.body, (place, values) => {
    const z = now.z.slice();
    values.forEach((value, k) => { z[place + k] = value; });
    setCode(z, true);
  }) : null;
  panel(right, "Nearest rows by code", true, where => {
    showStrip(run, where, run.nearest(now.z, 6).map(([away, i]) => {
      const words = [labelOf(i), away < 1e-4 ? "same code" : `${format(away)} away`].filter(Boolean).join(", ");
      return { values: rowOf(i), shape: DATA.shape, length: lengthOf(i), caption: words, press: () => take(i) };
    }));
  });
  const swaps = run.decode && run.context && run.context.kind === "choice";
  if (swaps) panel(right, `The same code under every ${run.context.title}`, true, where => {
    showStrip(run, where, run.context.names.slice(0, MOST_LABELS).map((name, i) => {
      const one = new Float32Array(run.context.size);
      one[i] = 1;
      const press = () => { now.under = one; side.show(); refresh(); };
      return { values: decode(now.z, one), caption: name, chosen: now.under[i] === 1, press };
    }));
  });
  const walk = run.decode ? panel(right, "Walk from A to B", true, showWalk) : null;
  if (run.decode) panel(right, `Samples of ${run.samples.origin}`, false, where => {
    const codes = BLOBS[run.samples.codes];
    const draw = () => showStrip(run, strip, Array.from({ length: 12 }, () => {
      const i = Math.floor(Math.random() * run.samples.count), z = codes.slice(i * run.dim, (i + 1) * run.dim);
      return { values: decode(z), caption: "", length: null, press: () => setCode(z, true) };
    }));
    const strip = make("div");
    where.replaceChildren(make("button", { type: "button", onclick: draw }, "others"), strip);
    draw();
  });

  /** The code's way and, below it, the inputs mixed pixel by pixel; above both the place of the slider. */
  function showWalk(where) {
    const [a, b] = [run.codeOf(state.a), run.codeOf(state.b)], arc = state.arc && run.arc, length = lengthOf(state.a);
    const line = share => a.map((value, i) => value + share * (b[i] - value));
    const along = share => (run.networks.way ? run.networks.way({ a, b, share: [share] })[arc ? 1 : 0] : line(share));
    const [one, other] = [rowOf(state.a), rowOf(state.b)], under = run.contextOf(state.a) || now.under;
    const mix = share => one.map((value, i) => value + share * (other[i] - value));
    const ofCode = (share, caption) => ({ values: decode(along(share), under), caption, length, press: () => setCode(along(share), true) });
    const ofRows = (share, caption) => ({ values: mix(share), shape: DATA.shape, caption, length });
    const shares = Array.from({ length: STRIP }, (_, i) => i / (STRIP - 1)), ends = { 0: "A", 1: "B" };
    const way = run.way !== "line" ? run.way : arc ? "along the arc" : "along the line";
    const told = run.context ? `, all under A’s ${run.context.title}` : "";
    const parts = [`at ${format(state.share)}`, `code, ${way}${told}`, "inputs mixed value by value"].map(title => {
      const part = make("div");
      return [make("h3", {}, title), part];
    });
    where.replaceChildren(...parts.flat());
    showStrip(run, parts[0][1], [ofCode(state.share, "code"), ofRows(state.share, "mix")]);
    showStrip(run, parts[1][1], shares.map(share => ofCode(share, ends[share] || (DATA.table ? format(share) : ""))));
    showStrip(run, parts[2][1], shares.map(share => ofRows(share, ends[share] || (DATA.table ? format(share) : ""))));
  }

  function showMap() {
    if (!map) return;
    map.near = run.nearest(now.z, 6).map(([, i]) => i);
    if (map.view.plane) map.place = placeOf(now.z, map.view.plane);
    else { const row = now.row ?? map.near[0]; map.place = [...BLOBS[map.view.points].slice(2 * row, 2 * row + 2)]; }
    map.draw();
  }

  /** The input through the encoder: its code is the code. */
  function encodeInput() {
    if (run.findLabel) { now.context = now.under = run.findLabel(state.noisy); side.show(); }
    if (!run.encode) {
      if (state.row !== null) setCode(run.codeOf(state.row), false, state.row);
      return;
    }
    const [z, deviation, output] = run.encode(state.noisy, now.context, state.length);
    Object.assign(now, { mean: z, deviation, output, other: run.rebuild ? run.rebuild(state.noisy, state.length) : null });
    if (posterior) posterior.hidden = !deviation.some(value => value > 0);
    now.under = now.context;
    if (side) side.show();
    setCode(z.slice(), false, state.row);
  }

  /** Everything that hangs on the code; strips follow when the hand rests. */
  function refresh() {
    if (run.decode) {
      const [z, picture] = run.decode(now.z, now.under);
      now.decoded = picture;
      if (moveSliders) moveSliders(z);
    }
    showComparison();
    showMap();
    clearTimeout(now.timer);
    now.timer = setTimeout(() => {
      panels.forEach(one => { if (one !== walk) one.update(); });
      renewPlane();
    }, 90);
  }

  /** The plane that is decoded goes through the code: another one is drawn where what lies beside it has changed. */
  function renewPlane() {
    if (!map || !map.view.plane) return;
    const key = [...moveOn(map.view.plane, [0, 0]), ...(now.under || [])].map(value => value.toFixed(3)).join();
    if (key === map.key) return;
    Object.assign(map, { key, backdrop: null });
    if (map.tiles) map.draw();
  }

  function showComparison() {
    const comparable = values => !run.masks && values.length === state.clean.length;
    const error = values => (comparable(values) ? `, error ${format(squaredError(values, state.truth))}` : "");
    const entries = [[state.noise.level > 0 ? "input under noise" : state.truth === state.clean ? "input" : "input with a hole", state.noisy, DATA.shape]];
    if (now.output) entries.push([`reconstruction${error(now.output)}`, now.output, run.output]);
    if (now.other) entries.push([`${run.pca.name}${error(now.other)}`, now.other, DATA.shape]);
    if (now.decoded) entries.push([now.byHand ? "decoded by hand" : "decoded", now.decoded, run.output]);
    if (kindOf(DATA.shape) === "bars") showTable(compare, entries.map(([title, values]) => [title, values]));
    else {
      const tiles = make("div", { className: "tiles" });
      compare.replaceChildren(tiles);
      for (const [caption, values, shape] of entries) {
        const tile = makeTile(tiles, shape, { large: true });
        drawRow(tile.canvas, values, shape, lookOf(run, shape, state.length));
        tile.caption.textContent = caption;
      }
    }
    status.textContent = (now.byHand ? "The code was moved by hand." : "The code is the input’s.")
      + (run.skips ? " The encoder’s maps go round it: what is decoded from the code alone lacks them." : "");
  }

  function makeLegend() {
    const legend = make("div", { className: "legend" });
    if (DATA.labels !== null) DATA.classes.slice(0, 30).forEach((name, i) => {
      const dot = make("i");
      dot.style.background = colourOf(i);
      legend.append(make("span", {}, dot, name));
    });
    if (DATA.numbers !== null) for (const [share, words] of [[0, "low"], [0.5, ""], [1, `high ${DATA.response}`]]) {
      const dot = make("i");
      dot.style.background = shade(share);
      legend.append(make("span", {}, dot, words));
    }
    if (run.masks) run.masks.slice(0, 30).forEach((name, i) => {
      const dot = make("i");
      dot.style.background = `rgb(${classColour(i).join(" ")})`;
      legend.append(make("span", {}, dot, `pixels: ${name}`));
    });
    return legend;
  }

  if (map) { map.near = []; map.place = [0, 0]; map.choose(run.maps[0]); }
  listeners.input.push(() => {
    if (state.row !== null && run.context && !run.findLabel) now.context = run.contextOf(state.row);
    encodeInput();
  });
  listeners.walk.push(() => { if (walk) walk.update(); showMap(); });
  return run;
}

/** What a conditional model is told: the input's own, which the encoder may see, and what is decoded under. */
function makeSide(run, now, onOwn, onUnder) {
  const { kind, title, names, size: width, low, high } = run.context, node = make("div", { className: "line" });
  const fields = [];
  const add = (words, key, change) => {
    if (kind === "choice") {
      const choose = make("select", { onchange() {
        now[key] = Float32Array.from({ length: width }, (_, i) => +(i === Number(choose.value)));
        change();
      } });
      names.forEach((name, i) => choose.append(make("option", { value: i }, name)));
      node.append(make("label", {}, `${words} `, choose));
      fields.push(() => { choose.value = now[key].some(value => value > 0) ? now[key].indexOf(Math.max(...now[key])) : ""; });
      return;
    }
    names.forEach((name, i) => {
      const slider = make("input", { type: "range", min: low[i], max: high[i], step: "any", "aria-label": `${words}: ${name}` });
      slider.addEventListener("input", () => {
        now[key] = now[key].map((value, k) => (k === i ? slider.valueAsNumber : value));
        change();
      });
      node.append(make("label", {}, `${words}, ${name} `, slider));
      fields.push(() => { slider.value = now[key][i]; });
    });
  };
  if (run.findLabel) node.append(make("span", { className: "hint" }, `The model finds the ${title} itself.`));
  else add(`${title} of the input`, "context", onOwn);
  add("decode under", "under", onUnder);
  return { node, show() { fields.forEach(update => update()); } };
}
