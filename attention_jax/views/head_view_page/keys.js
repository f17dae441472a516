// The keyboard, and the help that tells of it.

const MOVES = {
  ArrowUp: -1,
  ArrowDown: 1,
  PageUp: -10,
  PageDown: 10,
  Home: -Infinity,
  End: Infinity,
};

function startKeys() {
  const help = byId("help");
  byId("help-button").addEventListener("click", () => help.showModal());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || help.open) return;
    if (event.key === "?" && !event.target.closest("input:not([type=range]):not([type=radio])")) {
      help.showModal();
    } else if (!pressed(event)) {
      return;
    }
    event.preventDefault();
  });
  // Where nothing else wants them, the arrows are for the tokens at once.
  if (window === window.top) byId("one-queries").focus({ preventScroll: true });
}

// Whether the key meant something here.
function pressed(event) {
  const list = event.target.closest("[role=listbox]");
  const heads = event.target.closest("[role=grid]");
  if (!list && !heads) return false;
  if (event.key === "ArrowLeft" || event.key === "ArrowRight") {
    step("head", event.key === "ArrowLeft" ? -1 : 1);
  } else if (!(event.key in MOVES)) {
    return false;
  } else if (heads || event.shiftKey) {
    if (!event.key.startsWith("Arrow")) return false;
    step("layer", MOVES[event.key]);
  } else {
    move(list, MOVES[event.key]);
  }
  if (heads) focusHead();
  return true;
}

function move(list, by) {
  const { attention } = shown();
  if (list.classList.contains("queries"))
    return change({ query: within(state.query + by, attention.queries.length) });
  const from = state.source ?? (by > 0 ? -1 : 0);
  return change({ source: within(from + by, attention.sources.length) });
}
