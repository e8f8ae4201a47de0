"""The nearest kept row of each row of a block: candidates come from fast products, exact cosines decide."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.vectors.metric import pair_cosines

if TYPE_CHECKING:
    from typing import Any, Final

    import numpy.typing as npt

    from embedcli.vectors.kept import Floats, Halves, Numbers, Piece, Rounded

    Rows = npt.NDArray[np.intp]

NOTHING: Final = -2.0
"""Stands for a cosine where there is no kept row."""
WAITING_PAIRS: Final = 1024
"""So many pairs are compared exactly at a time: a few cost as much as hundreds."""


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
        """Say of each pair of lengths, broadcast, whether they are alike enough; 0, unknown, is like any."""
        shorter = np.minimum(some, others).astype(np.float64)
        fit: npt.NDArray[np.bool_] = shorter >= self.length_ratio * np.maximum(some, others)
        fit |= shorter == 0
        return fit


class _Pairs(NamedTuple):
    """Pairs that wait to be compared exactly: rows of the block, products, kept rows and their numbers."""

    rows: Rows
    products: Floats
    halves: Halves
    numbers: Numbers


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
        self._waiting: list[_Pairs] = []
        self._waiting_count = 0
        self._lock = Lock()

    def offer(self, rows: Rows, piece: Piece, columns: Rows, products: Floats) -> None:
        """Look at pairs of a row of the block and a kept row. They count when `settle` has been called.

        Args:
            rows: Shape (p,): the rows of the block.
            piece: Kept rows.
            columns: Shape (p,): which of the kept rows stands beside each row of the block.
            products: Shape (p,): their fast products.
        """
        rule, kept = self._rule, piece.rows
        likely = products >= self._top[rows]
        if rule.bar <= 0:
            # Rows of zeros are near to nothing; above, their products leave them out.
            likely &= (self._block.scales[rows] > 0) & (kept.scales[columns] > 0)
        if rule.length_ratio > 0:
            likely &= rule.lengths_fit(self._block.lengths[rows], kept.lengths[columns])
        rows, columns, products = rows[likely], columns[likely], products[likely]
        # Another thread may overwrite what is raised here: that costs comparisons, never an answer.
        np.maximum.at(self._top, rows, products - np.float32(2 * rule.margin))
        likely = products >= self._top[rows]
        rows, columns, products = rows[likely], columns[likely], products[likely]
        for start in range(0, len(rows), WAITING_PAIRS):
            some = slice(start, start + WAITING_PAIRS)
            halves, numbers = kept.halves[columns[some]], piece.numbers[columns[some]]
            with self._lock:
                self._waiting.append(_Pairs(rows[some], products[some], halves, numbers))
                self._waiting_count += len(numbers)
                enough = self._waiting_count >= WAITING_PAIRS
            if enough:
                self.settle()

    def settle(self) -> None:
        """Compare exactly what was offered since the last time."""
        with self._lock:
            waiting, self._waiting, self._waiting_count = self._waiting, [], 0
        if not waiting:
            return
        pairs = _Pairs(*map(np.concatenate, zip(*waiting, strict=True)))
        likely = np.flatnonzero(pairs.products >= self._top[pairs.rows])
        rows, numbers = pairs.rows[likely], pairs.numbers[likely]
        cosines = pair_cosines(self._block.halves[rows], pairs.halves[likely])
        near = cosines >= self._rule.threshold
        self._take(rows[near], cosines[near], numbers[near])

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
