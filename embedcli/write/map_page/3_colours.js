// A colour for each point: its region, or a field's value. Colours that colour-blind eyes tell apart (after Okabe and
// Ito, and Paul Tol), for a light and for a dark ground; numbers go along cividis.

const PALETTES = {
  light: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#8a8a1f"],
  dark: ["#77aadd", "#ee8866", "#44bb99", "#ffaabb", "#eedd88", "#99ddff", "#b39ddb", "#bbcc33"],
};
const NEUTRAL = { light: "#3c6ea8", dark: "#86b2e6" };
const OTHER = { light: "#a9adb6", dark: "#666d7c" };
const SHADES = {
  light: ["#00204d", "#31446b", "#666970", "#958f78", "#c7b05c", "#e0c540"],
  dark: ["#3b5a92", "#6477a0", "#8b8f98", "#b3a97f", "#dcc55c", "#ffea46"],
};
const isDark = () => document.documentElement.dataset.theme === "dark";
const themed = (both) => both[isDark() ? "dark" : "light"];
const bytesOf = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

const wholes = new Intl.NumberFormat("en");
const shortly = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

function shown(value) {
  return value === null ? "none" : typeof value === "string" ? value || "(empty)" : String(value);
}

function asNumber(value) {
  if (typeof value === "number") return value;
  return typeof value === "string" && value.trim() !== "" ? Number(value) : NaN;
}

// How a field is coloured: the colour's number for each row, and what the legend says of each number.
function scaleOf(field) {
  const values = rows.map((row) => row[2 + field] ?? null);
  const there = values.filter((value) => value !== null && value !== "");
  const tally = new Map();
  for (const value of values) tally.set(shown(value), (tally.get(shown(value)) ?? 0) + 1);
  if (there.length && tally.size > 8 && there.every((value) => Number.isFinite(asNumber(value)))) {
    return numberScale(values, there.map(asNumber));
  }
  const ranked = [...tally].sort((one, other) => other[1] - one[1] || (one[0] < other[0] ? -1 : 1));
  const kept = ranked.length > 8 ? ranked.slice(0, 7) : ranked;
  const place = new Map(kept.map(([name], at) => [name, at]));
  const entries = kept.map(([name, size]) => [name, size]);
  const rest = ranked.slice(kept.length);
  if (rest.length) {
    entries.push([`${wholes.format(rest.length)} more values`, rest.reduce((sum, [, size]) => sum + size, 0)]);
  }
  return { numbers: values.map((value) => place.get(shown(value)) ?? -1), entries, shades: false };
}

function numberScale(values, there) {
  const sorted = Float64Array.from(there).sort();
  // The middle 96 %, so that one odd number does not make all others alike.
  const low = sorted[Math.floor(0.02 * (sorted.length - 1))];
  const high = sorted[Math.ceil(0.98 * (sorted.length - 1))];
  const steps = SHADES.light.length;
  const numbers = values.map((value) => {
    const number = asNumber(value);
    if (value === null || !Number.isFinite(number)) return -1;
    return Math.max(0, Math.min(steps - 1, Math.floor(((number - low) / (high - low || 1)) * steps)));
  });
  const entries = Array.from({ length: steps }, (_, at) => {
    const edges = [at, at + 1].map((edge) => shortly.format(low + ((high - low) * edge) / steps));
    return [at === 0 ? `up to ${edges[1]}` : at === steps - 1 ? `${edges[0]} and more` : `${edges[0]} to ${edges[1]}`, null];
  });
  if (numbers.includes(-1)) entries.push(["none", null]);
  return { numbers, entries, shades: true };
}

function regionScale() {
  return { numbers: Array.from(topOf), entries: levels[0].map((region) => [region.name, region.size]), shades: false };
}

// The three bytes of each row's colour, and the legend's lines as [colour, words, size].
function colouring(choice) {
  const bytes = new Uint8Array(3 * count);
  if (choice === "") {
    const plain = bytesOf(themed(NEUTRAL));
    for (let row = 0; row < count; row++) bytes.set(plain, 3 * row);
    return { bytes, legend: [] };
  }
  const { numbers, entries, shades } = choice === "region" ? regionScale() : scaleOf(Number(choice));
  const palette = themed(shades ? SHADES : PALETTES);
  const colour = (number) => palette[number] ?? themed(OTHER);
  const table = new Map([...new Set(numbers)].map((number) => [number, bytesOf(colour(number))]));
  for (let row = 0; row < count; row++) bytes.set(table.get(numbers[row]), 3 * row);
  return { bytes, legend: entries.map(([words, size], at) => [colour(at), words, size]) };
}
