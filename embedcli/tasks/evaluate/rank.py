"""Each text has to find its own other half among all others: pairs, or first sentences and their texts.

It needs no judgements, and so says something about the user's own data; see `tasks.known_item` for what it
does not say.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.errors import InputError
from embedcli.reports import Evaluation
from embedcli.tasks.evaluate.measured import mean_measurements
from embedcli.tasks.known_item import MAX_ITEMS, find_items, split_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json, Record, Vectors
    from embedcli.tasks.match_pairs import Pair
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.ranking_measures import RankingMetric

    Rows = npt.NDArray[np.int64]

DEFAULT_METRICS: Final = ("MRR@10", "hit@1", "hit@3")
_TEXTS_AT_A_TIME: Final = 512


class Halves(NamedTuple):
    """What is asked, and among what.

    Attributes:
        items: Ids of the queries, all different.
        queries: Their texts.
        candidates: All different texts that may be found.
        own: For each query the number of its own candidate.
        also_right: Numbers of further candidates that belong to the same text as a query, by its number.
        unit: What an item is.
    """

    items: tuple[str, ...]
    queries: list[str]
    candidates: list[str]
    own: Rows
    also_right: Mapping[int, Sequence[int]]
    unit: str


def halves_of_texts(
    records: Iterable[Record], at_most: int | None, on_notice: Callable[[str], None]
) -> Halves:
    """Return texts in two: the first sentence has to find the rest. O(texts) in memory.

    Args:
        records: With the texts.
        at_most: Most of them that are asked for, and found; None for `known_item.MAX_ITEMS`.
        on_notice: Told how many are left out, and why.

    Raises:
        InputError: Fewer than two can be divided.
    """
    import numpy as np

    texts = [(record.id, record.text) for record in records if not record.is_blank]
    every = find_items((text for _, text in texts), len(texts))
    if len(every) < 2:
        raise InputError(
            f"{len(every)} of {len(texts)} texts have a first sentence and a rest, of three words each",
            hint="--pairs A,B takes pairs of texts; --field and --column say where the text is",
        )
    if len(every) < len(texts):
        left = len(texts) - len(every)
        on_notice(
            f"{left} of {len(texts)} texts have no first sentence and rest of their own, and are left out"
        )
    items = find_items((text for _, text in texts), at_most or MAX_ITEMS)
    if len(items) < len(every):
        on_notice(f"{len(items)} of them are asked for, spread evenly; --max-items says how many")
    names: dict[Any, str] = {}
    for name, text in texts:
        names.setdefault(split_item(text), name)
    return Halves(
        _different(names[item] for item in items),
        [item.query for item in items],
        [item.document for item in items],
        np.arange(len(items)),
        {},
        "texts",
    )


def halves_of_pairs(pairs: Iterable[Pair], at_most: int | None, on_notice: Callable[[str], None]) -> Halves:
    """Return pairs: the first text has to find the second one among all different second ones.

    A second text that the same first one has elsewhere is no wrong answer. O(pairs) in memory.

    Args:
        pairs: Those with a blank text are left out.
        at_most: Most that are asked for, spread evenly; all second texts may be found. None for all.
        on_notice: Told how many are left out.

    Raises:
        InputError: There are fewer than two second texts.
    """
    import numpy as np

    every = list(pairs)
    whole = [pair for pair in every if pair.left.strip() and pair.right.strip()]
    if len(whole) < len(every):
        on_notice(f"{len(every) - len(whole)} of {len(every)} pairs have a blank text and are left out")
    numbers: dict[str, int] = {}
    right: dict[str, set[int]] = {}
    for pair in whole:
        right.setdefault(pair.left, set()).add(numbers.setdefault(pair.right, len(numbers)))
    if len(numbers) < 2:
        raise InputError(
            f"{len(whole)} pairs with {len(numbers)} different second texts: there is nothing to rank"
        )
    asked = whole
    if at_most is not None and len(whole) > at_most:
        asked = [whole[place * len(whole) // at_most] for place in range(at_most)]
        on_notice(f"{at_most} of {len(whole)} pairs are asked for, spread evenly, among all second texts")
    return Halves(
        _different(pair.record.id for pair in asked),
        [pair.left for pair in asked],
        list(numbers),
        np.array([numbers[pair.right] for pair in asked]),
        {row: sorted(right[pair.left]) for row, pair in enumerate(asked) if len(right[pair.left]) > 1},
        "pairs",
    )


def _different(names: Iterable[str]) -> tuple[str, ...]:
    """Return ids, those of a second file that are taken with a number."""
    found: dict[str, None] = {}
    for name in names:
        own, again = name, 1
        while own in found:
            again += 1
            own = f"{name}_{again}"
        found[own] = None
    return tuple(found)


def ranks_of_model(
    halves: Halves,
    documents: Vectorizer,
    query_prompt: str | None,
    jobs: int,
    on_progress: Callable[[int, int], None],
) -> Rows:
    """Return the rank of each query's own candidate by cosine, from 1; each text in its role.

    Args:
        halves: What is asked, and among what.
        documents: Makes the candidates' vectors, of unit length.
        query_prompt: Goes before queries instead of the model's own.
        jobs: Threads.
        on_progress: Told how many of how many texts have a vector.
    """
    from embedcli.vectors.own_ranks import own_ranks

    queries = documents.with_settings(replace(documents.settings, role="query", prompt=query_prompt))
    total = len(halves.queries) + len(halves.candidates)
    asked = _vectors(queries, halves.queries, lambda done: on_progress(done, total))
    there = _vectors(
        documents, halves.candidates, lambda done: on_progress(len(halves.queries) + done, total)
    )
    return own_ranks(asked, there, halves.own, halves.also_right, jobs)


def _vectors(vectorizer: Vectorizer, texts: Sequence[str], on_progress: Callable[[int], None]) -> Vectors:
    import numpy as np

    parts = []
    for start in range(0, len(texts), _TEXTS_AT_A_TIME):
        parts.append(vectorizer.text_vectors(texts[start : start + _TEXTS_AT_A_TIME]))
        on_progress(min(start + _TEXTS_AT_A_TIME, len(texts)))
    return np.concatenate(parts)


def ranks_of_words(halves: Halves, jobs: int) -> Rows:
    """Return the same by words alone; how rare a word is, is counted over the candidates."""
    from embedcli.tasks.evaluate.bag_of_words import TfidfVectors
    from embedcli.vectors.own_ranks import own_ranks

    words = TfidfVectors(halves.candidates)
    asked, there = words.vectors(halves.queries), words.vectors(halves.candidates)
    return own_ranks(asked, there, halves.own, halves.also_right, jobs)


def rank_evaluation(
    ranks: Mapping[str, Rows],
    halves: Halves,
    metrics: Sequence[RankingMetric],
    seed: int,
    about: Mapping[str, Json],
) -> Evaluation:
    """Return what each system reaches; by chance, each rank is as likely.

    Args:
        ranks: By system, in the order of the table, shape (queries,).
        halves: What was asked.
        metrics: In the order of the table.
        seed: Of the resamples.
        about: Goes with the result.
    """
    import numpy as np

    from embedcli.vectors.ranking_measures import own_rank_values

    measurements = []
    for system, own in ranks.items():
        values = {metric.name: own_rank_values(metric, own) for metric in metrics}
        measurements += mean_measurements(system, values, seed)
    every_rank = np.arange(1, len(halves.candidates) + 1)
    chance = {metric.name: float(own_rank_values(metric, every_rank).mean()) for metric in metrics}
    return Evaluation("rank", halves.items, halves.unit, tuple(measurements), chance, about)
