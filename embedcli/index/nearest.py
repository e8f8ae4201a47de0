"""The rows of an index that are nearest to queries, found as a plan says and compared exactly in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.index.scan import (
    best_of_blocks,
    best_of_rows,
    candidates_by_product,
    candidates_by_signs,
    left_out,
)
from embedcli.index.segments import SignBlock

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.index.graph import RowGraph
    from embedcli.index.plan import Plan
    from embedcli.index.reader import IndexReader
    from embedcli.index.scan import Wanted
    from embedcli.vectors.exact import Candidate

    Rows = npt.NDArray[np.int64]

_QUERIES_BY_PRODUCT = 1024
"""Queries that are compared together with each block: 16 MiB of cosines."""

_QUERIES_BY_ROWS = 64
"""Queries whose candidates are read together: 50 MB of vectors at 512 candidates of 384 numbers."""


def nearest(
    reader: IndexReader,
    queries: Vectors,
    wanted: Wanted,
    plan: Plan,
    *,
    graph: RowGraph | None = None,
    ef_search: int | None = None,
    jobs: int = 1,
) -> list[list[Candidate]]:
    """Return the best rows for each query, best first, those that tie with the last one included.

    Args:
        reader: The index.
        queries: Shape (q, dim), float32.
        wanted: How many, how close, and which rows may be found.
        plan: `exact` and `rows` give the exact answer; the others the exact order of what they find.
        graph: The index's graph, for the plan `graph`.
        ef_search: Candidates kept while walking the graph; None for what was tuned.
        jobs: Threads for many queries.

    Raises:
        DamagedIndexError: What was read is not what was written.
    """
    if wanted.allowed is not None and not len(wanted.allowed):
        return [[] for _ in queries]
    if plan.method == "rows" and wanted.allowed is not None:
        return [best_of_rows(wanted.allowed, query, wanted, reader.vectors) for query in queries]
    if plan.method == "signs":
        return _by_signs(reader, queries, wanted, plan.rescored)
    if plan.method == "graph" and graph is not None and wanted.allowed is None:
        return _by_graph(reader, queries, wanted, graph, ef_search, jobs)
    return _by_product(reader, queries, wanted, jobs)


def _by_product(reader: IndexReader, queries: Vectors, wanted: Wanted, jobs: int) -> list[list[Candidate]]:
    if len(queries) == 1:
        return [best_of_blocks(reader.blocks(), queries[0], wanted)]
    found: list[list[Candidate]] = []
    for start in range(0, len(queries), _QUERIES_BY_PRODUCT):
        part = queries[start : start + _QUERIES_BY_PRODUCT]
        found += best_of_each(
            reader, part, candidates_by_product(reader.blocks(), part, wanted, jobs), wanted
        )
    return found


def _by_signs(reader: IndexReader, queries: Vectors, wanted: Wanted, rescored: int) -> list[list[Candidate]]:
    blocks: Iterable[SignBlock] = (
        SignBlock(first, words, left_out(first, words.shape[1], dead, wanted.allowed))
        for first, words, dead in reader.signs()
    )
    if len(queries) > 1:
        blocks = list(blocks)
    found: list[list[Candidate]] = []
    for start in range(0, len(queries), _QUERIES_BY_ROWS):
        part = queries[start : start + _QUERIES_BY_ROWS]
        found += best_of_each(
            reader, part, [candidates_by_signs(blocks, query, rescored) for query in part], wanted
        )
    return found


def _by_graph(
    reader: IndexReader, queries: Vectors, wanted: Wanted, graph: RowGraph, ef_search: int | None, jobs: int
) -> list[list[Candidate]]:
    found: list[list[Candidate]] = []
    for start in range(0, len(queries), _QUERIES_BY_ROWS):
        part = queries[start : start + _QUERIES_BY_ROWS]
        found += best_of_each(
            reader, part, graph.candidates(part, wanted.top_k, ef=ef_search, jobs=jobs), wanted
        )
    if wanted.min_score is None:
        # No links may lead to some rows; k hits are there whenever k rows are.
        live = min(wanted.top_k, reader.counts()["chunks"])
        few = [place for place, best in enumerate(found) if len(best) < live and queries[place].any()]
        for place, best in zip(few, _by_product(reader, queries[few], wanted, jobs), strict=True):
            found[place] = best
    return found


def best_of_each(
    reader: IndexReader, queries: Vectors, rows: list[Rows], wanted: Wanted
) -> list[list[Candidate]]:
    """Return the best of each query's own rows; a vector that several queries want is read once.

    Args:
        reader: The index.
        queries: Shape (q, dim).
        rows: For each query, ascending.
        wanted: How many, and how close.
    """
    if len(queries) == 1:
        return [best_of_rows(rows[0], queries[0], wanted, reader.vectors)]
    all_rows = np.unique(np.concatenate(rows))
    vectors = reader.vectors(all_rows)
    return [
        best_of_rows(own, query, wanted, lambda part: vectors[np.searchsorted(all_rows, part)])
        for own, query in zip(rows, queries, strict=True)
    ]
