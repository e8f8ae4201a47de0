"""Every hash and every count of an index, and what a repair has to give up."""

from __future__ import annotations

import contextlib
import sqlite3
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.errors import DamagedIndexError, IndexFileError, OutputError
from embedcli.index.checksum import hash_bytes, row_hash, vector_hashes
from embedcli.index.meta import COUNTED, META_TYPES, has_sparse, read_identity, read_meta
from embedcli.index.postings import orphaned_segments, sparse_problems
from embedcli.index.schema import LEXICAL_TABLE
from embedcli.index.segments import STORED_DTYPES
from embedcli.vectors.signs import WORD_BYTES, sign_words, word_count

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from embedcli.index.meta import Identity

_ROWS_SHOWN = 5
_COUNT_SQL = {
    "sources": "SELECT count(*) FROM source",
    "records": "SELECT count(*) FROM record WHERE complete",
    "chunks": "SELECT count(*) FROM chunk JOIN record ON record.id = chunk.record WHERE complete",
    "vectors": "SELECT total(count) FROM segment",
}


@dataclass(slots=True)
class Damage:
    """What is wrong with an index.

    Attributes:
        findings: One line each.
        chunks: Chunks that cannot be found, or whose record is damaged.
        changed_chunks: Chunks whose row is not what was written; what record they say they are of may be
            wrong.
        records: Records likewise.
        sources: Sources likewise.
        roots: Roots likewise.
        segments: Segments whose blobs or columns are not what was written.
        orphans: Live vectors that belong to no chunk.
        has_lost_chunks: There are fewer rows of chunks than were counted.
        is_astray: Rows are gone or changed hands, and what they belonged to cannot be told.
        is_structural: SQLite itself finds the file malformed: no repair in place.
        lexical: The full-text table does not fit the texts.
    """

    findings: list[str] = field(default_factory=list)
    chunks: set[int] = field(default_factory=set)
    changed_chunks: set[int] = field(default_factory=set)
    records: set[int] = field(default_factory=set)
    sources: set[int] = field(default_factory=set)
    roots: set[int] = field(default_factory=set)
    segments: set[int] = field(default_factory=set)
    orphans: list[int] = field(default_factory=list)
    has_lost_chunks: bool = False
    is_astray: bool = False
    is_structural: bool = False
    lexical: bool = False


def verify(
    path: Path,
    connection: sqlite3.Connection,
    *,
    check_lexical: bool,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Damage:
    """Return what is not as it was written: all rows, all vectors, all counts, what refers to what. O(index).

    Args:
        path: For messages.
        connection: The index; nothing is kept that is written to it.
        check_lexical: Compare the full-text table with the texts. The file must be writable for that and hold
            texts.
        on_progress: Told how many of how many vectors are verified.
    """
    damage = Damage()
    # Bytes that are no text are to be found, not to end the search for them.
    connection.text_factory = lambda content: content.decode("utf-8", "surrogateescape")
    try:
        for (line,) in connection.execute("PRAGMA integrity_check(20)"):
            if f"table main.{LEXICAL_TABLE}" in line:
                # Newer versions of SQLite look into full-text tables too.
                damage.lexical = True
                damage.findings.append(f"lexical: {line}")
            elif line != "ok":
                damage.is_structural = True
                damage.findings.append(f"structure: {line}")
        _Verifier(path, connection, damage, on_progress).run()
        if check_lexical:
            verify_lexical(connection, damage)
    except (sqlite3.DatabaseError, IndexFileError) as error:
        damage.is_structural = True
        damage.findings.append(f"structure: {error}")
    finally:
        connection.text_factory = str
    return damage


class _Verifier:
    """One pass over an index."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        damage: Damage,
        on_progress: Callable[[int, int], None],
    ) -> None:
        self._path, self._connection, self._damage = path, connection, damage
        self._on_progress = on_progress
        self._identity: Identity | None = None
        self._damaged_ranges: list[tuple[int, int]] = []

    def _find(self, finding: str) -> None:
        self._damage.findings.append(finding)

    def _find_rows(self, table: str, rows: Iterable[int], what: str) -> None:
        """Report rows in one line, however many there are."""
        numbers = sorted(rows)
        if not numbers:
            return
        shown = ", ".join(map(str, numbers[:_ROWS_SHOWN]))
        more = f" and {len(numbers) - _ROWS_SHOWN} more" if len(numbers) > _ROWS_SHOWN else ""
        self._find(f"{table} {shown}{more}: {what}")

    def run(self) -> None:
        """Look at everything."""
        self._meta()
        bad = {table: self._rows(table) for table in ("root", "source", "record", "chunk")}
        if not self._connection.execute("SELECT 1 FROM root WHERE id = 0").fetchone():
            self._find("root 0: is not there")
        self._damage.records |= bad["record"]
        self._damage.is_astray |= bool(bad["record"] or bad["chunk"])
        self._damage.chunks |= bad["chunk"]
        self._damage.changed_chunks |= bad["chunk"]
        self._references(bad)
        self._gaps()
        live = self._segments()
        if has_sparse(self._connection):
            for number in orphaned_segments(self._connection):
                self._find(f"posting: segment {number} is not there")
        self._places(live)
        self._counts()

    def _meta(self) -> None:
        for key in META_TYPES:
            if key == "sparse" and not has_sparse(self._connection):
                continue
            with contextlib.suppress(DamagedIndexError):
                read_meta(self._path, self._connection, key)
                continue
            self._find(f"meta: {key} is not what was written")
        with contextlib.suppress(DamagedIndexError):
            self._identity = read_identity(self._path, self._connection)

    def _rows(self, table: str) -> set[int]:
        """Return the ids of a table's rows that do not match their hash."""
        bad: set[int] = set()
        for row in self._connection.execute(f"SELECT * FROM {table}"):  # noqa: S608  (our own names)
            if row_hash(row[:-1]) != row[-1]:
                bad.add(row[0])
        self._find_rows(table, bad, "not what was written")
        return bad

    def _references(self, bad: dict[str, set[int]]) -> None:
        """Look for rows whose owner is missing or damaged; they are damaged too."""
        for table, owner, broken, found in (
            # What came from standard input does not depend on what is said of its root.
            ("source", "root", bad["root"] - {0}, bad["source"]),
            ("record", "source", bad["source"], self._damage.records),
            ("chunk", "record", self._damage.records, self._damage.chunks),
        ):
            astray = {
                row[0]
                for row in self._connection.execute(
                    f"SELECT id FROM {table} WHERE {owner} <> 0 AND {owner} NOT IN (SELECT id FROM {owner})"  # noqa: S608  (our own names)
                )
            }
            self._find_rows(table, astray, f"the {owner} is not there")
            found.update(astray)
            self._damage.is_astray |= bool(astray)
            for owner_id in sorted(broken):
                found.update(
                    row[0]
                    for row in self._connection.execute(
                        f"SELECT id FROM {table} WHERE {owner} = ?",  # noqa: S608  (our own names)
                        (owner_id,),
                    )
                )
        self._damage.sources |= bad["source"]
        self._damage.roots |= bad["root"]

    def _gaps(self) -> None:
        """Look for records whose chunks are not numbered from 1 on."""
        self._connection.execute("CREATE TEMP TABLE changed (id INTEGER PRIMARY KEY)")
        self._connection.executemany(
            "INSERT INTO changed VALUES (?)", ((number,) for number in self._damage.changed_chunks)
        )
        broken = {
            row[0]
            for row in self._connection.execute(
                "SELECT record.id FROM record LEFT JOIN chunk ON chunk.record = record.id"
                " AND chunk.id NOT IN (SELECT id FROM changed) WHERE complete GROUP BY record.id"
                " HAVING count(chunk.id) = 0 OR min(ordinal) <> 1 OR max(ordinal) <> count(chunk.id)"
            )
        }
        robbed = {
            row[0]
            for row in self._connection.execute(
                "SELECT record FROM chunk WHERE id IN (SELECT id FROM changed) AND typeof(record) = 'integer'"
            )
        }
        self._connection.execute("DROP TABLE changed")
        self._find_rows("record", broken - self._damage.records - robbed, "chunks are missing")
        self._damage.records |= broken

    def _segments(self) -> dict[int, tuple[int, np.ndarray]]:
        """Verify all vectors; return for each readable segment its first row and which rows are alive."""
        total = self._connection.execute("SELECT total(count) FROM segment").fetchone()[0]
        live: dict[int, tuple[int, np.ndarray]] = {}
        done = 0
        end = 1
        for row in self._connection.execute(
            "SELECT segment.*, dead, tombstone.row_hash FROM segment"
            " LEFT JOIN tombstone ON tombstone.segment = segment.id ORDER BY first"
        ):
            number, first, count = row[:3]
            if row_hash(row[:7]) != row[7] or row[3] not in STORED_DTYPES:
                # Not even its place can be believed: its chunks will be found to have no vector.
                self._find(f"segment {number}: its columns are not what was written")
                self._damage.segments.add(number)
                continue
            problems = [
                *_segment_problems(row, self._identity.dim if self._identity else None),
                *self._sparse_problems(number, count),
            ]
            if first < end:
                problems.append("overlaps the one before")
            end = max(end, first + count)
            for problem in problems:
                self._find(f"segment {number}: {problem}")
            if problems:
                self._damage.segments.add(number)
                self._damaged_ranges.append((first, count))
            else:
                dead = row[11]
                marks = np.zeros(count, dtype=np.bool_)
                if dead is not None:
                    marks = np.unpackbits(np.frombuffer(dead, dtype=np.uint8), count=count).astype(np.bool_)
                live[number] = (first, ~marks)
            done += count
            self._on_progress(done, total)
        for (number,) in self._connection.execute(
            "SELECT segment FROM tombstone WHERE segment NOT IN (SELECT id FROM segment)"
        ):
            self._find(f"tombstone: segment {number} is not there")
        return live

    def _sparse_problems(self, segment: int, count: int) -> Iterator[str]:
        """Yield what is wrong with the sparse vectors of a segment, if the index has any."""
        if self._identity is not None and self._identity.sparse is not None:
            yield from sparse_problems(self._connection, segment, count, self._identity.sparse.terms)

    def _places(self, live: dict[int, tuple[int, np.ndarray]]) -> None:
        """Check that live vectors and chunks of complete records are the same rows."""
        wanted = np.fromiter(
            (
                row[0]
                for row in self._connection.execute(
                    "SELECT chunk.id FROM chunk JOIN record ON record.id = chunk.record WHERE complete"
                    " ORDER BY chunk.id"
                )
            ),
            dtype=np.int64,
        )
        found = np.concatenate(
            [np.empty(0, dtype=np.int64), *(np.flatnonzero(alive) + first for first, alive in live.values())]
        )
        without = np.setdiff1d(wanted, found)
        self._damage.chunks |= set(without.tolist())
        # What lies in a damaged segment has been reported with it.
        for first, count in self._damaged_ranges:
            without = without[(without < first) | (without >= first + count)]
        self._find_rows("chunk", without.tolist(), "there is no vector")
        self._damage.chunks |= self._unfinished_without(live)
        self._damage.orphans = np.setdiff1d(found, wanted).tolist()
        self._find_rows("vector", self._damage.orphans, "belongs to no chunk")
        self._damage.is_astray |= bool(self._damage.orphans)

    def _unfinished_without(self, live: dict[int, tuple[int, np.ndarray]]) -> set[int]:
        """Return the chunks of unfinished records that lie in no readable segment."""
        rows = [
            row[0]
            for row in self._connection.execute(
                "SELECT chunk.id FROM chunk JOIN record ON record.id = chunk.record WHERE NOT complete"
            )
        ]
        return {
            row
            for row in rows
            if not any(first <= row < first + len(alive) for first, alive in live.values())
        }

    def _counts(self) -> None:
        # A count that is not what was written was found with the rest of `meta`.
        with contextlib.suppress(DamagedIndexError):
            stored, actual = (
                read_meta(self._path, self._connection, "counts"),
                actual_counts(self._connection),
            )
            self._damage.has_lost_chunks = stored["chunks"] > actual["chunks"]
            if stored != actual:
                self._find(f"meta: counts are {stored}, found {actual}")


def actual_counts(connection: sqlite3.Connection) -> dict[str, int]:
    """Return what `meta` should say how many there are of each thing. O(chunks)."""
    return {key: int(connection.execute(_COUNT_SQL[key]).fetchone()[0]) for key in COUNTED}


def _segment_problems(row: tuple[Any, ...], dim: int | None) -> Iterator[str]:
    """Yield what is wrong with a segment: its columns, each blob, each vector, its deletion marks."""
    number, _, count, dtype, signs_hash, vectors_hash, hashes_hash, _ = row[:8]
    signs, hashes, vectors, dead, dead_hash = row[8:]
    for name, blob, blob_hash in (
        ("sign bits", signs, signs_hash),
        ("row hashes", hashes, hashes_hash),
        ("vectors", vectors, vectors_hash),
    ):
        if hash_bytes(blob) != blob_hash:
            yield f"its {name} are not what was written"
    if dead is not None and (row_hash((number, dead)) != dead_hash or len(dead) != (count + 7) // 8):
        yield "its deletion marks are not what was written"
    if dim is None or dtype == "binary":
        return
    if hash_bytes(vectors) != vectors_hash or hash_bytes(signs) != signs_hash:
        return
    stored = np.frombuffer(vectors, dtype=STORED_DTYPES[dtype])
    if len(stored) != count * dim or len(signs) != count * word_count(dim) * WORD_BYTES:
        yield f"it holds {len(stored)} numbers, not {count} x {dim}"
        return
    block = stored.reshape(count, dim)
    if not np.isfinite(block).all():
        yield "a number is not finite"
    if vector_hashes(block) != hashes:
        yield "a vector does not match its own hash"
    if sign_words(block).tobytes() != signs:
        yield "its sign bits are not those of its vectors"


def verify_lexical(connection: sqlite3.Connection, damage: Damage) -> None:
    """Let FTS5 compare its words with the texts.

    Raises:
        OutputError: The file is read-only, and SQLite compares only where it may write.
    """
    try:
        connection.execute("SAVEPOINT lexical")
        connection.execute(
            f"INSERT INTO {LEXICAL_TABLE} ({LEXICAL_TABLE}, rank)"  # noqa: S608  (our own name)
            " VALUES ('integrity-check', 1)"
        )
    except sqlite3.DatabaseError as error:
        if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_READONLY:
            raise OutputError(f"{error}") from error
        damage.lexical = True
        damage.findings.append(f"lexical: {error}")
    finally:
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK TO lexical")
            connection.execute("RELEASE lexical")
