"""Parquet with a column of vectors."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from embedcli.errors import InputError, MissingExtraError
from embedcli.records.exchange import ImportedRow, RefusedRow, RowBatch, block_rows, row_of_object
from embedcli.records.parquet import as_json
from embedcli.records.reading import BadRecordError
from embedcli.records.vector_field import VECTOR_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO, Final

    import numpy as np
    import numpy.typing as npt

PARQUET_MAGIC: Final = b"PAR1"

_MARK: Final = b"embedcli"
_NUMBERS: Final = ("halffloat", "float", "double", "int8", "uint8")
_BATCH_ROWS: Final = 1024


class ParquetVectors:
    """A file with a column `vector`; see `VectorSource`."""

    model: str | None = None

    def __init__(self, file: Any, name: str) -> None:
        """Look at the columns.

        Args:
            file: A `pyarrow.parquet.ParquetFile`.
            name: What messages call it.

        Raises:
            InputError: There is no column of vectors.
        """
        self._file, self.name = file, name
        schema = file.schema_arrow
        vector = schema.field(VECTOR_FIELD).type if VECTOR_FIELD in schema.names else None
        number = getattr(vector, "value_type", None)
        if number is None or str(number) not in _NUMBERS:
            raise InputError(f"{name}: no column {VECTOR_FIELD!r} with lists of numbers")
        self._others = [each for each in schema.names if each != VECTOR_FIELD]
        self._marks = {each.name: (each.metadata or {}).get(_MARK, b"") for each in schema}
        self.dtype: np.dtype[Any] = _numpy_type(number)
        self.width: int | None = getattr(vector, "list_size", None) or self._first_width()

    def _first_width(self) -> int | None:
        """Return the length of the first vector that is there."""
        for batch in self._file.iter_batches(batch_size=_BATCH_ROWS, columns=[VECTOR_FIELD]):
            for value in batch.column(0):
                if value.is_valid and len(value):
                    return len(value)
        return None

    def read(self, *, with_vectors: bool) -> Iterator[RowBatch]:
        """Yield all rows; what pyarrow reads under them is a row group at a time.

        Raises:
            InputError: The file cannot be read.
        """
        width = self.width or 1
        columns = [*self._others, VECTOR_FIELD] if with_vectors else self._others
        step = min(_BATCH_ROWS, block_rows(width * self.dtype.itemsize))
        batches = self._file.iter_batches(batch_size=step, columns=columns)
        number = 0
        while True:
            with _translated(self.name):
                batch = next(batches, None)
                if batch is None:
                    return
                values = batch.select(self._others).to_pylist()
            # Without other columns pyarrow gives no rows at all.
            values = values or [{} for _ in range(batch.num_rows)]
            rows = [self._row(value, number + place) for place, value in enumerate(values, start=1)]
            number += len(rows)
            if with_vectors:
                vectors, faults = _vectors(batch.column(VECTOR_FIELD), width, self.dtype)
                yield RowBatch(rows, vectors, faults)
            else:
                yield RowBatch(rows, None, {})

    def _row(self, value: dict[str, Any], number: int) -> ImportedRow | RefusedRow:
        where = f"{self.name}:{number}"
        try:
            fields = {}
            for name, item in value.items():
                mark = self._marks[name]
                if item is None and mark:
                    continue
                fields[name] = json.loads(item) if mark == b"json" else as_json(item)
            return row_of_object(fields, number, where)
        except BadRecordError as error:
            return RefusedRow(where, error.reason)
        except (ValueError, TypeError, RecursionError):
            return RefusedRow(where, f"column {name!r} holds no JSON")


def _numpy_type(number: Any) -> np.dtype[Any]:
    import numpy as np

    found: np.dtype[Any] = np.dtype(number.to_pandas_dtype())
    return found


def _vectors(column: Any, width: int, dtype: np.dtype[Any]) -> tuple[npt.NDArray[Any], dict[int, str]]:
    """Return the vectors of a column, shape (n, width); what has another length is zeros and a fault."""
    import numpy as np

    if getattr(column.type, "list_size", None) == width and not column.null_count:
        flat = column.flatten()
        if not flat.null_count:
            return flat.to_numpy(zero_copy_only=False).reshape(-1, width), {}
    vectors = np.zeros((len(column), width), dtype=dtype)
    faults: dict[int, str] = {}
    for place, value in enumerate(column):
        numbers = None if not value.is_valid else value.values
        if numbers is None or len(numbers) != width:
            count = 0 if numbers is None else len(numbers)
            faults[place] = f"its vector has {count} numbers, the others have {width}"
        elif numbers.null_count:
            faults[place] = "its vector holds a value that is no number"
        else:
            vectors[place] = numbers.to_numpy(zero_copy_only=False)
    return vectors, faults


@contextlib.contextmanager
def open_parquet_vectors(stream: BinaryIO, name: str) -> Iterator[ParquetVectors]:
    """Open a Parquet file.

    Args:
        stream: The file.
        name: What messages call it.

    Raises:
        MissingExtraError: pyarrow is not installed.
        InputError: It cannot be read, or holds no vectors.
    """
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("arrow", "reading Parquet") from error
    with contextlib.ExitStack() as stack:
        with _translated(name):
            file = stack.enter_context(pq.ParquetFile(stream))
            source = ParquetVectors(file, name)
        yield source


@contextlib.contextmanager
def _translated(name: str) -> Iterator[None]:
    """Turn pyarrow's exceptions into the project's own."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise InputError(f"{name}: cannot be read as Parquet: {error}") from error
