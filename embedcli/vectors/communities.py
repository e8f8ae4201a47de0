"""Communities: groups of rows that are each other's neighbours more than chance would have them.

Rows are joined where one is among the nearest of the other. What a link weighs says how much nearer the two
are than any two rows: a model whose cosines all lie between 0.7 and 0.9 gives as clear a graph as one whose
cosines lie between 0 and 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from graspologic_native import leiden_csr
from scipy.sparse import csr_array

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Labels
    from embedcli.vectors.neighbors import Neighbors

ROUNDS: Final = 5
"""Whole rounds of Leiden; more change the modularity in the fourth digit."""

_SWEEPS: Final = 100
"""Sweeps over the rows of one phase, so that no graph can keep it busy for ever."""

_LIGHTEST: Final = 1e-6
"""What a link weighs at least: rows farther from each other than any two are neighbours all the same."""

_LOOKS: Final = 16
"""Resolutions that are tried for a number of communities."""


class Communities(NamedTuple):
    """What was found.

    Attributes:
        labels: Shape (n,), int64, from 0 without a gap.
        resolution: By which.
        modularity: Share of the weight inside communities, less what chance would put there; -0.5 to 1.
    """

    labels: Labels
    resolution: float
    modularity: float


def mean_cosine(vectors: Vectors) -> float:
    """Return the mean cosine of two different rows, -1 to 1.

    Args:
        vectors: Shape (n, dim), float32, unit length, n at least 2.
    """
    total = vectors.sum(axis=0, dtype=np.float64)
    count = len(vectors)
    return float((total @ total - count) / (count * (count - 1.0)))


def link_weights(neighbors: Neighbors, base: float) -> npt.NDArray[np.float64]:
    """Return what neighbours weigh: the square of how far the cosine is above the base, 1 for equal rows.

    Args:
        neighbors: The nearest rows of each row.
        base: The mean cosine, below 1.

    Returns:
        Shape (n, k), float64, 0 to 1.
    """
    above = np.maximum(neighbors.cosines.astype(np.float64) - base, 0.0) / max(1.0 - base, _LIGHTEST)
    return above**2


def neighbor_graph(neighbors: Neighbors, base: float) -> Any:
    """Return the links of all rows, a symmetric sparse array of shape (n, n), float64; see `link_weights`."""
    count, nearest = neighbors.rows.shape
    weights = np.maximum(link_weights(neighbors, base), _LIGHTEST).ravel()
    starts = np.arange(0, count * nearest + 1, nearest)
    links = csr_array((weights, neighbors.rows.ravel(), starts), shape=(count, count))
    return links.maximum(links.T).tocsr()


def communities(
    graph: Any, *, resolution: float = 1.0, seed: int = 0, held: Any | None = None
) -> Communities:
    """Return communities of high modularity.

    Args:
        graph: From `neighbor_graph`, of at least 2 rows.
        resolution: Above 0; the higher, the more communities.
        seed: Of what is left to chance.
        held: The graph with more nodes behind its own, as `anchors.anchored` makes it.

    Source: V. A. Traag, L. Waltman, N. J. van Eck, "From Louvain to Leiden: guaranteeing well-connected
    communities", Scientific Reports 9, 2019; the code is graspologic-native's.
    """
    whole = graph if held is None else held
    _, found = leiden_csr(
        whole.indptr.astype(np.int64),
        whole.indices.astype(np.int32),
        whole.data,
        whole.shape[0],
        resolution=resolution,
        iterations=ROUNDS,
        seed=seed,
        max_local_moving_iterations=_SWEEPS,
    )
    community_of = np.empty(whole.shape[0], dtype=np.int64)
    community_of[[*found]] = [*found.values()]
    labels = np.unique(community_of[: graph.shape[0]], return_inverse=True)[1].astype(np.int64)
    return Communities(labels, resolution, _modularity(graph, labels))


def communities_of_count(graph: Any, count: int, *, seed: int = 0, held: Any | None = None) -> Communities:
    """Return communities of the resolution that gives as nearly so many as can be found, of equals the fewer.

    Args:
        graph: From `neighbor_graph`, of at least 2 rows.
        count: How many, from 1.
        seed: Of what is left to chance.
        held: As in `communities`.
    """
    low, high, resolution = 0.0, np.inf, 1.0
    best: Communities | None = None
    missed = count + graph.shape[0]
    for _ in range(_LOOKS):
        found = communities(graph, resolution=resolution, seed=seed, held=held)
        communities_found = int(found.labels.max()) + 1
        if abs(communities_found - count) < missed:
            best, missed = found, abs(communities_found - count)
        if not missed:
            break
        low, high = (resolution, high) if communities_found < count else (low, resolution)
        resolution = low * 4 if high == np.inf else high / 4 if low == 0 else (low * high) ** 0.5
    assert best is not None, "the first look is better than none"
    return best


def _modularity(graph: Any, labels: Labels) -> float:
    """Return the modularity, whatever the resolution.

    Source: M. E. J. Newman, "Analysis of weighted networks", Physical Review E 70, 2004, equation 6.
    """
    owners = np.repeat(labels, np.diff(graph.indptr))
    total = graph.data.sum()
    inside = graph.data[owners == labels[graph.indices]].sum()
    shares = np.bincount(owners, weights=graph.data) / total
    return float(inside / total - (shares**2).sum())
