"""Centroids of unit vectors, by which rows are put into lists and lists are looked into."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from typing import Final

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

ROUNDS: Final = 6
"""Rounds of k-means; more change the lists little."""
ROWS_AT_A_TIME: Final = 1024


def fit_centroids(sample: Vectors, count: int) -> Vectors:
    """Centroids of unit length, shape (count, dim), float32: spherical k-means, equal for equal samples.

    Args:
        sample: Shape (n, dim), n at least `count`, float32, unit length; the first guess is spread evenly
            over it.
        count: How many.

    Source: I. S. Dhillon, D. S. Modha, "Concept Decompositions for Large Sparse Text Data Using Clustering",
    Machine Learning 42, 2001. A centroid that attracts nothing stays where it is.
    """
    centroids = sample[np.linspace(0, len(sample) - 1, count).astype(np.intp)].copy()
    for _ in range(ROUNDS):
        own = nearest_centroids(sample, centroids, 1)[:, 0]
        order = np.argsort(own, kind="stable")
        present, starts = np.unique(own[order], return_index=True)
        sums = np.add.reduceat(sample[order], starts, axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        moved = lengths[:, 0] > 0
        centroids[present[moved]] = sums[moved] / lengths[moved]
    return centroids


def nearest_centroids(rows: Vectors, centroids: Vectors, most: int) -> npt.NDArray[np.intp]:
    """Which centroids are nearest to each row, shape (n, min(most, count)), in no order."""
    most = min(most, len(centroids))
    found = np.empty((len(rows), most), dtype=np.intp)
    for start in range(0, len(rows), ROWS_AT_A_TIME):
        products = rows[start : start + ROWS_AT_A_TIME] @ centroids.T
        part = found[start : start + ROWS_AT_A_TIME]
        if most == 1:
            part[:, 0] = products.argmax(axis=1)
        else:
            part[:] = np.argpartition(products, len(centroids) - most, axis=1)[:, len(centroids) - most :]
    return found
