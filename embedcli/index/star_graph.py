"""Kept rows in an HNSW graph that grows with them; a row is compared with those that a walk meets.

One thread adds, so that equal runs are equal. Nothing is saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.errors import VectorError
from embedcli.index.hnsw import Graph
from embedcli.index.hnsw_format import GraphSettings
from embedcli.index.hnsw_native import NativeError, hnswlib_module, new_native
from embedcli.vectors.kept import KeptRows
from embedcli.vectors.pairing import PIECE_ROWS, Pairing

if TYPE_CHECKING:
    from typing import Final

    from embedcli.datatypes import Vectors
    from embedcli.vectors.kept import Numbers, Rounded
    from embedcli.vectors.nearest_kept import Best, Rule
    from embedcli.vectors.pairing import Run

ROOM: Final = 1 << 14
"""Rows for which there is room at first; it doubles."""
EF_CONSTRUCTION: Final = 100
"""Half of what an index uses: a row is in the graph once, and asked for a few rows only."""
EF_SEARCH: Final = 64
FOUND_ROWS: Final = 16
"""Neighbours of each row that are compared exactly, so that some are left where the lengths do not fit."""


class GraphRows:
    """Kept rows that find most of what is near to a block.

    Memory is that of `KeptRows` and of the graph, about 4 * dim + 160 bytes a row.

    Attributes:
        count: Rows.
        exact: False.
    """

    exact = False

    def __init__(self, dim: int, rule: Rule, jobs: int = 1) -> None:
        """Start with none.

        Args:
            dim: Numbers in a vector.
            rule: When rows are near.
            jobs: Threads that search.

        Raises:
            MissingExtraError: hnswlib is not installed.
        """
        hnswlib_module()
        self.count = 0
        self._rule, self._jobs = rule, jobs
        self._kept = KeptRows(dim)
        settings = GraphSettings(ef_construction=EF_CONSTRUCTION)
        self._graph = Graph(None, settings, dim, 0, EF_SEARCH)

    def add(self, rows: Rounded, numbers: Numbers) -> None:
        """Take rows in. Rows of zeros have a place, and are not in the graph.

        Raises:
            VectorError: There is not enough memory.
        """
        first = self.count
        self._kept.add(rows, numbers)
        self.count = self._kept.count
        there = np.flatnonzero(rows.scales > 0)
        graph = self._graph
        try:
            if graph.native is None:
                graph.native = new_native(graph.settings, graph.dim, max(ROOM, self.count))
            elif graph.native.get_max_elements() < self.count:
                graph.native.resize_index(2 * self.count)
        except (NativeError, RuntimeError, MemoryError) as error:
            raise VectorError(f"no memory for a graph of {self.count} rows: {error}") from error
        if len(there):
            graph.native.add_items(rows.take(there).floats(), first + there, num_threads=1)
            graph.count += len(there)

    def offer_to(self, best: Best, floats: Vectors, first: int, _run: Run) -> None:
        """Offer what a walk meets.

        Args:
            best: What chooses among it.
            floats: Shape (n, dim), float32: the block, of unit length.
            first: Rows before this position are left out.
        """
        if not self._graph.count:
            return
        found, products = self._graph.search(floats, FOUND_ROWS, jobs=self._jobs)
        rows, columns = np.nonzero((products >= self._rule.bar) & (found >= first))
        if len(rows):
            piece = self._kept.gather(found[rows, columns])
            best.offer(rows, piece, np.arange(len(rows)), products[rows, columns])

    def offer_all_to(self, best: Best, floats: Vectors, run: Run) -> None:
        """Offer every kept row that is near, by comparing all."""
        rows, pairing = np.arange(len(floats)), Pairing(self._rule)
        pieces = self._kept.pieces(0, self.count, PIECE_ROWS)
        for _ in run(lambda piece: pairing.offer(best, rows, floats, None, piece), pieces):
            pass
