"""Rows of an index's tables, each compared with its hash before it is used."""

from __future__ import annotations

import contextlib
import json
import re
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from embedcli.index.checksum import row_hash
from embedcli.index.damage import damaged
from embedcli.index.schema import TABLES

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from embedcli.datatypes import Json

KNOWN_ROWS: Final = 16_384
"""Of chunks of a thousand characters: some 30 MB."""

_TYPES = {table.name: tuple(column.python_types for column in table.columns) for table in TABLES}


def storable(text: str) -> str:
    """Return a text that SQLite can hold: half surrogate pairs, which have no UTF-8 form, are replaced."""
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


def check_row(path: Path, table: str, row: tuple[Any, ...]) -> None:
    """Compare a whole row of a table with its hash, and its values with the types of their columns.

    SQLite itself takes any value in any column.

    Raises:
        DamagedIndexError: It is not what was written.
    """
    types = _TYPES[table]
    if row_hash(row[:-1]) != row[-1] or len(row) != len(types) or not all(map(isinstance, row, types)):
        raise damaged(path, f"row {row[0]} of {table}")


def read_row(path: Path, connection: sqlite3.Connection, table: str, number: int) -> tuple[Any, ...]:
    """Return a row of a table by its id.

    Raises:
        DamagedIndexError: It is missing or is not what was written.
    """
    row = connection.execute(f"SELECT * FROM {table} WHERE id = ?", (number,)).fetchone()  # noqa: S608  (our own names)
    if row is None:
        raise damaged(path, f"row {number} of {table} is missing")
    check_row(path, table, row)
    return tuple(row)


class KnownRows:
    """Rows that were read, each checked once: many questions meet the same chunks.

    The `KNOWN_ROWS` that were met last are kept.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path, self._connection = path, connection
        self._rows: OrderedDict[tuple[str, int], tuple[Any, ...]] = OrderedDict()

    def read(self, table: str, number: int) -> tuple[Any, ...]:
        """Return a row; see `read_row`."""
        key = table, number
        if (row := self._rows.get(key)) is not None:
            self._rows.move_to_end(key)
            return row
        row = self._rows[key] = read_row(self._path, self._connection, table, number)
        if len(self._rows) > KNOWN_ROWS:
            self._rows.popitem(last=False)
        return row


def read_all_rows(path: Path, connection: sqlite3.Connection, table: str) -> list[tuple[Any, ...]]:
    """Return all rows of a small table in the order of their ids.

    Raises:
        DamagedIndexError: One is not what was written.
    """
    rows = connection.execute(f"SELECT * FROM {table} ORDER BY id").fetchall()  # noqa: S608  (our own names)
    for row in rows:
        check_row(path, table, row)
    return rows


def json_object(path: Path, text: str, what: str) -> dict[str, Json]:
    """Return the JSON object that a column holds.

    Args:
        path: For messages.
        text: The column.
        what: What it is, for messages.

    Raises:
        DamagedIndexError: It is no JSON object.
    """
    with contextlib.suppress(ValueError, RecursionError):
        found = json.loads(text)
        if isinstance(found, dict):
            return found
    raise damaged(path, what)
