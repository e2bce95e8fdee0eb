// A network as `aeexp/explorer/tracing.py` writes it, computed: numbers of 32 bits, as PyTorch has them.

/** The arrays of the page: base64 text of bytes, and where in them each lies; float16 becomes float32. */
function readBlobs(text, places) {
  const letters = atob(text.trim()), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < letters.length; i++) bytes[i] = letters.charCodeAt(i);
  const read = {
    f4: (start, count) => new Float32Array(bytes.buffer, start, count),
    i4: (start, count) => new Int32Array(bytes.buffer, start, count),
    u1: (start, count) => new Uint8Array(bytes.buffer, start, count),
    f2: (start, count) => Float32Array.from(new Uint16Array(bytes.buffer, start, count), fromHalf),
  };
  return places.map(([kind, start, count]) => read[kind](start, count));
}

/** The number that 16 bits stand for (IEEE 754). */
function fromHalf(bits) {
  const sign = bits & 0x8000 ? -1 : 1, exponent = (bits >> 10) & 31, fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? 2 ** (exponent - 15) * (1 + fraction / 1024) : 2 ** -14 * (fraction / 1024));
}

/** A function of named inputs, each numbers in the order of its shape, that gives the outputs as Float32Arrays. */
function compile(graph, blobs) {
  const values = new Array(graph.values);
  for (const [number, blob, shape] of graph.constants) values[number] = array(shape, blobs[blob]);
  const steps = graph.nodes.map(([name, out, inputs, shape, options]) => {
    const given = options.places === undefined ? options : { ...options, places: blobs[options.places] };
    return { out, inputs, run: findOperation(name, shape, given) };
  });
  return inputs => {
    for (const [name, [number, shape]] of Object.entries(graph.inputs)) {
      const given = inputs[name];
      if (!given || given.length !== size(shape)) throw new Error(`${name}: ${given && given.length} numbers for [${shape}]`);
      values[number] = array(shape, Float32Array.from(given));
    }
    for (const { out, inputs: from, run } of steps) values[out] = run(from.map(number => values[number]));
    return graph.outputs.map(number => values[number].data);
  };
}

/** What an operation does to its inputs. */
function findOperation(name, shape, options) {
  if (Object.hasOwn(UNARY, name)) {
    const apply = UNARY[name];
    return ([x]) => {
      const y = array(shape), { data } = x;
      for (let i = 0; i < data.length; i++) y.data[i] = apply(data[i], options);
      return y;
    };
  }
  if (Object.hasOwn(BINARY, name)) {
    const apply = BINARY[name];
    return ([a, b]) => {
      const y = array(shape), one = spread(a, shape), other = spread(b, shape);
      for (let i = 0; i < y.data.length; i++) y.data[i] = apply(one[i], other[i]);
      return y;
    };
  }
  const operation = Object.hasOwn(MOVES, name) ? MOVES[name] : LAYERS[name];
  if (!operation) throw new Error(`no operation is called ${name}`);
  return inputs => operation(inputs, shape, options);
}
