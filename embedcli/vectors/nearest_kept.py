"""The nearest kept row of each row of a block: candidates come from fast products, exact cosines decide."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.vectors.metric import pair_cosines

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    from embedcli.vectors.kept import Floats, Numbers, Rounded

    Rows = npt.NDArray[np.intp]

NOTHING = -2.0
"""Stands for a cosine where there is no kept row."""


class Nearest(NamedTuple):
    """A kept row.

    Attributes:
        number: What the caller called it.
        cosine: -1 to 1, of the rows as rounded to float16.
    """

    number: int
    cosine: float


class Rule(NamedTuple):
    """When a row is near to another.

    Attributes:
        threshold: The lowest cosine that counts, inclusive.
        margin: How far a fast product can be from the exact cosine.
        length_ratio: The lowest shorter / longer of the two texts' lengths that counts; 0 for any.
    """

    threshold: float
    margin: float
    length_ratio: float

    @property
    def bar(self) -> np.float32:
        """The lowest fast product behind which there may be a cosine that counts."""
        return np.float32(self.threshold - self.margin)

    def lengths_fit(self, some: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Say of each pair of lengths, broadcast, whether they are alike enough."""
        shorter = np.minimum(some, others).astype(np.float64)
        fit: npt.NDArray[np.bool_] = shorter >= self.length_ratio * np.maximum(some, others)
        return fit


class Best:
    """The nearest kept row of each row of a block, among those offered so far. Several threads may offer.

    Of equally near ones the lowest number counts, so the order of the offers does not.

    Attributes:
        cosines: Shape (n,), float64, `NOTHING` where there is none.
        numbers: Shape (n,), int64: which kept row.
    """

    def __init__(self, block: Rounded, rule: Rule) -> None:
        self.cosines = np.full(len(block.scales), NOTHING)
        self.numbers: Numbers = np.zeros(len(block.scales), dtype=np.int64)
        self._block, self._rule = block, rule
        self._top = np.full(len(block.scales), rule.bar, dtype=np.float32)
        self._lock = Lock()

    def offer(self, rows: Rows, kept: Rounded, numbers: Numbers, columns: Rows, products: Floats) -> None:
        """Look at pairs of a row of the block and a kept row.

        Args:
            rows: Shape (p,): the rows of the block.
            kept: Kept rows.
            numbers: Shape (len(kept),): what they are called.
            columns: Shape (p,): which of the kept rows stands beside each row of the block.
            products: Shape (p,): their fast products.
        """
        rule = self._rule
        likely = products >= self._top[rows]
        if rule.bar <= 0:
            # Rows of zeros are near to nothing; above, their products leave them out.
            likely &= (self._block.scales[rows] > 0) & (kept.scales[columns] > 0)
        if rule.length_ratio > 0:
            likely &= rule.lengths_fit(self._block.lengths[rows], kept.lengths[columns])
        rows, columns, products = rows[likely], columns[likely], products[likely]
        if not len(rows):
            return
        # Another thread may overwrite what is raised here: that costs comparisons, never an answer.
        np.maximum.at(self._top, rows, products - np.float32(2 * rule.margin))
        likely = products >= self._top[rows]
        rows, columns = rows[likely], columns[likely]
        cosines = pair_cosines(self._block.halves[rows], kept.halves[columns])
        near = cosines >= rule.threshold
        self._take(rows[near], cosines[near], numbers[columns[near]])

    def _take(self, rows: Rows, cosines: npt.NDArray[np.float64], numbers: Numbers) -> None:
        order = np.lexsort((numbers, -cosines, rows))
        rows, cosines, numbers = rows[order], cosines[order], numbers[order]
        first = np.flatnonzero(np.diff(rows, prepend=-1))
        rows, cosines, numbers = rows[first], cosines[first], numbers[first]
        with self._lock:
            there = self.cosines[rows]
            better = (cosines > there) | ((cosines == there) & (numbers < self.numbers[rows]))
            self.cosines[rows[better]] = cosines[better]
            self.numbers[rows[better]] = numbers[better]
