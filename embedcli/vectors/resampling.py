"""How sure a measured figure is: bootstrap intervals, and paired tests of two systems.

What is drawn again is what the measurement is over: queries, pairs, records. The same seed and number of
items give the same resamples, so that figures of two systems, or of two nights, can be compared resample by
resample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from scipy.special import ndtr, ndtri

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

RESAMPLES: Final = 2000
"""The ends of a 95 % interval then stand on fifty resamples each."""

LEVEL: Final = 0.95

SIGNIFICANT: Final = 0.05
"""Where p is below it, a difference is called significant."""

_SHUFFLES: Final = 9999
_EXACT_ITEMS: Final = 13
"""Up to so many items that differ, all sign flips are fewer than those that would be drawn."""

_BLOCK_NUMBERS: Final = 1 << 22
_ROUNDING: Final = 1e-12


def iter_resamples(count: int, seed: int) -> Iterator[Rows]:
    """Yield `RESAMPLES` arrays of row numbers, each of shape (count,), drawn with replacement.

    Args:
        count: How many items there are, at least 1.
        seed: Of the random numbers.
    """
    random = np.random.default_rng(seed)
    for _ in range(RESAMPLES):
        yield random.integers(0, count, count)


def resampled_means(values: Doubles, seed: int) -> Doubles:
    """Return the mean of each resample, O(n x RESAMPLES).

    Args:
        values: Shape (n,) of one measure, or (m, n) of several that share the resamples; n at least 1.
        seed: See `iter_resamples`.

    Returns:
        Shape (RESAMPLES,) or (m, RESAMPLES), float64.
    """
    count = values.shape[-1]
    means = np.empty((*values.shape[:-1], RESAMPLES))
    width = max(1, _BLOCK_NUMBERS // count)
    random = np.random.default_rng(seed)
    for start in range(0, RESAMPLES, width):
        size = min(width, RESAMPLES - start)
        # The same numbers as if each resample were drawn alone.
        rows = random.integers(0, count, (size, count))
        rows += count * np.arange(size)[:, np.newaxis]
        times = np.bincount(rows.ravel(), minlength=size * count).reshape(size, count)
        means[..., start : start + size] = values @ times.T.astype(np.float64) / count
    return means


def resampled_statistic(statistic: Callable[[Rows], float], count: int, seed: int) -> Doubles:
    """Return a figure that is no mean for each resample, shape (RESAMPLES,), float64.

    Args:
        statistic: Takes the row numbers of a resample.
        count: How many items there are.
        seed: See `iter_resamples`.
    """
    return np.array([statistic(rows) for rows in iter_resamples(count, seed)], dtype=np.float64)


def percentile_interval(resampled: Doubles) -> tuple[float, float]:
    """Return the 95 % interval that the resamples themselves span; resamples without a value are left out.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, section 13.3.
    """
    finite = resampled[np.isfinite(resampled)]
    if not len(finite):
        return float("nan"), float("nan")
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(finite, (tail, 100 - tail))
    return float(low), float(high)


def mean_interval(values: Doubles, resampled: Doubles) -> tuple[float, float]:
    """Return the 95 % interval of a mean, corrected for bias and skew.

    A measure of retrieval has many items at 0 and at 1; the plain percentiles of fifty such items hold the
    mean in 89 to 95 of a hundred cases, these in 93 to 98: docs/evaluate.md.

    Args:
        values: Of each item, shape (n,), float64.
        resampled: Means of its resamples, shape (RESAMPLES,).

    Source: B. Efron, "Better bootstrap confidence intervals", 1987 (BCa); the acceleration of a mean is a
        sixth of its skewness over the root of n.
    """
    mean = values.mean()
    apart = values - mean
    square = float((apart**2).sum())
    if square <= _ROUNDING:
        return float(mean), float(mean)
    acceleration = float((apart**3).sum()) / (6 * square**1.5)
    below = np.mean(resampled < mean - _ROUNDING) + np.mean(np.abs(resampled - mean) <= _ROUNDING) / 2
    bias = ndtri(np.clip(below, 1 / len(resampled), 1 - 1 / len(resampled)))
    ends = bias + ndtri(np.array([(1 - LEVEL) / 2, (1 + LEVEL) / 2]))
    low, high = np.percentile(resampled, 100 * ndtr(bias + ends / (1 - acceleration * ends)))
    return float(low), float(high)


def permutation_p(first: Doubles, second: Doubles, seed: int) -> float:
    """Return how likely chance alone makes two systems differ as much in their means; two-sided, paired.

    All ways to swap the systems item by item are tried where they are few, else 9,999 at random and the one
    that was found.

    Args:
        first: Values of one system, shape (n,), float64.
        second: Of the other, for the same items.
        seed: Of the random swaps.

    Source: E. Noreen, "Computer-Intensive Methods for Testing Hypotheses", 1989, paired randomization; M.
        Smucker, J. Allan, B. Carterette, "A comparison of statistical significance tests for information
        retrieval evaluation", 2007.
    """
    apart = (first - second)[np.abs(first - second) > _ROUNDING]
    count = len(apart)
    if not count:
        return 1.0
    found = abs(float(apart.sum())) - _ROUNDING * count
    if count <= _EXACT_ITEMS:
        signs = 1.0 - 2.0 * ((np.arange(2**count)[:, np.newaxis] >> np.arange(count)) & 1)
        return float(np.mean(np.abs(signs @ apart) >= found))
    random = np.random.default_rng(seed)
    as_large, width = 0, max(1, _BLOCK_NUMBERS // count)
    for start in range(0, _SHUFFLES, width):
        shape = (min(width, _SHUFFLES - start), count)
        signs = 1.0 - 2.0 * random.integers(0, 2, shape, dtype=np.int8)
        as_large += int((np.abs(signs @ apart) >= found).sum())
    return (1 + as_large) / (1 + _SHUFFLES)


def resampled_p(first: Doubles, second: Doubles) -> float:
    """Return a two-sided p-value for two figures that are no means, from the same resamples of both.

    Twice the share of resamples in which the difference is on its smaller side. 1 where no resample has both.

    Args:
        first: Of one system, shape (RESAMPLES,).
        second: Of the other, for the same items and seed.

    Source: B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, section 15.5.
    """
    apart = first - second
    apart = apart[np.isfinite(apart)]
    if not len(apart):
        return 1.0
    one_side = min(int((apart <= _ROUNDING).sum()), int((apart >= -_ROUNDING).sum()))
    return min(1.0, 2 * (1 + one_side) / (1 + len(apart)))
