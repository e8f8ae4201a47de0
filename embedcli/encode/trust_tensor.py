"""The tensors of a graph: their data is in the same file, and as long as their shape says."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from embedcli.encode.wire import BYTES, FIXED32, FIXED64, VARINT
from embedcli.errors import ModelError

if TYPE_CHECKING:
    from embedcli.encode.wire import Field, Message

MAX_ELEMENTS = 1 << 36
"""Numbers in one tensor: 64 Gi, more than any encoder has in all."""

_MAX_DIMS = 64

# Bits of one element, by the number of the type. 8, text, has no fixed size.
_DTYPES = {
    1: ("float32", 32),
    2: ("uint8", 8),
    3: ("int8", 8),
    4: ("uint16", 16),
    5: ("int16", 16),
    6: ("int32", 32),
    7: ("int64", 64),
    9: ("bool", 8),
    10: ("float16", 16),
    11: ("float64", 64),
    12: ("uint32", 32),
    13: ("uint64", 64),
    14: ("complex64", 64),
    15: ("complex128", 128),
    16: ("bfloat16", 16),
    17: ("float8e4m3fn", 8),
    18: ("float8e4m3fnuz", 8),
    19: ("float8e5m2", 8),
    20: ("float8e5m2fnuz", 8),
    21: ("uint4", 4),
    22: ("int4", 4),
    23: ("float4e2m1", 4),
    24: ("float8e8m0", 8),
    25: ("uint2", 2),
    26: ("int2", 2),
}
_STRING = 8
_COMPLEX = (14, 15)
_FLOAT_DATA, _INT32_DATA, _STRING_DATA, _INT64_DATA, _RAW_DATA, _DOUBLE_DATA, _UINT64_DATA = (
    4,
    5,
    6,
    7,
    9,
    10,
    11,
)
_WIDTH = {_FLOAT_DATA: 4, _DOUBLE_DATA: 8}
_UNPACKED_WIRE = {_FLOAT_DATA: FIXED32, _DOUBLE_DATA: FIXED64}


class TensorWalk:
    """Checks the tensors and shapes of one file.

    Attributes:
        bytes: Bytes of constant tensors so far, by dtype.
    """

    def __init__(self, message: Message) -> None:
        self._message, self._name = message, message.name
        self.bytes: Counter[str] = Counter()

    def check_type(self, field: Field) -> None:
        """Check the shape of a tensor's type; types of other kinds have none that is used."""
        for kind in self._message.iter_fields(field.start, field.stop):
            if (kind.number, kind.wire) != (1, BYTES):
                continue
            for part in self._message.iter_fields(kind.start, kind.stop):
                if (part.number, part.wire) == (2, BYTES):
                    self._check_shape(
                        [self._dim(dim) for dim in self._message.iter_fields(part.start, part.stop)]
                    )

    def _dim(self, field: Field) -> int:
        """Return a dimension's size; 1 for one that has a name, or that is left open by a -1."""
        if (field.number, field.wire) != (1, BYTES):
            return 1
        size = 1
        for part in self._message.iter_fields(field.start, field.stop):
            if (part.number, part.wire) == (1, VARINT):
                size = _signed(part.start)
        return 1 if size == -1 else size

    def _check_shape(self, dims: list[int]) -> int:
        """Return the product of the sizes."""
        elements = 1
        for size in dims:
            if size < 0:
                raise self._message.damaged(f"a shape with a size of {size}")
            elements *= size
        if elements > MAX_ELEMENTS or len(dims) > _MAX_DIMS:
            raise self._message.damaged(f"a shape of {len(dims)} sizes for {elements} numbers is absurd")
        return elements

    def check(self, field: Field) -> str:
        """Check a constant: its data is in this file and as long as its shape says. Return its name."""
        name, dims, dtype = "", list[int](), 0
        found: Counter[int] = Counter()
        for part in self._message.iter_fields(field.start, field.stop):
            match part.number, part.wire:
                case 1, 0:
                    dims.append(_signed(part.start))
                case 1, 2:
                    dims += [_signed(size) for size in self._message.iter_varints(part)]
                case 2, 0:
                    dtype = part.start
                case 3, 2:
                    raise ModelError(f"{self._name}: a tensor in segments, which ONNX Runtime does not read")
                case 8, 2:
                    name = self._message.text(part)
                case (13, 2) | (14, 0) if part.number == 13 or part.start != 0:
                    raise ModelError(
                        f"{self._name}: part of the model is in another file (external data)",
                        hint="only graphs that are one file are used: nothing outside of it is ever opened",
                    )
                case ((4 | 5 | 6 | 7 | 9 | 10 | 11), _):
                    found[part.number] += self._count(part)
        self._check_data(name, dtype, self._check_shape(dims), found)
        return name

    def _count(self, part: Field) -> int:
        """Return how many elements a data field holds, or how many bytes, if it is the raw one."""
        if part.number == _STRING_DATA:
            return 1 if part.wire == BYTES else 0
        if part.number == _RAW_DATA:
            return part.stop - part.start if part.wire == BYTES else 0
        if part.wire != BYTES:
            # One element by itself, in the wire type of its kind.
            return 1 if part.wire == _UNPACKED_WIRE.get(part.number, VARINT) else 0
        if part.number in _WIDTH:
            return (part.stop - part.start) // _WIDTH[part.number]
        return self._message.count_varints(part)

    def _check_data(self, name: str, dtype: int, elements: int, found: Counter[int]) -> None:
        """Compare the data of a tensor with its shape."""
        if dtype != _STRING and dtype not in _DTYPES:
            raise self._message.damaged(f"tensor {name!r} is of the unknown type {dtype}")
        kind, bits = _DTYPES.get(dtype, ("string", 0))
        filled = [number for number in found if found[number]]
        if len(filled) > 1:
            raise self._message.damaged(f"tensor {name!r} holds its data twice")
        number = filled[0] if filled else _RAW_DATA
        if number == _RAW_DATA and dtype != _STRING:
            expected = (elements * bits + 7) // 8
        elif number == _INT32_DATA and bits < 8:
            # Two or four elements share a byte, and each byte is an element of this list.
            expected = (elements * bits + 7) // 8
        else:
            expected = elements * (2 if dtype in _COMPLEX else 1)
        if found[number] != expected:
            raise self._message.damaged(
                f"tensor {name!r} holds {found[number]} bytes or numbers, its shape asks for {expected}"
            )
        self.bytes[kind] += (elements * bits + 7) // 8

    def check_sparse(self, field: Field) -> None:
        """Check a sparse constant: its values, where they stand, and the shape that they stand in."""
        dims = list[int]()
        for part in self._message.iter_fields(field.start, field.stop):
            match part.number, part.wire:
                case ((1 | 2), 2):
                    self.check(part)
                case 3, 0:
                    dims.append(_signed(part.start))
                case 3, 2:
                    dims += [_signed(size) for size in self._message.iter_varints(part)]
        self._check_shape(dims)


def _signed(value: int) -> int:
    """Return a varint's value as the signed number of 64 bits that it stands for."""
    return value - (1 << 64) if value >= 1 << 63 else value
