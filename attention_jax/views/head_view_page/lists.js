// A list of tokens with a weight beside each. Of a long one only what can be seen is there.

const ROW = 26; // pixels a token

class TokenList {
  // `hovered` and `pressed` are called with the pointer's event and a place; none is undefined.
  constructor(id, side, label, { hovered, pressed }) {
    this.id = id;
    this.tokens = [];
    this.options = new Map();
    this.spacer = make("div", { role: "presentation" });
    this.box = make(
      "div",
      { id, class: `list ${side}`, role: "listbox", tabindex: "0", "aria-label": label },
      this.spacer,
    );
    this.box.addEventListener("pointermove", (event) => hovered(event, this.placeAt(event)));
    this.box.addEventListener("pointerleave", (event) => hovered(event, undefined));
    this.box.addEventListener("click", (event) => {
      const place = this.placeAt(event);
      if (place !== undefined) pressed(place);
    });
  }

  placeAt(event) {
    const { top } = this.box.getBoundingClientRect();
    const place = Math.floor((event.clientY - top + this.box.scrollTop) / ROW);
    return place >= 0 && place < this.tokens.length ? place : undefined;
  }

  // Where the middle of a token is, from the top of what can be seen.
  heightOf(place) {
    return (place + 0.5) * ROW - this.box.scrollTop;
  }

  // The first token in view, and the one after the last, with a few to spare.
  span() {
    const first = Math.max(0, Math.floor(this.box.scrollTop / ROW) - 4);
    const seen = Math.ceil(this.box.clientHeight / ROW) + 9;
    return [first, Math.min(this.tokens.length, first + seen)];
  }

  reveal(tokens, place) {
    this.stretch(tokens);
    const [top, height] = [place * ROW, this.box.clientHeight];
    if (top < this.box.scrollTop || top + ROW > this.box.scrollTop + height) {
      this.box.scrollTop = Math.max(0, top - height / 2);
    }
  }

  stretch(tokens) {
    this.tokens = tokens;
    this.spacer.style.height = `${tokens.length * ROW}px`;
  }

  // `focus` is what is looked at just now, `chosen` what stays; `weight` gives the number beside a
  // token, `note` what stands there where it gives none.
  draw(tokens, focus, chosen, weight, note = () => "") {
    this.stretch(tokens);
    const [first, last] = this.span();
    const places = new Set(Array.from({ length: last - first }, (_, i) => first + i));
    const active = chosen ?? focus;
    if (typeof active === "number") {
      const place = within(active, tokens.length);
      places.add(place);
      this.box.setAttribute("aria-activedescendant", `${this.id}-${place}`);
    } else {
      this.box.removeAttribute("aria-activedescendant");
    }
    for (const [place, option] of this.options) {
      if (places.has(place) && option.token === tokens[place]) continue;
      option.remove();
      this.options.delete(place);
    }
    for (const place of places) {
      const option = this.options.get(place) ?? this.add(place);
      const found = weight(place);
      option.classList.toggle("focus", place === focus);
      option.setAttribute("aria-selected", place === chosen);
      option.setAttribute("aria-setsize", tokens.length);
      option.style.setProperty("--part", Math.sqrt(Math.min(1, found ?? 0)));
      option.lastChild.classList.toggle("words", found === undefined);
      option.lastChild.textContent = found === undefined ? note(place) : brief(found);
    }
  }

  add(place) {
    const token = this.tokens[place];
    const option = make(
      "div",
      { role: "option", id: `${this.id}-${place}`, "aria-posinset": place + 1 },
      tokenElement(token),
      make("span", { class: "number" }),
    );
    option.style.top = `${place * ROW}px`;
    option.token = token;
    this.options.set(place, option);
    this.box.append(option);
    return option;
  }
}
