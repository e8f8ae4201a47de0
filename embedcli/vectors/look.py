"""One block of rows as they are decided, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.vectors.close_rows import CloseRows
from embedcli.vectors.nearest_kept import NOTHING, Nearest

if TYPE_CHECKING:
    from typing import Final

    from embedcli.vectors.kept import Rounded
    from embedcli.vectors.nearest_kept import Best
    from embedcli.vectors.stars import Stars

BLOCK_ROWS: Final = 1024
"""Rows compared with all kept ones, and with one another, at a time."""


class Look:
    """One block of rows as they are decided, from the first to the last."""

    def __init__(self, stars: Stars, rows: Rounded) -> None:
        """Start before the first row."""
        self._stars, self._rows = stars, rows
        self._part = _Part(stars, rows.take(slice(0, BLOCK_ROWS)))
        self._first = 0

    def nearest(self, row: int) -> Nearest | None:
        """Return the nearest row kept so far, of equally near ones that of the lowest number; None for none.

        Args:
            row: From 0, not before one that was asked for or kept already.
        """
        return self._reach(row).nearest(row - self._first)

    def keep(self, row: int, number: int) -> None:
        """Keep a row.

        Args:
            row: As in `nearest`; each once.
            number: What it is called from now on; above those of the rows kept before it.
        """
        self._reach(row).keep(row - self._first, number)

    def finish(self) -> None:
        """Hand on what was kept."""
        self._part.finish()

    def _reach(self, row: int) -> _Part:
        if not self._first <= row < len(self._rows.scales):
            raise IndexError(f"row {row} is not one of those that are left of {len(self._rows.scales)}")
        if row >= self._first + BLOCK_ROWS:
            self._part.finish()
            self._first = row - row % BLOCK_ROWS
            self._part = _Part(self._stars, self._rows.take(slice(self._first, self._first + BLOCK_ROWS)))
        return self._part


class _Part:
    """Some rows that are compared together.

    Their neighbours are of two kinds: far ones, kept for as long as these rows are decided, and close ones,
    which come or go meanwhile. Nothing is compared before the first question.
    """

    def __init__(self, stars: Stars, rows: Rounded) -> None:
        """Start before the first row."""
        self._stars, self._rows = stars, rows
        # Before this position, rows may be forgotten while these are decided.
        self._first_far = stars.leaving_before(len(rows.scales))
        self._kept: list[int] = []
        self._numbers: list[int] = []
        self._close: CloseRows | None = None
        self._far: Best | None = None

    def nearest(self, row: int) -> Nearest | None:
        """Return the nearest row kept so far."""
        if self._far is None or self._close is None:
            close = self._stars.begin(self._open_close)
            self._far = self._stars.nearest_of(self._rows, self._first_far)
            self._close = close()
        found = self._close.nearest(row)
        cosine, number = float(self._far.cosines[row]), int(self._far.numbers[row])
        if cosine == NOTHING or (found is not None and (found.cosine, -found.number) > (cosine, -number)):
            return found
        return Nearest(number, cosine)

    def keep(self, row: int, number: int) -> None:
        """Keep a row, which other rows of the part may then be near to."""
        self._kept.append(row)
        self._numbers.append(number)
        if self._close is not None:
            self._close.keep(row, number)
            self._close.forget(self._stars.forgotten_after(len(self._kept)))

    def finish(self) -> None:
        """Hand on what was kept, once."""
        if self._kept:
            rows = self._rows.take(np.array(self._kept, dtype=np.intp))
            self._stars.take_up(rows, np.array(self._numbers, dtype=np.int64))
        self._kept, self._numbers = [], []

    def _open_close(self) -> CloseRows:
        close = CloseRows(self._rows, self._stars.leaving(self._first_far), self._stars.rule)
        for row, number in zip(self._kept, self._numbers, strict=True):
            close.keep(row, number)
        close.forget(self._stars.forgotten_after(len(self._kept)))
        return close
