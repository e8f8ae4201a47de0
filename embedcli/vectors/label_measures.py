"""How well labels that were given are those that texts have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt


def macro_f1(given: npt.NDArray[np.integer[Any]], own: npt.NDArray[np.integer[Any]]) -> float:
    """Return the mean F1 of the labels that texts have, 0 to 1; O(n + labels).

    A label that was given but that no text has counts against those it was given instead of, and has no F1
    of its own.

    Args:
        given: Labels that were given, shape (n,), from 0, n at least 1.
        own: Those that the texts have, the same shape.

    Source: D. D. Lewis, "Evaluating text categorization", 1991, for averages over labels.
    """
    count = int(max(given.max(), own.max())) + 1
    wanted = np.bincount(own, minlength=count)
    right = np.bincount(own[given == own], minlength=count)
    both = wanted + np.bincount(given, minlength=count)
    there = wanted > 0
    return float((2 * right[there] / both[there]).mean())
