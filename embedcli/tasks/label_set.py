"""The labels that there are, and what is encoded for each: its name in words, or its descriptions."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.datatypes import Record
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from embedcli.datatypes import Json, Vectors
    from embedcli.tasks.dedupe import RecordVectors

LABEL_FIELD: Final = "label"
DESCRIPTION_FIELDS: Final = ("description", "text")
"""Where a line of a label file says what its label means; the first that says anything."""

PLACE: Final = "{}"
"""In a template: where the name goes."""

MOST_LABELS: Final = 10_000
_HUMPS: Final = re.compile(r"(?<=[a-z]{2})(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z]{2})")


class LabelSet(NamedTuple):
    """Labels in their order, each once, and the records that say what each means, at least one."""

    labels: tuple[str, ...]
    meanings: tuple[tuple[Record, ...], ...]


def label_words(name: str) -> str:
    """Return a label's name as words: `card_arrival` and `cardArrival` as `card arrival`."""
    spaced = name.replace("_", " ")
    if " " not in spaced.strip():
        parts = _HUMPS.split(spaced)
        if len(parts) > 1:
            spaced = " ".join(part if part.isupper() else part.lower() for part in parts)
    return " ".join(spaced.split()) or name


def name_labels(names: Sequence[str], template: str | None = None) -> LabelSet:
    """Return labels that are known by their names.

    Args:
        names: As they are written.
        template: What is encoded, with `PLACE` where the name goes; None for the name alone.

    Raises:
        UsageError: There are fewer than two, one is blank or there twice, or the template has no place.
    """
    if template is not None and PLACE not in template:
        raise UsageError(f"--template {template!r} has no place for the name", hint="'This text is about {}'")
    check_labels(names)
    words = [label_words(name) for name in names]
    texts = words if template is None else [template.replace(PLACE, each) for each in words]
    return LabelSet(
        tuple(names), tuple((Record(name, text),) for name, text in zip(names, texts, strict=True))
    )


def read_label_set(records: Iterable[Record], template: str | None = None) -> LabelSet:
    """Return the labels of a file: a line each, or records with `label` and perhaps a description.

    Several records of one label are several meanings of it. What is said of a label, or a vector that it
    brings, counts instead of its name.

    Args:
        records: Read with `LABEL_FIELD` as the text. Blank ones are passed over.
        template: As in `name_labels`; descriptions do without it.

    Raises:
        UsageError: As `name_labels`; or two records say nothing but the same label.
    """
    meanings: dict[str, list[Record]] = {}
    for record in records:
        if record.is_blank:
            continue
        label = record.text.strip()
        if not label:
            raise UsageError(f"{record.path or '-'}:{record.line}: no label")
        said = next((text for name in DESCRIPTION_FIELDS if (text := _text(record.fields.get(name)))), "")
        own = meanings.setdefault(label, [])
        if said or record.vector is not None:
            own.append(record._replace(text=said))
        elif any(not each.text for each in own):
            raise UsageError(f"{record.path or '-'}:{record.line}: label {label!r} is there twice")
        else:
            own.append(record._replace(text=""))
    names = name_labels(list(meanings), template)
    full = []
    for own_name, found in zip(names.meanings, meanings.values(), strict=True):
        said_of = tuple(each for each in found if each.text or each.vector is not None)
        full.append(said_of or own_name)
    return LabelSet(names.labels, tuple(full))


def check_labels(labels: Sequence[str]) -> None:
    """See that there is something to choose from.

    Raises:
        UsageError: There are fewer than two labels, one is blank, or there twice.
    """
    if any(not label.strip() for label in labels):
        raise UsageError("a label is empty", hint="--labels refund,delivery,other")
    if len(set(labels)) < len(labels):
        twice = next(label for place, label in enumerate(labels) if label in labels[:place])
        raise UsageError(f"label {twice!r} is there twice")
    if len(labels) < 2:
        found = f"only one label, {labels[0]!r}" if labels else "no labels"
        raise UsageError(f"{found}: two at least are needed to choose from")
    if len(labels) > MOST_LABELS:
        raise UsageError(f"{len(labels)} labels, {MOST_LABELS} at most")


def label_vectors(found: LabelSet, vectors: RecordVectors) -> Vectors:
    """Return the mean of each label's meanings, shape (labels, dim), float32, unit length.

    Raises:
        UsageError: The model knows no word of one.
        VectorError: A vector that came with a record does not fit.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    every = [record for own in found.meanings for record in own]
    rows = normalize(vectors.record_vectors(every))
    starts = np.cumsum([0, *(len(own) for own in found.meanings)])[:-1]
    sums: np.ndarray = np.add.reduceat(rows.astype(np.float64), starts, axis=0)
    silent = np.flatnonzero(~sums.any(axis=1))
    if len(silent):
        label = found.labels[int(silent[0])]
        raise UsageError(
            f"the model knows no word of label {label!r}", hint="--labels-file can say what it means"
        )
    return normalize(sums)


def _text(value: Json) -> str:
    return value.strip() if isinstance(value, str) else ""
