"""Regions at several zooms: a few large ones, each made of smaller ones, down to small ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

from embedcli.vectors.regions import heights, level_of

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.vectors.regions import Level

LEVELS: Final = (8, 32, 128, 384)
"""Regions of each level, the coarsest first."""
_POINTS_OF_ONE: Final = 10
"""Points that a region has on average, at least."""
_ROUNDS: Final = 30


def regions(points: Vectors, *, seed: int = 0) -> list[Level]:
    """Return the levels, the coarsest first; each region is a union of regions of the next level.

    The finest are by k-means, the others by joining the two that Ward's criterion names, again and again
    (Ward 1963). So they say what is where on this picture, and not what would be together in another one.

    Args:
        points: Shape (n, 2), float32, n at least 1.
        seed: Of the starts of k-means.

    Returns:
        At least one level.
    """
    different = len(np.unique(points, axis=0))
    most = min(different, max(1, len(points) // _POINTS_OF_ONE))
    counts = [count for count in LEVELS if count <= most] or [most]
    if len(counts) < len(LEVELS) and most > 2 * counts[-1]:
        counts.append(most)
    # One thread: several add up in an order that changes from run to run.
    with threadpool_limits(1):
        fine = KMeans(counts[-1], n_init=1, max_iter=_ROUNDS, random_state=seed).fit(points)
    labels, kept = np.unique(fine.labels_, return_inverse=True)
    centres = fine.cluster_centers_[labels]
    crowd = heights(points)
    if len(centres) < 2:
        return [level_of(points, kept, crowd)]
    joined = linkage(centres, "ward")
    return [level_of(points, fcluster(joined, count, "maxclust")[kept], crowd) for count in counts]
