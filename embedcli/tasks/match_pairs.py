"""Pairs of texts that somebody else put together, and how alike they are: `match --pairs` and `--string`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.datatypes import Problem, Record
from embedcli.tasks.match import pair_scores, side_of
from embedcli.tasks.pipeline import batches, in_turn, overlapped
from embedcli.tasks.text_fields import text_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from embedcli.datatypes import Counts, OnProblem
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.match import MatchSettings
    from embedcli.tasks.vectorize import Vectorizer

PAIR_FIELDS: Final = ("left_text", "right_text")
"""Where the texts are if nobody says so: as `match` writes them."""

PAIR_COLUMNS: Final = ("1", "2")
"""Of a table."""


class PairScore(NamedTuple):
    """How alike two texts are.

    Attributes:
        score: As `match` has it: the blend, or the cosine.
        cosine: -1 to 1.
        characters: 0 to 1; None where characters were not looked at.
    """

    score: float
    cosine: float
    characters: float | None


class Pair(NamedTuple):
    """A record with the two texts in it."""

    record: Record
    left: str
    right: str


def read_pairs(
    records: Iterable[Record],
    inputs: Inputs,
    wanted: Sequence[str],
    counts: Counts,
    on_problem: OnProblem,
    field_hint: str = "--left-field and --right-field say where they are",
) -> Iterator[Pair]:
    """Yield records with their two texts; one without them is a problem, a blank one has empty ones.

    Args:
        records: Of those inputs.
        inputs: Say which of them are rows of a table.
        wanted: The two fields or columns; empty for the default.
        counts: Added to.
        on_problem: Told of what is no pair.
        field_hint: What to type where a record has no such fields.
    """
    for record in records:
        if not record.fields and record.is_blank:
            yield Pair(record, "", "")
            continue
        is_table = inputs.is_table(record)
        names = tuple(wanted) or (PAIR_COLUMNS if is_table else PAIR_FIELDS)
        there = text_names(names, tuple(record.fields)) if is_table else names
        texts = [record.fields.get(name, False) for name in there]
        if len(texts) == 2 and all(text is None or isinstance(text, str) for text in texts):
            yield Pair(record, texts[0] or "", texts[1] or "")
            continue
        counts.skipped += 1
        reason = "no pair: it has no fields"
        hint = "--format tsv --no-header takes two texts with a tab between them"
        if record.fields:
            reason = f"no pair of texts in {names[0]!r} and {names[1]!r}"
            hint = field_hint
        on_problem(Problem(f"{record.path or '-'}:{record.line}", reason, hint=hint))


def score_pairs(
    pairs: Iterable[Pair], vectorizer: Vectorizer, settings: MatchSettings
) -> Iterator[tuple[Pair, PairScore | None]]:
    """Yield pairs, in input order, with their scores; None where one of the texts is blank or has no vector.

    Args:
        pairs: From `read_pairs`.
        vectorizer: Makes the vectors, of unit length.
        settings: The weight of the characters.
    """
    import numpy as np

    def encode(batch: list[Pair]) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        texts = [*(pair.left for pair in batch), *(pair.right for pair in batch)]
        return vectorizer.record_vectors([Record("", text) for text in texts])

    staged = in_turn if vectorizer.is_lookup else overlapped
    for batch, vectors in staged(batches(pairs, lambda pair: pair.left + pair.right), encode):
        left = side_of(vectors[: len(batch)], (pair.left for pair in batch), settings)
        right = side_of(vectors[len(batch) :], (pair.right for pair in batch), settings)
        cosines = np.einsum("ij,ij->i", left.vectors, right.vectors).astype(np.float64)
        scores, characters = cosines, np.zeros(len(batch))
        if settings.blend:
            rows = np.arange(len(batch))
            scores, characters = pair_scores(left, rows, right, rows, cosines, settings.blend)
        known = np.logical_and(left.vectors.any(axis=1), right.vectors.any(axis=1)).tolist()
        for pair, is_known, *found in zip(batch, known, scores, cosines, characters, strict=True):
            score, cosine, alike = map(float, found)
            yield (
                pair,
                PairScore(score, cosine, alike if settings.blend else None) if is_known else None,
            )
