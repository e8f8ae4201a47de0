"""JSON objects to records: text, id, vector and the other fields."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from embedcli.datatypes import Record
from embedcli.records.byte_lines import LongLine, iter_lines
from embedcli.records.reading import BadRecordError, unify_newlines
from embedcli.records.vector_field import OWN_FIELDS, VECTOR_FIELD, vector_model_of, vector_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

    from embedcli.datatypes import Json
    from embedcli.records.reading import Reading

ID_FIELDS: Final = ("id", "_id")
"""Where an id is looked for when no field is named."""


def object_records(reading: Reading, blocks: Iterator[bytes]) -> Iterator[Record]:
    """Yield one record for each line of JSONL; a blank line is a blank record."""
    for number, raw in enumerate(iter_lines(blocks, reading.settings.max_record_bytes), start=1):
        if isinstance(raw, LongLine):
            reading.skip_long(number, raw.size_bytes)
            continue
        try:
            reading.check_nul(raw)
            text = reading.decode(raw)
            if text.isspace():
                record_id = reading.unique_id(None, number)
                yield Record(record_id, "", raw, path=reading.source.path, line=number, end_line=number)
            else:
                yield object_record(reading, parse_object(text), number, raw, reading.settings.text_fields)
        except BadRecordError as error:
            reading.skip(error.reason, number, hint=error.hint)


def parse_object(text: str) -> dict[str, Json]:
    """Return the JSON object that a line holds. Integers keep all their digits.

    Raises:
        BadRecordError: It is no JSON, or another value than an object.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant)
    except json.JSONDecodeError as error:
        raise BadRecordError(f"no JSON: {error.msg} at column {error.colno}") from error
    except (ValueError, RecursionError) as error:
        raise BadRecordError(f"no JSON that can be read: {error}") from error
    if not isinstance(value, dict):
        raise BadRecordError("no JSON object", "--format lines reads lines as they are")
    return value


def is_record_object(line: bytes, text_fields: Sequence[str]) -> bool:
    """Return whether a line is an object with a text field or a vector, by which JSONL is known."""
    if not line.lstrip().startswith(b"{"):
        return False
    try:
        value = parse_object(line.decode("utf-8", "replace"))
    except BadRecordError:
        return False
    return VECTOR_FIELD in value or any(name in value for name in text_fields)


def object_record(
    reading: Reading, value: Mapping[str, Json], line: int, raw: bytes, text_fields: Sequence[str]
) -> Record:
    """Return the record that an object describes.

    Raises:
        BadRecordError: Its text, id or vector is not what it should be.
    """
    text = _text(value, text_fields)
    vector = vector_of(value)
    model = vector_model_of(value)
    return Record(
        id=reading.unique_id(_given_id(value, reading.settings.id_field), line),
        text=text,
        raw=raw,
        fields={name: item for name, item in value.items() if name not in OWN_FIELDS},
        path=reading.source.path,
        line=line,
        end_line=line,
        vector=vector,
        vector_model=model,
    )


def _text(value: Mapping[str, Json], names: Sequence[str]) -> str:
    """Return the text fields, joined by a space. One of them must be there, unless there is a vector."""
    present = [name for name in names if name in value]
    if not present and VECTOR_FIELD not in value:
        has = ", ".join(list(value)[:10]) or "none"
        raise BadRecordError(
            f"no field {' or '.join(map(repr, names))}; its fields: {has}",
            "--field NAME says where the text is",
        )
    texts = []
    for name in present:
        text = value[name]
        if text is None:
            continue
        if not isinstance(text, str):
            raise BadRecordError(f"field {name!r} is no string", "--field NAME says where the text is")
        texts.append(text)
    return unify_newlines(" ".join(texts))


def _given_id(value: Mapping[str, Json], id_field: str | None) -> str | None:
    """Return the id that an object brings, or None.

    Raises:
        BadRecordError: The field that was asked for is missing or holds no id.
    """
    if id_field is not None:
        record_id = _as_id(value.get(id_field))
        if record_id is None:
            raise BadRecordError(f"field {id_field!r} holds no id", "--id-field NAME says where the id is")
        return record_id
    return next((found for name in ID_FIELDS if (found := _as_id(value.get(name))) is not None), None)


def _as_id(value: Json) -> str | None:
    """Return a string or number as an id, everything else as None."""
    if isinstance(value, str):
        return value or None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return str(value)


def _refuse_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON value")
