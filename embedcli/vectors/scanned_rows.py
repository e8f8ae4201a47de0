"""Kept rows, all of which are compared with each block: by bounds once there are many, else in full."""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING

import numpy as np

from embedcli.vectors.bounds import SAMPLE_ROWS, fit_axes
from embedcli.vectors.kept import KeptRows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final, TypeAlias

    from embedcli.datatypes import Vectors
    from embedcli.vectors.bounds import Axes
    from embedcli.vectors.kept import Floats, Numbers, Piece, Rounded, Slab
    from embedcli.vectors.nearest_kept import Best, Rows, Rule

    Run: TypeAlias = Callable[[Callable[[Any], object], Iterable[Any]], Iterable[object]]
    """Does something with each of several things, perhaps in threads: `map`, or that of a pool."""

STRIP_ROWS: Final = 256
"""Rows of a block in one product."""
PIECE_ROWS: Final = 2048
"""Kept rows in one product, more for a block of few rows: 2 MiB of products, which stay in a core's cache."""
FIT_ROWS: Final = 8192
"""Kept rows from which bounds save more than finding the axes takes."""
FIT_AGAIN: Final = 4
"""The axes are found again when there are so many times as many rows."""
PAIRS_AT_A_TIME: Final = 512
"""Pairs that a bound leaves over are compared in full so many at a time: 768 KiB of 384 numbers."""
CROWDED: Final = 128
"""Where one pair of so many is left over, a product of all costs less than a look at each."""


class ScannedRows(KeptRows):
    """Kept rows that find what is near to a block, exactly.

    Memory is that of `KeptRows` and, by bounds, some 200 to 400 bytes a row.
    """

    def __init__(self, dim: int, rule: Rule) -> None:
        """Start with none."""
        super().__init__(dim)
        self._rule = rule
        self._axes: Axes | None = None
        self._fit_at = FIT_ROWS
        self._buffers = local()

    def add(self, rows: Rounded, numbers: Numbers) -> None:
        """Take rows in, numbers ascending."""
        super().add(rows, numbers)
        present = self.count - self.forgotten
        if present >= self._fit_at:
            self._fit_at = present * FIT_AGAIN
            self._axes = fit_axes(self.sample(SAMPLE_ROWS), self._rule.threshold)
            for slab in self.slabs:
                slab.heads, slab.headed = None, 0
        if self._axes is not None:
            for slab in self.slabs:
                _add_heads(slab, self._axes)

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
        heads = None if self._axes is None else self._axes.heads(floats)

        def compare(piece: Piece) -> None:
            if heads is None or piece.heads is None:
                self._compare_all(best, floats, piece, 0)
            else:
                self._compare_bounds(best, floats, heads, piece)

        most = max(PIECE_ROWS, STRIP_ROWS * PIECE_ROWS // len(floats))
        for _ in run(compare, self.pieces(first, self.count, most)):
            pass

    def _compare_all(self, best: Best, floats: Vectors, piece: Piece, first: int) -> None:
        """Offer the pairs of some rows of the block, of which the first has this place in it."""
        others = piece.rows.floats()
        for start, pairs, products in self._above(floats, others, self._rule.bar):
            rows, columns = np.divmod(pairs, len(others))
            best.offer(rows + (first + start), piece, columns, products)

    def _compare_bounds(self, best: Best, floats: Vectors, heads: Floats, piece: Piece) -> None:
        assert self._axes is not None
        assert piece.heads is not None
        bar = self._rule.bar - np.float32(self._axes.error)
        for start, pairs, _ in self._above(heads, piece.heads, bar):
            strip = floats[start : start + STRIP_ROWS]
            if len(pairs) * CROWDED > len(strip) * len(piece.heads):
                self._compare_all(best, strip, piece, start)
                continue
            for done in range(0, len(pairs), PAIRS_AT_A_TIME):
                rows, columns = np.divmod(pairs[done : done + PAIRS_AT_A_TIME], len(piece.heads))
                others = piece.rows.take(columns).floats()
                products = np.einsum("ij,ij->i", strip[rows], others)
                best.offer(rows + start, piece, columns, products)

    def _above(self, left: Floats, right: Floats, bar: np.float32) -> Iterator[tuple[int, Rows, Floats]]:
        """Yield, a strip of the left rows at a time, its start, the pairs at or above a bar, their products.

        A pair is counted through: its row in the strip times len(right), and its right row.
        """
        cells = min(STRIP_ROWS, len(left)) * len(right)
        if len(getattr(self._buffers, "products", ())) < cells:
            self._buffers.products = np.empty(cells, dtype=np.float32)
            self._buffers.above = np.empty(cells, dtype=np.bool_)
        for start in range(0, len(left), STRIP_ROWS):
            strip = left[start : start + STRIP_ROWS]
            cells = len(strip) * len(right)
            products, above = self._buffers.products[:cells], self._buffers.above[:cells]
            np.matmul(strip, right.T, out=products.reshape(len(strip), len(right)))
            pairs = np.flatnonzero(np.greater_equal(products, bar, out=above))
            if len(pairs):
                yield start, pairs, products[pairs]


def _add_heads(slab: Slab, axes: Axes) -> None:
    """Add the heads that are not there yet."""
    if slab.headed == slab.count:
        return
    if slab.heads is None:
        slab.heads = np.empty((len(slab.numbers), axes.directions.shape[1] + 1), dtype=np.float32)
    for start in range(slab.headed, slab.count, PIECE_ROWS):
        part = slice(start, min(start + PIECE_ROWS, slab.count))
        slab.heads[part] = axes.heads(slab.rows.take(part).floats())
    slab.headed = slab.count
