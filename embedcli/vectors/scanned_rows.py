"""Kept rows, all of which are compared with each block: by bounds once there are many, else in full."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.vectors import pairing
from embedcli.vectors.bounds import SAMPLE_ROWS, fit_axes
from embedcli.vectors.kept import KeptRows, sample_slabs
from embedcli.vectors.pairing import Pairing

if TYPE_CHECKING:
    from typing import Final

    from embedcli.datatypes import Vectors
    from embedcli.vectors.bounds import Axes
    from embedcli.vectors.kept import Numbers, Rounded
    from embedcli.vectors.nearest_kept import Best, Rule
    from embedcli.vectors.pairing import Run

FIT_ROWS: Final = 8192
"""Kept rows from which bounds save more than finding the axes takes."""
FIT_AGAIN: Final = 4
"""The axes are found again when there are so many times as many rows."""


class ScannedRows(KeptRows):
    """Kept rows that find what is near to a block, exactly.

    Memory is that of `KeptRows` and, by bounds, some 200 to 400 bytes a row.

    Attributes:
        exact: True.
    """

    exact = True

    def __init__(self, dim: int, rule: Rule) -> None:
        """Start with none."""
        super().__init__(dim)
        self._rule = rule
        self._pairing = Pairing(rule)
        self._axes: Axes | None = None
        self._fit_at = FIT_ROWS

    def add(self, rows: Rounded, numbers: Numbers) -> None:
        """Take rows in, numbers ascending."""
        super().add(rows, numbers)
        present = self.count - self.forgotten
        if present >= self._fit_at:
            self._fit_at = present * FIT_AGAIN
            self._axes = fit_axes(sample_slabs(self.slabs, SAMPLE_ROWS), self._rule.threshold)
            for slab in self.slabs:
                slab.behead()
        if self._axes is not None:
            for slab in self.slabs:
                slab.add_heads(self._axes)

    def offer_to(self, best: Best, floats: Vectors, first: int, run: Run) -> None:
        """Offer what can be near to each row of a block.

        Args:
            best: What chooses among them.
            floats: Shape (n, dim), float32: the block, of unit length.
            first: Rows before this position are left out.
            run: What shares the work out to threads.
        """
        if not len(floats) or first >= self.count:
            return
        rows = np.arange(len(floats))
        heads = None if self._axes is None else self._axes.heads(floats)
        pieces = self.pieces(first, self.count, pairing.piece_rows(len(floats)))
        for _ in run(lambda piece: self._pairing.offer(best, rows, floats, heads, piece), pieces):
            pass

    def offer_all_to(self, best: Best, floats: Vectors, run: Run) -> None:
        """Offer every kept row that can be near, as `offer_to` does anyway."""
        self.offer_to(best, floats, 0, run)
