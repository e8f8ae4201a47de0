"""Writing the live vectors of an index together, so that deleted ones and small segments cost nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.index.checksum import row_hash
from embedcli.index.damage import damaged
from embedcli.index.meta import read_identity, read_meta, write_meta
from embedcli.index.postings import PostingsReader, append_postings, drop_postings
from embedcli.index.schema import REBUILD_LEXICAL_SQL, SEGMENT_ROWS
from embedcli.index.segments import append_segment, iter_blocks, iter_heads, next_row, segment_at

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.datatypes import SparseVector
    from embedcli.index.meta import SparseIdentity


def compact(
    path: Path,
    connection: sqlite3.Connection,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Drop deleted vectors, fill up segments, and give the space back to the file system.

    One transaction: killed at any moment, the index is what it was, or compacted. Chunks keep their order and
    get new places. Needs as much room again as the compacted file while it works, and O(segment) memory.

    Args:
        path: For messages.
        connection: From `open_for_writing`, outside a transaction.
        on_progress: Told how many of how many vectors are written.

    Raises:
        DamagedIndexError: A vector or row is not what was written; nothing was changed.
    """
    connection.execute("BEGIN IMMEDIATE")
    _drop_unfinished(connection)
    _write_segments(path, connection, on_progress)
    if read_identity(path, connection).keep_text:
        connection.execute(REBUILD_LEXICAL_SQL)
    counts = read_meta(path, connection, "counts")
    write_meta(connection, "counts", {**counts, "vectors": counts["chunks"]})
    number = int(read_meta(path, connection, "commit")) + 1
    write_meta(connection, "commit", number)
    write_meta(connection, "vectors_commit", number)
    connection.execute("COMMIT")
    connection.execute("VACUUM")


def _drop_unfinished(connection: sqlite3.Connection) -> None:
    """Delete the rows of records that a stopped build began; the next build writes them again."""
    connection.execute("DELETE FROM chunk WHERE record IN (SELECT id FROM record WHERE NOT complete)")
    connection.execute("DELETE FROM record WHERE NOT complete")


def _write_segments(
    path: Path, connection: sqlite3.Connection, on_progress: Callable[[int, int], None]
) -> None:
    """Write the live vectors into new segments behind the old ones, then delete the old ones.

    Ids are never used twice, so no chunk gets in the way of another.
    """
    identity = read_identity(path, connection)
    sparse = _SparseVectors(path, connection, identity.sparse)
    total = connection.execute("SELECT count(*) FROM chunk").fetchone()[0]
    last_old = connection.execute("SELECT coalesce(max(id), 0) FROM segment").fetchone()[0]
    start = new_id = next_row(connection)
    waiting = np.empty((0, identity.dim), dtype=np.float32)
    for first, vectors, dead in iter_blocks(path, connection, identity.dim, before=start):
        rows = np.arange(len(vectors)) if dead is None else np.flatnonzero(~dead)
        new_id = _move_chunks(path, connection, (rows + first).tolist(), new_id)
        sparse.take(first, rows)
        waiting = np.concatenate((waiting, np.asarray(vectors[rows], dtype=np.float32)))
        while len(waiting) >= SEGMENT_ROWS:
            sparse.write(append_segment(connection, waiting[:SEGMENT_ROWS], identity.dtype, None))
            waiting = waiting[SEGMENT_ROWS:]
        on_progress(new_id - start, total)
    if len(waiting):
        sparse.write(append_segment(connection, waiting, identity.dtype, None))
    if new_id - start != total:
        raise damaged(path, f"{total} chunks, but {new_id - start} live vectors")
    connection.execute("DELETE FROM segment WHERE id <= ?", (last_old,))
    connection.execute("DELETE FROM tombstone")
    if identity.sparse is not None:
        drop_postings(connection)


class _SparseVectors:
    """The sparse vectors of an index on their way into new segments; nothing where it has none."""

    def __init__(self, path: Path, connection: sqlite3.Connection, identity: SparseIdentity | None) -> None:
        self._connection, self._identity = connection, identity
        self._waiting: list[SparseVector] = []
        if identity is not None:
            self._reader = PostingsReader(path, connection, identity.terms)
            self._heads = {head.first: head for head, _ in iter_heads(path, connection)}

    def take(self, first: int, rows: npt.NDArray[np.intp]) -> None:
        """Read those of some rows of the segment that begins at `first`."""
        if self._identity is not None:
            vectors = self._reader.segment_vectors(self._heads[first])
            self._waiting += [vectors[row] for row in rows.tolist()]

    def write(self, first: int) -> None:
        """Write those of the segment that was just written, which begins at `first`."""
        if self._identity is not None:
            own, self._waiting = self._waiting[:SEGMENT_ROWS], self._waiting[SEGMENT_ROWS:]
            append_postings(self._connection, segment_at(self._connection, first), own, self._identity.terms)


def _move_chunks(path: Path, connection: sqlite3.Connection, ids: list[int], new_id: int) -> int:
    """Give chunks the ids from `new_id` on, in their order; return the next one."""
    for old_id in ids:
        row = connection.execute("SELECT * FROM chunk WHERE id = ?", (old_id,)).fetchone()
        if row is None or row_hash(row[:-1]) != row[-1]:
            raise damaged(path, f"row {old_id} of chunk")
        columns = (new_id, *row[1:-1])
        connection.execute(
            "UPDATE chunk SET id = ?, row_hash = ? WHERE id = ?", (new_id, row_hash(columns), old_id)
        )
        new_id += 1
    return new_id
