"""Rows that are far from their neighbours: `sample --outliers`.

A row is as far out as its k-th nearest other row is far from it, so that k rows that are like each other and
like nothing else are still out. The answer is exact. A first look compares every row with some of the others
only: the k-th nearest among these is no nearer than the k-th nearest of all, which makes the first look a
bound. Rows are then compared with all others, the farthest out first, until no bound can win any more.

Source: S. Ramaswamy, R. Rastogi, K. Shim, "Efficient algorithms for mining outliers from large data sets",
SIGMOD 2000, for the measure; S. D. Bay, M. Schwabacher, "Mining distance-based outliers in near linear time
with randomization and a simple pruning rule", KDD 2003, for leaving off by a bound.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.vectors.background import spread_rows
from embedcli.vectors.exact import safe_margin
from embedcli.vectors.exact_batch import BatchCandidates
from embedcli.vectors.in_blocks import CELLS, in_blocks
from embedcli.vectors.metric import cosine

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Rows = npt.NDArray[np.int64]

NEIGHBORS: Final = 5
"""Which nearest row counts. Planted strangers are found as well with 1 to 20: docs/sample.md."""

SAMPLED_ROWS: Final = 1 << 14
"""The first look compares with all rows up to here, with evenly spread ones beyond."""

_COMPARED_ROWS: Final = 256
"""Rows that are compared with all others at once."""

_STEP_ROWS: Final = 8192


class Outlier(NamedTuple):
    """A row, and its cosine to its k-th nearest other row, -1 to 1: the lower, the farther out."""

    row: int
    cosine: float


def outliers(
    vectors: Vectors,
    count: int,
    *,
    neighbors: int = NEIGHBORS,
    jobs: int = 1,
    sampled_rows: int = SAMPLED_ROWS,
) -> list[Outlier]:
    """Return the rows that are farthest out, the farthest first, equal ones by row number; exact.

    The first look is O(n x min(n, sampled_rows) x dim); what follows mostly looks at a few hundred rows, and
    at all of them, O(n**2 x dim), where every row is as far out as every other.

    Args:
        vectors: Shape (n, dim), float32, unit length, n at least 2. Not modified.
        count: How many, from 1 to n.
        neighbors: Which nearest row counts, at least 1; the farthest where there are fewer.
        jobs: Threads; their number changes nothing.
        sampled_rows: With how many rows the first look compares, more than `neighbors`.
    """
    neighbors = min(neighbors, len(vectors) - 1)
    bounds = _bounds(vectors, neighbors, jobs, sampled_rows)
    order = np.argsort(bounds, kind="stable")
    found: list[Outlier] = []
    for start in range(0, len(order), _COMPARED_ROWS):
        if len(found) >= count and found[count - 1].cosine < bounds[order[start]]:
            break
        rows = np.sort(order[start : start + _COMPARED_ROWS])
        found += map(Outlier, rows.tolist(), _exact(vectors, rows, neighbors, jobs))
        found.sort(key=lambda each: (each.cosine, each.row))
    return found[:count]


def _bounds(vectors: Vectors, neighbors: int, jobs: int, sampled_rows: int) -> npt.NDArray[np.float32]:
    """Return for each row a cosine that its k-th nearest one is at least at, shape (n,)."""
    among = spread_rows(np.arange(len(vectors)), sampled_rows)
    others = vectors[among]

    def look(block: slice) -> npt.NDArray[np.float32]:
        near = vectors[block] @ others.T
        first, last = np.searchsorted(among, (block.start, block.stop))
        near[among[first:last] - block.start, np.arange(first, last)] = -np.inf
        place = near.shape[1] - neighbors
        near.partition(place, axis=1)
        # A column alone would keep the whole block in memory.
        kth: npt.NDArray[np.float32] = near[:, place].copy()
        return kth

    bounds = [*in_blocks(len(vectors), max(1, CELLS // len(among)), look, jobs)]
    return np.concatenate(bounds) - np.float32(safe_margin(vectors.shape[1]))


def _exact(vectors: Vectors, rows: Rows, neighbors: int, jobs: int) -> list[float]:
    """Return the cosine of each of some rows to its k-th nearest other row."""

    def candidates(part: slice) -> list[Rows]:
        # The row itself is among its own nearest ones, or as near as these.
        batch = BatchCandidates(vectors[rows[part]], neighbors + 1)
        for start in range(0, len(vectors), _STEP_ROWS):
            batch.add(vectors[start : start + _STEP_ROWS], start)
        return batch.result()

    step = max(1, _COMPARED_ROWS // 8)
    near = [each for part in in_blocks(len(rows), step, candidates, jobs) for each in part]
    found = []
    for row, others in zip(rows.tolist(), near, strict=True):
        cosines = cosine(vectors[others[others != row]], vectors[row])
        found.append(float(np.sort(cosines)[-neighbors]))
    return found
