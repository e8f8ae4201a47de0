"""Where the parts of a Markdown text and of source code begin, line by line."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

TITLE_CHARS: Final = 200
"""How much of a heading is looked at when it is a title."""

_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t]|$)")
_CLOSING = re.compile(r"(?:^|(?<=[ \t]))#+$")
_UNDERLINE = re.compile(r" {0,3}(?:=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?P<fence>`{3,}|~{3,})(?P<rest>.*)$")
_FRONT_MATTER_END = re.compile(r"(?:---|\.\.\.)[ \t]*$")
_NO_HEADING = re.compile(r" {4}|\t| {0,3}[>|*+-]")
_CLOSES = re.compile(
    r"[})\]]|#\s*(?:endif|else|elif)\b"
    r"|(?:end|else|elif|elsif|elseif|except|finally|rescue|ensure|catch|then|fi|done|esac)\b"
)


class Heading(NamedTuple):
    """A heading of a Markdown text.

    Attributes:
        start: Where its first line begins, in characters.
        level: 1 for the highest, to 6.
        text: Without its marks; at most `TITLE_CHARS` characters of it.
    """

    start: int
    level: int
    text: str


def iter_sections(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans that join back to a Markdown text: each heading with what stands below it. Linear.

    What stands before the first heading is a part of its own.
    """
    start = 0
    for heading in iter_headings(text):
        if heading.start > start:
            yield start, heading.start
            start = heading.start
    if start < len(text):
        yield start, len(text)


def iter_headings(text: str) -> Iterator[Heading]:
    """Yield the headings of a Markdown text. Linear.

    A heading begins with `#`, or is a line by itself that is underlined with `=` or `-`. Lines in fenced code
    and in front matter are none.

    Source: CommonMark 0.31, sections 4.2, 4.3 and 4.5; an underlined heading of several lines counts as text.
    """
    verbatim = _Verbatim()
    above, before = (0, ""), (0, "")
    for place, line in _lines(text):
        is_text = not verbatim.takes(line)
        heading = None
        if is_text and (found := _HEADING.match(line)):
            marked = line[found.end() :][:TITLE_CHARS].strip()
            heading = Heading(place, len(found[0].strip()), _CLOSING.sub("", marked).strip())
        elif is_text and _UNDERLINE.match(line) and _is_alone(above[1], before[1]):
            level = 1 if line.lstrip().startswith("=") else 2
            heading = Heading(before[0], level, before[1].strip()[:TITLE_CHARS])
        if heading is not None:
            yield heading
        # What cannot be underlined counts as nothing.
        above, before = before, (place, line if is_text and heading is None else "")


def heading_paths(text: str, ends: Iterable[int]) -> Iterator[str]:
    """Yield for each place in a Markdown text, in ascending order, the headings it stands under.

    They are joined as in `Guide > Install`; an empty string where there is none.
    """
    headings = iter_headings(text)
    coming = next(headings, None)
    above: list[Heading] = []
    for end in ends:
        while coming is not None and coming.start < end:
            above = [*(heading for heading in above if heading.level < coming.level), coming]
            coming = next(headings, None)
        yield " > ".join(heading.text for heading in above if heading.text)


class _Verbatim:
    """Tells which lines of a Markdown text, shown one after the other, are front matter or fenced code."""

    def __init__(self) -> None:
        self._fence = ""
        self._is_first, self._is_front = True, False

    def takes(self, line: str) -> bool:
        """Return whether a line is no text: in front matter, in fenced code, or a fence itself."""
        is_first, self._is_first = self._is_first, False
        if self._is_front:
            self._is_front = not _FRONT_MATTER_END.match(line)
            return True
        if is_first and line.rstrip() == "---":
            self._is_front = True
            return True
        found = _FENCE.match(line)
        if self._fence:
            if found and found["fence"].startswith(self._fence) and not found["rest"].strip():
                self._fence = ""
            return True
        if found and not (found["fence"][0] == "`" and "`" in found["rest"]):
            self._fence = found["fence"]
            return True
        return False


def iter_code_blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield spans that join back to source code: each definition with the comments above it. Linear.

    A block begins at a line without indentation, after a blank line or after an indented one, unless the line
    only closes what is above it (`}`, `end`, `else`, …). That holds for most languages, whatever they are,
    without their grammars; a body that stands at the margin, or a blank line in a long string, begins a block
    too many.
    """
    start = 0
    may_begin = False
    for place, line in _lines(text):
        if not line.strip() or line[0].isspace() or _CLOSES.match(line):
            may_begin = True
            continue
        if may_begin and place > start:
            yield start, place
            start = place
        may_begin = False
    if start < len(text):
        yield start, len(text)


def _is_alone(above: str, line: str) -> bool:
    """Return whether a line could be the heading above an underline: text, with nothing right above it."""
    return bool(line.strip()) and not above.strip() and not _NO_HEADING.match(line)


def _lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield each line without its end, and where it begins."""
    start = 0
    while start < len(text):
        line_break = text.find("\n", start)
        end = len(text) if line_break < 0 else line_break
        yield start, text[start:end]
        start = end + 1
