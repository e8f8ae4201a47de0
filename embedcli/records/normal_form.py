# ruff: noqa: RUF001  (marks that look like others are what this is about)
r"""What two texts share that differ only in case, white space, punctuation and Unicode form.

Two texts are called the same here only if a reader would call them the same, so a mark goes only where it
merely sets words apart:

- It becomes a space, never nothing: `re-use` is `re use`, not `reuse`; `we're` is not `were`.
- Between two digits it stays (`3.14`, `1,000`, `12:30`, `2024-01-02`), and so do a minus, a point or an
  exclamation mark before a word or number that begins there (`-5`, `.5`, `!x`), and the mark in `!=`.
- Symbols and what is read like one stay: `$ % & # @ * + / < = > \ ^ _ | ~`, degrees, arrows, emoji. So do
  an apostrophe inside a word, and a face of marks that stands alone (`:)` is not `:(`).
- Raised digits and fractions do not run into the number before them: `10²` is `10^2`, `1½` is `1 1/2`.
- Characters without width (joiners, soft hyphens, direction and variation marks) are left out.

A text of nothing but marks keeps them: `?` is not `!`.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_MARKS: Final = r"""!"'(),\-.:;?\[\]`{}"""

# Each branch says when the mark just read goes; the characters before it stand at the end of a lookbehind.
# One class at the head lets the search skip what is no mark: eight times as fast as one class a branch.
_DROPPED: Final = re.compile(
    rf"""
    [{_MARKS}](?:
      (?<=[^'.!-])  (?: (?!\d) | (?<!\d.) )                 # all but between digits
    | (?<=')        (?: (?!\w) | (?<!\w.) )                 # all but inside a word
    | (?<=[.!-])    (?: (?=[\s{_MARKS}]) | \Z               # after a word, or in a row of marks
                      | (?<=[\w.!-].) (?![\d=])
                      | (?: (?<=[^\W\d].) | (?<=[.!-].) ) (?!=) )
    )
    """,
    re.DOTALL | re.VERBOSE,
)
_LONG_ROW: Final = re.compile(r"([^\w\s\x00-\x7f]{30})(?=[^\w\s\x00-\x7f])")
_FACE: Final = re.compile(r"(?<!\S)([:;]['-]?[()]+)(?!\w)")

_INVISIBLE: Final = (
    *(0xAD, 0x34F, 0x61C, 0xFEFF),
    *range(0x180B, 0x180F),
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    *range(0xFE00, 0xFE10),
)
_READ_AS: Final = {
    **dict.fromkeys("‘’‛ʼ", "'"),
    **dict.fromkeys("“”„‟", '"'),
    **dict.fromkeys("‐‑‒–−", "-"),
    **dict.fromkeys("⁄∕", "/"),
    **dict.fromkeys("·٫", "."),
    **dict.fromkeys("٬،", ","),
    "؛": ";",
}
_SAID: Final = frozenset("#%&*@/\\‰‱٪§¶†‡′″‴※")
"""Punctuation by Unicode's table, but read like a symbol."""


class _Forms(dict[int, str | int | None]):
    """What stands for a character, looked up once for each that is met."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_INVISIBLE))
        self.update({ord(mark): form for mark, form in _READ_AS.items()})

    def __missing__(self, code: int) -> str | int:
        form = self[code] = self._form(chr(code)) if code > 0x7F else code
        return form

    @staticmethod
    def _form(character: str) -> str:
        category = unicodedata.category(character)
        if category == "No":
            kind = unicodedata.decomposition(character)
            if kind.startswith("<super>"):
                return "^" + unicodedata.normalize("NFKC", character)
            return f" {character} " if kind and not kind.startswith("<sub>") else character
        return " " if category.startswith("P") and category != "Pc" and character not in _SAID else character


_FORMS: Final = _Forms()


def normal_form(text: str) -> str:
    """Return the text with one form for each case, space, mark and character: words with one space between.

    Empty only for blank texts. The normal form of a normal form is itself. Linear; about 1 µs for a line of
    ASCII, 10 µs for one of other characters.

    Source: Unicode Standard Annex 15 (NFKC; section 13 for rows of over 30 combining marks, which a space
        cuts here) and section 3.13 of the standard (case folding); the rules for marks are our own.
    """
    folded = text.casefold() if text.isascii() else _folded(text)
    if (":" in folded or ";" in folded) and _FACE.search(folded):
        parts = _FACE.split(folded)
        parts[::2] = [_DROPPED.sub(" ", part) for part in parts[::2]]
        return " ".join(" ".join(parts).split())
    return " ".join(_DROPPED.sub(" ", folded).split()) or " ".join(_case_and_form(text).split())


def _folded(text: str) -> str:
    """Return the text in lower case, in one Unicode form, with ASCII for the marks that have a like there."""
    # Once more after NFKC, which makes marks of their wide, small and vertical forms.
    return _case_and_form(text.translate(_FORMS)).translate(_FORMS)


def _case_and_form(text: str) -> str:
    # Combining marks in a row are sorted in quadratic time; the Stream-Safe Text Format allows 30 of them.
    safe = _LONG_ROW.sub(r"\1 ", text)
    # Folding undoes some of NFKC, and NFKC makes capitals of letter-like symbols.
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", safe).casefold())
    return _LONG_ROW.sub(r"\1 ", folded)
