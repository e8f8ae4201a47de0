"""What passes through a filter that keeps everything is the input, byte for byte."""

from __future__ import annotations

import io
import os
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Head, Record
from embedcli.errors import InputError
from embedcli.tasks.inputs import Inputs
from embedcli.tasks.passing import WatchedStream, passing_records
from embedcli.tasks.spool import Spool
from tests.strategies import json_values, stream_bytes


def passed(paths, options=None, stdin=b"", **more):
    """Return the heads, and what is written for each record."""
    heads: list[Head] = []
    inputs = Inputs([str(path) for path in paths], options or {}, io.BytesIO(stdin))
    problems = []
    found = list(passing_records(inputs, Counts(), problems.append, heads.append, **more))
    assert not problems
    assert len(heads) == 1
    return heads[0], [record.raw for record in found]


@given(stream_bytes, st.booleans())
def test_plain_text_comes_out_as_it_went_in(content, marked):
    content = (b"\xef\xbb\xbf" if marked else b"") + content
    head, raws = passed(["-"], {"format": "lines"}, content)
    assert head.content + b"".join(raws) == content


@given(st.lists(stream_bytes, min_size=2, max_size=3))
def test_several_files_are_told_apart_by_line_ends(tmp_path_factory, contents):
    folder = tmp_path_factory.mktemp("files")
    paths = [folder / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    expected = b""
    for content in contents:
        # A last line without its end gets one as soon as another file follows, be it empty.
        if expected and not expected.endswith((b"\n", b"\r")):
            expected += b"\n"
        expected += content
    _, raws = passed(paths, {"format": "lines"})
    assert b"".join(raws) == expected


TABLE = b'\xef\xbb\xbfid,body\r\n1,"x ""y""\nz"\r\n\r\n2,w'


def test_a_table_keeps_header_quotes_line_ends_and_byte_order_mark(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(TABLE)
    head, raws = passed([path], {"columns": ("body",)})
    assert head == Head(b"\xef\xbb\xbfid,body\r\n", ",", names_columns=True)
    assert head.content + b"".join(raws) == TABLE
    other = tmp_path / "b.csv"
    other.write_bytes(b"id,body\n3,q\n")
    head, raws = passed([path, other], {"columns": ("body",)})
    assert head.content + b"".join(raws) == TABLE + b"\n3,q\n"
    empty = tmp_path / "c.csv"
    empty.write_bytes(b"id,body\n")
    assert passed([empty], {"columns": ("body",)}) == (Head(b"id,body\n", ",", names_columns=True), [])
    assert passed([other], {"columns": ("2",), "header": False})[0] == Head(b"", ",", names_columns=False)


def test_tables_of_other_columns_are_refused(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"id,text\n1,x\n")
    (tmp_path / "b.csv").write_bytes(b"text,id\nx,1\n")
    with pytest.raises(InputError, match="b.csv: its columns are not those"):
        passed([tmp_path / "a.csv", tmp_path / "b.csv"])


def test_a_file_that_is_one_record_is_named(tmp_path):
    path = tmp_path / "note.txt"
    path.write_bytes(b"some\ntext\n")
    assert passed([path], {"format": "whole"})[1] == [os.fsencode(path) + b"\n"]
    assert passed([path], {"format": "whole"}, null=True)[1] == [os.fsencode(path) + b"\0"]
    assert passed(["-"], {"format": "whole"}, b"a\nb")[1] == [b"a\nb"]


def test_what_was_read_is_decided_before_a_pipe_is_waited_for():
    read, written = os.pipe()
    pauses = threading.Event()
    with os.fdopen(read, "rb") as stream, os.fdopen(written, "wb", buffering=0) as pipe:
        inputs = Inputs(["-"], {"format": "lines"}, WatchedStream(stream, pauses.set))
        found = passing_records(inputs, Counts(), lambda _problem: None, lambda _head: None)
        pipe.write(b"one\ntwo\nthr")
        # Also if nobody sees the pause, this ends.
        threading.Timer(0.3, lambda: (pauses.wait(3), pipe.write(b"ee\n"), pipe.close())).start()
        assert [next(found).text, next(found).text] == ["one", "two"]
        assert not pauses.is_set()
        assert [record.text for record in found] == ["three"]
        assert pauses.is_set()


@given(
    st.lists(
        st.builds(
            Record,
            st.text(max_size=5),
            st.text(max_size=20) | st.just("half \udc80 pair"),
            st.binary(max_size=20),
            st.dictionaries(st.text(max_size=5), json_values, max_size=3),
            st.none() | st.just("a/b.txt"),
            st.integers(1, 10**12),
            st.integers(1, 10**12),
            vector=st.none(),
        ),
        max_size=6,
    ),
    st.data(),
)
def test_a_spool_gives_records_back_as_they_were(records, data):
    import numpy as np

    for number in range(len(records)):
        if data.draw(st.booleans()):
            vector = np.array(
                data.draw(st.lists(st.floats(width=32, allow_nan=False), max_size=4)), np.float32
            )
            records[number] = records[number]._replace(vector=vector, vector_model="m:int8:abc")
    spool = Spool()
    try:
        check_spool(spool, records, data.draw(st.permutations(range(len(records)))))
    finally:
        spool.close()


def check_spool(spool, records, order):
    import numpy as np

    assert list(spool.keep(iter(records))) == records or any(each.vector is not None for each in records)
    assert len(spool) == len(records)
    for number in order:
        found, meant = spool.record(number), records[number]
        assert found._replace(vector=None) == meant._replace(vector=None)
        assert (found.vector is None) == (meant.vector is None)
        if meant.vector is not None:
            np.testing.assert_array_equal(found.vector, meant.vector)
        assert spool.raw(number) == meant.raw
