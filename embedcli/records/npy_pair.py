"""`.npy` with `.jsonl` beside it: a row of numbers and a line for each vector."""

from __future__ import annotations

import io
import os
import tokenize
import warnings
from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import InputError
from embedcli.records.byte_lines import LongLine, iter_lines
from embedcli.records.exchange import ImportedRow, RefusedRow, RowBatch, block_rows, row_of_object
from embedcli.records.objects import parse_object
from embedcli.records.reading import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO, Final

    import numpy as np

NPY_MAGIC: Final = b"\x93NUMPY"
MAX_LINE_BYTES: Final = 128 << 20
"""Longest line that is read: an exported record of 16 MiB may need several bytes for one of its own."""

_HEADER_LIMIT_BYTES: Final = 10_000
"""As NumPy has it; the header of a plain array has 118 bytes."""
_LENGTH_BYTES: Final = {(1, 0): 2, (2, 0): 4}
"""Format versions, and how many bytes tell the length of the header. 3.0 is for names of structured types."""
_NUMBERS: Final = ("f2", "f4", "f8", "i1", "u1")
_READ_BYTES: Final = 1 << 20
_BOM: Final = "\N{BYTE ORDER MARK}"


class NpyHeader(NamedTuple):
    """What an array file says of itself: `rows` x `width` numbers of `dtype`, from byte `offset` on."""

    dtype: np.dtype[Any]
    rows: int
    width: int
    offset: int


def read_npy_header(stream: BinaryIO, name: str) -> NpyHeader:
    """Return the header of an array file, checked against the file's size; nothing else is read.

    Raises:
        InputError: It is no array of numbers in rows, or the file is longer or shorter than it says.

    Source: numpy/lib/format.py. Objects are never unpickled: an array of them is refused by its dtype.
    """
    from numpy.lib import format as npy

    stream.seek(0)
    head = stream.read(len(NPY_MAGIC) + 2)
    length_bytes = _LENGTH_BYTES.get((head[-2], head[-1])) if len(head) == len(NPY_MAGIC) + 2 else None
    if not head.startswith(NPY_MAGIC) or length_bytes is None:
        raise InputError(f"{name}: no .npy file of format 1.0 or 2.0")
    length = stream.read(length_bytes)
    size = int.from_bytes(length, "little")
    if size > _HEADER_LIMIT_BYTES:
        raise InputError(f"{name}: a header of {size} bytes is no header of an array of numbers")
    header = io.BytesIO(length + stream.read(size))
    read = npy.read_array_header_1_0 if length_bytes == _LENGTH_BYTES[1, 0] else npy.read_array_header_2_0
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shape, is_fortran, dtype = read(header)
    except (ValueError, TypeError, SyntaxError, RecursionError, MemoryError, tokenize.TokenError) as error:
        raise InputError(f"{name}: its header cannot be read") from error
    offset = len(head) + length_bytes + size
    if dtype.str[1:] not in _NUMBERS or dtype.hasobject or dtype.shape:
        raise InputError(
            f"{name}: holds {dtype}, not numbers that vectors are stored as",
            hint="float16, float32, float64, int8 or uint8",
        )
    if len(shape) != 2 or any(isinstance(each, bool) or each < 0 for each in shape) or not shape[1]:
        raise InputError(f"{name}: has the shape {shape}, not one row for each vector")
    if is_fortran:
        raise InputError(f"{name}: is stored by columns", hint="numpy.ascontiguousarray before saving it")
    needed, found = shape[0] * shape[1] * dtype.itemsize, os.fstat(stream.fileno()).st_size - offset
    if found != needed:
        raise InputError(
            f"{name}: {shape[0]} rows of {shape[1]} numbers take {needed} bytes, it holds {found}"
        )
    return NpyHeader(dtype, shape[0], shape[1], offset)


class NpyPair:
    """An array file and its lines; see `VectorSource`."""

    model: str | None = None

    def __init__(self, vectors: BinaryIO, lines: BinaryIO, names: tuple[str, str]) -> None:
        """Read the header.

        Args:
            vectors: The array file.
            lines: The lines.
            names: What messages call them.

        Raises:
            InputError: See `read_npy_header`.
        """
        self._vectors, self._lines, self._names = vectors, lines, names
        self._header = read_npy_header(vectors, names[0])
        self.name = names[0]
        self.width: int | None = self._header.width
        self.dtype = self._header.dtype

    def read(self, *, with_vectors: bool) -> Iterator[RowBatch]:
        """Yield all rows; O(block) memory.

        Raises:
            InputError: There are more or fewer lines than vectors, or the array file became shorter.
        """
        import numpy as np

        row_bytes = self._header.width * self.dtype.itemsize
        step = block_rows(row_bytes)
        self._vectors.seek(self._header.offset)
        count = 0
        rows: list[ImportedRow | RefusedRow] = []
        for row in self._rows():
            rows.append(row)
            count += 1
            if count == self._header.rows or len(rows) == step:
                vectors = None
                if with_vectors:
                    content = self._vectors.read(len(rows) * row_bytes)
                    if len(content) != len(rows) * row_bytes:
                        raise InputError(f"{self.name}: became shorter while it was read")
                    vectors = np.frombuffer(content, dtype=self.dtype).reshape(len(rows), -1)
                yield RowBatch(rows, vectors, {})
                rows = []
        if count != self._header.rows:
            raise InputError(
                f"{self._names[0]} holds {self._header.rows} vectors, {self._names[1]} {count} lines",
                hint="one line for each vector, in the same order",
            )

    def _rows(self) -> Iterator[ImportedRow | RefusedRow]:
        self._lines.seek(0)
        blocks = iter(lambda: self._lines.read(_READ_BYTES), b"")
        for number, raw in enumerate(iter_lines(blocks, MAX_LINE_BYTES), start=1):
            where = f"{self._names[1]}:{number}"
            if isinstance(raw, LongLine):
                yield RefusedRow(where, f"a line of {raw.size_bytes} bytes is over the limit")
            elif raw.strip():
                yield _row(raw, number, where)


def _row(raw: bytes, number: int, where: str) -> ImportedRow | RefusedRow:
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return RefusedRow(where, "is not UTF-8")
    try:
        return row_of_object(parse_object(text.removeprefix(_BOM)), number, where)
    except BadRecordError as error:
        return RefusedRow(where, error.reason)
