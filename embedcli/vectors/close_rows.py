"""Kept rows that come or go while a part of a block is decided: its own, and those that a window forgets."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.vectors.kept import joined
from embedcli.vectors.metric import cosine
from embedcli.vectors.nearest_kept import Nearest

if TYPE_CHECKING:
    from embedcli.vectors.kept import Piece, Rounded
    from embedcli.vectors.nearest_kept import Rule


class CloseRows:
    """The rows of a part, compared with those that were kept before and may leave, and with one another.

    Memory is that of one product, n * (leaving + n) float32.
    """

    def __init__(self, part: Rounded, leaving: list[Piece], rule: Rule) -> None:
        """Compare all; the leaving ones are kept rows, in the order of keeping, and none of the part's yet.

        Args:
            part: n rows.
            leaving: Kept rows.
            rule: When rows are near.
        """
        kept = [piece.rows for piece in leaving]
        self._own = sum(len(rows.scales) for rows in kept)
        self._part, self._rule = part, rule
        self._rows = joined([*kept, part]) if kept else part
        self._numbers = np.concatenate(
            [*(piece.numbers for piece in leaving), np.zeros(len(part.scales), np.int64)]
        )
        floats = part.floats()
        # The same array on both sides is a product of half the cost.
        others = np.concatenate([*(rows.floats() for rows in kept), floats]) if kept else floats
        products = (floats @ others.T).reshape(-1)
        pairs = np.flatnonzero(products >= rule.bar)
        rows, self._columns = np.divmod(pairs, len(others))
        before = (self._columns < rows + self._own) & (self._rows.scales[self._columns] > 0)
        before &= part.scales[rows] > 0
        self._columns, self._products = self._columns[before], products[pairs[before]]
        self._starts = np.searchsorted(rows[before], np.arange(len(floats) + 1)).tolist()
        self._alive = np.arange(len(others)) < self._own
        self._order = list(range(self._own))
        self._forgotten = 0

    def keep(self, row: int, number: int) -> None:
        """Keep a row of the part."""
        self._numbers[self._own + row] = number
        self._alive[self._own + row] = True
        self._order.append(self._own + row)

    def forget(self, count: int) -> None:
        """Forget the first `count` in all, in the order of keeping."""
        for row in self._order[self._forgotten : count]:
            self._alive[row] = False
        self._forgotten = max(self._forgotten, count)

    def nearest(self, row: int) -> Nearest | None:
        """Return the nearest one that is kept, of equally near ones that of the lowest number."""
        pairs = slice(self._starts[row], self._starts[row + 1])
        if pairs.start == pairs.stop:
            return None
        rows, products = self._columns[pairs], self._products[pairs]
        kept = self._alive[rows]
        if self._rule.length_ratio > 0:
            kept &= self._rule.lengths_fit(self._rows.lengths[rows], self._part.lengths[row])
        rows, products = rows[kept], products[kept]
        if not len(rows):
            return None
        rows = rows[products >= products.max() - np.float32(2 * self._rule.margin)]
        cosines = cosine(self._rows.halves[rows], self._part.halves[row])
        best = np.lexsort((self._numbers[rows], -cosines))[0]
        if cosines[best] < self._rule.threshold:
            return None
        return Nearest(int(self._numbers[rows[best]]), float(cosines[best]))
