// The map of a run's codes: a dot for each row, a handle for the code, a picture under the pointer.

const NEAR = 14; // pixels within which a pointer meets a dot

/**
 * `onPlace(u, v)`: the handle was moved to a place of a plane among the codes; `onRow(i)`: to a row of a map that is no
 * plane; `onTake(i)`: a row is to be the input; `decodeAt(u, v)`: the picture of a place.
 */
function makeMap(run, parent, { onPlace, onRow, onTake, decodeAt }) {
  const tabs = make("div", { className: "line", role: "tablist" }), box = make("div", { className: "map" });
  const canvas = make("canvas", { role: "img", "aria-label": "Map of the codes" });
  const told = "The code on the map: arrow keys move it, enter takes the nearest row as input";
  const handle = make("div", { className: "handle", tabIndex: 0, role: "slider", "aria-label": told, "aria-valuenow": 0 });
  const hint = make("p", { className: "hint" });
  box.append(canvas, handle);
  parent.append(tabs, box, hint);
  const map = { view: run.maps[0], place: null, near: [], tiles: false, backdrop: null, button: null, key: "" };
  let frame = null;

  const points = () => BLOBS[map.view.points];
  const measure = () => { // the bounds of the dots, with a margin
    const all = points(), bounds = [[Infinity, -Infinity], [Infinity, -Infinity]];
    all.forEach((value, i) => { const b = bounds[i % 2]; b[0] = Math.min(b[0], value); b[1] = Math.max(b[1], value); });
    return bounds.map(([low, high]) => { const wide = high - low || 2; return [low - 0.06 * wide, high + 0.06 * wide]; });
  };
  const toPixels = (u, v) => {
    const { width, height, bounds: [[left, right], [low, high]] } = frame;
    return [(u - left) / (right - left) * width, height - (v - low) / (high - low) * height];
  };
  const fromPixels = (x, y) => [
    frame.bounds[0][0] + x / frame.width * (frame.bounds[0][1] - frame.bounds[0][0]),
    frame.bounds[1][0] + (frame.height - y) / frame.height * (frame.bounds[1][1] - frame.bounds[1][0]),
  ];
  const nearest = (x, y, within) => {
    const all = points();
    let best = -1, least = within * within;
    for (let i = 0; i < DATA.count; i++) {
      const [a, b] = toPixels(all[2 * i], all[2 * i + 1]), away = (a - x) ** 2 + (b - y) ** 2;
      if (away <= least) [best, least] = [i, away];
    }
    return best;
  };

  map.draw = () => {
    if (!map.view || !box.clientWidth) return;
    frame = { width: box.clientWidth, height: box.clientHeight, bounds: measure() };
    const context = prepare(canvas, frame.width, frame.height), all = points();
    if (map.tiles && map.view.plane) drawBackdrop(context);
    context.globalAlpha = map.tiles && map.view.plane ? 0.9 : 0.75;
    for (let i = 0; i < DATA.count; i++) {
      context.fillStyle = dotColour(i);
      context.beginPath();
      context.arc(...toPixels(all[2 * i], all[2 * i + 1]), map.tiles ? 2 : 3, 0, 7);
      context.fill();
    }
    context.globalAlpha = 1;
    const ring = (i, colour, radius, letter) => {
      const [x, y] = toPixels(all[2 * i], all[2 * i + 1]);
      context.strokeStyle = context.fillStyle = colour;
      context.lineWidth = 2;
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.stroke();
      if (letter) { context.font = "600 13px system-ui, sans-serif"; context.fillText(letter, x + radius + 1, y - radius + 2); }
    };
    map.near.forEach(i => ring(i, ink("--warn"), 5));
    ring(state.a, ink("--ink"), 6, "A");
    ring(state.b, ink("--ink"), 6, "B");
    nameAxes(context);
    setHandle();
  };

  /** What the axes are, on paper so that it can be read over pictures too. */
  function nameAxes(context) {
    context.font = "12px system-ui, sans-serif";
    context.lineWidth = 4;
    context.strokeStyle = ink("--paper");
    context.fillStyle = ink("--soft");
    const write = text => ["strokeText", "fillText"].forEach(how => context[how](text, -context.measureText(text).width / 2, 0));
    context.save();
    context.translate(frame.width / 2, frame.height - 5);
    write(map.view.axes[0]);
    context.restore();
    context.save();
    context.translate(13, frame.height / 2);
    context.rotate(-Math.PI / 2);
    write(map.view.axes[1]);
    context.restore();
  }

  /** What the decoder gives at places of the plane, drawn once for each view and side information. */
  function drawBackdrop(context) {
    const side = kindOf(run.output) === "picture" ? 15 : 8, wide = frame.width / side, tall = frame.height / side;
    if (!map.backdrop) map.backdrop = Array.from({ length: side * side }, (_, i) =>
      decodeAt(...fromPixels((i % side + 0.5) * wide, (Math.floor(i / side) + 0.5) * tall)));
    const tile = document.createElement("canvas");
    map.backdrop.forEach((values, i) => {
      drawPicture(tile, values, run.output, run.masks ? [0, 1] : DATA.limits, run.masks);
      context.imageSmoothingEnabled = false;
      context.drawImage(tile, (i % side) * wide, Math.floor(i / side) * tall, wide - 1, tall - 1);
    });
  }

  function setHandle() {
    if (!map.place || !frame) return;
    const [x, y] = toPixels(...map.place);
    handle.style.left = `${Math.max(0, Math.min(frame.width, x))}px`;
    handle.style.top = `${Math.max(0, Math.min(frame.height, y))}px`;
    handle.setAttribute("aria-valuetext", map.place.map(value => format(value)).join(", "));
  }

  const moveTo = (x, y) => {
    if (!run.decode && map.view.plane) return;
    if (map.view.plane) return onPlace(...fromPixels(x, y));
    const row = nearest(x, y, Infinity);
    if (row >= 0) onRow(row);
  };
  const at = event => {
    const bounds = box.getBoundingClientRect();
    return [event.clientX - bounds.left, event.clientY - bounds.top];
  };
  let dragging = false;
  const begin = (event, node) => { dragging = true; node.setPointerCapture(event.pointerId); hideHover(); moveTo(...at(event)); };
  handle.addEventListener("pointerdown", event => begin(event, handle));
  canvas.addEventListener("pointerdown", event => { if (event.pointerType === "mouse" && event.button === 0) begin(event, canvas); });
  canvas.addEventListener("click", event => { if (event.pointerType !== "mouse") moveTo(...at(event)); }); // a finger may scroll over it
  for (const node of [handle, canvas]) {
    node.addEventListener("pointermove", event => {
      if (dragging) moveTo(...at(event));
      else if (event.pointerType === "mouse") hover(event);
    });
    for (const name of ["pointerup", "pointercancel"]) node.addEventListener(name, () => { dragging = false; });
    node.addEventListener("pointerleave", hideHover);
  }
  canvas.addEventListener("dblclick", event => { const row = nearest(...at(event), 60); if (row >= 0) onTake(row); });
  handle.addEventListener("keydown", event => {
    const move = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const [x, y] = toPixels(...map.place), step = event.shiftKey ? 30 : 6;
    if (move && map.view.plane) moveTo(x + move[0] * step, y + move[1] * step);
    else if (move) onRow(beyond(x, y, move));
    else if (event.key === "Enter") onTake(nearest(x, y, Infinity));
    else return;
    event.preventDefault();
  });

  /** The nearest dot in a direction: how a map that is no plane is gone over by keys. */
  function beyond(x, y, [right, down]) {
    const all = points();
    let best = nearest(x, y, Infinity), least = Infinity;
    for (let i = 0; i < DATA.count; i++) {
      const [a, b] = toPixels(all[2 * i], all[2 * i + 1]), along = (a - x) * right + (b - y) * down;
      const across = Math.abs((a - x) * down) + Math.abs((b - y) * right);
      if (along > 1 && along + 2 * across < least) [best, least] = [i, along + 2 * across];
    }
    return best;
  }

  function hover(event) {
    const row = nearest(...at(event), NEAR);
    if (row < 0) return hideHover();
    const tile = byId("hover");
    tile.replaceChildren();
    tile.hidden = false;
    const made = makeTile(tile, DATA.shape, { large: true });
    drawRow(made.canvas, rowOf(row), DATA.shape, look({ length: lengthOf(row) }));
    made.caption.textContent = `row ${row + 1}${labelOf(row) && `, ${labelOf(row)}`}`;
    tile.style.left = `${Math.min(event.clientX + 16, window.innerWidth - tile.offsetWidth - 8)}px`;
    tile.style.top = `${Math.max(4, Math.min(event.clientY - 30, window.innerHeight - tile.offsetHeight - 8))}px`;
  }

  const choose = view => {
    map.view = view;
    map.backdrop = null;
    if (map.button) map.button.hidden = !view.plane;
    [...tabs.querySelectorAll("[role=tab]")].forEach((tab, i) => tab.setAttribute("aria-selected", run.maps[i] === view));
    hint.textContent = view.plane
      ? "Drag the ring over the plane: its code is decoded. A double click takes a row as input."
      : "Near dots have near codes; distances say little. The ring goes from row to row.";
    map.refresh();
  };
  run.maps.forEach(view => tabs.append(make("button", { type: "button", role: "tab", onclick: () => choose(view) }, view.name)));
  if (run.decode && run.maps.some(view => view.plane) && kindOf(run.output) === "picture") {
    map.button = make("button", { type: "button", "aria-pressed": "false", onclick() {
      map.tiles = !map.tiles;
      map.button.setAttribute("aria-pressed", map.tiles);
      map.draw();
    } }, "decode the plane");
    tabs.append(map.button);
  }
  map.choose = choose;
  map.refresh = () => map.draw();
  new ResizeObserver(() => { map.backdrop = null; map.draw(); }).observe(box);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => map.draw());
  return map;
}

function hideHover() { byId("hover").hidden = true; }
