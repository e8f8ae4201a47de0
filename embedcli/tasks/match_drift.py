"""How far a later collection is from an earlier one, and what is new and gone: `match --drift`.

A stranger is new, but no news: there are some in every collection. What tells is a record that has company on
its own side and none on the other: its nearest records there are nearer than those here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from embedcli.reports import Changed, Drift
from embedcli.tasks.pool import NO_ROW

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedcli.reports import Change
    from embedcli.tasks.match_join import Gathered
    from embedcli.vectors.neighbors import Neighbors

    Doubles = npt.NDArray[np.float64]

COMPANY: Final = 5
"""Nearest records on either side that are looked at, as for `sample --outliers`."""

MAX_P: Final = 0.05
"""A difference that chance makes more often than this is none."""


@dataclass(frozen=True, slots=True)
class DriftSettings:
    """What is measured and told.

    Attributes:
        count: Records that are told of on each side.
        seed: Of the random numbers.
        jobs: Threads; their number changes nothing.
    """

    count: int = 5
    seed: int = 0
    jobs: int = 1


def drift(left: Gathered, right: Gathered, settings: DriftSettings) -> Drift:
    """Return how far two collections are from each other. O((n + m)**2 x dim) time.

    Args:
        left: The earlier one, compared by vectors.
        right: The later one.
        settings: What is told.
    """
    import numpy as np

    from embedcli.vectors.metric import cosine
    from embedcli.vectors.two_samples import difference, sampled

    sizes = int(left.copies.sum()), int(right.copies.sum())
    if not all(sizes):
        return Drift(*sizes, None, None, None, [])
    means = [
        np.average(each.side.vectors, axis=0, weights=each.copies).astype(np.float32)
        for each in (left, right)
    ]
    rows = [each.rows[each.rows != NO_ROW] for each in (left, right)]
    rows = [each[sampled(len(each), settings.seed)] for each in rows]
    found = difference(left.side.vectors[rows[0]], right.side.vectors[rows[1]], settings.seed)
    return Drift(
        *sizes,
        float(cosine(means[0][np.newaxis], means[1])[0]),
        found.energy,
        found.p,
        [*_changed("new", right, left, settings), *_changed("gone", left, right, settings)],
    )


def _changed(change: Change, own: Gathered, other: Gathered, settings: DriftSettings) -> list[Changed]:
    """Return records of one side that have company there and none on the other, each for others like it."""
    import numpy as np

    from embedcli.vectors.neighbors import Neighbors, nearest_among

    vectors, count = own.side.vectors, len(own.side.vectors)
    here = Neighbors(np.empty((count, 0), np.int32), np.empty((count, 0), np.float32))
    if count > 1:
        most = min(COMPANY, count - 1)
        here = nearest_among(vectors, vectors, most, jobs=settings.jobs, are_same=True)
    # A record's copies are its nearest company.
    rows = np.arange(count, dtype=np.int32)[:, np.newaxis]
    here = Neighbors(np.hstack((rows, here.rows)), np.hstack((np.ones((count, 1), np.float32), here.cosines)))
    there = nearest_among(vectors, other.side.vectors, COMPANY, jobs=settings.jobs)
    copies = own.copies[here.rows]
    copies[:, 0] -= 1
    nearest_there = _mean_nearest(there, other.copies[there.rows])
    scores = _mean_nearest(here, copies) - nearest_there
    open_rows = np.flatnonzero(scores > 0)
    open_rows = open_rows[np.argsort(-scores[open_rows], kind="stable")]
    found: list[Changed] = []
    while len(open_rows) and len(found) < settings.count:
        best = int(open_rows[0])
        # Those that are nearer to it than to anything over there are news of the same kind.
        alike = vectors[open_rows] @ vectors[best] > nearest_there[open_rows]
        alike[0] = True
        told = int(own.copies[open_rows[alike]].sum()) - 1
        found.append(Changed(change, own.record(best), float(scores[best]), told))
        open_rows = open_rows[~alike]
    return found


def _mean_nearest(near: Neighbors, copies: npt.NDArray[np.int64]) -> Doubles:
    """Return the mean cosine of each row to its `COMPANY` nearest records; 0 where there is none.

    Args:
        near: The nearest texts, the nearest first.
        copies: How many records each of them stands for, shape (n, k).
    """
    import numpy as np

    before = np.cumsum(copies, axis=1) - copies
    taken = np.clip(COMPANY - before, 0, copies)
    counted = taken.sum(axis=1)
    sums = (near.cosines * taken).sum(axis=1)
    means: Doubles = np.divide(sums, counted, out=np.zeros(len(sums)), where=counted > 0)
    return means
