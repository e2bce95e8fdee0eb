// What all runs are given: a row, a picture that is drawn, a line that is bent, a form that is filled in; and noise.

const BACKGROUND = (() => { // of a picture: what stands in its corners, most often
  if (DATA.shape.length !== 3) return DATA.limits[0];
  const [, height, width] = DATA.shape, corners = [0, width - 1, (height - 1) * width, height * width - 1];
  const found = corners.map(place => USUAL.mean[place]).sort((a, b) => a - b);
  return Math.abs(found[1] - DATA.limits[0]) <= Math.abs(found[1] - DATA.limits[1]) ? DATA.limits[0] : DATA.limits[1];
})();
const INK = BACKGROUND === DATA.limits[0] ? DATA.limits[1] : DATA.limits[0];
let drawn = false; // whether a hand has been at the input since the last row
let pad = { show() {} };

/** A picture that is drawn with a mouse, a finger, or the arrow keys and the space bar. */
function makePicturePad() {
  const [channels, height, width] = DATA.shape, area = height * width;
  const told = "Drawing: arrow keys move the pen, space draws, delete clears";
  const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-label": told });
  byId("pad").append(canvas);
  let values = new Float32Array(VALUES), whole = values.slice(), last = null, cursor = [width / 2, height / 2];
  byId("width").value = Math.max(0.45, width / 22);
  const show = () => {
    drawPicture(canvas, values, DATA.shape, DATA.limits, null);
    if (document.activeElement !== canvas || last) return;
    const context = canvas.getContext("2d");
    context.fillStyle = "#D55E0099";
    context.fillRect(Math.floor(cursor[0]), Math.floor(cursor[1]), 1, 1);
  };
  const colours = () => {
    if (channels < 3) return new Array(channels).fill(INK);
    const [low, high] = DATA.limits;
    return [1, 3, 5].map(place => low + (high - low) * parseInt(byId("ink").value.slice(place, place + 2), 16) / 255);
  };
  const holes = runs.map(run => run.hole).filter(hole => hole !== null), fills = holes.length > 0;
  const isErasing = () => document.querySelector("[name=pen]:checked").value === "erase";
  const stamp = (x, y) => { // the nearer to the pen's middle, the more of its colour
    const radius = Number(byId("width").value), blank = fills ? holes[0] : BACKGROUND;
    const colour = isErasing() ? new Array(channels).fill(blank) : colours();
    for (let i = 0; i < area; i++) {
      const share = Math.min(1, Math.max(0, radius + 0.5 - Math.hypot((i % width) + 0.5 - x, Math.floor(i / width) + 0.5 - y)));
      for (let c = 0; c < channels && share > 0; c++) {
        const now = values[c * area + i], next = now + (colour[c] - now) * share;
        if (Math.abs(next - colour[c]) <= Math.abs(now - colour[c])) values[c * area + i] = next;
      }
    }
  };
  const give = () => {
    drawn = true;
    const hole = fills && isErasing(); // a hole moves nothing, and what was there stays known
    if (!hole) whole = values.slice();
    const moved = byId("centre").checked && channels === 1 && !hole;
    setInput(moved ? centre(values, height, width) : values.slice(), null, state.length, hole ? whole.slice() : undefined);
  };
  const at = event => {
    const box = canvas.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width * width, (event.clientY - box.top) / box.height * height];
  };
  const to = point => {
    const [x, y] = last || point, steps = Math.max(1, Math.ceil(Math.hypot(point[0] - x, point[1] - y) / 0.4));
    for (let i = 1; i <= steps; i++) stamp(x + (point[0] - x) * i / steps, y + (point[1] - y) * i / steps);
    last = point;
    show();
    give();
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); to(at(event)); });
  canvas.addEventListener("pointermove", event => { if (last) to(at(event)); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  const clear = () => { values.fill(BACKGROUND); whole = values.slice(); show(); give(); };
  canvas.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (move) cursor = [cursor[0] + move[0], cursor[1] + move[1]].map((v, i) => Math.max(0.5, Math.min((i ? height : width) - 0.5, v)));
    else if (event.key === " ") { stamp(...cursor); give(); }
    else if (event.key === "Delete" || event.key === "Backspace") clear();
    else return;
    event.preventDefault();
    show();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, show);
  byId("pens").hidden = false;
  byId("inks").hidden = channels < 3;
  byId("centres").hidden = channels !== 1;
  byId("clear").addEventListener("click", clear);
  byId("centre").addEventListener("change", () => { if (drawn) give(); });
  byId("padhint").textContent = "Draw with mouse or finger; by keys: arrows, space, delete."
    + (channels === 1 ? " MNIST's digits have their centre of mass in the middle: “centre” does the same to yours." : "");
  if (fills) {
    document.querySelector("[name=pen][value=erase]").checked = true;
    byId("width").value = width / 8;
    byId("padhint").textContent = "This model fills holes: make one with the eraser. Errors are counted from the picture before it. By keys: arrows, space, delete.";
  }
  return { show(row) { drawn = false; values = row.slice(); whole = row.slice(); show(); } };
}

/** The picture moved by whole pixels so that its centre of mass is in the middle; what leaves it is lost. */
function centre(values, height, width) {
  let mass = 0, x = 0, y = 0;
  values.forEach((value, i) => {
    const weight = Math.abs(value - BACKGROUND);
    mass += weight; x += weight * (i % width); y += weight * Math.floor(i / width);
  });
  if (mass === 0) return values.slice();
  const right = Math.round((width - 1) / 2 - x / mass), down = Math.round((height - 1) / 2 - y / mass);
  return values.map((_, i) => {
    const column = (i % width) - right, row = Math.floor(i / width) - down;
    return column < 0 || row < 0 || column >= width || row >= height ? BACKGROUND : values[row * width + column];
  });
}

/** A sequence whose first feature is bent with a mouse, a finger, or the arrow keys. */
function makeWavePad() {
  const [steps, features] = DATA.shape, [low, high] = DATA.limits;
  const told = "Sequence: left and right choose a step, up and down bend it";
  const canvas = make("canvas", { tabIndex: 0, role: "application", "aria-label": told });
  byId("pad").classList.add("wave");
  byId("pad").append(canvas);
  let values = new Float32Array(VALUES), last = null, cursor = 0, feature = 0;
  const show = () => {
    drawWave(canvas, values, DATA.shape, DATA.limits, state.length);
    if (document.activeElement !== canvas) return;
    const context = canvas.getContext("2d"), wide = canvas.clientWidth;
    context.fillStyle = "#D55E0099";
    context.fillRect(4 + (wide - 8) * cursor / Math.max(1, steps - 1) - 1, 0, 2, canvas.clientHeight);
  };
  const set = (t, value) => {
    if (state.length === null || t < state.length) values[t * features + feature] = Math.max(low, Math.min(high, value));
  };
  const give = () => { show(); setInput(values.slice(), null); };
  const at = event => {
    const box = canvas.getBoundingClientRect();
    const t = Math.round((event.clientX - box.left - 4) / (box.width - 8) * (steps - 1));
    return [Math.max(0, Math.min(steps - 1, t)), high - (event.clientY - box.top - 4) / (box.height - 8) * (high - low)];
  };
  const to = ([t, value]) => {
    const [from, start] = last || [t, value];
    for (let i = Math.min(from, t); i <= Math.max(from, t); i++) {
      set(i, t === from ? value : start + (value - start) * (i - from) / (t - from));
    }
    last = [t, value];
    give();
  };
  canvas.addEventListener("pointerdown", event => { canvas.setPointerCapture(event.pointerId); to(at(event)); });
  canvas.addEventListener("pointermove", event => { if (last) to(at(event)); });
  for (const name of ["pointerup", "pointercancel"]) canvas.addEventListener(name, () => { last = null; });
  canvas.addEventListener("keydown", event => {
    const move = { ArrowLeft: -1, ArrowRight: 1 }[event.key], bend = { ArrowUp: 1, ArrowDown: -1 }[event.key];
    if (move) cursor = Math.max(0, Math.min(steps - 1, cursor + move));
    else if (bend) { set(cursor, values[cursor * features + feature] + bend * (high - low) / 25); give(); }
    else return;
    event.preventDefault();
    show();
  });
  for (const name of ["focus", "blur"]) canvas.addEventListener(name, show);
  if (features > 1) {
    const choose = make("select", { "aria-label": "Feature that is bent", onchange: event => { feature = Number(event.target.value); } });
    for (let f = 0; f < features; f++) choose.append(make("option", { value: f }, `feature ${f + 1}`));
    byId("pad").append(choose);
  }
  byId("padhint").textContent = "Bend the line with mouse or finger; by keys: left and right choose a step, up and down bend it.";
  return { show(row) { values = row.slice(); show(); } };
}

/** Fields of a table's columns, in its own units; of other features in the model's. */
function makeForm() {
  const table = DATA.table, form = make("div", { className: "form", role: "group", "aria-label": "Values of the row" });
  const columns = listColumns();
  const [scale, shift] = table ? [BLOBS[table.scale], BLOBS[table.shift]] : [null, null];
  const inUnits = (value, place) => (table ? (value - shift[place]) / scale[place] : value);
  const fromUnits = (value, place) => (table ? value * scale[place] + shift[place] : value);
  let values = new Float32Array(VALUES);
  const give = () => setInput(values.slice(), null);
  const fields = columns.map(column => {
    const { place } = column;
    if (column.categories.length) {
      const choose = make("select", { onchange() {
        column.categories.forEach((_, i) => { values[place + i] = fromUnits(+(i === Number(choose.value)), place + i); });
        give();
      } });
      column.categories.forEach((name, i) => choose.append(make("option", { value: i }, name)));
      form.append(make("label", {}, column.name, choose));
      return () => {
        const shares = column.categories.map((_, i) => inUnits(values[place + i], place + i));
        choose.value = shares.indexOf(Math.max(...shares));
      };
    }
    const low = table ? inUnits(BLOBS[table.low][place], place) : USUAL.mean[place] - 3 * USUAL.spread[place];
    const high = table ? inUnits(BLOBS[table.high][place], place) : USUAL.mean[place] + 3 * USUAL.spread[place];
    const field = make("input", { type: "number", step: "any", "aria-label": column.name });
    const ends = { min: Math.min(low, high), max: Math.max(low, high) };
    const slider = make("input", { type: "range", ...ends, step: "any", "aria-label": column.name });
    for (const [one, other] of [[field, slider], [slider, field]]) one.addEventListener("input", () => {
      if (!Number.isFinite(one.valueAsNumber)) return;
      values[place] = fromUnits(one.valueAsNumber, place);
      other.value = Number(one.valueAsNumber.toPrecision(4));
      give();
    });
    form.append(make("label", {}, column.name, field, slider));
    return () => { for (const each of [field, slider]) each.value = Number(inUnits(values[place], place).toPrecision(4)); };
  });
  byId("pad").append(form);
  byId("padhint").textContent = columns.length < VALUES && !table ? `The first ${columns.length} of ${VALUES} features.` : "";
  return { show(row) { values = row.slice(); fields.forEach(update => update()); } };
}

/** Rows, noise, and the walk's ends. */
function connectInput() {
  pad = { picture: makePicturePad, wave: makeWavePad, bars: makeForm }[kindOf(DATA.shape)]();
  const take = number => {
    const row = Math.max(0, Math.min(DATA.count - 1, Math.round(number) || 0));
    setRow(row);
    pad.show(state.clean);
  };
  const field = byId("row");
  field.max = byId("a").max = byId("b").max = DATA.count;
  field.addEventListener("change", () => take(field.valueAsNumber - 1));
  byId("before").addEventListener("click", () => take((state.row ?? 1) - 1));
  byId("after").addEventListener("click", () => take((state.row ?? -1) + 1));
  byId("any").addEventListener("click", () => take(Math.floor(Math.random() * DATA.count)));
  listeners.input.push(() => {
    if (state.row !== null) field.value = state.row + 1;
    const label = state.row === null ? "" : labelOf(state.row);
    byId("rowname").textContent = state.row === null ? "by hand" : label && `${DATA.classes.length ? "label" : DATA.response} ${label}`;
  });
  const noisy = () => {
    state.noise.kind = byId("noise").value;
    state.noise.level = byId("level").valueAsNumber;
    byId("leveltext").textContent = format(state.noise.level);
    setInput(state.clean, state.row, state.length, state.truth);
  };
  byId("level").addEventListener("input", noisy);
  byId("noise").addEventListener("change", noisy);
  byId("redraw").addEventListener("click", () => { state.noise.seed += 1; noisy(); });
  const walked = () => {
    for (const name of ["a", "b"]) state[name] = Math.max(0, Math.min(DATA.count - 1, (byId(name).valueAsNumber || 1) - 1));
    state.share = byId("share").valueAsNumber;
    state.arc = byId("arc").checked;
    byId("sharetext").textContent = format(state.share);
    changed("walk");
  };
  for (const name of ["a", "b"]) byId(`as${name}`).addEventListener("click", () => {
    if (state.row === null) return;
    byId(name).value = state.row + 1;
    walked();
  });
  for (const name of ["a", "b", "share", "arc"]) byId(name).addEventListener("input", walked);
  return { take, walked };
}
