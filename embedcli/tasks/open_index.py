"""An index while it is searched: its nearest rows, its full-text side, and the hits behind rows."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from embedcli.datatypes import Hit
from embedcli.errors import EmbedcliError, UsageError
from embedcli.index.meta import check_identity, check_sparse
from embedcli.index.plan import Workload, choose_plan
from embedcli.index.reader import IndexReader
from embedcli.tasks.chunks import identity_of, sparse_identity_of
from embedcli.tasks.graphs import can_have_graph, wished_graph
from embedcli.tasks.places import hit_path, is_out_of_place
from embedcli.tasks.select import Selection, select_rows

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vector, Vectors
    from embedcli.index.graph import RowGraph
    from embedcli.index.lexical import LexicalReader
    from embedcli.index.plan import Method, Plan
    from embedcli.index.postings import PostingsReader
    from embedcli.index.reader import StoredChunk
    from embedcli.tasks.answers import Ranked
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.exact import Candidate
    from embedcli.vectors.set_query import SetCandidate, SetQuery

    Rows = npt.NDArray[np.int64]


_FEW_ROWS = 4096
"""So many are read one by one where a filter lets no more through."""


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


class Limits(NamedTuple):
    """Which rows are near enough.

    Attributes:
        top_k: The hits that are wanted: so many are found as surely as the plan can.
        min_score: Lowest cosine, inclusive; None for no limit.
        pool: Rows that are returned where it is more than `top_k`.
    """

    top_k: int
    min_score: float | None = None
    pool: int = 0


class OpenIndex:
    """One index that is being searched."""

    def __init__(
        self,
        path: Path,
        connection: sqlite3.Connection,
        settings: IndexSettings,
        on_notice: Callable[[str], None],
    ) -> None:
        self.path, self._connection = path, connection
        self._reader = IndexReader(path, connection)
        self._settings, self._on_notice = settings, on_notice
        self.keeps_text = self._reader.identity.keep_text
        if any(is_out_of_place(root, path) for root in self._reader.roots()):
            on_notice(f"{path}: taken out of its folder: paths are relative to where it was")

    @property
    def chunks_a_record(self) -> float:
        """How many chunks a record has on average, at least 1."""
        counts = self._reader.counts()
        return max(1.0, counts["chunks"] / max(1, counts["records"]))

    def check_model(self, vectorizer: Vectorizer) -> None:
        """Refuse an index of another model.

        Raises:
            IndexMismatchError: It is of another model.
        """
        stored = self._reader.identity
        wanted = identity_of(vectorizer, stored.dtype, keep_text=stored.keep_text)
        # The query's own prompt may differ on each call; what the documents were given is settled.
        wanted = replace(wanted, document_prompt=stored.document_prompt, sparse=stored.sparse)
        check_identity(self.path, stored, wanted)

    def check_sparse(self, vectorizer: SparseVectorizer) -> None:
        """Refuse an index without sparse vectors, or with those of another model.

        Raises:
            UsageError: It has none.
            IndexMismatchError: They are of another model.
        """
        stored, wanted = self._reader.identity.sparse, sparse_identity_of(vectorizer)
        if stored is None:
            raise UsageError(
                f"{self.path}: holds no sparse vectors",
                hint="embedcli index build --sparse MODEL -i FILE PATH",
            )
        # Its prompt is that of a query.
        check_sparse(self.path, stored, replace(wanted, document_prompt=stored.document_prompt))

    @cached_property
    def postings(self) -> PostingsReader:
        """The sparse side of an index that has one; see `check_sparse`."""
        found = self._reader.postings()
        if found is None:
            raise UsageError(f"{self.path}: holds no sparse vectors")
        return found

    @cached_property
    def lexical(self) -> LexicalReader | None:
        """The full-text side; None for an index without texts."""
        from embedcli.index.lexical import LexicalReader

        if not self.keeps_text:
            return None
        chunks = self._reader.counts()["chunks"]
        return LexicalReader(self.path, self._connection, chunks, self._reader.known_rows)

    @cached_property
    def allowed(self) -> Rows | None:
        """The rows that may be found, ascending; None for all."""
        return select_rows(self._reader, self._settings.selection, self._on_notice)

    def nearest(
        self, queries: Vectors, limits: Limits, on_plan: Callable[[Path, Workload, Plan], None]
    ) -> list[list[Candidate]]:
        """Return the nearest rows to each query, best first, those that tie with the last one included."""
        from embedcli.index.nearest import nearest
        from embedcli.index.scan import Wanted

        wanted = Wanted(max(limits.top_k, limits.pool), limits.min_score, self.allowed)
        work, plan = self._plan(len(queries), limits.top_k)
        graph: RowGraph | None = None
        if plan.method == "graph":
            graph = self._graph(plan)
            if graph is None:
                work = replace(work, has_graph=False, may_build_graph=False)
                plan = choose_plan(work, rescored=self._rescored())
        on_plan(self.path, work, plan)
        return nearest(
            self._reader,
            queries,
            wanted,
            plan,
            graph=graph,
            ef_search=self._settings.ef_search,
            jobs=self._settings.jobs,
        )

    def best_of_set(self, query: SetQuery, top_k: int, min_score: float | None) -> list[SetCandidate]:
        """Return the rows that answer a set of vectors best, those that tie with the last one included."""
        from embedcli.index.scan import left_out
        from embedcli.vectors.set_query import SetTop

        top = SetTop(query, top_k, min_score)
        if self.allowed is not None and len(self.allowed) <= _FEW_ROWS:
            if len(self.allowed):
                top.add(self._reader.vectors(self.allowed), self.allowed)
            return top.result(ties=True)
        for first, vectors, dead in self._reader.blocks():
            top.add(vectors, first, left_out(first, len(vectors), dead, self.allowed))
        return top.result(ties=True)

    def sample(self, count: int) -> tuple[Vectors, int]:
        """Return some of the rows that may be found, the same ones each time, and how many there are in all.

        Args:
            count: Most rows.

        Returns:
            Shape (n, dim), float32, of any length; and a number of at least n.
        """
        from embedcli.vectors.background import spread_rows

        rows = self._reader.live_rows() if self.allowed is None else self.allowed
        return self._reader.vectors(spread_rows(rows, count)), len(rows)

    def cosines(self, query: Vector, rows: Sequence[int]) -> dict[int, float]:
        """Return the cosine of each row to a query, 0 for a query of zeros."""
        import numpy as np

        from embedcli.index.scan import Wanted, best_of_rows

        if not len(rows) or not query.any():
            return dict.fromkeys(rows, 0.0)
        found = best_of_rows(
            np.array(sorted(rows), dtype=np.int64), query, Wanted(len(rows)), self._reader.vectors
        )
        return {candidate.row: candidate.cosine for candidate in found}

    def hits(self, ranked: Sequence[Ranked], top_k: int) -> list[Hit]:
        """Return the best of some rows as hits; equal scores are ordered by path and place."""
        by_row = {each.row: each for each in ranked}
        chunks = self._reader.chunks(list(by_row))
        chunks.sort(
            key=lambda chunk: (-by_row[chunk.id].score, chunk.root, chunk.path, chunk.line, chunk.start)
        )
        paths = {
            (root, path): hit_path(root, path, self.path)
            for root, path in {(chunk.root, chunk.path) for chunk in chunks[:top_k]}
        }
        return [self._hit(chunk, by_row[chunk.id], paths[chunk.root, chunk.path]) for chunk in chunks[:top_k]]

    def _plan(self, queries: int, top_k: int) -> tuple[Workload, Plan]:
        """Return what there is to do and how to do it."""
        identity, settings = self._reader.identity, self._settings
        may_use_graph = self.allowed is None and identity.dtype != "binary"
        has_graph = False
        if may_use_graph and (settings.method == "graph" or (queries > 1 and settings.method is None)):
            from embedcli.index.graph import graph_path, graph_state

            state = graph_state(self._reader)
            has_graph = state is None
            if state is not None and state.cause != "missing":
                self._on_notice(f"{graph_path(self.path)}: not used: {state.reason}")
        work = Workload(
            vectors=self._reader.counts()["vectors"],
            dim=identity.dim,
            dtype=identity.dtype,
            queries=queries,
            top_k=top_k,
            allowed=None if self.allowed is None else len(self.allowed),
            has_graph=has_graph and can_have_graph(identity.dtype),
            may_build_graph=may_use_graph and queries > 1 and can_have_graph(identity.dtype),
            jobs=settings.jobs,
        )
        method = settings.method
        if method == "graph" and not may_use_graph:
            raise UsageError(
                f"{self.path}: a graph answers no filtered queries, and no index of sign bits alone",
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
                self._on_notice(f"{graph_path(self.path)}: not used: {graph.reason}")
                return None
            return graph
        wish = wished_graph(self._reader.query_defaults(), self._settings.jobs)
        made = make_graph(self._reader, wish or GraphSettings(jobs=self._settings.jobs))
        if wish is not None:
            # A folder that cannot be written to, or a build that is at work: the graph serves this run alone.
            with contextlib.suppress(EmbedcliError), writer_lock(self.path):
                keep_graph(self._reader, made)
        return made

    def _hit(self, chunk: StoredChunk, ranked: Ranked, path: str | None) -> Hit:
        return Hit(
            score=ranked.score,
            cosine=ranked.cosine,
            id=chunk.record,
            chunk=chunk.ordinal,
            path=path,
            line=chunk.line,
            end_line=chunk.end_line,
            text=chunk.text,
            fields=chunk.fields,
            parts=ranked.parts,
            start=chunk.start,
            end=chunk.end,
            terms=ranked.terms,
            whole_file=chunk.record == os.fsdecode(chunk.path or os.path.basename(chunk.root)),  # noqa: PTH119  (bytes)
        )
