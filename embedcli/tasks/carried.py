"""Vectors that are ready: those that records bring, or the rows of a file beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.errors import InputError, VectorError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors


def ready_rows(path: str) -> npt.NDArray[Any]:
    """Return the rows of a `.npy` file, shape (n, dim), of floats or integers; mapped, not loaded.

    Raises:
        InputError: The file is no such array.
    """
    import numpy as np

    try:
        rows: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error
    except (ValueError, EOFError) as error:
        raise InputError(f"{path}: not a .npy file with an array of numbers") from error
    if rows.ndim != 2 or rows.dtype.kind not in "fiu":
        raise InputError(f"{path}: not vectors, an array of {rows.dtype} of shape {rows.shape}")
    return rows


def with_rows(records: Iterable[Record], path: str) -> Iterator[Record]:
    """Yield records with the rows of a `.npy` file as their vectors; that of a blank record is passed over.

    Args:
        records: As many as the file has rows.
        path: See `ready_rows`.

    Raises:
        InputError: The file is no such array, or there are more or fewer records than rows.
    """
    import numpy as np

    rows = ready_rows(path)
    count = 0
    for record in records:
        if count == len(rows):
            raise InputError(f"{path}: {len(rows)} vectors, and more records than that")
        row = np.array(rows[count], dtype=np.float32)
        count += 1
        # A blank record keeps its place in both.
        yield record if record.is_blank else record._replace(vector=row, vector_model=None)
    if count < len(rows):
        raise InputError(f"{path}: {len(rows)} vectors for {count} records")


class CarriedVectors:
    """Takes the vectors that came with the records, whatever model they are from; all of one size."""

    def __init__(self) -> None:
        self._dim: int | None = None

    def record_vectors(self, records: Sequence[Record]) -> Vectors:
        """Return the records' vectors, shape (n, dim), float32, as they came.

        Args:
            records: At least one.

        Raises:
            VectorError: A record has none, or one of another size.
        """
        import numpy as np

        found = []
        for record in records:
            place = f"{record.path or '-'}:{record.line}"
            if record.vector is None:
                raise VectorError(f"{place}: brings no vector", hint="without --vectors, texts are encoded")
            self._dim = self._dim or len(record.vector)
            if len(record.vector) != self._dim:
                raise VectorError(
                    f"{place}: a vector of {len(record.vector)} numbers among those of {self._dim}"
                )
            found.append(record.vector)
        return np.stack(found)
