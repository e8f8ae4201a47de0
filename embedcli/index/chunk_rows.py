"""Whole chunks in the order of their ids, each row verified: what is needed to hand an index on."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.index.damage import damaged
from embedcli.index.rows import check_row, json_object, read_row

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from embedcli.datatypes import Json


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
            check_row(self._path, "chunk", row)
            yield ChunkRow(*row[:5], *row[7:10])

    def record(self, number: int) -> RecordRow:
        """Return a record; the last one is remembered.

        Raises:
            DamagedIndexError: It is missing or is not what was written.
        """
        if self._record is None or self._record[0] != number:
            row = read_row(self._path, self._connection, "record", number)
            fields = json_object(self._path, row[5], f"row {number} of record")
            self._record = (number, RecordRow(row[2], fields, row[1]))
        return self._record[1]

    def source(self, number: int) -> SourceRow:
        """Return a source; the last one is remembered.

        Raises:
            DamagedIndexError: It is missing or is not what was written.
        """
        if self._source is None or self._source[0] != number:
            row = read_row(self._path, self._connection, "source", number)
            root = read_row(self._path, self._connection, "root", row[1])
            settings = json_object(self._path, row[11], f"row {number} of source")
            self._source = (number, SourceRow(root[1], row[2], settings))
        return self._source[1]
