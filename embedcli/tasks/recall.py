"""How much of the exact answer the faster ways find, on an index's own vectors."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.index.file import open_for_reading, open_for_writing, stored_identity
from embedcli.index.nearest import nearest
from embedcli.index.plan import Plan
from embedcli.index.reader import IndexReader
from embedcli.index.scan import Wanted
from embedcli.index.writer import IndexWriter

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.datatypes import Vectors
    from embedcli.index.graph import RowGraph
    from embedcli.index.plan import Method
    from embedcli.vectors.exact import Candidate

RESCORED_TRIED = (25, 50, 100, 200, 400, 800, 1600)
EF_TRIED = (16, 32, 64, 128, 256, 512)

_SEED = 0


@dataclass(frozen=True, slots=True)
class Measured:
    """One way to search, measured.

    Attributes:
        method: `exact`, `signs` or `graph`.
        setting: Rows rescored, or `ef_search`; 0 for `exact`.
        recall: The share of the exact answer that was found, 0 to 1.
        seconds: CPU and waiting time for each query, loading not counted.
    """

    method: Method
    setting: int
    recall: float
    seconds: float


def tune(
    index: Path,
    target: float,
    *,
    top_k: int = 10,
    sample: int = 100,
    jobs: int = 1,
    save: bool = False,
    lock_timeout_seconds: float = 0.0,
) -> tuple[list[Measured], list[Measured]]:
    """Measure every way to search an index and pick for each the smallest setting that reaches a target.

    Args:
        index: The index file.
        target: Recall@k wanted, 0 to 1.
        top_k: The k.
        sample: How many of the index's own vectors are the queries.
        jobs: Threads.
        save: Store what was picked: the number of rescored rows in the index, `ef_search` with the graph.
        lock_timeout_seconds: How long to wait for another writer, when saving.

    Returns:
        All that was measured, and those of it that were picked.

    Raises:
        IndexFileError: There is no index, or it cannot be read.
    """
    from embedcli.index.graph import graph_path, open_graph
    from embedcli.index.hnsw_file import Unusable, update_ef_search

    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        graph = open_graph(reader)
        measured = measure_recall(
            reader, None if isinstance(graph, Unusable) else graph, top_k=top_k, sample=sample, jobs=jobs
        )
    ways: tuple[Method, ...] = ("signs", "graph")
    picked = [best for way in ways if (best := choose_setting(measured, way, target)) is not None]
    if save and picked:
        identity = stored_identity(index)
        with open_for_writing(index, identity, lock_timeout_seconds=lock_timeout_seconds) as connection:
            writer = IndexWriter(index, connection, identity, may_shrink=False)
            for best in picked:
                if best.method == "graph":
                    update_ef_search(graph_path(index), best.setting)
                else:
                    defaults = IndexReader(index, connection).query_defaults()
                    writer.put_query_defaults({**defaults, "rescored": best.setting})
            writer.commit()
    return measured, picked


def measure_recall(
    reader: IndexReader, graph: RowGraph | None, *, top_k: int = 10, sample: int = 100, jobs: int = 1
) -> list[Measured]:
    """Return recall@k of each way and setting, exact search first.

    The queries are vectors of the index itself, chosen at random and the same each time; the query's own row
    does not count. A row that is as near as the k-th exact one counts as found.

    Args:
        reader: The index.
        graph: Its graph, if it has one.
        top_k: The k.
        sample: How many queries.
        jobs: Threads.
    """
    import numpy as np

    live = np.concatenate(
        [
            np.arange(first, first + len(words[0])) if dead is None else np.flatnonzero(~dead) + first
            for first, words, dead in reader.signs()
        ]
        or [np.empty(0, dtype=np.int64)]
    )
    if not len(live):
        return []
    rows = np.sort(np.random.default_rng(_SEED).choice(live, min(sample, len(live)), replace=False))
    queries = reader.vectors(rows)
    exact, seconds = _timed(reader, queries, top_k, Plan("exact", 0, {}), None, jobs)
    found = [Measured("exact", 0, 1.0, seconds)]
    for depth in RESCORED_TRIED:
        answers, seconds = _timed(reader, queries, top_k, Plan("signs", depth, {}), None, jobs)
        found.append(Measured("signs", depth, _recall(exact, answers, rows.tolist(), top_k), seconds))
    for ef in EF_TRIED if graph is not None else ():
        answers, seconds = _timed(reader, queries, top_k, Plan("graph", 0, {}), graph, jobs, ef)
        found.append(Measured("graph", ef, _recall(exact, answers, rows.tolist(), top_k), seconds))
    return found


def choose_setting(measured: Sequence[Measured], method: Method, target: float) -> Measured | None:
    """Return the smallest setting of a method that reaches the target; None if none does."""
    good = [entry for entry in measured if entry.method == method and entry.recall >= target]
    return min(good, key=lambda entry: entry.setting, default=None)


def _timed(
    reader: IndexReader,
    queries: Vectors,
    top_k: int,
    plan: Plan,
    graph: RowGraph | None,
    jobs: int,
    ef: int | None = None,
) -> tuple[list[list[Candidate]], float]:
    start = time.perf_counter()
    # One more: each query finds itself.
    answers = nearest(reader, queries, Wanted(top_k + 1), plan, graph=graph, ef_search=ef, jobs=jobs)
    return answers, (time.perf_counter() - start) / len(queries)


def _recall(
    exact: Sequence[Sequence[Candidate]],
    answers: Sequence[Sequence[Candidate]],
    rows: Sequence[int],
    top_k: int,
) -> float:
    """Return the mean share of the k nearest, ties counted, that an answer holds."""
    shares = []
    for wanted, found, row in zip(exact, answers, rows, strict=True):
        others = [entry.cosine for entry in wanted if entry.row != row][:top_k]
        if not others:
            continue
        got = sum(entry.cosine >= others[-1] for entry in found if entry.row != row)
        shares.append(min(got, len(others)) / len(others))
    return sum(shares) / len(shares) if shares else 1.0
