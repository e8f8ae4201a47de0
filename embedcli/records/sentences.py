# ruff: noqa: RUF001  (the marks of other languages are what this is about)
"""Where sentences end, by a rule of marks and spaces.

A sentence ends at a full stop, exclamation or question mark (with the quotes and brackets that close after
it) before white space, unless a small letter follows; at the marks of Chinese and Japanese; at a blank line;
and before the line of a list. A full stop does not end one after an abbreviation, a single letter or the
number of a list. The line breaks of wrapped text do not count.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

ABBREVIATIONS: Final = frozenset(
    (
        *("approx", "bd", "ca", "capt", "cf", "dr", "eq", "eqs", "fig", "figs", "gen", "gov", "mr", "mrs"),
        *("ms", "nr", "pp", "prof", "rev", "sec", "sen", "sgt", "st", "vol", "vs"),
    )
)
"""Written with a full stop, and often followed by a name or a number. Those that a small letter follows, and
those with a full stop inside (e.g., U.S.), need no list."""

_END = re.compile(
    # The marks match wherever they stand, so that a long run of them is looked at once.
    r"""(?P<mark>[.!?…]++["'”’»)\]]*+)|(?P<wide>[。！？]++["」』”）]*+)|(?P<blank>\n\s*\n)"""
    r"""|(?P<item>\n)(?=[ \t]*+(?:[-*+•]|\d{1,3}[.)])[ \t])"""
)
_WORD_CHARS = 24
"""Longest word before a full stop that is looked at; none of the abbreviations is near it."""


def iter_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans that join back to the text, one a sentence; white space may stand at their ends. Linear.

    Args:
        text: Its lines are parted by LF.
    """
    start = 0
    for found in _END.finditer(text):
        if found["mark"] is not None and not _ends(text, *found.span()):
            continue
        yield start, found.end()
        start = found.end()
    if start < len(text):
        yield start, len(text)


def _ends(text: str, mark: int, after: int) -> bool:
    """Return whether a sentence ends with the marks at a place."""
    if after >= len(text):
        return True
    if not text[after].isspace():
        return False
    ahead = text[after : after + _WORD_CHARS].lstrip()
    if ahead and ahead[0].islower():
        return False
    if text[mark:after] != ".":
        return True
    before = text[max(0, mark - _WORD_CHARS) : mark]
    words = before.split()
    word = words[-1].lstrip("([\"'“‘«").lower() if words and not before[-1].isspace() else ""
    if word.isdigit():
        # The number of a list stands first in its line.
        line = text[max(0, mark - _WORD_CHARS) : mark].rpartition("\n")[2]
        return line.strip() != word
    return not (
        word in ABBREVIATIONS or (len(word) == 1 and word.isalpha()) or re.fullmatch(r"(\w\.)+\w", word)
    )
