// What the page is about, and what of it had no room.

function drawFacts() {
  const { model, moment, input, output } = data.readings[state.reading];
  const { queries, sources, layers } = shown().attention;
  const seen =
    queries.length === sources.length ? "" : ` looking at ${sources.length.toLocaleString("en")}`;
  const names = [model, moment].filter(Boolean).map(visible);
  const size = [counted(layers.length, "layer"), counted(queries.length, "token") + seen];
  const lines = [make("p", { class: "facts", text: [...names, ...size].join(" · ") })];
  const texts = [input, output]
    .filter(Boolean)
    .map((text) => tokenElement(text, { class: "text" }));
  if (texts.length === 2) texts.splice(1, 0, make("span", { class: "arrow", text: " → " }));
  if (texts.length > 0) lines.push(make("p", { class: "texts" }, ...texts));
  for (const text of [tellKept(layers[0]), tellVectors()].filter(Boolean)) {
    lines.push(make("p", { class: "facts", text }));
  }
  byId("facts").replaceChildren(...lines);
}

function tellKept(layer) {
  if (data.keep === null) return "";
  const strongest = counted(data.keep, "strongest weight", "strongest weights");
  const maps = layer.pooled ? "; the small maps are made of all weights" : "";
  const part = `${percent(share())} of all attention here`;
  return `More than fits: the ${strongest} of every row are kept, ${part}. They are exact${maps}.`;
}

function tellVectors() {
  return data.vectorsLeftOut
    ? "Queries and keys are too large for this page and were left out."
    : "";
}

// The share of all attention that was kept, over all layers.
function share() {
  const { attention } = shown();
  if (attention.share === undefined) {
    const masses = attention.layers.map((_, layer) => massOf({ attention, layer, head: MEAN }));
    const [kept, all] = [0, 1].map((which) => sum(masses.map((mass) => mass[which])));
    attention.share = all ? kept / all : 1;
  }
  return attention.share;
}
