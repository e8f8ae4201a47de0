"""Records and hits as JSON, one object a line, always valid UTF-8."""

from __future__ import annotations

import base64
import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Record

RESERVED = ("vector", "vector_dtype", "vector_scale", "vector_model")
"""What a record says about its vector; own fields of these names never get this far."""

_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def dump(value: object) -> bytes:
    r"""Return compact JSON: integers of any size as they are, half surrogate pairs as escapes.

    Characters stay readable; only what has no UTF-8 form is escaped, as `\udc80`. Numbers that JSON does not
    have (not a number, infinity) become null.
    """
    if type(value) is dict and all(type(item) is str for item in value.values()):
        # Most records: nothing in them on whose form the two libraries differ, and one is ten times as fast.
        import orjson

        with contextlib.suppress(TypeError):
            return orjson.dumps(value)
    try:
        text = _ENCODER.encode(value)
    except ValueError:
        text = _ENCODER.encode(_finite(value))
    # What Python writes for a character that cannot be encoded is what JSON calls it.
    return text.encode("utf-8", "backslashreplace")


def _finite(value: object) -> object:
    """Return a JSON value with null for each number that JSON does not have."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value


def record_object(record: Record, *, keep_text: bool, text_fields: Sequence[str]) -> dict[str, Any]:
    """Return a record as it is written: id, text, then its own fields, which stay what they were.

    Args:
        record: The record. Its text is written where it has no field of that name itself.
        keep_text: Whether the text is written.
        text_fields: The fields that the text was made of; left out without text.
    """
    own = {key: value for key, value in record.fields.items() if key != "id" and key not in RESERVED}
    if not keep_text:
        return {
            "id": record.id,
            **{key: value for key, value in own.items() if key not in {"text", *text_fields}},
        }
    if "text" in own:
        return {"id": record.id, **own}
    return {"id": record.id, "text": record.text, **own}


def object_line(record: Record, more: Mapping[str, Any]) -> bytes:
    """Return a record as one line, with its vector if it has one, and with more fields, which win."""
    fields = {**record_object(record, keep_text=True, text_fields=()), **more}
    if record.vector is None:
        return dump(fields) + b"\n"
    model = record.vector_model
    return with_vector(
        fields, record.vector, dtype="float32", scale=None, vector_model=model, as_base64=False
    )


def with_vector(
    fields: dict[str, Any],
    codes: npt.NDArray[Any] | None,
    *,
    dtype: str,
    scale: float | None,
    vector_model: str | None,
    as_base64: bool,
) -> bytes:
    """Return one line: the fields, the vector and what is needed to read it, with a line feed.

    Args:
        fields: From `record_object`.
        codes: Shape (numbers,); None for a blank record, whose vector is null.
        dtype: What the codes are.
        scale: What int8 and uint8 codes were divided by; None for other dtypes.
        vector_model: Which model the vector is from; None where that is not known.
        as_base64: Whether the numbers are written as base64 of little-endian bytes.
    """
    import orjson

    head = dump(fields)[:-1]
    if codes is None:
        return head + b',"vector":null}\n'
    about: dict[str, Any] = {} if vector_model is None else {"vector_model": vector_model}
    if as_base64 or dtype != "float32":
        about["vector_dtype"] = dtype
    if scale is not None:
        about["vector_scale"] = scale
    if as_base64:
        little_endian = codes.astype(codes.dtype.newbyteorder("<"), copy=False)
        numbers = b'"' + base64.b64encode(little_endian.data) + b'"'
    else:
        # orjson has no float16; its shortest float32 form is exact all the same.
        plain = codes.astype("float32", copy=False) if codes.dtype.kind == "f" else codes
        numbers = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY)
    return head + b',"vector":' + numbers + (b"," + dump(about)[1:] if about else b"}") + b"\n"
