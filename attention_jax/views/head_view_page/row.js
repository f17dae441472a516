// The row in focus as a table of exact numbers, and in words for those who listen.

const FEW = 12; // rows of a table before it is asked for all
let allRows = false;

function startRow() {
  byId("row-all").addEventListener("click", () => {
    allRows = !allRows;
    drawRow();
  });
  byId("row-order").addEventListener("change", drawRow);
  part(drawRow);
  part(announce);
}

function drawRow() {
  const at = shown();
  const { queries, sources } = at.attention;
  const row = rowOf(at, state.query);
  const other = beside();
  const second = other && alike(at.attention, other.attention) ? rowOf(other, state.query) : null;
  const byDifference = byId("row-order").querySelector("[value=difference]");
  byDifference.hidden = !second;
  if (!second && byDifference.selected) byId("row-order").value = "weight";
  const order = ordered(row, second);
  const few = allRows ? order : order.slice(0, FEW);
  byId("row-title").textContent = `What ${quoted(queries[state.query])} looks at`;
  byId("row-note").textContent = rowNote(at, row);
  const heads = ["Token", "Place", ...(second ? ["Left", "Right", "Difference"] : ["Weight"])];
  const rows = few.map((source) => {
    const weights = [row, second].filter(Boolean).map((one) => weightIn(one, source));
    const told = weights.map((weight) => bar(weight));
    if (second) told.push(differenceOf(...weights));
    const token = make("span", {}, tokenElement(sources[source]));
    const its = second ? other.attention.sources[source] : sources[source];
    if (its !== sources[source]) token.append(" / ", tokenElement(its));
    return [token, String(source + 1), ...told];
  });
  const caption = `Weights of ${quoted(queries[state.query])} in ${placeName(at)}`;
  byId("row-table").replaceChildren(table(caption, heads, rows));
  const button = byId("row-all");
  button.hidden = order.length <= FEW;
  const every = `All ${order.length.toLocaleString("en")}`;
  button.textContent = allRows ? `Only the first ${FEW}` : every;
  button.setAttribute("aria-expanded", allRows);
}

function ordered(row, second) {
  const sources = second ? [...new Set([...row.sources, ...second.sources])] : [...row.sources];
  sources.sort((a, b) => a - b);
  const by = byId("row-order").value;
  if (by === "place") return sources;
  const size = (source) => {
    const [one, other] = [row, second ?? row].map((found) => weightIn(found, source) ?? 0);
    return by === "difference" ? Math.abs(one - other) : Math.max(one, other);
  };
  const sizes = new Map(sources.map((source) => [source, size(source)]));
  return sources.sort((a, b) => sizes.get(b) - sizes.get(a) || a - b);
}

function rowNote(at, row) {
  const { chosen, queries } = at.attention;
  const count = queries.length.toLocaleString("en");
  const notes = [`Token ${state.query + 1} of ${count}, in ${placeName(at)}.`];
  if (chosen.length) notes.push(`It writes ${quoted(chosen[state.query])} next.`);
  if (row.total === 0) return [...notes, "It looks at nothing: the whole row is zero."].join(" ");
  if (!row.complete) {
    const kept = counted(row.sources.length, "strongest weight is", "strongest weights are");
    const share = percent(sum(row.weights) / row.total);
    notes.push(`Its ${kept} kept, ${share} of its attention.`);
  }
  if (Math.abs(row.total - 1) > 0.005) notes.push(`Its row sums to ${row.total.toPrecision(4)}.`);
  return notes.join(" ");
}

function bar(weight) {
  const cell = make("span", { class: "bar", text: known(weight) });
  cell.style.setProperty("--part", Math.min(1, weight ?? 0));
  return cell;
}

// Says the strongest weights of the token in focus, once nothing has changed for a moment.
let spoken = null;
function announce() {
  clearTimeout(spoken);
  spoken = setTimeout(() => {
    const at = shown();
    const { queries, sources } = at.attention;
    const row = rowOf(at, state.query);
    const most = strongest(row)
      .slice(0, 3)
      .filter((i) => row.weights[i] > 0);
    const told = most.map((i) => {
      const weight = row.weights[i] < 0.0005 ? "almost nothing" : row.weights[i].toFixed(3);
      return `${visible(sources[row.sources[i]])} ${weight}`;
    });
    const whom = told.join(", ") || "nothing";
    byId("live").textContent =
      `${placeName(at)}: ${visible(queries[state.query])} looks at ${whom}.`;
  }, 150);
}
