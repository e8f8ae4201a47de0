"""Parquet to records."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import shutil
import tempfile
from contextlib import ExitStack
from typing import TYPE_CHECKING

from embedcli.errors import MissingExtraError, UsageError
from embedcli.records.blocks import ReadFailedError
from embedcli.records.columns import column_number
from embedcli.records.objects import object_record
from embedcli.records.reading import BadRecordError
from embedcli.records.vector_field import VECTOR_FIELD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, BinaryIO, Final

    from embedcli.datatypes import Json, Record
    from embedcli.records.reading import Reading

BATCH_ROWS: Final = 256
"""Rows that are turned into Python values at once: what pyarrow reads under them is a row group anyway."""


def parquet_records(reading: Reading, stdin: BinaryIO | None) -> Iterator[Record]:
    """Yield one record for each row, without bytes of its own; its line is its number.

    Standard input is copied to a temporary file first, since the table of contents stands at the end.

    Raises:
        MissingExtraError: pyarrow is not installed.
        ReadFailedError: The rest cannot be read, or the file is no Parquet.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingExtraError("arrow", "reading Parquet") from error
    with ExitStack() as stack:
        number = 0
        try:
            file: Any = stack.enter_context(pq.ParquetFile(_seekable(reading, stdin, stack)))
            columns = _text_columns(reading, list(file.schema_arrow.names))
            batches = file.iter_batches(batch_size=BATCH_ROWS)
            while (batch := next(batches, None)) is not None:
                rows = batch.to_pylist()
                for row in rows:
                    number += 1
                    record = _record(reading, row, number, columns)
                    if record is not None:
                        yield record
        except BadRecordError as error:
            reading.skip(error.reason, hint=error.hint)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ReadFailedError(f"cannot be read as Parquet: {error}") from error


def _seekable(reading: Reading, stdin: BinaryIO | None, stack: ExitStack) -> str | BinaryIO:
    """Return what pyarrow can read from: a path, or a copy of a stream."""
    path = reading.source.path
    if path is None and stdin is None:
        raise UsageError("there is no standard input to read")
    stream = stdin if path is None else stack.enter_context(open(path, "rb"))  # noqa: PTH123, SIM115
    assert stream is not None  # checked above
    if stream.seekable():
        return stream
    copy = stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
    shutil.copyfileobj(stream, copy)
    copy.seek(0)
    return copy


def _text_columns(reading: Reading, names: list[str]) -> list[str]:
    """Return the names of the columns that make the text.

    Raises:
        BadRecordError: One of them is not there, and neither is a vector.
    """
    settings = reading.settings
    if not settings.columns and VECTOR_FIELD in names:
        return [name for name in settings.text_fields if name in names]
    return [names[column_number(name, names)] for name in settings.columns or settings.text_fields]


def _record(reading: Reading, row: dict[str, Any], number: int, columns: list[str]) -> Record | None:
    """Return a row's record, or None if it is a problem."""
    value = {name: item if name == VECTOR_FIELD else as_json(item) for name, item in row.items()}
    size = sum(len(text.encode()) for name in columns if isinstance(text := value.get(name), str))
    if size > reading.settings.max_record_bytes:
        reading.skip_long(number, size)
        return None
    try:
        return object_record(reading, value, number, b"", columns)
    except BadRecordError as error:
        reading.skip(error.reason, number, hint=error.hint)
        return None


def as_json(value: Any) -> Json:
    """Return a value of Parquet as JSON has it.

    Times become ISO 8601, spans of time seconds, decimals and bytes text, numbers that are not finite null.
    """
    result: Json = value
    match value:
        case dict():
            result = {str(name): as_json(item) for name, item in value.items()}
        case list() | tuple():
            result = [as_json(item) for item in value]
        case float() if not math.isfinite(value):
            result = None
        case dt.date() | dt.time():
            result = value.isoformat()
        case dt.timedelta():
            result = value.total_seconds()
        case decimal.Decimal():
            result = str(value)
        case bytes():
            result = value.decode("utf-8", "replace")
    return result
