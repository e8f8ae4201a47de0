"""Pairs of texts that people have judged: a score, or whether the two belong together."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.datatypes import Problem
from embedcli.errors import InputError
from embedcli.tasks.pipeline import batches
from embedcli.tasks.text_fields import text_names

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json, OnProblem, Record, Vectors
    from embedcli.tasks.vectorize import Vectorizer

    Doubles = npt.NDArray[np.float64]

_LABELS: Final = {"0": 0.0, "1": 1.0, "false": 0.0, "true": 1.0, "0.0": 0.0, "1.0": 1.0}
_SHOWN_CHARS: Final = 20


class GradedError(ValueError):
    """A label is a number between or beyond 0 and 1, as scores are."""


class JudgedPair(NamedTuple):
    """Two texts and what was said of them.

    Attributes:
        record: That holds them.
        left: One text.
        right: The other.
        value: A score; of a label 1.0 or 0.0.
    """

    record: Record
    left: str
    right: str
    value: float


class ScoredPairs(NamedTuple):
    """Judged pairs, and how near the two texts of each are.

    Attributes:
        ids: Of the records, all different.
        lefts: One text of each.
        rights: The other.
        values: What was said of each, shape (n,), float64.
        cosines: Shape (n,), float64, -1 to 1; 0 where the model knows no word of a text.
        unknown: How many pairs those are.
    """

    ids: tuple[str, ...]
    lefts: list[str]
    rights: list[str]
    values: Doubles
    cosines: Doubles
    unknown: int


def judged_pair(record: Record, names: Sequence[str], read_value: Callable[[str], float]) -> JudgedPair:
    """Return the pair that a record holds.

    Args:
        record: With the two texts and the judgement among its fields.
        names: Of the three fields; for columns their numbers from 1, too.
        read_value: Makes a number of the judgement; raises `ValueError` that says what it is not.

    Raises:
        InputError: The record lacks one of them, or the judgement cannot be read.
    """
    where = place_of(record)
    words = []
    for name in names:
        found = text_names((name,), tuple(record.fields)) if name not in record.fields else (name,)
        if not found:
            raise InputError(
                f"{where}: no field {name!r}", hint=f"fields: {', '.join(record.fields) or 'none'}"
            )
        words.append(_word(record.fields[found[0]], where, name))
    left, right, judgement = words
    try:
        return JudgedPair(record, left, right, read_value(judgement))
    except ValueError as error:
        hint = "graded scores: embedcli eval sts" if isinstance(error, GradedError) else ""
        raise InputError(f"{where}: {error}", hint=hint) from None


class PairReader:
    """Reads pairs that people have judged.

    Attributes:
        blank: Blank lines, which are no pairs.
    """

    def __init__(
        self,
        names_of: Callable[[Record], Sequence[str]],
        read_value: Callable[[str], float],
        on_problem: OnProblem,
    ) -> None:
        """Read nothing yet.

        Args:
            names_of: What the three fields of a record are called; see `judged_pair`.
            read_value: Likewise.
            on_problem: Told of what is no pair, as soon as there was one that is.
        """
        self.blank = 0
        self._names_of, self._read_value, self._on_problem = names_of, read_value, on_problem

    def read(self, records: Iterable[Record]) -> Iterator[JudgedPair]:
        """Yield the pairs; a record that is none, or has a blank text, is a problem.

        Raises:
            InputError: No record is a pair: the first problem.
        """
        # A wrong name is wrong in every record: then one error says it all.
        waiting: list[InputError] = []
        is_begun = False
        for record in records:
            if record.is_blank and not record.fields:
                self.blank += 1
                continue
            try:
                pair = self._pair(record)
            except InputError as error:
                if is_begun:
                    self._on_problem(_problem(error))
                else:
                    waiting.append(error)
                continue
            if not is_begun:
                is_begun = True
                for earlier in waiting:
                    self._on_problem(_problem(earlier))
            yield pair
        if waiting and not is_begun:
            raise waiting[0]

    def _pair(self, record: Record) -> JudgedPair:
        pair = judged_pair(record, self._names_of(record), self._read_value)
        if not pair.left.strip() or not pair.right.strip():
            raise InputError(f"{place_of(record)}: a text is blank")
        return pair


def score_judged(
    pairs: Iterable[JudgedPair],
    vectorizer: Vectorizer,
    on_vectors: Callable[[Vectors], None] = lambda _vectors: None,
) -> ScoredPairs:
    """Return pairs with their cosines. Memory is that of the texts.

    Args:
        pairs: Of a reader.
        vectorizer: Makes the vectors.
        on_vectors: Told of the vectors of some more pairs, shape (2 n, dim).

    Raises:
        TextTooLongError: A text is too long and `on_long` is `error`.
    """
    import numpy as np

    from embedcli.vectors.metric import pair_cosines

    kept: list[JudgedPair] = []
    parts: list[Doubles] = [np.zeros(0)]
    unknown = 0
    for batch in batches(pairs, lambda pair: pair.left + pair.right):
        texts = [*(pair.left for pair in batch), *(pair.right for pair in batch)]
        vectors = vectorizer.text_vectors(texts)
        left, right = vectors[: len(batch)], vectors[len(batch) :]
        unknown += int((~(left.any(axis=1) & right.any(axis=1))).sum())
        parts.append(pair_cosines(left, right))
        kept += batch
        on_vectors(vectors)
    return ScoredPairs(
        item_ids([pair.record for pair in kept]),
        [pair.left for pair in kept],
        [pair.right for pair in kept],
        np.array([pair.value for pair in kept], dtype=np.float64),
        np.concatenate(parts),
        unknown,
    )


def item_ids(records: Sequence[Record]) -> tuple[str, ...]:
    """Return the ids of records, all different: with their file in front where two files share one."""
    ids = [record.id for record in records]
    if len(set(ids)) == len(ids):
        return tuple(ids)
    return tuple(f"{record.path or '-'}:{record.id}" for record in records)


def place_of(record: Record) -> str:
    """Return where a record begins, `path:line`."""
    return f"{record.path or '-'}:{record.line}"


def read_score(word: str) -> float:
    """Return a score.

    Raises:
        ValueError: It is no finite number. What it is follows a semicolon: errors alike up to it are counted.
    """
    if not _is_number(word):
        raise ValueError(f"the score is no number; it is {word[:_SHOWN_CHARS]!r}")
    return float(word)


def read_label(word: str) -> float:
    """Return a label, 1.0 or 0.0.

    Raises:
        ValueError: It is none; `GradedError` for another number.
    """
    label = word.strip().lower()
    if label not in _LABELS:
        reason = f"the label is not 0 or 1, true or false; it is {word[:_SHOWN_CHARS]!r}"
        raise GradedError(reason) if _is_number(word) else ValueError(reason)
    return _LABELS[label]


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word))
    except ValueError:
        return False


def _word(value: Json, where: str, name: str) -> str:
    if value is None or isinstance(value, list | dict):
        raise InputError(f"{where}: field {name!r} is neither text nor number")
    return value if isinstance(value, str) else str(value)


def _problem(error: InputError) -> Problem:
    where, _, reason = str(error).partition(": ")
    return Problem(where, reason, hint=error.hint)
