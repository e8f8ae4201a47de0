// Where one looks: the middle of the screen on the map, and how many pixels its longer side has.

const view = { x: 0, y: 0, scale: 1, width: 1, height: 1, dpr: 1 };
const CLOSEST = 80;
let flight = 0;

const [mapWidth, mapHeight] = about.extent;
const fitting = () =>
  0.88 * Math.min(view.width / Math.max(mapWidth, 0.02), view.height / Math.max(mapHeight, 0.02));
const zoom = () => view.scale / fitting();
const toScreen = (x, y) => [
  (x - view.x) * view.scale + view.width / 2,
  view.height / 2 - (y - view.y) * view.scale,
];
const toMap = (left, top) => [
  view.x + (left - view.width / 2) / view.scale,
  view.y + (view.height / 2 - top) / view.scale,
];

function look(x, y, scale) {
  view.x = Math.max(0, Math.min(mapWidth, x));
  view.y = Math.max(0, Math.min(mapHeight, y));
  view.scale = Math.max(fitting() * 0.7, Math.min(fitting() * CLOSEST, scale));
  draw();
}

function zoomAt(left, top, factor) {
  flight++;
  const [x, y] = toMap(left, top);
  const scale = Math.max(fitting() * 0.7, Math.min(fitting() * CLOSEST, view.scale * factor));
  look(x - (left - view.width / 2) / scale, y - (view.height / 2 - top) / scale, scale);
}

function moveBy(right, down) {
  flight++;
  look(view.x - right / view.scale, view.y + down / view.scale, view.scale);
}

function flyTo(x, y, scale) {
  const own = ++flight;
  if (matchMedia("(prefers-reduced-motion: reduce)").matches) return look(x, y, scale);
  const from = { ...view };
  const start = performance.now();
  const step = (now) => {
    if (own !== flight) return;
    const part = Math.min(1, Math.max(0, (now - start) / 350));
    const done = part * part * (3 - 2 * part);
    look(from.x + (x - from.x) * done, from.y + (y - from.y) * done, from.scale * (scale / from.scale) ** done);
    if (part < 1) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
}

const flyHome = () => flyTo(mapWidth / 2, mapHeight / 2, fitting());
