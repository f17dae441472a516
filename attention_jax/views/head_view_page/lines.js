// One head: the tokens that look, those they look at, and lines between them.

const FAINT = 0.02; // weights below this get no line while their token is not in focus
const SHADES = 12; // of faint lines

class Pane {
  // `where` gives the head that is shown here: { attention, layer, head }, or null for none.
  constructor(holder, name, where) {
    this.where = where;
    this.name = name;
    this.title = make("h2", { id: `${name}-title` });
    this.mass = make("p", { class: "note" });
    this.queries = new TokenList(`${name}-queries`, "queries", "Tokens that look", {
      hovered: (event, query) => this.pointQuery(event, query),
      pressed: (query) => change({ query }),
    });
    this.sources = new TokenList(`${name}-sources`, "sources", "Tokens that are looked at", {
      hovered: (event, source) => this.pointSource(event, source),
      pressed: (source) => change({ source }),
    });
    this.svg = make("svg", { "aria-hidden": "true", focusable: "false" });
    this.lines = make("div", { class: "lines" }, this.queries.box, this.svg, this.sources.box);
    const ends = ["looks", "at"].map((text) => make("span", { text }));
    this.section = make(
      "section",
      { class: "pane", "aria-labelledby": `${name}-title` },
      this.title,
      this.mass,
      make("div", { class: "ends", "aria-hidden": "true" }, ...ends),
      this.lines,
    );
    holder.prepend(this.section);
    this.listen();
    part(() => this.follow());
    part(() => this.draw(), { pointer: true });
  }

  listen() {
    for (const list of [this.queries, this.sources]) {
      list.box.addEventListener("scroll", () => this.draw());
    }
    new ResizeObserver(() => this.draw()).observe(this.lines);
    this.svg.addEventListener("pointermove", (event) => this.pointLine(event));
    this.svg.addEventListener("pointerleave", (event) => this.pointLine(event));
    this.svg.addEventListener("click", (event) => {
      const line = this.lineAt(event);
      if (line) change(line);
    });
  }

  pointQuery(event, query) {
    point(query === undefined ? {} : { query });
    if (query === undefined) return tip(event);
    const at = this.where();
    const { queries, sources } = at.attention;
    const row = rowOf(at, query);
    const best = strongest(row)[0];
    if (best === undefined) return tip(event, tokenElement(queries[query]), " looks at nothing");
    const most = pair(queries[query], sources[row.sources[best]]);
    return tip(event, "most: ", ...most, ` ${exact(row.weights[best])}`);
  }

  pointSource(event, source) {
    point(source === undefined ? {} : { source });
    if (source === undefined) return tip(event);
    return this.tell(event, within(state.query, this.queries.tokens.length), source);
  }

  pointLine(event) {
    const line = event.type === "pointerleave" ? null : this.lineAt(event);
    point(line ?? {});
    if (line) this.tell(event, line.query, line.source);
    else tip(event);
  }

  tell(event, query, source) {
    const at = this.where();
    const { queries, sources } = at.attention;
    const weight = weightIn(rowOf(at, query), source);
    tip(event, ...pair(queries[query], sources[source]), ` ${known(weight)}`);
  }

  // The drawn line that is nearest to the pointer, if any is near. All are the same curve between
  // two heights, so how far along it the pointer is has to be found only once.
  lineAt(event) {
    const box = this.svg.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) / box.width, event.clientY - box.top];
    let [low, high] = [0, 1];
    for (let i = 0; i < 20; i++) {
      const t = (low + high) / 2;
      if (1.5 * t * (1 - t) + t ** 3 < x) low = t;
      else high = t;
    }
    const share = 3 * low ** 2 - 2 * low ** 3; // of the height of its end
    let [found, nearest] = [null, 6];
    this.eachLine((query, source) => {
      const height =
        (1 - share) * this.queries.heightOf(query) + share * this.sources.heightOf(source);
      if (Math.abs(height - y) >= nearest) return;
      [found, nearest] = [{ query, source }, Math.abs(height - y)];
    });
    return found;
  }

  // Calls with every pair of tokens in view whose weight is worth a line.
  eachLine(call) {
    const at = this.where();
    const [first, last] = this.queries.span();
    const [left, right] = this.sources.span();
    for (let query = first; query < last; query++) {
      const row = rowOf(at, query);
      for (let i = 0; i < row.sources.length; i++) {
        const source = row.sources[i];
        if (row.weights[i] < FAINT || source < left || source >= right) continue;
        call(query, source, row.weights[i]);
      }
    }
  }

  // Scrolls the token in focus, and what it looks at most, into view.
  follow() {
    const at = this.where();
    this.section.hidden = !at;
    if (!at) return;
    const { queries, sources } = at.attention;
    const tall = Math.max(queries.length, sources.length) * ROW;
    this.lines.style.setProperty("--tall", `${tall}px`);
    const query = within(state.query, queries.length);
    this.queries.reveal(queries, query);
    const row = rowOf(at, query);
    const source = state.source ?? row.sources[strongest(row)[0]];
    if (source !== undefined) this.sources.reveal(sources, source);
  }

  draw() {
    const at = this.where();
    if (!at) return;
    const { queries, sources, chosen } = at.attention;
    const query = within(state.hover.query ?? state.query, queries.length);
    const source = state.hover.source ?? state.source;
    // Pointing at a source alone shows who looks at it.
    const incoming = state.hover.query === undefined ? state.hover.source : undefined;
    const row = rowOf(at, query);
    this.drawTitle(at);
    const looking = (place) =>
      incoming === undefined ? undefined : (weightIn(rowOf(at, place), incoming) ?? 0);
    const writes = (place) => (chosen.length ? `writes \u2068${visible(chosen[place])}\u2069` : "");
    this.queries.draw(queries, query, state.query, looking, writes);
    this.sources.draw(sources, source, state.source, (place) => weightIn(row, place));
    this.drawLines(query, row, incoming);
  }

  drawTitle(at) {
    const reading = this.name === "one" ? state.reading : state.other;
    const whose = state.other === null ? "" : `${visible(readingName(reading))}: `;
    this.title.textContent = `${whose}Layer ${at.layer + 1}, ${headName(at.head)}`;
    this.mass.hidden = data.keep === null;
    if (data.keep === null) return;
    const [kept, all] = massOf(at);
    const share = percent(all ? kept / all : 1);
    this.mass.textContent = `What is kept of it is ${share} of this head's attention.`;
  }

  // Faint lines by shade, a path each; those of the token in focus one by one, the strongest last.
  drawLines(focus, row, incoming) {
    const width = this.svg.clientWidth;
    const curve = (query, source) => {
      const [from, to] = [this.queries.heightOf(query), this.sources.heightOf(source)];
      return `M0 ${from}C${width / 2} ${from} ${width / 2} ${to} ${width} ${to}`;
    };
    const shades = Array.from({ length: SHADES + 1 }, () => []);
    const strong = [];
    this.eachLine((query, source, weight) => {
      if (query === focus) return;
      if (source === incoming) strong.push({ kind: "incoming", query, source, weight });
      else
        shades[Math.min(SHADES, Math.round(Math.sqrt(weight) * SHADES))].push(curve(query, source));
    });
    row.sources.forEach((source, i) => {
      const weight = row.weights[i];
      if (weight >= 0.001) strong.push({ kind: "outgoing", query: focus, source, weight });
    });
    strong.sort((a, b) => a.weight - b.weight);
    const faint = shades.map((curves, shade) =>
      make("path", {
        class: "faint",
        d: curves.join(""),
        "stroke-opacity": ((0.8 * shade) / SHADES).toFixed(3),
      }),
    );
    const lines = strong.map(({ kind, query, source, weight }) =>
      make("path", {
        class: kind,
        d: curve(query, source),
        "stroke-width": (0.75 + 5 * weight).toFixed(2),
        "stroke-opacity": Math.max(0.12, Math.sqrt(weight)).toFixed(3),
      }),
    );
    this.svg.replaceChildren(...faint, ...lines);
  }
}
