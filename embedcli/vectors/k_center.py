"""Rows that lie far from each other and near to all others: `sample --diverse`.

Farthest first: begin in the middle, then always go to the row that is farthest from all that were taken. To
take that very row leaves no row farther from its nearest taken one than twice what the best choice of so many
could: the bound of k-center, in chords and in angles alike, since both grow as the cosine falls and both are
metrics. But it collects strangers: what is like nothing else is far from everything. Three things keep them
out, and docs/sample.md says what each is worth.

- The mean of all rows is taken away: what all texts have in common makes strangers look farther than topics
  are from each other.
- Each row moves towards its nearest ones, which a topic hardly feels and a stranger does.
- Of the farthest row's nearest ones, those that are nearer to it than to anything taken, the most central one
  is taken in its place. Rows that are taken are then still more than half as far from each other as the
  farthest row was, so that the bound is four times instead of twice.

The bound is about where the rows lie after the first two.

Source: T. F. Gonzalez, "Clustering to minimize the maximum intercluster distance", Theoretical Computer
Science 38, 1985, for the rule and its bound. Beginning in the middle and the three things are ours.
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
NEIGHBOR_WEIGHT: Final = 0.5
"""How many nearest rows a row moves towards, and what each of them counts beside the row itself. Of 2 to 5
rows that count half or whole, these cover the most topics with both shipped models."""

INWARD_ROWS: Final = 8
"""Among so many rows nearest to the farthest one, itself included, the most central is taken."""

SAMPLED_ROWS: Final = 1 << 14
"""Among so many rows nearest ones are looked for: all of them up to here, evenly spread ones beyond."""

_STEP_ROWS: Final = 8192


def neighbors_for(rows: int, count: int) -> int:
    """Return how many nearest rows a row may move towards: no more than its share of what is chosen."""
    return max(0, min(NEIGHBORS, rows // count - 1))


def settle(vectors: Vectors, neighbors: int, *, jobs: int = 1, sampled_rows: int = SAMPLED_ROWS) -> Vectors:
    """Return where rows lie for `spread_out`, shape (n, dim), float32, unit length or zero.

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
            own += NEIGHBOR_WEIGHT * others[np.sort(nearest, axis=1)].sum(axis=1)
        settled[block] = normalize(own)

    list(in_blocks(len(vectors), max(1, CELLS // len(among)), settle_block, jobs))
    return settled


def _own_places(block: slice, among: Rows) -> tuple[Rows, Rows]:
    """Return where the rows of a block stand beside themselves: their places in it and in `among`."""
    first, last = np.searchsorted(among, (block.start, block.stop))
    return among[first:last] - block.start, np.arange(first, last)


def spread_out(vectors: Vectors, count: int, *, inward: int = INWARD_ROWS, jobs: int = 1) -> list[int]:
    """Return rows in the order they are taken, the one nearest to the mean first.

    Equally good ones are taken by their number. Cosines are exact where they decide. O(n x count x dim).

    Args:
        vectors: Shape (n, dim), float32, unit length or zero. Not modified.
        count: How many, from 1 to n.
        inward: Among how many rows nearest to the farthest one the most central is taken; 1 for that itself.
        jobs: Threads; their number changes nothing.
    """
    mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    to_mean = [*in_blocks(len(vectors), _STEP_ROWS, lambda block: cosine(vectors[block], mean), jobs)]
    reach = _Reach(vectors, jobs)
    taken = [int(np.argmax(np.concatenate(to_mean)))]
    reach.take(taken[0])
    while len(taken) < count:
        farthest = int(np.argmin(reach.nearest))
        cell = reach.cell(farthest, inward)
        taken.append(_most_central(vectors, cell) if len(cell) else farthest)
        reach.take(taken[-1])
    return taken


class _Reach:
    """How near each row is to what was taken.

    Attributes:
        nearest: Shape (n,), float64: the cosine to the nearest row taken; infinite for those taken.
    """

    def __init__(self, vectors: Vectors, jobs: int) -> None:
        self._vectors, self._jobs = vectors, jobs
        self._margin = np.float32(2 * safe_margin(vectors.shape[1]))
        self.nearest = np.full(len(vectors), -np.inf)

    def take(self, row: int) -> None:
        """Take a row."""
        taken = self._vectors[row]

        def come_nearer(block: slice) -> None:
            rows, before = self._vectors[block], self.nearest[block]
            likely = np.flatnonzero(rows @ taken > before - self._margin)
            before[likely] = np.maximum(before[likely], cosine(rows[likely], taken))

        list(in_blocks(len(self._vectors), _STEP_ROWS, come_nearer, self._jobs))
        self.nearest[row] = np.inf

    def cell(self, row: int, most: int) -> Rows:
        """Return the rows nearest to one that are nearer to it than to what was taken, the nearest first."""
        middle = self._vectors[row]
        if most == 1:
            return np.array([row])
        products = [
            *in_blocks(
                len(self._vectors), _STEP_ROWS, lambda block: self._vectors[block] @ middle, self._jobs
            )
        ]
        near = np.concatenate(products)
        near[~(near > self.nearest - self._margin)] = -np.inf
        if len(near) > most:
            bar = np.partition(near, len(near) - most)[len(near) - most]
            near[near < bar - self._margin] = -np.inf
        rows = np.flatnonzero(near > -np.inf)
        exact = cosine(self._vectors[rows], middle)
        inside = exact > self.nearest[rows]
        rows, exact = rows[inside], exact[inside]
        cell: Rows = rows[np.lexsort((rows, -exact))[:most]]
        return cell


def _most_central(vectors: Vectors, rows: Rows) -> int:
    """Return the row whose cosines to all of some rows have the highest sum, the first of equal ones."""
    rows = np.sort(rows)
    sums = [cosine(vectors[rows], vectors[row]).sum() for row in rows]
    return int(rows[int(np.argmax(sums))])
