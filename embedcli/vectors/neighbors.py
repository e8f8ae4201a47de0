"""The nearest other rows of every row: the graph that communities, density, maps and hub correction stand on.

Every row is compared with all others by float32 matrix products. The largest cosine of each group of columns
is taken first: the k-th largest of these is a bound that at least k columns reach and few others do, so that
only a handful of cosines a row is ever sorted.

Beyond `EXACT_ROWS` rows lie in k-means lists, and each is compared with those of the lists whose centroids
are nearest to it. What that misses is measured in a sample of the rows.

Source: H. Jégou, M. Douze, C. Schmid, "Product Quantization for Nearest Neighbor Search", IEEE TPAMI 33(1),
2011, section IV, for the lists (IVF), here of whole vectors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.vectors.background import spread_rows
from embedcli.vectors.centroids import fit_centroids
from embedcli.vectors.in_blocks import CELLS, in_blocks

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Rows = npt.NDArray[np.int64]

_COLUMNS: Final = 64
"""Of a group: the bound lets about this many cosines through for each wanted one, at the very most."""

_CELLS: Final = 1 << 23
"""Cosines of a block, 32 MiB a thread; a product of fewer rows is limited by memory."""

EXACT_ROWS: Final = 1 << 17
"""Rows up to which all are compared: two minutes of two cores, for 384 numbers a row."""

LOOKED_INTO: Final = 32
"""Lists that a row is compared with, of as many as the square root of the rows. Of the 15 nearest of 100,000
one-line texts 92 % lie in these, at an eighth of the work."""

SAMPLE_PER_LIST: Final = 32
"""Rows from which the centroids are found, for each of them."""

RECALL_ROWS: Final = 512
"""Rows of which the neighbours are looked up again, among all."""

_ROUNDING: Final = np.float32(1e-6)
"""The same cosine may differ by so much between two products."""


class Neighbors(NamedTuple):
    """The nearest rows of each row, the nearest first, of equally near ones the lower row.

    Attributes:
        rows: Shape (n, k), int32.
        cosines: Shape (n, k), float32, -1 to 1.
        recall: Share of the k nearest rows that are among them, 0 to 1, from a sample; 1 where all rows were
            compared.
    """

    rows: npt.NDArray[np.int32]
    cosines: npt.NDArray[np.float32]
    recall: float = 1.0


def nearest_neighbors(vectors: Vectors, count: int, *, jobs: int = 1) -> Neighbors:
    """Return the nearest other rows of every row; up to `EXACT_ROWS` exact but for the rounding of products.

    O(n**2 x dim) time, from there on O(n**1.5 x dim); O(n x count) memory and a block of each thread.

    Args:
        vectors: Shape (n, dim), float32, unit length, n at least 2.
        count: How many, at least 1; n - 1 where there are no more.
        jobs: Threads; their number changes nothing.
    """
    count = min(count, len(vectors) - 1)
    if len(vectors) <= EXACT_ROWS:
        return nearest_among(vectors, vectors, count, jobs=jobs, are_same=True)
    return _Lists(vectors, count, jobs).neighbors()


def nearest_among(
    vectors: Vectors, others: Vectors, count: int, *, jobs: int = 1, are_same: bool = False
) -> Neighbors:
    """Return the nearest of some other rows for every row; otherwise as `nearest_neighbors`.

    Args:
        vectors: Shape (n, dim), float32, unit length.
        others: Shape (m, dim), likewise, m at least 1.
        count: How many, from 1; m where there are no more.
        jobs: Threads.
        are_same: Whether both are the same rows, so that a row is no neighbour of itself.
    """
    count = min(count, len(others))
    step = max(1, _CELLS // len(others))

    def look(block: slice) -> Neighbors:
        near = vectors[block] @ others.T
        if are_same:
            own = np.arange(block.start, block.stop)
            near[own - block.start, own] = -np.inf
        return _nearest(near, count)

    found = [*in_blocks(len(vectors), step, look, jobs)]
    if not found:
        return Neighbors(np.empty((0, count), np.int32), np.empty((0, count), np.float32))
    return _joined(found)


class _Lists:
    """Rows in lists, and the nearest ones found so far."""

    def __init__(self, vectors: Vectors, count: int, jobs: int) -> None:
        """Put all rows into the list of the nearest centroid."""
        self._vectors, self._count, self._jobs = vectors, count, jobs
        rows = len(vectors)
        lists = round(rows**0.5)
        sample = spread_rows(np.arange(rows), SAMPLE_PER_LIST * lists)
        self._centroids = fit_centroids(vectors[sample], lists)
        looked = [*in_blocks(rows, max(1, CELLS // lists), self._look_up, jobs)]
        own = np.concatenate([first for first, _ in looked])
        self._members = _by_value(own, lists)
        others = np.concatenate([more for _, more in looked])
        askers = _by_value(others.ravel(), lists)
        self._askers = [places // others.shape[1] for places in askers]
        # A row that stands for none is the last of all.
        self._rows = np.full((rows, count), rows, dtype=np.int32)
        self._cosines = np.full((rows, count), -np.inf, dtype=np.float32)

    def _look_up(self, block: slice) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
        """Return the nearest list of each row, and the next ones in no order."""
        near = self._vectors[block] @ self._centroids.T
        own = near.argmax(axis=1)
        near[np.arange(len(near)), own] = -np.inf
        more = min(LOOKED_INTO, len(self._centroids)) - 1
        others = np.argpartition(near, near.shape[1] - more, axis=1)[:, near.shape[1] - more :]
        return own.astype(np.int32), others.astype(np.int32)

    def neighbors(self) -> Neighbors:
        """Return what is nearest among the lists that each row looks into."""
        # The lists at once: no row is in two of them. Its own list gives a row a bar for the others.
        for _ in in_blocks(len(self._members), 1, self._compare_inside, self._jobs):
            pass
        for members, askers in zip(self._members, self._askers, strict=True):
            self._compare(askers, members)
        short = np.flatnonzero(self._cosines[:, -1] == -np.inf)
        for row in short.tolist():
            self._compare_all(row)
        return Neighbors(self._rows, self._cosines, self._measured())

    def _compare_inside(self, number: slice) -> None:
        """Find what is nearest within a list."""
        members = self._members[number.start]
        most = min(self._count, len(members) - 1)
        if most < 1:
            return
        others = self._vectors[members]
        step = max(1, CELLS // len(members))
        for start in range(0, len(members), step):
            rows = members[start : start + step]
            near = self._vectors[rows] @ others.T
            near[np.arange(len(rows)), np.arange(start, start + len(rows))] = -np.inf
            best = np.argpartition(near, len(members) - most, axis=1)[:, len(members) - most :]
            near = np.take_along_axis(near, best, axis=1).ravel()
            self._take(rows, np.repeat(np.arange(len(rows)), most), members[best.ravel()], near)

    def _compare(self, askers: Rows, members: Rows) -> None:
        """Compare rows with those of a list that is not their own."""
        others = self._vectors[members]
        step = max(1, CELLS // max(1, len(members)))

        def look(part: slice) -> None:
            rows = askers[part]
            near = self._vectors[rows] @ others.T
            places, columns = np.nonzero(near > self._cosines[rows, -1:])
            self._take(rows, places, members[columns], near[places, columns])

        for _ in in_blocks(len(askers), step, look, self._jobs):
            pass

    def _compare_all(self, row: int) -> None:
        """Compare a row whose lists hold too few with all others."""
        near = self._vectors @ self._vectors[row]
        near[row] = -np.inf
        best = np.lexsort((np.arange(len(near)), -near))[: self._count]
        self._rows[row], self._cosines[row] = best, near[best]

    def _take(self, rows: Rows, places: Rows, numbers: Rows, cosines: npt.NDArray[np.float32]) -> None:
        """Take the best of what rows have and what was found.

        Args:
            rows: Ascending, all different.
            places: Of which row something was found, ascending.
            numbers: Which row that is, of the same length.
            cosines: How near it is.
        """
        found, dense = np.unique(places, return_inverse=True)
        own = rows[found]
        owners = np.concatenate((np.repeat(np.arange(len(own)), self._count), dense))
        every = np.concatenate((self._rows[own].ravel(), numbers))
        near = np.concatenate((self._cosines[own].ravel(), cosines))
        order = np.lexsort((every, -near, owners))
        starts = np.searchsorted(owners[order], np.arange(len(own)))
        best = order[starts[:, np.newaxis] + np.arange(self._count)]
        self._rows[own], self._cosines[own] = every[best], near[best]

    def _measured(self) -> float:
        """Return the share of the nearest rows that was found, of rows spread evenly."""
        sample = spread_rows(np.arange(len(self._vectors)), RECALL_ROWS)
        # One of those that are nearest is the row itself.
        exact = nearest_among(self._vectors[sample], self._vectors, self._count + 1, jobs=self._jobs)
        bar = exact.cosines[:, -1:] - _ROUNDING
        return float((self._cosines[sample] >= bar).mean())


def _by_value(values: npt.NDArray[np.int32], count: int) -> list[Rows]:
    """Return the places of each value below `count`, ascending."""
    order = np.argsort(values, kind="stable")
    return np.split(order, np.searchsorted(values[order], np.arange(1, count)))


def _joined(parts: list[Neighbors]) -> Neighbors:
    """Return the neighbours of several blocks of rows as one."""
    return Neighbors(
        np.concatenate([part.rows for part in parts]), np.concatenate([part.cosines for part in parts])
    )


def _nearest(near: npt.NDArray[np.float32], count: int) -> Neighbors:
    """Return the highest values of each row, as `Neighbors`."""
    height, width = near.shape
    groups = width // _COLUMNS
    if groups >= count:
        tops = near[:, : groups * _COLUMNS].reshape(height, groups, _COLUMNS).max(axis=2)
        bars = np.partition(tops, groups - count, axis=1)[:, groups - count]
    else:
        bars = np.partition(near, width - count, axis=1)[:, width - count]
    rows, columns = np.nonzero(near >= bars[:, np.newaxis])
    values = near[rows, columns]
    order = np.lexsort((columns, -values, rows))
    starts = np.searchsorted(rows[order], np.arange(height))
    best = order[starts[:, np.newaxis] + np.arange(count)]
    return Neighbors(columns[best].astype(np.int32), values[best])
