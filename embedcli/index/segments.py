"""Blocks of vectors: written once, verified before use, deleted rows marked beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import xxhash

from embedcli.index.checksum import hash_bytes, row_hash, vector_hashes
from embedcli.index.file import damaged

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

_STORED_DTYPES = {"float16": "<f2", "float32": "<f4"}


class Block(NamedTuple):
    """The vectors of one segment.

    Attributes:
        first: `chunk.id` of the first row.
        vectors: Shape (n, dim), float16 or float32, unit length.
        dead: Shape (n,), bool: deleted rows; None when there are none.
    """

    first: int
    vectors: npt.NDArray[np.floating]
    dead: npt.NDArray[np.bool_] | None


def next_row(connection: sqlite3.Connection) -> int:
    """Return the id that the next stored vector gets. Ids are never used twice."""
    row = connection.execute("SELECT first + count FROM segment ORDER BY first DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 1


def append_segment(
    connection: sqlite3.Connection, vectors: Vectors, dtype: str, dead: npt.NDArray[np.bool_] | None
) -> int:
    """Write one segment and return the id of its first row.

    Args:
        connection: Inside a transaction.
        vectors: Shape (n, dim), float32, unit length.
        dtype: What they are stored as: `float16` or `float32`.
        dead: Shape (n,): rows that are not to be found yet; None for none.
    """
    stored = vectors.astype(_STORED_DTYPES[dtype])
    content = stored.tobytes()
    columns = (next_row(connection), len(stored), dtype, hash_bytes(content), vector_hashes(stored))
    first, count, _, content_hash, hashes = columns
    cursor = connection.execute(
        "INSERT INTO segment (first, count, dtype, vectors, vectors_hash, row_hashes, row_hash)"
        " VALUES (?, ?, ?, ?, ?, ?, ?)",
        (first, count, dtype, content, content_hash, hashes, row_hash(columns)),
    )
    if dead is not None and dead.any():
        _write_tombstone(connection, cursor.lastrowid or 0, dead)
    return first


def _write_tombstone(connection: sqlite3.Connection, segment: int, dead: npt.NDArray[np.bool_]) -> None:
    bits = np.packbits(dead).tobytes()
    connection.execute(
        "INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?)", (segment, bits, row_hash((segment, bits)))
    )


def mark_rows(path: Path, connection: sqlite3.Connection, rows: Sequence[int], *, dead: bool) -> None:
    """Mark vectors as deleted, or as alive again. O(rows + segments touched)."""
    wanted = np.unique(np.asarray(rows, dtype=np.int64))
    position = 0
    while position < len(wanted):
        segment, first, count, bits, stored_hash = connection.execute(
            "SELECT id, first, count, dead, tombstone.row_hash FROM segment"
            " LEFT JOIN tombstone ON segment = id WHERE first <= ? ORDER BY first DESC LIMIT 1",
            (int(wanted[position]),),
        ).fetchone()
        marks = _dead_rows(path, segment, count, bits, stored_hash)
        if marks is None:
            marks = np.zeros(count, dtype=np.bool_)
        end = int(np.searchsorted(wanted, first + count))
        marks[wanted[position:end] - first] = dead
        _write_tombstone(connection, segment, marks)
        position = max(end, position + 1)


def _dead_rows(
    path: Path, segment: int, count: int, bits: bytes | None, stored_hash: int | None
) -> npt.NDArray[np.bool_] | None:
    """Return a segment's deletion marks, shape (count,), or None if it has none."""
    if bits is None:
        return None
    if row_hash((segment, bits)) != stored_hash or len(bits) != (count + 7) // 8:
        raise damaged(path, f"the deletion marks of segment {segment}")
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=count).astype(np.bool_)


def iter_blocks(path: Path, connection: sqlite3.Connection, dim: int) -> Iterator[Block]:
    """Yield all segments in the order they were written, each verified. One is in memory at a time.

    Raises:
        DamagedIndexError: A checksum does not match.
    """
    for (
        segment,
        first,
        count,
        dtype,
        vectors,
        vectors_hash,
        hashes,
        stored,
        bits,
        bits_hash,
    ) in connection.execute(
        "SELECT id, first, count, dtype, vectors, vectors_hash, row_hashes, segment.row_hash, dead,"
        " tombstone.row_hash FROM segment LEFT JOIN tombstone ON segment = id ORDER BY first"
    ):
        whole = row_hash((first, count, dtype, vectors_hash, hashes)) == stored
        if not whole or hash_bytes(vectors) != vectors_hash:
            raise damaged(path, f"the vectors of segment {segment}")
        block = np.frombuffer(vectors, dtype=_STORED_DTYPES[dtype])
        if len(block) != count * dim:
            raise damaged(path, f"segment {segment} holds {len(block)} numbers, not {count} x {dim}")
        yield Block(first, block.reshape(count, dim), _dead_rows(path, segment, count, bits, bits_hash))


def read_rows(path: Path, connection: sqlite3.Connection, rows: Sequence[int], dim: int) -> Vectors:
    """Return single vectors, shape (len(rows), dim), float32, each verified by its own checksum.

    Raises:
        DamagedIndexError: A vector is not what was written.
    """
    vectors = np.zeros((len(rows), dim), dtype=np.float32)
    for position, row in enumerate(rows):
        segment, first, dtype = connection.execute(
            "SELECT id, first, dtype FROM segment WHERE first <= ? ORDER BY first DESC LIMIT 1", (row,)
        ).fetchone() or (0, 0, "")
        if not segment:
            raise damaged(path, f"vector {row} is in no segment")
        stored = np.dtype(_STORED_DTYPES[dtype])
        content = _read_blob(
            connection, "vectors", segment, (row - first) * dim * stored.itemsize, dim * stored.itemsize
        )
        expected = _read_blob(connection, "row_hashes", segment, (row - first) * 8, 8)
        if xxhash.xxh3_64_intdigest(content) != int.from_bytes(expected, "little"):
            raise damaged(path, f"vector {row}")
        vectors[position] = np.frombuffer(content, dtype=stored)
    return vectors


def _read_blob(connection: sqlite3.Connection, column: str, segment: int, start: int, length: int) -> bytes:
    """Read part of a blob without reading the rest."""
    with connection.blobopen("segment", column, segment, readonly=True) as blob:
        blob.seek(start)
        return blob.read(length)
