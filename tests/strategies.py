"""Inputs that several test modules draw from."""

from __future__ import annotations

import json

from hypothesis import strategies as st

AWKWARD = "\r\t \v\x1c\x85\u00a0\u2028\ufeff\U0001f600é漢\"',{}[]\\"
"""Characters at which readers of text go wrong."""

line_texts = st.text(
    st.one_of(
        st.characters(exclude_categories=["Cs"], exclude_characters="\n\r\0"), st.sampled_from("ab ,\"'{é\t")
    ),
    max_size=20,
)
"""One line of text without its end, possibly blank."""

texts = st.text(
    st.one_of(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), st.sampled_from("ab \n")),
    max_size=200,
)
"""Text with LF line ends, possibly blank."""

prose = st.lists(
    st.one_of(
        st.sampled_from([" ", "\n", "\n\n", "\n \n", "  ", "\t"]),
        st.text("abcdé漢", min_size=1, max_size=12),
        st.text("abc", min_size=60, max_size=120),
    ),
    max_size=60,
).map("".join)
"""Words and white space, some of the words very long."""

stream_bytes = st.lists(
    st.sampled_from([b"\n", b"\r\n", b"\r", b"a", b"bc", b'"', b",", b"\xff", "é".encode(), b" ", b"{}"]),
    max_size=60,
).map(b"".join)
"""Bytes as a plain stream may have them, wrong UTF-8 included, NUL and byte order marks not."""

block_sizes = st.integers(1, 20)
"""How many bytes a stream gives at once."""

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**40)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
"""Any value that JSON can hold, half surrogate pairs left out."""


@st.composite
def json_objects(draw):
    """Return objects with a text, and whatever else."""
    own = ("vector", "vector_dtype", "vector_scale", "vector_model", "id", "_id", "text")
    fields = draw(
        st.dictionaries(st.text(max_size=6).filter(lambda name: name not in own), json_values, max_size=4)
    )
    items = [*fields.items(), ("text", draw(st.text(max_size=20)))]
    return dict(draw(st.permutations(items)))


def json_line(value):
    """Return an object as one line of JSONL."""
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


cells = st.text(
    st.sampled_from("ab ,;\"'\n\té漢") | st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"),
    max_size=8,
)
"""A cell of a table, line breaks, quotes and delimiters included."""
