"""How far a layout can be trusted: whether what is near on it is near in truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from sklearn.manifold import trustworthiness as trusted

from embedcli.vectors.layout import TRUST_NEIGHBORS

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.vectors.layout import Points

TRUST_ROWS: Final = 2000
"""Rows that are looked at, at most: their distances are compared in pairs."""


def trustworthiness(vectors: Vectors, points: Points, *, seed: int = 0) -> float:
    """Return how far the nearest points of a row are neighbours of it, 0 to 1, on `TRUST_ROWS` rows at most.

    A random layout has about 0.5. There must be more than twice as many rows as neighbours.
    Source: Venna and Kaski, "Local multidimensional scaling" (2006), as scikit-learn computes it, by cosine.
    """
    rows = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:TRUST_ROWS])
    return float(trusted(vectors[rows], points[rows], n_neighbors=TRUST_NEIGHBORS, metric="cosine"))
