"""Vectors of unit length, and shorter vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.errors import VectorError
from embedcli.vectors.metric import rows_per_step, sum_rows

if TYPE_CHECKING:
    from typing import Final

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

UNIT_TOLERANCE: Final = 2.0**-23
"""How far from 1 a length counts as 1: rounding a unit vector to float32 moves it by 2**-24 at most."""


def normalize(vectors: npt.NDArray[Any]) -> Vectors:
    """Vectors scaled to unit length.

    Rows of zeros stay zeros. A float32 row whose length is 1 within `UNIT_TOLERANCE` comes back bit for bit,
    so normalizing twice is normalizing once, and vectors that travel through several commands do not drift.
    Lengths are taken in float64 (float64 rows are scaled by a power of two first), so neither huge nor tiny
    values overflow or vanish. Each row's result is the same bits whatever rows stand beside it.

    Args:
        vectors: Shape (n, dim), float16, float32 or float64. Not modified.

    Returns:
        A new array of shape (n, dim), float32.

    Raises:
        VectorError: Not two-dimensional, or a value is not finite.
    """
    if vectors.ndim != 2:
        raise VectorError(f"vectors are expected as rows, found an array of shape {vectors.shape}")
    unit = np.empty(vectors.shape, dtype=np.float32)
    step = rows_per_step(vectors.shape[1])
    for first in range(0, len(vectors), step):
        rows = vectors[first : first + step]
        wide = (
            _scaled(rows) if rows.dtype.itemsize > np.dtype(np.float32).itemsize else rows.astype(np.float64)
        )
        lengths = np.sqrt(sum_rows(np.square(wide)))
        if not np.isfinite(lengths).all():
            bad = first + int(np.flatnonzero(~np.isfinite(lengths))[0])
            raise VectorError(f"vector {bad + 1} holds a value that is not a finite number")
        keep = lengths == 0
        if rows.dtype == np.float32:
            keep |= np.abs(lengths - 1) <= UNIT_TOLERANCE
        lengths[keep] = 1
        np.divide(wide, lengths[:, np.newaxis], out=wide)
        unit[first : first + step] = wide
    return unit


def truncate_dim(vectors: Vectors, dim: int) -> Vectors:
    """The first `dim` numbers of each vector, not normalized again.

    Args:
        vectors: Shape (n, what there is), float32. Not modified.
        dim: From 1 to what there is.

    Returns:
        A new array of shape (n, dim), float32.

    Raises:
        VectorError: `dim` is out of range.

    Source: Kusupati et al., "Matryoshka Representation Learning", NeurIPS 2022: models trained so keep most
    of their quality in the leading dimensions.
    """
    found = vectors.shape[1]
    if not 1 <= dim <= found:
        raise VectorError(f"vectors of dimension {found} cannot be cut to {dim}")
    return np.array(vectors[:, :dim], dtype=np.float32, order="C")


def _scaled(rows: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """float64 rows, each times the power of two that brings its largest number to between 0.5 and 1."""
    wide: npt.NDArray[np.float64] = rows.astype(np.float64)
    _, exponent = np.frexp(np.abs(wide).max(axis=1, initial=0))
    # In two steps, since one power of two need not be a float64 itself.
    half = -exponent // 2
    np.ldexp(wide, half[:, np.newaxis], out=wide)
    np.ldexp(wide, (-exponent - half)[:, np.newaxis], out=wide)
    return wide
