"""The cosine from which two texts count as duplicates, chosen from pairs of which it is known.

To lose a record that stands for nothing else is worse than to keep one twice. So the threshold is as high as
it can be while most duplicates are still found, and higher where that lets too many distinct pairs through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.errors import VectorError

if TYPE_CHECKING:
    from typing import Any, Final

    import numpy.typing as npt

FOUND_RATIO: Final = 0.95
"""Share of the duplicates that is to be found."""

PRECISION: Final = 0.99
"""Lowest share of duplicates among the pairs at or above the threshold, where both kinds are equally many."""

STEP: Final = 1e-4
"""Thresholds are whole multiples of it, so that what is printed is what is used."""

_BETA: Final = 0.5
"""Where the precision cannot be had, it weighs twice as much as the recall."""


class Threshold(NamedTuple):
    """A threshold and what it does on the pairs that it was chosen from.

    Attributes:
        value: Above 0, at most 1: pairs with at least this cosine are called duplicates.
        precision: Of the pairs called duplicates, the share that are, 0 to 1.
        recall: Of the duplicates, the share that are called so, 0 to 1.
    """

    value: float
    precision: float
    recall: float


def choose_threshold(
    duplicates: npt.NDArray[Any],
    distinct: npt.NDArray[Any],
    precision: float = PRECISION,
    at_least: float = 0.0,
    found_ratio: float = FOUND_RATIO,
) -> Threshold:
    """Return the threshold that the rule chooses, among the multiples of `STEP`. O(n log n).

    The highest one with a recall of at least `found_ratio`; where its precision is below the one wanted, the
    lowest one above it whose precision is not; where there is none, the one with the best F-measure that
    weighs precision twice, of equal ones the highest. None below `at_least` is looked at.

    Args:
        duplicates: Cosines of pairs of duplicates, shape (p,), p at least 1.
        distinct: Cosines of other pairs, shape (q,). As many as duplicates, or precision says something else.
        precision: The one wanted, 0 to 1.
        at_least: The lowest that may be chosen, at most 1.
        found_ratio: Share of the duplicates that is to be found, 0 to 1. With 1 the lowest threshold whose
            precision is the one wanted is chosen, so that no more is missed than that precision costs.

    Raises:
        VectorError: There are no duplicates, or a cosine is not finite.

    Source: F-measure of C. J. van Rijsbergen, "Information Retrieval", 1979, chapter 7.
    """
    if not len(duplicates) or not (np.isfinite(duplicates).all() and np.isfinite(distinct).all()):
        raise VectorError("a threshold needs the cosine of a pair of duplicates, and finite cosines")
    # 0.93 as it is typed, not a product with a rounding error of its own.
    values = (np.arange(1, round(1 / STEP) + 1) * STEP).round(4)
    values = values[values >= at_least]
    found, wrong = count_above(duplicates, values), count_above(distinct, values)
    recall = found / len(duplicates)
    precise = np.divide(found, found + wrong, out=np.ones(len(values)), where=found + wrong > 0)
    enough = np.flatnonzero(recall >= found_ratio)
    lowest = int(enough[-1]) if len(enough) else 0
    good = np.flatnonzero((precise >= precision) & (found > 0))
    good = good[good >= lowest]
    if len(good):
        place = int(good[0])
    else:
        weight = _BETA**2
        measure = (1 + weight) * found / (weight * len(duplicates) + found + wrong)
        place = len(values) - 1 - int(np.argmax(measure[::-1]))
    return Threshold(float(values[place]), float(precise[place]), float(recall[place]))


def count_above(cosines: npt.NDArray[Any], thresholds: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Return how many cosines are at or above each threshold, shape of `thresholds`."""
    ordered = np.sort(cosines)
    above: npt.NDArray[np.int64] = len(ordered) - np.searchsorted(ordered, thresholds, side="left")
    return above
