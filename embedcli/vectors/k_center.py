"""Rows that lie far from each other and near to all others: `sample --diverse`.

Farthest first: begin in the middle, then take the row that is farthest from all that were taken. The rows
taken leave no row farther from its nearest one than twice what the best choice of so many could: the bound
of k-center, in chords and in angles alike, since both grow as the cosine falls and both are metrics.

Taken as it is, that rule collects strangers: what is like nothing else is far from everything. So the rows
are settled first, and the bound is about where they then lie. The mean of all rows is taken away: what all
texts have in common makes strangers look farther than topics are from each other. And each row moves to the
middle of itself and its nearest ones, which a topic hardly feels and a stranger does. docs/sample.md says
what each of the two is worth.

Source: T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer
Science 38, 1985, for the rule and its bound. Beginning in the middle and settling the rows are ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from embedcli.vectors.background import spread_rows
from embedcli.vectors.exact import safe_margin
from embedcli.vectors.in_blocks import CELLS, in_blocks
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Rows = npt.NDArray[np.int64]

NEIGHBORS: Final = 3
"""Nearest rows that a row moves towards. Of 1, 2, 3, 5 and 8, three leave out most strangers."""

SAMPLED_ROWS: Final = 1 << 14
"""Among so many rows nearest ones are looked for: all of them up to here, evenly spread ones beyond."""

_STEP_ROWS: Final = 8192


def neighbors_for(rows: int, count: int) -> int:
    """Return how many nearest rows a row may move towards: no more than its share of what is chosen."""
    return max(0, min(NEIGHBORS, rows // count - 1))


def settle(vectors: Vectors, neighbors: int, *, jobs: int = 1, sampled_rows: int = SAMPLED_ROWS) -> Vectors:
    """Return where rows lie for `farthest_first`, shape (n, dim), float32, unit length or zero.

    Time is O(n x min(n, sampled_rows) x dim); memory is that of the result.

    Args:
        vectors: Shape (n, dim), float32, unit length, n at least 2. Not modified.
        neighbors: How many nearest rows each one moves towards, fewer than n.
        jobs: Threads; their number changes nothing.
        sampled_rows: Among how many rows nearest ones are looked for, more than `neighbors`.
    """
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    among = spread_rows(np.arange(len(vectors)), sampled_rows)
    others = normalize(vectors[among] - mean)
    settled = np.empty_like(vectors)

    def settle_block(block: slice) -> None:
        own = normalize(vectors[block] - mean)
        if neighbors:
            near = own @ others.T
            near[_own_places(block, among)] = -np.inf
            nearest = np.argpartition(-near, neighbors - 1, axis=1)[:, :neighbors]
            # In the order of the rows, so that sums are the same whatever the partition left behind.
            own += others[np.sort(nearest, axis=1)].sum(axis=1)
        settled[block] = normalize(own)

    list(in_blocks(len(vectors), max(1, CELLS // len(among)), settle_block, jobs))
    return settled


def _own_places(block: slice, among: Rows) -> tuple[Rows, Rows]:
    """Return where the rows of a block stand beside themselves: their places in it and in `among`."""
    first, last = np.searchsorted(among, (block.start, block.stop))
    return among[first:last] - block.start, np.arange(first, last)


def farthest_first(vectors: Vectors, count: int, *, jobs: int = 1) -> list[int]:
    """Return rows in the order they are taken: the one nearest to the mean, then always the farthest.

    Equally far ones are taken by their number. Cosines are exact where they decide. O(n x count x dim).

    Args:
        vectors: Shape (n, dim), float32, unit length or zero. Not modified.
        count: How many, from 1 to n.
        jobs: Threads; their number changes nothing.
    """
    margin = np.float32(2 * safe_margin(vectors.shape[1]))
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    to_mean = [*in_blocks(len(vectors), _STEP_ROWS, lambda block: cosine(vectors[block], mean), jobs)]
    taken = [int(np.argmax(np.concatenate(to_mean)))]
    nearest = np.full(len(vectors), -np.inf)
    while True:
        last = vectors[taken[-1]]

        def come_nearer(block: slice, last: npt.NDArray[np.float32] = last) -> None:
            """Note which rows the last one is nearer to than those before."""
            rows = vectors[block]
            likely = np.flatnonzero(rows @ last > nearest[block] - margin)
            before = nearest[block]
            before[likely] = np.maximum(before[likely], cosine(rows[likely], last))

        list(in_blocks(len(vectors), _STEP_ROWS, come_nearer, jobs))
        nearest[taken[-1]] = np.inf
        if len(taken) == count:
            return taken
        taken.append(int(np.argmin(nearest)))
