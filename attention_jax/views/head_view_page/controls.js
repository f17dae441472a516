// Pickers: model, output, moment, kind of attention, layer, head, and what stands beside it.

function startControls() {
  byId("model").addEventListener("change", pickReading);
  byId("hypothesis").addEventListener("change", pickReading);
  byId("moment").addEventListener("input", pickReading);
  byId("kinds").addEventListener("change", (event) => change({ kind: event.target.value }));
  for (const name of ["layer", "head"]) {
    byId(name).addEventListener("change", (event) =>
      change({ [name]: Number(event.target.value) }),
    );
    byId(`${name}-before`).addEventListener("click", () => step(name, -1));
    byId(`${name}-after`).addEventListener("click", () => step(name, 1));
  }
  const others = { other: "other", otherLayer: "other-layer", otherHead: "other-head" };
  for (const [name, id] of Object.entries(others)) {
    byId(id).addEventListener("change", ({ target: { value } }) =>
      change({ [name]: value === "" ? null : Number(value) }),
    );
  }
  part(drawControls);
}

// Goes round: after the last head the mean, after that the first head.
function step(name, by) {
  const { attention } = shown();
  if (name === "layer") return change({ layer: within(state.layer + by, attention.layers.length) });
  const { heads } = attention.layers[state.layer];
  const place = state.head === MEAN ? heads : state.head;
  const next = (place + by + heads + 1) % (heads + 1);
  return change({ head: next === heads ? MEAN : next });
}

// The reading that has all that was picked, else most of it. What stands beside it at the same
// moment goes along.
function pickReading(event) {
  const picked = {
    model: byId("model").value,
    hypothesis: byId("hypothesis").value,
    moment: different("moment")[Number(byId("moment").value)],
  };
  const news = { reading: nearest(picked, event.target.id) };
  const [before, other] = [state.reading, state.other].map((place) => data.readings[place]);
  if (other && other.moment === before.moment)
    news.other = nearest({ ...other, moment: picked.moment }, "model");
  change(news);
}

function nearest(picked, first) {
  const fit = (reading) =>
    sum(NAMES.map((name) => (reading[name] === picked[name]) * (name === first ? 4 : 1)));
  const scores = data.readings.map(fit);
  return scores.indexOf(Math.max(...scores));
}

function options(id, choices, chosen) {
  const key = JSON.stringify(choices);
  const select = byId(id);
  if (select.dataset.choices !== key) {
    select.replaceChildren(
      ...choices.map(([value, name]) => make("option", { value, text: name })),
    );
    select.dataset.choices = key;
  }
  select.value = String(chosen);
}

const counting = (count) =>
  Array.from({ length: count }, (_, place) => [place, `${place + 1} of ${count}`]);

function drawControls() {
  const reading = data.readings[state.reading];
  for (const name of ["model", "hypothesis"]) {
    const names = different(name);
    byId(`${name}-field`).hidden = names.length < 2;
    const told = (one) => (one === "" ? "–" : visible(one) + outputOf(name, one));
    options(
      name,
      names.map((one) => [one, told(one)]),
      reading[name],
    );
  }
  const moments = different("moment");
  const moment = byId("moment");
  byId("moment-field").hidden = moments.length < 2;
  moment.max = moments.length - 1;
  moment.value = moments.indexOf(reading.moment);
  moment.setAttribute("aria-valuetext", reading.moment);
  byId("moment-name").textContent = visible(reading.moment);
  drawKinds(reading.attentions);
  const { attention } = shown();
  options("layer", counting(attention.layers.length), state.layer);
  const { heads } = attention.layers[state.layer];
  options("head", [...counting(heads), [MEAN, "mean"]], state.head);
  byId("layer-before").disabled = state.layer === 0;
  byId("layer-after").disabled = state.layer === attention.layers.length - 1;
  drawOther();
}

// What can stand beside the shown reading: first those of the same moment.
function drawOther() {
  byId("other-field").hidden = data.readings.length < 2;
  const { moment } = data.readings[state.reading];
  const others = [...data.readings.keys()].filter((place) => place !== state.reading);
  others.sort(
    (a, b) => (data.readings[b].moment === moment) - (data.readings[a].moment === moment) || a - b,
  );
  const named = others.map((place) => [place, visible(readingName(place))]);
  options("other", [["", "nothing"], ...named], state.other ?? "");
  const other = beside();
  for (const id of ["other-layer", "other-head"]) byId(`${id}-field`).hidden = !other;
  if (!other) return;
  const { layers } = other.attention;
  const same = ["", "the same"];
  options("other-layer", [same, ...counting(layers.length)], state.otherLayer ?? "");
  const heads = counting(layers[other.layer].heads);
  options("other-head", [same, ...heads, [MEAN, "mean"]], state.otherHead ?? "");
}

function drawKinds(attentions) {
  const box = byId("kinds");
  box.hidden = attentions.length < 2;
  const names = attentions.map((one) => one.name);
  if (box.dataset.names !== JSON.stringify(names)) {
    box.dataset.names = JSON.stringify(names);
    const radios = names.map((name) => {
      const radio = make("input", { type: "radio", name: "kind", value: name });
      return make("label", {}, radio, make("span", { text: visible(name) }));
    });
    box.replaceChildren(box.firstElementChild, ...radios);
  }
  for (const radio of box.querySelectorAll("input")) radio.checked = radio.value === state.kind;
}

// What a hypothesis says, to choose it by.
function outputOf(name, one) {
  if (name !== "hypothesis") return "";
  const wanted = { ...data.readings[state.reading], hypothesis: one };
  const { output } = data.readings[nearest(wanted, "hypothesis")];
  return output && !one.includes(output) ? `: ${visible(output)}` : "";
}
