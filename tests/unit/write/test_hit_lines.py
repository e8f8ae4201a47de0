"""Hits as JSON and as grep shows lines, in bytes."""

from __future__ import annotations

import io
import json
import os
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Hit, TextSpan
from embedcli.write.columns import columns
from embedcli.write.hits import (
    HitStyle,
    is_clipped,
    write_counts,
    write_hits_json,
    write_hits_text,
    write_hits_with_context,
    write_paths,
)
from embedcli.write.links import LinkBase
from embedcli.write.target import Output

PLAIN = HitStyle()
TERMINAL = HitStyle(escape_controls=True)
ODD_PATH = os.fsdecode(b"d\xff\x9b/\x1b.txt")


def hit(text="some text", path="a.txt", line=3, end_line=None, score=0.5, **rest):
    return Hit(score, 0.25, "id1", 1, path, line, end_line or line, text, **rest)


def out(write, *arguments):
    stream = io.BytesIO()
    write(*(Output(stream, "x") if argument is OUT else argument for argument in arguments))
    return stream.getvalue()


OUT = object()


def text_of(hits, style=PLAIN):
    return out(write_hits_text, hits, OUT, style)


def test_json_bytes():
    hits = [hit(fields={"rank": 9, "lang": "de", "n": 10**30}, end=9), hit(None, None)]
    assert out(write_hits_json, hits, "q", OUT) == (
        b'{"query":"q","rank":1,"score":0.5,"cosine":0.25,"id":"id1","chunk":1,"path":"a.txt","line":3,'
        b'"end_line":3,"start":0,"end":9,"text":"some text","alike":0,"lang":"de","n":1000000000000000000000000000000}\n'
        b'{"query":"q","rank":2,"score":0.5,"cosine":0.25,"id":"id1","chunk":1,"path":null,"line":3,'
        b'"end_line":3,"start":0,"end":0,"text":null,"alike":0}\n'
    )
    assert out(write_hits_json, [], "q", OUT) == b""


def test_a_path_that_is_not_utf8_is_escaped_in_json():
    line = out(write_hits_json, [hit(path=ODD_PATH)], "q", OUT)
    assert b'"path":"d\\udcff\\udc9b/\\u001b.txt"' in line
    assert json.loads(line)["path"] == ODD_PATH


def test_text_bytes():
    hits = [hit(), hit("x", None, 12, score=-0.12345), hit(None), hit("a\n   b\r\n\nc\n")]
    assert text_of(hits) == b"a.txt:3:0.5000:some text\n12:-0.1235:x\na.txt:3:0.5000:\na.txt:3:0.5000:a b c\n"


def test_a_pipe_gets_control_characters_and_names_as_they_are():
    assert text_of([hit("\x1b[31m\u202e\x9b", ODD_PATH)]) == (
        b"d\xff\x9b/\x1b.txt:3:0.5000:" + "\x1b[31m\u202e\x9b\n".encode()
    )


def test_a_terminal_gets_escapes():
    assert text_of([hit("\x1b[31m\u202e\x9b\x7f\ta", ODD_PATH)], TERMINAL) == (
        b"d\\xff\\x9b/\\x1b.txt:3:0.5000:\\x1b[31m\\u202e\\x9b\\x7f\ta\n"
    )


NEVER_SHOWN = [
    *range(0x20),
    *range(0x7F, 0xA0),
    0x61C,
    0x200E,
    0x200F,
    *range(0x202A, 0x202F),
    *range(0x2066, 0x206A),
]


@given(
    st.text(st.characters() | st.sampled_from("\x1b\x9b\x00\r\n\u2066\udc9b\ud800")),
    st.binary().map(os.fsdecode) | st.text(st.sampled_from("\x1b\x9b\n\u2066")),
)
def test_a_terminal_never_gets_what_it_would_act_on(text, path):
    shown = text_of([hit(text, path)], TERMINAL).decode("utf-8").removesuffix("\n").replace("\t", "")
    assert not set(map(ord, shown)) & set(NEVER_SHOWN)


def test_half_a_surrogate_pair_in_a_text_does_not_harm_the_name():
    assert (
        text_of([hit("x\ud800\udc80", os.fsdecode(b"\xff"))]) == b"\xff:3:0.5000:x\xef\xbf\xbd\xef\xbf\xbd\n"
    )


def test_colours_of_grep():
    assert text_of([hit()], HitStyle(color=True)) == (
        b"\x1b[35ma.txt\x1b[m\x1b[36m:\x1b[m\x1b[32m3\x1b[m\x1b[36m:\x1b[m0.5000\x1b[36m:\x1b[msome text\n"
    )


@pytest.mark.parametrize("color", [False, True])
def test_clipped_to_the_width(color):
    line = text_of([hit("漢字漢字漢字")], HitStyle(color=color, width=22)).decode()
    assert line.endswith("漢字漢…\n")
    exact = text_of([hit("漢字漢字")], HitStyle(color=color, width=23)).decode()
    assert exact.endswith("漢字漢字\n")
    assert text_of([hit("abc")], HitStyle(width=3)) == "a.txt:3:0.5000:…\n".encode()


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])), st.integers(17, 60))
def test_lines_fit_the_width(text, width):
    line = text_of([hit(text)], HitStyle(width=width)).decode().removesuffix("\n")
    assert columns(line) <= width


def dogs(text):
    """Mark a word, and what an escape or a wide character stands beside."""
    return [TextSpan(*found.span()) for found in re.finditer("dog|[\x1b漢].?", text)]


RED = "\x1b[01;31m"
SGR = re.compile("\x1b\\[[0-9;]*m")


def test_parts_are_shown_in_the_colour_of_a_match():
    line = out(lambda o: write_hits_text([hit("a dog\n dog")], o, HitStyle(color=True), marks=dogs), OUT)
    assert line.decode().split("m0.5000")[1] == f"\x1b[36m:\x1b[ma {RED}dog\x1b[m {RED}dog\x1b[m\n"
    plain = out(lambda o: write_hits_text([hit("a dog")], o, PLAIN, marks=dogs), OUT)
    assert plain == b"a.txt:3:0.5000:a dog\n"


@given(
    st.lists(st.sampled_from(["dog", "漢", "\x1b", "\n", "\ud800", "e\u0301", " ", "…"]), max_size=20).map(
        "".join
    ),
    st.integers(17, 40),
    st.booleans(),
)
def test_colours_change_nothing_but_the_colour(text, width, escapes):
    styles = [HitStyle(color, escapes, width) for color in (False, True)]
    lines = [
        out(lambda o, style=style: write_hits_text([hit(text)], o, style, marks=dogs), OUT).decode()
        for style in styles
    ]
    # Without escapes the text may hold the first byte of a colour itself.
    assert SGR.sub("", lines[1]) == lines[0]
    assert columns(lines[0].removesuffix("\n")) <= width
    assert lines[1].count(RED) == lines[1].count("\x1b[m") - 5
    assert is_clipped(hit(text), styles[0]) == lines[0].endswith("…\n") or text.rstrip("\n ").endswith("…")


def test_a_mark_ends_where_the_line_does():
    style = HitStyle(color=True, width=20)
    line = out(lambda o: write_hits_text([hit("a dogdogdog")], o, style, marks=dogs), OUT).decode()
    assert line.endswith(f"a {RED}do\x1b[m…\n")
    line = out(lambda o: write_hits_text([hit("abcd dog")], o, style, marks=dogs), OUT).decode()
    assert line.endswith("\x1b[mabcd…\n")


def test_a_line_begins_where_it_is_told_to():
    hits = [hit("One.\nTwo  dogs. Three."), hit("One. Two."), hit("  One.")]
    starts = [5, 0, 2]
    assert out(lambda o: write_hits_text(hits, o, PLAIN, starts=starts), OUT) == (
        "a.txt:3:0.5000:…Two  dogs. Three.\na.txt:3:0.5000:One. Two.\na.txt:3:0.5000:One.\n".encode()
    )


def test_the_path_and_the_line_are_a_link():
    style = HitStyle(color=True, links=LinkBase("häns", "/home/x y"))
    line = text_of([hit(path=ODD_PATH), hit(path=None), hit(path="../a#b?.txt"), hit(path="/etc/%41")], style)
    first, second, third, fourth = line.decode("utf-8", "surrogateescape").splitlines()
    url = "file://h%C3%A4ns/home/x%20y/d%FF%9B/%1B.txt"
    path_and_line = f"\x1b[35m{ODD_PATH}\x1b[m\x1b[36m:\x1b[m\x1b[32m3\x1b[m"
    assert first.startswith(f"\x1b]8;;{url}\x1b\\{path_and_line}\x1b]8;;\x1b\\\x1b[36m:\x1b[m0.5000")
    assert "\x1b]8" not in second
    assert third.startswith("\x1b]8;;file://h%C3%A4ns/home/a%23b%3F.txt\x1b\\")
    assert fourth.startswith("\x1b]8;;file://h%C3%A4ns/etc/%2541\x1b\\")
    bare = re.sub("\x1b]8;;.*?\x1b\\\\", "", line.decode("utf-8", "surrogateescape"))
    assert bare == text_of(
        [hit(path=ODD_PATH), hit(path=None), hit(path="../a#b?.txt"), hit(path="/etc/%41")],
        HitStyle(color=True),
    ).decode("utf-8", "surrogateescape")


def test_a_hit_that_ends_with_nul_keeps_its_line_breaks():
    style = HitStyle(null=True)
    hits = [hit("a\n  b\r\n\n"), hit(None)]
    assert text_of(hits, style) == b"a.txt:3:0.5000:a\n  b\r\n\n\0a.txt:3:0.5000:\0"
    on_terminal = HitStyle(escape_controls=True, null=True)
    assert text_of(hits[:1], on_terminal) == b"a.txt:3:0.5000:a\n  b\\r\n\n\0"
    explained = out(lambda o: write_hits_text(hits[1:], o, style, explain=True), OUT)
    assert explained == b"a.txt:3:0.5000:\n    \0"


def test_marks_in_context_are_those_of_the_hit_alone():
    around = [[(1, "dog"), (2, "a dog"), (3, "dogs"), (4, "dog")]]
    hits = [hit("a dog\ndogs", line=2, end_line=3)]
    style = HitStyle(color=True)
    lines = (
        out(lambda o: write_hits_with_context(hits, around, o, style, marks=dogs), OUT).decode().splitlines()
    )
    assert [RED in line for line in lines] == [False, True, True, False]


def test_context_is_shown_as_grep_does():
    hits = [hit("two\nthree", line=2, end_line=3), hit("nine", line=9)]
    around = [[(1, "one"), (2, "two"), (3, "three"), (4, "four")], [(9, "nine")]]
    assert out(write_hits_with_context, hits, around, OUT, PLAIN) == (
        b"a.txt-1-one\na.txt:2:0.5000:two\na.txt-3-three\na.txt-4-four\n--\na.txt:9:0.5000:nine\n"
    )


def test_context_without_the_lines_of_the_hit_shows_its_text():
    assert out(write_hits_with_context, [hit("a\nb", line=2, end_line=3)], [[(1, "one")]], OUT, PLAIN) == (
        b"a.txt-1-one\na.txt:2:0.5000:a b\n"
    )


def test_paths_and_counts():
    hits = [hit(path="b"), hit(path=None), hit(path="b"), hit(path=os.fsdecode(b"\xff"))]
    assert out(write_paths, hits, OUT, "-", b"\n") == b"b\n-\n\xff\n"
    assert out(write_paths, hits, OUT, "-", b"\0") == b"b\0-\0\xff\0"
    assert out(write_counts, hits, OUT, "-") == b"b:2\n-:1\n\xff:1\n"
    assert out(write_counts, hits, OUT, "-", b"\0") == b"b:2\0-:1\0\xff:1\0"
