// The page begins: runs are opened, compared with PyTorch, and shown the first row.

const runs = PAGE.runs.map(openRun);

/** The largest difference from what PyTorch gave, of codes and of values, and milliseconds of a decode (the median of some). */
function checkRun(run) {
  const result = { code: null, picture: null, decoded: null, ms: null };
  const worst = (a, b) => a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i])), 0);
  for (const check of run.checks) {
    const context = run.contextOf(check.row);
    const [code, , picture] = run.encode(rowOf(check.row), context, lengthOf(check.row));
    const found = { code: worst(code, BLOBS[check.code]), picture: worst(picture, BLOBS[check.picture]) };
    if (run.decode) found.decoded = worst(run.decode(BLOBS[check.code], context)[1], BLOBS[check.decoded]);
    for (const [name, value] of Object.entries(found)) result[name] = Math.max(result[name] ?? 0, value);
  }
  if (run.decode) {
    const times = Array.from({ length: 20 }, () => {
      const start = performance.now();
      run.decode(run.codeOf(0), run.contextOf(0));
      return performance.now() - start;
    });
    result.ms = times.slice(9).sort((a, b) => a - b)[5]; // the first ones are not yet compiled
  }
  return result;
}

/** A sentence on each run's check; what is far from PyTorch stands out. */
function tellChecks() {
  const allowed = PAGE.short ? 0.05 : 1e-3;
  runs.forEach((run, i) => {
    const { code, picture, decoded, ms } = run.check = checkRun(run);
    const far = Math.max(code ?? 0, picture ?? 0, decoded ?? 0), name = runs.length > 1 ? `Run ${i + 1}: ` : "";
    const values = format(Math.max(picture ?? 0, decoded ?? 0));
    const words = code === null ? "encoder not computed here" : `largest difference from PyTorch: code ${format(code)}, values ${values}`;
    const time = ms === null ? "" : `; a decode takes ${format(Math.max(ms, 0.1))} ms`;
    byId("checks").append(make("span", { className: far > allowed ? "bad" : "" }, `${name}${words}${time}. `));
  });
}

function begin() {
  const some = DATA.count < DATA.total ? `${DATA.count} of ${DATA.total}` : `all ${DATA.count}`;
  byId("about").textContent = `${some} rows of the ${DATA.split} split; `
    + "all that is drawn and decoded here is computed on this page, which asks nobody for anything.";
  byId("made").textContent = `Made ${PAGE.made} by: ${PAGE.command}`;
  byId("noise").value = PAGE.runs[0].noise.kind;
  byId("b").value = Math.min(2, DATA.count);
  state.b = Math.min(1, DATA.count - 1);
  byId("arcs").hidden = !runs.some(run => run.arc);
  byId("walk").hidden = !runs.some(run => run.decode);
  const { take, walked } = connectInput();
  runs.forEach(run => makeCard(run, byId("runs"), take));
  take(0);
  walked();
  setTimeout(tellChecks, 50);
}

begin();
