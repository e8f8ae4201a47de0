"""A map as a value: where each point is, and the named regions around them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

GRID: Final = 65535
"""The longer side of a map in steps, as coordinates are kept in a page: two bytes each."""


class Region(NamedTuple):
    """A part of the map.

    Attributes:
        name: What its texts say and others do not.
        x: Where most of its points are, 0 to 1.
        y: Likewise, upwards.
        radius: Root mean square distance of its points to that place.
        size: Points.
        parent: The region of the level before that it is part of, from 0; None in the coarsest.
    """

    name: str
    x: float
    y: float
    radius: float
    size: int
    parent: int | None


class Picture(NamedTuple):
    """A map.

    Attributes:
        points: Shape (n, 2), float32: across and upwards, from 0; the longer side ends at 1.
        numbers: Shape (n,), int64: which record each point is, from 0, in their order.
        regions: The levels, the coarsest first; none of no points.
        region_of: Shape (n,), int64: the region of each point in the finest level.
    """

    points: Vectors
    numbers: npt.NDArray[np.int64]
    regions: Sequence[Sequence[Region]]
    region_of: npt.NDArray[np.int64]

    @property
    def extent(self) -> tuple[float, float]:
        """How wide and high the points spread, 0 to 1."""
        if not len(self.points):
            return 0.0, 0.0
        width, height = self.points.max(axis=0).tolist()
        return width, height

    @property
    def top_of(self) -> npt.NDArray[np.int64]:
        """The region of each point in the coarsest level, shape (n,), int64."""
        numbers = self.region_of
        for level in self.regions[:0:-1]:
            numbers = np.array([region.parent for region in level], dtype=np.int64)[numbers]
        return numbers


def boxed(points: Vectors) -> Vectors:
    """Return points moved and shrunk alike in both directions, as `Picture` has them; zeros for one place."""
    if not len(points):
        return points
    moved = points - points.min(axis=0)
    return np.asarray(moved / (float(moved.max()) or 1.0), dtype=np.float32)
