// Every head as a small picture: a map of the model, and a way to choose.

const grid = { made: "", cells: [] };

function startHeads() {
  byId("grid").addEventListener("click", (event) => {
    const cell = event.target.closest("button");
    if (cell) change({ layer: Number(cell.dataset.layer), head: Number(cell.dataset.head) });
  });
  part(drawHeads);
}

function drawHeads() {
  const { attention } = shown();
  const wanted = `${state.reading} ${state.kind} ${dark.matches}`;
  if (grid.made !== wanted) buildHeads(attention);
  grid.made = wanted;
  const whose = state.other === null ? "" : `Of ${visible(readingName(state.reading))}. `;
  const axes =
    "Layers down, heads across; within each head, those that look down, what they see across.";
  byId("heads-note").textContent = whose + axes;
  for (const cell of grid.cells) {
    const here =
      Number(cell.dataset.layer) === state.layer && Number(cell.dataset.head) === state.head;
    cell.setAttribute("aria-selected", here);
    cell.tabIndex = here ? 0 : -1;
  }
}

function buildHeads(attention) {
  const focused = byId("grid").contains(document.activeElement);
  const most = Math.max(...attention.layers.map((layer) => layer.heads));
  const names = [...Array(most).keys()].map((head) => make("span", { text: head + 1 }));
  const mean = make("span", { class: "mean", text: "mean" });
  const rows = attention.layers.map((layer, place) => {
    const name = make("span", {
      role: "rowheader",
      text: place + 1,
      "aria-label": `layer ${place + 1}`,
    });
    const heads = [...Array(layer.heads).keys(), MEAN];
    return make(
      "div",
      { role: "row" },
      name,
      ...heads.map((head) => headCell(attention, place, head)),
    );
  });
  const box = make(
    "div",
    { role: "grid", "aria-label": "All heads, a row for each layer" },
    make("div", { class: "names", "aria-hidden": "true" }, make("span"), ...names, mean),
    ...rows,
  );
  box.style.setProperty("--heads", most);
  byId("grid").replaceChildren(box);
  grid.cells = [...box.querySelectorAll("button")];
  if (focused) queueMicrotask(focusHead);
}

function headCell(attention, layer, head) {
  const canvas = make("canvas", { "aria-hidden": "true" });
  const name = placeName({ layer, head });
  const cell = make(
    "button",
    { type: "button", role: "gridcell", "aria-label": name, title: name },
    canvas,
  );
  cell.classList.toggle("mean", head === MEAN);
  Object.assign(cell.dataset, { layer, head });
  paint(canvas, pictureOf({ attention, layer, head }));
  return cell;
}

function focusHead() {
  grid.cells.find((cell) => cell.tabIndex === 0)?.focus();
}
