"""Which of several duplicates is kept: the order in which records are looked at."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Literal, get_args

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.datatypes import Json, Record

Rule = Literal["first", "last", "longest", "shortest", "newest", "max", "min"]
_WITH_FIELD: Final = ("newest", "max", "min")
_UPWARDS: Final = ("first", "shortest", "min")


@dataclass(frozen=True, slots=True)
class Preference:
    """A rule of `--keep`.

    Attributes:
        rule: `first` and `last` by place, `longest` and `shortest` by characters of the text, the others by a
            field: `newest` is a date or a number, `max` and `min` are numbers.
        field: The field; None for a rule without.
    """

    rule: Rule = "first"
    field: str | None = None

    @classmethod
    def parse(cls, said: str) -> Preference:
        """Return the rule that was typed, such as `longest` or `newest:date`.

        Raises:
            UsageError: It is none.
        """
        rule, _, field = said.partition(":")
        if rule not in get_args(Rule) or (rule in _WITH_FIELD) != bool(field):
            raise UsageError(
                f"--keep {said!r} is not known",
                hint="first, last, longest, shortest, newest:FIELD, max:FIELD or min:FIELD",
            )
        return cls(rule, field or None)  # type: ignore[arg-type]

    @property
    def is_input_order(self) -> bool:
        """Whether records can be looked at as they come."""
        return self.rule == "first"

    def key(self, record: Record, number: int) -> float:
        """Return what sorts the records, the preferred one first; of equal ones the first in the input.

        Infinity for a record without a value in the field: it is kept only where its duplicates have none.

        Args:
            record: The record.
            number: Its place in the input.
        """
        match self.rule:
            case "first" | "last":
                value = float(number)
            case "longest" | "shortest":
                value = float(len(record.text))
            case _:
                assert self.field is not None  # `parse` saw to it
                value = _value(record.fields.get(self.field), is_date=self.rule == "newest")
        if not math.isfinite(value):
            return math.inf
        return value if self.rule in _UPWARDS else -value


def _value(found: Json, *, is_date: bool) -> float:
    """Return a field as a number, a date as seconds since 1970; nan for what is neither."""
    if isinstance(found, bool):
        return math.nan
    if isinstance(found, int | float):
        try:
            return float(found)
        except OverflowError:
            return math.nan
    if not isinstance(found, str):
        return math.nan
    try:
        return float(found)
    except ValueError:
        return _seconds(found.strip()) if is_date else math.nan


def _seconds(text: str) -> float:
    """Return a date or moment in the form of ISO 8601 in seconds; without a zone it is in UTC."""
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, OSError):
        return math.nan
