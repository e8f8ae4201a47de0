"""The vector that an object carries, in every form that embedcli writes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, get_args

from embedcli.datatypes import VectorDtype
from embedcli.errors import VectorError
from embedcli.records.reading import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json, Vector

VECTOR_FIELD: Final = "vector"
OWN_FIELDS: Final = frozenset({VECTOR_FIELD, "vector_dtype", "vector_scale", "vector_model"})
"""What describes the vector and is no field of the record."""

_BASE64_TYPES: Final[dict[VectorDtype, str]] = {
    "float32": "<f4",
    "float16": "<f2",
    "int8": "i1",
    "uint8": "u1",
    "binary": "u1",
}
_CODE_RANGES: Final[dict[VectorDtype, tuple[int, int]]] = {
    "int8": (-128, 127),
    "uint8": (0, 255),
    "binary": (0, 255),
}


def vector_of(fields: Mapping[str, Json]) -> Vector | None:
    """Return the vector of an object, shape (dim,), float32, or None where there is none or it is null.

    It is a list of numbers, or base64 of little-endian data; `vector_dtype` says what they are (float32
    unless said), `vector_scale` what one step of int8 or uint8 is worth, binary is eight signs to a byte.

    Raises:
        BadRecordError: It is none of that, or holds a value that is not finite.
    """
    value = fields.get(VECTOR_FIELD)
    if value is None:
        return None
    import numpy as np

    from embedcli.vectors.quantize import restore

    dtype = _dtype(fields.get("vector_dtype"))
    codes = _from_base64(value, dtype) if isinstance(value, str) else _from_list(value, dtype)
    if codes.size == 0:
        raise BadRecordError("its vector is empty")
    scale = _scale(fields.get("vector_scale"), dtype)
    try:
        with np.errstate(over="ignore", invalid="ignore"):
            vector: Vector = restore(codes[np.newaxis, :], dtype, scale)[0]
    except VectorError as error:
        raise BadRecordError(f"its vector cannot be used: {error}", error.hint) from error
    if not np.isfinite(vector).all():
        raise BadRecordError("its vector holds a value that is no finite number")
    return vector


def vector_model_of(fields: Mapping[str, Json]) -> str | None:
    """Return the model that an object's vector says it is from, or None.

    Raises:
        BadRecordError: It is no string.
    """
    model = fields.get("vector_model")
    if model is not None and not isinstance(model, str):
        raise BadRecordError(f"vector_model is no string but {_kind(model)}")
    return model


def _dtype(value: Json) -> VectorDtype:
    known: tuple[VectorDtype, ...] = get_args(VectorDtype)
    if value is None:
        return "float32"
    for dtype in known:
        if value == dtype:
            return dtype
    raise BadRecordError(f"vector_dtype {value!r} is not one of {', '.join(known)}")


def _from_base64(value: str, dtype: VectorDtype) -> npt.NDArray[Any]:
    """Return the codes of a base64 string, shape (width,)."""
    import base64

    import numpy as np

    try:
        data = base64.b64decode(value, validate=True)
        return np.frombuffer(data, dtype=np.dtype(_BASE64_TYPES[dtype]))
    except ValueError as error:
        raise BadRecordError(f"its vector is no base64 of {dtype}: {error}") from error


def _from_list(value: Json, dtype: VectorDtype) -> npt.NDArray[Any]:
    """Return the codes of a list, shape (width,)."""
    import numpy as np

    if not isinstance(value, list):
        raise BadRecordError(f"its vector is no list of numbers but {_kind(value)}")
    try:
        numbers = np.array(value)
    except (ValueError, OverflowError):  # lists of different lengths
        numbers = np.array(None)
    if numbers.size and (numbers.ndim != 1 or numbers.dtype.kind not in "iuf"):
        raise BadRecordError("its vector is no list of numbers")
    if dtype not in _CODE_RANGES:
        with np.errstate(over="ignore"):
            return numbers.astype(np.dtype(_BASE64_TYPES[dtype]))
    low, high = _CODE_RANGES[dtype]
    if numbers.size and (numbers.dtype.kind == "f" or numbers.min() < low or numbers.max() > high):
        raise BadRecordError(f"its vector is no list of integers from {low} to {high}, as {dtype} has them")
    return numbers.astype(np.dtype(_BASE64_TYPES[dtype]))


def _scale(value: Json, dtype: VectorDtype) -> npt.NDArray[np.float32] | None:
    """Return the scale of one vector, shape (1,), or None."""
    import numpy as np

    if value is None or dtype not in ("int8", "uint8"):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise BadRecordError(f"vector_scale {value!r} is no finite number")
    return np.array([value], dtype=np.float32)


def _kind(value: Json) -> str:
    """Return what a value is called in JSON."""
    names = {bool: "a boolean", int: "a number", float: "a number", str: "a string", list: "a list"}
    return names.get(type(value), "an object")
