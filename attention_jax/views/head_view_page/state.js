// What is looked at, in one place. Only `change` alters it; then every part draws anew.

const state = {
  reading: 0,
  ...data.start, // kind, layer, head, query; and `other`, the reading beside it, or null
  otherLayer: null, // null: the same as of the first
  otherHead: null,
  source: null, // the token that is looked at and was chosen, or null
  step: data.start.query, // of what is written
  hover: {}, // { query } or { source } or both: what the pointer is at
};
const SIDES = ["queries", "sources"];
const parts = [];

// A part draws after every change; one that follows the pointer too, when that moves as well.
function part(draw, { pointer = false } = {}) {
  parts.push({ draw, pointer });
}

function change(news) {
  const before = { ...state };
  Object.assign(state, news, { hover: {} });
  settle(before);
  for (const one of parts) one.draw();
}

function point(hover) {
  if (hover.query === state.hover.query && hover.source === state.hover.source) return;
  state.hover = hover;
  for (const one of parts) if (one.pointer) one.draw();
}

// Keeps every place inside what is there. A kind that writes goes on from the step it was at.
function settle(before) {
  const kinds = data.readings[state.reading].attentions;
  if (!kinds.some((one) => one.name === state.kind)) state.kind = kinds[0].name;
  const { attention } = shown();
  if (before.kind !== state.kind) {
    state.source = null;
    if (attention.chosen.length && before.query === state.query) state.query = state.step;
  }
  state.layer = within(state.layer, attention.layers.length);
  state.head = headWithin(attention, state.layer, state.head);
  state.query = within(state.query, attention.queries.length);
  if (state.source !== null) state.source = within(state.source, attention.sources.length);
  if (attention.chosen.length || !kinds.some((one) => one.chosen.length)) state.step = state.query;
  if (state.other === state.reading) state.other = null;
}

function within(place, length) {
  return Math.max(0, Math.min(length - 1, place));
}

function headWithin(attention, layer, head) {
  const { heads } = attention.layers[layer];
  return head === MEAN || heads === 0 ? MEAN : within(head, heads);
}

// The head that is shown, and the one beside it: { attention, layer, head }.
function shown() {
  return {
    attention: attentionOf(state.reading, state.kind),
    layer: state.layer,
    head: state.head,
  };
}

function beside() {
  const attention = state.other === null ? null : attentionOf(state.other, state.kind);
  if (!attention) return null;
  const layer = within(state.otherLayer ?? state.layer, attention.layers.length);
  return { attention, layer, head: headWithin(attention, layer, state.otherHead ?? state.head) };
}

// Whether two attentions have as many tokens, so that they can be subtracted place by place.
function alike(one, other) {
  return SIDES.every((side) => one[side].length === other[side].length);
}

// At how many places two attentions that are alike have different tokens.
function differing(one, other) {
  const apart = (side) => one[side].filter((token, i) => token !== other[side][i]).length;
  return Math.max(...SIDES.map(apart));
}

function headName(head) {
  return head === MEAN ? "mean of the heads" : `head ${head + 1}`;
}

const placeName = ({ layer, head }) => `layer ${layer + 1}, ${headName(head)}`;

const NAMES = ["model", "hypothesis", "moment"];
const different = (name) => [...new Set(data.readings.map((reading) => reading[name]))];

// What tells a reading from the others.
function readingName(place) {
  const told = NAMES.filter((name) => different(name).length > 1).map(
    (name) => data.readings[place][name],
  );
  return told.filter(Boolean).join(" · ") || data.readings[place].model || `reading ${place + 1}`;
}
