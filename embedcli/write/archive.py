"""Vectors with what belongs to them, as files that other programs read: `.npy` beside `.jsonl`."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any, Protocol

from embedcli.errors import OutputError
from embedcli.write.objects import dump
from embedcli.write.target import open_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Json, VectorDtype
    from embedcli.write.target import Output


class ArchiveWriter(Protocol):
    """Takes vectors and their objects in order; what opened it ends it."""

    def write(self, objects: Sequence[Mapping[str, Json]], codes: npt.NDArray[Any]) -> None:
        """Write some vectors.

        Args:
            objects: What belongs to each of them.
            codes: Shape (len(objects), width).
        """
        ...


@contextlib.contextmanager
def open_npy_archive(
    paths: tuple[str, str], *, rows: int, width: int, dtype: VectorDtype
) -> Iterator[ArchiveWriter]:
    """Open a pair of files for a block: both are there when it ends well, and neither is when it does not.

    They are renamed into place one after the other: killed between the two renames, a run leaves one new
    file beside an old one.

    Args:
        paths: The `.npy` and the `.jsonl` file.
        rows: How many vectors will come; it stands at the beginning of the file.
        width: Codes in a row.
        dtype: What the codes are.

    Raises:
        OutputError: A file cannot be written, or another number of vectors came.
    """
    with open_output(paths[0]) as vectors, open_output(paths[1]) as objects:
        archive = _NpyArchive(vectors, objects, rows=rows, width=width, dtype=dtype)
        yield archive
        archive.close()


class _NpyArchive:
    """NumPy's own file format, and one JSON object a line for each of its rows.

    Source: numpy/lib/format.py, format version 1.0.
    """

    def __init__(
        self, vectors: Output, objects: Output, *, rows: int, width: int, dtype: VectorDtype
    ) -> None:
        import numpy as np
        from numpy.lib import format as npy

        from embedcli.vectors.quantize import CODE_DTYPES

        self._vectors, self._objects, self._missing = vectors, objects, rows
        self._stored = np.dtype(CODE_DTYPES[dtype]).newbyteorder("<")
        header = io.BytesIO()
        about = {"descr": self._stored.str, "fortran_order": False, "shape": (rows, width)}
        npy.write_array_header_1_0(header, about)
        vectors.write(header.getvalue())

    def write(self, objects: Sequence[Mapping[str, Json]], codes: npt.NDArray[Any]) -> None:
        self._missing -= len(objects)
        self._vectors.write(codes.astype(self._stored, copy=False).tobytes())
        self._objects.write(b"".join(dump(value) + b"\n" for value in objects))

    def close(self) -> None:
        """Hand on what is buffered in both, so that a full disk is noticed before either is renamed."""
        if self._missing:
            raise OutputError(f"{self._vectors.name}: {abs(self._missing)} vectors too few or too many came")
        self._vectors.flush()
        self._objects.flush()
