"""Vectors without what all of them have in common: centred, or with the same spread in every direction.

Source: J. Su, J. Cao, W. Liu, Y. Ou, "Whitening Sentence Representations for Better Semantics and Faster
Retrieval", arXiv:2103.15316, 2021. The weight of the identity: O. Ledoit, M. Wolf, "A well-conditioned
estimator for large-dimensional covariance matrices", Journal of Multivariate Analysis 88, 2004, as
scikit-learn has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.covariance import ledoit_wolf_shrinkage

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Doubles = npt.NDArray[np.float64]


class Whitening(NamedTuple):
    """What vectors were fitted to.

    Attributes:
        mean: Shape (dim,), float64.
        matrix: Shape (dim, dim), float64: a centred vector times it is whitened.
    """

    mean: Doubles
    matrix: Doubles


def fit_whitening(vectors: Vectors, shrinkage: float | None = None) -> Whitening:
    """Return what makes the covariance of vectors the identity. O(n dim² + dim³).

    Args:
        vectors: Shape (n, dim), float32, n at least 1.
        shrinkage: 0 to 1, the share of the identity, scaled to the same trace, in the covariance: without any
            the directions in which the sample hardly spreads would be blown up. None for that of Ledoit and
            Wolf.

    Returns:
        With a share of 0 and vectors that spread in every direction, the whitened vectors' covariance is
        the identity. A direction without any spread becomes 0.
    """
    wide = np.asarray(vectors, dtype=np.float64)
    mean = wide.mean(axis=0)
    centred = wide - mean
    covariance = centred.T @ centred / len(wide)
    if shrinkage is None:
        shrinkage = float(ledoit_wolf_shrinkage(centred, assume_centered=True)) if len(wide) > 1 else 1.0
    spread = np.trace(covariance) / len(covariance)
    covariance = (1 - shrinkage) * covariance + shrinkage * spread * np.eye(len(covariance))
    values, directions = np.linalg.eigh(covariance)
    floor = max(values[-1], 0.0) * len(values) * np.finfo(np.float64).eps
    scales = np.where(values > floor, 1 / np.sqrt(np.maximum(values, np.finfo(np.float64).tiny)), 0.0)
    # Back in the vectors' own directions (ZCA): a share of 1 then only scales them.
    return Whitening(mean, (directions * scales) @ directions.T)


def whiten(vectors: Vectors, fitted: Whitening, mean: Doubles | None = None) -> Vectors:
    """Return whitened vectors, shape (n, dim), float32, not normalized.

    Args:
        vectors: Shape (n, dim), float32.
        fitted: From `fit_whitening`.
        mean: Taken off instead of the fitted one: that of vectors of another kind, such as queries.
    """
    centred = np.asarray(vectors, dtype=np.float64) - (fitted.mean if mean is None else mean)
    white: Vectors = (centred @ fitted.matrix).astype(np.float32)
    return white
