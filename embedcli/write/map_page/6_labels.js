// Names of regions: those whose size on the screen fits their name, the largest first, none over another.

const FONTS = [
  [18, 700],
  [15, 600],
  [13, 600],
  [12, 500],
];
const SMALLEST = 46;

const labels = levels.flat().map((region) => {
  const [size, weight] = FONTS[Math.min(region.depth, FONTS.length - 1)];
  return { ...region, size, members: region.size, font: `${weight} ${size}px system-ui, sans-serif`, lines: [], width: 0 };
});

function measure(context) {
  for (const label of labels) {
    context.font = label.font;
    label.lines = broken(label.name);
    label.width = Math.max(...label.lines.map((line) => context.measureText(line).width));
    label.height = label.lines.length * label.size * 1.2;
  }
}

// A name in two lines where it is long, broken behind one of its commas.
function broken(name) {
  const terms = name.length > 60 ? `${[...name].slice(0, 59).join("")}…` : name;
  const commas = [...terms.matchAll(/, /g)].map((found) => found.index + 1);
  if (terms.length < 22 || !commas.length) return [terms];
  const middle = commas.reduce((best, at) =>
    Math.abs(at - terms.length / 2) < Math.abs(best - terms.length / 2) ? at : best,
  );
  return [terms.slice(0, middle), terms.slice(middle + 1)];
}

let placed = [];
let placedFor = 0;

// Chosen for one scale over the whole map, so that nothing comes or goes while it is only moved.
function placeLabels() {
  if (placedFor === view.scale) return placed;
  placedFor = view.scale;
  placed = [];
  const most = 1.5 * Math.min(view.width, view.height);
  const finest = levels.length - 1;
  for (const label of labels) {
    const across = 2 * label.radius * view.scale;
    const isWanted = label.depth === 0 || across > Math.max(SMALLEST, 0.6 * label.width);
    if (!isWanted || (across > most && label.depth < finest)) continue;
    const [left, top] = [label.x * view.scale, -label.y * view.scale];
    const box = [left - label.width / 2 - 8, top - label.height / 2 - 5, left + label.width / 2 + 8, top + label.height / 2 + 5];
    const isFree = placed.every(({ box: other }) => box[2] < other[0] || box[0] > other[2] || box[3] < other[1] || box[1] > other[3]);
    if (isFree) placed.push({ label, box });
  }
  return placed;
}

// Written once for each theme and kept as a picture: letters with a rim take long to draw.
function labelPicture(label) {
  const made = `${document.documentElement.dataset.theme} ${view.dpr}`;
  if (label.made === made) return label.picture;
  const edge = Math.ceil(label.size / 3);
  const picture = document.createElement("canvas");
  label.wide = Math.ceil(label.width) + 2 * edge;
  label.high = Math.ceil(label.height) + 2 * edge;
  [picture.width, picture.height] = [Math.ceil(label.wide * view.dpr), Math.ceil(label.high * view.dpr)];
  const context = picture.getContext("2d");
  context.scale(view.dpr, view.dpr);
  Object.assign(context, { textAlign: "center", textBaseline: "middle", lineJoin: "round", font: label.font });
  context.lineWidth = label.size / 3.5;
  context.strokeStyle = isDark() ? "rgb(18 21 28 / .88)" : "rgb(251 250 247 / .9)";
  context.fillStyle = isDark() ? "#eceef3" : "#1d2330";
  label.lines.forEach((line, at) => {
    const down = label.high / 2 + (at - (label.lines.length - 1) / 2) * label.size * 1.2;
    context.strokeText(line, label.wide / 2, down);
    context.fillText(line, label.wide / 2, down);
  });
  return Object.assign(label, { made, picture }).picture;
}

function drawLabels(context) {
  for (const { label } of placeLabels()) {
    const [left, top] = toScreen(label.x, label.y);
    if (left < -200 || top < -60 || left > view.width + 200 || top > view.height + 60) continue;
    const picture = labelPicture(label);
    // To whole pixels, or letters blur.
    const whole = (value) => Math.round(value * view.dpr) / view.dpr;
    context.drawImage(picture, whole(left - label.wide / 2), whole(top - label.high / 2), label.wide, label.high);
  }
}
