"""How far ahead the best label must be for an answer to be right often enough, by held-out examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from embedcli.vectors.threshold import count_above

if TYPE_CHECKING:
    import numpy.typing as npt

TARGET: Final = 0.95
"""Of what is answered, the share that is to be right."""

LEAST_ANSWERED: Final = 20
"""A share of fewer answers says little."""


class Bar(NamedTuple):
    """A bar and what it does on the examples that it was chosen by.

    Attributes:
        value: What is at or above it is answered.
        accuracy: Of what is answered, the share that is right, 0 to 1.
        answered: Share that is answered, 0 to 1.
    """

    value: float
    accuracy: float
    answered: float


def choose_margin(margins: npt.NDArray[Any], right: npt.NDArray[np.bool_], target: float) -> Bar:
    """Return the lowest margin from which on enough answers are right; O(n log n).

    Where no margin reaches the target, the one whose answers are right most often, of equal ones the lowest.
    One wrong answer more than there are must be allowed, since the next one may be it, and a margin counts
    only if it leaves `LEAST_ANSWERED` answers (or all there are): fewer are right by chance.

    Args:
        margins: Of held-out examples, shape (n,), n at least 1.
        right: Whether the best label of each is right.
        target: Share of right answers, 0 to 1.

    Source: C. K. Chow, "On optimum recognition error and reject tradeoff", IEEE Trans. Information Theory 16,
        1970; one more wrong answer as in Angelopoulos et al., "Conformal Risk Control", ICLR 2024, section 2.
    """
    values = np.unique(margins)
    good = count_above(margins[right], values)
    total = count_above(margins, values)
    accuracy = good / total
    counts = total >= min(LEAST_ANSWERED, len(margins))
    reached = np.flatnonzero(counts & (total - good + 1 <= (1 - target) * (total + 1)))
    place = int(reached[0]) if len(reached) else int(np.argmax(np.where(counts, accuracy, -1)))
    return Bar(float(values[place]), float(accuracy[place]), float(total[place] / len(margins)))


def choose_cut(scores: npt.NDArray[Any], targets: npt.NDArray[np.bool_]) -> tuple[float, float]:
    """Return the score from which on labels are given, and its F1 over all labels together; O(m log m).

    Args:
        scores: Of held-out examples, shape (n, labels).
        targets: Which labels they have, the same shape; one at least.

    Source: F1 over all decisions ("micro") of D. D. Lewis, "Evaluating text categorization", 1991.
    """
    # Only where a right label begins can F1 be highest.
    values = np.unique(scores[targets])
    found, given = count_above(scores[targets], values), count_above(scores.ravel(), values)
    measure = 2 * found / (given + targets.sum())
    place = len(values) - 1 - int(np.argmax(measure[::-1]))
    return float(values[place]), float(measure[place])
