"""t-SNE by openTSNE, from the extra `map`: importing this fails where that is not installed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from openTSNE import TSNEEmbedding
from openTSNE.affinity import PrecomputedAffinities
from scipy.sparse import csr_matrix

from embedcli.vectors.layout import EARLY_STEPS, STEPS, neighbor_count, start_points
from embedcli.vectors.neighbors import nearest_neighbors

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.vectors.layout import Points

_EXAGGERATION: Final = 12.0
_MOMENTUM: Final = 0.8
_FEW_ROWS: Final = 5000
"""Up to here the Barnes-Hut tree is the faster way to sum what repels."""


def tsne(vectors: Vectors, *, seed: int = 0, jobs: int = 1) -> Points:
    """Return t-SNE's points, shape (n, 2), float32; the time of `nearest_neighbors`, then O(n).

    Source: van der Maaten and Hinton, "Visualizing Data using t-SNE" (2008), by interpolation (Linderman and
    others, 2019), started by principal components (Kobak and Berens 2019), with equal weights on the nearest
    rows instead of a perplexity (Böhm, Berens, Kobak 2022).

    Args:
        vectors: Shape (n, dim), float32, unit length, n at least 4.
        seed: Of the noise.
        jobs: Threads; their number changes nothing.
    """
    near = nearest_neighbors(vectors, neighbor_count(len(vectors)), jobs=jobs).rows
    count = near.shape[1]
    one_way = csr_matrix(
        (np.ones(near.size), near.ravel(), np.arange(0, near.size + 1, count)), shape=(len(near), len(near))
    )
    graph = csr_matrix(one_way + one_way.T)
    graph.data[:] = 1 / graph.nnz
    embedding = TSNEEmbedding(
        start_points(vectors, seed).astype(np.float64),
        PrecomputedAffinities(graph, normalize=False),
        negative_gradient_method="fft" if len(vectors) > _FEW_ROWS else "bh",
        # Threads that wait for each other cost more than such a picture.
        n_jobs=jobs if len(vectors) > _FEW_ROWS else 1,
        random_state=seed,
    )
    embedding = embedding.optimize(EARLY_STEPS, exaggeration=_EXAGGERATION, momentum=_MOMENTUM)
    embedding = embedding.optimize(STEPS, exaggeration=None, momentum=_MOMENTUM)
    return np.asarray(embedding, dtype=np.float32)
