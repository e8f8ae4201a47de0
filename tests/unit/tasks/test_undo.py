"""`--undo`: whatever was dropped comes back to its place, and what does not belong together is refused."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Duplicate, Head, Record
from embedcli.errors import InputError, OutputClosedError
from embedcli.tasks.undo import undo
from embedcli.write.duplicates import Filter
from embedcli.write.target import Output

raws = st.binary(min_size=1, max_size=12) | st.sampled_from(
    [
        b"a\n",
        b"\n",
        "é漢\U0001f600\n".encode(),
        b"\xff\x80\n",
        b"\xc3\n",
        b"\xed\xa0\x80\n",
        b'"\\\0\r\n',
        b"last",
    ]
)
records = st.lists(st.tuples(raws, st.booleans()), max_size=12)


def split(content: list[tuple[bytes, bool]], head: bytes = b"") -> tuple[bytes, list[bytes]]:
    """Return what is kept and the report's lines, where each record is said to be dropped or not."""
    kept, report = io.BytesIO(), io.BytesIO()
    sink = Filter(Output(kept, "kept"), Output(report, "report"), None)
    sink.head(Head(head))
    for number, (raw, is_dropped) in enumerate(content, start=1):
        record = Record(str(number), "", raw)
        if is_dropped:
            sink.dropped(record, Duplicate("1", 1, 1.0, "exact"))
        else:
            sink.kept(record, number)
    sink.flush()
    return kept.getvalue(), io.BytesIO(report.getvalue()).readlines()


def restored(report: list[bytes], kept: bytes) -> bytes:
    output = io.BytesIO()
    undo(report, io.BytesIO(kept), Output(output, "output"))
    return output.getvalue()


def refusal(report: list[bytes], kept: bytes) -> str:
    with pytest.raises(InputError) as caught:
        restored(report, kept)
    assert caught.value.hint
    return str(caught.value)


@given(records, st.sampled_from([b"", b"a,b\n", b"\xef\xbb\xbf"]))
def test_the_input_comes_back_byte_for_byte(content: list[tuple[bytes, bool]], head: bytes) -> None:
    kept, report = split(content, head)
    assert restored(report, kept) == head + b"".join(raw for raw, _ in content)


@given(records, st.data())
@settings(max_examples=60)
def test_another_output_is_refused(content: list[tuple[bytes, bool]], data: st.DataObject) -> None:
    kept, report = split(content)
    last = max((number for number, (_, is_dropped) in enumerate(content) if is_dropped), default=0)
    before = sum(len(raw) for raw, is_dropped in content[:last] if not is_dropped)
    assume(before)
    place = data.draw(st.integers(0, before - 1))
    changed = kept[:place] + bytes([kept[place] ^ 1]) + kept[place + 1 :]
    for other in (changed, kept[:place], kept[:place] + kept[place + 1 :]):
        assume(other[:before] != kept[:before])
        assert "what was kept is not what line" in refusal(report, other)


@given(records.filter(lambda content: sum(is_dropped for _, is_dropped in content) > 1), st.data())
@settings(max_examples=60)
def test_a_report_that_is_not_whole_or_not_in_order_is_refused(
    content: list[tuple[bytes, bool]], data: st.DataObject
) -> None:
    kept, report = split(content)
    place = data.draw(st.integers(0, len(report) - 2))
    line = report[place]
    swapped = [*report]
    swapped[place : place + 2] = [report[place + 1], line]
    without, twice = report[:place] + report[place + 1 :], report[: place + 1] + report[place:]
    for other in (swapped, twice, without):
        assert "line" in refusal(other, kept)


LINE = {"dropped": "2", "offset": 2, "before": "0" * 16, "raw": "b\n"}


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\n",
        b"text\n",
        b"[]",
        b"null",
        b"{",
        b"{}",
        b"\xff",
        b'{"offset":NaN}',
        b"[" * 100_000,
        b'{"offset":' + b"9" * 5_000 + b',"before":"0000000000000000","raw":"b"}',
        b'{"offset":2,"offset":2,"before":"0000000000000000","raw":"b"}',
        *(
            json.dumps({**LINE, **change}).encode()
            for change in (
                {"offset": -1},
                {"offset": "2"},
                {"offset": 2.0},
                {"offset": True},
                {"offset": None},
                {"before": 0},
                {"before": "0" * 15},
                {"before": "0" * 16 + "\n"},
                {"before": "g" * 16},
                {"raw": None},
                {"raw": ["b"]},
                {"raw": ""},
                {"raw": "\ud800"},
                {"raw": "\udc00"},
            )
        ),
        *(
            json.dumps({key: LINE[key] for key in LINE if key != name}).encode()
            for name in ("offset", "before", "raw")
        ),
    ],
)
def test_what_dedupe_never_wrote_is_refused(line: bytes) -> None:
    kept, report = split([(b"a\n", False), (b"b\n", True), (b"c\n", False)])
    assert "line 2 of the report is none" in refusal([*report, line], kept)


def test_a_place_beyond_the_end_costs_no_memory_and_is_refused() -> None:
    line = json.dumps({**LINE, "offset": 10**30}).encode()
    assert "what was kept is not" in refusal([line], b"a\n" * 10)


def test_without_drops_the_output_is_the_input() -> None:
    assert restored([], b"a\nb") == b"a\nb"
    assert restored([], b"") == b""


def test_long_outputs_are_copied_in_pieces() -> None:
    class Pieces(io.BytesIO):
        largest = 0

        def read(self, size: int | None = -1) -> bytes:
            assert size is not None
            assert 0 < size <= 1 << 20
            # Pipes give what they have.
            return super().read(min(size, 70_001))

    content = [(b"x" * 3_000_000 + b"\n", False), (b"y\n", True), (b"z" * 2_000_000, False)]
    kept, report = split(content)
    output = io.BytesIO()
    undo(report, Pieces(kept), Output(output, "output"))
    assert output.getvalue() == b"".join(raw for raw, _ in content)


def test_errors_of_reading_and_writing_are_the_projects_own() -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

        def write(self, content: object) -> int:
            raise BrokenPipeError

    with pytest.raises(InputError, match="Input/output error"):
        undo([], Broken(), Output(io.BytesIO(), "output"))
    with pytest.raises(OutputClosedError):
        undo([], io.BytesIO(b"a"), Output(Broken(), "output"))
