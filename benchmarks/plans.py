"""The ways to search an index, side by side: one query a process, many queries a process, and filters.

    python benchmarks/synthetic.py --texts FILE --rows 1000000 --strength 0.7 --out 1m.emb
    python benchmarks/plans.py --index 1m.emb --queries FILE [--runs 7] [--no-graph] [--peers] [--calibrate]

One query: whole processes in turn, CPU seconds beside those of importing what any such program imports.
Many queries: in this process, reading and loading counted; recall@10 against exact. `--peers` adds hnswlib
and usearch driven directly, on the same vectors as float32 in memory, with the parameters of ours.
`--calibrate` prints the constants of `embedcli/index/plan.py` as this machine has them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

import embedcli
from embedcli.encode.processors import usable_cpus
from embedcli.index.file import open_for_reading
from embedcli.index.graph import graph_state, make_graph, open_graph
from embedcli.index.hnsw_file import Unusable
from embedcli.index.hnsw_format import GraphSettings
from embedcli.index.nearest import nearest
from embedcli.index.plan import RESCORED, Plan, Workload, choose_plan
from embedcli.index.reader import IndexReader
from embedcli.index.scan import Wanted
from embedcli.tasks.select import Selection, select_rows
from embedcli.where import parse_where

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.datatypes import Vectors

K = 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--index", type=Path, required=True, action="append")
    parser.add_argument("--queries", type=Path, required=True, help="one a line")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument(
        "--no-graph", action="store_true", help="leave the graph out, which may have to be built"
    )
    parser.add_argument("--peers", action="store_true")
    parser.add_argument(
        "--filters", action="store_true", help="queries of which --where lets little or much through"
    )
    parser.add_argument("--calibrate", action="store_true")
    given = parser.parse_args()
    texts = given.queries.read_text().splitlines()
    # First: the peak memory of a process is never below that of the one that started it.
    for index in given.index if given.runs and not (given.filters or given.calibrate) else ():
        one_query(index, texts, given.runs, with_graph=not given.no_graph)
    with embedcli.load_model() as model:
        queries = model.encode(texts, role="query")
    for index in given.index:
        if given.calibrate:
            calibrate(index, queries)
            continue
        if given.filters:
            filtered(index, queries[:100])
            continue
        many_queries(index, queries, with_graph=not given.no_graph, with_peers=given.peers)


def spend(command: list[str]) -> tuple[float, float, bytes]:
    """CPU seconds, peak MiB and output of a process."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    out = process.stdout.read()
    _, _, usage = os.wait4(process.pid, 0)
    process.stdout.close()
    process.returncode = 0
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, out


def one_query(index: Path, texts: list[str], runs: int, *, with_graph: bool) -> None:
    """Whole processes with one query each, in turn."""
    floor = [sys.executable, "-c", "import typer, numpy, onnxruntime, tokenizers"]
    ways = ["auto", "exact", *(["graph"] if with_graph else [])]
    spent: dict[str, list[tuple[float, float, bytes]]] = {"floor": [], **{way: [] for way in ways}}
    for run in range(runs + 1):
        text = texts[run * len(texts) // (runs + 1)]
        spent["floor"].append(spend(floor))
        for way in ways:
            command = [
                sys.executable,
                "-m",
                "embedcli",
                "search",
                text,
                "-i",
                str(index),
                "--mode",
                "dense",
                "--plan",
                way,
                "--json",
            ]
            spent[way].append(spend(command))
    print(f"\n{index.name}: one query a process, median of {runs}")
    base = statistics.median(cpu for cpu, _, _ in spent["floor"][1:])
    print(f"  imports alone    {1000 * base:6.0f} ms CPU")
    for way in ways:
        cpu = statistics.median(cpu for cpu, _, _ in spent[way][1:])
        peak = max(peak for _, peak, _ in spent[way])
        print(f"  {way:8} {1000 * cpu:14.0f} ms CPU, {cpu / base:5.2f} of the imports, {peak:5.0f} MiB")


def many_queries(index: Path, queries: Vectors, *, with_graph: bool, with_peers: bool) -> None:
    """All queries in this process, by each way."""
    print(f"\n{index.name}: {len(queries)} queries in one process, {usable_cpus()} threads")
    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        jobs = usable_cpus()

        def ours(plan: Plan, graph=None) -> list[list]:
            return nearest(reader, queries, Wanted(K), plan, graph=graph, jobs=jobs)

        exact, seconds = timed(lambda: ours(Plan("exact", 0, {})))
        bars = np.array([best[min(K, len(best)) - 1].cosine for best in exact])
        report("exact, blocked", seconds, 1.0)
        for depth in (100, RESCORED):
            found, seconds = timed(lambda depth=depth: ours(Plan("signs", depth, {})))
            report(
                f"sign bits, {depth} rescored",
                seconds,
                recall([[c.cosine for c in best] for best in found], bars),
            )
        if with_graph:
            if isinstance(graph_state(reader), Unusable):
                _, seconds = timed(lambda: make_graph(reader, GraphSettings(jobs=jobs)))
                report("graph, building it", seconds, None)
            else:
                graph, loading = timed(lambda: open_graph(reader))
                found, seconds = timed(lambda: ours(Plan("graph", 0, {}), graph))
                report(
                    f"graph, loaded in {loading:.2f} s",
                    loading + seconds,
                    recall([[c.cosine for c in best] for best in found], bars),
                )
        work = Workload(
            reader.counts()["vectors"],
            reader.identity.dim,
            reader.identity.dtype,
            len(queries),
            has_graph=graph_state(reader) is None and with_graph,
            may_build_graph=True,
            jobs=jobs,
        )
        plan = choose_plan(work)
        print(
            f"  chosen: {plan.method}; estimated {', '.join(f'{w} {s:.2f} s' for w, s in plan.costs.items())}"
        )
        if with_peers:
            matrix = np.concatenate(
                [np.asarray(block.vectors, dtype=np.float32) for block in reader.blocks()]
            )
            peers(matrix, queries, bars, jobs)


def peers(matrix: Vectors, queries: Vectors, bars: np.ndarray, jobs: int) -> None:
    """Hnswlib and usearch on the same vectors."""
    import hnswlib
    from usearch.index import Index

    graph = hnswlib.Index("ip", matrix.shape[1])
    graph.init_index(len(matrix), M=16, ef_construction=200)
    _, seconds = timed(lambda: graph.add_items(matrix, num_threads=jobs))
    report("hnswlib, building it", seconds, None)
    graph.set_ef(200)
    (labels, _), seconds = timed(lambda: graph.knn_query(queries, k=K, num_threads=jobs))
    report("hnswlib, ef 200", seconds, row_recall(labels, matrix, queries, bars))
    other = Index(
        ndim=matrix.shape[1],
        metric="cos",
        dtype="f32",
        connectivity=16,
        expansion_add=200,
        expansion_search=200,
    )
    _, seconds = timed(lambda: other.add(np.arange(len(matrix)), matrix, threads=jobs))
    report("usearch, building it", seconds, None)
    found, seconds = timed(lambda: other.search(queries, K, threads=jobs))
    report("usearch, expansion 200", seconds, row_recall(found.keys, matrix, queries, bars))
    found, seconds = timed(lambda: other.search(queries, K, exact=True, threads=jobs))
    report("usearch, exact", seconds, row_recall(found.keys, matrix, queries, bars))


def row_recall(rows: np.ndarray, matrix: Vectors, queries: Vectors, bars: np.ndarray) -> float:
    chosen = matrix[rows.astype(np.int64)].astype(np.float64)
    cosines = np.einsum("qkd,qd->qk", chosen, queries) / np.linalg.norm(chosen, axis=2)
    return recall(cosines.tolist(), bars)


def recall(cosines: list[list[float]], bars: np.ndarray) -> float:
    """The mean share of the ten nearest that was found; what is as near as the tenth counts."""
    return float(
        np.mean(
            [
                min(K, sum(value >= bar - 1e-6 for value in best)) / K
                for best, bar in zip(cosines, bars, strict=True)
            ]
        )
    )


def timed(work: Callable[[], object]):
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def report(name: str, seconds: float, share: float | None) -> None:
    print(f"  {name:32} {seconds:8.2f} s" + ("" if share is None else f"   recall@10 {share:.3f}"))


def filtered(index: Path, queries: Vectors) -> None:
    """Recall of filtered queries, each planned alone, beside an exact scan of what the filter lets through."""
    print(f"\n{index.name}: {len(queries)} queries, one at a time, with --where")
    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        for percent in (0.1, 1, 10, 50, 90):
            condition = parse_where(f"percent < {percent}")
            allowed, selecting = timed(lambda c=condition: select_rows(reader, Selection(c)))
            wanted = Wanted(K, None, allowed)
            work = Workload(
                reader.counts()["vectors"], reader.identity.dim, reader.identity.dtype, allowed=len(allowed)
            )
            plan = choose_plan(work)
            found, seconds = timed(
                lambda w=wanted, p=plan: [nearest(reader, query[None], w, p)[0] for query in queries]
            )
            exact = nearest(reader, queries, wanted, Plan("exact", 0, {}), jobs=usable_cpus())
            bars = np.array([best[min(K, len(best)) - 1].cosine for best in exact])
            forbidden = sum(c.row not in set(allowed.tolist()) for best in found for c in best)
            share = recall([[c.cosine for c in best] for best in found], bars)
            few = sum(len(best) < min(K, len(allowed)) for best in found)
            print(
                f"  {percent:5} %: {len(allowed):7} rows, {plan.method:5} recall@10 {share:.3f}, forbidden {forbidden},"
                f" too few {few}; choosing rows {1000 * selecting:.0f} ms, a query {1000 * seconds / len(queries):.1f} ms"
            )


def calibrate(index: Path, queries: Vectors) -> None:
    """CPU nanoseconds for each number, row or query, as `plan.py` counts them."""

    def cpu(work: Callable[[], object], runs: int = 3) -> float:
        spent = []
        for _ in range(runs):
            start = time.process_time()
            work()
            spent.append(time.process_time() - start)
        return 1e9 * min(spent)

    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        numbers = reader.counts()["vectors"] * reader.identity.dim

        def run(method: str, count: int, depth: int = 1) -> Callable[[], object]:
            return lambda: nearest(reader, queries[:count], Wanted(K), Plan(method, depth, {}))  # type: ignore[arg-type]

        single = cpu(run("exact", 1))
        some, more = cpu(run("exact", 100)), cpu(run("exact", 600))
        signs, rows = cpu(run("signs", 1, K)), cpu(run("signs", 1, 1000))
        many = cpu(run("signs", 100, K))
        print(
            f"{index.name} {reader.identity.dtype}: exact {single / numbers:.2f}, product"
            f" {(more - some) / 500 / numbers:.4f}, read {(some - (more - some) / 5) / numbers:.2f}, signs"
            f" {signs / numbers:.3f}, again {(many - signs) / 99 / numbers:.4f}, row {(rows - signs) / 990:.0f} ns"
        )


if __name__ == "__main__":
    main()
