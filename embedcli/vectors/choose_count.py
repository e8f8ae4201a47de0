"""How many clusters k-means is to make, from the rows alone.

Source: P. J. Rousseeuw, "Silhouettes: a graphical aid to the interpretation and validation of cluster
analysis", Journal of Computational and Applied Mathematics 20, 1987, by scikit-learn. That the fewest
clusters win whose silhouette is near the highest, and not the highest, is ours: it goes on rising slowly as
topics fall apart.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from sklearn.metrics import silhouette_score

from embedcli.vectors.background import spread_rows
from embedcli.vectors.k_means import k_means

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Weights

MOST: Final = 100
"""Clusters that are tried at the most, where nobody says."""

SAMPLE_ROWS: Final = 1 << 12
"""Rows that are looked at; beyond, as many spread evenly."""

NEAR_RATIO: Final = 0.95
"""A silhouette of this share of the highest one is near it."""

_STARTS: Final = 4
_STEP_RATIO: Final = 1.15
"""Beyond ten not every number is tried, but each so many times the one before."""


class Choice(NamedTuple):
    """How many clusters, and what speaks for it.

    Attributes:
        clusters: At least 1.
        silhouette: -1 to 1, of the cosines; NaN where there were too few rows to compare.
        tried: The highest number that was tried.
    """

    clusters: int
    silhouette: float
    tried: int


def choose_count(
    vectors: Vectors, weights: Weights, most: int = MOST, *, seed: int = 0, jobs: int = 1
) -> Choice:
    """Return the fewest clusters, from 2, whose silhouette is near the highest.

    With fewer than 3 rows there is nothing to compare, and it is 1. O(1) memory beside the rows.

    Args:
        vectors: Shape (n, dim), float32, unit length, no two equal, n at least 1.
        weights: Shape (n,): how often each row counts for the means; silhouettes are of the rows.
        most: How many are tried, at least 2; fewer than rows.
        seed: Of the starts.
        jobs: Threads; their number changes nothing.
    """
    rows = spread_rows(np.arange(len(vectors)), SAMPLE_ROWS)
    some, own = vectors[rows], weights[rows]
    counts = _counts(min(most, len(rows) - 1))
    if not counts:
        return Choice(1, np.nan, 1)
    apart = np.maximum(1 - some @ some.T, 0)
    np.fill_diagonal(apart, 0)
    found = []
    for count in counts:
        labels = k_means(some, own, count, seed=seed, jobs=jobs, starts=_STARTS)
        found.append(float(silhouette_score(apart, labels, metric="precomputed")))
    highest = max(found)
    bar = highest * NEAR_RATIO if highest > 0 else highest
    place = next(place for place, silhouette in enumerate(found) if silhouette >= bar)
    return Choice(counts[place], found[place], counts[-1])


def _counts(most: int) -> list[int]:
    """Return the numbers that are tried, up to the most."""
    counts = [*range(2, min(most, 10) + 1)]
    while counts and counts[-1] < most:
        counts.append(min(most, max(counts[-1] + 1, round(counts[-1] * _STEP_RATIO))))
    return counts
