// The numbers of the page. They are read from base64 where they are first looked at.

const data = JSON.parse(document.getElementById("data").textContent);
const MEAN = -1; // the head that stands for the mean of all heads of a layer

function numbers(text, Kind) {
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Kind(bytes.buffer);
}

function attentionOf(reading, kind) {
  return data.readings[reading].attentions.find((one) => one.name === kind);
}

// A layer with its numbers as arrays; `places` says where the kept weights of each row begin.
function layerOf(attention, place) {
  const layer = attention.layers[place];
  if (layer.opened) return layer.opened;
  const opened = { heads: layer.heads, features: layer.features, groups: layer.groups };
  if (layer.counts === undefined) {
    opened.weights = numbers(layer.weights, Float32Array);
    attention.every ??= Uint32Array.from(attention.sources, (_, i) => i);
  } else {
    const counts = numbers(layer.counts, Uint16Array);
    const wide = attention.sources.length > 65536;
    opened.sources = numbers(layer.sources, wide ? Uint32Array : Uint16Array);
    opened.weights = numbers(layer.weights, Float32Array);
    opened.totals = numbers(layer.totals, Float32Array);
    opened.places = new Uint32Array(counts.length + 1);
    counts.forEach((count, i) => {
      opened.places[i + 1] = opened.places[i] + count;
    });
  }
  if (layer.pooled) opened.pooled = numbers(layer.pooled, Uint8Array);
  if (layer.query) {
    opened.query = numbers(layer.query, Float32Array);
    opened.key = numbers(layer.key, Float32Array);
  }
  return (layer.opened = opened);
}

// What one query gives: { sources, weights, total, complete }, in the order of the sources. `at` is
// { attention, layer, head }; `complete` says that sources which are not listed have weight zero.
function rowOf(at, query) {
  const layer = layerOf(at.attention, at.layer);
  return at.head === MEAN
    ? meanRow(at.attention, layer, query)
    : headRow(at.attention, layer, at.head, query);
}

function headRow(attention, layer, head, query) {
  const { queries, sources } = attention;
  const row = head * queries.length + query;
  if (!layer.places) {
    const weights = layer.weights.subarray(row * sources.length, (row + 1) * sources.length);
    return { sources: attention.every, weights, total: sum(weights), complete: true };
  }
  const [start, end] = [layer.places[row], layer.places[row + 1]];
  return {
    sources: layer.sources.subarray(start, end),
    weights: layer.weights.subarray(start, end),
    total: layer.totals[row],
    complete: end - start < Math.min(data.keep, sources.length) || data.keep >= sources.length,
  };
}

function meanRow(attention, layer, query) {
  const sums = new Float64Array(attention.sources.length);
  let total = 0;
  let complete = true;
  for (let head = 0; head < layer.heads; head++) {
    const row = headRow(attention, layer, head, query);
    row.sources.forEach((source, i) => {
      sums[source] += row.weights[i] / layer.heads;
    });
    total += row.total / layer.heads;
    complete &&= row.complete;
  }
  attention.every ??= Uint32Array.from(attention.sources, (_, i) => i);
  if (!layer.places) return { sources: attention.every, weights: sums, total, complete };
  const sources = attention.every.filter((source) => sums[source] > 0);
  return {
    sources,
    weights: Float64Array.from(sources, (source) => sums[source]),
    total,
    complete,
  };
}

// The weight of one source in a row; undefined where it is not among those that were kept.
function weightIn(row, source) {
  let [low, high] = [0, row.sources.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (row.sources[middle] < source) low = middle + 1;
    else high = middle;
  }
  if (row.sources[low] === source) return row.weights[low];
  return row.complete ? 0 : undefined;
}

// Places in a row, strongest first; equal ones in the order of the text.
function strongest(row) {
  const order = Array.from(row.weights.keys());
  return order.sort((a, b) => row.weights[b] - row.weights[a] || a - b);
}

function sum(numbers) {
  let found = 0;
  for (const number of numbers) found += number;
  return found;
}

// The sum of what was kept of a head's rows, and of all there was.
function massOf(at) {
  const layer = layerOf(at.attention, at.layer);
  if (!layer.places) return [1, 1];
  const heads = at.head === MEAN ? [0, layer.heads] : [at.head, at.head + 1];
  const [start, end] = heads.map((head) => head * at.attention.queries.length);
  return [
    sum(layer.weights.subarray(layer.places[start], layer.places[end])),
    sum(layer.totals.subarray(start, end)),
  ];
}

// The small picture of a head, values from 0 to 1, and its numbers of rows and columns. Of all its
// weights where the input is long, else its weights themselves.
function pictureOf(at) {
  const [rows, columns] = [at.attention.queries.length, at.attention.sources.length];
  const layer = layerOf(at.attention, at.layer);
  if (layer.pooled) {
    const size = [Math.min(64, rows), Math.min(64, columns)];
    const values = new Float32Array(size[0] * size[1]);
    const heads = at.head === MEAN ? [...Array(layer.heads).keys()] : [at.head];
    for (const head of heads) {
      for (let i = 0; i < values.length; i++) {
        values[i] += (layer.pooled[head * values.length + i] / 255) ** 2 / heads.length;
      }
    }
    return { rows: size[0], columns: size[1], values, pooled: true };
  }
  return exactPicture(at);
}

function exactPicture(at) {
  const [rows, columns] = [at.attention.queries.length, at.attention.sources.length];
  const values = new Float32Array(rows * columns);
  for (let query = 0; query < rows; query++) {
    const row = rowOf(at, query);
    row.sources.forEach((source, i) => {
      values[query * columns + source] = row.weights[i];
    });
  }
  return { rows, columns, values, pooled: false };
}
