// The tokens as they were written, with the candidates of every step and where they came from.

const [WIDE, HIGH] = [104, 30]; // pixels of a candidate

function startBeams() {
  byId("step").addEventListener("input", (event) => goTo(Number(event.target.value)));
  byId("beams").addEventListener("click", (event) => {
    const place = event.target.closest("[data-step]")?.dataset.step;
    if (place !== undefined) goTo(Number(place));
  });
  part(drawBeams);
}

// Where the kind that is shown does not write, the last one that does is turned to.
function goTo(step) {
  const { attentions } = data.readings[state.reading];
  const writes = attentions.filter((one) => one.chosen.length > 0);
  const there = writes.some((one) => one.name === state.kind) || writes.length === 0;
  change({ query: step, source: null, ...(there ? {} : { kind: writes.at(-1).name }) });
}

function drawBeams() {
  const { steps, path, attentions } = data.readings[state.reading];
  const writing =
    attentions.find((one) => one.name === state.kind && one.chosen.length) ??
    attentions.findLast((one) => one.chosen.length);
  const length = writing ? writing.chosen.length : steps.length;
  byId("writing").hidden = length === 0;
  if (length === 0) return;
  const step = Math.min(state.step, length - 1);
  const token = writing?.chosen[step] ?? steps[step]?.[path[step]]?.[0] ?? "";
  const input = byId("step");
  input.max = length - 1;
  input.value = step;
  input.setAttribute("aria-valuetext", `token ${step + 1} of ${length}: ${visible(token)}`);
  byId("step-name").replaceChildren(`${step + 1} of ${length}: `, tokenElement(token));
  byId("beams").hidden = steps.length === 0;
  byId("candidates").hidden = step >= steps.length;
  if (steps.length === 0) return;
  drawTree(steps, path, step);
  if (step < steps.length) drawCandidates(steps, path, step);
}

// What a candidate has written so far: its ancestors' tokens and its own.
function story(steps, step, place) {
  const tokens = [];
  for (let at = step; at >= 0 && place >= 0; at--) {
    tokens.unshift(steps[at][place][0]);
    place = steps[at][place][2];
  }
  return tokens;
}

function drawTree(steps, path, step) {
  const most = Math.max(...steps.map((candidates) => candidates.length));
  const svg = make("svg", { width: steps.length * WIDE, height: most * HIGH });
  const box = make("div", { class: "tree" }, svg);
  box.style.width = `${steps.length * WIDE}px`;
  box.style.height = `${most * HIGH}px`;
  const goesOn = new Set();
  steps.forEach((candidates, at) =>
    candidates.forEach(([, , parent]) => goesOn.add(`${at - 1} ${parent}`)),
  );
  steps.forEach((candidates, at) =>
    candidates.forEach(([token, , parent], place) => {
      const chosen = path[at] === place;
      const ended = at < steps.length - 1 && !goesOn.has(`${at} ${place}`);
      const node = make("div", { class: "node", "data-step": at }, tokenElement(token));
      node.classList.toggle("chosen", chosen);
      node.classList.toggle("ended", ended);
      node.classList.toggle("now", at === step);
      node.style.left = `${at * WIDE + 14}px`;
      node.style.top = `${place * HIGH + 2}px`;
      box.append(node);
      if (parent < 0) return;
      const [x, from, to] = [at * WIDE, (parent + 0.5) * HIGH, (place + 0.5) * HIGH];
      svg.append(
        make("path", {
          class: chosen ? "chosen" : null,
          d: `M${x - 8} ${from}C${x + 4} ${from} ${x + 2} ${to} ${x + 14} ${to}`,
        }),
      );
    }),
  );
  byId("beams").replaceChildren(box);
  const view = byId("beams");
  const [left, right] = [step * WIDE, (step + 1) * WIDE];
  if (left < view.scrollLeft || right > view.scrollLeft + view.clientWidth)
    view.scrollLeft = left - view.clientWidth / 2;
}

function drawCandidates(steps, path, step) {
  const rows = steps[step].map(([, score], place) => {
    const text = make("span", { class: "story" });
    story(steps, step, place).forEach((token, i) => text.append(i ? " " : "", tokenElement(token)));
    const ends =
      step + 1 < steps.length && steps[step + 1].every(([, , parent]) => parent !== place);
    const fate = path[step] === place ? "shown" : ends ? "ends here" : "";
    return [String(place + 1), text, score === null ? "−∞" : minus(score.toFixed(4)), fate];
  });
  const drawn = table(
    `Candidates at step ${step + 1}`,
    ["Rank", "Written so far", "Log-probability", "Fate"],
    rows,
  );
  drawn.classList.add("texts");
  [...drawn.tBodies[0].rows].forEach((line, place) =>
    line.classList.toggle("chosen", path[step] === place),
  );
  byId("candidates").replaceChildren(drawn);
}
