"""Records and their vectors to bytes, batch by batch."""

from __future__ import annotations

import io
import re
import shutil
import tempfile
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Protocol, cast

from embedcli.errors import UsageError
from embedcli.write.objects import dump, record_object, with_vector
from embedcli.write.target import Output, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Record, VectorDtype

VectorFormat = Literal["jsonl", "base64", "npy", "raw", "csv"]

_STORED = {"float32": "<f4", "float16": "<f2", "int8": "|i1", "uint8": "|u1", "binary": "|u1"}
_FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
_NUMBER = re.compile(r"[+-](\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_NEEDS_QUOTES = re.compile(r'[",\r\n]')
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_COPY_BYTES = 1 << 20
_SPOOL_NAME = "a temporary file"
"""How messages call what keeps the rows of `.npy` until their number is known."""


class VectorWriter(Protocol):
    """Writes batches of records with their vectors; `close` ends the output."""

    def write(
        self, records: Sequence[Record], codes: npt.NDArray[Any], scale: npt.NDArray[Any] | None
    ) -> None:
        """Write some records.

        Args:
            records: In the order of the output.
            codes: Shape (n, width); the rows of blank records are zeros.
            scale: Shape (n,) for int8 and uint8, else None.
        """
        ...

    def close(self) -> None:
        """Write what stands at the end."""
        ...


def open_vector_writer(
    form: VectorFormat,
    output: Output,
    *,
    dtype: VectorDtype,
    width: int,
    vector_model: str,
    keep_text: bool = True,
    text_fields: Sequence[str] = (),
    csv_raw: bool = False,
    is_table: Callable[[Record], bool] = lambda _record: False,
) -> VectorWriter:
    """Return the writer for a form.

    Args:
        form: What to write.
        output: Where to.
        dtype: What the codes are.
        width: Codes in a row: the dimension, or an eighth of it for `binary`.
        vector_model: What each JSON line names as its model.
        keep_text: Whether the text is written, in JSON and CSV.
        text_fields: The fields that the text was made of.
        csv_raw: Whether cells that a spreadsheet would take for formulas are left as they are.
        is_table: Whether a record is from CSV or TSV, whose own columns are written unchanged.
    """
    match form:
        case "jsonl" | "base64":
            return _JsonWriter(
                output,
                dtype=dtype,
                vector_model=vector_model,
                keep_text=keep_text,
                text_fields=text_fields,
                as_base64=form == "base64",
            )
        case "npy":
            return _NpyWriter(output, dtype, width)
        case "raw":
            return _RawWriter(output, dtype)
        case "csv":
            return _CsvWriter(
                output,
                width=width,
                keep_text=keep_text,
                text_fields=text_fields,
                csv_raw=csv_raw,
                is_table=is_table,
            )


class _JsonWriter:
    """One object a line, the vector as a list or as base64."""

    def __init__(
        self,
        output: Output,
        *,
        dtype: str,
        vector_model: str,
        keep_text: bool,
        text_fields: Sequence[str],
        as_base64: bool,
    ) -> None:
        self._output, self._dtype, self._vector_model = output, dtype, vector_model
        self._keep_text, self._text_fields, self._as_base64 = keep_text, text_fields, as_base64

    def write(
        self, records: Sequence[Record], codes: npt.NDArray[Any], scale: npt.NDArray[Any] | None
    ) -> None:
        lines = [
            with_vector(
                record_object(record, keep_text=self._keep_text, text_fields=self._text_fields),
                None if record.is_blank else codes[row],
                dtype=self._dtype,
                scale=None if scale is None else float(scale[row]),
                vector_model=self._vector_model,
                as_base64=self._as_base64,
            )
            for row, record in enumerate(records)
        ]
        self._output.write(b"".join(lines))
        self._output.flush()

    def close(self) -> None:
        """Nothing stands at the end."""


class _RawWriter:
    """The numbers alone, little-endian, row after row."""

    def __init__(self, output: Output, dtype: str) -> None:
        self._output, self._stored = output, _STORED[dtype]

    def write(
        self, records: Sequence[Record], codes: npt.NDArray[Any], scale: npt.NDArray[Any] | None
    ) -> None:
        del records, scale
        self._output.write(codes.astype(self._stored, copy=False).tobytes())

    def close(self) -> None:
        """Nothing stands at the end."""


class _NpyWriter:
    """NumPy's own file format. The number of rows stands at its beginning and is known only at the end.

    In a file the header is written over; for a pipe the rows wait in a temporary file, so that memory stays
    O(batch).

    Source: numpy/lib/format.py, which leaves room in the header for a number of rows of any length.
    """

    def __init__(self, output: Output, dtype: str, width: int) -> None:
        self._output, self._stored, self._width = output, _STORED[dtype], width
        self._count = 0
        self._spool: Output | None = None
        if output.can_be_patched():
            output.write(self._header())
            return
        with translated(_SPOOL_NAME):
            self._rows = tempfile.TemporaryFile()  # noqa: SIM115  (closed in `close`)
        self._spool = Output(cast("BinaryIO", self._rows), _SPOOL_NAME)

    def _header(self) -> bytes:
        from numpy.lib import format as npy

        stream = io.BytesIO()
        shape = (self._count, self._width)
        npy.write_array_header_1_0(stream, {"descr": self._stored, "fortran_order": False, "shape": shape})
        return stream.getvalue()

    def write(
        self, records: Sequence[Record], codes: npt.NDArray[Any], scale: npt.NDArray[Any] | None
    ) -> None:
        del scale
        content = codes.astype(self._stored, copy=False).tobytes()
        self._count += len(records)
        (self._spool or self._output).write(content)

    def close(self) -> None:
        """Write the header, and behind it the rows that waited."""
        if self._spool is None:
            self._output.patch(self._header())
            return
        self._spool.flush()
        self._output.write(self._header())
        with self._rows:
            self._rows.seek(0)
            shutil.copyfileobj(self._rows, self._output, _COPY_BYTES)


class _CsvWriter:
    """A table: id, text, own fields and a column for each number; a table's own columns stay as they were."""

    def __init__(
        self,
        output: Output,
        *,
        width: int,
        keep_text: bool,
        text_fields: Sequence[str],
        csv_raw: bool,
        is_table: Callable[[Record], bool],
    ) -> None:
        self._output, self._width = output, width
        self._keep_text, self._text_fields, self._csv_raw = keep_text, text_fields, csv_raw
        self._is_table = is_table
        self._columns: list[str] | None = None

    def _fields(self, record: Record) -> dict[str, Any]:
        if not self._is_table(record):
            return record_object(record, keep_text=self._keep_text, text_fields=self._text_fields)
        dropped = () if self._keep_text else self._text_fields
        return {key: value for key, value in record.fields.items() if key not in dropped}

    def _begin(self, columns: list[str], *, is_table: bool) -> None:
        self._columns = columns
        names = [self._cell(column, is_table=is_table) for column in columns]
        self._write_rows([[*names, *(f"v{number}" for number in range(self._width))]])

    def _write_rows(self, rows: list[list[str]]) -> None:
        text = "".join(",".join(row) + "\n" for row in rows)
        self._output.write(_HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", text).encode())
        self._output.flush()

    def write(
        self, records: Sequence[Record], codes: npt.NDArray[Any], scale: npt.NDArray[Any] | None
    ) -> None:
        import orjson

        del scale
        rows = []
        for record, vector in zip(records, codes, strict=True):
            fields, is_table = self._fields(record), self._is_table(record)
            if self._columns is None:
                self._begin(list(fields), is_table=is_table)
            columns = self._columns or []
            if strange := [key for key in fields if key not in columns]:
                raise UsageError(
                    f"{record.path or '-'}:{record.line}: field {strange[0]!r} is not in the first record",
                    hint="a table needs the same fields in all records; --to jsonl does not",
                )
            cells = [self._cell(fields.get(key), is_table=is_table) for key in columns]
            if record.is_blank:
                numbers = [""] * self._width
            else:
                plain = vector.astype("float32") if vector.dtype.kind == "f" else vector
                numbers = orjson.dumps(plain, option=orjson.OPT_SERIALIZE_NUMPY).decode()[1:-1].split(",")
            rows.append([*cells, *numbers])
        self._write_rows(rows)

    def _cell(self, value: object, *, is_table: bool) -> str:
        """Return a cell's text; one that a spreadsheet would run is made harmless by a leading apostrophe.

        Cells are quoted here, since the standard library left a lone CR unquoted before Python 3.13.

        Source: OWASP, "CSV Injection"; RFC 4180 for the quotes.
        """
        if value is None:
            return ""
        text = value if isinstance(value, str) else dump(value).decode()
        harmless = self._csv_raw or is_table or not isinstance(value, str) or _NUMBER.fullmatch(text)
        if not harmless and text.startswith(_FORMULA_STARTS):
            text = f"'{text}"
        return '"' + text.replace('"', '""') + '"' if _NEEDS_QUOTES.search(text) else text

    def close(self) -> None:
        """Write the header at least."""
        if self._columns is None:
            self._begin(["id", "text"] if self._keep_text else ["id"], is_table=False)
