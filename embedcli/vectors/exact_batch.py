"""The rows that can be among the best for many queries at once, by matrix products over blocks.

What comes out is a superset of the exact answers, a little larger than `k` rows a query: `exact.TopK` decides
among them. One product for many queries reads each block once and not once a query.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.errors import UsageError
from embedcli.vectors.exact import SAFE_SQUARES, safe_margin
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Rows = npt.NDArray[np.int64]

_CELLS = 1 << 20
"""Cosines computed at a time, 4 MiB."""

_COMPACT_RATIO = 4
"""How many times the wanted number of candidates may gather before those that fell behind are dropped."""


class BatchCandidates:
    """Candidates for the `k` rows with the highest cosine of each query, over blocks of vectors.

    Memory is O(queries x (dim + k) + one block).
    """

    def __init__(self, queries: Vectors, k: int, min_score: float | None = None) -> None:
        """Start with nothing seen.

        Args:
            queries: Shape (q, dim), float32, of any length.
            k: How many rows are wanted for each, at least 1.
            min_score: The lowest cosine that counts; None for no limit.

        Raises:
            UsageError: `k` is below 1.
        """
        if k < 1:
            raise UsageError(f"top_k must be at least 1, not {k}")
        self._k = k
        self._unit = np.ascontiguousarray(normalize(np.asarray(queries, dtype=np.float32)).T)
        self._margin = np.float32(safe_margin(queries.shape[1]))
        lowest = -np.inf if min_score is None else min_score - float(self._margin)
        self._bars = np.full(len(queries), lowest, dtype=np.float32)
        # A query of zeros is as near to everything as to nothing.
        self._bars[~self._unit.any(axis=0)] = np.inf
        self._rows: list[Rows] = []
        self._queries: list[npt.NDArray[np.int64]] = []
        self._near: list[npt.NDArray[np.float32]] = []
        self._gathered = 0
        self._compact_at = _COMPACT_RATIO * k * len(queries)

    def add(self, block: npt.NDArray[Any], first: int, dead: npt.NDArray[np.bool_] | None = None) -> None:
        """Look at one more block.

        Args:
            block: Shape (n, dim), float32, float16 or int8; rows of zeros are never found.
            first: Number of the block's first row.
            dead: Shape (n,), True for rows to leave out; None for none.
        """
        step = max(1, _CELLS // max(1, len(self._bars)))
        for start in range(0, len(block), step):
            rows = np.asarray(block[start : start + step], dtype=np.float32)
            with np.errstate(all="ignore"):
                squares = np.einsum("ij,ij->i", rows, rows)
                extreme = ~((squares > SAFE_SQUARES[0]) & (squares < SAFE_SQUARES[1]))
                if extreme.any():
                    # Never in an index; a row of zeros stays one.
                    rows = np.where(extreme[:, np.newaxis], normalize(rows), rows)
                    squares = np.einsum("ij,ij->i", rows, rows)
                near = (rows @ self._unit) / np.sqrt(squares)[:, np.newaxis]
            if dead is not None:
                near[dead[start : start + step]] = -np.inf
            self._raise_bars(near)
            # A row of zeros is nan here, and nan is never as near as anything.
            found, query = np.nonzero((near >= self._bars) & (near > -np.inf))
            self._rows.append(found + (first + start))
            self._queries.append(query)
            self._near.append(near[found, query])
            self._gathered += len(found)
            if self._gathered > self._compact_at:
                self._compact()
                # Twice what is there, so that many ties cost linear time and not quadratic.
                self._compact_at = max(self._compact_at, 2 * self._gathered)

    def _raise_bars(self, near: npt.NDArray[np.float32]) -> None:
        """Use the first rows to leave most others out at once."""
        if self._gathered or len(near) < self._k:
            return
        sure = np.where(np.isfinite(near), near, -np.inf)
        kth = np.partition(sure, len(sure) - self._k, axis=0)[len(sure) - self._k]
        np.maximum(self._bars, kth - 2 * self._margin, out=self._bars)

    def _compact(self) -> None:
        """Drop what cannot be among the `k` best of its query any more."""
        rows, queries = np.concatenate(self._rows), np.concatenate(self._queries)
        near = np.concatenate(self._near)
        order = np.lexsort((-near, queries))
        rows, queries, near = rows[order], queries[order], near[order]
        starts = np.searchsorted(queries, np.arange(len(self._bars)))
        ends = np.append(starts[1:], len(queries))
        full = ends - starts >= self._k
        self._bars[full] = np.maximum(self._bars[full], near[starts[full] + self._k - 1] - 2 * self._margin)
        kept = near >= self._bars[queries]
        self._rows, self._queries, self._near = [rows[kept]], [queries[kept]], [near[kept]]
        self._gathered = int(np.count_nonzero(kept))

    def result(self) -> list[Rows]:
        """The rows that can be among the `k` best of each query, ascending; ties with the k-th among them."""
        if not self._rows:
            return [np.empty(0, dtype=np.int64) for _ in self._bars]
        self._compact()
        queries = self._queries[0]
        starts = np.searchsorted(queries, np.arange(len(self._bars) + 1))
        return [np.sort(self._rows[0][start:end]) for start, end in pairwise(starts)]
