"""Queries against indexes: planned by cost, filtered before the best are chosen, compared exactly."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from embedcli.datatypes import Hit
from embedcli.errors import EmbedcliError, UsageError
from embedcli.index.file import open_for_reading
from embedcli.index.meta import check_identity
from embedcli.index.plan import Workload, choose_plan
from embedcli.index.reader import IndexReader
from embedcli.tasks.chunks import identity_of
from embedcli.tasks.graphs import can_have_graph, wished_graph
from embedcli.tasks.places import hit_path, is_out_of_place
from embedcli.tasks.select import Selection, select_rows

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from embedcli.datatypes import Vectors
    from embedcli.index.graph import RowGraph
    from embedcli.index.plan import Method, Plan
    from embedcli.index.reader import StoredChunk
    from embedcli.index.scan import Wanted
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.exact import Candidate


@dataclass(frozen=True, slots=True)
class IndexSettings:
    """How an index is searched.

    Attributes:
        selection: Which records may be found.
        method: The way to go; None for the cheapest.
        rescored: Rows compared exactly after a scan of sign bits; None for what the index says, or the
            default.
        ef_search: Candidates kept while walking a graph; None for what was tuned.
        jobs: Threads for many queries.
    """

    selection: Selection = field(default_factory=Selection)
    method: Method | None = None
    rescored: int | None = None
    ef_search: int | None = None
    jobs: int = 1


def search_indexes(
    indexes: Sequence[Path],
    queries: Vectors,
    vectorizer: Vectorizer,
    wanted: SearchSettings,
    settings: IndexSettings,
    *,
    on_notice: Callable[[str], None] = lambda _notice: None,
    on_plan: Callable[[Path, Workload, Plan], None] = lambda _index, _work, _plan: None,
) -> list[list[Hit]]:
    """Return the best hits of some indexes for each query, by cosine, computed from the stored vectors.

    Equal scores are ordered by index, path and place.

    Args:
        indexes: Index files, all of one model.
        queries: Shape (q, dim), float32; a query of zeros finds nothing.
        vectorizer: Made the queries, with the model that the indexes were built with.
        wanted: How many hits, and how close.
        settings: How to look.
        on_notice: Told when a graph cannot be used, or an index was taken out of its folder.
        on_plan: Told how each index is searched.

    Raises:
        IndexMismatchError: An index holds vectors of another model.
        DamagedIndexError: What was read is not what was written.
        MissingExtraError: A graph was asked for, and hnswlib is not installed.
        UsageError: A graph was asked for where it cannot help.
    """
    found: list[list[Hit]] = [[] for _ in queries]
    for index in indexes:
        with open_for_reading(index) as connection:
            search = _IndexSearch(IndexReader(index, connection), settings, on_notice)
            search.check_model(vectorizer)
            for hits, own in zip(found, search.run(queries, wanted, on_plan), strict=True):
                hits.extend(own)
    if len(indexes) > 1:
        found = [sorted(hits, key=lambda hit: -hit.score)[: wanted.top_k] for hits in found]
    return found


class _IndexSearch:
    """A search in one open index."""

    def __init__(
        self, reader: IndexReader, settings: IndexSettings, on_notice: Callable[[str], None]
    ) -> None:
        self._reader, self._settings, self._on_notice = reader, settings, on_notice

    def check_model(self, vectorizer: Vectorizer) -> None:
        """Refuse an index of another model; say if it is not where its files are.

        Raises:
            IndexMismatchError: It is of another model.
        """
        stored = self._reader.identity
        wanted = identity_of(vectorizer, stored.dtype, keep_text=stored.keep_text)
        # The query's own prompt may differ on each call; what the documents were given is settled.
        check_identity(self._reader.path, stored, replace(wanted, document_prompt=stored.document_prompt))
        if any(is_out_of_place(root, self._reader.path) for root in self._reader.roots()):
            self._on_notice(
                f"{self._reader.path}: taken out of its folder: paths are relative to where it was"
            )

    def run(
        self, queries: Vectors, wanted: SearchSettings, on_plan: Callable[[Path, Workload, Plan], None]
    ) -> list[list[Hit]]:
        """Return the hits for each query."""
        from embedcli.index.nearest import nearest
        from embedcli.index.scan import Wanted

        allowed = select_rows(self._reader, self._settings.selection)
        limits = Wanted(wanted.top_k, wanted.min_score, allowed)
        work, plan = self._plan(len(queries), limits)
        graph: RowGraph | None = None
        if plan.method == "graph":
            graph = self._graph(plan)
            if graph is None:
                work = replace(work, has_graph=False, may_build_graph=False)
                plan = choose_plan(work, rescored=self._rescored())
        on_plan(self._reader.path, work, plan)
        found = nearest(
            self._reader,
            queries,
            limits,
            plan,
            graph=graph,
            ef_search=self._settings.ef_search,
            jobs=self._settings.jobs,
        )
        return [self._hits(candidates, wanted.top_k) for candidates in found]

    def _plan(self, queries: int, limits: Wanted) -> tuple[Workload, Plan]:
        """Return what there is to do and how to do it."""
        identity, settings = self._reader.identity, self._settings
        may_use_graph = limits.allowed is None and identity.dtype != "binary"
        has_graph = False
        if may_use_graph and (settings.method == "graph" or (queries > 1 and settings.method is None)):
            from embedcli.index.graph import graph_path, graph_state

            state = graph_state(self._reader)
            has_graph = state is None
            if state is not None and state.cause != "missing":
                self._on_notice(f"{graph_path(self._reader.path)}: not used: {state.reason}")
        work = Workload(
            vectors=self._reader.counts()["vectors"],
            dim=identity.dim,
            dtype=identity.dtype,
            queries=queries,
            top_k=limits.top_k,
            allowed=None if limits.allowed is None else len(limits.allowed),
            has_graph=has_graph and can_have_graph(identity.dtype),
            may_build_graph=may_use_graph and queries > 1 and can_have_graph(identity.dtype),
            jobs=settings.jobs,
        )
        method = settings.method
        if method == "graph" and not may_use_graph:
            raise UsageError(
                f"{self._reader.path}: a graph answers no filtered queries, and no index of sign bits alone",
                hint="--plan auto",
            )
        return work, choose_plan(work, method=method, rescored=self._rescored())

    def _rescored(self) -> int | None:
        """Return how many rows are to be rescored: as said now, or as stored with the index."""
        stored = self._reader.query_defaults().get("rescored")
        return self._settings.rescored or (stored if isinstance(stored, int) and stored > 0 else None)

    def _graph(self, plan: Plan) -> RowGraph | None:
        """Return the index's graph, built now if the plan says so; None if it turns out to be damaged."""
        from embedcli.index.graph import graph_path, keep_graph, make_graph, open_graph
        from embedcli.index.hnsw_file import Unusable
        from embedcli.index.hnsw_format import GraphSettings
        from embedcli.index.lock import writer_lock

        if not plan.builds_graph:
            graph = open_graph(self._reader)
            if isinstance(graph, Unusable):
                self._on_notice(f"{graph_path(self._reader.path)}: not used: {graph.reason}")
                return None
            return graph
        wish = wished_graph(self._reader.query_defaults(), self._settings.jobs)
        made = make_graph(self._reader, wish or GraphSettings(jobs=self._settings.jobs))
        if wish is not None:
            # A folder that cannot be written to, or a build that is at work: the graph serves this run alone.
            with contextlib.suppress(EmbedcliError), writer_lock(self._reader.path):
                keep_graph(self._reader, made)
        return made

    def _hits(self, candidates: list[Candidate], top_k: int) -> list[Hit]:
        scores = {candidate.row: candidate.cosine for candidate in candidates}
        chunks = self._reader.chunks(list(scores))
        chunks.sort(key=lambda chunk: (-scores[chunk.id], chunk.root, chunk.path, chunk.line, chunk.start))
        return [self._hit(chunk, scores[chunk.id]) for chunk in chunks[:top_k]]

    def _hit(self, chunk: StoredChunk, cosine: float) -> Hit:
        return Hit(
            score=cosine,
            cosine=cosine,
            id=chunk.record,
            chunk=chunk.ordinal,
            path=hit_path(chunk.root, chunk.path, self._reader.path),
            line=chunk.line,
            end_line=chunk.end_line,
            text=chunk.text,
            fields=chunk.fields,
        )
