"""Plain text to records: one for each line, for each part ended by NUL, or for the whole file."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.datatypes import Record
from embedcli.records.byte_lines import LongLine, iter_lines
from embedcli.records.reading import BadRecordError, unify_newlines

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedcli.records.reading import Reading


def line_records(reading: Reading, blocks: Iterator[bytes]) -> Iterator[Record]:
    """Yield one record for each line, blank ones too; their raw bytes join back to the input."""
    path, place_id, decode = reading.source.path, reading.place_id, reading.decode
    for number, raw in enumerate(iter_lines(blocks, reading.settings.max_record_bytes), start=1):
        if isinstance(raw, LongLine):
            reading.skip_long(number, raw.size_bytes)
            continue
        if b"\0" in raw:
            try:
                reading.check_nul(raw)
            except BadRecordError as error:
                reading.skip(error.reason, number, hint=error.hint)
                continue
        text = decode(raw.removesuffix(b"\n").removesuffix(b"\r"))
        yield Record(place_id(number), text, raw, path=path, line=number, end_line=number)


def null_records(reading: Reading, blocks: Iterator[bytes]) -> Iterator[Record]:
    """Yield one record for each part ended by NUL. It may hold line breaks; its line is its number."""
    path = reading.source.path
    for number, raw in enumerate(iter_lines(blocks, reading.settings.max_record_bytes, b"\0"), start=1):
        if isinstance(raw, LongLine):
            reading.skip_long(number, raw.size_bytes)
            continue
        text = unify_newlines(reading.decode(raw.removesuffix(b"\0")))
        yield Record(reading.place_id(number), text, raw, path=path, line=number, end_line=number)


def whole_record(reading: Reading, blocks: Iterator[bytes]) -> Iterator[Record]:
    """Yield one record that is the whole input, blank if that is empty. Memory: O(max_record_bytes)."""
    limit = reading.settings.max_record_bytes
    kept: list[bytes] = []
    size = 0
    for block in blocks:
        size += len(block)
        if size > limit:
            kept.clear()
        else:
            kept.append(block)
    if size > limit:
        reading.skip_long(1, size)
        return
    raw = b"".join(kept)
    try:
        reading.check_nul(raw)
    except BadRecordError as error:
        reading.skip(error.reason, hint=error.hint)
        return
    text = unify_newlines(reading.decode(raw))
    lines = text.count("\n") + (not text.endswith("\n"))
    yield Record(reading.source.name, text, raw, path=reading.source.path, line=1, end_line=max(1, lines))
