"""Approximate nearest neighbours: a graph over unit vectors, for processes that ask many questions.

hnswlib builds and searches the graph, but its own files are not used: they carry no checksum, a damaged one
ends the process, and saving does not notice a full disk. What is saved is the links alone; loading puts them
together with the verified vectors of the index.

Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
Navigable Small World graphs", IEEE TPAMI 42(4), 2020.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.errors import IndexFileError, UsageError, VectorError
from embedcli.index.hnsw_file import Unusable, read_graph, write_graph
from embedcli.index.hnsw_format import MAX_DIM, MAX_ROWS, GraphHeader, check_range
from embedcli.index.hnsw_native import (
    NativeError,
    check_finite,
    hnswlib_module,
    new_native,
    put_together,
    search_reachable,
    take_apart,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path
    from typing import Final

    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.index.hnsw_format import GraphKey, GraphSettings

    Rows = npt.NDArray[np.int64]

ROWS_AT_A_TIME: Final = 1000
"""Rows added between two moments at which a signal is answered."""
QUERIES_AT_A_TIME: Final = 256
"""The same for queries; also how many are asked again when one of them finds too little."""


class Graph:
    """A graph that finds the neighbours of a vector. Not to be used by several threads at once.

    Attributes:
        settings: How it was built.
        dim: Numbers in a vector.
        count: Rows.
        ef_search: Candidates that `search` keeps unless told: as tuned and saved; for a new graph as many as
            in building.
        native: The index of hnswlib; None if there are no rows.
    """

    def __init__(self, native: Any, settings: GraphSettings, dim: int, count: int, ef_search: int) -> None:
        """Wrap an index of hnswlib."""
        self.native, self.settings = native, settings
        self.dim, self.count, self.ef_search = dim, count, ef_search

    def search(
        self, queries: Vectors, k: int, ef: int | None = None, jobs: int = 1
    ) -> tuple[Rows, npt.NDArray[np.float32]]:
        """Find the nearest rows of each query, or most of them.

        The answers are the same for any number of threads and any company of other queries. A row that no
        links lead to is not found: where a query gets fewer than min(k, count) rows, an exact scan finds the
        others.

        Args:
            queries: Shape (q, dim), float32, unit length.
            k: Rows wanted for each query, at least 1. The result is as wide, so more than `count` is a waste.
            ef: Candidates to keep, at least 1: more finds more and takes longer. At least k are kept.
            jobs: Threads, at least 1; no more than there are queries in a block are started.

        Returns:
            Row numbers, shape (q, k), int64, nearest first, -1 where there are no more; and similarities,
            shape (q, k), float32: the inner product as far as float32 gives it, -inf beside -1.

        Raises:
            UsageError: A number is below 1.
            VectorError: The queries are not finite vectors of this dimension.
        """
        check_finite(queries, self.dim)
        ef = self.ef_search if ef is None else ef
        if min(k, ef, jobs) < 1:
            raise UsageError(f"k, ef and jobs must be at least 1, not {k}, {ef} and {jobs}")
        rows = np.full((len(queries), k), -1, dtype=np.int64)
        similarities = np.full((len(queries), k), -np.inf, dtype=np.float32)
        wanted = min(k, self.count)
        if not wanted:
            return rows, similarities
        # hnswlib forgets ef on loading. More candidates than rows there cannot be.
        self.native.set_ef(max(wanted, min(ef, self.count)))
        for start in range(0, len(queries), QUERIES_AT_A_TIME):
            block = queries[start : start + QUERIES_AT_A_TIME]
            places = slice(start, start + len(block))
            try:
                found, distances = self.native.knn_query(
                    block, k=wanted, num_threads=min(jobs, QUERIES_AT_A_TIME)
                )
            except RuntimeError:
                # One of them reaches fewer rows than wanted, and hnswlib then answers none.
                for place, query in enumerate(block, start):
                    found, distances = search_reachable(self.native, query, wanted)
                    rows[place, : len(found)], similarities[place, : len(found)] = found, 1 - distances
            else:
                rows[places, :wanted], similarities[places, :wanted] = found, 1 - distances
        return rows, similarities


def build_graph(
    vectors: npt.NDArray[np.floating],
    settings: GraphSettings,
    on_progress: Callable[[int], None] = lambda _done: None,
) -> Graph:
    """Build a graph over vectors; its answers number them as they stand.

    Equal vectors should be collapsed before, see `unique_rows`: they link to one another and to little else.
    The vectors are in memory twice, here and in the graph. About O(n log n).

    Args:
        vectors: Shape (n, dim), float32 or float16, unit length. Not modified.
        settings: How.
        on_progress: Told, every `ROWS_AT_A_TIME` rows, how many are in.

    Raises:
        MissingExtraError: hnswlib is not installed.
        VectorError: Not two-dimensional, or a value is not a finite number.
        UsageError: More vectors, or more numbers in one, than a graph can have.
        IndexFileError: There is not enough memory.
    """
    if vectors.ndim != 2:
        raise VectorError(f"vectors are expected as rows, found an array of shape {vectors.shape}")
    count, dim = vectors.shape
    check_range("the number of vectors", count, 0, MAX_ROWS)
    check_range("the dimension", dim, 1, MAX_DIM)
    hnswlib_module()
    check_finite(vectors, dim)
    if not count:
        return Graph(None, settings, dim, 0, settings.ef_construction)
    try:
        native = new_native(settings, dim, count)
    except NativeError as error:
        raise IndexFileError(f"the graph cannot be built: {error}") from error
    for start in range(0, count, ROWS_AT_A_TIME):
        block = np.asarray(vectors[start : start + ROWS_AT_A_TIME], dtype=np.float32)
        done = start + len(block)
        native.add_items(block, np.arange(start, done), num_threads=settings.jobs)
        on_progress(done)
    return Graph(native, settings, dim, count, settings.ef_construction)


def save_graph(graph: Graph, path: Path, key: GraphKey, ef_search: int | None = None) -> None:
    """Write a graph's links to a file, about 140 bytes a row with m = 16.

    The vectors are in memory twice meanwhile, the caller's own not counted.

    Args:
        graph: The graph.
        path: The file, `<index>.hnsw`: replaced as a whole or not at all.
        key: What the graph was built from.
        ef_search: What `Graph.ef_search` is to be after loading; None for what it is now.

    Raises:
        OutputError: The file cannot be written; the old one stays and nothing else is left behind.
        UsageError: A number is out of range.
        IndexFileError: This hnswlib is not one whose layout is known.
    """
    try:
        links, entry_point = take_apart(graph.native, graph.settings.m, graph.dim)
    except NativeError as error:
        raise IndexFileError(f"the graph cannot be saved: {error}") from error
    header = GraphHeader(
        settings=graph.settings,
        key=key,
        dim=graph.dim,
        count=graph.count,
        ef_search=graph.ef_search if ef_search is None else ef_search,
        max_level=int(links.levels.max(initial=0)),
        entry_point=entry_point,
        upper_lists=len(links.upper),
        payload_hash=links.hash(),
    )
    write_graph(path, header, links)


def load_graph(
    path: Path, key: GraphKey, blocks: Iterable[npt.NDArray[np.floating]], *, count: int, dim: int
) -> Graph | Unusable:
    """Return the graph of a file over the vectors that it was built from, or why there is none.

    The vectors are in memory twice at the end of loading, one block not counted, and once afterwards. No
    block is asked for before the file has passed every check.

    Args:
        path: The file.
        key: What the graph must have been built from.
        blocks: The vectors in the order in which `build_graph` got them: shapes (n_i, dim), float32 or
            float16.
        count: How many rows they are together.
        dim: Numbers in a vector.

    Raises:
        MissingExtraError: The file is good, but hnswlib is not installed.
        VectorError: The blocks are not `count` finite vectors of this dimension.
    """
    try:
        found = read_graph(path, key, count, dim)
        if isinstance(found, Unusable):
            return found
        header, links = found
        native = put_together(header, links, blocks) if count else None
    except (NativeError, MemoryError) as error:
        return Unusable(str(error), "unsupported")
    return Graph(native, header.settings, dim, count, header.ef_search)


def unique_rows(hashes: npt.NDArray[np.integer]) -> tuple[Rows, Rows]:
    """Group rows with the same hash, such as the hashes of their vectors, in order of first appearance.

    Two different vectors among n share a hash of 8 bytes with a probability of about n**2 / 2**65: 3e-8 for
    a million.

    Args:
        hashes: Shape (n,).

    Returns:
        The first row of each group, shape (groups,), ascending; and the group of each row, shape (n,).
    """
    _, first, group = np.unique(hashes, return_index=True, return_inverse=True)
    order = np.argsort(first)
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return first[order].astype(np.int64), rank[group]
