// Parts of a run's card: sliders of its units, strips of pictures, the table of a row's columns.

const SHOWN = 12; // sliders before the button that shows all
const STRIP = 9; // pictures of a walk
const MOST_LABELS = 20;
const MOST_ROWS = 6; // of a table side by side

/** A part that opens and closes; `update` is called while it is open, and when it is opened. */
function makePanel(parent, title, open, update) {
  const body = make("div"), details = make("details", { open }, make("summary", {}, title), body);
  parent.append(details);
  const panel = { body, details, update() { if (details.open) update(body); } };
  details.addEventListener("toggle", () => panel.update());
  return panel;
}

/** A slider for each unit, or a choice of values for each block of units. `onUnits(place, values)`. */
function makeSliders(run, parent, onUnits) {
  const { width, kind, order, values, names, caption } = run.moves;
  const low = BLOBS[run.moves.low], high = BLOBS[run.moves.high];
  const grid = make("div", { className: "sliders", role: "group", "aria-label": "Units of the code" });
  const makeOne = block => {
    const place = block * width, name = `${kind} ${block + 1}`, number = make("output");
    if (values) {
      const choose = make("select", { "aria-label": name, onchange: () => onUnits(place, values[Number(choose.value)]) });
      values.forEach((_, i) => choose.append(make("option", { value: i }, names[i] ?? String(i + 1))));
      grid.append(make("label", {}, name, choose, number));
      return code => {
        const away = values.map(value => value.reduce((sum, v, k) => sum + (v - code[place + k]) ** 2, 0));
        const best = away.indexOf(Math.min(...away));
        const shares = values[best].map((_, k) => code[place + k]), sum = shares.reduce((a, b) => a + b, 0);
        const probable = Math.min(...shares) >= 0 && Math.abs(sum - 1) < 1e-3; // of a group, before one is drawn
        choose.value = best;
        number.textContent = away[best] < 1e-6 ? "" : probable ? `${Math.round(100 * Math.max(...shares))} %` : "near";
      };
    }
    const [from, to] = [low[place], high[place]], margin = 0.25 * (to - from);
    const slider = make("input", { type: "range", min: from - margin, max: to + margin, step: (to - from) / 200, "aria-label": name });
    slider.addEventListener("input", () => onUnits(place, [slider.valueAsNumber]));
    grid.append(make("label", {}, name, slider, number));
    return code => { slider.value = code[place]; number.textContent = format(code[place]); };
  };
  let updates = order.slice(0, SHOWN).map(makeOne), last = null;
  parent.append(grid);
  if (values) parent.append(make("p", { className: "hint" }, caption));
  if (order.length > SHOWN) {
    const all = make("button", { type: "button", onclick() {
      updates = [...updates, ...order.slice(SHOWN).map(makeOne)];
      all.remove();
      if (last) updates.forEach(update => update(last));
    } }, `all ${order.length} ${kind}s`);
    parent.append(make("p", { className: "hint" }, `The ${SHOWN} ${kind}s whose codes vary most. `, all));
  }
  return code => { last = code; updates.forEach(update => update(code)); };
}

/** Pictures side by side: [{values, shape, caption, press, chosen}, ...]; rows of a table in words, as many as can be read. */
function showStrip(run, parent, entries) {
  parent.replaceChildren();
  if (DATA.table) {
    const few = entries.length === STRIP ? entries.filter((_, i) => i % 2 === 0) : entries.slice(0, MOST_ROWS);
    showTable(parent, few.map((each, i) => [each.caption || String(i + 1), each.values, each.press, each.chosen]), false);
    return;
  }
  const one = entries.length === STRIP && kindOf(entries[0].shape || run.output) !== "wave"; // a walk stays in one line
  const tiles = make("div", { className: one ? "tiles row" : "tiles" });
  parent.append(tiles);
  for (const { values, shape = run.output, caption, press = null, chosen = false, length = state.length } of entries) {
    const tile = makeTile(tiles, shape, { press, label: caption });
    drawRow(tile.canvas, values, shape, lookOf(run, shape, length));
    tile.caption.textContent = caption;
    tile.figure.classList.toggle("chosen", chosen);
  }
}

/** How what a run gives is drawn: masks in colours. */
function lookOf(run, shape, length) {
  return run.masks && shape === run.output ? { limits: [0, 1], masks: run.masks } : look({ length });
}

/** Columns of a table, or features, of some rows: [[title, values, press, chosen], ...]. Where they are `compared` the
 *  first is the input, from which the others are told apart. */
function showTable(parent, entries, compared = true) {
  const table = DATA.table, columns = listColumns();
  const head = make("tr", {}, make("th", {}, ""), ...entries.map(([title, , press, chosen]) => make("th", { className: chosen ? "chosen" : "" },
    press ? make("button", { type: "button", onclick: press }, title) : title)));
  const inUnits = (value, place) => (table ? (value - BLOBS[table.shift][place]) / BLOBS[table.scale][place] : value);
  const write = (values, { place, categories }) => {
    if (!categories.length) return format(inUnits(values[place], place), 4);
    const shares = categories.map((_, i) => inUnits(values[place + i], place + i)), best = shares.indexOf(Math.max(...shares));
    return `${categories[best]}${shares[best] >= 0.995 ? "" : ` ${Math.round(100 * shares[best])} %`}`;
  };
  const rows = columns.map(column => {
    const cells = entries.map(([, values], i) => {
      const truth = entries[0][1], many = Math.max(1, column.categories.length);
      let off = 0;
      for (let k = column.place; k < column.place + many; k++) off = Math.max(off, Math.abs(values[k] - truth[k]) / (USUAL.spread[k] || 1));
      return make("td", { className: compared && i > 0 && off > 1 ? "off" : "" }, write(values, column));
    });
    return make("tr", {}, make("th", {}, column.name), ...cells);
  });
  const cells = make("table", {}, make("thead", {}, head), make("tbody", {}, ...rows));
  const built = make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": "The row and what is made of it" }, cells);
  parent.replaceChildren(built);
  if (compared) parent.append(make("p", { className: "hint" }, "Underlined: more than one standard deviation from the input."));
}
