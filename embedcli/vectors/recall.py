"""How much of what is near an approximate search finds, from a sample of the rows that it answered."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.vectors.kept import joined
from embedcli.vectors.nearest_kept import NOTHING, Best

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from embedcli.vectors.kept import Floats, Numbers, Piece, Rounded
    from embedcli.vectors.nearest_kept import Rows, Rule

SAMPLED_ROWS: Final = 2048
"""At least so many rows are looked at again, where there are as many, and fewer than twice as many."""


class Recall(NamedTuple):
    """What a sample says.

    Attributes:
        sampled: Rows looked at again, each compared with all rows that were kept when it was decided.
        near: Those of them that had a row within the threshold.
        found: Those for which the search found one.
    """

    sampled: int
    near: int
    found: int

    @property
    def ratio(self) -> float:
        """The share that was found, 0 to 1; 1 where there was nothing to find."""
        return self.found / self.near if self.near else 1.0


class RecallSample:
    """Each so manieth of the rows that were answered, and the answer. O(1) memory."""

    def __init__(self) -> None:
        """Start with none."""
        self._step, self._seen = 1, 0
        self._rows: list[Rounded] = []
        self._until: list[int] = []
        self._found: list[bool] = []

    def take(self, block: Rounded, best: Best, until: int) -> None:
        """See what was found.

        Args:
            block: The rows.
            best: What was found for them, settled.
            until: The highest number of a row kept before.
        """
        first = -self._seen % self._step
        self._seen += len(block.scales)
        for row in range(first, len(block.scales), self._step):
            self._rows.append(block.take(np.array([row])))
            self._until.append(until)
            self._found.append(bool(best.cosines[row] != NOTHING))
        while len(self._rows) >= 2 * SAMPLED_ROWS:
            self._step *= 2
            # The places of those that stay are multiples of the new step.
            del self._rows[1::2], self._until[1::2], self._found[1::2]

    def measure(self, rule: Rule, offer_all: Callable[[Best, Floats], None]) -> Recall:
        """Compare the sample with all kept rows.

        Args:
            rule: When rows are near.
            offer_all: Offers what is near to the rows it is given, exactly.
        """
        if not self._rows:
            return Recall(0, 0, 0)
        rows = joined(self._rows)
        best = _BestBefore(rows, rule, np.array(self._until, dtype=np.int64))
        offer_all(best, rows.floats())
        best.settle()
        near = best.cosines != NOTHING
        return Recall(len(near), int(near.sum()), int((near & np.array(self._found)).sum()))


class _BestBefore(Best):
    """The nearest of the rows that were there when each row was decided."""

    def __init__(self, block: Rounded, rule: Rule, until: Numbers) -> None:
        super().__init__(block, rule)
        self._until = until

    def offer(self, rows: Rows, piece: Piece, columns: Rows, products: Floats) -> None:
        there = piece.numbers[columns] <= self._until[rows]
        super().offer(rows[there], piece, columns[there], products[there])
