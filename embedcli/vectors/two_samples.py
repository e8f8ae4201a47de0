"""A distance between two collections of vectors, and how likely chance makes one as large."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Rows = npt.NDArray[np.int64]

SAMPLE_ROWS: Final = 2_000
"""Of each side: 64 MB of distances, and a second."""

SHUFFLES: Final = 999
"""So that p is a multiple of .001, and no less."""

_BATCH: Final = 128
_ROUNDING: Final = 1e-6


class Difference(NamedTuple):
    """How far two collections differ.

    Attributes:
        energy: 0 for equal ones, to 1 for one vector over and over on one side and another on the other.
        p: The share of random divisions of all vectors, this one among them, that differ as much or more.
    """

    energy: float
    p: float


def sampled(count: int, seed: int) -> Rows:
    """Return which rows of a collection are compared: all, or `SAMPLE_ROWS` at random, in ascending order.

    Args:
        count: How many there are.
        seed: Of the random numbers.
    """
    if count <= SAMPLE_ROWS:
        return np.arange(count)
    chosen = np.random.default_rng(seed).choice(count, SAMPLE_ROWS, replace=False)
    return np.sort(chosen)


def difference(left: Vectors, right: Vectors, seed: int) -> Difference:
    """Return the energy distance of two collections, as a share of what it could be, and its p-value.

    O((n + m)**2 x SHUFFLES) time, O((n + m)**2) memory.

    Args:
        left: Shape (n, dim), float32, n at least 1.
        right: Shape (m, dim), likewise.
        seed: Of the shuffles.

    Source: G. J. Szekely and M. L. Rizzo, "Energy statistics: a class of statistics based on distances",
        2013: the coefficient H with Euclidean distances, and the permutation test of two samples.
    """
    random = np.random.default_rng(seed)
    both = np.concatenate((left, right))
    # Rounding may leave a little less than nothing.
    squares = np.einsum("ij,ij->i", both, both)
    apart = np.sqrt(np.maximum(squares[:, np.newaxis] + squares - 2 * (both @ both.T), 0))
    np.fill_diagonal(apart, 0)
    is_left = np.zeros((SHUFFLES + 1, len(both)), np.float32)
    is_left[0, : len(left)] = 1
    for row in is_left[1:]:
        row[random.permutation(len(both))[: len(left)]] = 1
    parts = [_energies(apart, is_left[at : at + _BATCH]) for at in range(0, len(is_left), _BATCH)]
    found = np.concatenate(parts)
    # The same division sums to the same but for rounding.
    as_large = int((found[1:] >= found[0] - _ROUNDING).sum())
    return Difference(max(float(found[0]), 0.0), (1 + as_large) / (1 + SHUFFLES))


def _energies(apart: Vectors, is_left: Vectors) -> npt.NDArray[np.float64]:
    """Return the energy coefficient for each division into left and right, shape (divisions,)."""
    to_left = (is_left @ apart).astype(np.float64)
    within_left = np.einsum("ij,ij->i", to_left, is_left)
    all_to_left = to_left.sum(axis=1)
    between = all_to_left - within_left
    within_right = apart.sum(dtype=np.float64) - all_to_left - between
    count = is_left.sum(axis=1, dtype=np.float64)
    other = is_left.shape[1] - count
    cross = 2 * between / (count * other)
    energy = cross - within_left / count**2 - within_right / other**2
    shares: npt.NDArray[np.float64] = np.divide(energy, cross, out=np.zeros(len(cross)), where=cross > 0)
    return shares
