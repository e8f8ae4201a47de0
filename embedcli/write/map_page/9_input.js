// What the pointer and the keys do; and the beginning of it all.

// --- pointer

function setLasso(on) {
  chosen.lassoing = on;
  $("lasso").setAttribute("aria-pressed", String(on));
  $("map").classList.toggle("lasso", on);
}

function selectInView() {
  select(rowsWithin(...toMap(0, view.height), ...toMap(view.width, 0)));
}

const pointers = new Map();
let moved = 0;

function onDown(event) {
  if (event.button) return;
  $("map").setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
  moved = 0;
  if (pointers.size === 1 && (chosen.lassoing || event.shiftKey)) chosen.path = [toMap(event.offsetX, event.offsetY)];
  else chosen.path = null;
}

function onMove(event) {
  const before = pointers.get(event.pointerId);
  const now = [event.offsetX, event.offsetY];
  if (!before) {
    if (event.pointerType === "mouse") hover(pick(...now, 8));
    return;
  }
  const [right, down] = [now[0] - before[0], now[1] - before[1]];
  moved += Math.abs(right) + Math.abs(down);
  if (chosen.path) {
    chosen.path.push(toMap(...now));
    draw();
  } else if (pointers.size === 2) {
    const other = [...pointers].find(([id]) => id !== event.pointerId)[1];
    const spread = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
    moveBy(right / 2, down / 2);
    zoomAt((now[0] + other[0]) / 2, (now[1] + other[1]) / 2, spread(now) / Math.max(1, spread(before)));
  } else if (moved > 3) {
    $("map").classList.add("dragging");
    keep(-1);
    hover(-1);
    moveBy(right, down);
  }
  pointers.set(event.pointerId, now);
}

function onUp(event) {
  if (!pointers.delete(event.pointerId)) return;
  $("map").classList.remove("dragging");
  const path = chosen.path;
  chosen.path = null;
  if (event.type === "pointercancel") return draw();
  if (path && moved > 8) {
    select(rowsInside(path));
    setLasso(false);
  } else if (moved <= 3) {
    keep(pick(event.offsetX, event.offsetY, event.pointerType === "mouse" ? 8 : 18));
  }
  draw();
}

// --- keys

function showHelp(on) {
  $("help").hidden = !on;
  $("keys").setAttribute("aria-expanded", String(on));
}

function atMiddle() {
  chosen.kept = -1;
  hover(pick(view.width / 2, view.height / 2, 60));
  if (chosen.hover >= 0) speak(chosen.hover);
}

const STEP = 80;
const MAP_KEYS = {
  ArrowLeft: () => moveBy(STEP, 0),
  ArrowRight: () => moveBy(-STEP, 0),
  ArrowUp: () => moveBy(0, STEP),
  ArrowDown: () => moveBy(0, -STEP),
};
const KEYS = {
  "+": () => zoomAt(view.width / 2, view.height / 2, 1.5),
  "=": () => zoomAt(view.width / 2, view.height / 2, 1.5),
  "-": () => zoomAt(view.width / 2, view.height / 2, 1 / 1.5),
  0: flyHome,
  "/": () => $("query").select(),
  l: () => setLasso(!chosen.lassoing),
  s: selectInView,
  t: () => $("theme").click(),
  "?": () => showHelp($("help").hidden),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    const isTyping = document.activeElement === $("query");
    clearAll();
    if (isTyping) $("map").focus();
    return;
  }
  if (event.target.matches("input, select, textarea")) return;
  const isMap = event.target === $("map") || event.target === document.body;
  const work = KEYS[event.key.toLowerCase()] ?? (isMap ? MAP_KEYS[event.key] : undefined);
  if (work) {
    event.preventDefault();
    work();
    if (isMap && event.key in MAP_KEYS) atMiddle();
  } else if (event.key === " " && isMap && chosen.hover >= 0) {
    event.preventDefault();
    keep(chosen.hover);
  }
}

// --- beginning

function option(value, words) {
  const made = document.createElement("option");
  made.value = value;
  made.textContent = words;
  return made;
}

function fillChoices() {
  const isNamed = levels.length && levels[0].length > 1;
  $("colour").append(
    ...(isNamed ? [option("region", "Regions")] : []),
    ...about.fields.map((name, at) => option(String(at), name)),
    option("", "One colour"),
  );
  chosen.colour = about.colour !== null ? String(about.colour) : isNamed ? "region" : "";
  $("colour").value = chosen.colour;
  $("regions").append(option("", "region…"));
  levels.slice(0, 2).forEach((level, depth) => {
    const group = document.createElement("optgroup");
    group.label = depth ? "Smaller" : "Large";
    group.append(...level.map((region, at) => option(`${depth}.${at}`, `${region.name} (${wholes.format(region.size)})`)));
    $("regions").append(group);
  });
}

function goToRegion() {
  const [depth, at] = $("regions").value.split(".").map(Number);
  const region = levels[depth]?.[at];
  if (region) flyTo(region.x, region.y, Math.min(view.width, view.height) / Math.max(3 * region.radius, 0.02));
  $("regions").value = "";
}

function listen() {
  const map = $("map");
  map.addEventListener("pointerdown", onDown);
  map.addEventListener("pointermove", onMove);
  map.addEventListener("pointerup", onUp);
  map.addEventListener("pointercancel", onUp);
  map.addEventListener("pointerleave", () => hover(-1));
  map.addEventListener("dblclick", (event) => zoomAt(event.offsetX, event.offsetY, 2));
  map.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      keep(-1);
      const pixels = event.deltaY * (event.deltaMode === 1 ? 30 : event.deltaMode === 2 ? 400 : 1);
      zoomAt(event.offsetX, event.offsetY, Math.exp(-Math.max(-400, Math.min(400, pixels)) * 0.0022));
    },
    { passive: false },
  );
  document.addEventListener("keydown", onKey);
  $("query").addEventListener("input", () => {
    clearTimeout(searchTimer);
    searchTimer = setTimeout(search, 120);
  });
  $("search").addEventListener("submit", (event) => event.preventDefault());
  $("query").addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    if (chosen.hits === null || searchTimer) search();
    searchTimer = 0;
    nextHit(event.shiftKey ? -1 : 1);
  });
  $("later").addEventListener("click", () => nextHit(1));
  $("earlier").addEventListener("click", () => nextHit(-1));
  $("colour").addEventListener("change", () => {
    chosen.colour = $("colour").value;
    repaint();
  });
  $("regions").addEventListener("change", goToRegion);
  $("lasso").addEventListener("click", () => setLasso(!chosen.lassoing));
  $("all").addEventListener("click", selectInView);
  $("closer").addEventListener("click", KEYS["+"]);
  $("farther").addEventListener("click", KEYS["-"]);
  $("whole").addEventListener("click", flyHome);
  $("keys").addEventListener("click", () => showHelp($("help").hidden));
  $("close").addEventListener("click", () => {
    clearAll();
    map.focus();
  });
  $("theme").addEventListener("click", () => {
    setTheme(isDark() ? "light" : "dark");
    repaint();
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  dark.addEventListener("change", () => {
    setTheme(dark.matches ? "dark" : "light");
    repaint();
  });
  $("list").addEventListener("click", (event) => {
    const row = event.target.closest("button")?.dataset.row;
    if (row !== undefined) visit(Number(row));
  });
  const active = () => chosen.selection ?? chosen.hits ?? new Uint32Array(0);
  $("ids").addEventListener("click", () => save("ids.txt", idLines(active())));
  $("jsonl").addEventListener("click", () => save("records.jsonl", recordLines(active())));
  $("copy").addEventListener("click", async () => {
    await copy(idLines(active()));
    say(`${wholes.format(active().length)} ids copied`);
  });
  new ResizeObserver(fit).observe(map);
}

setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
$("about").append(...about.footer.map((words) => made("span", words)));
fillChoices();
// On a small screen the map comes first.
$("legend").open = innerWidth > 720;
scene = newScene();
measure(overlay);
fit();
repaint();
listen();
say(count ? `${wholes.format(count)} texts` : "no texts");
document.documentElement.dataset.ready = "yes";
