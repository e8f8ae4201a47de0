"""Principal components, and what every t-SNE begins with.

t-SNE stands on the exact nearest neighbours and begins with the principal components; nothing is left to
chance but a trace of noise that parts equal beginnings.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Points = npt.NDArray[np.float32]

NEIGHBORS: Final = 15
"""Edges of a row in t-SNE's graph."""
TRUST_NEIGHBORS: Final = 10

EARLY_STEPS: Final = 250
STEPS: Final = 500
_START_SPREAD: Final = 1e-4
_NOISE_RATIO: Final = 1e-2
TINY: Final = 1e-12


def principal(vectors: Vectors) -> Points:
    """Return the two directions of most variance, shape (n, 2), float32; zeros where there are none.

    The largest coefficient of a direction is positive, so that a picture is never mirrored.
    """
    if len(vectors) < 2:
        return np.zeros((len(vectors), 2), dtype=np.float32)
    return shadow(vectors - vectors.mean(axis=0))


def shadow(steps: Vectors) -> Points:
    """Return how far each row goes in the two directions in which all go farthest, shape (n, 2), float32."""
    _, directions = np.linalg.eigh(steps.T @ steps)
    best = directions[:, ::-1][:, :2]
    strongest = best[np.abs(best).argmax(axis=0), np.arange(best.shape[1])]
    found = np.zeros((len(steps), 2), dtype=np.float32)
    found[:, : best.shape[1]] = steps @ (best * np.where(strongest < 0, -1, 1))
    return found


def neighbor_count(rows: int) -> int:
    """Return how many neighbours a row has: of few rows, few, or all would be neighbours of all."""
    return min(NEIGHBORS, max(2, (rows - 1) // 3))


def start_points(vectors: Vectors, seed: int) -> Points:
    """Return where t-SNE begins: principal components, tiny, and far tinier noise that parts equal ones."""
    points = principal(vectors)
    points *= _START_SPREAD / max(float(points[:, 0].std()), TINY)
    noise = np.random.default_rng(seed).normal(0, _START_SPREAD * _NOISE_RATIO, points.shape)
    return (points + noise).astype(np.float32)
