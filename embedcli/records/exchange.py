"""Vectors that come with their records from elsewhere: what is said of one, and what all sources share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple, Protocol

from embedcli.datatypes import Chunk
from embedcli.records.objects import ID_FIELDS
from embedcli.records.reading import BadRecordError
from embedcli.records.vector_field import OWN_FIELDS, vector_model_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json

ROW_FIELDS: Final = ("id", "chunk", "path", "line", "end_line", "start", "end", "text")
"""What stands first in each exported object: places of the chunk, and its text."""
HIDDEN_FIELDS: Final = "own_fields"
"""Holds those of a record's own fields whose names are taken by the ones above."""
NAMED_FIELDS: Final = frozenset({*ROW_FIELDS, HIDDEN_FIELDS, *OWN_FIELDS})
"""What is no own field of a record where it is met in an exported object."""

_LARGEST = (1 << 63) - 1
_BLOCK_BYTES: Final = 16 << 20
_BLOCK_ROWS: Final = 4096


@dataclass(frozen=True, slots=True)
class ImportedRow:
    """What is said of one vector.

    Attributes:
        where: Its place, as messages call it.
        id: The id of its record.
        path: The file that the record is from, or None.
        ordinal: The chunk's number within the record.
        start: First character in the record's text.
        end: One past the last character.
        line: First line in the file, or the row's number.
        end_line: Last line.
        text: The chunk's text; None where there is none.
        fields: The record's own fields.
        vector_model: The model that the vector says it is from, or None.
        vector_dtype: What the vector says it is stored as, or None.
    """

    where: str
    id: str
    path: str | None = None
    ordinal: int = 1
    start: int = 0
    end: int = 0
    line: int = 1
    end_line: int = 1
    text: str | None = None
    fields: Mapping[str, Json] = field(default_factory=dict)
    vector_model: str | None = None
    vector_dtype: str | None = None


class RefusedRow(NamedTuple):
    """A row of which nothing can be made: its place, and why."""

    where: str
    reason: str


class RowBatch(NamedTuple):
    """Some rows.

    Attributes:
        rows: In the order of the source.
        vectors: Shape (len(rows), width), the numbers as they are stored; None where they were not asked for.
        faults: Rows, by their place in the batch, whose vector is not there or has another length.
    """

    rows: Sequence[ImportedRow | RefusedRow]
    vectors: npt.NDArray[Any] | None
    faults: Mapping[int, str]


class VectorSource(Protocol):
    """Vectors with their records; can be read more than once.

    Attributes:
        name: What messages call it.
        width: Numbers in a row; None where there are no rows.
        dtype: What the numbers are.
        model: What the source as a whole says it was made with; None where each row says so itself.
    """

    name: str
    width: int | None
    dtype: np.dtype[Any]
    model: str | None

    def read(self, *, with_vectors: bool) -> Iterator[RowBatch]:
        """Yield all rows, from the first one on.

        Raises:
            InputError: The source cannot be read, or is not whole.
        """
        ...


def block_rows(row_bytes: int) -> int:
    """Return how many rows are read at a time: at most `_BLOCK_ROWS`, and as much as fits `_BLOCK_BYTES`."""
    return max(1, min(_BLOCK_ROWS, _BLOCK_BYTES // max(row_bytes, 1)))


def row_of_object(value: Mapping[str, Json], number: int, where: str) -> ImportedRow:
    """Return what an object says of its vector. Missing places are those of a record of one chunk.

    Args:
        value: The object; a vector in it is left out of account.
        number: Its own number in the source, from 1, which stands in for an id and a line.
        where: What messages call it.

    Raises:
        BadRecordError: A field is not what it should be.
    """
    text, path = _string(value, "text"), _string(value, "path")
    start = _integer(value, "start", 0)
    line = _integer(value, "line", number)
    hidden = value.get(HIDDEN_FIELDS)
    if hidden is not None and not isinstance(hidden, dict):
        raise BadRecordError(f"its {HIDDEN_FIELDS} are no object")
    return ImportedRow(
        where=where,
        id=_given_id(value) or str(number),
        path=path,
        ordinal=_integer(value, "chunk", 1),
        start=start,
        end=max(start, _integer(value, "end", start + len(text or ""))),
        line=line,
        end_line=max(line, _integer(value, "end_line", line)),
        text=text,
        fields={
            **{name: item for name, item in value.items() if name not in NAMED_FIELDS},
            **({name: item for name, item in hidden.items() if name not in OWN_FIELDS} if hidden else {}),
        },
        vector_model=vector_model_of(value),
        vector_dtype=_string(value, "vector_dtype"),
    )


def follows(row: ImportedRow, before: ImportedRow | None) -> bool:
    """Whether a row is the next chunk of the record that the row before it belongs to."""
    return (
        before is not None
        and (row.id, row.path) == (before.id, before.path)
        and row.ordinal == before.ordinal + 1
    )


def chunks_of(rows: Sequence[ImportedRow]) -> list[Chunk]:
    """Return the chunks of one record.

    Where they stand in bytes is worked out from their texts; what lies between two chunks is taken for white
    space of one byte a character, as it mostly is.

    Args:
        rows: Its rows, in order.
    """
    chunks: list[Chunk] = []
    for row in rows:
        text = row.text or ""
        start_byte = row.start
        if chunks:
            last = chunks[-1]
            if row.start >= last.end:
                start_byte = last.end_byte + row.start - last.end
            else:
                start_byte = last.start_byte + _bytes(last.text[: max(0, row.start - last.start)])
        chunks.append(
            Chunk(
                text=text,
                ordinal=row.ordinal,
                start=row.start,
                end=row.end,
                start_byte=start_byte,
                end_byte=start_byte + (_bytes(text) if text else row.end - row.start),
                line=row.line,
                end_line=row.end_line,
            )
        )
    return chunks


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _given_id(value: Mapping[str, Json]) -> str | None:
    for name in ID_FIELDS:
        found = value.get(name)
        if found is None or found == "":
            continue
        if isinstance(found, bool) or not isinstance(found, str | int | float):
            raise BadRecordError(f"its {name} is no string")
        return str(found)
    return None


def _string(value: Mapping[str, Json], name: str) -> str | None:
    found = value.get(name)
    if found is not None and not isinstance(found, str):
        raise BadRecordError(f"its {name} is no string")
    return found


def _integer(value: Mapping[str, Json], name: str, default: int) -> int:
    found = value.get(name)
    if found is None:
        return default
    if isinstance(found, bool) or not isinstance(found, int) or not 0 <= found <= _LARGEST:
        raise BadRecordError(f"its {name} is no number from 0 on")
    return found
