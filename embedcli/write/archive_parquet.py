"""Vectors with what belongs to them as one Parquet file."""

from __future__ import annotations

import contextlib
import json
import re
from typing import TYPE_CHECKING, Any, Literal

from embedcli.errors import MissingExtraError, OutputError
from embedcli.write.target import Output, open_output

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Json, VectorDtype
    from embedcli.write.archive import ArchiveWriter

VECTOR_COLUMN = "vector"
JSON_MARK = {b"embedcli": b"json"}
"""Says that a column holds JSON texts, because its values are of several kinds; null is a missing field."""
MISSING_MARK = {b"embedcli": b"null is missing"}
"""Says that null stands for a field that a record does not have; else it is the field's value."""

_NAMED: dict[str, Literal["text", "integer"]] = {
    "id": "text",
    "chunk": "integer",
    "path": "text",
    "line": "integer",
    "end_line": "integer",
    "start": "integer",
    "end": "integer",
    "text": "text",
}
_LAST = ("vector_model", "vector_dtype")
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_INT64 = 1 << 63
_EXACT_FLOAT = 1 << 53
"""Up to here float64 holds every integer."""


class OwnColumns:
    """Learns which columns the records' own fields need; memory is O(different names)."""

    def __init__(self) -> None:
        self._records = 0
        self._kinds: dict[str, set[str]] = {}
        self._present: dict[str, int] = {}

    def observe(self, fields: Mapping[str, Json]) -> None:
        """Look at the own fields of one record."""
        self._records += 1
        for name, value in fields.items():
            key = clean(name)
            self._kinds.setdefault(key, set()).add(_kind(value))
            self._present[key] = self._present.get(key, 0) + 1

    def types(self) -> dict[str, tuple[str, bool]]:
        """Return for each name its type and whether null stands for a missing field.

        The type is `bool`, `int64`, `double`, `string`, or `json` for values that are not all of one kind.
        """
        return {name: self._type(name, kinds) for name, kinds in self._kinds.items()}

    def _type(self, name: str, kinds: set[str]) -> tuple[str, bool]:
        is_sparse = self._present[name] < self._records
        values = kinds - {"null"}
        if is_sparse and "null" in kinds:
            return "json", True
        if values <= {"int", "double"} and "double" in values:
            return "double", is_sparse
        one_kind = {frozenset({"bool"}): "bool", frozenset({"string"}): "string"}
        if values and values <= {"int", "int64"}:
            return "int64", is_sparse
        return one_kind.get(frozenset(values), "json"), is_sparse


def clean(text: str) -> str:
    """Return a text as Parquet can hold it: half surrogate pairs replaced."""
    return _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text)


def _kind(value: Json) -> str:
    """Return the narrowest kind of column that holds a value unchanged."""
    kind = "other"
    match value:
        case None:
            kind = "null"
        case bool():
            kind = "bool"
        case int() if -_EXACT_FLOAT <= value <= _EXACT_FLOAT:
            kind = "int"
        case int() if -_INT64 <= value < _INT64:
            kind = "int64"
        case float():
            kind = "double"
        case str() if not _HALF_PAIR.search(value):
            kind = "string"
    return kind


class _Sink:
    """What pyarrow writes to."""

    closed = False

    def __init__(self, output: Output) -> None:
        self._output, self._written = output, 0

    def write(self, content: bytes) -> int:
        self._output.write(content)
        self._written += len(content)
        return len(content)

    def tell(self) -> int:
        return self._written

    def flush(self) -> None:
        self._output.flush()

    def close(self) -> None:
        """The file is closed by whoever opened it."""


@contextlib.contextmanager
def open_parquet_archive(
    path: str, columns: OwnColumns, *, keep_text: bool, width: int, dtype: VectorDtype
) -> Iterator[ArchiveWriter]:
    """Open a Parquet file for a block; it is there when the block ends well.

    Args:
        path: The file.
        columns: Has seen the own fields of every record that will come.
        keep_text: Whether there is a column `text`.
        width: Codes in a row.
        dtype: What the codes are.

    Raises:
        MissingExtraError: pyarrow is not installed.
        OutputError: The file cannot be written.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("arrow", "writing Parquet") from error
    types = columns.types()
    schema = _schema(pa, types, keep_text=keep_text, width=width, dtype=dtype)
    with open_output(path) as output:
        try:
            with pq.ParquetWriter(pa.PythonFile(_Sink(output), mode="w"), schema) as writer:
                yield _ParquetArchive(writer, schema, types)
        except pa.ArrowException as error:
            raise OutputError(f"{path}: cannot be written as Parquet: {error}") from error


def _schema(
    pa: Any, types: Mapping[str, tuple[str, bool]], *, keep_text: bool, width: int, dtype: VectorDtype
) -> Any:
    """Return the columns: named ones, the records' own, and the vector."""
    import numpy as np

    from embedcli.vectors.quantize import CODE_DTYPES

    arrow = {"text": pa.string(), "integer": pa.int64(), "string": pa.string(), "json": pa.string()}
    arrow |= {"bool": pa.bool_(), "int64": pa.int64(), "double": pa.float64()}
    fields = [pa.field(name, arrow[kind]) for name, kind in _NAMED.items() if keep_text or name != "text"]
    for name, (kind, is_sparse) in types.items():
        mark = JSON_MARK if kind == "json" else MISSING_MARK if is_sparse else None
        fields.append(pa.field(name, arrow[kind], metadata=mark))
    fields += [pa.field(name, pa.string()) for name in _LAST]
    number = pa.from_numpy_dtype(np.dtype(CODE_DTYPES[dtype]))
    return pa.schema([*fields, pa.field(VECTOR_COLUMN, pa.list_(number, width))])


class _ParquetArchive:
    """One row group for each `write`."""

    def __init__(self, writer: Any, schema: Any, types: Mapping[str, tuple[str, bool]]) -> None:
        self._writer, self._schema, self._types = writer, schema, types

    def write(self, objects: Sequence[Mapping[str, Json]], codes: npt.NDArray[Any]) -> None:
        import numpy as np
        import pyarrow as pa

        rows = [{clean(name): value for name, value in row.items()} for row in objects]
        arrays = [
            pa.array([self._cell(row, field.name) for row in rows], field.type)
            for field in self._schema
            if field.name != VECTOR_COLUMN
        ]
        flat = pa.array(np.ascontiguousarray(codes).reshape(-1))
        arrays.append(pa.FixedSizeListArray.from_arrays(flat, codes.shape[1]))
        self._writer.write_batch(pa.record_batch(arrays, schema=self._schema))

    def _cell(self, row: Mapping[str, Json], name: str) -> Json:
        if name not in row:
            return None
        value = row[name]
        if name in self._types and self._types[name][0] == "json":
            return json.dumps(value, ensure_ascii=True)
        return clean(value) if isinstance(value, str) else value
