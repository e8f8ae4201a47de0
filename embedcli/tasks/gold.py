"""Answers counted, and compared with the labels that the records bring."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedcli.reports import Confusion, GoldReport, LabelCount, LabelQuality

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from embedcli.tasks.classify import Answer


@dataclass
class Tally:
    """Counts answers as they are given.

    Attributes:
        answered: How often each label was given.
        open: Records left open.
        blank: Records with nothing in them.
        unknown: Records whose words the model does not know.
        with_vector: All others.
    """

    answered: Counter[str] = field(default_factory=Counter)
    open: int = 0
    blank: int = 0
    unknown: int = 0
    with_vector: int = 0
    _sums: dict[str | None, float] = field(default_factory=dict)

    def add(self, answer: Answer, *, is_blank: bool = False, many: bool = False) -> None:
        """Count one record; with `many` it counts for each of its labels."""
        if answer.score is None:
            self.blank += is_blank
            self.unknown += not is_blank
            return
        given = [(each.label, each.score) for each in answer.labels] if many else []
        if not many and answer.label is not None:
            given = [(answer.label, answer.score)]
        self.open += not given
        for label, score in given:
            self.answered[label] += 1
            self._sums[label] = self._sums.get(label, 0.0) + score
        if not given:
            self._sums[None] = self._sums.get(None, 0.0) + answer.score
        self.with_vector += 1

    def counts(self, labels: Iterable[str]) -> list[LabelCount]:
        """Return the count of each label, the most frequent first, then those left open, if there are any."""
        order = sorted(labels, key=lambda label: -self.answered[label])
        found = [self._count(label, self.answered[label]) for label in order]
        return found + ([self._count(None, self.open)] if self.open else [])

    def _count(self, label: str | None, count: int) -> LabelCount:
        score = round(self._sums[label] / count, 6) if count else None
        return LabelCount(label, count, round(count / max(1, self.with_vector), 6), score)


class GoldTally:
    """Compares answers with the labels that records bring; O(labels^2) memory at most.

    Attributes:
        without: Records without a label.
        has_field: Whether any record had the field.
    """

    def __init__(self, *, many: bool = False) -> None:
        """Start with nothing counted.

        Args:
            many: Whether a record may have several labels.
        """
        self._many = many
        self._cells: Counter[tuple[str, str | None]] = Counter()
        self._right: Counter[str] = Counter()
        self._gold: Counter[str] = Counter()
        self._given: Counter[str] = Counter()
        self._records = self._answered = self._exact = 0
        self.without = 0
        self.has_field = False

    def add(self, own: Sequence[str] | None, answer: Answer) -> None:
        """Compare one answer; records without a label or a vector are no part of it.

        Args:
            own: The record's labels; None for one without such a field.
            answer: What it was given.
        """
        self.has_field |= own is not None
        if not own or answer.score is None:
            self.without += not own
            return
        given = [each.label for each in answer.labels] if self._many else [answer.label]
        labels = {label for label in given if label is not None}
        self._records += 1
        self._answered += bool(labels)
        self._exact += labels == set(own) if self._many else bool(labels & set(own))
        self._gold.update(own)
        self._given.update(labels)
        self._right.update(labels & set(own))
        if not self._many:
            self._cells[own[0], answer.label] += 1

    def report(self) -> GoldReport:
        """Return what came of it."""
        every = sorted({*self._gold, *self._given})
        labels = tuple(self._quality(label) for label in every)
        real = [each.f1 for each in labels if each.gold]
        cells = sorted(
            self._cells.items(), key=lambda each: (each[0][0], each[0][1] is None, each[0][1] or "")
        )
        right, given, gold = (sum(each.values()) for each in (self._right, self._given, self._gold))
        return GoldReport(
            self._records,
            self._answered,
            _ratio(self._exact, self._records),
            _ratio(self._exact, self._answered),
            round(sum(real) / max(1, len(real)), 6),
            _ratio(2 * right, given + gold),
            labels,
            tuple(Confusion(*pair, count) for pair, count in cells),
        )

    def _quality(self, label: str) -> LabelQuality:
        right, gold, given = self._right[label], self._gold[label], self._given[label]
        return LabelQuality(
            label, _ratio(right, given), _ratio(right, gold), _ratio(2 * right, given + gold), gold, given
        )


def _ratio(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 0.0
