"""The choices that no other one beats on every count."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def pareto_set(costs: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """Return which rows no other row dominates. O(n² k).

    A row dominates another one if it costs no more on any count and less on one. Equal rows do not dominate
    each other: all of them are in the set, or none is.

    Args:
        costs: Shape (n, k), float64, no NaN: what each choice costs on each count, lower is better.

    Returns:
        Shape (n,).
    """
    kept = np.ones(len(costs), dtype=np.bool_)
    for row, own in enumerate(costs):
        no_worse = (costs <= own).all(axis=1)
        better = (costs < own).any(axis=1)
        kept[row] = not (no_worse & better).any()
    return kept
