"""The wire format of protocol buffers, read without a schema, in bounded time and memory.

Source: protobuf.dev, "Encoding": a message is a run of fields, each a varint key (number << 3 | wire type)
and a value whose length its wire type tells.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import DamagedModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
"""Wire types. The two of groups, 3 and 4, have been obsolete for as long as ONNX exists."""

_FIXED_BYTES = {FIXED64: 8, FIXED32: 4}
_MAX_VARINT_BYTES = 10
_VARINT_STOPS = bytes(range(128))
_COUNTED_AT_ONCE = 1 << 20


class Field(NamedTuple):
    """One field of a message.

    Attributes:
        number: The field's number in the schema.
        wire: Its wire type.
        start: Where its value begins; of a varint, the value itself.
        stop: Where its value ends; of a varint, 0.
    """

    number: int
    wire: int
    start: int
    stop: int


class Message:
    """A file in the wire format, of which parts are read as messages.

    Attributes:
        content: The whole file.
        name: What messages about it call it.
    """

    def __init__(self, content: memoryview, name: str, *, max_parts: int) -> None:
        self.content, self.name = content, name
        self._parts_left = max_parts

    def damaged(self, reason: str) -> DamagedModelError:
        """Return the error that says what is wrong with the file."""
        return DamagedModelError(f"{self.name}: {reason}")

    def iter_fields(self, start: int, stop: int) -> Iterator[Field]:
        """Yield the fields between two offsets, in order.

        Raises:
            DamagedModelError: The bytes are no message, or the file has more fields than any model needs.
        """
        while start < stop:
            self._count_part()
            key, start = self._varint(start, stop)
            number, wire = key >> 3, key & 7
            if wire == VARINT:
                value, start = self._varint(start, stop)
                yield Field(number, wire, value, 0)
                continue
            if wire == BYTES:
                length, start = self._varint(start, stop)
            elif wire in _FIXED_BYTES:
                length = _FIXED_BYTES[wire]
            else:
                raise self.damaged(f"not an ONNX graph: wire type {wire} at byte {start}")
            if number == 0:
                raise self.damaged(f"not an ONNX graph: field number 0 at byte {start}")
            if length > stop - start:
                raise self.damaged(f"truncated, or not an ONNX graph: byte {start} is followed by too little")
            yield Field(number, wire, start, start + length)
            start += length

    def text(self, field: Field) -> str:
        """Return a field's bytes as text; what is no UTF-8 is replaced."""
        return bytes(self.content[field.start : field.stop]).decode("utf-8", "replace")

    def count_varints(self, field: Field) -> int:
        """Return how many varints a packed field holds: as many as bytes without the highest bit."""
        count = 0
        for start in range(field.start, field.stop, _COUNTED_AT_ONCE):
            block = bytes(self.content[start : min(start + _COUNTED_AT_ONCE, field.stop)])
            count += len(block) - len(block.translate(None, _VARINT_STOPS))
        return count

    def iter_varints(self, field: Field) -> Iterator[int]:
        """Yield the varints of a packed field."""
        start = field.start
        while start < field.stop:
            self._count_part()
            value, start = self._varint(start, field.stop)
            yield value

    def _count_part(self) -> None:
        self._parts_left -= 1
        if self._parts_left < 0:
            raise self.damaged("not an ONNX graph: too many parts")

    def _varint(self, start: int, stop: int) -> tuple[int, int]:
        """Return an unsigned integer and where the next byte is."""
        value = shift = 0
        for position in range(start, min(stop, start + _MAX_VARINT_BYTES)):
            byte = self.content[position]
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + 1
            shift += 7
        raise self.damaged(f"truncated, or not an ONNX graph: no number at byte {start}")
