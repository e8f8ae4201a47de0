"""Float numbers as 8-bit integers with a scale."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Array = npt.NDArray[Any]

_SMALLEST = 1e-9
"""Stands for the range of numbers that are all zero."""


def affine_uint8(low: Array, high: Array) -> tuple[Array, Array]:
    """Return the scale and the zero point that map a range to uint8, such that 0 is exact.

    Args:
        low: Lowest values; only the lowest of all counts.
        high: Highest values.

    Returns:
        The scale, float32, and the zero point, uint8, shape () each.
    """
    import numpy as np

    lowest, highest = min(float(low.min()), 0.0), max(float(high.max()), 0.0)
    step = max(highest - lowest, _SMALLEST) / 255
    return np.array(step, dtype=np.float32), np.array(round(-lowest / step), dtype=np.uint8)


def signed_columns(weight: Array) -> tuple[Array, Array]:
    """Return weights as int8 with one scale for each column.

    They are signed: without AMX kernels for the unsigned form a product takes six times as long.

    Args:
        weight: Shape (inputs, outputs), float32.

    Returns:
        Integers of the same shape, and the scales, shape (outputs,), float32.
    """
    import numpy as np

    scale = np.maximum(np.abs(weight).max(axis=0), np.float32(_SMALLEST)) / np.float32(127)
    return np.round(weight / scale).astype(np.int8), scale.astype(np.float32)


def signed_rows(table: npt.NDArray[np.float32]) -> tuple[Array, Array]:
    """Return a table as int8 with one scale for each row.

    Args:
        table: Shape (rows, dim), float32.

    Returns:
        Integers of the same shape, and the scales, shape (rows, 1), float32.
    """
    import numpy as np

    scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), np.float32(_SMALLEST)) / np.float32(127)
    return np.round(table / scale).astype(np.int8), scale
