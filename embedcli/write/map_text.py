"""A map for the terminal: crowds as dots of braille, names between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedcli.vectors.crowds import in_letters
from embedcli.write.map_figure import letters

if TYPE_CHECKING:
    from embedcli.vectors.picture import Picture, Region

_BLANK: Final = 0x2800
_DOTTED: Final = frozenset([" ", *map(chr, range(_BLANK, _BLANK + 256))])
_AROUND: Final = (0, 1, -1, 2, -2)
_HIDDEN: Final = (1.0, 0.15)
"""The share of the cells below a name that may have points, for each level that is named."""
_HUES: Final = (34, 208, 36, 175, 178, 75, 99, 106)


def draw_text(picture: Picture, columns: int, lines: int, *, color: bool = False) -> str:
    """Return a map of at most so many columns and lines, each line with a line feed.

    Args:
        picture: The points.
        columns: At least 1.
        lines: At least 1.
        color: Whether each region of the coarsest level has a colour, by ANSI escapes.
    """
    if not len(picture.points):
        return ""
    dots, tops = in_letters(picture, columns, lines)
    shown = [[chr(_BLANK + bits) if bits else " " for bits in row] for row in dots.tolist()]
    hues = [[_HUES[number] if number >= 0 else None for number in row] for row in tops.tolist()]
    width, height = picture.extent
    for level, hidden in zip(picture.regions, _HIDDEN, strict=False):
        for region in level:
            _put(shown, hues, region, (region.x / (width or 1.0), region.y / (height or 1.0)), hidden)
    return "".join(_line(row, row_hues if color else None) for row, row_hues in zip(shown, hues, strict=True))


def _put(
    shown: list[list[str]],
    hues: list[list[int | None]],
    region: Region,
    place: tuple[float, float],
    hidden: float,
) -> None:
    """Write a region's name with a space around, near its place, unless others are there.

    Args:
        shown: Lines of cells.
        hues: The colour of each.
        region: What is named.
        place: Across and upwards, 0 to 1.
        hidden: The share of the cells below it that may have points.
    """
    across, up = place
    columns, lines = len(shown[0]), len(shown)
    name = "".join(letter if letter.isprintable() else "?" for letter in region.name)
    while letters(name) > columns - 2 and ", " in name:
        name = name.rpartition(", ")[0]
    wide = letters(name) + 2
    if wide > columns:
        return
    first = max(0, min(columns - wide, int(across * columns) - wide // 2))
    middle = min(lines - 1, int((1 - up) * lines))
    found = _free_line(shown, middle, slice(first, first + wide))
    if found is None or sum(cell != " " for cell in shown[found][first : first + wide]) > hidden * wide:
        return
    cells: list[str] = [" "]
    for letter in name:
        size = letters(letter)
        if size == 0:
            cells[-1] += letter
        else:
            cells += [letter, *[""] * (size - 1)]
    shown[found][first : first + wide] = [*cells, " "]
    hues[found][first : first + wide] = [None] * wide


def _free_line(shown: list[list[str]], middle: int, place: slice) -> int | None:
    """Return the line around one where a name hides fewest points; None where other names are everywhere."""
    lines = [middle + step for step in _AROUND if 0 <= middle + step < len(shown)]
    free = [line for line in lines if all(cell in _DOTTED for cell in shown[line][place])]
    return min(free, key=lambda line: sum(cell != " " for cell in shown[line][place]), default=None)


def _line(cells: list[str], hues: list[int | None] | None) -> str:
    if hues is None:
        return "".join(cells).rstrip() + "\n"
    made, now = [], None
    for cell, hue in zip(cells, hues, strict=True):
        wanted = hue if cell.strip() else now
        if wanted != now:
            made.append("\x1b[0m" if wanted is None else f"\x1b[38;5;{wanted}m")
            now = wanted
        made.append(cell)
    return "".join(made).rstrip() + ("\x1b[0m" if now is not None else "") + "\n"
