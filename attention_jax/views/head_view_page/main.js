// All parts, in the order in which they draw; and the numbers, for programs.

document.title = data.title;
byId("title").textContent = visible(data.title);

startControls();
part(drawFacts);
startBeams();
new Pane(byId("first"), "one", shown);
new Pane(byId("second"), "two", beside);
startRow();
startHeads();
startHeat();
startVectors();
startKeys();

window.attentionView = {
  // What a row holds: { sources, weights, total, complete }, counted from 0; head -1 is the mean.
  weights({
    reading = state.reading,
    attention = state.kind,
    layer = state.layer,
    head = state.head,
    query = state.query,
  } = {}) {
    const row = rowOf({ attention: attentionOf(reading, attention), layer, head }, query);
    return { ...row, sources: Array.from(row.sources), weights: Array.from(row.weights) };
  },
  state: () => ({ ...state }),
  show: change,
};
change({});
