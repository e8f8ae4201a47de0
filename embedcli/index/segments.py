"""Blocks of vectors: written once, verified before use, deleted rows marked beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import xxhash

from embedcli.errors import VectorError
from embedcli.index.checksum import hash_bytes, row_hash, vector_hashes
from embedcli.index.damage import damaged
from embedcli.vectors.quantize import quantize
from embedcli.vectors.signs import WORD_BYTES, restore_signs, sign_words, word_count

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.datatypes import VectorDtype, Vectors
    from embedcli.vectors.signs import Words

    Rows = npt.NDArray[np.int64]

STORED_DTYPES: dict[str, str] = {"float32": "<f4", "float16": "<f2", "int8": "i1", "binary": ""}
"""What vectors can be stored as, and as what numbers; `binary` keeps the sign bits alone."""

_WHOLE_BLOCK_RATIO = 0.1
"""From this share of a segment's rows on, reading all of it is cheaper than reading them one by one."""

_HASH_BYTES = 8


class Block(NamedTuple):
    """The vectors of one segment.

    Attributes:
        first: `chunk.id` of the first row.
        vectors: Shape (n, dim), float32, float16 or int8; what counts is their direction.
        dead: Shape (n,), bool: deleted rows; None when there are none.
    """

    first: int
    vectors: npt.NDArray[Any]
    dead: npt.NDArray[np.bool_] | None


class SignBlock(NamedTuple):
    """The sign bits of one segment.

    Attributes:
        first: `chunk.id` of the first row.
        words: Shape (words, n), uint64.
        dead: Shape (n,), bool: deleted rows; None when there are none.
    """

    first: int
    words: Words
    dead: npt.NDArray[np.bool_] | None


class SegmentHead(NamedTuple):
    """A segment without its blobs: id, first row, how many rows, and what its hashes are."""

    id: int
    first: int
    rows: int
    dtype: str
    signs_hash: int
    vectors_hash: int
    hashes_hash: int
    row_hash: int


_HEAD = "segment.id, first, count, dtype, signs_hash, vectors_hash, hashes_hash, segment.row_hash"
_WITH_MARKS = "FROM segment LEFT JOIN tombstone ON tombstone.segment = segment.id"


def next_row(connection: sqlite3.Connection) -> int:
    """Return the id that the next stored vector gets. Ids are never used twice."""
    row = connection.execute("SELECT first + count FROM segment ORDER BY first DESC LIMIT 1").fetchone()
    return int(row[0]) if row else 1


def segment_at(connection: sqlite3.Connection, first: int) -> int:
    """Return the id of the segment whose first row that is."""
    return int(connection.execute("SELECT id FROM segment WHERE first = ?", (first,)).fetchone()[0])


def append_segment(
    connection: sqlite3.Connection,
    vectors: Vectors,
    dtype: str,
    dead: npt.NDArray[np.bool_] | None,
    first: int | None = None,
) -> int:
    """Write one segment and return the id of its first row.

    Args:
        connection: Inside a transaction.
        vectors: Shape (n, dim), float32, unit length.
        dtype: What they are stored as; a key of `STORED_DTYPES`.
        dead: Shape (n,): rows that are not to be found yet; None for none.
        first: The id of the first row; None for the next one.

    Raises:
        VectorError: A value is not finite.
    """
    if not np.isfinite(vectors).all():
        raise VectorError("vectors hold values that are not finite numbers")
    stored = _stored(vectors, dtype)
    # Of what is stored: a segment that is written again from its own numbers is the same, byte for byte.
    signs = sign_words(vectors if dtype == "binary" else stored).tobytes()
    content, hashes = stored.tobytes(), vector_hashes(stored)
    number = connection.execute("SELECT coalesce(max(id), 0) + 1 FROM segment").fetchone()[0]
    head = (
        number,
        next_row(connection) if first is None else first,
        len(vectors),
        dtype,
        hash_bytes(signs),
        hash_bytes(content),
        hash_bytes(hashes),
    )
    connection.execute(
        f"INSERT INTO segment VALUES ({', '.join('?' * 11)})",  # noqa: S608  (only question marks)
        (*head, row_hash(head), signs, hashes, content),
    )
    if dead is not None and dead.any():
        _write_tombstone(connection, number, dead)
    return head[1]


def _stored(vectors: Vectors, dtype: str) -> npt.NDArray[Any]:
    """Return vectors as they are stored, shape (n, dim), or (0, 0) where the signs are all that is kept."""
    if dtype == "binary":
        return np.empty((0, 0), dtype=np.int8)
    name: VectorDtype = "int8" if dtype == "int8" else "float32" if dtype == "float32" else "float16"
    return quantize(vectors, name).codes.astype(STORED_DTYPES[dtype], copy=False)


def _write_tombstone(connection: sqlite3.Connection, segment: int, dead: npt.NDArray[np.bool_]) -> None:
    bits = np.packbits(dead).tobytes()
    connection.execute(
        "INSERT OR REPLACE INTO tombstone VALUES (?, ?, ?)", (segment, bits, row_hash((segment, bits)))
    )


def mark_rows(path: Path, connection: sqlite3.Connection, rows: Sequence[int], *, dead: bool) -> None:
    """Mark vectors as deleted, or as alive again. O(rows + segments touched).

    Raises:
        DamagedIndexError: A row is in no segment.
    """
    wanted = np.unique(np.asarray(rows, dtype=np.int64))
    for head, marks, inside in _segments_of(path, connection, wanted):
        changed = np.zeros(head.rows, dtype=np.bool_) if marks is None else marks
        changed[inside - head.first] = dead
        _write_tombstone(connection, head.id, changed)


def _dead_rows(
    path: Path, segment: int, count: int, bits: bytes | None, stored_hash: int | None
) -> npt.NDArray[np.bool_] | None:
    """Return a segment's deletion marks, shape (count,), or None if it has none."""
    if bits is None:
        return None
    if row_hash((segment, bits)) != stored_hash or len(bits) != (count + 7) // 8:
        raise damaged(path, f"the deletion marks of segment {segment}")
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=count).astype(np.bool_)


def _checked_head(path: Path, columns: Sequence[Any]) -> SegmentHead:
    """Return a segment's small columns, compared with their hash.

    Raises:
        DamagedIndexError: They are not what was written.
    """
    if row_hash(columns[:-1]) != columns[-1] or columns[3] not in STORED_DTYPES:
        raise damaged(path, f"segment {columns[0]}")
    return SegmentHead(*columns)


def _iter_segments(
    path: Path, connection: sqlite3.Connection, blobs: str, before: int | None = None
) -> Iterator[tuple[SegmentHead, npt.NDArray[np.bool_] | None, tuple[Any, ...]]]:
    """Yield each segment's small columns, its deletion marks, both verified, and some of its blobs."""
    for row in connection.execute(
        f"SELECT {_HEAD}, dead, tombstone.row_hash, {blobs} {_WITH_MARKS}"
        " WHERE ?1 IS NULL OR first < ?1 ORDER BY first",
        (before,),
    ):
        head = _checked_head(path, row[:8])
        yield head, _dead_rows(path, head.id, head.rows, row[8], row[9]), row[10:]


def iter_heads(
    path: Path, connection: sqlite3.Connection
) -> Iterator[tuple[SegmentHead, npt.NDArray[np.bool_] | None]]:
    """Yield each segment without its blobs, and its deletion marks, verified; see `iter_blocks`.

    Raises:
        DamagedIndexError: A checksum does not match.
    """
    for head, dead, _ in _iter_segments(path, connection, "NULL"):
        yield head, dead


def iter_blocks(
    path: Path, connection: sqlite3.Connection, dim: int, *, before: int | None = None
) -> Iterator[Block]:
    """Yield all segments in the order they were written, each verified. One is in memory at a time.

    Args:
        path: For messages.
        connection: The index.
        dim: Numbers in a vector.
        before: Only segments whose first row is below this one; None for all.

    Raises:
        DamagedIndexError: A checksum does not match.
    """
    for head, dead, (signs, content) in _iter_segments(path, connection, "signs, vectors", before):
        yield Block(head.first, _block(path, head, signs, content, dim), dead)


def iter_signs(path: Path, connection: sqlite3.Connection, dim: int) -> Iterator[SignBlock]:
    """Yield the sign bits of all segments in the order they were written, each verified.

    Raises:
        DamagedIndexError: A checksum does not match.
    """
    for head, dead, (signs,) in _iter_segments(path, connection, "signs"):
        yield SignBlock(head.first, _words(path, head, signs, dim), dead)


def iter_row_hashes(
    path: Path, connection: sqlite3.Connection
) -> Iterator[tuple[int, npt.NDArray[np.uint64], npt.NDArray[np.bool_] | None]]:
    """Yield first row, the hash of each vector, shape (n,), and the deleted rows of each segment, verified.

    Raises:
        DamagedIndexError: A checksum does not match.
    """
    for head, dead, (hashes,) in _iter_segments(path, connection, "row_hashes"):
        if hash_bytes(hashes) != head.hashes_hash:
            raise damaged(path, f"the row hashes of segment {head.id}")
        yield head.first, np.frombuffer(hashes, dtype="<u8"), dead


def iter_live_rows(path: Path, connection: sqlite3.Connection) -> Iterator[Rows]:
    """Yield the rows of each segment that are not deleted, ascending. No vector is read.

    Raises:
        DamagedIndexError: The marks are not what was written.
    """
    for head, dead, _ in _iter_segments(path, connection, "NULL"):
        rows = np.arange(head.first, head.first + head.rows, dtype=np.int64)
        yield rows if dead is None else rows[~dead]


def content_hash(connection: sqlite3.Connection) -> str:
    """Return the hash of all stored vectors and deletion marks, through their own hashes. O(segments)."""
    content = xxhash.xxh3_128()
    for pair in connection.execute(
        f"SELECT segment.row_hash, tombstone.row_hash {_WITH_MARKS} ORDER BY first"
    ):
        content.update(repr(pair).encode())
    return content.hexdigest()


def read_rows(path: Path, connection: sqlite3.Connection, rows: Sequence[int] | Rows, dim: int) -> Vectors:
    """Return single vectors, shape (len(rows), dim), float32, each verified.

    Rows of one segment are read together: all of it where many are wanted, else one by one from the middle
    of its blob. int8 rows come as codes, which have the direction of the vector and not its length.

    Raises:
        DamagedIndexError: A vector is not what was written, or is not there.
    """
    wanted = np.asarray(rows, dtype=np.int64)
    vectors = np.zeros((len(wanted), dim), dtype=np.float32)
    order = np.argsort(wanted, kind="stable")
    done = 0
    for head, _, inside in _segments_of(path, connection, wanted[order]):
        places = order[done : done + len(inside)]
        done += len(inside)
        offsets = inside - head.first
        if head.dtype == "binary" or len(inside) > _WHOLE_BLOCK_RATIO * head.rows:
            signs, content = connection.execute(
                "SELECT signs, vectors FROM segment WHERE id = ?", (head.id,)
            ).fetchone()
            vectors[places] = _block(path, head, signs, content, dim)[offsets]
        else:
            vectors[places] = _single_rows(path, connection, head, offsets.tolist(), dim)
    return vectors


def _segments_of(
    path: Path, connection: sqlite3.Connection, rows: Rows
) -> Iterator[tuple[SegmentHead, npt.NDArray[np.bool_] | None, Rows]]:
    """Yield each segment that holds some of the rows, its deletion marks, and its part of the rows.

    Args:
        path: For messages.
        connection: The index.
        rows: Ascending; may hold a row twice.

    Raises:
        DamagedIndexError: A row is in no segment.
    """
    position = 0
    while position < len(rows):
        row = connection.execute(
            f"SELECT {_HEAD}, dead, tombstone.row_hash {_WITH_MARKS}"
            " WHERE first <= ? ORDER BY first DESC LIMIT 1",
            (int(rows[position]),),
        ).fetchone()
        head = None if row is None else _checked_head(path, row[:8])
        if head is None or rows[position] >= head.first + head.rows:
            raise damaged(path, f"vector {rows[position]} is in no segment")
        end = int(np.searchsorted(rows, head.first + head.rows))
        yield head, _dead_rows(path, head.id, head.rows, row[8], row[9]), rows[position:end]
        position = end


def _words(path: Path, head: SegmentHead, signs: bytes, dim: int) -> Words:
    if hash_bytes(signs) != head.signs_hash or len(signs) != head.rows * word_count(dim) * WORD_BYTES:
        raise damaged(path, f"the sign bits of segment {head.id}")
    return np.frombuffer(signs, dtype="<u8").reshape(word_count(dim), head.rows)


def _block(path: Path, head: SegmentHead, signs: bytes, content: bytes, dim: int) -> npt.NDArray[Any]:
    """Return the vectors of a segment, shape (count, dim), verified."""
    if head.dtype == "binary":
        return restore_signs(_words(path, head, signs, dim), dim)
    stored = np.dtype(STORED_DTYPES[head.dtype])
    if hash_bytes(content) != head.vectors_hash or len(content) != head.rows * dim * stored.itemsize:
        raise damaged(path, f"the vectors of segment {head.id}")
    return np.frombuffer(content, dtype=stored).reshape(head.rows, dim)


def _single_rows(
    path: Path, connection: sqlite3.Connection, head: SegmentHead, offsets: list[int], dim: int
) -> npt.NDArray[Any]:
    """Return rows of a segment read from the middle of its blobs, each compared with its own hash."""
    stored = np.dtype(STORED_DTYPES[head.dtype])
    row_bytes = dim * stored.itemsize
    rows = []
    with (
        connection.blobopen("segment", "vectors", head.id, readonly=True) as vectors,
        connection.blobopen("segment", "row_hashes", head.id, readonly=True) as hashes,
    ):
        if len(vectors) != head.rows * row_bytes or len(hashes) != head.rows * _HASH_BYTES:
            raise damaged(path, f"the vectors of segment {head.id}")
        for offset in offsets:
            vectors.seek(offset * row_bytes)
            hashes.seek(offset * _HASH_BYTES)
            content = vectors.read(row_bytes)
            if xxhash.xxh3_64_digest(content)[::-1] != hashes.read(_HASH_BYTES):
                raise damaged(path, f"vector {head.first + offset}")
            rows.append(content)
    return np.frombuffer(b"".join(rows), dtype=stored).reshape(len(offsets), dim)
