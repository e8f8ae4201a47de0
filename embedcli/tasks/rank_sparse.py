"""Chunks ranked by their sparse vectors: the words of a query that a learned sparse model weighs."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import ScorePart, TermPart
from embedcli.tasks.answers import Ranked, enough_hits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from embedcli.datatypes import Hit, Record, SparseVector
    from embedcli.index.postings import SparseScores
    from embedcli.tasks.open_index import IndexSettings, OpenIndex
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.sparse_vectors import SparseVectorizer


class SparseQuery(NamedTuple):
    """A query as a sparse vector.

    Attributes:
        vector: The words it is looked for by.
        terms: The words of the vocabulary by id.
        show_terms: How many terms of each hit are told; 0 for none.
    """

    vector: SparseVector
    terms: Sequence[str]
    show_terms: int = 0


class SparseSide(NamedTuple):
    """The queries of a search as sparse vectors, and what made them."""

    queries: Sequence[SparseQuery]
    vectorizer: SparseVectorizer


def sparse_queries(asked: Sequence[Record], vectorizer: SparseVectorizer, show_terms: int = 0) -> SparseSide:
    """Return the queries as sparse vectors; a blank one has no terms and finds nothing.

    Raises:
        UsageError: There is one query and it is blank.
    """
    from embedcli.tasks.search import check_queries

    check_queries(asked)
    vectors = vectorizer.text_vectors([record.text for record in asked])
    return SparseSide([SparseQuery(vector, vectorizer.terms, show_terms) for vector in vectors], vectorizer)


def sparse_scores(indexes: Sequence[OpenIndex], query: SparseQuery) -> list[SparseScores]:
    """Return the scores of all rows of each index."""
    return [index.postings.scores(query.vector) for index in indexes]


def rank_by_terms(indexes: Sequence[OpenIndex], query: SparseQuery, top_k: int) -> dict[int, list[Ranked]]:
    """Return the best rows of each index by the dot product of sparse vectors, exact, ties included.

    A chunk that has no term in common with the query is no hit.
    """
    ranked = {}
    for number, (index, scores) in enumerate(zip(indexes, sparse_scores(indexes, query), strict=True)):
        hits = scores.best(top_k, index.allowed)
        ranked[number] = [
            Ranked(hit.row, hit.score, None, {"sparse": ScorePart(hit.score, hit.score, 1.0)}) for hit in hits
        ]
    return with_terms(indexes, ranked, query)


def with_terms(
    indexes: Sequence[OpenIndex], ranked: Mapping[int, Sequence[Ranked]], query: SparseQuery
) -> dict[int, list[Ranked]]:
    """Return ranked rows with the terms that they share with the query, as many as are to be told."""
    if not query.show_terms:
        return {number: list(rows) for number, rows in ranked.items()}
    return {number: _with_terms(indexes[number], rows, query) for number, rows in ranked.items()}


def _with_terms(index: OpenIndex, ranked: Sequence[Ranked], query: SparseQuery) -> list[Ranked]:
    import numpy as np

    weights = index.postings.weights(query.vector.terms, [each.row for each in ranked])
    products = weights * query.vector.weights
    found = []
    for each, own, product in zip(ranked, weights, products, strict=True):
        order = np.argsort(-product, kind="stable")[: query.show_terms]
        terms = tuple(
            TermPart(
                query.terms[query.vector.terms[place]],
                float(str(query.vector.weights[place])),
                float(own[place]),
            )
            for place in order.tolist()
            if product[place] > 0
        )
        found.append(each._replace(terms=terms))
    return found


def search_by_terms(
    indexes: Sequence[Path],
    sparse: SparseSide,
    wanted: SearchSettings,
    settings: IndexSettings,
    *,
    on_notice: Callable[[str], None] = lambda _notice: None,
) -> list[list[Hit]]:
    """Return the best hits of some indexes for each query by sparse vectors alone.

    Args:
        indexes: Index files.
        sparse: From `sparse_queries`, with the sparse model that the indexes were built with.
        wanted: How many hits.
        settings: Which records may be found.
        on_notice: Told when an index was taken out of its folder.

    Raises:
        UsageError: An index holds no sparse vectors.
        IndexMismatchError: They are of another model.
        DamagedIndexError: What was read is not what was written.
    """
    from embedcli.tasks.ranking import merged_hits
    from embedcli.tasks.search_index import open_indexes

    with contextlib.ExitStack() as stack:
        opened = open_indexes(stack, indexes, settings, on_notice)
        for index in opened:
            index.check_sparse(sparse.vectorizer)

        def search(numbers: Sequence[int], count: int) -> list[list[Hit]]:
            return [
                merged_hits(opened, rank_by_terms(opened, sparse.queries[number], count), count)
                for number in numbers
            ]

        return enough_hits(search, len(sparse.queries), wanted)
