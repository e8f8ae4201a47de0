"""The HNSW graph that an index was told to keep."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING

from embedcli.errors import MissingExtraError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from embedcli.datatypes import Json
    from embedcli.index.hnsw_format import GraphSettings
    from embedcli.index.reader import IndexReader
    from embedcli.index.writer import IndexWriter


def renew_graph(
    reader: IndexReader,
    writer: IndexWriter,
    settings: Mapping[str, int] | None = None,
    *,
    jobs: int = 1,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> None:
    """Build the graph again if the index is to have one and the one that is there is of another state.

    Where hnswlib is not installed the old graph stays, and is not used.

    Args:
        reader: The index, through the writer's own connection.
        writer: Whoever holds the writer's lock.
        settings: Fields of `GraphSettings` to remember and to use from now on; None for those remembered.
        jobs: Threads.
        on_progress: Told how many of how many rows are in.

    Raises:
        OutputError: The graph cannot be written; the old one stays.
    """
    defaults = reader.query_defaults()
    is_new = settings is not None and defaults.get("graph") != dict(settings)
    if settings is not None and is_new:
        defaults["graph"] = dict(settings)
        writer.put_query_defaults(defaults)
        writer.commit()
    wish = wished_graph(defaults, jobs)
    if wish is None or (settings is None and not can_have_graph(reader.identity.dtype)):
        return
    from embedcli.index.graph import graph_state, keep_graph, make_graph

    if is_new or graph_state(reader) is not None:
        total = reader.counts()["chunks"]
        keep_graph(reader, make_graph(reader, wish, lambda done: on_progress(done, total)))


def wished_graph(defaults: Mapping[str, Json], jobs: int = 1) -> GraphSettings | None:
    """Return how an index was told to keep a graph; None if it was not.

    Args:
        defaults: The index's settings of queries.
        jobs: Threads.
    """
    from embedcli.index.hnsw_format import GraphSettings

    wish = defaults.get("graph")
    if not isinstance(wish, dict) or not {"m", "ef_construction"} >= set(wish):
        return None
    return GraphSettings(**wish, jobs=jobs) if all(type(value) is int for value in wish.values()) else None


def can_have_graph(dtype: str) -> bool:
    """Whether hnswlib is installed, and the index keeps vectors that a graph can be built of."""
    return dtype != "binary" and importlib.util.find_spec("hnswlib") is not None


def check_can_have_graph(dtype: str) -> None:
    """Refuse the wish for a graph before anything is written.

    Raises:
        UsageError: The index keeps nothing but sign bits.
        MissingExtraError: hnswlib is not installed.
    """
    if dtype == "binary":
        raise UsageError("a graph needs vectors, and --dtype binary keeps only their sign bits")
    if not can_have_graph(dtype):
        raise MissingExtraError("ann", "a graph")
