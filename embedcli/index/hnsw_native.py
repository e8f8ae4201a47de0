"""The graph as hnswlib holds it: taken apart into links, and put together from links and vectors.

Its pickle state is the way in and out, since it copies arrays and touches no file. It trusts every number in
it, so only links that `GraphLinks.problem` has passed may come here.

Source: hnswlib 0.8.0, python_bindings/bindings.cpp (getIndexParams, createFromParams) and hnswlib/hnswalg.h.
"""

from __future__ import annotations

import math
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from embedcli.errors import MissingExtraError, VectorError
from embedcli.index.hnsw_format import GraphLinks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    import numpy.typing as npt

    from embedcli.datatypes import Vector, Vectors
    from embedcli.index.hnsw_format import GraphHeader, GraphSettings

CHECK_NUMBERS: Final = 1 << 18
"""Numbers looked at, and converted from float16, at a time: 1 MiB as float32."""


class NativeError(Exception):
    """hnswlib cannot do it here: there is not enough memory, or its layout is not the one that is known."""


def hnswlib_module() -> Any:
    """Return hnswlib.

    Raises:
        MissingExtraError: It is not installed.
    """
    try:
        import hnswlib
    except ImportError as error:
        raise MissingExtraError("ann", "a graph of approximate neighbours") from error
    return hnswlib


def new_native(settings: GraphSettings, dim: int, room: int) -> Any:
    """Return an hnswlib index without rows, for the inner product.

    Args:
        settings: How rows are added.
        dim: Numbers in a vector.
        room: How many rows it can take, at least 1.

    Raises:
        MissingExtraError: hnswlib is not installed.
        NativeError: There is not enough memory.
    """
    native = hnswlib_module().Index("ip", dim)
    try:
        native.init_index(
            room, M=settings.m, ef_construction=settings.ef_construction, random_seed=settings.seed
        )
    except (RuntimeError, MemoryError) as error:
        raise NativeError(f"{room} vectors are too many: {error}") from error
    return native


def iter_finite(vectors: npt.NDArray[np.floating], dim: int, first: int = 0) -> Iterator[Vectors]:
    """Yield vectors as float32, some rows at a time, after a look at each value.

    Args:
        vectors: Shape (n, dim), float32 or float16.
        dim: Numbers in a vector.
        first: How many rows came before, for the message.

    Raises:
        VectorError: Another shape, or a value is not a finite number.
    """
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise VectorError(f"a graph of dimension {dim} does not fit vectors of shape {vectors.shape}")
    step = max(1, CHECK_NUMBERS // max(dim, 1))
    for start in range(0, len(vectors), step):
        rows = np.ascontiguousarray(vectors[start : start + step], dtype=np.float32)
        # One product is faster than a look at each value, which only a doubtful sum makes necessary.
        with np.errstate(all="ignore"):
            squares = float(np.vdot(rows, rows))
        if not math.isfinite(squares) and not np.isfinite(rows).all():
            bad = first + start + int(np.argmin(np.isfinite(rows).all(axis=1)))
            raise VectorError(f"vector {bad + 1} holds a value that is not a finite number")
        yield rows


def check_finite(vectors: npt.NDArray[np.floating], dim: int) -> None:
    """Check all vectors; raises as `iter_finite`."""
    for _ in iter_finite(vectors, dim):
        pass


def take_apart(native: Any, m: int, dim: int) -> tuple[GraphLinks, int]:
    """Return the links of a graph and its entry point; of None those of a graph without rows.

    Rows are numbered by their labels, which are 0 to count - 1: several threads add rows in any order. As
    much memory as the graph has is needed once more.

    Raises:
        NativeError: This hnswlib is not one whose layout is known.
    """
    if native is None:
        return GraphLinks.empty(0, 0, m), 0
    (state,) = native.__getstate__()
    elements = state.pop("data_level0").view(_element(state, m, dim))
    labels = elements["label"].astype("<u4")
    order = np.argsort(labels)
    links = elements["links"][order]
    del elements
    depths = state["element_levels"].astype(np.int64)
    levels = depths[order]
    graph = GraphLinks(links, levels.astype(np.uint8), state["link_lists"].view("<u4").reshape(-1, 1 + m))
    lists_before = (np.cumsum(depths) - depths)[order]
    upper = graph.upper[np.repeat(lists_before, levels) + graph.list_levels() - 1]
    for lists in (links, upper):
        # What stands in unused places is left over from links that were given up.
        used = np.arange(lists.shape[1] - 1) < lists[:, :1]
        lists[:, 1:] = labels[lists[:, 1:]] * used
    return graph._replace(upper=upper), int(labels[state["enterpoint_node"]])


def put_together(header: GraphHeader, graph: GraphLinks, blocks: Iterable[npt.NDArray[np.floating]]) -> Any:
    """Return the hnswlib index of checked links over vectors. The vectors are in memory twice at the end.

    Args:
        header: Says the entry point, among others; at least one row.
        graph: Without a `problem`.
        blocks: The vectors, shapes (n_i, dim), float32 or float16.

    Raises:
        MissingExtraError: hnswlib is not installed.
        VectorError: The blocks are not `header.count` finite vectors of its dimension.
        NativeError: There is not enough memory, or this hnswlib is not one whose layout is known.
    """
    m, dim, count = header.settings.m, header.dim, header.count
    (state,) = new_native(header.settings, dim, 1).__getstate__()
    byte = state["data_level0"].dtype
    try:
        elements = np.empty(count, dtype=_element(state, m, dim))
    except MemoryError as error:
        raise NativeError(f"{count} vectors are too many: {error}") from error
    elements["links"], elements["label"] = graph.links, np.arange(count)
    filled = 0
    for block in blocks:
        for rows in iter_finite(block, dim, filled):
            if len(rows) > count - filled:
                raise VectorError(f"more vectors than the {count} of the graph")
            elements["vector"][filled : filled + len(rows)] = rows
            filled += len(rows)
    if filled < count:
        raise VectorError(f"{filled} vectors instead of the {count} of the graph")
    labels = np.arange(count)
    state |= {
        "ep_added": True,
        "max_elements": count,
        "cur_element_count": count,
        "max_level": header.max_level,
        "enterpoint_node": header.entry_point,
        "label_lookup_external": labels.astype(state["label_lookup_external"].dtype),
        "label_lookup_internal": labels.astype(state["label_lookup_internal"].dtype),
        "element_levels": graph.levels.astype(state["element_levels"].dtype),
        "data_level0": elements.view(byte),
        "link_lists": graph.upper.reshape(-1).view(byte),
    }
    try:
        return hnswlib_module().Index(params=state)
    except (RuntimeError, MemoryError) as error:
        raise NativeError(f"{count} vectors are too many: {error}") from error


def search_reachable(native: Any, query: Vector, wanted: int) -> tuple[Any, Any]:
    """Rows and distances of all that one query reaches, at most `wanted`. O(log wanted) searches.

    A greater ef would not help: a search that ends with fewer than ef candidates has seen every row that
    links lead to (searchBaseLayerST).
    """
    low, high = 1, wanted
    best = native.knn_query(query, k=low, num_threads=1)
    while low < high:
        middle = (low + high + 1) // 2
        try:
            best = native.knn_query(query, k=middle, num_threads=1)
        except RuntimeError:
            high = middle - 1
        else:
            low = middle
    return best[0][0], best[1][0]


def _element(state: dict[str, Any], m: int, dim: int) -> np.dtype[np.void]:
    """Return the layout of one row in `data_level0`, having compared it with what hnswlib says of it."""
    links, vector = 4 * (1 + 2 * m), 4 * dim
    said = ("ser_version", "offset_level0", "offset_data", "label_offset", "size_data_per_element")
    found = (*(state[name] for name in said), state["size_links_per_element"], sys.byteorder)
    if found != (1, 0, links, links + vector, links + vector + 8, 4 * (1 + m), "little"):
        raise NativeError("this hnswlib lays its graphs out in a way that is not known")
    return np.dtype([("links", "<u4", (1 + 2 * m,)), ("vector", "<f4", (dim,)), ("label", "<u8")])
