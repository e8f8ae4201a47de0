"""Regions of a plane full of points, and where their names go."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Labels = npt.NDArray[np.int64]

_GRID: Final = 128
_BLUR: Final = 1.5


class Level(NamedTuple):
    """Regions of one size.

    Attributes:
        labels: Shape (n,), int64: the region of each point, from 0 without a gap, the largest first.
        places: Shape (k, 2), float32: the member that stands where most members of the region are.
        radii: Shape (k,), float32: root mean square distance of the members to that place.
        sizes: Shape (k,), int64: members.
    """

    labels: Labels
    places: Vectors
    radii: npt.NDArray[np.float32]
    sizes: Labels


def heights(points: Vectors) -> npt.NDArray[np.float32]:
    """Return how crowded it is around each point, shape (n,)."""
    low, spread = points.min(axis=0), float(np.ptp(points, axis=0).max()) or 1.0
    cells = ((points - low) / spread * (_GRID - 1)).astype(np.int64)
    counts = np.zeros((_GRID, _GRID), dtype=np.float32)
    np.add.at(counts, (cells[:, 0], cells[:, 1]), 1)
    crowd = gaussian_filter(counts, _BLUR, mode="constant")
    return np.asarray(crowd[cells[:, 0], cells[:, 1]], dtype=np.float32)


def level_of(points: Vectors, groups: Labels, crowd: npt.NDArray[np.float32]) -> Level:
    """Return groups of points as a level.

    Args:
        points: Shape (n, 2), float32, n at least 1.
        groups: Shape (n,), int64: any number for each group.
        crowd: From `heights`.
    """
    names, firsts, labels, sizes = np.unique(
        groups, return_index=True, return_inverse=True, return_counts=True
    )
    order = np.lexsort((firsts, -sizes))
    numbers = np.empty(len(names), dtype=np.int64)
    numbers[order] = np.arange(len(names))
    labels, sizes = numbers[labels], sizes[order]
    places = np.empty((len(names), 2), dtype=np.float32)
    radii = np.empty(len(names), dtype=np.float32)
    members = np.split(np.argsort(labels, kind="stable"), np.cumsum(sizes)[:-1])
    for number, rows in enumerate(members):
        own = points[rows]
        middle = np.average(own, axis=0, weights=crowd[rows].astype(np.float64))
        places[number] = own[np.square(own - middle).sum(axis=1).argmin()]
        radii[number] = np.sqrt(np.square(own - places[number]).sum(axis=1).mean())
    return Level(labels, places, radii, sizes)
