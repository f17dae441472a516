// Elements, and what they say. All text goes through textContent.

const byId = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const space = ["svg", "path", "line"].includes(tag)
    ? "http://www.w3.org/2000/svg"
    : "http://www.w3.org/1999/xhtml";
  const element = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

// A token as it can be seen: what has no shape of its own gets one.
function visible(token) {
  if (token === "") return "∅";
  return token
    .replace(/\n/g, "⏎")
    .replace(/\t/g, "⇥")
    .replace(/^ +| +$/g, (spaces) => "␣".repeat(spaces.length))
    .replace(/[\u0000-\u001f]/g, (one) => String.fromCharCode(0x2400 + one.charCodeAt(0)))
    .replace(/[\u007f-\u009f\ud800-\udfff]/gu, "\ufffd");
}

// Isolated, so that a token of another direction turns nothing around it.
function tokenElement(token, attributes = {}) {
  return make("bdi", { class: "token", dir: "auto", text: visible(token), ...attributes });
}

const quoted = (token) => `“\u2068${visible(token)}\u2069”`;

// All digits that tell a float32 from its neighbours, and no more.
function exact(number) {
  if (Math.fround(number) !== number) return String(Number(number.toPrecision(7)));
  for (let digits = 1; digits < 9; digits++) {
    const text = number.toPrecision(digits);
    if (Math.fround(text) === number) return String(Number(text));
  }
  return String(Number(number.toPrecision(9)));
}

// A weight, unless it is not among those that were kept.
const known = (weight) => (weight === undefined ? "not kept" : exact(weight));

// Three decimals, for glancing at.
function brief(number) {
  if (number === undefined || number < 0.0005) return "";
  return number > 0.9995 ? "1.00" : number.toFixed(3).replace(/^0/, "");
}

// Never all where a little lacks.
function percent(share) {
  return `${share > 0.9995 && share < 1 ? "99.9" : (100 * share).toFixed(1)}\u00a0%`;
}

const minus = (text) => text.replace("-", "−");

// How much more the second is, with its sign.
function differenceOf(one, other) {
  if (one === undefined || other === undefined) return "–";
  return other === one ? "0" : `${other < one ? "−" : "+"}${exact(Math.abs(other - one))}`;
}

const counted = (count, one, many = `${one}s`) =>
  `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

// A table with a caption for those who cannot see its place; `rows` hold text or elements.
function table(caption, heads, rows) {
  const line = (cells, tag) =>
    make(
      "tr",
      {},
      ...cells.map((cell, i) => {
        const inside = cell instanceof Node ? cell : document.createTextNode(cell);
        if (tag === "th") return make("th", { scope: "col" }, inside);
        return i === 0 ? make("th", { scope: "row" }, inside) : make("td", {}, inside);
      }),
    );
  return make(
    "table",
    {},
    make("caption", { class: "unseen", text: caption }),
    make("thead", {}, line(heads, "th")),
    make("tbody", {}, ...rows.map((cells) => line(cells, "td"))),
  );
}

// Beside the pointer, inside the window.
function tip(event, ...children) {
  const box = byId("tip");
  box.hidden = children.length === 0;
  if (box.hidden) return;
  box.replaceChildren(...children);
  const { width, height } = box.getBoundingClientRect();
  const left = Math.min(event.clientX + 14, innerWidth - width - 8);
  const below = event.clientY + 18 + height < innerHeight;
  box.style.left = `${Math.max(8, left)}px`;
  box.style.top = `${below ? event.clientY + 18 : event.clientY - height - 10}px`;
}

const pair = (query, source) => [tokenElement(query), " → ", tokenElement(source)];
