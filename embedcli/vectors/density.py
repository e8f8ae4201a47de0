"""Clusters where rows lie dense, and noise between them: HDBSCAN on the graph of the nearest neighbours.

The distances of all pairs are never made: the tree that HDBSCAN cuts is that of the graph's links, which
takes memory for these alone. And each row is moved towards its neighbours first, as its own place in several
hundred dimensions says little: half of all rows would be noise (docs/cluster.md). A neighbour counts for as
much as its link weighs, so that a row which is like nothing stays where it is.

Source: R. J. G. B. Campello, D. Moulavi, J. Sander, "Density-Based Clustering Based on Hierarchical Density
Estimates", PAKDD 2013, by scikit-learn. K. Fukunaga, L. D. Hostetler, "The Estimation of the Gradient of a
Density Function", IEEE Trans. Inf. Theory 21(1), 1975, for rows that move to the mean of their neighbours;
here neighbours and weights stay those of the beginning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components
from sklearn.cluster import HDBSCAN

from embedcli.vectors.clusters import NOISE
from embedcli.vectors.communities import link_weights, mean_cosine
from embedcli.vectors.in_blocks import CELLS, in_blocks
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Labels
    from embedcli.vectors.neighbors import Neighbors

MOVES: Final = 3
"""How often each row moves to the weighted mean of itself and its neighbours."""

CORE_ROWS: Final = 5
"""A row lies as dense as its so manieth neighbour is near."""

_CLOSEST: Final = 1e-6
_FARTHEST: Final = 2.0
"""Distances of rows that coincide, where 0 would be no link, and of parts that no link joins."""


def dense_clusters(vectors: Vectors, neighbors: Neighbors, min_size: int, *, jobs: int = 1) -> Labels:
    """Return a label for each row, shape (n,), int64, from 0 without a gap, or `NOISE`.

    Memory is that of the vectors twice and of the links.

    Args:
        vectors: Shape (n, dim), float32, unit length.
        neighbors: The nearest rows of each row, at least 1.
        min_size: Rows of the smallest cluster, at least 2.
        jobs: Threads; their number changes nothing.
    """
    count, nearest = neighbors.rows.shape
    if count < min_size:
        return np.full(count, NOISE, dtype=np.int64)
    moved = vectors
    weights = link_weights(neighbors, mean_cosine(vectors)).astype(np.float32)
    for _ in range(MOVES):
        moved = _moved(moved, neighbors.rows, weights, jobs)
    found = HDBSCAN(
        min_cluster_size=min_size, min_samples=min(CORE_ROWS, nearest), metric="precomputed", copy=False
    ).fit_predict(_distances(moved, neighbors.rows, jobs))
    return np.asarray(found, dtype=np.int64)


def _moved(
    vectors: Vectors, neighbors: npt.NDArray[np.int32], weights: npt.NDArray[np.float32], jobs: int
) -> Vectors:
    """Return the weighted mean of each row and its neighbours, scaled to unit length."""
    step = max(1, CELLS // (neighbors.shape[1] * vectors.shape[1]))

    def move(block: slice) -> Vectors:
        company = vectors[neighbors[block]] * weights[block, :, np.newaxis]
        return normalize(vectors[block] + company.sum(axis=1))

    return np.concatenate([*in_blocks(len(vectors), step, move, jobs)])


def _distances(vectors: Vectors, neighbors: npt.NDArray[np.int32], jobs: int) -> Any:
    """Return the distances of linked rows, a symmetric sparse array in one piece."""
    count, nearest = neighbors.shape
    step = max(1, CELLS // (nearest * vectors.shape[1]))

    def measure(block: slice) -> npt.NDArray[np.float64]:
        apart = vectors[neighbors[block]] - vectors[block, np.newaxis]
        squares: npt.NDArray[np.float64] = np.square(apart, dtype=np.float64).sum(axis=2)
        return np.sqrt(squares)

    lengths = np.maximum(np.concatenate([*in_blocks(count, step, measure, jobs)]), _CLOSEST).ravel()
    links = csr_array(
        (lengths, neighbors.ravel(), np.arange(0, count * nearest + 1, nearest)), shape=(count, count)
    )
    graph = links.maximum(links.T)
    parts, part_of = connected_components(graph, directed=False)
    if parts > 1:
        first = np.unique(part_of, return_index=True)[1]
        bridges = csr_array((np.full(parts - 1, _FARTHEST), (first[:-1], first[1:])), shape=(count, count))
        graph = graph.maximum(bridges).maximum(bridges.T)
    return graph.tocsr()
