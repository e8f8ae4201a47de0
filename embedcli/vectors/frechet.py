"""Labels with distances between them: the one that is nearest, on the whole, to all that a text may be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import shortest_path

from embedcli.vectors.heads import rounded

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]


def path_lengths(nodes: int, edges: Sequence[tuple[int, int, float]]) -> Doubles:
    """Return the length of the shortest path between any two nodes, shape (nodes, nodes); inf for none.

    Args:
        nodes: How many there are.
        edges: Pairs of nodes and their distance, above 0, in either direction; of several the shortest
            counts.
    """
    least: dict[tuple[int, int], float] = {}
    for one, other, length in edges:
        pair = (min(one, other), max(one, other))
        least[pair] = min(length, least.get(pair, length))
    pairs = np.array(list(least), dtype=np.int64).reshape(-1, 2)
    graph = csr_array((list(least.values()), (pairs[:, 0], pairs[:, 1])), shape=(nodes, nodes))
    found: Doubles = np.asarray(shortest_path(graph, directed=False), dtype=np.float64)
    return found


def frechet_scores(probabilities: npt.NDArray[Any], distances: Doubles) -> Doubles:
    """Return how near each label is to what a text may be, shape (n, all labels), 0 to 1.

    That is 1 / (1 + m), where m is the mean of the squared distance under the probabilities. The label with
    the least mean, the Fréchet mean, can be one that has no probability at all, between those that have.

    Args:
        probabilities: Shape (n, labels), rows sum to 1.
        distances: From each of these labels to each of all labels, shape (labels, all labels).

    Source: Roberts et al., "Geometry-Aware Adaptation for Pretrained Models" (Loki), NeurIPS 2023, section 3.
    """
    return rounded(1 / (1 + probabilities @ np.square(distances)))
