"""Upper bounds on cosines from a few numbers, so that most pairs are never compared in full.

Unit vectors are turned so that their first numbers hold most of what they share. With head h and the length t
of the rest, the cosine of two is at most h . h' + t * t' (Cauchy-Schwarz): one product of few numbers, of
which the last is t. Rounding is counted in, so no pair above a threshold is left out.

Source: C. Teflioudi, R. Gemulla, O. Mykytiuk, "LEMP: Fast Retrieval of Large Entries in a Matrix Product",
SIGMOD 2015; H. Li et al., "FEXIPRO: Fast and Exact Inner Product Retrieval in Recommender Systems", SIGMOD
2017, for the turn to the principal axes. Both bound single pairs step by step; here it is one product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from typing import Final

    from embedcli.datatypes import Vectors
    from embedcli.vectors.kept import Floats

SAMPLE_ROWS: Final = 4096
"""Rows from which the axes are found."""
PROBE_ROWS: Final = 512
"""Rows of the sample that are compared with the others of it, to see how many pairs a bound leaves over."""
AXES_TRIED: Final = (8, 16, 24, 32, 48, 64, 96, 128, 192, 256)
"""Heads of these sizes are weighed against one another."""

# Nanoseconds of one core for a pair, on the machine of docs/measurements.md; only their ratios matter.
_PAIR_NS = 0.65
_NUMBER_NS = 0.0133
_LEFT_OVER_NS = 1.2
"""For each number of a pair that is left over: both vectors are fetched, one is widened."""

_UNIT = 2.0**-24


class Axes(NamedTuple):
    """Directions that hold most of the vectors.

    Attributes:
        directions: Shape (dim, k), float32, orthonormal but for `error`.
        error: What is added to the square of the rest's length, which raises each bound by as much: at least
            as far as a bound computed in float32 without it can be below the true one.
    """

    directions: Vectors
    error: float

    def heads(self, floats: Vectors) -> Floats:
        """Return the heads of unit vectors, shape (n, k + 1), float32, the length of the rest at the end.

        Args:
            floats: Shape (n, dim), float32, unit length or zero. A row of zeros stays one.
        """
        size = self.directions.shape[1]
        heads = np.empty((len(floats), size + 1), dtype=np.float32)
        np.matmul(floats, self.directions, out=heads[:, :size])
        rest = 1 - np.einsum("ij,ij->i", heads[:, :size], heads[:, :size])
        heads[:, size] = np.sqrt(np.maximum(rest, 0) + np.float32(self.error))
        bare = np.flatnonzero(rest == 1)
        heads[bare[~floats[bare].any(axis=1)]] = 0
        return heads


def make_axes(directions: Vectors) -> Axes:
    """Return axes with their error, by the worst case of each rounding.

    Args:
        directions: Shape (dim, k), float32, about orthonormal.

    Source: N. J. Higham, "Accuracy and Stability of Numerical Algorithms", 2nd ed., 2002, section 3.1.
    """
    dim, size = directions.shape
    wide = directions.astype(np.float64)
    skew = float(np.linalg.norm(wide.T @ wide - np.eye(size)))
    # A number of a head is off by dim units at most, so that its square and its products are by twice that.
    head = skew + 2 * (size**0.5) * (dim + 4) * _UNIT + (size + 32) * _UNIT
    # Once for the rest that the head's square is taken from, once for the product of two heads.
    return Axes(directions, 2 * head)


def fit_axes(sample: Vectors, threshold: float, compared: float = 1.0) -> Axes | None:
    """Return the axes with which comparing costs least, or None where comparing in full does.

    Args:
        sample: Shape (n, dim), n at least 2, float32, unit length: rows as they will be compared.
        threshold: The cosine that pairs must reach.
        compared: The share of all pairs that will be compared, the most alike ones, above 0.

    Source: N. Halko, P.-G. Martinsson, J. A. Tropp, "Finding Structure with Randomness", SIAM Review 53(2),
    2011, algorithm 4.4, for the axes; here with a fixed start, so that equal runs are equal.
    """
    dim = sample.shape[1]
    tried = [size for size in AXES_TRIED if 3 * size <= 2 * min(dim, len(sample))]
    if not tried:
        return None
    principal = _principal(sample, tried[-1])
    probes, others = sample[:: max(1, len(sample) // PROBE_ROWS)], sample
    best, least = None, _PAIR_NS + _NUMBER_NS * dim
    for size in tried:
        axes = make_axes(np.ascontiguousarray(principal[:, :size]))
        bounds = axes.heads(probes) @ axes.heads(others).T
        # Each probe meets itself once.
        over = np.count_nonzero(bounds >= np.float32(threshold)) - len(probes)
        left = _LEFT_OVER_NS * dim * max(0, over) / (bounds.size * compared)
        cost = _PAIR_NS + _NUMBER_NS * (size + 1) + left
        if cost < least:
            best, least = axes, cost
    return best


def _principal(sample: Vectors, size: int) -> Vectors:
    """Orthonormal directions that hold most of the sample, best first, shape (dim, size)."""
    start = np.random.default_rng(1).standard_normal((sample.shape[1], size)).astype(np.float32)
    span = np.linalg.qr(sample.T @ (sample @ start))[0]
    span = np.linalg.qr(sample.T @ (sample @ span))[0]
    seen = (sample @ span).astype(np.float64)
    _, turn = np.linalg.eigh(seen.T @ seen)
    turned, _ = np.linalg.qr(span.astype(np.float64) @ turn[:, ::-1])
    return turned.astype(np.float32)
