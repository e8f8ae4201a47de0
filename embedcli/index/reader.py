"""What an index answers: its blocks of vectors, the rows behind a hit, and its state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from embedcli.index.damage import damaged
from embedcli.index.meta import Identity, read_identity, read_meta
from embedcli.index.rows import KnownRows, json_object, read_all_rows
from embedcli.index.segments import (
    Block,
    SignBlock,
    content_hash,
    iter_blocks,
    iter_live_rows,
    iter_row_hashes,
    iter_signs,
    read_rows,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json, Vectors
    from embedcli.index.postings import PostingsReader


_FEW_RECORDS = 1000
"""So many are looked up one by one; for more, all chunks are read."""


@dataclass(frozen=True, slots=True)
class StoredChunk:
    """A chunk with all that is shown of it.

    Attributes:
        id: The vector's place.
        root: The root as stored; `-` for standard input.
        path: The file relative to its root.
        record: The record's own id.
        ordinal: Number within the record, from 1.
        start: First character in the record's text.
        end: One past the last.
        text: None in an index without text.
        text_hash: Of what was encoded.
    """

    id: int
    root: bytes
    path: bytes
    record: str
    ordinal: int
    start: int
    end: int
    line: int
    end_line: int
    text: str | None
    text_hash: bytes
    fields: Mapping[str, Json]


class StoredPlace(NamedTuple):
    """A source without what it holds.

    Attributes:
        root: The root as stored; `-` for standard input.
        path: Relative to the root; empty for the root itself.
        mtime_ns: Time of its last change; None where there is no file.
        state: `indexed`, `partial` or `skipped`.
    """

    id: int
    root: bytes
    path: bytes
    mtime_ns: int | None
    state: str
    reason: str | None


@dataclass(frozen=True, slots=True)
class IndexStatus:
    """What `index status` shows."""

    identity: Identity
    roots: tuple[bytes, ...]
    sources: int
    records: int
    chunks: int
    deleted: int
    skipped: int
    partial: int
    commit: int
    settings: tuple[str, ...]


class IndexReader:
    """Reads an open index; see `open_for_reading`.

    Attributes:
        path: The file.
        identity: What its vectors are.
        known_rows: Rows that were read.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self.identity = read_identity(path, connection)
        self.known_rows = KnownRows(path, connection)

    def blocks(self) -> Iterator[Block]:
        """Yield all vectors, a verified segment at a time."""
        return iter_blocks(self.path, self._connection, self.identity.dim)

    def signs(self) -> Iterator[SignBlock]:
        """Yield all sign bits, a verified segment at a time."""
        return iter_signs(self.path, self._connection, self.identity.dim)

    def vectors(self, rows: Sequence[int] | npt.NDArray[np.int64]) -> Vectors:
        """Return single vectors, shape (len(rows), dim), float32, each verified; see `read_rows`."""
        return read_rows(self.path, self._connection, rows, self.identity.dim)

    def postings(self) -> PostingsReader | None:
        """Return what reads the sparse vectors; None for an index without."""
        from embedcli.index.postings import PostingsReader

        sparse = self.identity.sparse
        return None if sparse is None else PostingsReader(self.path, self._connection, sparse.terms)

    def row_hashes(self) -> Iterator[tuple[int, npt.NDArray[np.uint64], npt.NDArray[np.bool_] | None]]:
        """Yield the hashes of all vectors, a verified segment at a time; see `iter_row_hashes`."""
        return iter_row_hashes(self.path, self._connection)

    def live_rows(self) -> npt.NDArray[np.int64]:
        """Return all rows that are not deleted, ascending. O(vectors)."""
        import numpy as np

        empty = np.empty(0, dtype=np.int64)
        return np.concatenate([empty, *iter_live_rows(self.path, self._connection)])

    def content_hash(self) -> str:
        """Return the hash of all stored vectors and deletion marks."""
        return content_hash(self._connection)

    def counts(self) -> dict[str, int]:
        """Return how many sources, records, chunks and stored vectors there are."""
        found: dict[str, int] = read_meta(self.path, self._connection, "counts")
        return found

    def commit(self) -> int:
        """Return the number of the commit that is being read."""
        return int(read_meta(self.path, self._connection, "commit"))

    def vectors_commit(self) -> int:
        """Return the number of the last commit that added or deleted vectors."""
        return int(read_meta(self.path, self._connection, "vectors_commit"))

    def query_defaults(self) -> dict[str, Json]:
        """Return the settings of queries that are stored with the index."""
        found: dict[str, Json] = read_meta(self.path, self._connection, "query_defaults")
        return found

    def sources(self) -> list[StoredPlace]:
        """Return all sources, by root and path."""
        roots = {row[0]: row[1] for row in self._rows("root")}
        found = []
        for row in sorted(self._rows("source"), key=lambda row: (row[1], row[2])):
            if row[1] not in roots:
                raise damaged(self.path, f"row {row[0]} of source")
            found.append(StoredPlace(row[0], roots[row[1]], row[2], row[4], row[9], row[10]))
        return found

    def root_ids(self) -> dict[bytes, int]:
        """Return the stored roots that are paths, and their ids."""
        return dict(self._connection.execute("SELECT path, id FROM root WHERE id > 0"))

    def sizes(self) -> dict[int, tuple[int, int]]:
        """Return how many records and chunks each source has, by its id. O(chunks)."""
        return {
            source: (records, chunks)
            for source, records, chunks in self._connection.execute(
                "SELECT source, count(DISTINCT record.id), count(chunk.id) FROM record"
                " LEFT JOIN chunk ON chunk.record = record.id WHERE complete GROUP BY source"
            )
        }

    def stdin_records(self, name: str) -> list[int]:
        """Return the records from standard input with that id."""
        return [
            row[0]
            for row in self._connection.execute(
                "SELECT record.id FROM record JOIN source ON source.id = record.source"
                " WHERE root = 0 AND record.name = ?",
                (name,),
            )
        ]

    def sample_chunks(self, count: int, seed: int) -> list[int]:
        """Return some live vectors' places, ascending; the same ones for the same content and seed."""
        import random

        ids = [
            row[0]
            for row in self._connection.execute(
                "SELECT chunk.id FROM chunk JOIN record ON record.id = chunk.record WHERE complete"
            )
        ]
        return sorted(random.Random(seed).sample(ids, min(count, len(ids))))  # noqa: S311  (a sample, no secret)

    def iter_records(self) -> Iterator[tuple[int, int, str, str]]:
        """Yield id, source, own id and fields (JSON) of every complete record, unverified."""
        yield from self._connection.execute("SELECT id, source, name, fields FROM record WHERE complete")

    def rows_of_records(self, records: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return the vectors' places of some records, ascending. O(all chunks).

        Args:
            records: Ids, ascending.
        """
        import numpy as np

        if len(records) <= _FEW_RECORDS:
            few = [
                row[0]
                for record in records.tolist()
                for row in self._connection.execute("SELECT id FROM chunk WHERE record = ?", (record,))
            ]
            return np.array(sorted(few), dtype=np.int64)
        pairs = np.fromiter(
            self._connection.execute("SELECT record, id FROM chunk"), dtype=[("record", "i8"), ("id", "i8")]
        )
        found: npt.NDArray[np.int64] = np.sort(pairs["id"][np.isin(pairs["record"], records)])
        return found

    def chunks(self, ids: Sequence[int]) -> list[StoredChunk]:
        """Return the chunks of some vectors, in the order asked for.

        Raises:
            DamagedIndexError: A row is missing or is not what was written.
        """
        # Most hits are from few files.
        places: dict[int, tuple[bytes, bytes]] = {}
        return [self._chunk(number, places) for number in ids]

    def _chunk(self, number: int, places: dict[int, tuple[bytes, bytes]]) -> StoredChunk:
        chunk = self._row("chunk", number)
        record = self._row("record", chunk[1])
        if record[1] not in places:
            source = self._row("source", record[1])
            places[record[1]] = (self._row("root", source[1])[1], source[2])
        root, path = places[record[1]]
        return StoredChunk(
            id=chunk[0],
            root=root,
            path=path,
            record=record[2],
            ordinal=chunk[2],
            start=chunk[3],
            end=chunk[4],
            line=chunk[7],
            end_line=chunk[8],
            text=chunk[9],
            text_hash=chunk[10],
            fields=json_object(self.path, record[5], f"the fields of record {record[0]}"),
        )

    def _row(self, table: str, number: int) -> tuple[Any, ...]:
        return self.known_rows.read(table, number)

    def _rows(self, table: str) -> list[tuple[Any, ...]]:
        return read_all_rows(self.path, self._connection, table)

    def status(self) -> IndexStatus:
        """Return what the index holds. One pass over the small tables."""

        def count(sql: str) -> int:
            return int(self._connection.execute(sql).fetchone()[0] or 0)

        vectors = count("SELECT sum(count) FROM segment")
        chunks = count("SELECT count(*) FROM chunk JOIN record ON record.id = record WHERE complete")
        return IndexStatus(
            identity=self.identity,
            roots=self.roots(),
            sources=count("SELECT count(*) FROM source WHERE state <> 'skipped'"),
            records=count("SELECT count(*) FROM record WHERE complete"),
            chunks=chunks,
            deleted=vectors - chunks,
            skipped=count("SELECT count(*) FROM source WHERE state = 'skipped'"),
            partial=count("SELECT count(*) FROM source WHERE state = 'partial'"),
            commit=int(read_meta(self.path, self._connection, "commit")),
            settings=tuple(sorted({row[11] for row in self._rows("source") if row[9] != "skipped"})),
        )

    def roots(self) -> tuple[bytes, ...]:
        """Return the stored roots that are paths, in the order they were added."""
        return tuple(row[1] for row in self._rows("root") if row[0] > 0)

    def skipped(self) -> list[tuple[bytes, bytes, str]]:
        """Return root, path and reason of each file that was left out, by path."""
        return [
            (source.root, source.path, source.reason or "")
            for source in self.sources()
            if source.state == "skipped"
        ]
