"""Values of items to measurements with intervals, and measurements to figures with tests."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from embedcli.reports import Figure, Measurement

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from embedcli.reports import Evaluation

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

_LEAST_ITEMS: Final = 2
"""Of fewer, all resamples are the same: they say nothing of how sure a figure is."""


def mean_measurements(system: str, values: Mapping[str, Doubles], seed: int) -> list[Measurement]:
    """Return measures that are means over items, with their intervals.

    Args:
        system: Of what.
        values: By metric, one value an item, shape (items,), float64.
        seed: Of the resamples; the same for all systems of a task.
    """
    import numpy as np

    from embedcli.vectors.resampling import mean_interval, resampled_means

    if not values or not len(next(iter(values.values()))):
        return [Measurement(system, metric, float("nan")) for metric in values]
    means = resampled_means(np.stack(list(values.values())).astype(np.float64), seed)
    found = []
    for (metric, own), resampled in zip(values.items(), means, strict=True):
        low, high = mean_interval(own, resampled) if len(own) >= _LEAST_ITEMS else (None, None)
        found.append(Measurement(system, metric, float(own.mean()), low, high, own, resampled))
    return found


def statistic_measurements(
    system: str, statistics: Mapping[str, Callable[[Rows], float]], count: int, seed: int
) -> list[Measurement]:
    """Return measures that are no means, with their intervals.

    Args:
        system: Of what.
        statistics: By metric; each takes row numbers, some of them more than once, and gives NaN where it
            says nothing of them.
        count: How many items there are.
        seed: Of the resamples; the same for all systems of a task.
    """
    import numpy as np

    from embedcli.vectors.resampling import percentile_interval, resampled_statistic

    found = []
    for metric, statistic in statistics.items():
        if not count:
            found.append(Measurement(system, metric, float("nan")))
            continue
        resampled = resampled_statistic(statistic, count, seed)
        value = statistic(np.arange(count))
        low, high = percentile_interval(resampled) if count >= _LEAST_ITEMS else (None, None)
        found.append(Measurement(system, metric, value, low, high, None, resampled))
    return found


def difference_p(one: Measurement, other: Measurement, seed: int = 0) -> float | None:
    """Return how likely chance alone makes two measurements of the same items differ as much.

    A measure that is a mean is tested by swapping the systems item by item, another by its resamples; None
    where there are neither, or where one of them has no value.
    """
    from embedcli.vectors.resampling import permutation_p, resampled_p

    if not (math.isfinite(one.value) and math.isfinite(other.value)):
        return None
    if one.values is not None and other.values is not None:
        return permutation_p(one.values, other.values, seed)
    if one.resampled is not None and other.resampled is not None:
        return resampled_p(one.resampled, other.resampled)
    return None


def figures(evaluation: Evaluation) -> list[Figure]:
    """Return what is shown of an evaluation: each measurement with its test against the first system."""
    subject = evaluation.systems[0] if evaluation.measurements else ""
    shown = []
    for each in evaluation.measurements:
        first = evaluation.find(subject, each.metric)
        p = None if each.system == subject or first is None else difference_p(first, each)
        chance = evaluation.chance.get(each.metric)
        facts = (each.value, each.low, each.high, len(evaluation.items), p, chance)
        shown.append(Figure(evaluation.task, each.system, each.metric, *facts))
    return shown
