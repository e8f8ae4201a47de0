"""JSON out is valid UTF-8 on one line and says what the record said."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Record
from embedcli.write.objects import _ENCODER, dump, record_object

HALVES = "".join(map(chr, (0xD800, 0xDC80, 0xDFFF)))
TEXTS = st.text(st.characters() | st.sampled_from(HALVES + '"\\\n\x00\x7f\u2028'), max_size=10)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.just(10**30)
    | TEXTS
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=8,
)


def paired(value):
    """The value with neighbouring halves of a surrogate pair as the one character that JSON makes of them."""
    if isinstance(value, str):
        return value.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    if isinstance(value, list):
        return [paired(inner) for inner in value]
    if isinstance(value, dict):
        return {paired(key): paired(inner) for key, inner in value.items()}
    return value


@given(VALUES)
def test_values_come_back(value):
    line = dump(value)
    assert json.loads(line.decode("utf-8")) == paired(value)
    assert b"\n" not in line


@given(st.dictionaries(TEXTS, TEXTS, max_size=4))
def test_texts_alone_are_written_as_among_other_values(texts):
    assert dump(texts) == _ENCODER.encode(texts).encode("utf-8", "backslashreplace")


def test_bytes():
    assert dump({"é": ["\udcff", "漢"], "n": 10**30, "x": 1.5}) == (
        b'{"\xc3\xa9":["\\udcff","\xe6\xbc\xa2"],"n":1000000000000000000000000000000,"x":1.5}'
    )


def test_numbers_that_json_does_not_have_are_null():
    value = {
        "a": float("nan"),
        "b": [float("inf"), (1.5, float("-inf"))],
        "c": {"d": float("nan")},
        "e": "NaN",
    }
    assert dump(value) == b'{"a":null,"b":[null,[1.5,null]],"c":{"d":null},"e":"NaN"}'


@pytest.mark.parametrize(
    ("fields", "keep_text", "text_fields", "expected"),
    [
        ({}, True, (), {"id": "7", "text": "T"}),
        ({"a": 1, "id": 7}, True, (), {"id": "7", "text": "T", "a": 1}),
        ({"a": 1, "text": "own", "b": 2}, True, (), {"id": "7", "a": 1, "text": "own", "b": 2}),
        ({"title": "T", "a": 1}, True, ("title",), {"id": "7", "text": "T", "title": "T", "a": 1}),
        ({"title": "T", "a": 1, "text": "own"}, False, ("title",), {"id": "7", "a": 1}),
        ({}, False, (), {"id": "7"}),
        (
            {"vector": 1, "vector_dtype": 1, "vector_scale": 1, "vector_model": 1, "v": 1},
            False,
            (),
            {"id": "7", "v": 1},
        ),
    ],
)
def test_fields_of_a_record_and_their_order(fields, keep_text, text_fields, expected):
    found = record_object(Record("7", "T", fields=fields), keep_text=keep_text, text_fields=text_fields)
    assert list(found.items()) == list(expected.items())
