"""Kept rows in lists, one for each of some centroids; a row is compared with the nearest lists only.

What is near to a row may lie in another list: the share that is found is measured, see `recall`. Up to some
number of rows all are compared, as exactly as by `ScannedRows`.

Source: SemDeDup, A. Abbas et al., "SemDeDup: Data-efficient learning at web-scale through semantic
deduplication", 2023, compares inside k-means clusters. Here each row looks into several, as in H. Jégou,
M. Douze, C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE TPAMI 33(1), 2011 (IVF).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from embedcli.vectors import pairing
from embedcli.vectors.bounds import SAMPLE_ROWS, fit_axes
from embedcli.vectors.centroids import fit_centroids, nearest_centroids
from embedcli.vectors.kept import Slab, sample_slabs
from embedcli.vectors.pairing import Pairing
from embedcli.vectors.scanned_rows import FIT_AGAIN, ScannedRows

if TYPE_CHECKING:
    from typing import Final

    from embedcli.datatypes import Vectors
    from embedcli.vectors.bounds import Axes
    from embedcli.vectors.kept import Numbers, Rounded
    from embedcli.vectors.nearest_kept import Best, Rows, Rule
    from embedcli.vectors.pairing import Run

LIST_FROM: Final = 1 << 16
"""Kept rows from which lists cost less than comparing all."""
LISTS_PER_ROOT: Final = 1.0
"""So many lists, times the square root of the rows that there are; there will be up to four times as many."""
LOOKED_INTO: Final = 16
"""Lists that each row is compared with. At cosines of 0.85 to 0.9, 99 % of what is near lies in these."""
SAMPLE_PER_LIST: Final = 32
"""Rows from which the centroids are found, for each of them."""
SAMPLE_NUMBERS: Final = 1 << 25
"""No more numbers than this, 128 MiB, unless that were fewer rows than lists."""
LISTS_AT_A_TIME: Final = 32
"""Lists that a thread takes at once."""
MOVED_ROWS: Final = 8192
"""Rows put into other lists at a time."""


class ListedRows:
    """Kept rows that find most of what is near to a block.

    Memory is that of `ScannedRows` and up to half as much again, as lists grow.

    Attributes:
        count: Rows.
    """

    def __init__(self, dim: int, rule: Rule, list_from: int = LIST_FROM) -> None:
        """Start with none.

        Args:
            dim: Numbers in a vector.
            rule: When rows are near.
            list_from: Rows from which there are lists; fewer are compared all.
        """
        self.count = 0
        self._dim, self._rule = dim, rule
        self._pairing = Pairing(rule)
        self._scanned: ScannedRows | None = ScannedRows(dim, rule)
        self._lists: list[Slab] = []
        self._centroids: Vectors = np.empty((0, dim), np.float32)
        self._axes: Axes | None = None
        self._fit_at = list_from

    @property
    def exact(self) -> bool:
        """Whether all rows are compared, since there are no lists yet."""
        return self._scanned is not None

    def add(self, rows: Rounded, numbers: Numbers) -> None:
        """Take rows in."""
        self.count += len(numbers)
        if self._scanned is not None:
            self._scanned.add(rows, numbers)
        else:
            self._put(rows, numbers)
        if self.count >= self._fit_at:
            self._fit()

    def offer_to(self, best: Best, floats: Vectors, first: int, run: Run) -> None:
        """Offer most of what can be near to each row of a block.

        Args:
            best: What chooses among them.
            floats: Shape (n, dim), float32: the block, of unit length.
            first: Rows before this position are left out, as long as there are no lists.
            run: What shares the work out to threads.
        """
        if self._scanned is not None:
            self._scanned.offer_to(best, floats, first, run)
            return
        looked = nearest_centroids(floats, self._centroids, LOOKED_INTO)
        order = np.argsort(looked, axis=None, kind="stable")
        rows = order // looked.shape[1]
        starts = np.searchsorted(looked.ravel()[order], np.arange(1, len(self._lists)))
        self._offer(best, floats, np.split(rows, starts), run)

    def offer_all_to(self, best: Best, floats: Vectors, run: Run) -> None:
        """Offer every kept row that can be near, whatever its list."""
        if self._scanned is not None:
            self._scanned.offer_all_to(best, floats, run)
        else:
            self._offer(best, floats, [np.arange(len(floats))] * len(self._lists), run)

    def _offer(self, best: Best, floats: Vectors, rows_of: list[Rows], run: Run) -> None:
        """Compare with each list the rows that look into it."""
        heads = None if self._axes is None else self._axes.heads(floats)

        def compare(first: int) -> None:
            for number in range(first, min(first + LISTS_AT_A_TIME, len(self._lists))):
                rows, kept = rows_of[number], self._lists[number]
                if not len(rows) or not kept.count:
                    continue
                some = None if heads is None else heads[rows]
                most = pairing.piece_rows(len(rows))
                for start in range(0, kept.count, most):
                    piece = kept.piece(slice(start, start + most))
                    self._pairing.offer(best, rows, floats[rows], some, piece)

        for _ in run(compare, range(0, len(self._lists), LISTS_AT_A_TIME)):
            pass

    def _fit(self) -> None:
        """Make new lists, for up to four times as many rows as there are, and put all rows into them."""
        self._fit_at = self.count * FIT_AGAIN
        slabs = self._lists if self._scanned is None else self._scanned.slabs
        lists = int(LISTS_PER_ROOT * self.count**0.5)
        sample = sample_slabs(slabs, min(SAMPLE_PER_LIST * lists, max(lists, SAMPLE_NUMBERS // self._dim)))
        compared = min(1.0, LOOKED_INTO / lists)
        self._axes = fit_axes(sample[:: -(-len(sample) // SAMPLE_ROWS)], self._rule.threshold, compared)
        self._centroids = fit_centroids(sample, min(lists, len(sample)))
        self._scanned = None
        self._lists = [Slab(1, self._dim) for _ in self._centroids]
        while slabs:
            # One after the other, so that the rows are not in memory twice.
            slab = slabs.pop()
            for start in range(0, slab.count, MOVED_ROWS):
                piece = slab.piece(slice(start, start + MOVED_ROWS))
                self._put(piece.rows, piece.numbers)

    def _put(self, rows: Rounded, numbers: Numbers) -> None:
        """Add rows to the lists of the nearest centroids."""
        floats = rows.floats()
        own = nearest_centroids(floats, self._centroids, 1)[:, 0]
        heads = None if self._axes is None else self._axes.heads(floats)
        order = np.argsort(own, kind="stable")
        lists, starts = np.unique(own[order], return_index=True)
        for number, some in zip(lists.tolist(), np.split(order, starts[1:]), strict=True):
            kept = self._lists[number]
            needed = kept.count + len(some)
            if needed > len(kept.numbers):
                kept = self._lists[number] = kept.grown(needed + needed // 2)
            kept.add(rows.take(some), numbers[some], None if heads is None else heads[some])
