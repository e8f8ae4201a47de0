"""Rows that stand for all others: `sample --representative`.

What is chosen makes the sum, over all rows, of the cosine to the nearest chosen one as large as it can, where
a cosine below 0 counts as 0. The sum never falls and grows by less the more is chosen (it is monotone and
submodular), so that taking the row that adds most, again and again, reaches at least 1 - 1/e, 63 %, of what
the best choice of so many does.

Source: G. L. Nemhauser, L. A. Wolsey, M. L. Fisher, "An analysis of approximations for maximizing submodular
set functions", Mathematical Programming 14, 1978, for the bound; M. Minoux, "Accelerated greedy algorithms
for maximizing submodular set functions", 1978, for looking again only at rows whose last gain would still
win. Beyond `SAMPLED_ROWS` rows we choose from evenly spread ones, and the bound is about these.
"""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.vectors.background import spread_rows
from embedcli.vectors.in_blocks import CELLS, in_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Floats = npt.NDArray[np.float32]

SAMPLED_ROWS: Final = 1 << 14
"""Up to here all rows are looked at; the first look takes time with the square of their number."""

SAMPLE_RATIO: Final = 4
"""At least so many rows are looked at for each that is chosen."""

_AGAIN_ROWS: Final = 32
"""Rows whose gain is computed anew in one product."""


class Representative(NamedTuple):
    """A chosen row, and by how much it raises the mean cosine of all rows to their nearest chosen one."""

    row: int
    gain: float


def representatives(
    vectors: Vectors,
    weights: Floats,
    count: int,
    *,
    jobs: int = 1,
    sampled_rows: int = SAMPLED_ROWS,
) -> list[Representative]:
    """Return rows that stand for all, in the order they are taken; equal gains are taken by row number.

    O(m**2 x dim) for m rows that are looked at; memory is O(m x dim).

    Args:
        vectors: Shape (n, dim), float32, unit length. Not modified.
        weights: Shape (n,), float32, above 0: how much each row counts.
        count: How many, from 1 to n.
        jobs: Threads; their number changes nothing.
        sampled_rows: How many rows are looked at, or `SAMPLE_RATIO` times `count` where that is more.
    """
    rows = spread_rows(np.arange(len(vectors)), max(sampled_rows, SAMPLE_RATIO * count))
    looked_at = vectors if len(rows) == len(vectors) else vectors[rows]
    gains = _Gains(looked_at, weights[rows])
    total = float(weights[rows].sum(dtype=np.float64))
    step = max(1, CELLS // len(rows))
    first = np.concatenate([*in_blocks(len(rows), step, gains.of_block, jobs)])
    # The gain of a row as last computed, and how many had been taken then.
    waiting = [(-gain, row, 0) for row, gain in enumerate(first.tolist())]
    heapq.heapify(waiting)
    taken: list[Representative] = []
    while len(taken) < count:
        again: list[int] = []
        while waiting and len(again) < _AGAIN_ROWS and waiting[0][2] < len(taken):
            again.append(heapq.heappop(waiting)[1])
        if not again:
            loss, row, _ = heapq.heappop(waiting)
            gains.take(row)
            taken.append(Representative(int(rows[row]), -loss / total))
            continue
        for row, gain in zip(again, gains.of(np.array(again)).tolist(), strict=True):
            heapq.heappush(waiting, (-gain, row, len(taken)))
    return taken


class _Gains:
    """What each row would add to what was taken."""

    def __init__(self, vectors: Vectors, weights: Floats) -> None:
        self._vectors, self._weights = vectors, weights
        self._covered: Floats = np.zeros(len(vectors), dtype=np.float32)

    def of_block(self, block: slice) -> Floats:
        """Return the gains of neighbouring rows."""
        return self._of(self._vectors[block])

    def of(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Return the gains of some rows."""
        return self._of(self._vectors[rows])

    def _of(self, candidates: Vectors) -> Floats:
        more: Floats = candidates @ self._vectors.T
        np.subtract(more, self._covered, out=more)
        np.maximum(more, 0, out=more)
        gained: Floats = more @ self._weights
        return gained

    def take(self, row: int) -> None:
        """Take a row: all rows are at least as near to what was taken as to this one."""
        np.maximum(self._covered, self._vectors @ self._vectors[row], out=self._covered)
