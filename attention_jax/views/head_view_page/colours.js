// Colours from the style, so that light and dark pages share one drawing.

const dark = matchMedia("(prefers-color-scheme: dark)");
let read = null;

function readRamps() {
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => {
    const hex = style.getPropertyValue(name).trim();
    return [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  };
  const shade = [0, 1, 2, 3, 4].map((step) => colour(`--shade-${step}`));
  const both = ["--minus", "--minus-light", "--shade-0", "--plus-light", "--plus"].map(colour);
  return { shade: ramp(shade), difference: ramp(both) };
}

// 256 colours through the given ones.
function ramp(stops) {
  const found = new Uint32Array(256);
  for (let i = 0; i < 256; i++) {
    const at = (i / 255) * (stops.length - 1);
    const low = Math.min(stops.length - 2, Math.floor(at));
    const [r, g, b] = stops[low].map((from, k) =>
      Math.round(from + (at - low) * (stops[low + 1][k] - from)),
    );
    found[i] = 0xff000000 | (b << 16) | (g << 8) | r;
  }
  return found;
}

const ramps = () => (read ??= readRamps());

// Small weights are to be seen too: colour follows the square root, from 0 to 1 for every head.
function paint(canvas, { rows, columns, values }) {
  const { shade } = ramps();
  fill(canvas, rows, columns, (i) => shade[Math.min(255, Math.round(255 * Math.sqrt(values[i])))]);
}

// From `-most` to `most`, nothing in the middle; square roots here too.
function paintDifference(canvas, { rows, columns, values }, most) {
  const { difference } = ramps();
  fill(canvas, rows, columns, (i) => {
    const part = most ? Math.sign(values[i]) * Math.sqrt(Math.abs(values[i]) / most) : 0;
    return difference[Math.round(127.5 + 127.5 * part)];
  });
}

function fill(canvas, rows, columns, colour) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const pixels = new Uint32Array(image.data.buffer);
  for (let i = 0; i < pixels.length; i++) pixels[i] = colour(i);
  context.putImageData(image, 0, 0);
}

dark.addEventListener("change", () => {
  read = null;
  change({});
});
