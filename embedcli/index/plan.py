"""How a query is answered: which way costs least for this index, these queries, these rows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final

Method = Literal["exact", "rows", "signs", "graph"]
"""`exact` compares every stored vector, `rows` only those that a filter lets through, `signs` scans sign bits
and compares the nearest exactly, `graph` walks an HNSW graph and does the same."""

RESCORED: Final = 512
"""Rows that are compared exactly after a scan of sign bits, for each query; see `docs/measurements.md`."""
RESCORED_PER_HIT: Final = 50
"""At least so many for each wanted hit."""

# Nanoseconds of one core, from `benchmarks/plans.py` on the machine of `docs/measurements.md`. Only their
# ratios matter, and those by a factor of two at most: near a border both ways cost the same.
# For each number of each vector:
_EXACT_NS = {"float32": 1.6, "float16": 2.2, "int8": 0.95, "binary": 1.5}
_READ_NS = {"float32": 1.6, "float16": 2.2, "int8": 1.1, "binary": 2.6}
_SIGNS_NS = {"float32": 0.09, "float16": 0.08, "int8": 0.09, "binary": 0.7}
_SIGNS_AGAIN_NS = 0.035
_PRODUCT_NS = 0.025
_GRAPH_LOAD_NS = 20.0
_GRAPH_BUILD_NS = 1_000.0
# For each row that is read alone; after a scan of sign bits ten others were compared before it.
_ROW_NS = 5_000.0
_RESCORED_NS = 18_000.0
# For each query:
_GRAPH_QUERY_NS = 2_200_000.0
_BEST_NS = 300_000.0


@dataclass(frozen=True, slots=True)
class Workload:
    """What has to be done.

    Attributes:
        vectors: Stored vectors.
        dim: Numbers in each.
        dtype: What they are stored as.
        queries: How many queries.
        top_k: Hits for each.
        allowed: Rows that a filter lets through; None without a filter.
        has_graph: Whether there is a graph of exactly this state of the index.
        may_build_graph: Whether one could be built.
        jobs: Threads.
    """

    vectors: int
    dim: int
    dtype: str
    queries: int = 1
    top_k: int = 10
    allowed: int | None = None
    has_graph: bool = False
    may_build_graph: bool = False
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """How a workload is done.

    Attributes:
        method: Which way.
        rescored: Rows compared exactly for each query, for `signs`.
        costs: Estimated seconds of each way that was possible, the chosen one's among them.
        builds_graph: Whether the graph has to be built first.
    """

    method: Method
    rescored: int
    costs: dict[Method, float]
    builds_graph: bool = False


def choose_plan(work: Workload, *, method: Method | None = None, rescored: int | None = None) -> Plan:
    """Return the cheapest way, or the one that was asked for.

    Args:
        work: What has to be done.
        method: Use this way, whatever it costs.
        rescored: Rows compared exactly after a scan of sign bits; None for `RESCORED`, or more for a large
            `top_k`.
    """
    depth = max(rescored, work.top_k) if rescored else max(RESCORED, RESCORED_PER_HIT * work.top_k)
    costs = _costs(work, depth)
    cheapest: Method = min(costs, key=costs.__getitem__)
    chosen = method or cheapest
    return Plan(chosen, depth, costs, builds_graph=chosen == "graph" and not work.has_graph)


def _costs(work: Workload, depth: int) -> dict[Method, float]:
    """Return the seconds that each possible way would take."""
    numbers, queries = work.vectors * work.dim, work.queries
    reading = _READ_NS[work.dtype] * numbers
    single = _EXACT_NS[work.dtype] * numbers
    costs: dict[Method, float] = {
        "exact": single
        if queries == 1
        else reading + _PRODUCT_NS * numbers * queries / work.jobs + _BEST_NS * queries,
        "signs": numbers * (_SIGNS_NS[work.dtype] + _SIGNS_AGAIN_NS * (queries - 1))
        + queries * min(depth, work.vectors) * _RESCORED_NS,
    }
    if work.allowed is not None:
        costs["rows"] = min(work.allowed * _ROW_NS, single) * queries
    elif work.has_graph or work.may_build_graph:
        build = 0.0 if work.has_graph else _GRAPH_BUILD_NS * numbers / work.jobs
        costs["graph"] = build + _GRAPH_LOAD_NS * numbers + _GRAPH_QUERY_NS * queries / work.jobs
    return {way: nanoseconds / 1e9 for way, nanoseconds in costs.items()}
