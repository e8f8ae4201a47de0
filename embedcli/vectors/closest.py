"""The closest other row of each row, whether it would be kept or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.vectors.kept import rounded
from embedcli.vectors.metric import pair_cosines
from embedcli.vectors.nearest_kept import Rule

if TYPE_CHECKING:
    from typing import Any

    import numpy.typing as npt

    from embedcli.vectors.kept import Rounded

BLOCK_ROWS: Final = 1024
NO_ROW: Final = -1


class Closest(NamedTuple):
    """The closest other row of each row.

    Attributes:
        rows: Shape (n,), int64: which, the lowest of equally close ones; `NO_ROW` where there is none.
        cosines: Shape (n,), float64, -1 to 1, of the rows as `stars` rounds them; 0 where there is none.
    """

    rows: npt.NDArray[np.int64]
    cosines: npt.NDArray[np.float64]


def closest_others(
    vectors: npt.NDArray[Any], lengths: npt.NDArray[Any], length_ratio: float = 0.0
) -> Closest:
    """Return the closest other row of each row. O(n^2 dim) time, O(n dim) memory.

    Which row is closest is told by float32 products: rows that differ in the last digits may stand for one
    another. A row of zeros is close to nothing.

    Args:
        vectors: Shape (n, dim), any float dtype, of any length.
        lengths: Shape (n,): characters of each text, 0 for unknown, which fits all.
        length_ratio: The lowest shorter / longer of two lengths that counts.

    Raises:
        VectorError: Not two-dimensional, or a value is not finite.
    """
    block = rounded(vectors, lengths)
    count = len(block.scales)
    best = np.full(count, -np.inf, dtype=np.float32)
    rows = np.full(count, NO_ROW, dtype=np.int64)
    for first in range(0, count, BLOCK_ROWS):
        left = block.take(slice(first, first + BLOCK_ROWS))
        floats = left.floats()
        # Each product is looked at from both sides, so that only half of them are computed.
        for second in range(first, count, BLOCK_ROWS):
            right = block.take(slice(second, second + BLOCK_ROWS))
            products = floats @ (floats if second == first else right.floats()).T
            _mask(products, left, right, length_ratio)
            if second == first:
                np.fill_diagonal(products, -np.inf)
            else:
                _take(best, rows, second, first, products.T)
            _take(best, rows, first, second, products)
    found = np.flatnonzero(rows != NO_ROW)
    cosines = np.zeros(count)
    for first in range(0, len(found), BLOCK_ROWS):
        part = found[first : first + BLOCK_ROWS]
        cosines[part] = pair_cosines(block.halves[part], block.halves[rows[part]])
    return Closest(rows, cosines)


def _mask(products: npt.NDArray[np.float32], left: Rounded, right: Rounded, length_ratio: float) -> None:
    """Overwrite the products of pairs that do not count."""
    products[left.scales == 0] = -np.inf
    products[:, right.scales == 0] = -np.inf
    if length_ratio > 0:
        rule = Rule(threshold=0.0, margin=0.0, length_ratio=length_ratio)
        products[~rule.lengths_fit(left.lengths[:, np.newaxis], right.lengths[np.newaxis])] = -np.inf


def _take(
    best: npt.NDArray[np.float32],
    rows: npt.NDArray[np.int64],
    first: int,
    second: int,
    products: npt.NDArray[np.float32],
) -> None:
    """Take what is closer than what was found before, among lower rows.

    Args:
        best: Of each row, the product with the closest found before.
        rows: Which that is.
        first: The products' rows begin here,
        second: and their columns here.
        products: Shape (rows, columns).
    """
    places = products.argmax(axis=1)
    values = products[np.arange(len(products)), places]
    part = slice(first, first + len(products))
    places = places + second
    better = values > best[part]
    best[part][better] = values[better]
    rows[part][better] = places[better]
