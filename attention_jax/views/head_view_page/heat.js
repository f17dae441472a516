// One head as a map, queries down and sources across; of two heads their difference.

const CELLS = 128; // tokens of which each gets a cell; longer inputs are drawn in blocks
const APART = 13; // pixels between labels, at least
const map = { picture: null }; // what is drawn, and where

function drawHeat() {
  const at = shown();
  const other = beside();
  const compared = other && alike(at.attention, other.attention);
  const picture = heatPicture(at);
  map.most = 0;
  map.at = at;
  map.other = compared ? other : null;
  if (compared) {
    const second = heatPicture(other);
    picture.values = picture.values.map((value, i) => second.values[i] - value);
    map.most = picture.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  }
  map.picture = picture;
  map.image = make("canvas");
  if (compared) paintDifference(map.image, picture, map.most);
  else paint(map.image, picture);
  byId("heat-title").textContent = compared ? "Difference" : "Heat map";
  drawScale(compared);
  byId("heat-note").textContent = heatNote(picture.pooled, other);
  layOut();
}

function heatPicture(at) {
  const { queries, sources } = at.attention;
  const small = Math.max(queries.length, sources.length) <= CELLS;
  return small && data.keep === null ? exactPicture(at) : pictureOf(at);
}

function heatNote(pooled, other) {
  const notes = [];
  if (map.other) {
    const names = [state.other, state.reading].map((place) => visible(readingName(place)));
    notes.push(`Right minus left: ${names.join(" minus ")}.`);
    const apart = differing(map.at.attention, map.other.attention);
    if (apart)
      notes.push(`Place by place, though ${counted(apart, "token differs", "tokens differ")}.`);
  } else if (other) {
    notes.push("The two have different numbers of tokens and no difference; this is the left one.");
  }
  if (pooled) {
    notes.push("A cell is a block of tokens: what a query of it gives to its sources, on average.");
  } else if (data.keep !== null) {
    notes.push("Weights that are not kept are drawn as zero.");
  }
  return notes.join(" ");
}

function drawScale(compared) {
  const values = Float32Array.from({ length: 256 }, (_, i) =>
    compared ? (2 * i) / 255 - 1 : i / 255,
  );
  const scale = { rows: 1, columns: 256, values };
  if (compared) paintDifference(byId("scale"), scale, 1);
  else paint(byId("scale"), scale);
  byId("scale-low").textContent = compared ? `−${map.most.toPrecision(2)}` : "0";
  byId("scale-high").textContent = compared ? `+${map.most.toPrecision(2)}` : "1";
}

// Places the map and its labels on the canvas, at the pixels of the screen.
function layOut() {
  const canvas = byId("heat-map");
  const { rows, columns, pooled } = map.picture;
  const context = canvas.getContext("2d");
  const style = getComputedStyle(document.body);
  map.font = `12px ${style.fontFamily}`;
  context.font = map.font;
  const { queries, sources } = map.at.attention;
  const labels = (tokens, count) =>
    pooled && tokens.length > count
      ? Array.from({ length: count }, (_, i) => String(Math.floor((i * tokens.length) / count) + 1))
      : tokens.map((token) => visible(token.slice(0, 60)));
  const names = [labels(queries, rows), labels(sources, columns)];
  const widest = names.map((some) =>
    Math.min(110, Math.max(...some.map((name) => context.measureText(name).width))),
  );
  const room = byId("heat-box").clientWidth;
  const left = widest[0] + 10;
  const top = widest[1] + 10;
  const cell = Math.max(Math.min((room - left - 2) / columns, 40), 1);
  const high = Math.max(Math.min(cell, 36), Math.min(520 / rows, 15), 2);
  Object.assign(map, { left, top, cell, high, names, room });
  const [width, height] = [Math.ceil(left + cell * columns + 2), Math.ceil(top + high * rows + 2)];
  const dense = devicePixelRatio || 1;
  canvas.width = width * dense;
  canvas.height = height * dense;
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  canvas.setAttribute(
    "aria-label",
    `Heat map of layer ${state.layer + 1}, ${headName(state.head)}: ` +
      `${counted(queries.length, "query", "queries")} down, ` +
      `${counted(sources.length, "source")} across; the table of a token has its numbers`,
  );
  drawMap();
}

function drawMap() {
  if (!map.picture) return;
  const canvas = byId("heat-map");
  const context = canvas.getContext("2d");
  const dense = devicePixelRatio || 1;
  const { left, top, cell, high, names } = map;
  const { rows, columns } = map.picture;
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name);
  context.setTransform(dense, 0, 0, dense, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  context.imageSmoothingEnabled = false;
  context.drawImage(map.image, left, top, cell * columns, high * rows);
  context.strokeStyle = colour("--line");
  context.strokeRect(left - 0.5, top - 0.5, cell * columns + 1, high * rows + 1);
  const [row, column] = [
    blockOf(state.hover.query ?? state.query, rows, "queries"),
    blockOf(state.hover.source ?? state.source, columns, "sources"),
  ];
  context.strokeStyle = colour("--accent");
  context.lineWidth = 2;
  context.strokeRect(left, top + row * high, cell * columns, high);
  if (column !== null) context.strokeRect(left + column * cell, top, cell, high * rows);
  context.lineWidth = 1;
  context.textBaseline = "middle";
  const write = (at, focus) => {
    context.font = at === focus ? `bold ${map.font}` : map.font;
    context.fillStyle = colour(at === focus ? "--ink" : "--muted");
  };
  context.textAlign = "right";
  for (const at of labelled(rows, high, row)) {
    write(at, row);
    context.fillText(cut(context, names[0][at], left - 10), left - 6, top + (at + 0.5) * high);
  }
  context.textAlign = "left";
  for (const at of labelled(columns, cell, column)) {
    write(at, column);
    context.save();
    context.translate(left + (at + 0.5) * cell, top - 6);
    context.rotate(-Math.PI / 2);
    context.fillText(cut(context, names[1][at], top - 10), 0, 0);
    context.restore();
  }
}

// The places that get a label: all, every n-th where there is too little room, always the focus.
function labelled(count, size, focus) {
  const every = Math.max(1, Math.ceil((APART * (map.picture.pooled ? 2 : 1)) / size));
  const far = (at) => focus === null || Math.abs(at - focus) * size >= APART;
  const places = [...Array(count).keys()];
  return places.filter((at) => at === focus || (at % every === 0 && far(at)));
}

function cut(context, name, room) {
  if (context.measureText(name).width <= room) return name;
  const letters = [...name];
  const wide = () => context.measureText(`${letters.join("")}…`).width > room;
  while (letters.length && wide()) letters.pop();
  return `${letters.join("")}…`;
}

function blockOf(place, blocks, side) {
  if (place === null || place === undefined) return null;
  const { length } = map.at.attention[side];
  return length === blocks ? place : Math.ceil(((place + 1) * blocks) / length) - 1;
}

// The first token of a block, and the one after its last.
function blockEnds(block, blocks, side) {
  const { length } = map.at.attention[side];
  return [Math.floor((block * length) / blocks), Math.floor(((block + 1) * length) / blocks)];
}

function cellAt(event) {
  const box = byId("heat-map").getBoundingClientRect();
  const column = Math.floor((event.clientX - box.left - map.left) / map.cell);
  const row = Math.floor((event.clientY - box.top - map.top) / map.high);
  const { rows, columns } = map.picture;
  return row >= 0 && column >= 0 && row < rows && column < columns ? [row, column] : null;
}

function followHeat(event) {
  const cell = cellAt(event);
  if (!cell) {
    point({});
    return tip(event);
  }
  const { rows, columns, values, pooled } = map.picture;
  const ends = [blockEnds(cell[0], rows, "queries"), blockEnds(cell[1], columns, "sources")];
  const [query, source] = ends.map(([first]) => first);
  point({ query, source });
  if (pooled) {
    const spans = ends.map(([from, to]) => (to - from > 1 ? `${from + 1}–${to}` : `${from + 1}`));
    const value = minus(values[cell[0] * columns + cell[1]].toPrecision(2));
    return tip(event, `tokens ${spans.join(" → ")} about ${value}`);
  }
  const { queries, sources } = map.at.attention;
  const [weight, other] = [map.at, map.other].map((at) => at && weightIn(rowOf(at, query), source));
  const told = map.other ? differenceOf(weight, other) : known(weight);
  return tip(event, ...pair(queries[query], sources[source]), ` ${told}`);
}

function startHeat() {
  const canvas = byId("heat-map");
  canvas.addEventListener("pointermove", followHeat);
  canvas.addEventListener("pointerleave", (event) => {
    point({});
    tip(event);
  });
  canvas.addEventListener("click", (event) => {
    const cell = cellAt(event);
    if (!cell) return;
    const { rows, columns } = map.picture;
    change({
      query: blockEnds(cell[0], rows, "queries")[0],
      source: blockEnds(cell[1], columns, "sources")[0],
    });
  });
  new ResizeObserver(() => {
    if (map.picture && byId("heat-box").clientWidth !== map.room) layOut();
  }).observe(byId("heat-box"));
  part(drawHeat);
  part(drawMap, { pointer: true });
}
