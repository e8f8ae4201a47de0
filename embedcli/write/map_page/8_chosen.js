// What is chosen, and how it is shown.

const chosen = { hits: null, hit: -1, selection: null, colour: "region", hover: -1, kept: -1, lassoing: false, path: null };
const overlay = $("map").getContext("2d");
let scene = null;
let frame = 0;

// Where frames come late, the crowd is drawn coarsely and fewer points as long as the map moves; at rest all is.
const LATE = 30;
const IN_TIME = 20;
const LEAST = 20000;
const REST = 400;
const pace = { most: count, late: false, last: 0, rest: 0 };

function draw() {
  if (frame) return;
  frame = requestAnimationFrame((now) => {
    frame = 0;
    const gap = now - pace.last;
    pace.last = now;
    if (gap > LATE && gap < REST) {
      if (pace.late) pace.most = Math.max(Math.min(count, LEAST), Math.round(pace.most * 0.7));
      pace.late = true;
    } else if (gap < IN_TIME) {
      pace.most = Math.min(count, Math.round(pace.most * 1.1) + 1);
      pace.late = pace.most < count;
    }
    scene.draw(pace.most, pace.late);
    drawOverlay();
    clearTimeout(pace.rest);
    if (pace.late) pace.rest = setTimeout(drawAll, REST);
  });
}

function drawAll() {
  pace.last = 0;
  scene.draw(count, false);
}

function drawOverlay() {
  overlay.setTransform(view.dpr, 0, 0, view.dpr, 0, 0);
  overlay.clearRect(0, 0, view.width, view.height);
  drawLabels(overlay);
  const marked = chosen.kept >= 0 ? chosen.kept : chosen.hover;
  if (marked >= 0) {
    const [left, top] = toScreen(xOf(marked), yOf(marked));
    overlay.lineWidth = 2.5;
    overlay.strokeStyle = isDark() ? "#ffffff" : "#10141f";
    overlay.beginPath();
    overlay.arc(left, top, Math.max(7, spotSize() * 0.7 + 4), 0, 7);
    overlay.stroke();
  }
  if (!chosen.path) return;
  overlay.beginPath();
  for (const [x, y] of chosen.path) overlay.lineTo(...toScreen(x, y));
  overlay.closePath();
  const accent = getComputedStyle(document.documentElement).getPropertyValue("--accent");
  Object.assign(overlay, { strokeStyle: accent, fillStyle: accent, lineWidth: 2 });
  overlay.setLineDash([6, 4]);
  overlay.stroke();
  overlay.setLineDash([]);
  overlay.globalAlpha = 0.12;
  overlay.fill();
  overlay.globalAlpha = 1;
}

function fit() {
  const area = $("map").getBoundingClientRect();
  const isNew = view.width === 1;
  const ratio = view.scale / fitting();
  Object.assign(view, { width: area.width, height: area.height, dpr: Math.min(2, devicePixelRatio || 1) });
  for (const canvas of [$("map"), $("ground")]) {
    canvas.width = Math.round(area.width * view.dpr);
    canvas.height = Math.round(area.height * view.dpr);
  }
  if (isNew) look(mapWidth / 2, mapHeight / 2, fitting());
  else look(view.x, view.y, fitting() * ratio);
}

// --- colours, and which points are lit

function repaint() {
  const { bytes, legend } = colouring(chosen.colour);
  const active = chosen.selection ?? chosen.hits;
  const lit = new Uint8Array(count).fill(active ? 50 : 255);
  for (const row of active ?? []) lit[row] = 255;
  scene.paintSpots(bytes, lit, active ?? new Uint32Array(0));
  const lines = legend.map(([colour, words, size]) => {
    const line = document.createElement("li");
    const mark = document.createElement("i");
    mark.style.background = colour;
    line.append(mark, made("span", words));
    if (size !== null) line.append(made("small", wholes.format(size)));
    return line;
  });
  $("legend").hidden = !legend.length;
  $("legend").querySelector("ul").replaceChildren(...lines);
  $("legend").querySelector("summary").textContent = $("colour").selectedOptions[0].textContent;
  draw();
}

function setTheme(name) {
  document.documentElement.dataset.theme = name;
  $("theme").setAttribute("aria-pressed", String(name === "dark"));
}

// --- search

let lower = null;
let searchTimer = 0;

function search() {
  clearTimeout(searchTimer);
  const needle = $("query").value.toLowerCase();
  lower ??= rows.map((row) => row[1].toLowerCase());
  chosen.hits = needle ? Uint32Array.from(lower.keys()).filter((row) => lower[row].includes(needle) || idOf(row) === $("query").value) : null;
  chosen.hit = -1;
  if (chosen.hits) chosen.selection = null;
  keep(-1);
  tellHits();
  showChosen();
  if (chosen.hits) say(chosen.hits.length ? `${wholes.format(chosen.hits.length)} found` : "nothing found");
}

function tellHits() {
  const total = chosen.hits?.length ?? 0;
  $("hits").textContent = !chosen.hits ? "" : chosen.hit < 0 ? wholes.format(total) : `${wholes.format(chosen.hit + 1)} / ${wholes.format(total)}`;
  $("earlier").disabled = $("later").disabled = !total;
}

function nextHit(step) {
  const total = chosen.hits?.length ?? 0;
  if (!total) return;
  chosen.hit = chosen.hit < 0 ? (step > 0 ? 0 : total - 1) : (chosen.hit + step + total) % total;
  tellHits();
  visit(chosen.hits[chosen.hit]);
}

// --- what is chosen

function showChosen() {
  const active = chosen.selection ?? (chosen.hits?.length ? chosen.hits : null);
  fillPanel(active ? `${wholes.format(active.length)} ${chosen.selection ? "selected" : "found"}` : "", active);
  repaint();
}

function select(found) {
  chosen.selection = found.length ? found : null;
  keep(-1);
  showChosen();
  say(found.length ? `${wholes.format(found.length)} selected` : "nothing in there");
}

function clearAll() {
  setLasso(false);
  Object.assign(chosen, { hits: null, hit: -1, selection: null, path: null });
  $("query").value = "";
  showHelp(false);
  keep(-1);
  hover(-1);
  tellHits();
  showChosen();
}

function keep(row) {
  chosen.kept = row;
  chosen.hover = -1;
  if (row < 0) showCard(-1);
  else showCard(row, ...toScreen(xOf(row), yOf(row)), true);
  draw();
}

// Goes to a point and keeps its text open.
function visit(row) {
  const scale = Math.max(view.scale, fitting() * 4);
  flight++;
  look(xOf(row), yOf(row), scale);
  keep(row);
  speak(row);
  for (const button of $("list").querySelectorAll("button")) {
    button.toggleAttribute("aria-current", Number(button.dataset.row) === row);
    if (Number(button.dataset.row) === row) button.scrollIntoView({ block: "nearest" });
  }
}

function hover(row) {
  if (chosen.kept >= 0) return;
  if (row !== chosen.hover) draw();
  chosen.hover = row;
  if (row < 0) showCard(-1);
  else showCard(row, ...toScreen(xOf(row), yOf(row)), false);
}

const pick = (left, top, reach) => nearestRow(...toMap(left, top), (reach + spotSize() / 2) / view.scale);
