"""Taking out of an index what is damaged, so that the next build makes it anew and the rest stays."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.errors import DamagedIndexError
from embedcli.index.checksum import row_hash
from embedcli.index.meta import add_stdin_root, read_identity, read_meta, write_meta
from embedcli.index.postings import drop_postings
from embedcli.index.schema import REBUILD_LEXICAL_SQL
from embedcli.index.segments import mark_rows
from embedcli.index.verify import actual_counts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from embedcli.index.verify import Damage


class Repaired(NamedTuple):
    """What a repair took out.

    Attributes:
        records: How many records.
        sources: How many sources will be read again by the next build.
        lost: Ids of records from standard input: nobody can read them again.
        roots: How many roots had to be forgotten.
    """

    records: int
    sources: int
    lost: list[str]
    roots: int


def repair(path: Path, connection: sqlite3.Connection, damage: Damage) -> Repaired:
    """Remove damaged rows with all that depends on them, and mark their sources to be read again.

    A record with one damaged chunk goes as a whole. Everything in one transaction, which the caller commits.

    Args:
        path: For messages.
        connection: From `open_for_writing`, inside a transaction.
        damage: From `verify`, of this very state, not structural.

    Raises:
        DamagedIndexError: The identity itself is damaged.
    """
    identity = read_identity(path, connection)
    records = damage.records | _owners(connection, "chunk", "record", damage.chunks - damage.changed_chunks)
    # One that fits into its record may be of another one; nobody can ask standard input which.
    doubtful = _owners(connection, "chunk", "record", damage.changed_chunks)
    if damage.has_lost_chunks:
        doubtful |= {owner for row in damage.orphans for owner in _neighbour(connection, row)}
    records |= _stdin_records(connection, doubtful)
    known = {row[0] for row in connection.execute("SELECT id FROM source")} - damage.sources
    sources = _owners(connection, "record", "source", records) & known
    if damage.is_astray:
        # Some text may have lost its row without a trace: every file is read again, and no vector made again.
        sources = known
    lost = _names_from_stdin(connection, records)
    chunks = _members(connection, "chunk", "record", records) | damage.chunks | damage.changed_chunks

    for segment in damage.segments:
        connection.execute("DELETE FROM segment WHERE id = ?", (segment,))
    connection.execute("DELETE FROM tombstone WHERE segment NOT IN (SELECT id FROM segment)")
    if identity.sparse is not None:
        drop_postings(connection)
    in_segments = [row for row in sorted(chunks | set(damage.orphans)) if _has_segment(connection, row)]
    mark_rows(path, connection, in_segments, dead=True)
    for table, numbers in (
        ("chunk", chunks),
        ("record", records),
        ("source", damage.sources),
        ("root", damage.roots),
    ):
        connection.executemany(f"DELETE FROM {table} WHERE id = ?", ((number,) for number in numbers))  # noqa: S608  (our own names)
    for source in sources:
        _mark_partial(connection, source, forget_settings=damage.is_astray)
    if not connection.execute("SELECT 1 FROM root WHERE id = 0").fetchone():
        add_stdin_root(connection)
    if identity.keep_text:
        connection.execute(REBUILD_LEXICAL_SQL)
    _write_meta(path, connection)
    return Repaired(len(records), len(sources) + len(damage.sources), lost, len(damage.roots))


def _owners(connection: sqlite3.Connection, table: str, owner: str, numbers: Iterable[int]) -> set[int]:
    """Return the owners of some rows."""
    return {
        row[0]
        for number in numbers
        for row in connection.execute(f"SELECT {owner} FROM {table} WHERE id = ?", (number,))  # noqa: S608  (our own names)
        if isinstance(row[0], int)
    }


def _members(connection: sqlite3.Connection, table: str, owner: str, owners: Iterable[int]) -> set[int]:
    """Return the rows that belong to some owners."""
    return {
        row[0]
        for number in owners
        for row in connection.execute(f"SELECT id FROM {table} WHERE {owner} = ?", (number,))  # noqa: S608  (our own names)
    }


def _stdin_records(connection: sqlite3.Connection, records: Iterable[int]) -> set[int]:
    return {
        number
        for number in records
        if connection.execute(
            "SELECT 1 FROM record JOIN source ON source.id = record.source WHERE record.id = ? AND root = 0",
            (number,),
        ).fetchone()
    }


def _neighbour(connection: sqlite3.Connection, row: int) -> list[int]:
    """Return the record of the chunk stored before one that is gone: most likely it was of the same."""
    found = connection.execute(
        "SELECT record FROM chunk WHERE id < ?1 AND NOT EXISTS (SELECT 1 FROM chunk WHERE id = ?1)"
        " ORDER BY id DESC LIMIT 1",
        (row,),
    )
    return [owner for (owner,) in found if isinstance(owner, int)]


def _names_from_stdin(connection: sqlite3.Connection, records: Iterable[int]) -> list[str]:
    return [
        row[0]
        for number in sorted(records)
        for row in connection.execute(
            # Records of no known source may be from there, if nothing else is.
            "SELECT name FROM record LEFT JOIN source ON source.id = record.source WHERE record.id = ?"
            " AND (root = 0 OR (root IS NULL AND NOT EXISTS (SELECT 1 FROM source WHERE root = 0)))",
            (number,),
        )
    ]


def _has_segment(connection: sqlite3.Connection, row: int) -> bool:
    found = connection.execute(
        "SELECT first + count FROM segment WHERE first <= ? ORDER BY first DESC LIMIT 1", (row,)
    ).fetchone()
    return found is not None and row < found[0]


def _mark_partial(connection: sqlite3.Connection, source: int, *, forget_settings: bool) -> None:
    """Let the next build read a source again, whatever its size and times say.

    Without its settings, none of its records is taken for unchanged.
    """
    number, root, path, *_, settings, _ = connection.execute(
        "SELECT * FROM source WHERE id = ?", (source,)
    ).fetchone()
    if root == 0:
        # Nobody can read standard input again.
        return
    settings = "{}" if forget_settings else settings
    columns = (number, root, path, *(None,) * 6, "partial", "repaired", settings)
    connection.execute(
        f"INSERT OR REPLACE INTO source VALUES ({', '.join('?' * 13)})",  # noqa: S608  (only question marks)
        (*columns, row_hash(columns)),
    )


def _write_meta(path: Path, connection: sqlite3.Connection) -> None:
    """Write counts and commit numbers anew; what cannot be read begins again beyond what was there."""
    known: dict[str, Any] = {}
    for key in ("commit", "vectors_commit", "query_defaults"):
        try:
            known[key] = read_meta(path, connection, key)
        except (DamagedIndexError, sqlite3.OperationalError):
            known[key] = {} if key == "query_defaults" else 0
    number = max(int(known["commit"]), int(known["vectors_commit"])) + 1
    write_meta(connection, "commit", number)
    write_meta(connection, "vectors_commit", number)
    write_meta(connection, "query_defaults", known["query_defaults"])
    write_meta(connection, "counts", actual_counts(connection))
