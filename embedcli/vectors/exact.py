"""Exact top-k by cosine over blocks of vectors.

A float32 matrix product scans a block and leaves out what cannot be among the best; only the few survivors
are computed again with `metric.cosine`, which decides. Results are therefore exact, and the same however the
vectors are cut into blocks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedcli.errors import UsageError, VectorError
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from typing import Final

    import numpy.typing as npt

    from embedcli.datatypes import Vector, Vectors

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

SCAN_NUMBERS: Final = 1 << 19
"""float32 numbers scanned at a time, 2 MiB: cached for the second pass; smaller steps cost more calls."""
CONVERT_NUMBERS: Final = 1 << 16
"""float16 numbers converted at a time, 256 KiB as float32; 100 ms where 8 times as many take 130."""
SAFE_SQUARES: Final = (1e-12, 1e12)
"""Squared lengths within which float32 neither overflows nor loses small products; others are rescored."""
COMPACT_ROWS: Final = 4096
"""How many candidates may gather before those that have fallen behind are dropped."""


class Candidate(NamedTuple):
    """One of the best rows.

    Attributes:
        row: Number of the row, as counted by `TopK.add`.
        cosine: -1 to 1.
    """

    row: int
    cosine: float


def safe_margin(dim: int) -> float:
    """How far the cosine of the scan can be from the exact one.

    A float32 sum of n products, in any order, is off by n * u * |x| * |y| at most, where u = 2**-24; the
    squared length adds half as much again, and the rest covers the roundings of query, root and quotient.

    Args:
        dim: Numbers in a vector.

    Source: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, section 3.1.
    """
    return (2 * dim + 16) * 2.0**-24


class TopK:
    """The `k` rows with the highest cosine, exact, over blocks that come one after the other.

    Rows need not have unit length. Rows of zeros are never returned, and a query of zeros finds nothing.
    Memory is O(k + one block + rows that tie with the last place).
    """

    def __init__(self, query: Vector, k: int | None, min_score: float | None = None) -> None:
        """Start with nothing seen.

        Args:
            query: Shape (dim,), float32, of any length.
            k: How many rows are wanted, at least 1; None for all that reach `min_score`.
            min_score: The lowest cosine that counts, inclusive; None for no limit.

        Raises:
            UsageError: `k` is below 1.
            VectorError: The query is not one vector of finite numbers.
        """
        if k is not None and k < 1:
            raise UsageError(f"top_k must be at least 1, not {k}")
        if query.ndim != 1:
            raise VectorError(f"a query is one vector, found an array of shape {query.shape}")
        self._query = np.array(query, dtype=np.float32)
        self._unit = normalize(self._query[np.newaxis])[0]
        self._k = k
        self._min_score = -np.inf if min_score is None else min_score
        self._margin = safe_margin(len(query))
        self._best: Doubles = np.empty(0)
        self._rows: list[Rows] = []
        self._cosines: list[Doubles] = []
        self._gathered = 0
        self._compact_at = COMPACT_ROWS

    def add(
        self, block: npt.NDArray[Any], first: int | Rows = 0, dead: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Look at one more block.

        Args:
            block: Shape (n, dim), float32, float16 or int8. Not modified.
            first: Number of the block's first row, or the numbers of all its rows, shape (n,), ascending;
                those of two blocks must not overlap.
            dead: Shape (n,), True for rows to leave out; None for none.

        Raises:
            VectorError: The dimension is not the query's, `dead` does not fit, or a row that is not dead
                holds values that are not finite.
        """
        if block.ndim != 2 or block.shape[1] != len(self._query):
            raise VectorError(
                f"a query of dimension {len(self._query)} does not fit vectors of {block.shape}"
            )
        if dead is not None and dead.shape != (len(block),):
            raise VectorError(f"{len(block)} rows need as many marks, found the shape {dead.shape}")
        if not self._unit.any():
            return
        at_a_time = SCAN_NUMBERS if block.dtype == np.float32 else CONVERT_NUMBERS
        step = max(1, at_a_time // max(block.shape[1], 1))
        for start in range(0, len(block), step):
            rows = np.asarray(block[start : start + step], dtype=np.float32)
            alive = None if dead is None else ~dead[start : start + step]
            survivors = self._survivors(rows, alive)
            if len(survivors):
                numbers = survivors + start
                numbers = numbers + first if isinstance(first, int) else first[numbers]
                self._take(numbers, cosine(rows[survivors], self._query), rows[survivors])

    def scores(self, vectors: Vectors) -> Doubles:
        """Return the exact cosine of each vector, shape (n,)."""
        return cosine(vectors, self._query)

    def result(self, *, ties: bool = False) -> list[Candidate]:
        """The best rows so far: highest cosine first, equal ones by row number.

        Args:
            ties: Also return the rows beyond `k` whose cosine equals the last one's, for a caller that
                breaks ties by something else than the row number.
        """
        rows, cosines = self._compact()
        order = np.lexsort((rows, -cosines))
        if not ties and self._k is not None:
            order = order[: self._k]
        found = zip(rows[order].tolist(), cosines[order].tolist(), strict=True)
        return [Candidate(row, score) for row, score in found]

    @property
    def _bar(self) -> float:
        """The lowest cosine that can still matter: that of the k-th best, or `min_score`."""
        if self._k is None or len(self._best) < self._k:
            return float(self._min_score)
        return float(max(self._min_score, self._best.min()))

    def _survivors(self, rows: Vectors, alive: npt.NDArray[np.bool_] | None) -> Rows:
        """Numbers, within `rows`, of those that can be among the best."""
        low, high = SAFE_SQUARES
        with np.errstate(all="ignore"):
            squares = np.einsum("ij,ij->i", rows, rows)
            near = (rows @ self._unit) / np.sqrt(squares)
        near[~((squares > low) & (squares < high))] = np.inf
        if alive is not None:
            near[~alive] = -np.inf
        keep = near >= self._bar - self._margin
        if alive is not None:
            keep &= alive
        if self._k is not None and np.count_nonzero(keep) > self._k:
            sure = np.where(np.isfinite(near), near, -np.inf)
            # At least k rows here are no further than a margin below this one.
            kth = np.partition(sure, len(sure) - self._k)[len(sure) - self._k]
            keep &= near >= kth - 2 * self._margin
        return np.flatnonzero(keep)

    def _take(self, rows: Rows, cosines: Doubles, vectors: Vectors) -> None:
        """Keep what is good enough of the rescored rows."""
        unknown = np.isnan(cosines)
        if unknown.any():
            raise VectorError(f"vector {int(rows[unknown][0]) + 1} holds a value that is not a finite number")
        good = (cosines >= self._bar) & vectors.any(axis=1)
        if not good.any():
            return
        self._rows.append(rows[good])
        self._cosines.append(cosines[good])
        self._gathered += int(np.count_nonzero(good))
        if self._k is None:
            return
        best = np.concatenate((self._best, cosines[good]))
        if len(best) > self._k:
            best = np.partition(best, len(best) - self._k)[len(best) - self._k :]
        self._best = best
        if self._gathered > self._compact_at:
            self._compact()
            # Twice what is there, so that many ties cost linear time and not quadratic.
            self._compact_at = max(COMPACT_ROWS, 2 * self._gathered)

    def _compact(self) -> tuple[Rows, Doubles]:
        """Drop candidates that have fallen behind; those that tie with the k-th stay."""
        rows = np.concatenate([np.empty(0, dtype=np.int64), *self._rows])
        cosines = np.concatenate([np.empty(0), *self._cosines])
        kept = cosines >= self._bar
        rows, cosines = rows[kept], cosines[kept]
        self._rows, self._cosines, self._gathered = [rows], [cosines], len(rows)
        return rows, cosines
