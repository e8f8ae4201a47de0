"""k-means over unit vectors, by scikit-learn: the same clusters for any number of threads.

Where there are many rows, the starts are tried on some of them, and the best one goes on with all: ten take
as long as one on all rows, and end as near. Mini-batches alone end 1 % farther from the rows
(docs/cluster.md).

Source: S. P. Lloyd, "Least squares quantization in PCM", IEEE Trans. Inf. Theory 28(2), 1982; D. Arthur,
S. Vassilvitskii, "k-means++: The Advantages of Careful Seeding", SODA 2007, for the starts; D. Sculley,
"Web-Scale K-Means Clustering", WWW 2010, for mini-batches.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from sklearn.cluster import KMeans, MiniBatchKMeans
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from embedcli.vectors.background import spread_rows
from embedcli.vectors.in_blocks import in_blocks

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Labels, Weights

STARTS: Final = (20, 10, 3)
"""Starts by k-means++, of which the best counts: fewer where one takes long. With 20 the runs of five seeds
on 20 planted topics are alike (benchmarks/cluster.py)."""

START_CELLS: Final = (1 << 14, 1 << 21)
"""Rows of a start times clusters up to which there are the first, and the second number of them."""

START_ROWS: Final = 1 << 14
"""Rows that starts are tried on, or `START_ROWS_EACH` for a cluster if that is more."""
START_ROWS_EACH: Final = 16

BATCH_CELLS: Final = 1 << 27
"""Rows times clusters beyond which all rows go through mini-batches: a round over all takes two seconds."""
BATCH_ROWS: Final = 4096
BATCH_ROUNDS: Final = 3


def k_means(
    vectors: Vectors,
    weights: Weights,
    count: int,
    *,
    seed: int = 0,
    jobs: int = 1,
    start: Vectors | None = None,
    starts: int = STARTS[0],
) -> Labels:
    """Return a label for each row, shape (n,), int64, from 0; a few of them may have no row.

    Args:
        vectors: Shape (n, dim), float32, unit length, no two equal; or sparse ones.
        weights: Shape (n,), float32: how often each row counts.
        count: Clusters, from 1 to n.
        seed: Of the starts.
        jobs: Threads, a start each; their number changes nothing.
        start: Shape (count, dim), float32: centroids to begin with, instead of starts.
        starts: How many are tried, at the most.
    """
    rows = spread_rows(np.arange(vectors.shape[0]), max(START_ROWS, START_ROWS_EACH * count))
    some, own = (vectors, weights) if len(rows) == vectors.shape[0] else (vectors[rows], weights[rows])
    tries = min(starts, STARTS[int(np.searchsorted(START_CELLS, len(rows) * count))])
    seeds = np.random.SeedSequence(seed).generate_state(tries)

    def run(part: slice) -> Any:
        return _fit(KMeans(count, n_init=1, random_state=int(seeds[part.start])), some, own)

    with warnings.catch_warnings(), threadpool_limits(1):
        # Rows that differ in their last bits alone may leave a cluster empty.
        warnings.simplefilter("ignore", ConvergenceWarning)
        if start is None:
            best = min(in_blocks(tries, 1, run, jobs), key=lambda found: float(found.inertia_))
            if len(rows) == vectors.shape[0]:
                return np.asarray(best.labels_, dtype=np.int64)
            start = best.cluster_centers_
        if vectors.shape[0] * count <= BATCH_CELLS:
            found = KMeans(count, init=start, n_init=1)
        else:
            found = MiniBatchKMeans(
                count,
                init=start,
                n_init=1,
                batch_size=BATCH_ROWS,
                max_iter=BATCH_ROUNDS,
                max_no_improvement=None,
                reassignment_ratio=0,
                random_state=int(seeds[0]),
            )
        return np.asarray(_fit(found, vectors, weights).labels_, dtype=np.int64)


def _fit(means: Any, vectors: Vectors, weights: Weights) -> Any:
    # One OpenMP thread for each start: several add up in an order that changes from run to run. The limit is
    # that of the thread which sets it.
    with threadpool_limits(1):
        return means.fit(vectors, sample_weight=weights)
