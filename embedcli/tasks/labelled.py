"""Records that say which labels they have: examples to learn from, and answers to compare with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.errors import InputError, UsageError
from embedcli.tasks.label_set import check_labels
from embedcli.tasks.pipeline import batches

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json, Record, Vectors
    from embedcli.tasks.dedupe import RecordVectors

_SHOWN: Final = 10


class Labelled(NamedTuple):
    """Examples.

    Attributes:
        labels: All labels, in their order.
        vectors: Shape (n, dim), float32, unit length.
        targets: Which labels each has, shape (n, labels), bool; at least one each.
        passed: How many records were passed over: blank, without a label, or without a known word.
    """

    labels: tuple[str, ...]
    vectors: Vectors
    targets: npt.NDArray[np.bool_]
    passed: int


def labels_of(record: Record, field: str) -> tuple[str, ...] | None:
    """Return the labels that a record says it has; None where it has no such field.

    Args:
        record: A list holds several labels; null and blank text none. Numbers and booleans are labels, too.
        field: Name of the field or column; for a table also its number from 1.

    Raises:
        InputError: It holds something else.
    """
    name = field
    if field not in record.fields and field.isascii() and field.isdigit():
        name = next((each for place, each in enumerate(record.fields, 1) if place == int(field)), field)
    if name not in record.fields:
        return None
    value = record.fields[name]
    found = [_label(each) for each in (value if isinstance(value, list) else [value])]
    if any(each is None for each in found):
        raise InputError(
            f"{record.path or '-'}:{record.line}: field {field!r} holds no label",
            hint="a text, a number, or a list of them",
        )
    return tuple(dict.fromkeys(each for each in found if each))


def read_labelled(
    records: Iterable[Record],
    field: str,
    vectors: RecordVectors,
    *,
    labels: Sequence[str] | None = None,
    many: bool = False,
) -> Labelled:
    """Return examples with their vectors. Memory is O(examples x (dim + labels)).

    Args:
        records: Labelled records.
        field: Where the label is.
        vectors: Makes the vectors.
        labels: All labels that there are; None for those of the examples, in order of their names.
        many: Whether a record may have several.

    Raises:
        InputError: No record has the field, or its label is not what it should be.
        UsageError: There are fewer than two labels, or one has no example.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    wanted = None if labels is None else frozenset(labels)
    reader = _Reader(field, wanted, many=many)
    parts: list[Vectors] = []
    owned: list[tuple[str, ...]] = []
    for batch in batches(reader.read(records), lambda each: each[0].text):
        rows = normalize(vectors.record_vectors([record for record, _ in batch]))
        known = np.asarray(rows.any(axis=1))
        reader.passed += len(batch) - int(known.sum())
        parts.append(rows[known])
        owned += [own for (_, own), is_known in zip(batch, known.tolist(), strict=True) if is_known]
    reader.check()
    names = tuple(labels) if labels is not None else tuple(sorted({each for own in owned for each in own}))
    check_labels(names)
    place = {name: number for number, name in enumerate(names)}
    targets = np.zeros((len(owned), len(names)), dtype=bool)
    for row, own in enumerate(owned):
        targets[row, [place[each] for each in own]] = True
    without = [names[place] for place in np.flatnonzero(~targets.any(axis=0)).tolist()]
    if without:
        raise UsageError(
            f"label {without[0]!r} has no example"
            + (f", nor have {len(without) - 1} more" * (len(without) > 1)),
            hint="leave it out, or leave --examples out and go by the labels' names",
        )
    return Labelled(names, np.concatenate(parts), targets, reader.passed)


class _Reader:
    """Reads labels and counts what is passed over."""

    def __init__(self, field: str, wanted: frozenset[str] | None, *, many: bool) -> None:
        self.passed = 0
        self._field, self._wanted, self._many = field, wanted, many
        self._has_field = False
        self._names: tuple[str, ...] = ()

    def read(self, records: Iterable[Record]) -> Any:
        """Yield the records that are examples, each with its labels."""
        for record in records:
            own = labels_of(record, self._field)
            self._has_field |= own is not None
            self._names = self._names or tuple(record.fields)
            if not own or record.is_blank:
                self.passed += 1
                continue
            self._check(record, own)
            yield record, own

    def check(self) -> None:
        """See that there was a label at all.

        Raises:
            InputError: There was none.
        """
        if not self._has_field:
            raise missing_field("--label-field", self._field, self._names)

    def _check(self, record: Record, own: tuple[str, ...]) -> None:
        place = f"{record.path or '-'}:{record.line}"
        if len(own) > 1 and not self._many:
            raise InputError(f"{place}: an example with {len(own)} labels", hint="--multi learns from such")
        strange = [] if self._wanted is None else [each for each in own if each not in self._wanted]
        if strange:
            raise InputError(f"{place}: label {strange[0][:60]!r} is not among those that were named")


def missing_field(option: str, field: str, names: Sequence[str]) -> InputError:
    """Return the error for a field that no record has."""
    shown = ", ".join(names[:_SHOWN]) + (", …" if len(names) > _SHOWN else "")
    return InputError(
        f"no record has a field {field!r}" + (f"; their fields: {shown}" if shown else ""),
        hint=f"{option} NAME says where the label is",
    )


def _label(value: Json) -> str | None:
    """Return a label; empty for none, None for what is no label."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, int | float) else None
