"""Parts of a line in another colour, and the line cut to its room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.write.columns import clip

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.datatypes import TextSpan

_BOLD_RED, _RESET = "\x1b[01;31m", "\x1b[m"
"""What grep shows a match in."""


def marked_line(text: str, spans: Sequence[TextSpan], room: int | None, show: Callable[[str], str]) -> str:
    """Return a text as it is shown, in at most `room` columns, some parts of it in bold red.

    Args:
        text: As it is.
        spans: The parts, in order, apart from one another.
        room: In columns; None for no limit.
        show: What makes a part of the text fit to be shown, character by character.
    """
    pieces: list[tuple[str, bool]] = []
    place = 0
    for start, end in spans:
        pieces += [(show(text[place:start]), False), (show(text[start:end]), True)]
        place = end
    pieces.append((show(text[place:]), False))
    whole = "".join(piece for piece, _ in pieces)
    clipped = whole if room is None else clip(whole, room)
    if not spans:
        return clipped
    # The ellipsis is of no part.
    left = len(whole) if clipped == whole else len(clipped) - 1
    line = []
    for piece, is_marked in pieces:
        kept = piece[:left]
        left -= len(kept)
        line.append(f"{_BOLD_RED}{kept}{_RESET}" if is_marked and kept else kept)
    return "".join(line) + ("" if clipped == whole else "…")
