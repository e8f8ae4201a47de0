"""Which of a record's fields its text was made of."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from embedcli.records.columns import column_number
from embedcli.records.reading import BadRecordError
from embedcli.records.settings import ReadSettings

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from embedcli.datatypes import Json


def text_names(wanted: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """Return the fields that a text was made of.

    Args:
        wanted: `ReadSettings.columns` or `ReadSettings.text_fields`; empty for the default.
        names: The record's fields, in their order.
    """
    found: list[str] = []
    for name in wanted or ReadSettings().text_fields:
        with contextlib.suppress(BadRecordError, ValueError):
            found.append(names[column_number(str(name), names)])
    return tuple(found)


def without(fields: Mapping[str, Json], names: Collection[str]) -> dict[str, Json]:
    """Return the other fields."""
    return {key: value for key, value in fields.items() if key not in names}
