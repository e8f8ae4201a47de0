"""Whole chunks in the order of their ids, each row verified: what is needed to hand an index on."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.index.checksum import row_hash
from embedcli.index.damage import damaged
from embedcli.index.schema import TABLES

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from embedcli.datatypes import Json


_TABLES = {table.name: table for table in TABLES}


class SourceRow(NamedTuple):
    """A source: root and path as stored, and how it was read and chunked."""

    root: bytes
    path: bytes
    settings: Mapping[str, Json]


class RecordRow(NamedTuple):
    """A record: its own id, its own fields, its source's number."""

    name: str
    fields: Mapping[str, Json]
    source: int


class ChunkRow(NamedTuple):
    """A chunk with its whole span, in characters; its text is None in an index without text."""

    id: int
    record: int
    ordinal: int
    start: int
    end: int
    line: int
    end_line: int
    text: str | None


class ChunkRows:
    """Reads chunks with their records and sources; a record of many chunks is read once."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        """Start with nothing remembered.

        Args:
            path: The index file, for messages.
            connection: From `open_for_reading`.
        """
        self._path, self._connection = path, connection
        self._record: tuple[int, RecordRow] | None = None
        self._source: tuple[int, SourceRow] | None = None

    def chunks(self, ids: Sequence[int]) -> Iterator[ChunkRow]:
        """Yield the chunks of some vectors.

        Args:
            ids: Ascending, and near each other: what lies between them is read too.

        Raises:
            DamagedIndexError: A row is missing or is not what was written.
        """
        if not ids:
            return
        rows = self._connection.execute(
            "SELECT * FROM chunk WHERE id BETWEEN ? AND ? ORDER BY id", (ids[0], ids[-1])
        )
        for number in ids:
            row = next((found for found in rows if found[0] >= number), None)
            if row is None or row[0] != number:
                raise damaged(self._path, f"row {number} of chunk is missing")
            self._check("chunk", row)
            yield ChunkRow(*row[:5], *row[7:10])

    def record(self, number: int) -> RecordRow:
        """Return a record; the last one is remembered.

        Raises:
            DamagedIndexError: It is missing or is not what was written.
        """
        if self._record is None or self._record[0] != number:
            row = self._checked("record", number)
            self._record = (number, RecordRow(row[2], self._object(row[5], "record", number), row[1]))
        return self._record[1]

    def source(self, number: int) -> SourceRow:
        """Return a source; the last one is remembered.

        Raises:
            DamagedIndexError: It is missing or is not what was written.
        """
        if self._source is None or self._source[0] != number:
            row = self._checked("source", number)
            root = self._checked("root", row[1])
            settings = self._object(row[11], "source", number)
            self._source = (number, SourceRow(root[1], row[2], settings))
        return self._source[1]

    def _checked(self, table: str, number: int) -> tuple[Any, ...]:
        """Return a row of a table, compared with its hash."""
        row = self._connection.execute(f"SELECT * FROM {table} WHERE id = ?", (number,)).fetchone()  # noqa: S608  (our own names)
        if row is None:
            raise damaged(self._path, f"row {number} of {table} is missing")
        self._check(table, row)
        return tuple(row)

    def _check(self, table: str, row: tuple[Any, ...]) -> None:
        if row_hash(row[:-1]) != row[-1] or not _TABLES[table].fits(row):
            raise damaged(self._path, f"row {row[0]} of {table}")

    def _object(self, text: str, table: str, number: int) -> dict[str, Json]:
        """Return the JSON object of a row."""
        with contextlib.suppress(ValueError, RecursionError):
            found = json.loads(text)
            if isinstance(found, dict):
                return found
        raise damaged(self._path, f"row {number} of {table}")
