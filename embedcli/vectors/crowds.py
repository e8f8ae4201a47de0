"""Points of a map that are drawn together: as dots of a figure, or of a terminal's letters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.vectors.picture import Picture

_SHARE: Final = 0.45
"""Dots that are lit at most: of a crowded map only those where most are, so that its shape is seen."""
_DOT_BITS: Final = np.array([[0x01, 0x08], [0x02, 0x10], [0x04, 0x20], [0x40, 0x80]])


class Crowd(NamedTuple):
    """Points that are close to each other: their middle, how many they are, and their commonest colour."""

    x: float
    y: float
    size: int
    color: int


def crowds(picture: Picture, colors: npt.NDArray[np.int64], cells: int) -> list[Crowd]:
    """Return the points that share a cell of a grid, small crowds first, of equal ones the lower cell.

    Args:
        picture: The points.
        colors: Shape (n,), int64, from -1: of each point; of equally common ones the lowest counts.
        cells: Of the grid, in each direction.
    """
    if not len(picture.points):
        return []
    points = picture.points.astype(np.float64)
    column, row = np.minimum((points * cells).astype(np.int64), cells - 1).T
    _, crowd, sizes = np.unique(row * cells + column, return_inverse=True, return_counts=True)
    middles = np.stack([np.bincount(crowd, points[:, axis]) / sizes for axis in (0, 1)], axis=1)
    kinds = int(colors.max()) + 2
    tally = np.bincount(crowd * kinds + colors + 1, minlength=len(sizes) * kinds).reshape(-1, kinds)
    common = tally.argmax(axis=1) - 1
    order = np.argsort(sizes, kind="stable")
    found = zip(*(values[order].tolist() for values in (*middles.T, sizes, common)), strict=True)
    return [Crowd(*values) for values in found]


class Letters(NamedTuple):
    """A map in letters.

    Attributes:
        dots: Shape (lines, columns), int64: the lit dots of each letter as braille numbers them, 0 to 255.
        colors: Shape (lines, columns), int64: the commonest region of the coarsest level there; -1 for none.
    """

    dots: npt.NDArray[np.int64]
    colors: npt.NDArray[np.int64]


def in_letters(picture: Picture, columns: int, lines: int) -> Letters:
    """Return a map of so many letters, each two dots wide and four high; it fills them.

    Args:
        picture: At least one point.
        columns: At least 1.
        lines: At least 1.
    """
    width, height = picture.extent
    wide, high = 2 * columns, 4 * lines
    across = np.minimum(picture.points[:, 0] / (width or 1.0) * wide, wide - 1).astype(np.int64)
    down = np.minimum((1 - picture.points[:, 1] / (height or 1.0)) * high, high - 1).astype(np.int64)
    counts = np.zeros((high, wide), dtype=np.int64)
    np.add.at(counts, (down, across), 1)
    lit = counts > int(np.quantile(counts, 1 - _SHARE))
    dots = (lit.reshape(lines, 4, columns, 2).transpose(0, 2, 1, 3) * _DOT_BITS).sum(axis=(2, 3))
    tally = np.zeros((lines, columns, len(picture.regions[0])), dtype=np.int64)
    np.add.at(tally, (down // 4, across // 2, picture.top_of), 1)
    return Letters(dots, np.where(tally.any(axis=2), tally.argmax(axis=2), -1))
