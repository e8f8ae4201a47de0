"""Records and vectors in every form, in bytes and read back."""

from __future__ import annotations

import base64
import contextlib
import csv
import io
import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from embedcli.datatypes import Record
from embedcli.errors import OutputError, UsageError
from embedcli.vectors.quantize import CODE_DTYPES, quantize, restore
from embedcli.write import vectors as vector_writers
from embedcli.write.target import STDOUT_NAME, Output
from embedcli.write.vectors import open_vector_writer

FLOATS = st.floats(width=32, allow_nan=False, allow_infinity=False)
BLANK = Record("2", " \n")


class Pipe(io.BytesIO):
    """A stream that cannot go back."""

    def seekable(self):
        return False

    def seek(self, *_):
        raise OSError("Illegal seek")


def written(form, batches, *, stream=None, name="x", dtype="float32", width=2, **settings):
    stream = io.BytesIO() if stream is None else stream
    writer = open_vector_writer(
        form, Output(stream, name), dtype=dtype, width=width, vector_model="m1", **settings
    )
    for records, codes, scale in batches:
        writer.write(records, codes, scale)
    writer.close()
    return stream.getvalue()


def one_batch(records, numbers, dtype="float32"):
    return [(records, *quantize(np.array(numbers, np.float32), dtype))]


RECORDS = [Record("1", "a", fields={"n": 10**30}), BLANK]
NUMBERS = [[0.1, -1e-7], [0, 0]]


def test_jsonl_bytes():
    assert written("jsonl", one_batch(RECORDS, NUMBERS)) == (
        b'{"id":"1","text":"a","n":1000000000000000000000000000000,"vector":[0.1,-1e-7],"vector_model":"m1"}\n'
        b'{"id":"2","text":" \\n","vector":null}\n'
    )


def test_base64_bytes():
    lines = written("base64", one_batch(RECORDS, NUMBERS)).splitlines()
    first = json.loads(lines[0])
    assert base64.b64decode(first["vector"]) == np.array(NUMBERS[0], "<f4").tobytes()
    assert first["vector_dtype"] == "float32"
    assert json.loads(lines[1])["vector"] is None


@given(arrays(np.float32, (1, 8), elements=FLOATS), st.sampled_from(["jsonl", "base64"]))
def test_float32_comes_back_bit_for_bit(numbers, form):
    line = json.loads(written(form, [([Record("1", "a")], numbers, None)], width=8))
    found = line["vector"]
    array = np.frombuffer(base64.b64decode(found), "<f4") if form == "base64" else np.array(found, np.float32)
    assert array.tobytes() == numbers.tobytes()


@given(FLOATS)
def test_float32_is_written_in_its_shortest_form(number):
    line = written("jsonl", [([Record("1", "a")], np.array([[number]], np.float32), None)], width=1)
    text = line.split(b'"vector":[')[1].split(b"]")[0].decode()
    digits = lambda form: len(form.split("e")[0].replace("-", "").replace(".", "").strip("0"))  # noqa: E731
    assert digits(text) == digits(np.format_float_scientific(np.float32(number), unique=True, trim="-"))


@pytest.mark.parametrize("form", ["jsonl", "base64"])
@pytest.mark.parametrize("dtype", CODE_DTYPES)
def test_every_dtype_says_how_to_restore_it(form, dtype):
    numbers = np.random.default_rng(1).standard_normal((3, 16)).astype(np.float32)
    codes, scale = quantize(numbers, dtype)
    records = [Record(str(number), "a") for number in range(3)]
    lines = written(form, [(records, codes, scale)], dtype=dtype, width=codes.shape[1]).splitlines()
    for row, line in enumerate(map(json.loads, lines)):
        said = line.get("vector_dtype", "float32")
        assert said == dtype
        stored = line["vector"]
        if form == "base64":
            read = np.frombuffer(base64.b64decode(stored), np.dtype(CODE_DTYPES[said]).newbyteorder("<"))
        else:
            read = np.array(stored).astype(CODE_DTYPES[said])
        assert ("vector_scale" in line) == (scale is not None)
        step = None if scale is None else np.array([line["vector_scale"]], np.float32)
        expected = restore(codes, dtype, scale)[row]
        np.testing.assert_array_equal(restore(read[np.newaxis], said, step)[0], expected)


@pytest.mark.parametrize("dtype", CODE_DTYPES)
@pytest.mark.parametrize(("stream", "name"), [(io.BytesIO, "x"), (Pipe, "x"), (io.BytesIO, STDOUT_NAME)])
@pytest.mark.parametrize("sizes", [(), (3,), (2, 0, 5), (1,) * 12])
def test_npy_is_read_by_numpy(tmp_path, dtype, stream, name, sizes):
    rng = np.random.default_rng(2)
    batches = []
    for size in sizes:
        records = [Record(str(number), "a") for number in range(size)]
        batches.append((records, *quantize(rng.standard_normal((size, 16)).astype(np.float32), dtype)))
    width = 2 if dtype == "binary" else 16
    content = written("npy", batches, stream=stream(), name=name, dtype=dtype, width=width)
    found = np.load(io.BytesIO(content), allow_pickle=False)
    expected = np.concatenate([np.empty((0, width), CODE_DTYPES[dtype]), *(codes for _, codes, _ in batches)])
    assert found.dtype == CODE_DTYPES[dtype]
    assert found.shape == (sum(sizes), width)
    assert found.tobytes() == expected.tobytes()
    path = tmp_path / "v.npy"
    path.write_bytes(content)
    assert np.load(path, mmap_mode="r").shape == found.shape


def test_npy_of_a_pipe_starts_when_the_number_is_known():
    stream = Pipe()
    writer = open_vector_writer("npy", Output(stream, "x"), dtype="float32", width=2, vector_model="m")
    writer.write(RECORDS, np.ones((2, 2), np.float32), None)
    assert stream.getvalue() == b""
    writer.close()
    assert stream.getvalue().startswith(b"\x93NUMPY\x01\x00")


def test_npy_rows_of_blanks_are_zeros_and_uint8_zero_is_its_middle():
    found = np.load(io.BytesIO(written("npy", one_batch(RECORDS, NUMBERS))))
    assert found[1].tolist() == [0, 0]
    codes = np.load(io.BytesIO(written("npy", one_batch(RECORDS, NUMBERS, "uint8"), dtype="uint8")))
    assert restore(codes, "uint8")[1].tolist() == [0, 0]


@pytest.mark.parametrize("buffering", [0, 4096])
def test_a_temporary_file_that_is_full_is_named(monkeypatch, buffering):
    full = partial(Path("/dev/full").open, "w+b", buffering=buffering)
    monkeypatch.setattr(vector_writers.tempfile, "TemporaryFile", full)
    writer = open_vector_writer("npy", Output(Pipe(), "x"), dtype="float32", width=2, vector_model="m")

    def write():
        writer.write(RECORDS, np.ones((2, 2), np.float32), None)
        writer.close()

    with pytest.raises(OutputError, match="cannot write to a temporary file: No space left on device"):
        write()
    with contextlib.suppress(OSError):
        writer._rows.close()


def test_raw_is_little_endian_rows_and_nothing_else():
    big = np.array([[1.5, -2], [0, 0]], ">f4")
    assert written("raw", [(RECORDS, big, None)]) == np.array(big, "<f4").tobytes()
    assert written("raw", []) == b""


def test_csv_bytes():
    records = [
        Record("1", 'say "a,b"', fields={"n": 10**30, "list": [1, "x"], "yes": True, "none": None}),
        Record("2", " ", fields={"yes": "two\nlines"}),
        Record("3", "lone\rCR", fields={"n": "\ud800"}),
    ]
    numbers = [[0.1, -1e-7], [0, 0], [1, 2]]
    assert (
        written("csv", one_batch(records, numbers))
        == (
            "id,text,n,list,yes,none,v0,v1\n"
            '1,"say ""a,b""",1000000000000000000000000000000,"[1,""x""]",true,,0.1,-1e-7\n'
            '2, ,,,"two\nlines",,,\n'
            '3,"lone\rCR",\N{REPLACEMENT CHARACTER},,,,1.0,2.0\n'
        ).encode()
    )


@pytest.mark.parametrize("settings", [{}, {"keep_text": False}])
def test_csv_of_nothing_has_a_header(settings):
    assert written("csv", [], **settings) == (b"id,v0,v1\n" if settings else b"id,text,v0,v1\n")


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_csv_cells_that_a_spreadsheet_would_run_are_made_harmless(start):
    cell = f"{start}SUM(A1)"
    record = Record(cell, cell, fields={cell: cell})
    for settings, expected in [({}, "'" + cell), ({"csv_raw": True}, cell)]:
        content = written("csv", one_batch([record], [[1, 2]]), **settings).decode()
        header, row = csv.reader(io.StringIO(content, newline=""))
        assert header == ["id", "text", expected, "v0", "v1"]
        assert row == [expected, expected, expected, "1.0", "2.0"]


@pytest.mark.parametrize("cell", ["-5", "+1.5e-3", "-.5", "-1.", "a=b", "", " =1"])
def test_csv_numbers_and_plain_cells_are_left_alone(cell):
    content = written("csv", one_batch([Record("1", "a", fields={"c": cell})], [[1, 2]])).decode()
    assert content.splitlines()[1].split(",")[2] == cell


@pytest.mark.parametrize("cell", ["-5+A1", "-1\n", "--1", "-", "+e5", "-٣"])
def test_csv_what_only_looks_like_a_number_is_not(cell):
    content = written("csv", one_batch([Record("1", "a", fields={"c": cell})], [[1, 2]])).decode()
    assert list(csv.reader(io.StringIO(content, newline="")))[1][2] == "'" + cell


def test_csv_of_a_table_keeps_its_columns_unchanged():
    record = Record("x", "=1+1", fields={"b": "=1+1", "id": "007", "=f": "-"})
    content = written("csv", one_batch([record], [[1, 2]]), is_table=lambda _: True, text_fields=("b",))
    assert content == b"b,id,=f,v0,v1\n=1+1,007,-,1.0,2.0\n"


def test_csv_fields_that_the_first_record_lacks_are_refused():
    records = [Record("1", "a", fields={"a": 1}), Record("2", "b", fields={"b": 1}, line=2)]
    with pytest.raises(UsageError, match="-:2: field 'b' is not in the first record"):
        written("csv", one_batch(records, [[1, 2], [3, 4]]))


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from(',"\r\n=')).filter(
            lambda text: text.strip()
        ),
        min_size=1,
        max_size=5,
    )
)
def test_csv_rows_come_back(texts):
    records = [Record(str(number), text) for number, text in enumerate(texts)]
    content = written("csv", one_batch(records, [[1, 2]] * len(texts)), csv_raw=True).decode()
    rows = list(csv.reader(io.StringIO(content, newline="")))
    assert rows[0] == ["id", "text", "v0", "v1"]
    assert rows[1:] == [[str(number), text, "1.0", "2.0"] for number, text in enumerate(texts)]


@pytest.mark.parametrize("form", ["jsonl", "base64", "npy", "raw", "csv"])
@pytest.mark.parametrize("dtype", ["float32", "int8"])
def test_batches_do_not_show(form, dtype):
    records = [Record(str(number), "a") for number in range(6)]
    codes, scale = quantize(np.random.default_rng(3).standard_normal((6, 2)).astype(np.float32), dtype)
    parts = [
        (records[s], codes[s], None if scale is None else scale[s])
        for s in (slice(0, 1), slice(1, 4), slice(4, 6))
    ]
    assert written(form, parts, dtype=dtype) == written(form, [(records, codes, scale)], dtype=dtype)


@pytest.mark.parametrize("form", ["jsonl", "base64", "npy", "raw", "csv"])
def test_a_full_device_is_an_output_error(form):
    with (
        Path("/dev/full").open("wb", buffering=0) as stream,
        pytest.raises(OutputError, match="cannot write to x: No space left on device"),
    ):
        written(form, one_batch(RECORDS[1:], NUMBERS[1:]), stream=stream)
