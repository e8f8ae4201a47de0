"""Texts with one label each, as `eval classify` and `eval cluster` measure on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import Problem
from embedcli.errors import InputError
from embedcli.tasks.judged_pairs import item_ids, place_of
from embedcli.tasks.label_set import MOST_LABELS
from embedcli.tasks.labelled import labels_of, missing_field
from embedcli.tasks.pipeline import batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import OnProblem, Record, Vectors
    from embedcli.tasks.dedupe import RecordVectors


class LabelledTexts(NamedTuple):
    """Texts, their vectors and labels.

    Attributes:
        ids: Of the records, all different.
        texts: In input order.
        vectors: Shape (n, dim), float32, unit length; zero where the model knows no word.
        labels: All that there are, sorted.
        targets: Which of them each text has, shape (n,), int64.
        unknown: How many vectors are zero.
        blank: Records without text, which are left out.
    """

    ids: tuple[str, ...]
    texts: list[str]
    vectors: Vectors
    labels: tuple[str, ...]
    targets: npt.NDArray[np.int64]
    unknown: int
    blank: int


def read_labelled_texts(
    records: Iterable[Record], field: str, vectors: RecordVectors, on_problem: OnProblem
) -> LabelledTexts:
    """Return texts with their vectors. Memory is O(texts + n dim).

    Args:
        records: Of the input.
        field: Where the label is: a field, or a column's name or number.
        vectors: Makes the vectors.
        on_problem: Told of records that have no label, or several.

    Raises:
        InputError: There are none, no record has the field, or there are too many labels.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    reader = _Reader(field, on_problem)
    kept: list[Record] = []
    owned: list[str] = []
    parts: list[Vectors] = []
    for batch in batches(reader.read(records), lambda each: each[0].text):
        parts.append(normalize(vectors.record_vectors([record for record, _ in batch])))
        kept += [record._replace(raw=b"", fields={}, vector=None) for record, _ in batch]
        owned += [label for _, label in batch]
    if not kept:
        raise reader.nothing()
    whole = np.concatenate(parts)
    labels = tuple(sorted(set(owned)))
    if len(labels) > MOST_LABELS:
        raise InputError(f"{len(labels)} different labels in field {field!r}, {MOST_LABELS} at most")
    place = {label: number for number, label in enumerate(labels)}
    return LabelledTexts(
        item_ids(kept),
        [record.text for record in kept],
        whole,
        labels,
        np.array([place[label] for label in owned], dtype=np.int64),
        int((~whole.any(axis=1)).sum()),
        reader.blank,
    )


class _Reader:
    """Reads labels, and counts what is blank."""

    def __init__(self, field: str, on_problem: OnProblem) -> None:
        self.blank = 0
        self._field, self._on_problem = field, on_problem
        self._names: tuple[str, ...] = ()
        self._has_field = False

    def read(self, records: Iterable[Record]) -> Iterator[tuple[Record, str]]:
        """Yield the records with one label, and the label."""
        waiting: list[Record] = []
        for record in records:
            if record.is_blank:
                self.blank += 1
                continue
            self._names = self._names or tuple(record.fields)
            label = self._label(record, waiting)
            if label is not None:
                yield record, label

    def _label(self, record: Record, waiting: list[Record]) -> str | None:
        """Return the label; None for none, which is told once any record had the field."""
        try:
            own = labels_of(record, self._field)
        except InputError as error:
            where, _, reason = str(error).partition(": ")
            self._on_problem(Problem(where, reason, hint=error.hint))
            return None
        if own is None and not self._has_field:
            # A wrong name is wrong in every record.
            waiting.append(record)
            return None
        if not self._has_field:
            self._has_field = True
            for earlier in waiting:
                self._tell(earlier, "no label")
            waiting.clear()
        if own is None or len(own) != 1:
            self._tell(record, f"{len(own)} labels, one is wanted" if own else "no label")
            return None
        return own[0]

    def _tell(self, record: Record, reason: str) -> None:
        self._on_problem(Problem(place_of(record), f"{reason} in field {self._field!r}"))

    def nothing(self) -> InputError:
        """Return the error where no record could be used."""
        if self._has_field or not self._names:
            return InputError(
                "no text with a label in the input", hint="--label NAME says where the label is"
            )
        return missing_field("--label", self._field, self._names)
