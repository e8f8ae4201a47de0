"""Widths on a terminal, and the table that is aligned by them."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.write.columns import clip, columns, pad
from embedcli.write.table import write_table
from embedcli.write.target import Output


@pytest.mark.parametrize(
    ("text", "expected"), [("", 0), ("abc", 3), ("漢字", 4), ("e\u0301", 1), ("a\u200bb", 2)]
)
def test_columns(text, expected):
    assert columns(text) == expected


@given(st.text(), st.integers(1, 10))
def test_clip_fits_and_keeps_the_beginning(text, room):
    shown = clip(text, room)
    assert columns(shown) <= room
    assert shown == text or (shown[-1] == "…" and text.startswith(shown[:-1]) and columns(text) > room)


def test_pad():
    assert pad("漢", 4) == "漢  "


def test_table_bytes():
    stream = io.BytesIO()
    write_table(["NAME", "DIM", ""], [["漢字漢字", "8", ""], ["b", "1024", "note"]], Output(stream, "x"))
    assert stream.getvalue() == "NAME      DIM\n漢字漢字  8\nb         1024  note\n".encode()


def test_table_of_nothing_is_its_header():
    stream = io.BytesIO()
    write_table(["NAME", "DIM"], [], Output(stream, "x"))
    assert stream.getvalue() == b"NAME  DIM\n"
