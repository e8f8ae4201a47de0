// What the file holds: sections of base64 over deflate, so that no text is ever read as markup.

const $ = (id) => document.getElementById(id);

async function unpack(id) {
  const element = $(id);
  const packed = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
  element.remove();
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

const asJson = (bytes) => JSON.parse(new TextDecoder().decode(bytes));

const about = asJson(await unpack("data-about"));
const spots = new Uint16Array((await unpack("data-points")).buffer);
const regionOf = new Uint16Array((await unpack("data-regions")).buffer);
const rows = asJson(await unpack("data-records"));
const count = rows.length;

const UNIT = 65535;
const xOf = (row) => spots[2 * row] / UNIT;
const yOf = (row) => spots[2 * row + 1] / UNIT;
const textOf = (row) => rows[row][1];
const idOf = (row) => rows[row][0];

// Regions as objects, each with its level; those of one level stand together, the coarsest level first.
const levels = about.levels.map((level, depth) =>
  level.map(([name, x, y, radius, size, parent]) => ({ name, x, y, radius, size, parent, depth })),
);

// The region of the coarsest level for each point.
const topOf = (() => {
  const finest = levels.length - 1;
  const tops = (levels[finest] ?? []).map((_, number) => {
    let at = number;
    for (let depth = finest; depth > 0; depth--) at = levels[depth][at].parent;
    return at;
  });
  return Uint16Array.from(regionOf, (number) => tops[number]);
})();

// Cells of a grid over the map, each with its points: `cellRows[cellStarts[c] .. cellStarts[c + 1]]`.
const CELLS = 256;
const cellOf = (row) => (spots[2 * row + 1] >> 8) * CELLS + (spots[2 * row] >> 8);
const cellStarts = new Uint32Array(CELLS * CELLS + 1);
for (let row = 0; row < count; row++) cellStarts[cellOf(row) + 1]++;
for (let cell = 0; cell < CELLS * CELLS; cell++) cellStarts[cell + 1] += cellStarts[cell];
const cellRows = new Uint32Array(count);
{
  const next = cellStarts.slice();
  for (let row = 0; row < count; row++) cellRows[next[cellOf(row)]++] = row;
}

function* cellsWithin(x0, y0, x1, y1) {
  const clamp = (value) => Math.max(0, Math.min(CELLS - 1, Math.floor((value * UNIT) / 256)));
  for (let y = clamp(y0); y <= clamp(y1); y++) {
    for (let x = clamp(x0); x <= clamp(x1); x++) {
      const cell = y * CELLS + x;
      for (let at = cellStarts[cell]; at < cellStarts[cell + 1]; at++) yield cellRows[at];
    }
  }
}

function nearestRow(x, y, reach) {
  let best = -1;
  let least = reach * reach;
  for (const row of cellsWithin(x - reach, y - reach, x + reach, y + reach)) {
    const far = (xOf(row) - x) ** 2 + (yOf(row) - y) ** 2;
    if (far < least || (far === least && row < best)) [best, least] = [row, far];
  }
  return best;
}

function rowsWithin(x0, y0, x1, y1) {
  const found = [];
  for (const row of cellsWithin(x0, y0, x1, y1)) {
    if (xOf(row) >= x0 && xOf(row) <= x1 && yOf(row) >= y0 && yOf(row) <= y1) found.push(row);
  }
  return Uint32Array.from(found).sort();
}

// Which points are inside a closed line of [x, y].
function rowsInside(line) {
  const xs = line.map((point) => point[0]);
  const ys = line.map((point) => point[1]);
  const box = rowsWithin(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
  return box.filter((row) => {
    const [x, y] = [xOf(row), yOf(row)];
    let inside = false;
    for (let at = 0, last = line.length - 1; at < line.length; last = at++) {
      const [x0, y0] = line[at];
      const [x1, y1] = line[last];
      if (y0 > y !== y1 > y && x < ((x1 - x0) * (y - y0)) / (y1 - y0) + x0) inside = !inside;
    }
    return inside;
  });
}
