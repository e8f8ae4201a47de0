"""The pairs of a block's rows and kept rows that can be near, by one product over each strip of both."""

from __future__ import annotations

from threading import local
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final, TypeAlias

    from embedcli.datatypes import Vectors
    from embedcli.vectors.kept import Floats, Piece
    from embedcli.vectors.nearest_kept import Best, Rows, Rule

    Run: TypeAlias = Callable[[Callable[[Any], object], Iterable[Any]], Iterable[object]]
    """Does something with each of several things, perhaps in threads: `map`, or that of a pool."""

STRIP_ROWS: Final = 256
"""Rows of a block in one product."""
PIECE_ROWS: Final = 2048
"""Kept rows in one product with a strip: 2 MiB of products, which stay in a core's cache."""
PAIRS_AT_A_TIME: Final = 512
"""Pairs that a bound leaves over are compared in full so many at a time: 768 KiB of 384 numbers."""
CROWDED: Final = 128
"""Where one pair of so many is left over, a product of all costs less than a look at each."""
WIDENED_ROWS: Final = 36
"""For that product the kept rows are widened, which takes as long as comparing so many rows with them."""


def piece_rows(rows: int) -> int:
    """How many kept rows to compare at a time with so many rows of a block, at least 1."""
    return max(PIECE_ROWS, STRIP_ROWS * PIECE_ROWS // rows)


class Pairing:
    """Offers what can be near to the rows of a block. Several threads may call it."""

    def __init__(self, rule: Rule) -> None:
        """Take what says when rows are near."""
        self._rule = rule
        self._buffers = local()

    def offer(self, best: Best, rows: Rows, floats: Vectors, heads: Floats | None, piece: Piece) -> None:
        """Offer the pairs of some rows of a block and some kept rows that can be near.

        Args:
            best: What chooses among them.
            rows: Shape (n,): places in the block.
            floats: Shape (n, dim): those rows, of unit length.
            heads: Shape (n, k + 1): their heads, or None.
            piece: Kept rows.
        """
        if heads is None or piece.heads is None:
            self._offer_all(best, rows, floats, piece)
            return
        for strip, pairs, _ in self._above(heads, piece.heads):
            if len(pairs) * CROWDED > (len(rows[strip]) + WIDENED_ROWS) * len(piece.numbers):
                self._offer_all(best, rows[strip], floats[strip], piece)
                continue
            for start in range(0, len(pairs), PAIRS_AT_A_TIME):
                left, right = np.divmod(pairs[start : start + PAIRS_AT_A_TIME], len(piece.numbers))
                others = piece.rows.take(right).floats()
                products = np.einsum("ij,ij->i", floats[strip][left], others)
                best.offer(rows[strip][left], piece, right, products)

    def _offer_all(self, best: Best, rows: Rows, floats: Vectors, piece: Piece) -> None:
        others = piece.rows.floats()
        for strip, pairs, products in self._above(floats, others):
            left, right = np.divmod(pairs, len(others))
            best.offer(rows[strip][left], piece, right, products)

    def _above(self, left: Floats, right: Floats) -> Iterator[tuple[slice, Rows, Floats]]:
        """Yield, a strip of the left rows at a time, the pairs whose product can count and the products.

        A pair is counted through: its row in the strip times len(right), and its right row.
        """
        cells = min(STRIP_ROWS, len(left)) * len(right)
        if len(getattr(self._buffers, "products", ())) < cells:
            self._buffers.products = np.empty(cells, dtype=np.float32)
            self._buffers.above = np.empty(cells, dtype=np.bool_)
        for start in range(0, len(left), STRIP_ROWS):
            strip = slice(start, min(start + STRIP_ROWS, len(left)))
            shape = (strip.stop - start, len(right))
            products = self._buffers.products[: shape[0] * shape[1]]
            above = self._buffers.above[: len(products)]
            np.matmul(left[strip], right.T, out=products.reshape(shape))
            pairs = np.flatnonzero(np.greater_equal(products, self._rule.bar, out=above))
            if len(pairs):
                yield strip, pairs, products[pairs]
