"""How close the nearest of many vectors comes to a question that none of them answers.

A collection is asked probes: texts that it was not made for. Each probe's nearest row is a maximum over many
cosines, and such maxima follow a Gumbel distribution. It is fitted through the quartiles of the probes'
maxima, so that nothing depends on the quarter of the probes that come closest: those that are answered.

A question's own cosines to all rows are no such background: those of a question that the collection is about
spread wide, those of one that it is not about lie close together, so a far row stands out (docs/search.md).

Source: E. J. Gumbel, "Statistics of Extremes", 1958, chapter 5, for the distribution of maxima and its
quantiles; I. Weissman, "Estimation of Parameters and Large Quantiles Based on the k Largest Observations",
Journal of the American Statistical Association 73, 1978, for maxima over more rows than were compared.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

TAIL_RATIO: Final = 0.02
"""Of the rows that were compared, so many, the nearest ones, say how cosines thin out."""

_QUARTERS: Final = (0.25, 0.5, 0.75)
_GOLDEN: Final = 0x9E3779B97F4A7C15
"""2**64 divided by the golden ratio, odd."""


@dataclass(frozen=True, slots=True)
class Background:
    """How close the nearest row comes by chance: a Gumbel distribution of cosines.

    Attributes:
        location: Its mode.
        scale: Its width, at least 0.
    """

    location: float
    scale: float

    def quantile(self, ratio: float) -> float:
        """Return the cosine below which that share of chance maxima stays, -1 to 1.

        Args:
            ratio: Above 0 and below 1.
        """
        return min(1.0, max(-1.0, self.location - self.scale * math.log(-math.log(ratio))))


def fit_background(maxima: npt.NDArray[Any]) -> Background:
    """Return the distribution whose quartiles are those of some maxima.

    Args:
        maxima: Shape (p,), p at least 1: the cosine of each probe's nearest row. Their order does not count.
    """
    low, middle, high = np.quantile(np.asarray(maxima, dtype=np.float64), _QUARTERS).tolist()
    reduced = [-math.log(-math.log(ratio)) for ratio in _QUARTERS]
    scale = (high - low) / (reduced[2] - reduced[0])
    return Background(middle - scale * reduced[1], scale)


def chance_maxima(cosines: npt.NDArray[Any], rows: int) -> Doubles:
    """Return how close the nearest of all rows comes to each probe, from the cosines to some of them.

    The nearest 2 % thin out exponentially: the maximum grows with the logarithm of the number of rows.
    Each probe has a scale of its own: the mean of these over the next one. Where all rows were compared, the
    maxima are the exact ones.

    Args:
        cosines: Shape (p, n), n at least 1: of each probe and each sampled row.
        rows: How many there are in all, at least n.

    Returns:
        Shape (p,), float64; may be above 1 where rows were left out.
    """
    count = cosines.shape[1]
    highest: Doubles = cosines.max(axis=1).astype(np.float64)
    tail = math.ceil(TAIL_RATIO * count)
    if tail >= count:
        return highest
    nearest = np.sort(np.partition(cosines, count - tail - 1, axis=1)[:, count - tail - 1 :], axis=1)
    scales = nearest[:, 1:].mean(axis=1, dtype=np.float64) - nearest[:, 0]
    grown: Doubles = highest + scales * math.log(rows / count)
    return grown


def spread_rows(rows: Rows, count: int) -> Rows:
    """Return some rows, ascending: the same ones for the same rows, spread evenly and in step with no period.

    Those whose multiples of the golden ratio have the smallest fractions.

    Args:
        rows: Ascending, all different.
        count: How many; all where there are no more.

    Source: D. E. Knuth, "The Art of Computer Programming", volume 3, 2nd ed., section 6.4, Fibonacci hashing.
    """
    if len(rows) <= count:
        return rows
    keys = rows.astype(np.uint64) * np.uint64(_GOLDEN)
    return np.sort(rows[np.argpartition(keys, count)[:count]])
