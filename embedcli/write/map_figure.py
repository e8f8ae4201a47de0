"""A map for a document: dots, names and a legend with their places on a page of so many pixels."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from embedcli.vectors.paint import Paint
    from embedcli.vectors.picture import Picture

    Place = Callable[[float, float], tuple[float, float]]

COLORS: Final = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#332288", "#8a8a1f")
SHADES: Final = ("#00204d", "#31446b", "#666970", "#958f78", "#c7b05c", "#e0c540")
OTHER: Final = "#a9adb6"
"""After Okabe and Ito, and Paul Tol; the shades are cividis: all are told apart by colour-blind eyes."""
GROUND, INK, FAINT = "#fbfaf7", "#1d2330", "#5d6472"

WIDTH: Final = 1200
_EDGE: Final = 48
_HEAD: Final = 64
_FOOT: Final = 36
_LEGEND_LINE: Final = 22
_KEYS: Final = 4
_KEY_WIDTH: Final = 276
_KEY_LETTERS: Final = 34
_NARROWEST: Final = 0.45
_MOST_DOTS: Final = 5000
_CELLS: Final = 190
_SIZES: Final = (22, 16, 13, 12)
_MOST_LETTERS: Final = 44


class Dot(NamedTuple):
    """A point, or several that are close to each other: place and radius in pixels."""

    x: float
    y: float
    radius: float
    color: str


class Words(NamedTuple):
    """A name: its lines, the middle of them in pixels, and the height of a letter."""

    lines: Sequence[str]
    x: float
    y: float
    size: int


class Key(NamedTuple):
    """A colour of the legend: the left end of its words' base line in pixels, and what it stands for."""

    x: int
    y: int
    color: str
    words: str


class Figure(NamedTuple):
    """All that is drawn.

    Attributes:
        height: Pixels; the width is `WIDTH`.
        title: Above.
        footer: Below.
        dots: Largest crowds last.
        alpha: How far dots cover what is below them.
        names: None over another.
        legend: What the colours stand for, if anything.
    """

    height: int
    title: str
    footer: str
    dots: Sequence[Dot]
    alpha: float
    names: Sequence[Words]
    legend: Sequence[Key]


def figure(picture: Picture, paint: Paint, title: str, footer: str) -> Figure:
    """Return a figure; more than `_MOST_DOTS` points are drawn as the crowds of small cells.

    Args:
        picture: The points.
        paint: A colour for each of them, and what it says; without words, no legend.
        title: Above.
        footer: Below.
    """
    across, up = (max(side, 1e-6) for side in picture.extent)
    inner = WIDTH - 2 * _EDGE
    shape = max(_NARROWEST, min(1.0, up / across))
    scale = min(inner / across, inner * shape / up)
    plot = inner * shape
    left, bottom = _EDGE + (inner - across * scale) / 2, _HEAD + plot - (plot - up * scale) / 2
    palette = SHADES if paint.is_shaded else COLORS

    def place(x: float, y: float) -> tuple[float, float]:
        return left + x * scale, bottom - y * scale

    below = round(_HEAD + plot + 30)
    legend = [
        Key(
            _EDGE + at % _KEYS * _KEY_WIDTH,
            below + at // _KEYS * _LEGEND_LINE,
            palette[at] if at < len(palette) else OTHER,
            words if len(words) <= _KEY_LETTERS else words[: _KEY_LETTERS - 1] + "…",
        )
        for at, words in enumerate(paint.legend)
    ]
    return Figure(
        below + _LEGEND_LINE * -(-len(legend) // _KEYS) + _FOOT,
        title,
        footer,
        [*_dots(picture, paint, place)],
        0.75 if len(picture.points) <= _MOST_DOTS else 0.85,
        [*_names(picture, place, scale)],
        legend,
    )


def _dots(picture: Picture, paint: Paint, place: Place) -> Iterator[Dot]:
    """Yield a dot for each point, or for each crowd."""
    import numpy as np

    from embedcli.vectors.crowds import crowds

    palette = SHADES if paint.is_shaded else COLORS
    colors = [palette[number] if 0 <= number < len(palette) else OTHER for number in paint.numbers]
    if len(picture.points) <= _MOST_DOTS:
        radius = max(2.0, min(6.0, 110 / max(1, len(colors)) ** 0.5))
        for point, color in zip(picture.points.tolist(), colors, strict=True):
            yield Dot(*place(*point), radius, color)
        return
    found = crowds(picture, np.asarray(paint.numbers, dtype=np.int64), _CELLS)
    # The largest are the last; a few of them are larger than all others.
    usual = found[int(0.95 * len(found))].size
    for crowd in found:
        color = palette[crowd.color] if 0 <= crowd.color < len(palette) else OTHER
        yield Dot(*place(crowd.x, crowd.y), 0.9 + 2.1 * min(1.0, crowd.size / usual) ** 0.5, color)


def _names(picture: Picture, place: Place, scale: float) -> Iterator[Words]:
    """Yield the names that fit, the coarsest level first."""
    taken: list[tuple[float, float, float, float]] = []
    for depth, level in enumerate(picture.regions[:3]):
        size = _SIZES[min(depth, len(_SIZES) - 1)]
        for region in level:
            lines = broken(region.name)
            wide = max(map(letters, lines)) * size * 0.56
            if depth and 2 * region.radius * scale < wide * 0.8:
                continue
            x, y = place(region.x, region.y)
            x = max(_EDGE / 2 + wide / 2, min(WIDTH - _EDGE / 2 - wide / 2, x))
            high = size * 1.25 * len(lines)
            box = (x - wide / 2 - 6, y - high / 2 - 4, x + wide / 2 + 6, y + high / 2 + 4)
            if all(box[2] < b[0] or box[0] > b[2] or box[3] < b[1] or box[1] > b[3] for b in taken):
                taken.append(box)
                yield Words(lines, x, y, size)


def broken(name: str) -> list[str]:
    """Return a name in one line or two, broken behind the comma that is nearest to its middle."""
    name = name if len(name) <= _MOST_LETTERS else name[: _MOST_LETTERS - 1] + "…"
    commas = [at + 1 for at, letter in enumerate(name) if name[at : at + 2] == ", "]
    if len(name) < 22 or not commas:
        return [name]
    middle = min(commas, key=lambda at: abs(at - len(name) / 2))
    return [name[:middle], name[middle + 1 :]]


def letters(text: str) -> int:
    """Return how many letters wide a text is: marks have no width, Chinese characters that of two."""
    return sum(
        0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1
        for letter in text
    )
