"""t-SNE by scikit-learn, for some thousand rows; all others stand beside the nearest of these."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from embedcli.vectors.layout import EARLY_STEPS, STEPS, TINY, neighbor_count, shadow, start_points
from embedcli.vectors.neighbors import nearest_among, nearest_neighbors

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.layout import Points

LANDMARKS: Final = 5000
"""Rows that scikit-learn lays out; others go beside the nearest of them."""
_CELL_RATIO: Final = 0.5


def landmark_tsne(vectors: Vectors, *, seed: int = 0, jobs: int = 1) -> Points:
    """Return t-SNE's points, shape (n, 2), float32, with scikit-learn alone.

    Up to `LANDMARKS` rows are laid out by t-SNE. Where there are more, these are landmarks, and each other
    row stands beside its nearest one, towards where the principal components of their difference point.
    O(n x LANDMARKS x dim) time.
    Source: van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008), started by principal components
    (Kobak and Berens 2019).

    Args:
        vectors: Shape (n, dim), float32, unit length, n at least 4.
        seed: Of the noise, and of which rows are landmarks.
        jobs: Threads; their number changes nothing.
    """
    if len(vectors) <= LANDMARKS:
        return _sklearn_tsne(vectors, seed, jobs)
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:LANDMARKS])
    landmarks = vectors[chosen]
    laid = _sklearn_tsne(landmarks, seed, jobs)
    nearest = nearest_among(vectors, landmarks, 1, jobs=jobs).rows[:, 0]
    nearest[chosen] = np.arange(LANDMARKS)
    offsets = shadow(vectors - landmarks[nearest])
    lengths = np.hypot(offsets[:, 0], offsets[:, 1])
    # A landmark's rows fill half the way to the next landmark, the farthest of them at the rim.
    apart = np.zeros(LANDMARKS, dtype=np.float32)
    np.maximum.at(apart, nearest, lengths)
    room = _CELL_RATIO * _nearest_distances(laid)
    steps = (room / np.maximum(apart, TINY))[nearest, np.newaxis]
    return (laid[nearest] + offsets * steps).astype(np.float32)


def _sklearn_tsne(vectors: Vectors, seed: int, jobs: int) -> Points:
    near = nearest_neighbors(vectors, neighbor_count(len(vectors)), jobs=jobs)
    size, count = near.rows.shape
    # scikit-learn wants each row among its own neighbours, at distance 0.
    rows = np.column_stack([np.arange(size), near.rows])
    distances = np.column_stack([np.zeros(size), np.maximum(1 - near.cosines, TINY)])
    ends = np.arange(0, rows.size + 1, count + 1)
    graph = csr_matrix((distances.ravel(), rows.ravel(), ends), shape=(size, size))
    # One OpenMP thread: several add up in an order that changes from run to run.
    with threadpool_limits(1):
        found = TSNE(
            # It takes three times as many neighbours, and one more.
            perplexity=(count - 1) / 3,
            metric="precomputed",
            init=start_points(vectors, seed),
            max_iter=EARLY_STEPS + STEPS,
            random_state=seed,
        ).fit_transform(graph)
    return np.asarray(found, dtype=np.float32)


def _nearest_distances(points: Points) -> npt.NDArray[np.float32]:
    """Return how far each point is from the nearest other one, shape (n,), float32."""
    distances, _ = KDTree(points).query(points, k=2)
    return np.asarray(distances[:, 1], dtype=np.float32)
