"""Which colour a value gets: one for each of the commonest values, or shades for numbers."""

from __future__ import annotations

import math
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

COLORS: Final = 8
SHADES: Final = 6
_USUAL: Final = (0.02, 0.98)
"""Numbers that the shades are spread over, so that one odd number does not make all others alike."""


class Paint(NamedTuple):
    """A colour's number for each of n values, and what each number stands for.

    Attributes:
        numbers: From 0; -1 for what has no colour of its own.
        legend: Words for each number; those of -1 stand at the end, if there are any.
        is_shaded: Whether the numbers are shades from little to much.
    """

    numbers: Sequence[int]
    legend: Sequence[str]
    is_shaded: bool = False


def paint(values: Sequence[Any]) -> Paint:
    """Return the colours of values as JSON has them; `map_page/3_colours.js` does the same in a page."""
    tally = Counter(map(_shown, values))
    there = [_number(value) for value in values if value is not None and value != ""]
    if len(tally) > COLORS and there and all(map(math.isfinite, there)):
        return _shades(values, sorted(there))
    ranked = sorted(tally, key=lambda name: (-tally[name], name))
    kept = ranked if len(ranked) <= COLORS else ranked[: COLORS - 1]
    place = {name: number for number, name in enumerate(kept)}
    more = [f"{len(ranked) - len(kept):,} more values"] if len(kept) < len(ranked) else []
    return Paint([place.get(_shown(value), -1) for value in values], [*kept, *more])


def _shades(values: Sequence[Any], there: Sequence[float]) -> Paint:
    low, high = (there[round(part * (len(there) - 1))] for part in _USUAL)
    step = (high - low) / SHADES or 1.0

    def shade(value: Any) -> int:
        number = _number(value)
        return max(0, min(SHADES - 1, math.floor((number - low) / step))) if math.isfinite(number) else -1

    numbers = [shade(value) for value in values]
    edges = [f"{low + step * at:.4g}" for at in range(SHADES + 1)]
    legend = [f"{first} to {last}" for first, last in pairwise(edges)]
    legend[0], legend[-1] = f"up to {edges[1]}", f"{edges[-2]} and more"
    return Paint(numbers, [*legend, *["none"] * (-1 in numbers)], is_shaded=True)


def _number(value: Any) -> float:
    """Return a value as a number; not a number where it is none."""
    if isinstance(value, bool) or value is None:
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return math.nan


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value) or "(empty)"
