"""Vectors to smaller codes and back.

One scale per row, symmetric about zero: a row of codes then has the direction of its vector, so the cosine
needs no scale at all, and no row depends on which others were quantized with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedcli.errors import VectorError

if TYPE_CHECKING:
    from typing import Final

    import numpy.typing as npt

    from embedcli.datatypes import VectorDtype, Vectors

INT8_LIMIT: Final = 127
"""The largest code. -128 stays unused, so that negating a vector negates its codes."""
UINT8_ZERO: Final = 128
"""The code of 0.0 in uint8."""
BITS_PER_BYTE: Final = 8

CODE_DTYPES: Final[dict[VectorDtype, type[np.generic]]] = {
    "float32": np.float32,
    "float16": np.float16,
    "int8": np.int8,
    "uint8": np.uint8,
    "binary": np.uint8,
}
"""The numpy type that the codes of each vector dtype are stored in."""


class Quantized(NamedTuple):
    """Quantized vectors.

    Attributes:
        codes: Shape (n, dim), or (n, dim / 8) for binary; the type is in `CODE_DTYPES`.
        scale: What one step of a code is worth, shape (n,), float32; None for types without a scale.
    """

    codes: npt.NDArray[Any]
    scale: npt.NDArray[np.float32] | None


def code_width(dim: int, dtype: VectorDtype) -> int:
    """How many codes one vector takes.

    Args:
        dim: Numbers in a vector.
        dtype: What the codes are.

    Raises:
        VectorError: `dtype` is binary and `dim` is no multiple of 8.
    """
    if dtype != "binary":
        return dim
    if dim % BITS_PER_BYTE:
        raise VectorError(
            f"binary vectors need a dimension that is a multiple of 8, found {dim}",
            hint="another vector dtype, or vectors shortened to a multiple of 8",
        )
    return dim // BITS_PER_BYTE


def quantize(vectors: Vectors, dtype: VectorDtype) -> Quantized:
    """Codes of vectors.

    int8 has the codes -127 to 127 and the scale max|x| / 127 of each row, moved by one float32 step where
    rounding would push a code past 127, or 127 steps past float32. uint8 is int8 plus 128. A row of zeros
    gives codes that restore to zeros, with scale 0. binary keeps whether each number is above zero, the first
    one in the highest bit. The input is not modified; for float32 the codes may be the input itself.

    Args:
        vectors: Shape (n, dim), float32, finite.
        dtype: What to turn them into.

    Raises:
        VectorError: A value is not finite, or does not fit float16; or binary, and dim is no multiple of 8.
    """
    code_width(vectors.shape[1], dtype)
    if not np.isfinite(vectors).all():
        raise VectorError("vectors hold values that are not finite numbers")
    if dtype == "float32":
        return Quantized(np.asarray(vectors, dtype=np.float32), None)
    if dtype == "float16":
        return Quantized(_half(vectors), None)
    if dtype == "binary":
        return Quantized(np.packbits(vectors > 0, axis=1, bitorder="big"), None)
    scale = _row_scale(vectors)
    steps = vectors.astype(np.float64) / np.where(scale == 0, np.float32(1), scale)[:, np.newaxis]
    codes = np.rint(steps).astype(np.int8)
    if dtype == "uint8":
        return Quantized((codes.astype(np.int16) + UINT8_ZERO).astype(np.uint8), scale)
    return Quantized(codes, scale)


def restore(
    codes: npt.NDArray[Any], dtype: VectorDtype, scale: npt.NDArray[np.float32] | None = None
) -> Vectors:
    """Vectors from codes, as near to the originals as the codes allow.

    int8 and uint8 come back within half a step of `scale`. Without a scale their codes are taken as numbers
    (uint8 after subtracting its 128), which changes the length of a vector and not its direction. binary
    gives +1 and -1 over sqrt(dim), a vector of unit length; a row of zeros cannot be told apart there.

    Args:
        codes: Shape (n, width) as `quantize` returns them, of any byte order. Not modified; for float32 the
            result may be the input itself.
        dtype: What the codes are.
        scale: Shape (n,), for int8 and uint8 only.

    Returns:
        Shape (n, dim), float32.

    Raises:
        VectorError: The codes are not of that dtype, or there are not as many scales as rows.
    """
    expected = np.dtype(CODE_DTYPES[dtype])
    if codes.ndim != 2 or (codes.dtype.kind, codes.dtype.itemsize) != (expected.kind, expected.itemsize):
        raise VectorError(
            f"{dtype} vectors are stored as rows of {expected.name}, found {codes.dtype.name} "
            f"of {codes.ndim} dimensions"
        )
    if dtype in {"float32", "float16"}:
        return np.asarray(codes, dtype=np.float32)
    if dtype == "binary":
        bits = np.unpackbits(codes, axis=1, bitorder="big").astype(np.float32)
        return (bits * 2 - 1) / np.float32(np.sqrt(max(bits.shape[1], 1)))
    numbers = codes.astype(np.float32)
    if dtype == "uint8":
        numbers -= UINT8_ZERO
    if scale is None:
        return numbers
    if scale.shape != (len(codes),):
        raise VectorError(f"{len(codes)} vectors need as many scales, found the shape {scale.shape}")
    return numbers * scale.astype(np.float32)[:, np.newaxis]


def _half(vectors: Vectors) -> npt.NDArray[np.float16]:
    """float16 of finite vectors."""
    with np.errstate(over="ignore"):
        codes = vectors.astype(np.float16)
    if not np.isfinite(codes).all():
        raise VectorError("a value is too large for float16", hint="normalize the vectors, or use float32")
    return codes


def _row_scale(vectors: Vectors) -> npt.NDArray[np.float32]:
    """The scale of each row, shape (n,), such that no code passes `INT8_LIMIT`."""
    peak = np.abs(vectors).max(axis=1, initial=0).astype(np.float64)
    scale: npt.NDArray[np.float32] = (peak / INT8_LIMIT).astype(np.float32)
    with np.errstate(divide="ignore", invalid="ignore"):
        # Only among the smallest numbers of float32 does rounding the scale down matter that much.
        too_small = np.rint(peak / scale) > INT8_LIMIT
    scale[too_small] = np.nextafter(scale[too_small], np.float32(np.inf))
    too_large = scale.astype(np.float64) * INT8_LIMIT > np.finfo(np.float32).max
    scale[too_large] = np.nextafter(scale[too_large], np.float32(0))
    return scale
