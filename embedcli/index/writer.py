"""Sources, records and chunks into an index. Every method works inside the caller's transaction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from embedcli.errors import ShrinkError
from embedcli.index.checksum import SqlValue, row_hash
from embedcli.index.meta import Identity, read_meta, write_meta
from embedcli.index.postings import PostingsReader, append_postings
from embedcli.index.rows import storable
from embedcli.index.schema import LEXICAL_TABLE
from embedcli.index.segments import append_segment, mark_rows, read_rows, segment_at
from embedcli.index.stored import FileStat, StoredRecord, StoredSource

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from embedcli.datatypes import Chunk, Json, Record, SparseVector, Vectors

SHRINK_RATIO = 0.2
SHRINK_CHUNKS = 100
"""A run that would drop more than this share of the chunks, and more than this many, stops unless told: an
unmounted disk must not empty an index."""

_IN_ONE_QUERY = 500


@dataclass(frozen=True, slots=True)
class NewChunk:
    """A chunk that is to be written.

    Attributes:
        record: The record it belongs to.
        chunk: What it is.
        text_hash: Of what was encoded.
        sparse: Its sparse vector, in an index that holds them.
    """

    record: int
    chunk: Chunk
    text_hash: bytes
    sparse: SparseVector | None = None


class IndexWriter:
    """Writes to an open index."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        identity: Identity,
        *,
        may_shrink: bool,
    ) -> None:
        """Note where the run starts from, for the shrink guard.

        Args:
            path: The index file, for messages.
            connection: From `open_for_writing`.
            identity: What the index was opened with.
            may_shrink: Switches the shrink guard off.
        """
        self._path, self._connection, self._identity = path, connection, identity
        self._may_shrink = may_shrink
        self._counts: dict[str, int] = read_meta(path, connection, "counts")
        self._chunks_before = self._counts["chunks"]
        self._net_dropped = 0
        self._last_record = self._next_id("record") - 1
        self.begin()

    def begin(self) -> None:
        """Start a transaction."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._changes_at_begin = self._connection.total_changes
        self._vectors_changed = False

    def commit(self) -> None:
        """Make everything since `begin` visible and durable, and start the next transaction."""
        if self._connection.total_changes == self._changes_at_begin:
            return
        number = int(read_meta(self._path, self._connection, "commit")) + 1
        write_meta(self._connection, "commit", number)
        if self._vectors_changed:
            write_meta(self._connection, "vectors_commit", number)
        write_meta(self._connection, "counts", self._counts)
        self._connection.execute("COMMIT")
        self.begin()

    def put_query_defaults(self, defaults: Mapping[str, Json]) -> None:
        """Replace the settings of queries that are stored with the index."""
        write_meta(self._connection, "query_defaults", dict(defaults))

    # --- roots and sources

    def root_settings(self, stored_path: bytes) -> str:
        """Return the JSON of how a root's files are read; `{}` for a root that is not known yet."""
        row = self._connection.execute("SELECT settings FROM root WHERE path = ?", (stored_path,)).fetchone()
        return str(row[0]) if row else "{}"

    def put_root(self, stored_path: bytes, settings: str) -> int:
        """Add a root or replace its settings; return its id."""
        known = self._connection.execute(
            "SELECT id, settings FROM root WHERE path = ?", (stored_path,)
        ).fetchone()
        number = int(known[0]) if known else self._next_id("root")
        if known is None or known[1] != settings:
            columns = (number, stored_path, settings)
            self._connection.execute(
                "INSERT OR REPLACE INTO root VALUES (?, ?, ?, ?)", (*columns, row_hash(columns))
            )
        return number

    def drop_root(self, number: int) -> None:
        """Forget a root that holds no sources any more."""
        self._connection.execute("DELETE FROM root WHERE id = ?", (number,))

    def _next_id(self, table: str) -> int:
        row = self._connection.execute(f"SELECT coalesce(max(id), 0) + 1 FROM {table}").fetchone()  # noqa: S608  (our own names)
        return int(row[0])

    def source(self, root: int, path: bytes) -> StoredSource | None:
        """Return what the index holds of a file, or None."""
        row = self._connection.execute(
            "SELECT id, size, mtime_ns, ctime_ns, inode, seen_ns, content_hash, state, reason,"
            " settings FROM source"
            " WHERE root = ? AND path = ?",
            (root, path),
        ).fetchone()
        if row is None:
            return None
        stat = None if row[1] is None else FileStat(*row[1:6])
        return StoredSource(row[0], stat, *row[6:])

    def put_source(
        self,
        root: int,
        path: bytes,
        *,
        stat: FileStat | None,
        content_hash: bytes | None,
        state: str,
        settings: str,
        reason: str | None = None,
    ) -> int:
        """Add a source or replace what is said of it; return its id, which stays the same."""
        facts: tuple[SqlValue, ...] = (
            *((stat.size, stat.mtime_ns, stat.ctime_ns, stat.inode, stat.seen_ns) if stat else (None,) * 5),
            *(content_hash, state, reason, settings),
        )
        known = self._connection.execute(
            "SELECT id FROM source WHERE root = ? AND path = ?", (root, path)
        ).fetchone()
        number = int(known[0]) if known else self._next_id("source")
        self._counts["sources"] += known is None
        columns = (number, root, path, *facts)
        self._connection.execute(
            f"INSERT OR REPLACE INTO source VALUES ({', '.join('?' * 13)})",  # noqa: S608  (only question marks)
            (*columns, row_hash(columns)),
        )
        return number

    def sources_under(self, root: int) -> dict[bytes, int]:
        """Return the paths under a root and their ids."""
        return dict(self._connection.execute("SELECT path, id FROM source WHERE root = ?", (root,)))

    def drop_sources(self, ids: Sequence[int]) -> int:
        """Remove sources with all they hold; return how many chunks went.

        Raises:
            ShrinkError: That would be too much.
        """
        records = [
            row[0]
            for source in ids
            for row in self._connection.execute("SELECT id FROM record WHERE source = ?", (source,))
        ]
        dropped = self.drop_records(records)
        self._connection.executemany("DELETE FROM source WHERE id = ?", ((source,) for source in ids))
        self._counts["sources"] -= len(ids)
        return dropped

    # --- records and chunks

    def stored_record(self, source: int, name: str) -> StoredRecord | None:
        """Return the complete record of that name, or None."""
        row = self._connection.execute(
            "SELECT id, line, end_line, fields, text_hash FROM record"
            " WHERE source = ? AND name = ? AND complete",
            (source, storable(name)),
        ).fetchone()
        return StoredRecord(*row) if row else None

    def record_ids(self, source: int) -> set[int]:
        """Return the ids of all records of a source, unfinished ones too."""
        return {
            row[0] for row in self._connection.execute("SELECT id FROM record WHERE source = ?", (source,))
        }

    def unfinished_record_ids(self, source: int) -> set[int]:
        """Return the ids of a source's records that an earlier run did not finish."""
        return {
            row[0]
            for row in self._connection.execute(
                "SELECT id FROM record WHERE source = ? AND NOT complete", (source,)
            )
        }

    def reserve_record(self) -> int:
        """Return an id for a record that will be added."""
        self._last_record += 1
        return self._last_record

    def add_record(
        self,
        number: int,
        source: int,
        record: Record,
        fields: str,
        text_hash: bytes,
        *,
        complete: bool = True,
    ) -> None:
        """Add a record without its chunks, under an id from `reserve_record`."""
        columns = (
            *(number, source, storable(record.id), record.line, record.end_line),
            *(fields, text_hash, int(complete)),
        )
        self._connection.execute(
            "INSERT INTO record VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", (*columns, row_hash(columns))
        )
        self._counts["records"] += complete

    def move_record(self, source: int, stored: StoredRecord, record: Record, fields: str) -> None:
        """Update place and fields of a record whose text is the same, and the lines of its chunks."""
        columns = (
            *(stored.id, source, storable(record.id), record.line, record.end_line),
            *(fields, stored.text_hash, 1),
        )
        self._connection.execute(
            "UPDATE record SET line = ?, end_line = ?, fields = ?, complete = 1, row_hash = ? WHERE id = ?",
            (record.line, record.end_line, fields, row_hash(columns), stored.id),
        )
        shift = record.line - stored.line
        if shift == 0:
            return
        rows = self._connection.execute(
            "SELECT id, record, ordinal, start_char, end_char, start_byte, end_byte, line + ?, end_line + ?,"
            " text, text_hash FROM chunk WHERE record = ?",
            (shift, shift, stored.id),
        ).fetchall()
        self._connection.executemany(
            "UPDATE chunk SET line = ?, end_line = ?, row_hash = ? WHERE id = ?",
            [(row[7], row[8], row_hash(row), row[0]) for row in rows],
        )

    def add_chunks(self, chunks: Sequence[NewChunk], vectors: Vectors, hidden: set[int]) -> None:
        """Write chunks and their vectors as one segment, with their sparse vectors where the index has them.

        Args:
            chunks: At most `SEGMENT_ROWS`.
            vectors: Shape (len(chunks), dim), float32, unit length.
            hidden: Records whose chunks are not to be found before `complete_record`.
        """
        if not chunks:
            return
        self._net_dropped -= len(chunks)
        self._vectors_changed = True
        dead = np.array([item.record in hidden for item in chunks])
        first = append_segment(self._connection, vectors, self._identity.dtype, dead)
        if self._identity.sparse is not None:
            append_postings(
                *(self._connection, segment_at(self._connection, first)),
                *([item.sparse for item in chunks], self._identity.sparse.terms),
            )
        rows = []
        for row, item in enumerate(chunks, start=first):
            chunk = item.chunk
            columns = (
                *(row, item.record, chunk.ordinal, chunk.start, chunk.end, chunk.start_byte, chunk.end_byte),
                *(
                    chunk.line,
                    chunk.end_line,
                    storable(chunk.text) if self._identity.keep_text else None,
                    item.text_hash,
                ),
            )
            rows.append((*columns, row_hash(columns)))
        self._connection.executemany(f"INSERT INTO chunk VALUES ({', '.join('?' * 12)})", rows)  # noqa: S608  (only question marks)
        if self._identity.keep_text:
            self._connection.executemany(
                f"INSERT INTO {LEXICAL_TABLE} (rowid, text) VALUES (?, ?)",  # noqa: S608  (our own name)
                [(row[0], row[9]) for row in rows],
            )
        self._counts["vectors"] += len(chunks)
        self._counts["chunks"] += len(chunks) - int(dead.sum())

    def complete_record(self, record: int) -> None:
        """Make a record that was added incomplete visible, with all its chunks."""
        row = self._connection.execute(
            "SELECT source, name, line, end_line, fields, text_hash FROM record WHERE id = ?", (record,)
        ).fetchone()
        self._connection.execute(
            "UPDATE record SET complete = 1, row_hash = ? WHERE id = ?", (row_hash((record, *row, 1)), record)
        )
        chunks = self._chunk_ids([record])
        mark_rows(self._path, self._connection, chunks, dead=False)
        self._vectors_changed = True
        self._counts["records"] += 1
        self._counts["chunks"] += len(chunks)

    def drop_records(self, ids: Iterable[int]) -> int:
        """Remove records and their chunks; return how many chunks went.

        What comes in their place is to be added first: the shrink guard looks at the difference.

        Raises:
            ShrinkError: The run would drop too much; nothing was removed by this call.
        """
        ids = list(ids)
        rows = self._chunk_ids(ids)
        net, before = self._net_dropped + len(rows), self._chunks_before
        if not self._may_shrink and rows and net > SHRINK_CHUNKS and net > SHRINK_RATIO * before:
            raise ShrinkError(
                f"{self._path}: this run would drop {net} of {before} chunks",
                hint="--allow-shrink if the files are really gone; nothing was removed",
            )
        self._net_dropped = net
        self._vectors_changed |= bool(rows)
        mark_rows(self._path, self._connection, rows, dead=True)
        for record in ids:
            self._drop_record(record)
        return len(rows)

    def _drop_record(self, record: int) -> None:
        """Delete the rows of a record; its vectors are marked as deleted already."""
        complete = self._connection.execute("SELECT complete FROM record WHERE id = ?", (record,)).fetchone()
        if self._identity.keep_text:
            # FTS5 forgets a text by being given it once more.
            self._connection.execute(
                f"INSERT INTO {LEXICAL_TABLE} ({LEXICAL_TABLE}, rowid, text)"  # noqa: S608  (our own name)
                " SELECT 'delete', id, text FROM chunk WHERE record = ?",
                (record,),
            )
        gone = self._connection.execute("DELETE FROM chunk WHERE record = ?", (record,)).rowcount
        self._connection.execute("DELETE FROM record WHERE id = ?", (record,))
        if complete and complete[0]:
            self._counts["records"] -= 1
            self._counts["chunks"] -= gone

    def _chunk_ids(self, records: Iterable[int]) -> list[int]:
        return [
            row[0]
            for record in records
            for row in self._connection.execute("SELECT id FROM chunk WHERE record = ?", (record,))
        ]

    def known_vectors(self, text_hashes: Sequence[bytes]) -> dict[bytes, Vectors]:
        """Return the stored vectors of texts that the index holds already, each of shape (dim,)."""
        found = self._known_rows(text_hashes)
        hashes = list(found)
        vectors = read_rows(self._path, self._connection, [found[key] for key in hashes], self._identity.dim)
        return dict(zip(hashes, vectors, strict=True))

    def known_sparse(self, text_hashes: Sequence[bytes]) -> dict[bytes, SparseVector]:
        """Return the stored sparse vectors of texts that the index holds already.

        O(postings of the segments they are in).
        """
        if self._identity.sparse is None:
            return {}
        found = self._known_rows(text_hashes)
        reader = PostingsReader(self._path, self._connection, self._identity.sparse.terms)
        return dict(zip(found, reader.vectors(list(found.values())), strict=True))

    def _known_rows(self, text_hashes: Sequence[bytes]) -> dict[bytes, int]:
        """Return a row of each text that the index holds."""
        found: dict[bytes, int] = {}
        for start in range(0, len(text_hashes), _IN_ONE_QUERY):
            part = text_hashes[start : start + _IN_ONE_QUERY]
            found.update(
                self._connection.execute(
                    f"SELECT text_hash, min(id) FROM chunk WHERE text_hash IN ({', '.join('?' * len(part))})"  # noqa: S608  (only question marks)
                    " GROUP BY text_hash",
                    part,
                )
            )
        return found


def fields_json(record: Record) -> str:
    """Return a record's own fields as the index stores them."""
    return json.dumps(dict(record.fields), ensure_ascii=True, separators=(",", ":"))
