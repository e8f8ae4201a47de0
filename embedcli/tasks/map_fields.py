"""Which fields of records go with their points on a map."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedcli.errors import UsageError
from embedcli.write.objects import RESERVED

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from embedcli.datatypes import Record

MOST_FIELDS: Final = 8
"""Fields that a map keeps where none are named."""
_NOTED: Final = 1000
"""Names that are looked at: records may each have others."""


class FieldNames:
    """Notes the names of the fields that pass."""

    def __init__(self, text_fields: Sequence[str], id_field: str | None) -> None:
        """Leave out what a map shows in any case.

        Args:
            text_fields: What the text was made of: names, or numbers of columns from 1.
            id_field: What the ids were taken from.
        """
        self._shown = {"id", "_id", "text", *RESERVED, *text_fields, *([id_field] if id_field else [])}
        self._numbers = [int(name) for name in text_fields if name.isdecimal()]
        self._names: dict[str, None] = {}

    def watch(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on."""
        for record in records:
            if len(self._names) < _NOTED and not record.fields.keys() <= self._names.keys():
                self._names |= dict.fromkeys(record.fields)
            yield record

    def chosen(self, wanted: Sequence[str], color_by: str | None) -> tuple[tuple[str, ...], int]:
        """Return the fields that are kept, and how many others there are.

        Args:
            wanted: Those that were asked for; empty for the first `MOST_FIELDS`.
            color_by: One that is kept in any case.

        Raises:
            UsageError: No record has such a field.
        """
        for option, name in (*(("--hover", name) for name in wanted), ("--color-by", color_by)):
            if name is not None and name not in self._names:
                hint = f"fields: {', '.join([*self._names][:MOST_FIELDS])}" if self._names else ""
                raise UsageError(f"{option}: no record has a field {name!r}", hint=hint)
        names = [*self._names]
        texts = {names[number - 1] for number in self._numbers if 0 < number <= len(names)}
        own = [name for name in names if name not in self._shown | texts]
        kept = [*dict.fromkeys(wanted or own[:MOST_FIELDS])]
        if color_by is not None and color_by not in kept:
            kept = [color_by, *kept[: max(len(wanted), MOST_FIELDS - 1)]]
        return tuple(kept), len([name for name in own if name not in kept]) if not wanted else 0
