"""Queries against indexes: planned by cost, filtered before the best are chosen, ranked as asked."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import UsageError
from embedcli.index.file import open_for_reading
from embedcli.index.reader import IndexReader
from embedcli.tasks.answers import enough_hits
from embedcli.tasks.open_index import Limits, OpenIndex

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from embedcli.datatypes import Hit, Json, Record, Vectors
    from embedcli.index.meta import Identity
    from embedcli.index.plan import Plan, Workload
    from embedcli.tasks.open_index import IndexSettings
    from embedcli.tasks.rank_sparse import SparseSide
    from embedcli.tasks.ranking import Ranking
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer


class IndexesFacts(NamedTuple):
    """What indexes say of themselves.

    Attributes:
        identity: The first one's.
        stored: Its settings of queries.
        keeps_text: Whether any keeps its texts.
        holds_sparse: Whether all hold sparse vectors, of one model.
    """

    identity: Identity
    stored: dict[str, Json]
    keeps_text: bool
    holds_sparse: bool


def settings_of(indexes: Sequence[Path]) -> IndexesFacts:
    """Return what indexes that are to be searched together say of themselves."""
    found = []
    for path in indexes:
        with open_for_reading(path) as connection:
            reader = IndexReader(path, connection)
            found.append((reader.identity, reader.query_defaults()))
    models = {identity.sparse for identity, _ in found}
    return IndexesFacts(
        *found[0],
        any(identity.keep_text for identity, _ in found),
        len(models) == 1 and None not in models,
    )


def search_by_words(
    indexes: Sequence[Path],
    asked: Sequence[Record],
    wanted: SearchSettings,
    settings: IndexSettings,
    ranking: Ranking,
    *,
    on_notice: Callable[[str], None] = lambda _notice: None,
) -> list[list[Hit]]:
    """Return the best hits of some indexes for each query by BM25 alone: no model is needed.

    Args:
        indexes: Index files.
        asked: The queries.
        wanted: How many hits.
        settings: Which records may be found.
        ranking: What is looked for.
        on_notice: Told when an index was taken out of its folder.

    Raises:
        UsageError: An index keeps no texts, or the expression is not in FTS5's syntax.
        DamagedIndexError: What was read is not what was written.
    """
    from embedcli.tasks.search import check_queries

    check_queries(asked)
    if not any(record.text.strip() for record in asked) and ranking.expression is None:
        raise UsageError("the queries have no words, and --mode lexical looks for nothing else")
    with contextlib.ExitStack() as stack:
        opened = open_indexes(stack, indexes, settings, on_notice)
        return search_opened_by_words(opened, asked, wanted, ranking)


def search_opened_by_words(
    opened: Sequence[OpenIndex], asked: Sequence[Record], wanted: SearchSettings, ranking: Ranking
) -> list[list[Hit]]:
    """Return the best hits of open indexes for each query by BM25 alone; see `search_by_words`."""
    from embedcli.tasks.ranking import merged_hits, rank_by_words

    _check_texts(opened)

    def search(numbers: Sequence[int], count: int) -> list[list[Hit]]:
        return [
            merged_hits(opened, rank_by_words(opened, asked[number].text, ranking, count), count)
            for number in numbers
        ]

    return enough_hits(search, len(asked), wanted)


def search_indexes(
    indexes: Sequence[Path],
    asked: Sequence[Record],
    queries: Vectors,
    vectorizer: Vectorizer,
    wanted: SearchSettings,
    settings: IndexSettings,
    ranking: Ranking,
    *,
    sparse: SparseSide | None = None,
    on_notice: Callable[[str], None] = lambda _notice: None,
    on_plan: Callable[[Path, Workload, Plan], None] = lambda _index, _work, _plan: None,
    on_bound: Callable[[float], None] = lambda _cosine: None,
) -> list[list[Hit]]:
    """Return the best hits of some indexes for each query, cosines computed from the stored vectors.

    Equal scores are ordered by index, path and place.

    Args:
        indexes: Index files, all of one model.
        asked: The queries.
        queries: Their vectors, shape (q, dim), float32; one of zeros is near to nothing.
        vectorizer: Made them, with the model that the indexes were built with.
        wanted: How many hits, and how close.
        settings: How to look.
        ranking: What ranks: `dense` or `hybrid`.
        sparse: The queries as sparse vectors, where these are part of the hybrid score.
        on_notice: Told when a graph cannot be used, or an index was taken out of its folder.
        on_plan: Told how the vectors of each index are searched.
        on_bound: Told the lowest cosine of a hit, where `wanted` leaves it to the indexes.

    Raises:
        IndexMismatchError: An index holds vectors of another model.
        DamagedIndexError: What was read is not what was written.
        MissingExtraError: A graph was asked for, and hnswlib is not installed.
        UsageError: A graph was asked for where it cannot help; hybrid, and no index keeps texts; the model
            knows too few of the probes.
    """
    with contextlib.ExitStack() as stack:
        opened = open_indexes(stack, indexes, settings, on_notice)
        return search_opened(
            *(opened, asked, queries, vectorizer, wanted, ranking),
            sparse=sparse,
            on_plan=on_plan,
            on_bound=on_bound,
        )


def search_opened(
    opened: Sequence[OpenIndex],
    asked: Sequence[Record],
    queries: Vectors,
    vectorizer: Vectorizer,
    wanted: SearchSettings,
    ranking: Ranking,
    *,
    sparse: SparseSide | None = None,
    on_plan: Callable[[Path, Workload, Plan], None] = lambda _index, _work, _plan: None,
    on_bound: Callable[[float], None] = lambda _cosine: None,
) -> list[list[Hit]]:
    """Return the best hits of open indexes for each query; see `search_indexes`."""
    from embedcli.tasks.background import bound_of_indexes, probe_vectors
    from embedcli.tasks.ranking import POOL, SURE, merged_hits, rank_by_both, rank_by_cosine

    hybrid = ranking.mode == "hybrid"
    for index in opened:
        index.check_model(vectorizer)
        if sparse is not None:
            index.check_sparse(sparse.vectorizer)
    if hybrid and not any(index.keeps_text for index in opened):
        _check_texts(opened)
    if wanted.unrelated_ratio is not None:
        bound = bound_of_indexes(opened, probe_vectors(vectorizer), wanted.unrelated_ratio)
        wanted = replace(wanted, min_score=bound)
        on_bound(bound)
    tell = [on_plan]

    def search(numbers: Sequence[int], count: int) -> list[list[Hit]]:
        limits = Limits(count, wanted.min_score)
        if hybrid:
            limits = Limits(SURE if count <= POOL else count, pool=max(POOL, count))
        own = queries[list(numbers)]
        # Of the first look alone: a second one for more chunks goes the same way.
        say = tell.pop() if tell else lambda _index, _work, _plan: None
        nearest = [index.nearest(own, limits, say) for index in opened]
        found: list[list[Hit]] = []
        for place, number in enumerate(numbers):
            rows = [of_index[place] for of_index in nearest]
            ranked = (
                rank_by_both(
                    *(opened, rows, queries[number], asked[number].text),
                    *(ranking, count, wanted.min_score),
                    None if sparse is None else sparse.queries[number],
                )
                if hybrid
                else rank_by_cosine(rows)
            )
            found.append(merged_hits(opened, ranked, count))
        return found

    return enough_hits(search, len(asked), wanted)


def open_indexes(
    stack: contextlib.ExitStack,
    indexes: Sequence[Path],
    settings: IndexSettings,
    on_notice: Callable[[str], None],
) -> list[OpenIndex]:
    """Open indexes until a stack is closed, each at one commit."""
    return [
        OpenIndex(path, stack.enter_context(open_for_reading(path)), settings, on_notice) for path in indexes
    ]


def _check_texts(opened: Sequence[OpenIndex]) -> None:
    """Refuse to look for words where there are none.

    Raises:
        UsageError: An index keeps no texts.
    """
    for index in opened:
        if not index.keeps_text:
            raise UsageError(
                f"{index.path}: built with --no-text, it has no words to look for", hint="--mode dense"
            )
