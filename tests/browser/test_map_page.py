"""The page that `map` writes, in a real browser: what is seen, found, selected and taken away from it."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

CHROMIUM = shutil.which("chromium")
if CHROMIUM is None and not os.environ.get("EMBEDCLI_REQUIRE_BROWSER"):
    pytest.skip("no chromium is installed", allow_module_level=True)

playwright = pytest.importorskip("playwright.sync_api")
Image = pytest.importorskip("PIL.Image")
expect = playwright.expect

HOSTILE = [
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 2'> & \"quotes\" 'and' `ticks`",
    "line\u2028and\u2029paragraph separators, \u0000 NUL, \u0007 bell, \u001b[31m escape",
    "{{script}} {{data}} ${window.hacked} <!-- --> ]]>",
    "שלום עולם \u202e right to left",
]
FORMS = ["the {} bread needs flour and a hot oven", "my {} dog barks at the cat", "the {} tax form is due"]
WORDS = [
    "old",
    "new",
    "red",
    "small",
    "large",
    "first",
    "last",
    "good",
    "bad",
    "late",
    "early",
    "cheap",
    "fine",
]
WORDS += ["broken", "green", "famous"]
SIZE = (1000, 700)


@dataclass
class Made:
    """A page on disk, what stands in it, and where."""

    path: Path
    places: dict[str, tuple[float, float]]
    texts: dict[str, str]


@dataclass
class Watched:
    """A page in the browser, and what it said or asked for."""

    page: playwright.Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def picture(self) -> Image.Image:
        """What is seen of the map."""
        return Image.open(io.BytesIO(self.page.locator("main").screenshot())).convert("RGB")

    def colours(self) -> int:
        return len(self.picture().getcolors(1 << 24))

    def on_screen(self, x: float, y: float, extent: tuple[float, float]) -> tuple[float, float]:
        """Where a place of the whole map is."""
        box = self.page.locator("#map").bounding_box()
        scale = 0.88 * min(box["width"] / extent[0], box["height"] / extent[1])
        return (
            box["x"] + box["width"] / 2 + (x - extent[0] / 2) * scale,
            box["y"] + box["height"] / 2 - (y - extent[1] / 2) * scale,
        )


def write_map(folder: Path, *arguments: str, stdin: str = "") -> bytes:
    """Run `map` in a folder; return what it prints."""
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY), "EMBEDCLI_CACHE": "off"}
    command = [sys.executable, "-m", "embedcli", "map", "-m", "static", "--layout", "pca", *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, check=True, input=stdin.encode()
    )
    return done.stdout


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("map")
    records = [
        {
            "id": f"{form}-{word}",
            "text": FORMS[form].format(word),
            "kind": ["food", "pet", "money"][form],
            "n": at,
        }
        for at, word in enumerate(WORDS)
        for form in range(3)
    ]
    records += [
        {"id": f"<b>{at}</b>", "text": text, "kind": "<i>odd</i>", "n": 99} for at, text in enumerate(HOSTILE)
    ]
    (folder / "in.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    title = "</title><script>window.hacked = 3</script>"
    write_map(folder, "in.jsonl", "-o", "map.html", "--title", title)
    objects = [json.loads(line) for line in write_map(folder, "in.jsonl", "--json").splitlines()]
    return Made(
        folder / "map.html",
        {each["id"]: (each["x"], each["y"]) for each in objects},
        {each["id"]: each["text"] for each in objects},
    )


@pytest.fixture(scope="module")
def browser() -> Iterator[playwright.Browser]:
    with playwright.sync_playwright() as driver:
        # Root may not use the sandbox; SwiftShader stands in for a graphics card.
        started = driver.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"],
        )
        yield started
        started.close()


@pytest.fixture
def watched(browser: playwright.Browser, made: Made, request: pytest.FixtureRequest) -> Iterator[Watched]:
    """The page, opened; the parameter is what stands behind the file's name."""
    context = browser.new_context(
        viewport={"width": SIZE[0], "height": SIZE[1]}, reduced_motion="reduce", accept_downloads=True
    )
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = context.new_page()
    watched = Watched(page)
    page.on("console", lambda message: watched.said.append(message.text))
    page.on("pageerror", lambda error: watched.said.append(str(error)))
    page.on("request", lambda asked: watched.asked.append(asked.url))
    page.on("requestfailed", lambda asked: asked.failure == "csp" and watched.refused.append(asked.url))
    page.goto(made.path.as_uri() + getattr(request, "param", ""))
    expect(page.locator("html[data-ready=yes]")).to_be_attached()
    yield watched
    assert watched.said == []
    assert [url for url in watched.asked if not url.startswith(("file:", "data:", "blob:"))] == []
    assert page.evaluate("window.hacked") is None
    context.close()


def extent_of(made: Made) -> tuple[float, float]:
    xs, ys = zip(*made.places.values(), strict=True)
    return max(xs), max(ys)


@pytest.mark.parametrize("watched", ["", "#canvas"], indirect=True)
def test_it_draws_crowds_points_and_names_with_webgl_and_without(watched, made):
    found = watched.picture()
    extent = extent_of(made)
    assert watched.colours() > 50
    box = watched.page.locator("main").bounding_box()
    assert found.getpixel((found.width - 5, 5)) == (251, 250, 247)
    # Points, but for those under a name or the legend, are as blue as neither ground nor crowds are.
    watched.page.locator("#colour").select_option(label="One colour")
    watched.page.wait_for_timeout(100)
    found = watched.picture()
    points = [watched.on_screen(*place, extent) for place in made.places.values()]
    seen = [found.getpixel((round(x - box["x"]), round(y - box["y"]))) for x, y in points]
    assert sum(blue > red + 90 for red, _, blue in seen) > 10
    watched.page.locator("#colour").select_option(label="Regions")
    expect(watched.page.locator("#about")).to_contain_text(f"{len(made.places)} texts")
    expect(watched.page.locator("#about")).to_contain_text("principal components, seed 0")
    expect(watched.page.locator("#legend li")).to_have_count(5)
    assert watched.asked == [made.path.as_uri()]


def test_search_counts_hits_and_goes_through_them(watched, made):
    page = watched.page
    before = watched.picture()
    page.keyboard.press("/")
    page.keyboard.type("DOG")
    expect(page.locator("#hits")).to_have_text("16")
    expect(page.locator("#panel-title")).to_have_text("16 found")
    page.keyboard.press("Enter")
    expect(page.locator("#hits")).to_have_text("1 / 16")
    expect(page.locator("#card p")).to_have_text("my old dog barks at the cat")
    page.keyboard.press("Enter")
    expect(page.locator("#card p")).to_have_text("my new dog barks at the cat")
    page.keyboard.press("Shift+Enter")
    page.keyboard.press("Shift+Enter")
    expect(page.locator("#hits")).to_have_text("16 / 16")
    assert watched.picture() != before
    page.locator("#query").fill("nowhere to be found")
    expect(page.locator("#hits")).to_have_text("0")
    expect(page.locator("#panel")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(page.locator("#query")).to_have_value("")
    expect(page.locator("#hits")).to_have_text("")
    expect(page.locator("#map")).to_be_focused()


def test_a_lasso_gives_the_ids_of_what_is_inside(watched, made):
    page = watched.page
    extent = extent_of(made)
    # A triangle: what is left of a line from corner to corner, as far as no point lies on it.
    inside = {name for name, (x, y) in made.places.items() if x / extent[0] + y / extent[1] < 0.93}
    edge = [name for name, (x, y) in made.places.items() if abs(x / extent[0] + y / extent[1] - 0.93) < 0.01]
    assert not edge
    assert 5 < len(inside) < len(made.places) - 5
    corners = [(-0.04, -0.04), (0.97 * extent[0], -0.04 * extent[1]), (-0.04 * extent[0], 0.97 * extent[1])]
    path = [watched.on_screen(x, y, extent) for x, y in corners]
    page.keyboard.down("Shift")
    page.mouse.move(*path[0])
    page.mouse.down()
    for corner in path[1:]:
        page.mouse.move(*corner, steps=6)
    page.mouse.up()
    page.keyboard.up("Shift")
    expect(page.locator("#panel-title")).to_have_text(f"{len(inside)} selected")
    with page.expect_download() as download:
        page.locator("#ids").click()
    wanted = [name for name in made.places if name in inside]
    assert Path(download.value.path()).read_text().splitlines() == wanted
    page.locator("#copy").click()
    expect(page.locator("#status")).to_have_text(f"{len(inside)} ids copied")
    assert page.evaluate("navigator.clipboard.readText()").split() == wanted
    with page.expect_download() as download:
        page.locator("#jsonl").click()
    objects = [json.loads(line) for line in Path(download.value.path()).read_bytes().splitlines()]
    assert [(each["id"], each["text"]) for each in objects] == [(name, made.texts[name]) for name in wanted]
    assert set(objects[0]) == {"id", "text", "kind", "n"}
    expect(page.locator("#list button")).to_have_count(len(wanted))
    page.keyboard.press("Escape")
    expect(page.locator("#panel")).to_be_hidden()


def test_it_is_dark_where_the_reader_is_and_at_the_touch_of_a_button(browser, watched, made):
    page = watched.page
    expect(page.locator("html")).to_have_attribute("data-theme", "light")
    light = watched.picture().getpixel((3, 3))
    page.locator("#theme").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.wait_for_timeout(100)
    dark = watched.picture().getpixel((3, 3))
    assert sum(light) > 700
    assert sum(dark) < 150
    night = browser.new_page(color_scheme="dark")
    night.goto(made.path.as_uri())
    expect(night.locator("html")).to_have_attribute("data-theme", "dark")
    night.close()


def test_all_of_it_works_by_keys(watched, made):
    page = watched.page
    order = []
    for _ in range(13):
        page.keyboard.press("Tab")
        order.append(page.evaluate("document.activeElement.id"))
    tools = ["lasso", "all", "closer", "farther", "whole", "theme", "keys"]
    assert order[:11] == ["query", "colour", "regions", *tools, "map"]
    page.locator("#map").focus()
    pictures = [watched.picture()]
    for key in ("+", "+", "ArrowLeft", "ArrowUp", "-", "0"):
        page.keyboard.press(key)
        page.wait_for_timeout(60)
        pictures.append(watched.picture())
    assert all(before != after for before, after in pairwise(pictures))
    page.keyboard.press("s")
    expect(page.locator("#panel-title")).to_have_text(f"{len(made.places)} selected")
    page.keyboard.press("?")
    expect(page.locator("#help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#help")).to_be_hidden()
    expect(page.locator("#panel")).to_be_hidden()
    page.keyboard.press("l")
    expect(page.locator("#lasso")).to_have_attribute("aria-pressed", "true")


def test_a_hostile_text_is_shown_and_never_run(watched, made):
    page = watched.page
    for at, text in enumerate(HOSTILE):
        page.locator("#query").fill(f"<b>{at}</b>")
        page.keyboard.press("Enter")
        expect(page.locator("#hits")).to_have_text("1 / 1")
        shown = page.evaluate("document.querySelector('#card p').textContent")
        assert shown == text
        assert page.locator("#card dd").first.inner_text() == f"<b>{at}</b>"
    assert page.locator("#title").inner_text() == page.title() == "</title><script>window.hacked = 3</script>"
    assert page.locator("main script, main img, main b, main i:not([style])").count() == 0
    page.locator("#colour").select_option(label="kind")
    expect(page.locator("#legend li").last).to_contain_text("<i>odd</i>")


def test_the_page_lets_nothing_else_run_or_load(watched):
    page = watched.page
    page.evaluate(
        "() => { const s = document.createElement('script'); s.textContent = 'window.hacked = 4'; document.body.append(s);"
        " const i = new Image(); i.src = 'https://example.org/x.png'; document.body.append(i); }"
    )
    page.wait_for_timeout(100)
    assert len([said for said in watched.said if "Content Security Policy" in said]) == 2
    # The browser names what it would have asked for, had it been let.
    assert watched.refused == ["https://example.org/x.png"] == watched.asked[1:]
    watched.said.clear()
    del watched.asked[1:]
    assert page.evaluate("window.hacked") is None


def test_hovering_shows_a_text_and_its_fields_and_colours_follow_a_field(watched, made):
    page = watched.page
    spots = {name: watched.on_screen(*place, extent_of(made)) for name, place in made.places.items()}
    name = max(spots, key=lambda one: spots[one][0])
    page.mouse.move(*spots[name])
    expect(page.locator("#card p")).to_have_text(made.texts[name])
    expect(page.locator("#card dd")).to_have_count(3)
    page.mouse.move(5, 200)
    expect(page.locator("#card")).to_be_hidden()
    before = watched.picture()
    page.locator("#colour").select_option(label="kind")
    expect(page.locator("#legend li")).to_have_text(["food16", "money16", "pet16", "<i>odd</i>5"])
    page.locator("#colour").select_option(label="n")
    expect(page.locator("#legend li")).to_have_count(6)
    page.locator("#colour").select_option(label="One colour")
    expect(page.locator("#legend")).to_be_hidden()
    assert watched.picture() != before


@pytest.mark.parametrize("texts", ["", "one text alone\n", "twice\ntwice\n"])
def test_a_map_of_next_to_nothing_is_a_page_too(browser, tmp_path, texts):
    write_map(tmp_path, "-o", "map.html", stdin=texts)
    page = browser.new_page()
    said = []
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto((tmp_path / "map.html").as_uri())
    expect(page.locator("html[data-ready=yes]")).to_be_attached()
    page.keyboard.press("s")
    count = texts.count("\n")
    expect(page.locator("#panel-title")).to_have_text(f"{count} selected" if count else "")
    if count:
        page.locator("#list button").first.click()
        expect(page.locator("#card dd").last).to_have_text("1 more" if count == 2 else "1")
    assert said == []
    page.close()
