"""Numbers as they were stored elsewhere to vectors of unit length."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.errors import VectorError

if TYPE_CHECKING:
    from collections.abc import Collection

    import numpy.typing as npt

    from embedcli.datatypes import VectorDtype, Vectors
    from embedcli.records.exchange import VectorSource

HALF_TOLERANCE = 2.0**-10
"""How far from 1 the length of a unit vector is after rounding to float16, at most: each number moves by
2**-11 of itself, or by 2**-25 where it is that small, and no more than 2**20 are so."""


def codes_dtype(source: VectorSource, said: Collection[str], dims: tuple[int, int]) -> VectorDtype:
    """Return what the numbers of a source are, having checked how many there are to a vector.

    Args:
        source: Not empty.
        said: What its rows say that they were stored as.
        dims: The model's dimension and the index's.

    Raises:
        VectorError: Vectors of that length are neither the model's nor the index's.
    """
    width = source.width or 0
    by_type: dict[str, VectorDtype] = {"f2": "float16", "f4": "float32", "f8": "float32", "i1": "int8"}
    found = by_type.get(source.dtype.str[1:])
    candidates: tuple[VectorDtype, ...] = (found,) if found else ("uint8", "binary")
    # A dimension says what bytes are, unless both would do: then only the rows can.
    fitting = [each for each in candidates if width * (8 if each == "binary" else 1) in dims]
    if not fitting:
        expected = " or ".join(str(dim) for dim in sorted(set(dims)))
        unit = "bytes" if found is None else "numbers"
        raise VectorError(
            f"{source.name}: its vectors have {width} {unit}, this run needs {expected} numbers",
            hint="--dim for vectors that were cut; --model for vectors of another model",
        )
    return next((each for each in fitting if each in said), fitting[0])


def unit_vectors(
    codes: npt.NDArray[Any], dtype: VectorDtype, dim: int, *, keeps_half: bool
) -> tuple[Vectors, dict[int, str]]:
    """Return vectors of unit length, shape (n, dim), float32, and what is wrong with which of them.

    A vector with something wrong is zeros. float16 that is of unit length already, as far as float16 can
    say, is left as it is where it will be stored so: from index to index it then stays the same.

    Args:
        codes: Shape (n, width), as they were stored. Not modified.
        dtype: What they are.
        dim: The index's dimension; longer vectors are cut.
        keeps_half: Whether float16 goes to float16.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize
    from embedcli.vectors.quantize import restore

    is_wide = codes.dtype.itemsize > np.dtype(np.float32).itemsize
    numbers: npt.NDArray[Any] = codes if is_wide else restore(codes, dtype)
    # Cut before they get unit length, as everywhere.
    numbers = numbers[:, :dim]
    is_finite = np.isfinite(numbers).all(axis=1)
    is_zero = ~numbers.any(axis=1)
    faults = {int(place): "its vector is all zeros" for place in np.flatnonzero(is_zero)}
    faults |= {
        int(place): "its vector holds a value that is no finite number"
        for place in np.flatnonzero(~is_finite)
    }
    usable = numbers.copy()
    usable[~is_finite] = 0
    unit = normalize(usable)
    if keeps_half and dtype == "float16" and codes.shape[1] == dim:
        lengths = np.linalg.norm(usable, axis=1)
        near = np.abs(lengths - 1) <= HALF_TOLERANCE
        unit[near] = usable[near]
    return unit, faults
