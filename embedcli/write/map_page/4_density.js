// How crowded the map is, as heights on a grid that is a little wider than it.

const GRID = 384;
const MARGIN = 0.14;

const heights = (() => {
  let grid = new Float32Array(GRID * GRID);
  const cell = (value) => Math.floor(((value + MARGIN) / (1 + 2 * MARGIN)) * GRID);
  for (let row = 0; row < count; row++) grid[cell(yOf(row)) * GRID + cell(xOf(row))]++;
  // Few points are seen as one crowd from farther away.
  const reach = Math.round(Math.max(3, Math.min(14, 40 / Math.max(count, 1) ** 0.22)));
  for (let round = 0; round < 3; round++) grid = blurred(blurred(grid, 1, GRID, reach), GRID, 1, reach);
  const some = grid.filter((value) => value > 1e-6).sort();
  const top = some.length ? some[Math.floor(0.985 * (some.length - 1))] : 1;
  return grid.map((value) => Math.sqrt(Math.max(0, value) / top));
})();

// The mean of the cells around each, along one direction.
function blurred(grid, along, across, reach) {
  const made = new Float32Array(GRID * GRID);
  for (let line = 0; line < GRID; line++) {
    let sum = 0;
    for (let at = -reach; at < GRID; at++) {
      if (at + reach < GRID) sum += grid[line * across + (at + reach) * along];
      if (at - reach - 1 >= 0) sum -= grid[line * across + (at - reach - 1) * along];
      if (at >= 0) made[line * across + at * along] = sum / (2 * reach + 1);
    }
  }
  return made;
}

const BANDS = 7;
const CROWD = {
  light: { ground: [0.984, 0.98, 0.969], full: [0.6, 0.71, 0.85] },
  dark: { ground: [0.071, 0.082, 0.11], full: [0.2, 0.3, 0.46] },
};
// Seen from afar the crowd is shown, from near the points.
const crowdStrength = () => Math.max(0.12, Math.min(1, 1.25 - 0.28 * Math.log2(Math.max(zoom(), 1))));
const spotSize = () =>
  Math.max(1.3, Math.min(11, (16 / Math.max(count, 1) ** 0.24) * Math.max(zoom(), 0.7) ** 0.5));
// What was found or selected; of many, no point hides the others.
const FEW = 3000;
const activeSize = (size) => Math.max(size > FEW ? 2.2 : 5.5, spotSize() * 1.35);
const spotAlpha = () =>
  Math.max(0.3, Math.min(0.92, (40 / Math.max(count, 1) ** 0.42) * Math.max(zoom(), 1) ** 0.45));
