"""The HNSW graph that an index was told to keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

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

    Args:
        reader: The index, through the writer's own connection.
        writer: Whoever holds the writer's lock.
        settings: Fields of `GraphSettings` to remember and to use from now on; None for those remembered.
        jobs: Threads.
        on_progress: Told how many of how many rows are in.

    Raises:
        MissingExtraError: hnswlib is not installed.
        UsageError: The index keeps nothing but sign bits.
        OutputError: The graph cannot be written; the old one stays.
    """
    defaults = reader.query_defaults()
    if settings is not None and defaults.get("graph") != dict(settings):
        defaults["graph"] = dict(settings)
        writer.put_query_defaults(defaults)
        writer.commit()
    if defaults.get("graph") is None:
        return
    from embedcli.index.graph import graph_state, keep_graph, make_graph
    from embedcli.index.hnsw_format import GraphSettings

    if graph_state(reader) is not None:
        total = reader.counts()["chunks"]
        graph_settings = GraphSettings(**defaults["graph"], jobs=jobs)
        keep_graph(reader, make_graph(reader, graph_settings, lambda done: on_progress(done, total)))
