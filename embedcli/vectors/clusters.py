"""What every way of clustering gives: a label for each row, and what each cluster is like.

Rows are texts that differ, and a weight says how many records have the text: whatever is said of a cluster is
said of its records.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.vectors.metric import pair_cosines, rows_per_step
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Labels = npt.NDArray[np.int64]
    Weights = npt.NDArray[np.float32]

NOISE: Final = -1
"""The label of a row that is in no cluster."""


class Clustering(NamedTuple):
    """Which cluster each row is in.

    Attributes:
        labels: Shape (n,), int64, from 0 without a gap, or `NOISE`; numbered by weight, see `renumbered`.
        reason: Why there are so many, or by what they were found; one clause for the user.
        assigned: Records that were noise and were given to the nearest cluster.
        middles: What the stars of `threshold` stand around, shape (k, dim), float32; None of other clusters.
    """

    labels: Labels
    reason: str
    assigned: int = 0
    middles: Vectors | None = None


class Start(NamedTuple):
    """Clusters of an earlier run, from which a way of clustering that can start anywhere may start.

    Attributes:
        labels: Where each row was, shape (n,), int64, from 0 to k - 1; `NOISE` for noise and new rows.
        means: Weighted mean of each cluster's rows, shape (k, dim), float32, of any length up to 1.
        middles: As in `Clustering`; None also where they are of another threshold.
    """

    labels: Labels
    means: Vectors
    middles: Vectors | None = None


class GroupStats(NamedTuple):
    """What each of k clusters is like.

    Attributes:
        centroids: Shape (k, dim), float32, unit length: the direction of the weighted mean. Zeros where that
            has none, as that of two opposite vectors.
        sizes: Shape (k,), int64: records, copies counted.
        cohesion: Shape (k,), float64: weighted mean cosine of the members to the centroid.
        medoids: Shape (k,), int64: the member that is nearest to the centroid, of equally near ones the
            lowest row.
        scores: Shape (n,), float64: cosine of each row to the centroid of its own cluster; NaN for noise.
    """

    centroids: Vectors
    sizes: Labels
    cohesion: npt.NDArray[np.float64]
    medoids: Labels
    scores: npt.NDArray[np.float64]


def renumbered(labels: npt.NDArray[np.integer], weights: Weights) -> Labels:
    """Return the labels with the heaviest cluster as 0; of equally heavy ones that of the first row is first.

    Args:
        labels: Shape (n,), any integers; `NOISE` stays.
        weights: Shape (n,), above 0.
    """
    found = np.full(len(labels), NOISE, dtype=np.int64)
    inside = labels != NOISE
    _, firsts, dense = np.unique(labels[inside], return_index=True, return_inverse=True)
    heavy = np.bincount(dense, weights=weights[inside].astype(np.float64), minlength=len(firsts))
    number = np.empty(len(firsts), dtype=np.int64)
    number[np.lexsort((firsts, -heavy))] = np.arange(len(firsts))
    found[inside] = number[dense]
    return found


def group_stats(vectors: Vectors, labels: Labels, weights: Weights) -> GroupStats:
    """Return what each cluster is like. O(n x dim) time, O(n) memory beside the centroids.

    Args:
        vectors: Shape (n, dim), float32, unit length.
        labels: Shape (n,), from 0 without a gap, or `NOISE`.
        weights: Shape (n,): records that have the text of each row.
    """
    count = int(labels.max(initial=NOISE)) + 1
    order = np.argsort(labels, kind="stable")[np.count_nonzero(labels == NOISE) :]
    starts = np.searchsorted(labels[order], np.arange(count + 1))
    centroids = normalize(
        np.array([_weighted_sum(vectors, weights, order[a:b]) for a, b in pairwise(starts)]).reshape(
            count, vectors.shape[1]
        )
    )
    scores = own_cosines(vectors, labels, centroids)
    wide = weights.astype(np.float64)
    sizes, cohesion, medoids = np.empty(count, np.int64), np.empty(count), np.empty(count, np.int64)
    for label in range(count):
        rows = order[starts[label] : starts[label + 1]]
        sizes[label] = wide[rows].sum()
        cohesion[label] = np.average(scores[rows], weights=wide[rows])
        medoids[label] = rows[scores[rows].argmax()]
    return GroupStats(centroids, sizes, cohesion, medoids, scores)


def own_cosines(vectors: Vectors, labels: Labels, centroids: Vectors) -> npt.NDArray[np.float64]:
    """Return the cosine of each row to its own cluster's centroid, shape (n,), float64; NaN for noise."""
    found = np.full(len(labels), np.nan)
    inside = np.flatnonzero(labels != NOISE)
    step = rows_per_step(vectors.shape[1])
    for first in range(0, len(inside), step):
        rows = inside[first : first + step]
        found[rows] = pair_cosines(vectors[rows], centroids[labels[rows]])
    return found


def _weighted_sum(vectors: Vectors, weights: Weights, rows: Labels) -> npt.NDArray[np.float64]:
    """Return the sum of some rows, each times its weight, shape (dim,), float64."""
    step = rows_per_step(vectors.shape[1])
    total = np.zeros(vectors.shape[1])
    for first in range(0, len(rows), step):
        some = rows[first : first + step]
        total += (vectors[some].astype(np.float64) * weights[some, np.newaxis]).sum(axis=0)
    return total
