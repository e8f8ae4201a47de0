"""How wide text is on a terminal."""

from __future__ import annotations

import unicodedata


def columns(text: str) -> int:
    """Columns that a text takes: two for East Asian wide characters, none for marks and invisible ones.

    Sequences that a terminal may join into one picture are counted part by part.

    Source: Unicode Standard Annex 11, "East Asian Width".
    """
    if text.isascii():
        return len(text)
    return sum(map(_width, text))


def clip(text: str, room: int) -> str:
    """Return a text in at most `room` columns, the last one an ellipsis where something is left out."""
    if columns(text) <= room:
        return text
    taken = 0
    for position, character in enumerate(text):
        taken += _width(character)
        if taken > room - 1:
            return text[:position] + "…"
    return text


def pad(text: str, width: int) -> str:
    """Return a text with spaces behind it, up to `width` columns."""
    return text + " " * (width - columns(text))


def visible(text: str, most: int = 1_000) -> str:
    """Return the first characters of a text on one line, control characters as escapes."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode("ascii")
        for char in " ".join(text[:most].split())
    )


def _width(character: str) -> int:
    if unicodedata.category(character) in {"Mn", "Me", "Cf"}:
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
