"""CSV and TSV to records, each with the very bytes that it was read from."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.datatypes import Record
from embedcli.records.byte_lines import LongLine, iter_lines
from embedcli.records.columns import column_names, column_number
from embedcli.records.objects import ID_FIELDS
from embedcli.records.reading import BadRecordError, unify_newlines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from embedcli.records.reading import Reading


@dataclass(frozen=True, slots=True)
class Header:
    """What a table says about its columns; whoever writes the table again begins with it.

    Attributes:
        raw: The bytes before the first record, byte order mark included; empty without a header row.
        names: The columns' names, as `Record.fields` has them.
        delimiter: What stands between two cells.
    """

    raw: bytes
    names: tuple[str, ...]
    delimiter: str


@dataclass(frozen=True, slots=True)
class _Row:
    """One row: its bytes, its cells (none for a blank line), its lines."""

    raw: bytes
    cells: list[str]
    line: int
    end_line: int


class _LongRowError(Exception):
    """The row that is being read is over the limit."""


def table_records(
    reading: Reading,
    blocks: Iterator[bytes],
    delimiter: str,
    on_header: Callable[[Header], None],
    bom: bytes = b"",
) -> Iterator[Record]:
    """Yield one record for each row but the header.

    The header's raw bytes and those of the records join back to the input. A blank line is a blank record.
    A row with more or fewer cells than the first one is a problem.

    Args:
        reading: The source.
        blocks: Its bytes, as UTF-8.
        delimiter: What stands between two cells.
        on_header: Told of the columns before the first record is given out.
        bom: The byte order mark that stood before the blocks.
    """
    settings = reading.settings
    rows = _Rows(reading, blocks, delimiter)
    header: Header | None = None
    text_columns: list[int] = []
    id_column: int | None = None
    before = bom
    for row in rows:
        if row is None:
            if settings.header and header is None:
                return  # What the columns are is lost with the first row.
            continue
        if not row.cells and (settings.header and header is None):
            before += row.raw
            continue
        if header is None and row.cells:
            names = column_names(row.cells if settings.header else [""] * len(row.cells))
            header = Header(before + row.raw if settings.header else before, names, delimiter)
            on_header(header)
            try:
                wanted = settings.columns or settings.text_fields
                text_columns = [column_number(name, names) for name in wanted]
                id_column = _id_column(names, settings.id_field)
            except BadRecordError as error:
                reading.skip(error.reason, hint=error.hint)
                return
            if settings.header:
                continue
        try:
            yield _record(reading, row, header, text_columns, id_column)
        except BadRecordError as error:
            reading.skip(error.reason, row.line, hint=error.hint)


def _record(
    reading: Reading, row: _Row, header: Header | None, text_columns: list[int], id_column: int | None
) -> Record:
    """Return the record that a row describes.

    Raises:
        BadRecordError: The row is ragged, or its id is missing or taken.
    """
    path, line, end_line = reading.source.path, row.line, row.end_line
    if not row.cells or header is None:
        return Record(reading.unique_id(None, line), "", row.raw, path=path, line=line, end_line=end_line)
    if len(row.cells) != len(header.names):
        raise BadRecordError(f"{len(row.cells)} cells, where the first row has {len(header.names)}")
    given = row.cells[id_column] if id_column is not None else ""
    if not given and reading.settings.id_field is not None:
        raise BadRecordError(f"column {reading.settings.id_field!r} holds no id")
    return Record(
        id=reading.unique_id(given or None, line),
        text=unify_newlines(" ".join(row.cells[column] for column in text_columns)),
        raw=row.raw,
        fields=dict(zip(header.names, row.cells, strict=True)),
        path=path,
        line=line,
        end_line=end_line,
    )


def _id_column(names: tuple[str, ...], id_field: str | None) -> int | None:
    """Return the column that holds ids, from 0, or None.

    Raises:
        BadRecordError: There is no column of the name that was asked for.
    """
    if id_field is not None:
        return column_number(id_field, names, option="--id-field")
    return next((names.index(name) for name in ID_FIELDS if name in names), None)


class _Rows:
    """The rows of a table with their bytes.

    The csv module asks for line after line until a row is complete and never for one more, so that the
    lines it asked for are the row's.
    """

    def __init__(self, reading: Reading, blocks: Iterator[bytes], delimiter: str) -> None:
        self._reading, self._delimiter = reading, delimiter
        self._limit_bytes = reading.settings.max_record_bytes
        self._lines = iter_lines(blocks, self._limit_bytes)
        self._line = 0
        self._raw: list[bytes] = []
        self._size_bytes = 0
        self._long: LongLine | None = None
        # The module's own limit, the same for all of its readers, is no protection here: lines have one.
        csv.field_size_limit(max(csv.field_size_limit(), self._limit_bytes + 2))

    def __iter__(self) -> Iterator[_Row | None]:
        """Yield rows, and None for one that cannot be read and was reported."""
        reader = self._reader(self._texts())
        while True:
            first_line = self._line + 1
            self._raw, self._size_bytes, self._long = [], 0, None
            try:
                cells = next(reader)
                raw = b"".join(self._raw)
                self._reading.check_nul(raw)
                if not raw.isascii():
                    self._reading.decode(raw)  # counts a record once, whatever its number of lines
            except StopIteration:
                return
            except csv.Error as error:
                self._reading.skip(_reason(str(error), first_line, self._line), first_line)
            except BadRecordError as error:
                self._reading.skip(error.reason, first_line, hint=error.hint)
            except _LongRowError:
                self._skip_rest()
                self._reading.skip_long(first_line, self._size_bytes)
                reader = self._reader(self._texts())
            else:
                yield _Row(raw, cells, first_line, self._line)
                continue
            yield None

    def _reader(self, lines: Iterator[str]) -> Iterator[list[str]]:
        return csv.reader(lines, delimiter=self._delimiter, strict=True)

    def _texts(self) -> Iterator[str]:
        """Yield lines as the csv module asks for them."""
        for line in self._lines:
            self._line += 1
            if isinstance(line, LongLine):
                self._size_bytes += line.size_bytes
                self._long = line
                raise _LongRowError
            self._raw.append(line)
            self._size_bytes += len(line)
            if self._size_bytes > self._limit_bytes + 1:
                raise _LongRowError
            yield line.decode("utf-8", "replace")

    def _skip_rest(self) -> None:
        """Read to the end of a row that is over the limit, keeping none of it."""
        if self._long is None:
            is_open = self._is_open(b"".join(self._raw))
        else:
            # Only its quotes can tell whether the row goes on after a line that is gone.
            is_open = bool(self._raw) == (self._long.quotes % 2 == 0)
        self._raw = []
        while is_open:
            line = next(self._lines, None)
            if line is None:
                return
            self._line += 1
            if isinstance(line, LongLine):
                self._size_bytes += line.size_bytes
                is_open = line.quotes % 2 == 0
            else:
                self._size_bytes += len(line)
                is_open = self._is_open(b'"' + line)

    def _is_open(self, lines: bytes) -> bool:
        """Return whether a row that begins with these lines is not complete with them."""
        asked = False

        def texts() -> Iterator[str]:
            nonlocal asked
            yield from (line.decode("utf-8", "replace") for line in lines.splitlines(keepends=True))
            asked = True

        try:
            next(self._reader(texts()), None)
        except csv.Error:
            return asked
        return asked


def _reason(message: str, first_line: int, last_line: int) -> str:
    """Return what the csv module found, with the lines that it took for one row."""
    if message == "unexpected end of data":
        message = "a quoted cell is not closed"
    return message if first_line == last_line else f"{message} (lines {first_line} to {last_line})"
