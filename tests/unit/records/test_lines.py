"""Plain text: lines, parts ended by NUL, whole files; encodings and line ends."""

from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_helpers import read_bytes, read_file

from tests.strategies import block_sizes, line_texts, stream_bytes


@given(stream_bytes, block_sizes)
def test_lines_join_back_to_the_input(data, size):
    outcome = read_bytes(data, size, format="lines")
    assert outcome.raw == data
    assert outcome.problems == []
    assert [record.line for record in outcome.records] == list(range(1, len(outcome.records) + 1))
    if b"\n" in data:
        assert len(outcome.records) == data.count(b"\n") + (not data.endswith(b"\n"))


@given(stream_bytes, block_sizes)
def test_parts_ended_by_nul_join_back_to_the_input(data, size):
    data = data.replace(b"a", b"\0")
    outcome = read_bytes(data, size, format="null")
    assert outcome.raw == data
    assert outcome.problems == []
    assert len(outcome.records) == data.count(b"\0") + (not data.endswith(b"\0") and data != b"")


@given(st.lists(line_texts, min_size=1, max_size=6), st.booleans(), block_sizes)
def test_every_form_of_a_text_gives_the_same_texts(lines, ends_with_newline, size):
    end = "\n" if ends_with_newline or not lines[-1] else ""
    text = "\n".join(lines) + end
    if text.startswith("\ufeff"):
        text = "x" + text
    expected = read_bytes(text.encode(), format="lines").texts
    assert expected == text.removesuffix("\n").split("\n")
    crlf = text.replace("\n", "\r\n")
    forms = [
        crlf.encode(),
        text.replace("\n", "\r").encode(),
        codecs.BOM_UTF8 + text.encode(),
        *(codecs.BOM_UTF16_LE + form.encode("utf-16-le") for form in (text, crlf)),
        codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
        codecs.BOM_UTF32_LE + text.encode("utf-32-le"),
        codecs.BOM_UTF32_BE + text.encode("utf-32-be"),
    ]
    for form in forms:
        for outcome in (read_bytes(form, format="lines"), read_bytes(form, size, format="lines")):
            assert outcome.texts == expected
            assert outcome.counts.replaced == 0
        assert read_bytes(form, size, format="whole").texts == [text]


def test_lines_know_their_place_and_keep_their_separators():
    outcome = read_bytes(b"a\r\n\n  \nlast")
    assert [(r.id, r.text, r.raw, r.line, r.end_line, r.is_blank) for r in outcome.records] == [
        ("1", "a", b"a\r\n", 1, 1, False),
        ("2", "", b"\n", 2, 2, True),
        ("3", "  ", b"  \n", 3, 3, True),
        ("4", "last", b"last", 4, 4, False),
    ]


def test_lines_of_a_file_are_called_by_path_and_line(tmp_path):
    path = tmp_path / "a b.txt"
    path.write_bytes(b"one\ntwo\n")
    outcome = read_file(path)
    assert outcome.ids == [f"{path}:1", f"{path}:2"]
    assert {record.path for record in outcome.records} == {str(path)}


def test_empty_input_has_no_records_but_one_if_read_whole():
    assert read_bytes(b"").records == []
    assert read_bytes(b"", format="jsonl").records == []
    assert read_bytes(b"", format="csv").records == []
    (whole,) = read_bytes(b"", format="whole").records
    assert (whole.text, whole.line, whole.end_line, whole.is_blank) == ("", 1, 1, True)


def test_a_whole_file_is_one_record(tmp_path):
    path = tmp_path / "notes.md"
    path.write_bytes(codecs.BOM_UTF8 + b"# A\r\n\r\ntext\r\n")
    outcome = read_file(path, named_text_as="whole")
    (record,) = outcome.records
    assert (record.id, record.text, record.line, record.end_line) == (str(path), "# A\n\ntext\n", 1, 3)
    assert record.raw == b"# A\r\n\r\ntext\r\n"
    assert read_bytes(b"a\nb", format="whole").records[0].end_line == 2
    assert read_bytes(b"a\nb", format="whole").ids == ["-"]


def test_carriage_returns_end_lines_only_where_there_is_no_line_feed():
    assert read_bytes(b"a\rb\r", size=1).texts == ["a", "b"]
    assert read_bytes(b"10%\r20%\nnext\n").texts == ["10%\r20%", "next"]
    assert read_bytes(b"10%\r20%\nnext\n", format="whole").texts == ["10%\r20%\nnext\n"]


def test_parts_ended_by_nul_may_hold_line_breaks():
    outcome = read_bytes(b"a\r\nb\0\0c", format="null")
    assert [(r.id, r.text, r.raw, r.line) for r in outcome.records] == [
        ("1", "a\nb", b"a\r\nb\0", 1),
        ("2", "", b"\0", 2),
        ("3", "c", b"c", 3),
    ]


def test_wrong_utf8_is_replaced_and_counted_by_record():
    outcome = read_bytes(b"caf\xe9\xe9\nplain\n\xed\xa0\x80\n")
    assert outcome.texts[:2] == ["caf\ufffd\ufffd", "plain"]
    assert outcome.counts.replaced == 2
    assert outcome.records[0].raw == b"caf\xe9\xe9\n"
    assert outcome.problems == []


def test_wrong_utf16_is_replaced_and_counted():
    data = (
        codecs.BOM_UTF16_LE + "a\n".encode("utf-16-le") + b"\x00\xd8" + "b\nc".encode("utf-16-le") + b"\x01"
    )
    outcome = read_bytes(data)
    assert outcome.texts == ["a", "\ufffdb", "c\ufffd"]
    assert outcome.counts.replaced == 2


@pytest.mark.parametrize("form", ["lines", "whole", "jsonl", "csv"])
def test_a_stream_that_begins_with_nul_is_binary(form):
    outcome = read_bytes(b"a\0b\n", format=form)
    assert outcome.records == []
    (problem,) = outcome.problems
    assert (problem.where, problem.is_error) == ("-", False)
    assert "-0" in problem.hint
    assert "--text" in problem.hint
    assert outcome.counts.skipped == 1


def test_a_late_nul_in_a_stream_costs_only_its_record():
    outcome = read_bytes(b"good\nba\0d\nfine\n", size=5)
    assert outcome.texts == ["good", "fine"]
    assert [(p.where, p.is_error) for p in outcome.problems] == [("-:2", True)]
    assert outcome.counts.skipped == 1
    late = read_bytes(b"good\nba\0d\n", size=5, format="whole")
    assert (late.records, late.counts.skipped) == ([], 1)


def test_nul_is_a_character_where_text_is_forced(tmp_path):
    assert read_bytes(b"a\0b\nc\n", binary_as_text=True).texts == ["a\0b", "c"]
    path = tmp_path / "mixed"
    path.write_bytes(b"a\0b\n")
    assert read_file(path, binary_as_text=True).texts == ["a\0b"]


@pytest.mark.parametrize("place", [0, 5, 3_000_000])
@pytest.mark.parametrize("named", [True, False])
def test_a_file_with_nul_anywhere_gives_no_record(tmp_path, place, named):
    path = tmp_path / "file.txt"
    data = bytearray(b"line\n" * 800_000)
    data[place] = 0
    path.write_bytes(data)
    outcome = read_file(path, named=named)
    assert outcome.records == []
    (problem,) = outcome.problems
    assert (problem.where, problem.is_error) == (str(path), False)
    assert outcome.counts.skipped == 1


def test_utf16_files_are_not_binary(tmp_path):
    path = tmp_path / "file.txt"
    path.write_bytes(codecs.BOM_UTF16_BE + "é\nb\n".encode("utf-16-be"))
    outcome = read_file(path)
    assert outcome.texts == ["é", "b"]
    assert outcome.raw == "é\nb\n".encode()
    path.write_bytes(codecs.BOM_UTF16_BE + "é\0\n".encode("utf-16-be"))
    assert read_file(path).records == []


@pytest.mark.parametrize("size", [1, 3, 7, None])
@pytest.mark.parametrize("form", ["lines", "jsonl", "null"])
def test_a_record_over_the_limit_is_skipped_to_its_end(size, form):
    end = b"\0" if form == "null" else b"\n"
    short = b'{"text":"a"}'
    data = short + end + b"x" * 50 + end + short + end + b"y" * 13
    outcome = read_bytes(data, size, format=form, max_record_bytes=12)
    assert len(outcome.records) == 2
    assert [(p.where, p.is_error) for p in outcome.problems] == [("-:2", True), ("-:4", True)]
    assert "51 bytes" in outcome.problems[0].reason
    assert "12" in outcome.problems[0].reason
    assert "--max-record-bytes" in outcome.problems[0].hint
    assert outcome.counts.skipped == 2


def test_a_whole_file_over_the_limit_is_skipped(tmp_path):
    path = tmp_path / "big"
    path.write_bytes(b"x" * 101)
    assert [p.where for p in read_file(path, format="whole", max_record_bytes=100).problems] == [f"{path}:1"]
    assert read_file(path, format="whole", max_record_bytes=101).problems == []
