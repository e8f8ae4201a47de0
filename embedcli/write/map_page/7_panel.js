// The text under the pointer, the list of what was found or selected, and its way out of the page.

const LISTED = 200;

function made(tag, text) {
  const element = document.createElement(tag);
  // Only ever as text: whatever stands in a record is shown, none of it is read as markup.
  element.textContent = text;
  element.dir = "auto";
  return element;
}

function fillCard(row) {
  const card = $("card");
  card.replaceChildren(made("p", textOf(row) || "(no text)"));
  const facts = made("dl", "");
  const add = (name, value) => facts.append(made("dt", name), made("dd", value));
  add("id", idOf(row));
  about.fields.forEach((name, at) => {
    const value = rows[row][2 + at];
    if (value !== null && value !== undefined && value !== "") add(name, shown(value));
  });
  const [x, y] = [xOf(row), yOf(row)];
  const here = rowsWithin(x, y, x, y).length - 1;
  if (here) add("also here", `${wholes.format(here)} more`);
  card.append(facts);
}

function showCard(row, left, top, keep) {
  const card = $("card");
  if (row < 0) {
    card.hidden = true;
    card.classList.remove("open");
    return;
  }
  fillCard(row);
  card.hidden = false;
  card.classList.toggle("open", keep);
  const room = [view.width - card.offsetWidth - 8, view.height - card.offsetHeight - 8];
  const beside = left + 16 > room[0] ? left - card.offsetWidth - 16 : left + 16;
  const above = top + 16 > room[1] ? top - card.offsetHeight - 16 : top + 16;
  card.style.left = `${Math.max(8, Math.min(room[0], beside))}px`;
  card.style.top = `${Math.max(8, Math.min(room[1], above))}px`;
}

function fillPanel(title, found) {
  $("panel").hidden = !found;
  if (!found) return;
  $("panel-title").textContent = title;
  const lines = Array.from(found.subarray(0, LISTED), (row) => {
    const line = document.createElement("li");
    const button = document.createElement("button");
    button.append(made("span", textOf(row).slice(0, 200) || idOf(row)));
    button.type = "button";
    button.dataset.row = row;
    line.append(button);
    return line;
  });
  $("list").replaceChildren(...lines);
  $("list").scrollTop = 0;
  $("more").hidden = found.length <= LISTED;
  $("more").textContent = `and ${wholes.format(found.length - LISTED)} more; the files have all`;
}

// An id a line; one that has line breaks itself is quoted as JSON.
const idLines = (found) =>
  Array.from(found, (row) => (/[\r\n]/.test(idOf(row)) ? JSON.stringify(idOf(row)) : idOf(row)) + "\n").join("");

const recordLines = (found) =>
  Array.from(found, (row) => {
    const own = about.fields.map((name, at) => [name, rows[row][2 + at]]);
    return JSON.stringify({ id: idOf(row), text: textOf(row), ...Object.fromEntries(own) }) + "\n";
  }).join("");

function save(name, text) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    const area = made("textarea", text);
    document.body.append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

let quietTimer = 0;
// Words that are seen for a while, and read out.
function say(words) {
  $("status").textContent = words;
  $("status").classList.remove("quiet");
  clearTimeout(quietTimer);
  quietTimer = setTimeout(() => $("status").classList.add("quiet"), 2500);
}

// A text that is in sight anyway is only read out.
const speak = (row) => ($("spoken").textContent = textOf(row).slice(0, 300));
