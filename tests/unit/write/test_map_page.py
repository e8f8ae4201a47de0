"""The page that `map` writes, as bytes: texts come out as they went in, and the policy fits what stands in it."""

from __future__ import annotations

import base64
import hashlib
import html
import io
import json
import re
import zlib

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Record
from embedcli.vectors.picture import GRID, Picture, Region
from embedcli.write.map_page import TEXT_CHARS, VALUE_CHARS, PageAbout, write_page
from embedcli.write.target import Output

ANY = st.text(max_size=40) | st.sampled_from(
    [
        "</script>",
        "<!--<script>",
        "{{data}}{{title}}",
        "\u2028\u2029",
        "\x00\x1b",
        "\ud800",
        "'\"&<>",
        "\\u003c",
    ]
)


def page(records, about=None, picture=None) -> bytes:
    count = len(records)
    points = np.random.default_rng(0).random((count, 2), dtype=np.float32)
    picture = picture or Picture(points, np.arange(count), [], np.zeros(count, dtype=np.int64))
    stream = io.BytesIO()
    write_page(Output(stream, "page"), picture, records, about or PageAbout("a map", ("one", "two")))
    return stream.getvalue()


def section(content: bytes, name: str) -> bytes:
    found = re.findall(
        rb'<script type="text/plain" id="data-%s">([A-Za-z0-9+/=]*)</script>' % name.encode(), content
    )
    assert len(found) == 1
    return zlib.decompress(base64.b64decode(found[0], validate=True))


@settings(max_examples=60)
@given(st.lists(st.tuples(ANY, ANY, ANY), max_size=5), ANY, st.lists(ANY, max_size=3, unique=True))
def test_any_text_comes_out_as_it_went_in_and_none_is_markup(texts, title, names):
    records = [Record(name, text, fields=dict.fromkeys(names, value)) for name, text, value in texts]
    about = PageAbout(title, (title, "two"), tuple(names))
    content = page(records, about)
    rows = json.loads(section(content, "records"))
    assert rows == [[name, text, *[value] * len(names)] for name, text, value in texts]
    header = json.loads(section(content, "about"))
    assert header["fields"] == names
    assert header["footer"] == [title, "two"]
    # However hostile the texts: as many tags as on a page without any, and all of it UTF-8.
    text, plain = content.decode(), page([]).decode()
    assert text.count("<") == plain.count("<")
    assert text.count(">") == plain.count(">")
    shown = html.unescape(re.findall("<title>(.*?)</title>", text, re.DOTALL)[0])
    assert shown == title.encode("utf-8", "replace").decode()


def test_the_policy_names_the_style_and_the_script_and_nothing_else():
    content = page([]).decode()
    policy = re.findall(r'http-equiv="Content-Security-Policy" content="(.*?)"', content)[0]
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for rule, tag in (("script-src", '<script type="module">'), ("style-src", "<style>")):
        inside = content.split(tag, 1)[1].split("</" + tag.split()[0].strip("<>"), 1)[0]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert rules[rule] == f"'sha256-{digest}'"
    assert "http://" not in content.replace("http://www.w3.org", "")
    assert "https://" not in content
    assert not re.search(r"\son\w+=|style=|innerHTML|insertAdjacentHTML|document\.write|\beval\b", content)


@settings(max_examples=30)
@given(st.integers(0, 1 << 16), st.integers(0, 50))
def test_places_are_kept_to_a_step_of_the_grid(seed, rows):
    points = np.random.default_rng(seed).random((rows, 2), dtype=np.float32)
    labels = np.arange(rows) % 7
    level = [Region("<r>", 0.123456789, 1.0, 0.5, 3, None)]
    records = [Record(str(number), "x") for number in range(rows)]
    content = page(records, picture=Picture(points, np.arange(rows), [level], labels))
    found = np.frombuffer(section(content, "points"), dtype="<u2").reshape(-1, 2)
    assert np.abs(found / GRID - points).max(initial=0) <= 0.5 / GRID + 1e-7
    assert np.frombuffer(section(content, "regions"), dtype="<u2").tolist() == labels.tolist()
    assert json.loads(section(content, "about"))["levels"] == [[["<r>", 0.12346, 1.0, 0.5, 3, None]]]


def test_long_texts_and_values_end_with_an_ellipsis_and_values_of_json_are_texts():
    fields = {
        "long": "v" * 1000,
        "list": [1, {"a": None}],
        "big": 1 << 60,
        "n": 1.5,
        "yes": True,
        "none": None,
    }
    records = [Record("1", "x" * TEXT_CHARS, fields=fields), Record("2", "y" * (TEXT_CHARS + 1))]
    first, second = json.loads(section(page(records, PageAbout("t", (), tuple(fields))), "records"))
    assert first[1] == "x" * TEXT_CHARS
    assert second[1] == "y" * (TEXT_CHARS - 1) + "…"
    assert first[2:] == ["v" * (VALUE_CHARS - 1) + "…", '[1,{"a":null}]', str(1 << 60), 1.5, True, None]
    assert second[2:] == [None] * len(fields)


def test_two_pages_of_the_same_are_equal():
    records = [Record(str(number), f"text {number}") for number in range(100)]
    assert page(records) == page(records)
