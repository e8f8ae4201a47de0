"""A source to records: what it is, whether it is text, and who reads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from embedcli.errors import UsageError
from embedcli.records.blocks import (
    ReadFailedError,
    Utf8Blocks,
    as_utf8,
    holds_nul,
    is_regular,
    read_blocks,
    uses_pre,
)
from embedcli.records.objects import is_record_object, object_records
from embedcli.records.plain import line_records, null_records, whole_record
from embedcli.records.reading import Reading
from embedcli.records.settings import DEFAULT_FIELDS

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import BinaryIO, Final

    from embedcli.datatypes import Counts, Format, OnProblem, Record, Source
    from embedcli.records.settings import ReadSettings
    from embedcli.records.tables import Header

_EXTENSIONS: Final[dict[str, Format]] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".tsv": "tsv",
    ".parquet": "parquet",
}


class Records(Iterator["Record"]):
    """The records of one source, in its order.

    Attributes:
        format: What the source is read as; None until the first record was asked for.
        header: The columns of CSV and TSV, known before the first record is given out; else None.
        bom: The byte order mark of a source in UTF-8, likewise; else empty.
    """

    def __init__(
        self,
        source: Source,
        settings: ReadSettings,
        counts: Counts,
        on_problem: OnProblem,
        stdin: BinaryIO | None,
    ) -> None:
        self.format: Format | None = None
        self.header: Header | None = None
        self.bom = b""
        self._reading = Reading(source, settings, counts, on_problem)
        self._stdin = stdin
        self._counts = counts
        self._records = self._read()

    def __next__(self) -> Record:
        record = next(self._records)
        self._counts.read += 1
        return record

    @property
    def source(self) -> Source:
        """What is read."""
        return self._reading.source

    def close(self) -> None:
        """Close the source without reading the rest."""
        self._records.close()

    def _read(self) -> Generator[Record, None, None]:
        """Yield the records; what cannot be read is a problem."""
        reading = self._reading
        source, settings = reading.source, reading.settings
        try:
            self.format = _format_by_name(source, settings)
            if self.format == "parquet":
                from embedcli.records.parquet import parquet_records

                yield from parquet_records(reading, self._stdin)
                return
            is_twice_readable = is_regular(source) and not uses_pre(source, settings)
            if not reading.keeps_nul and is_twice_readable and holds_nul(source, settings):
                _skip_binary(reading)
                return
            with closing(read_blocks(source, settings, self._stdin)) as blocks:
                yield from self._from_blocks(as_utf8(blocks))
        except ReadFailedError as error:
            reading.skip(error.reason)

    def _from_blocks(self, utf8: Utf8Blocks) -> Iterator[Record]:
        """Yield the records of a source that is no Parquet."""
        reading = self._reading
        self.bom = utf8.bom
        first = next(utf8.blocks, b"")
        if not reading.keeps_nul and b"\0" in first:
            _skip_binary(reading)
            return
        blocks = _chained([first], utf8.blocks)
        if self.format is None:
            is_jsonl, blocks = _look(blocks, reading.settings)
            settings = reading.settings
            as_text: Format = (
                settings.stdin_text_as if reading.source.path is None else settings.named_text_as
            )
            self.format = "jsonl" if is_jsonl else as_text
            if first and not is_jsonl and reading.source.path is None:
                _check_fields(settings)
        match self.format:
            case "csv" | "tsv":
                from embedcli.records.tables import table_records

                delimiter = "," if self.format == "csv" else "\t"
                yield from table_records(reading, blocks, delimiter, self._keep_header, utf8.bom)
            case "jsonl":
                yield from object_records(reading, blocks)
            case "null":
                yield from null_records(reading, blocks)
            case "whole":
                yield from whole_record(reading, blocks)
            case _:
                yield from line_records(reading, blocks)

    def _keep_header(self, header: Header) -> None:
        self.header = header


def read_records(
    source: Source,
    settings: ReadSettings,
    counts: Counts,
    on_problem: OnProblem,
    stdin: BinaryIO | None = None,
) -> Records:
    """Return an iterator over the records of a source, read as they are asked for.

    A file is looked through for NUL bytes before its first record is given out; a stream is not, and a late
    NUL costs it the record it stands in. Memory: O(max_record_bytes), and for input with ids a hash of each.

    Args:
        source: What to read.
        settings: How.
        counts: `read`, `skipped` and `replaced` are added to.
        on_problem: Told of what was left out.
        stdin: What a source without a path reads.

    Raises:
        UsageError: When the first record is asked for: `pre` cannot be run, there is no standard input, or it
            has no fields, and one was asked for.
        MissingExtraError: Likewise: the source is Parquet and pyarrow is not installed.
    """
    return Records(source, settings, counts, on_problem, stdin)


def _format_by_name(source: Source, settings: ReadSettings) -> Format | None:
    """Return the format that is asked for or that the name tells; None if the first line has to."""
    if settings.format != "auto":
        return settings.format
    if source.path is None:
        return None
    if not source.named:
        return settings.text_as
    name = source.path.lower()
    is_text = uses_pre(source, settings)
    if not is_text:
        name = name.removesuffix(".gz")
    found = next((made for ending, made in _EXTENSIONS.items() if name.endswith(ending)), None)
    # A command gives text, whatever it was given.
    return None if is_text and found == "parquet" else found


def _look(blocks: Iterator[bytes], settings: ReadSettings) -> tuple[bool, Iterator[bytes]]:
    """Return whether the first line that is not blank is a record in JSON, and all the blocks again.

    Looks no further than a record may be long. Most input is known by its first character.
    """
    seen: list[bytes] = []
    line: list[bytes] = []
    size = 0
    for block in blocks:
        seen.append(block)
        size += len(block)
        part = block if line else block.lstrip()
        if part:
            line.append(part)
        if line and (not line[0].startswith(b"{") or b"\n" in part):
            break
        if size > settings.max_record_bytes:
            line.clear()
            break
    head = b"".join(line)
    # Without a line feed anywhere, carriage returns end the lines.
    first = head.partition(b"\n" if b"\n" in head else b"\r")[0]
    return is_record_object(first, settings.text_fields), _chained(seen, blocks)


def _check_fields(settings: ReadSettings) -> None:
    """Refuse to read a pipe as text where a part of each record was asked for.

    Raises:
        UsageError: It was.
    """
    if settings.columns:
        raise UsageError(
            "standard input is read as lines, which have no columns",
            hint="--format csv or tsv, with --no-header where there is none",
        )
    if settings.text_fields != DEFAULT_FIELDS:
        raise UsageError(
            f"standard input begins with no object that has the field {settings.text_fields[0]!r}",
            hint="--format jsonl, or csv, or another --field",
        )


def _chained(seen: list[bytes], blocks: Iterator[bytes]) -> Iterator[bytes]:
    yield from filter(None, seen)
    seen.clear()
    yield from blocks


def _skip_binary(reading: Reading) -> None:
    """Leave a source out because it is no text: a rule, not an error."""
    if reading.source.path is None:
        hint = "-0 for records that end in NUL, zcat for gzip, --text to read it all the same"
    else:
        hint = "--text reads it all the same" if reading.source.named else ""
    reading.skip("binary, holds NUL bytes", hint=hint, is_error=False)
