// One head from inside: how the features of a query and of a key make a logit, and that a weight.

const NEAR = 8; // sources that are shown with their vectors

function startVectors() {
  byId("vectors-table").addEventListener("click", (event) => {
    const line = event.target.closest("tr[data-source]");
    if (line) change({ source: Number(line.dataset.source) });
  });
  byId("features").addEventListener("toggle", drawVectors);
  part(drawVectors);
}

function drawVectors() {
  const at = shown();
  const layer = layerOf(at.attention, at.layer);
  const there = Boolean(layer.query) && at.head !== MEAN;
  byId("vectors").hidden = !there;
  if (!there) return;
  const { queries, sources } = at.attention;
  const row = rowOf(at, state.query);
  const places = strongest(row)
    .slice(0, NEAR)
    .map((i) => row.sources[i]);
  const chosen = state.source ?? places[0] ?? 0;
  if (!places.includes(chosen)) places.push(chosen);
  const found = places.map((source) => product(at, layer, state.query, source));
  const most = (name) => Math.max(...found.flatMap((one) => Array.from(one[name], Math.abs)));
  const limits = { query: most("query"), key: most("key"), product: most("product") };
  byId("vectors-title").textContent =
    `Why: ${quoted(queries[state.query])} as a query, feature by feature`;
  const rule = `a logit is the sum of query × key, times ${found[0].scale.toPrecision(4)}.`;
  byId("vectors-note").textContent =
    `${counted(layer.features, "feature")}; ${rule} ${agreement(at, layer, row)}`;
  const rows = places.map((source, i) => [
    tokenElement(sources[source]),
    strip(found[i].key, limits.key),
    strip(found[i].product, limits.product),
    minus(found[i].dot.toPrecision(5)),
    minus(found[i].logit.toPrecision(5)),
    known(weightIn(row, source)),
  ]);
  const drawn = table(
    `From the query of ${quoted(queries[state.query])} and keys to weights`,
    ["Token", "Key", "Query × key", "Sum", "Logit", "Weight"],
    rows,
  );
  drawn.classList.add("pairs");
  const lead = make(
    "tr",
    { class: "lead" },
    make("th", { scope: "row" }, tokenElement(queries[state.query])),
    make("td", {}, strip(found[0].query, limits.query)),
    make("td", { colspan: 4, class: "note", text: "← its query" }),
  );
  drawn.tBodies[0].prepend(lead);
  [...drawn.tBodies[0].rows].slice(1).forEach((line, i) => {
    line.dataset.source = places[i];
    line.classList.toggle("chosen", places[i] === chosen);
  });
  byId("vectors-table").replaceChildren(drawn);
  drawFeatures(found[places.indexOf(chosen)], queries[state.query], sources[chosen]);
}

// Heads that share keys read those of their group.
function product(at, layer, query, source) {
  const { features, heads, groups } = layer;
  const { queries, sources, scale } = at.attention;
  const group = Math.floor(at.head / (heads / groups));
  const from = (at.head * queries.length + query) * features;
  const to = (group * sources.length + source) * features;
  const found = {
    query: layer.query.subarray(from, from + features),
    key: layer.key.subarray(to, to + features),
    scale: scale ?? 1 / Math.sqrt(features),
  };
  found.product = Array.from(found.query, (value, i) => value * found.key[i]);
  found.dot = sum(found.product);
  found.logit = found.dot * found.scale;
  return found;
}

// Whether the softmax of these logits alone gives the weights that the model had.
function agreement(at, layer, row) {
  if (!row.complete) return "";
  const seen = [...row.sources.keys()].filter((i) => row.weights[i] > 0);
  const logits = seen.map((i) => product(at, layer, state.query, row.sources[i]).logit);
  const highest = Math.max(...logits);
  const powers = logits.map((logit) => Math.exp(logit - highest));
  const all = sum(powers);
  const errors = seen.map((i, k) => Math.abs(powers[k] / all - row.weights[i]));
  const worst = Math.max(0, ...errors);
  if (worst < 0.002) return "Their softmax gives the weights.";
  const why = "a bias, positions or another score take part";
  return `Their softmax alone is off by up to ${worst.toPrecision(2)}: ${why}.`;
}

// A vector as a strip of colours: one side below zero, the other above.
function strip(values, most) {
  const canvas = make("canvas", { class: "strip", "aria-hidden": "true" });
  paintDifference(canvas, { rows: 1, columns: values.length, values }, most);
  return canvas;
}

function drawFeatures(found, query, source) {
  const box = byId("features");
  const both = `${quoted(query)} and ${quoted(source)}`;
  box.firstElementChild.textContent = `All features of ${both} as numbers`;
  if (!box.open) return byId("features-table").replaceChildren();
  const order = found.product
    .map((_, i) => i)
    .sort((a, b) => Math.abs(found.product[b]) - Math.abs(found.product[a]));
  const rows = order.map((i) => [
    String(i + 1),
    minus(exact(found.query[i])),
    minus(exact(found.key[i])),
    minus(exact(found.product[i])),
  ]);
  const heads = ["Feature", "Query", "Key", "Query × key"];
  const drawn = table("Features, the largest products first", heads, rows);
  return byId("features-table").replaceChildren(drawn);
}
