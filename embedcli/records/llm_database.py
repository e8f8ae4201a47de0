"""The database in which the `llm` tool keeps embeddings: one of its collections, read and never run.

The file is somebody else's: only tables are read, never views, virtual tables or computed columns, so that
reading runs no SQL that the file brought along.

Source: the tables that llm's documentation gives for its embeddings, "Embeddings: storage format"; a vector
is its numbers as little-endian float32.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from embedcli.errors import InputError
from embedcli.records.exchange import ImportedRow, RefusedRow, RowBatch, block_rows
from embedcli.records.vector_field import OWN_FIELDS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    import numpy as np

SQLITE_MAGIC: Final = b"SQLite format 3\0"
FLOAT_BYTES: Final = 4

_COLUMNS: Final = {
    "collections": {"id", "name", "model"},
    "embeddings": {"collection_id", "id", "embedding", "content", "metadata"},
}
_LONGEST_VALUE_BYTES: Final = 64 << 20
_MOST_COLLECTIONS: Final = 1000
_SHOWN_COLLECTIONS: Final = 20
_BATCH_ROWS: Final = 512


class Collection(NamedTuple):
    """A named set of embeddings of one model."""

    number: int
    name: str
    model: str


class LlmDatabase:
    """One collection; see `VectorSource`."""

    def __init__(self, connection: sqlite3.Connection, path: str, collection: Collection) -> None:
        """Find out how long its vectors are: as most of them.

        Args:
            connection: From `open_llm_database`.
            path: The file, for messages.
            collection: What is read.
        """
        import numpy as np

        self._connection, self._path, self._collection = connection, path, collection
        self.name = f"{path}: collection {collection.name!r}"
        self.model: str | None = collection.model
        self.dtype: np.dtype[Any] = np.dtype("<f4")
        with _translated(path):
            row = connection.execute(
                "SELECT length(embedding) FROM embeddings NOT INDEXED WHERE collection_id = ?"
                " AND typeof(embedding) = 'blob' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1",
                (collection.number,),
            ).fetchone()
        self.width: int | None = max(1, row[0] // FLOAT_BYTES) if row else None

    def read(self, *, with_vectors: bool) -> Iterator[RowBatch]:
        """Yield all embeddings in the order they were stored; O(block) memory.

        Raises:
            InputError: SQLite cannot read the file.
        """
        width = self.width or 1
        with _translated(self._path):
            cursor = self._connection.execute(
                f"SELECT id, content, metadata, {'embedding' if with_vectors else 'NULL'}"  # noqa: S608  (our own names)
                " FROM embeddings NOT INDEXED WHERE collection_id = ? ORDER BY rowid",
                (self._collection.number,),
            )
        cursor.arraysize = min(_BATCH_ROWS, block_rows(width * FLOAT_BYTES))
        number = 0
        while True:
            with _translated(self._path):
                found = cursor.fetchmany()
            if not found:
                return
            rows = [_row(values, number + place, self._path) for place, values in enumerate(found, start=1)]
            number += len(found)
            if with_vectors:
                yield _with_vectors(rows, [values[3] for values in found], width)
            else:
                yield RowBatch(rows, None, {})


def _row(values: tuple[Any, ...], number: int, path: str) -> ImportedRow | RefusedRow:
    """Return what one row of `embeddings` says: id, content, metadata."""
    given, content, metadata = values[:3]
    if isinstance(given, bytes) or given is None:
        return RefusedRow(f"{path}: embedding {number}", "its id is no text")
    text = content if isinstance(content, str) else None
    return ImportedRow(
        where=f"{path}: {str(given)!r}",
        id=str(given),
        end=len(text or ""),
        line=number,
        end_line=number,
        text=text,
        fields=metadata_fields(metadata),
    )


def metadata_fields(metadata: object) -> dict[str, Any]:
    """Return the fields that a record's metadata hold; what is no JSON object is a field `metadata`."""
    if not isinstance(metadata, str) or not metadata:
        return {}
    try:
        # Python writes numbers that are not finite, which JSON does not have.
        found = json.loads(metadata, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return {"metadata": metadata}
    if not isinstance(found, dict):
        return {"metadata": found}
    return {name: value for name, value in found.items() if name not in OWN_FIELDS}


def _with_vectors(rows: Sequence[ImportedRow | RefusedRow], blobs: Sequence[object], width: int) -> RowBatch:
    """Return rows with their vectors; what is no vector of that width becomes zeros and a fault."""
    import numpy as np

    faults: dict[int, str] = {}
    parts: list[bytes] = []
    for place, blob in enumerate(blobs):
        size = len(blob) if isinstance(blob, bytes) else 0
        if size % FLOAT_BYTES:
            faults[place] = f"its vector has {size} bytes, which is no whole number of float32"
        elif size != width * FLOAT_BYTES:
            faults[place] = f"its vector has {size // FLOAT_BYTES} numbers, most have {width}"
        parts.append(bytes(width * FLOAT_BYTES) if place in faults or not isinstance(blob, bytes) else blob)
    vectors = np.frombuffer(b"".join(parts), dtype="<f4").reshape(len(parts), width)
    return RowBatch(rows, vectors, faults)


@contextlib.contextmanager
def open_llm_database(path: str, wanted: str | None) -> Iterator[LlmDatabase]:
    """Open a collection of a database for reading, all of it of one moment.

    Args:
        path: The file.
        wanted: The collection's name; None for the only one.

    Raises:
        InputError: It is no such database, or it is not clear which collection is meant.
    """
    import sqlite3

    name = quote(path.encode("utf-8", "surrogateescape"))
    with contextlib.ExitStack() as stack:
        with _translated(path):
            connection = sqlite3.connect(f"file:{name}?mode=ro", uri=True, isolation_level=None)
            stack.callback(connection.close)
            connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE_BYTES)
            connection.text_factory = lambda content: content.decode("utf-8", "replace")
            for pragma in ("trusted_schema = OFF", "cell_size_check = ON", "query_only = ON"):
                connection.execute(f"PRAGMA {pragma}")
            connection.execute("BEGIN")
            for table, columns in _COLUMNS.items():
                _check_table(connection, path, table, columns)
            collections = _collections(connection)
        yield LlmDatabase(connection, path, choose_collection(path, collections, wanted))


def _check_table(connection: sqlite3.Connection, path: str, table: str, columns: set[str]) -> None:
    """Check that a table has columns, all of them stored and none computed.

    Raises:
        InputError: There is no such table.
    """
    # A view has no root page, and neither has a virtual table, which is called a table too.
    plain = connection.execute(
        "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND name = ? AND rootpage > 0"
        " AND sql LIKE 'CREATE TABLE%'",
        (table,),
    ).fetchone()[0]
    # Does not list computed columns.
    found = {row[1] for row in connection.execute(f"PRAGMA table_info({table})")} if plain else set()
    if missing := sorted(columns - found):
        raise InputError(
            f"{path}: no table {table!r} with {', '.join(missing)}: no embeddings of llm",
            hint="an index of embedcli is handed on by: embedcli index export",
        )


def _collections(connection: sqlite3.Connection) -> list[Collection]:
    rows = connection.execute(
        "SELECT id, name, model FROM collections NOT INDEXED ORDER BY rowid LIMIT ?", (_MOST_COLLECTIONS,)
    )
    return [
        Collection(number, name, model if isinstance(model, str) else "")
        for number, name, model in rows
        if isinstance(number, int) and isinstance(name, str)
    ]


def choose_collection(path: str, collections: Sequence[Collection], wanted: str | None) -> Collection:
    """Return the collection that is meant.

    Raises:
        InputError: There is none of that name, or there are several and none was named.
    """
    found = [each for each in collections if wanted in (None, each.name)]
    if len(found) == 1:
        return found[0]
    shown = ", ".join(repr(each.name) for each in collections[:_SHOWN_COLLECTIONS]) or "none"
    more = ", …" if len(collections) > _SHOWN_COLLECTIONS else ""
    what = "it is not clear which collection is meant" if found else f"no collection {wanted!r}"
    raise InputError(
        f"{path}: {what if collections else 'holds no collection'}",
        hint=f"--collection NAME; there are: {shown}{more}" if collections else "",
    )


@contextlib.contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn SQLite's exceptions into the project's own."""
    import sqlite3

    try:
        yield
    except (sqlite3.Error, sqlite3.Warning, OverflowError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from error
