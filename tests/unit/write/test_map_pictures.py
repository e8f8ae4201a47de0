"""Pictures of a map for documents and for the terminal."""

from __future__ import annotations

import io
import re
from itertools import combinations
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.paint import Paint, paint
from embedcli.vectors.picture import Picture, Region
from embedcli.write.map_figure import COLORS, WIDTH, broken, figure, letters
from embedcli.write.map_svg import write_svg
from embedcli.write.map_text import draw_text
from embedcli.write.target import Output

SVG = "{http://www.w3.org/2000/svg}"


def picture(count: int, names=("alpha, beta, gamma", "delta"), seed: int = 0) -> Picture:
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2), dtype=np.float32)
    points -= points.min(axis=0, initial=1)
    points /= points.max(initial=1e-9)
    places = rng.random((len(names), 2)).tolist()
    level = [Region(name, x, y, 0.2, 5, None) for name, (x, y) in zip(names, places, strict=True)]
    fine = [Region(f"fine {number}", x, y, 0.2, 5, number) for number, (x, y) in enumerate(places)]
    return Picture(points, np.arange(count), [level, fine], rng.integers(0, len(names), count))


def svg_of(drawn) -> ET.Element:
    stream = io.BytesIO()
    write_svg(Output(stream, "svg"), drawn)
    return ET.fromstring(stream.getvalue())


@settings(max_examples=40)
@given(
    st.lists(st.text(min_size=1, max_size=30), min_size=1, max_size=8, unique=True),
    st.text(max_size=20),
    st.integers(0, 9),
)
def test_a_drawing_is_whole_xml_for_any_words_with_a_dot_for_each_point(names, title, seed):
    shown = picture(30, tuple(names), seed)
    drawn = figure(shown, Paint(shown.top_of.tolist(), ()), title, title)
    root = svg_of(drawn)
    assert len(root.findall(f".//{SVG}circle")) == 30
    assert {group.get("fill") for group in root.iter(f"{SVG}g")} <= {*COLORS, "#1d2330", None}
    # Whatever is no character of XML is shown as one that stands for it.
    wanted = re.sub("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]", "\ufffd", title)
    wanted = wanted.replace("\r", "\n")
    assert (root.find(f"{SVG}title").text or "") == wanted


@settings(max_examples=40)
@given(st.integers(0, 1 << 16), st.integers(2, 8))
def test_no_name_lies_over_another_and_all_are_on_the_page(seed, count):
    shown = picture(200, tuple(f"name {number}, of some, region {number}" for number in range(count)), seed)
    drawn = figure(shown, Paint(shown.top_of.tolist(), ()), "t", "f")
    boxes = []
    for name in drawn.names:
        wide, high = max(map(letters, name.lines)) * name.size * 0.5, len(name.lines) * name.size
        assert 0 <= name.x - wide / 2 <= name.x + wide / 2 <= WIDTH
        boxes.append((name.x - wide / 2, name.y - high / 2, name.x + wide / 2, name.y + high / 2))
    assert boxes
    for one, other in combinations(boxes, 2):
        assert one[2] < other[0] or other[2] < one[0] or one[3] < other[1] or other[3] < one[1]
    for dot in drawn.dots:
        assert 0 < dot.x < WIDTH
        assert 0 < dot.y < drawn.height


def test_many_points_are_drawn_as_crowds_and_a_legend_stands_below():
    shown = picture(20_000)
    values = ["x" if x < 0.5 else "y" for x in shown.points[:, 0].tolist()]
    drawn = figure(shown, paint(values), "t", "f")
    assert len(drawn.dots) < 20_000
    commonest = sorted("xy", key=values.count, reverse=True)
    assert [(key.color, key.words) for key in drawn.legend] == [*zip(COLORS, commonest, strict=False)]
    middle = WIDTH / 2
    left = {dot.color for dot in drawn.dots if dot.x < middle - 20}
    right = {dot.color for dot in drawn.dots if dot.x > middle + 20}
    assert len(left) == len(right) == 1
    assert left != right
    assert max(dot.y for dot in drawn.dots) < drawn.legend[0].y - 10


def test_a_png_has_the_same_dots():
    image = pytest.importorskip("PIL.Image")
    from embedcli.write.map_png import write_png

    points = np.array([[0, 0], [1, 1]], dtype=np.float32)
    shown = Picture(
        points,
        np.arange(2),
        [[Region("caf\u00e9, 日本", 0.5, 0.5, 0.1, 2, None)]],
        np.zeros(2, dtype=np.int64),
    )
    drawn = figure(shown, Paint([0, 1], ()), "t\x07", "f")
    stream = io.BytesIO()
    write_png(Output(stream, "png"), drawn)
    found = image.open(io.BytesIO(stream.getvalue()))
    assert found.size == (2 * WIDTH, 2 * drawn.height)
    low, high = (found.getpixel((round(2 * dot.x), round(2 * dot.y))) for dot in drawn.dots)
    assert low[2] > low[0] + 80
    assert high[0] > high[2] + 80


@pytest.mark.parametrize("columns", [1, 3, 20, 80])
@pytest.mark.parametrize("lines", [1, 2, 24])
def test_a_terminals_picture_fits_and_is_plain_unless_asked(columns, lines):
    shown = picture(400, ("a, b, c", "名前\x1b[31m", "x" * 60))
    text = draw_text(shown, columns, lines)
    rows = text.split("\n")
    assert rows.pop() == ""
    assert len(rows) == lines
    assert all(letters(row) <= columns for row in rows)
    assert "\x1b" not in text
    colored = draw_text(shown, columns, lines, color=True)
    assert "\x1b[38;5;" in colored or columns * lines < 10
    assert re.sub(r"\x1b\[[\d;]*m", "", colored) == text
    if (columns, lines) == (80, 24):
        assert "a, b, c" in text
        assert "名前?[31m" in text


def test_names_are_cut_and_no_points_are_no_picture():
    assert broken("one, two, three") == ["one, two, three"]
    assert broken("first words, second words, third") == ["first words,", "second words, third"]
    assert broken("y" * 100) == ["y" * 43 + "…"]
    assert letters("a名e\u0301") == 4
    assert draw_text(picture(0, ("a",)), 80, 24) == ""
    assert not figure(picture(0, ("a",)), Paint([], ()), "t", "f").dots
