"""CSV and TSV: bytes kept, columns found, wrong rows reported."""

from __future__ import annotations

import codecs
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_helpers import read_bytes, read_file

from tests.strategies import block_sizes, cells


@st.composite
def tables(draw):
    """Return the rows of a table, all of one width."""
    width = draw(st.integers(1, 4))
    return draw(st.lists(st.lists(cells, min_size=width, max_size=width), min_size=1, max_size=6))


@given(tables(), st.sampled_from(["\n", "\r\n"]), st.sampled_from([",", "\t"]), st.booleans(), block_sizes)
def test_rows_and_bytes_come_back(rows, newline, delimiter, has_bom, size):
    out = io.StringIO(newline="")
    csv.writer(out, delimiter=delimiter, lineterminator=newline, quoting=csv.QUOTE_ALL).writerows(rows)
    data = (codecs.BOM_UTF8 if has_bom else b"") + out.getvalue().encode()
    form = "csv" if delimiter == "," else "tsv"
    outcome = read_bytes(data, size, format=form, header=False, columns=("1",))
    assert outcome.problems == []
    assert [list(record.fields.values()) for record in outcome.records] == rows
    assert outcome.reader.header.raw + outcome.raw == data
    lines = [1 + "".join(map("".join, rows[:at])).count("\n") + at for at in range(len(rows))]
    assert [record.line for record in outcome.records] == lines
    with_header = read_bytes(data, size, format=form, columns=("1",))
    assert with_header.reader.header.raw + with_header.raw == data
    assert [list(record.fields.values()) for record in with_header.records] == rows[1:]


def test_the_text_column_is_the_default_and_fields_pass_through():
    outcome = read_bytes(b'id,text,n\nx,Hello,1\ny,"a,\r\nb",2\n', format="csv")
    assert [(r.id, r.text, r.line, r.end_line) for r in outcome.records] == [
        ("x", "Hello", 2, 2),
        ("y", "a,\nb", 3, 4),
    ]
    assert outcome.records[1].fields == {"id": "y", "text": "a,\r\nb", "n": "2"}
    header = outcome.reader.header
    assert (header.raw, header.names, header.delimiter) == (b"id,text,n\n", ("id", "text", "n"), ",")
    assert outcome.reader.format == "csv"


def test_columns_by_name_and_number_are_joined():
    data = b"a\tb\t2\nx\ty\tz\n"
    assert read_bytes(data, format="tsv", columns=("b", "a")).texts == ["y x"]
    assert read_bytes(data, format="tsv", columns=("1", "3")).texts == ["x z"]
    assert read_bytes(data, format="tsv", columns=("2",)).texts == ["z"], "a name goes before a number"
    assert read_bytes(data, format="tsv", header=False, columns=("3",)).texts == ["2", "z"]


@pytest.mark.parametrize("column", ["c", "0", "4", "-1"])
def test_a_column_that_is_not_there_is_an_error_with_those_that_are(column):
    outcome = read_bytes(b"a,b,c c\n1,2,3\n", format="csv", columns=(column,))
    assert outcome.records == []
    (problem,) = outcome.problems
    assert (problem.where, problem.is_error) == ("-", True)
    assert "a, b, c c" in problem.reason
    assert "--column" in problem.hint


def test_without_a_text_column_the_default_is_an_error():
    assert "no column 'text'" in read_bytes(b"a,b\n1,2\n", format="csv").problems[0].reason
    assert "column_1, column_2" in read_bytes(b"a,b\n1,2\n", format="csv", header=False).problems[0].reason


def test_names_are_made_where_they_are_missing_or_taken():
    outcome = read_bytes(b"text,,text,text_2,column_2\na,b,c,d,e\n", format="csv")
    assert list(outcome.records[0].fields) == ["text", "column_2_2", "text_3", "text_2", "column_2"]
    assert list(outcome.records[0].fields.values()) == ["a", "b", "c", "d", "e"]
    plain = read_bytes(b"a,b\n", format="csv", header=False, columns=("1",))
    assert plain.records[0].fields == {"column_1": "a", "column_2": "b"}
    assert plain.reader.header.raw == b""


def test_ragged_and_broken_rows_are_reported_and_the_rest_is_read():
    data = b'text,n\na,1\nb\nc,3,x\n"d"x,4\ne,5\nf\rg,6\nh,7\n'
    outcome = read_bytes(data, format="csv")
    assert outcome.texts == ["a", "e", "h"]
    assert [p.where for p in outcome.problems] == ["-:3", "-:4", "-:5", "-:7"]
    assert all(p.is_error for p in outcome.problems)
    assert outcome.problems[0].reason == "1 cells, where the first row has 2"
    assert outcome.counts.skipped == 4


def test_a_quote_that_is_never_closed_names_the_lines_it_swallowed():
    outcome = read_bytes(b'text\na\n"b\nc\nd\n', format="csv")
    assert outcome.texts == ["a"]
    assert outcome.complaints == [("-:3", "a quoted cell is not closed (lines 3 to 5)")]


def test_blank_lines_are_blank_records():
    outcome = read_bytes(b"\ntext,id\n\na,x\n\r\n", format="csv")
    assert outcome.reader.header.raw == b"\ntext,id\n"
    assert [(r.id, r.text, r.raw) for r in outcome.records] == [
        ("3", "", b"\n"),
        ("x", "a", b"a,x\n"),
        ("5", "", b"\r\n"),
    ]


def test_ids_come_from_a_column_or_from_the_place(tmp_path):
    path = tmp_path / "t.CSV"
    path.write_bytes(b"key,text,_id\nk1,a,\nk2,b,7\nk2,c,8\n,d,9\n")
    assert read_file(path).ids == [f"{path}:2", "7", "8", "9"]
    outcome = read_file(path, id_field="key")
    assert outcome.ids == ["k1", "k2"]
    assert [where for where, _ in outcome.complaints] == [f"{path}:4", f"{path}:5"]
    assert "no column 'nix'" in read_file(path, id_field="nix").problems[0].reason


@pytest.mark.parametrize("size", [1, 5, None])
@pytest.mark.parametrize(
    "long_row",
    [
        b"x" * 50 + b",1\n",
        b'"' + b"x" * 50 + b'",1\n',
        b'"' + b"x\n" * 30 + b'",1\n',
        b'"' + b'x""\n' * 30 + b'","2\n2"\n',
        b'"' + b"x" * 50 + b"\n" + b'y""' * 20 + b'\nz",1\n',
        b'"a\n' + b"x" * 50 + b'","b\nc"\n',
    ],
)
def test_a_row_over_the_limit_is_skipped_to_its_end(size, long_row):
    data = b"text,n\na,1\n" + long_row + b'b,2\n"c\nd",3\n'
    outcome = read_bytes(data, size, format="csv", max_record_bytes=30)
    assert outcome.texts == ["a", "b", "c\nd"]
    (problem,) = outcome.problems
    assert (problem.where, problem.is_error) == ("-:3", True)
    assert f"{len(long_row)} bytes" in problem.reason
    assert outcome.records[1].line == 3 + long_row.count(b"\n")
    assert outcome.raw == data.replace(long_row, b"").removeprefix(b"text,n\n")


def test_a_header_over_the_limit_ends_the_table():
    outcome = read_bytes(b"text," + b"x" * 50 + b"\na,b\n", format="csv", max_record_bytes=30)
    assert outcome.records == []
    assert len(outcome.problems) == 1


def test_a_cell_may_be_longer_than_the_module_thinks_it_should():
    outcome = read_bytes(b"text\n" + b"x" * 200_000 + b"\n", format="csv")
    assert [len(text) for text in outcome.texts] == [200_000]


def test_wrong_utf8_is_counted_once_for_a_row_of_many_lines():
    outcome = read_bytes(b'text\n"\xff\n\xff"\nb\n', format="csv")
    assert outcome.texts == ["\ufffd\n\ufffd", "b"]
    assert outcome.counts.replaced == 1
    assert outcome.raw == b'"\xff\n\xff"\nb\n'


def test_a_late_nul_costs_only_its_row():
    outcome = read_bytes(b"text\na\nb\0\nc\n", size=7, format="csv")
    assert outcome.texts == ["a", "c"]
    assert [p.where for p in outcome.problems] == ["-:3"]
    assert read_bytes(b"text\nb\0\n", format="csv", binary_as_text=True).texts == ["b\0"]
