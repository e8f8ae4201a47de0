"""Sparse vectors, turned over: for each term of a segment, the rows that hold it and what it weighs there.

Weights are kept as float16, as vectors are: of what a word weighs (0 to 5) that loses 0.05 % at most. Scores
are exact sums of float64 over what is stored. A segment's tombstones are those of its sparse vectors too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedcli.datatypes import SparseVector
from embedcli.errors import VectorError
from embedcli.index.checksum import row_hash
from embedcli.index.damage import damaged
from embedcli.index.scan import left_out
from embedcli.index.segments import iter_heads
from embedcli.vectors.fuse import best_first

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    from embedcli.index.segments import SegmentHead

    Rows = npt.NDArray[np.int64]
    Doubles = npt.NDArray[np.float64]
    Marks = npt.NDArray[np.bool_]

_ROW = np.dtype("<u2")
_WEIGHT = np.dtype("<f2")
_LARGEST = float(np.finfo(np.float16).max)


class SparseHit(NamedTuple):
    """A chunk and its score, above 0."""

    row: int
    score: float


def stored_weights(vector: SparseVector) -> SparseVector:
    """Return a sparse vector as it is read back: float16, without what that rounds to nothing."""
    weights = np.minimum(vector.weights, _LARGEST).astype(_WEIGHT)
    kept = weights > 0
    return SparseVector(vector.terms[kept], weights[kept].astype(np.float32))


def append_postings(
    connection: sqlite3.Connection, segment: int, vectors: Sequence[SparseVector | None], terms: int
) -> None:
    """Write the sparse vectors of a segment's rows, in their order.

    Args:
        connection: Inside the transaction that writes the segment.
        segment: Its id.
        vectors: One for each row.
        terms: Words in the vocabulary.

    Raises:
        VectorError: A vector is missing, holds a term beyond the vocabulary or a weight that is not finite.
    """
    kept = []
    for vector in vectors:
        if vector is None:
            raise VectorError("a chunk has no sparse vector, and the index holds one for each")
        if not np.isfinite(vector.weights).all() or (len(vector.terms) and vector.terms[-1] >= terms):
            raise VectorError(f"a sparse vector does not fit a vocabulary of {terms} words")
        kept.append(stored_weights(vector))
    rows = np.repeat(np.arange(len(kept)), [len(vector.terms) for vector in kept]).astype(_ROW)
    all_terms = np.concatenate([np.empty(0, np.int32), *(vector.terms for vector in kept)])
    weights = np.concatenate([np.empty(0, np.float32), *(vector.weights for vector in kept)])
    order = np.argsort(all_terms, kind="stable")
    rows, weights = rows[order], weights[order].astype(_WEIGHT)
    held, starts = np.unique(all_terms[order], return_index=True)
    ends = [*starts[1:].tolist(), len(rows)]
    present = np.zeros(terms, dtype=np.bool_)
    present[held] = True
    bits = np.packbits(present).tobytes()
    connection.execute("INSERT INTO sparse VALUES (?, ?, ?)", (segment, bits, row_hash((segment, bits))))
    connection.executemany(
        "INSERT INTO posting VALUES (?, ?, ?, ?, ?)",
        (
            (*columns, row_hash(columns))
            for term, start, end in zip(held.tolist(), starts.tolist(), ends, strict=True)
            for columns in [(segment, term, rows[start:end].tobytes(), weights[start:end].tobytes())]
        ),
    )


@dataclass(frozen=True, slots=True)
class SparseScores:
    """The dot product of one query and each stored sparse vector.

    Attributes:
        blocks: For each segment its first row, its scores, shape (n,), and its deleted rows or None.
    """

    blocks: list[tuple[int, Doubles, Marks | None]]

    def best(self, count: int, allowed: Rows | None = None) -> list[SparseHit]:
        """Return the best rows, best first, those that tie with the last one included.

        A row without any of the query's terms is none of them.

        Args:
            count: Most rows, ties not counted.
            allowed: Shape (n,), ascending: the only rows that may be found; None for all.
        """
        rows, scores = [np.empty(0, np.int64)], [np.empty(0)]
        for first, own, dead in self.blocks:
            marks = left_out(first, len(own), dead, allowed)
            found = np.flatnonzero(own > 0 if marks is None else (own > 0) & ~marks)
            best = found[best_first(own[found], count)]
            rows.append(best + first)
            scores.append(own[best])
        every, values = np.concatenate(rows), np.concatenate(scores)
        return [SparseHit(int(every[place]), float(values[place])) for place in best_first(values, count)]

    def of(self, rows: Sequence[int]) -> Doubles:
        """Return the score of each row, shape (len(rows),); the rows must be there."""
        wanted, found = np.asarray(rows, dtype=np.int64), np.zeros(len(rows))
        for first, own, _ in self.blocks:
            inside = (wanted >= first) & (wanted < first + len(own))
            found[inside] = own[wanted[inside] - first]
        return found


class PostingsReader:
    """Reads the sparse vectors of an open index that has them; every row is compared with its hash."""

    def __init__(self, path: Path, connection: sqlite3.Connection, terms: int) -> None:
        """Prepare to read.

        Args:
            path: For messages.
            connection: The index.
            terms: Words in the vocabulary.
        """
        self._path, self._connection, self._terms = path, connection, terms

    def scores(self, query: SparseVector) -> SparseScores:
        """Return the score of every row. O(postings of the query's terms), and 8 bytes a row.

        Raises:
            DamagedIndexError: A posting is missing or is not what was written.
        """
        blocks = []
        for head, dead in iter_heads(self._path, self._connection):
            own = np.zeros(head.rows)
            for place, offsets, weights in self._postings(head, query.terms):
                own[offsets] += float(query.weights[place]) * weights
            blocks.append((head.first, own, dead))
        return SparseScores(blocks)

    def weights(self, terms: npt.NDArray[np.int32], rows: Sequence[int]) -> Doubles:
        """Return what some terms weigh in some rows, shape (len(rows), len(terms)), 0 where they are not.

        Raises:
            DamagedIndexError: A posting is missing or is not what was written.
        """
        wanted, found = np.asarray(rows, dtype=np.int64), np.zeros((len(rows), len(terms)))
        for head, _ in iter_heads(self._path, self._connection):
            inside = np.flatnonzero((wanted >= head.first) & (wanted < head.first + head.rows))
            if len(inside):
                for place, offsets, weights in self._postings(head, terms):
                    own = np.zeros(head.rows)
                    own[offsets] = weights
                    found[inside, place] = own[wanted[inside] - head.first]
        return found

    def vectors(self, rows: Sequence[int]) -> list[SparseVector]:
        """Return the sparse vectors of some rows. O(all postings of their segments).

        Raises:
            DamagedIndexError: A posting is missing or is not what was written, or a row is in no segment.
        """
        if not len(rows):
            return []
        found: dict[int, SparseVector] = {}
        wanted = np.unique(np.asarray(rows, dtype=np.int64))
        for head, _ in iter_heads(self._path, self._connection):
            start, end = np.searchsorted(wanted, (head.first, head.first + head.rows))
            if start < end:
                inside = wanted[start:end]
                own = self.segment_vectors(head)
                found.update((int(row), own[int(row) - head.first]) for row in inside)
        if len(found) < len(wanted):
            raise damaged(self._path, "a sparse vector is in no segment")
        return [found[row] for row in rows]

    def segment_vectors(self, head: SegmentHead) -> list[SparseVector]:
        """Return the sparse vectors of a segment, deleted ones too, in the order of its rows.

        Raises:
            DamagedIndexError: A posting is missing or is not what was written.
        """
        rows, terms = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
        weights = [np.empty(0, np.float32)]
        held = np.flatnonzero(self._present(head)).astype(np.int32)
        for place, offsets, own in self._postings(head, held):
            rows.append(offsets)
            terms.append(np.full(len(offsets), held[place], dtype=np.int32))
            weights.append(own.astype(np.float32))
        every = np.concatenate(rows)
        order = np.argsort(every, kind="stable")
        ends = np.searchsorted(every[order], np.arange(1, head.rows))
        return [
            SparseVector(*pair)
            for pair in zip(
                np.split(np.concatenate(terms)[order], ends),
                np.split(np.concatenate(weights)[order], ends),
                strict=True,
            )
        ]

    def _present(self, head: SegmentHead) -> Marks:
        """Return which words of the vocabulary a segment holds, shape (terms,)."""
        row = self._connection.execute("SELECT * FROM sparse WHERE segment = ?", (head.id,)).fetchone()
        if row is None or not _is_head(row, self._terms):
            raise damaged(self._path, f"the sparse vectors of segment {head.id}")
        return _marks(row[1], self._terms)

    def _postings(
        self, head: SegmentHead, terms: npt.NDArray[np.int32]
    ) -> Iterator[tuple[int, Rows, npt.NDArray[np.float64]]]:
        """Yield place among `terms`, rows within the segment, and weights, for those that it holds."""
        present = self._present(head)
        # A query of another model is refused before; what is not in the vocabulary is nowhere.
        for place in np.flatnonzero(present[np.minimum(terms, self._terms - 1)]).tolist():
            row = self._connection.execute(
                "SELECT * FROM posting WHERE segment = ? AND term = ?", (head.id, int(terms[place]))
            ).fetchone()
            if row is None or _posting_problem(row, head.rows):
                raise damaged(self._path, f"the posting of term {terms[place]} in segment {head.id}")
            yield (
                place,
                np.frombuffer(row[2], dtype=_ROW).astype(np.int64),
                np.frombuffer(row[3], dtype=_WEIGHT).astype(np.float64),
            )


def _is_head(row: tuple[Any, ...], terms: int) -> bool:
    return row_hash(row[:-1]) == row[-1] and isinstance(row[1], bytes) and len(row[1]) == (terms + 7) // 8


def _marks(bits: bytes, terms: int) -> Marks:
    return np.unpackbits(np.frombuffer(bits, dtype=np.uint8), count=terms).astype(np.bool_)


def _posting_problem(row: tuple[Any, ...], count: int) -> str:
    """Return what is wrong with a row of `posting` in a segment of `count` rows; empty if nothing is."""
    _, _, rows, weights, stored = row
    if row_hash(row[:-1]) != stored:
        return "not what was written"
    if not isinstance(rows, bytes) or not isinstance(weights, bytes):
        return "no blobs"
    if len(rows) % _ROW.itemsize or len(weights) % _WEIGHT.itemsize:
        return "no whole numbers"
    offsets, values = np.frombuffer(rows, dtype=_ROW), np.frombuffer(weights, dtype=_WEIGHT)
    if not len(offsets) == len(values) > 0 or offsets[-1] >= count:
        return f"{len(offsets)} rows and {len(values)} weights do not fit {count} vectors"
    if not (np.diff(offsets.astype(np.int64)) > 0).all() or not ((values > 0) & np.isfinite(values)).all():
        return "rows are not ascending, or weights not above 0"
    return ""


def sparse_problems(connection: sqlite3.Connection, segment: int, count: int, terms: int) -> Iterator[str]:
    """Yield what is wrong with the sparse vectors of a segment of `count` rows, a line each."""
    head = connection.execute("SELECT * FROM sparse WHERE segment = ?", (segment,)).fetchone()
    if head is None or not _is_head(head, terms):
        yield "the list of its terms is not what was written"
        return
    missing = _marks(head[1], terms)
    for row in connection.execute("SELECT * FROM posting WHERE segment = ? ORDER BY term", (segment,)):
        problem = _posting_problem(row, count)
        if problem:
            yield f"the posting of term {row[1]}: {problem}"
        if not isinstance(row[1], int) or not 0 <= row[1] < terms or not missing[row[1]]:
            yield f"the posting of term {row[1]} is not on the list of its terms"
        else:
            missing[row[1]] = False
    if missing.any():
        yield f"the posting of term {np.flatnonzero(missing)[0]} is missing"


def orphaned_segments(connection: sqlite3.Connection) -> list[int]:
    """Return the segments that have sparse vectors and are not there."""
    return [
        row[0]
        for row in connection.execute(
            "SELECT segment FROM sparse WHERE segment NOT IN (SELECT id FROM segment)"
            " UNION SELECT segment FROM posting WHERE segment NOT IN (SELECT id FROM segment)"
        )
    ]


def drop_postings(connection: sqlite3.Connection) -> None:
    """Delete the sparse vectors of segments that are not there any more."""
    for table in ("sparse", "posting"):
        connection.execute(f"DELETE FROM {table} WHERE segment NOT IN (SELECT id FROM segment)")  # noqa: S608  (our own names)
