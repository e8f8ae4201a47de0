"""A hierarchy over clusters: which two are joined, one pair after the other, until one is left.

Source: average linkage, R. R. Sokal and C. D. Michener, "A statistical method for evaluating systematic
relationships" (1958), carried on by the formula of G. N. Lance and W. T. Williams, "A general theory of
classificatory sorting strategies" (1967), section 2. It is that over all texts, from the clusters upwards:
two clusters are as near as their texts are on average, which centroid, size and cohesion say exactly.
scipy.cluster.hierarchy would take a cluster of ten thousand texts for no more than one of two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.vectors.clusters import GroupStats

MOST_CLUSTERS: Final = 2_000
"""Of more, nobody reads the tree; memory and, in a chain, its own lines grow with the square of them."""


class Join(NamedTuple):
    """Two clusters, or earlier joins, that become one.

    Attributes:
        first: The larger one: the number of a cluster, or k and the number of an earlier join.
        second: The other one.
        cosine: Of their texts, on average: -1 to 1, never higher than that of an earlier join.
    """

    first: int
    second: int
    cosine: float


def join_all(stats: GroupStats) -> list[Join]:
    """Return the k - 1 joins of k clusters, the nearest first, of equally near ones the lower numbers.

    O(k**2) memory, O(k**2) time but for contrived input.

    Args:
        stats: Of the clusters, at most `MOST_CLUSTERS`.
    """
    count = len(stats.sizes)
    near = _mean_cosines(stats)
    sizes: list[int] = stats.sizes.tolist()
    nodes = list(range(count))
    best = near.argmax(axis=1) if count else np.empty(0, np.int64)
    joins: list[Join] = []
    for number in range(count, 2 * count - 1):
        row = int(near[np.arange(count), best].argmax())
        kept, gone = sorted((row, int(best[row])))
        pair = sorted((kept, gone), key=lambda each: (-sizes[each], each))
        joins.append(Join(nodes[pair[0]], nodes[pair[1]], float(near[kept, gone])))
        whole = sizes[kept] + sizes[gone]
        joined = (sizes[kept] * near[kept] + sizes[gone] * near[gone]) / whole
        joined[[kept, gone]] = -np.inf
        near[kept], near[:, kept] = joined, joined
        near[gone], near[:, gone] = -np.inf, -np.inf
        sizes[kept], nodes[kept] = whole, number
        # An average is no nearer than the nearer of two: other rows keep the one they had.
        stale = np.flatnonzero((best == kept) | (best == gone))
        best[stale] = near[stale].argmax(axis=1)
        best[kept] = near[kept].argmax()
    return joins


def _mean_cosines(stats: GroupStats) -> npt.NDArray[np.float64]:
    """Return the mean cosine between the texts of any two clusters, shape (k, k); -inf on the diagonal.

    The mean of a cluster's vectors points to the centroid and is as long as the cohesion.
    """
    means = stats.centroids.astype(np.float64) * stats.cohesion[:, np.newaxis]
    near: npt.NDArray[np.float64] = means @ means.T
    np.fill_diagonal(near, -np.inf)
    return near
