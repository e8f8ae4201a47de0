"""Pairs of records as JSON or as a table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from embedcli.write.added_fields import cell
from embedcli.write.objects import RESERVED, dump

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Record
    from embedcli.write.target import Output

MatchForm = Literal["jsonl", "tsv"]

_SIDES = ("left", "right")


class MatchWriter:
    """Writes what is known of each pair, and then both records.

    JSON has all their fields, with `left_` and `right_` before the names, and their texts. A table has the
    texts.
    """

    def __init__(self, output: Output, form: MatchForm, facts: Sequence[str]) -> None:
        """Begin.

        Args:
            output: Where to.
            form: What is written.
            facts: Names of what is known of a pair.
        """
        self._output, self._form, self._facts = output, form, tuple(facts)
        if form == "tsv":
            self._row([*facts, *(f"{side}_text" for side in _SIDES)])

    def write(self, values: Sequence[Any], left: Record | None, right: Record | None) -> None:
        """Write a pair.

        Args:
            values: One for each fact.
            left: None where there is none.
            right: Likewise.
        """
        if self._form == "tsv":
            self._row([*values, *(record and record.text for record in (left, right))])
            return
        fields = dict(zip(self._facts, values, strict=True))
        for side, record in zip(_SIDES, (left, right), strict=True):
            fields |= {f"{side}_{name}": value for name, value in _fields(record).items()}
        self._output.write(dump(fields) + b"\n")

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._output.flush()

    def _row(self, values: Sequence[Any]) -> None:
        line = "\t".join(cell(value, "\t") for value in values)
        self._output.write(line.encode("utf-8", "replace") + b"\n")


def _fields(record: Record | None) -> dict[str, Any]:
    """Return a record's text, unless it has such a field, and its fields."""
    if record is None:
        return {"text": None}
    return {"text": record.text} | {
        name: value for name, value in record.fields.items() if name not in RESERVED
    }
