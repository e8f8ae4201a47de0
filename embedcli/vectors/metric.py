"""The cosine, computed so that a row gives the same bits wherever it stands.

Matrix products choose their order of summation by shape, alignment and processor. Here every row is summed
by the same additions of whole columns, which IEEE arithmetic makes the same everywhere.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.errors import VectorError

if TYPE_CHECKING:
    from typing import Final

    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]

CACHE_NUMBERS: Final = 1 << 16
"""Numbers worked on at a time: half a MiB as float64, which a core's own cache holds."""


def rows_per_step(dim: int) -> int:
    """How many rows of `dim` numbers fit the cache, at least 1."""
    return max(1, CACHE_NUMBERS // max(dim, 1))


def sum_rows(terms: Doubles) -> Doubles:
    """The sum of each row, in an order that depends on the number of columns alone.

    The right half is added to the left half until one column is left; the error grows with log2(columns).

    Args:
        terms: Shape (n, columns), float64. Overwritten.

    Returns:
        Shape (n,), float64.

    Source: pairwise summation, N. J. Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput.
    14(4), 1993, section 2; here over strided pairs, so that each step is one addition of columns.
    """
    columns = terms.shape[1]
    if columns == 0:
        return np.zeros(len(terms))
    while columns > 1:
        left = (columns + 1) // 2
        terms[:, : columns - left] += terms[:, left:columns]
        columns = left
    return terms[:, 0].copy()


def cosine(vectors: npt.NDArray[Any], query: npt.NDArray[Any]) -> Doubles:
    """The cosine of each vector with a query, the same bits for a row whatever stands beside it.

    Vectors need not have unit length. A vector equal to the query gives exactly 1.0. Where a vector or the
    query is zero, the cosine is taken as 0.0. Values that are not finite give NaN. Memory is O(n).

    Args:
        vectors: Shape (n, dim), float16 or float32.
        query: Shape (dim,), float16 or float32.

    Returns:
        Shape (n,), float64, from -1 to 1, higher is closer.

    Raises:
        VectorError: The dimensions differ.
    """
    if vectors.ndim != 2 or query.shape != vectors.shape[1:]:
        raise VectorError(
            f"vectors of shape {vectors.shape} cannot be compared with a query of {query.shape}"
        )
    wide = query.astype(np.float64)
    query_square = sum_rows(np.square(wide)[np.newaxis])[0]
    found = np.empty(len(vectors))
    step = rows_per_step(vectors.shape[1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for first in range(0, len(vectors), step):
            rows = vectors[first : first + step].astype(np.float64)
            products = sum_rows(rows * wide)
            # One root of the product, not two roots: sqrt(s * s) is s, so equal vectors give 1.0.
            lengths = np.sqrt(sum_rows(np.multiply(rows, rows, out=rows)) * query_square)
            found[first : first + step] = np.where(lengths == 0, 0.0, products / lengths)
    return np.clip(found, -1.0, 1.0, out=found)


def pair_cosines(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> Doubles:
    """The cosine of each row with the row of the same place, the same bits as `cosine` gives for the two.

    Args:
        left: Shape (n, dim), float16 or float32.
        right: The same shape.

    Returns:
        Shape (n,), float64, from -1 to 1; 0.0 where one of the two is zero, NaN where a value is not finite.
    """
    found = np.empty(len(left))
    step = rows_per_step(left.shape[1])
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        for first in range(0, len(left), step):
            rows = left[first : first + step].astype(np.float64)
            others = right[first : first + step].astype(np.float64)
            products = sum_rows(rows * others)
            squares = sum_rows(np.multiply(rows, rows, out=rows))
            lengths = np.sqrt(squares * sum_rows(np.multiply(others, others, out=others)))
            found[first : first + step] = np.where(lengths == 0, 0.0, products / lengths)
    return np.clip(found, -1.0, 1.0, out=found)
