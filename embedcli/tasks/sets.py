"""Questions made of examples: like these, and like those, and not like these."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import ScorePart
from embedcli.errors import UsageError
from embedcli.tasks.answers import Ranked

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from embedcli.datatypes import Hit, Record, Vector
    from embedcli.tasks.open_index import IndexSettings
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.set_query import SetCandidate, SetQuery


class Examples(NamedTuple):
    """Some texts that stand for one thing.

    Attributes:
        name: As it was typed, for messages.
        records: At least one.
        is_question: Whether they were typed as a question; else they are documents.
    """

    name: str
    records: tuple[Record, ...]
    is_question: bool


class SetQuestion(NamedTuple):
    """What is wanted and what is not; see `vectors.set_query.SetQuery`."""

    like: tuple[Examples, ...] = ()
    also: tuple[Examples, ...] = ()
    without: tuple[Examples, ...] = ()


def set_query(question: SetQuestion, queries: Vectorizer, documents: Vectorizer) -> SetQuery:
    """Return the question as vectors: each part is the mean of its examples at unit length.

    Args:
        question: At least one part is wanted.
        queries: The encoder in the role of a query.
        documents: The same in the role of a document.

    Raises:
        UsageError: Nothing is wanted, or a part has no text.
        VectorError: A vector that came with an example does not fit.
    """
    from embedcli.vectors.set_query import SetQuery

    if not question.like and not question.also:
        raise UsageError("--not says only what is not wanted", hint="QUERY, --like or --and say what is")

    def mean(examples: Examples) -> Vector:
        found = (queries if examples.is_question else documents).record_vectors(examples.records)
        vector: Vector = found.mean(axis=0)
        if not vector.any():
            raise UsageError(f"{examples.name!r} has no words to be like")
        return vector

    return SetQuery(*(tuple(map(mean, part)) for part in question))


def _parts(query: SetQuery, found: SetCandidate) -> dict[str, ScorePart]:
    """Return what a score is made of: each vector's cosine, and its share of the score.

    The wanted parts share their geometric mean alike; of alternatives, and of what is not wanted, the nearest
    counts alone.
    """
    from embedcli.vectors.set_query import NOT_WEIGHT

    first, last = len(query.any_of), len(query.any_of) + len(query.all_of)
    cosines = found.cosines
    unwanted = max((0.0, *cosines[last:]))
    share = (found.score + NOT_WEIGHT * unwanted) / (bool(first) + len(query.all_of))
    parts: dict[str, ScorePart] = {}
    for name, own, nearest, shared, weight in (
        ("like", cosines[:first], max(cosines[:first], default=0), share, 1.0),
        ("and", cosines[first:last], None, share, 1.0),
        ("not", cosines[last:], max(cosines[last:], default=0), unwanted, -NOT_WEIGHT),
    ):
        counted = False
        for number, cosine in enumerate(own, start=1):
            counts = nearest is None or (cosine == nearest and not counted)
            counted |= counts
            key = name if len(own) == 1 else f"{name}-{number}"
            parts[key] = ScorePart(cosine, shared if counts else 0.0, weight)
    return parts


def ranked_by_set(query: SetQuery, found: SetCandidate) -> Ranked:
    """Return what ranks a row; its cosine is to the nearest of the alternatives, else to the first part."""
    nearest = max(found.cosines[: len(query.any_of)] or found.cosines[:1])
    return Ranked(found.row, found.score, nearest, _parts(query, found))


def search_sets(
    indexes: Sequence[Path],
    query: SetQuery,
    vectorizer: Vectorizer,
    wanted: SearchSettings,
    settings: IndexSettings,
    *,
    on_notice: Callable[[str], None] = lambda _notice: None,
) -> list[Hit]:
    """Return the best hits of some indexes. Every vector is compared: O(rows x dim x vectors of the query).

    Args:
        indexes: Index files, all of one model.
        query: From `set_query`.
        vectorizer: Made it, with the model that the indexes were built with.
        wanted: How many hits, and what they must score.
        settings: Which records may be found.
        on_notice: Told when an index was taken out of its folder.

    Raises:
        IndexMismatchError: An index holds vectors of another model.
        DamagedIndexError: What was read is not what was written.
    """
    from embedcli.tasks.answers import enough_hits
    from embedcli.tasks.ranking import merged_hits
    from embedcli.tasks.search_index import open_indexes

    with contextlib.ExitStack() as stack:
        opened = open_indexes(stack, indexes, settings, on_notice)
        for index in opened:
            index.check_model(vectorizer)

        def search(_numbers: Sequence[int], count: int) -> list[list[Hit]]:
            ranked = {
                number: [
                    ranked_by_set(query, found) for found in index.best_of_set(query, count, wanted.min_score)
                ]
                for number, index in enumerate(opened)
            }
            return [merged_hits(opened, ranked, count)]

        return enough_hits(search, 1, wanted)[0]
