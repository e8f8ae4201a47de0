"""Hits as JSON, and as lines in the manner of grep."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.errors import UsageError
from embedcli.write.columns import columns
from embedcli.write.links import file_url, linked
from embedcli.write.marked import marked_line
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from embedcli.datatypes import Hit, MarkedSpans
    from embedcli.write.links import LinkBase
    from embedcli.write.target import Output

# What a terminal acts on, or what turns the direction of a line: C0 but the tab, DEL, C1, bidi controls, and
# bytes of a name that are not UTF-8.
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]"
)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MAGENTA, _GREEN, _CYAN, _RESET = "\x1b[35m", "\x1b[32m", "\x1b[36m", "\x1b[m"
"""The colours of grep: path, line number, separator."""

_MARKED_CHARS = 4_096
"""Characters of a line of a terminal in which parts are marked: more than any has room for."""


@dataclass(frozen=True, slots=True)
class HitStyle:
    """How hits are shown.

    Attributes:
        color: Whether path, line, separators and the question's words have colours.
        escape_controls: Whether control characters are shown as escapes: on a terminal they would act.
        width: Columns of the terminal, to which a line is clipped with an ellipsis; None for no limit.
        links: Makes path and line a link to the file; None for no links.
        null: Whether a hit keeps its line breaks and ends with NUL.
    """

    color: bool = False
    escape_controls: bool = False
    width: int | None = None
    links: LinkBase | None = None
    null: bool = False


def write_hits_json(hits: Sequence[Hit], query: str, output: Output, *, explain: bool = False) -> None:
    """Write one object a line; a record's own fields stand after the named ones.

    Args:
        hits: Best first.
        query: The query's id, or the query.
        output: Where to.
        explain: Whether `parts` says what each score is made of.
    """
    for rank, hit in enumerate(hits, start=1):
        named: dict[str, Any] = {
            "query": query,
            "rank": rank,
            "score": hit.score,
            "cosine": hit.cosine,
            "id": hit.id,
            "chunk": hit.chunk,
            "path": hit.path,
            "line": hit.line,
            "end_line": hit.end_line,
            "start": hit.start,
            "end": hit.end,
            "text": hit.text,
            "alike": hit.alike,
            **({} if hit.model is None else {"model": hit.model}),
            **({"parts": {name: part._asdict() for name, part in hit.parts.items()}} if explain else {}),
            **({"terms": [part._asdict() for part in hit.terms]} if hit.terms else {}),
        }
        own = {key: value for key, value in hit.fields.items() if key not in named}
        output.write(dump({**named, **own}) + b"\n")


def check_trec(ids: Iterable[str], option: str = "--trec", hint: str = "--json") -> None:
    """Refuse ids of queries and hits that a TREC run cannot hold.

    Args:
        ids: All of them.
        option: What asked for a run.
        hint: What to type instead.

    Raises:
        UsageError: One holds white space, which parts the columns, or nothing at all.
    """
    for name in ids:
        if len(name.split()) != 1 or name != name.strip():
            raise UsageError(f"{option}: the id {name!r} is not one word", hint=hint)


def write_hits_trec(hits: Sequence[Hit], query: str, output: Output) -> None:
    """Write `query Q0 id rank score embedcli`, the run format of the Text Retrieval Conference.

    Args:
        hits: Best first.
        query: The query's id; see `check_trec`.
        output: Where to.
    """
    write_run(((hit.id, hit.score) for hit in hits), query, output)


def write_run(found: Iterable[tuple[str, float]], query: str, output: Output) -> None:
    """Write what was found for a query as lines of a TREC run.

    Args:
        found: Ids and scores, best first.
        query: The query's id; see `check_trec`.
        output: Where to.
    """
    for rank, (name, score) in enumerate(found, start=1):
        output.write(f"{query} Q0 {name} {rank} {score!r} embedcli\n".encode("utf-8", "surrogateescape"))


def write_hits_text(
    hits: Sequence[Hit],
    output: Output,
    style: HitStyle,
    query: str | None = None,
    *,
    explain: bool = False,
    marks: MarkedSpans | None = None,
    starts: Sequence[int] = (),
) -> None:
    """Write `path:line:score:text`, the text in one line; standard input has no path.

    Args:
        hits: Best first.
        output: Where to.
        style: How.
        query: The query's id, which begins each line; None where there is one query.
        explain: Whether a second line, indented, says what each score is made of.
        marks: Finds what is shown in the colour of a match.
        starts: Where in each hit's text its line begins, an ellipsis before it; empty for the beginning.
    """
    for number, hit in enumerate(hits):
        text = hit.text or ""
        start = starts[number] if starts else 0
        if not style.null:
            text = ("…" if text[:start].strip() else "") + _one_line(text[start:])
        output.write(_hit_line(hit, text, style, query, marks))
        if explain:
            output.write(b"\n" + _parts_line(hit))
        if hit.terms:
            output.write(b"\n" + _terms_line(hit, style))
        output.write(b"\0" if style.null else b"\n")


def is_clipped(hit: Hit, style: HitStyle, query: str | None = None) -> bool:
    """Whether a hit's text in one line is longer than the room that `write_hits_text` has for it."""
    room = _room(_shown_places(_places(hit, query), style), style)
    return room is not None and columns(_visible(_one_line(hit.text or ""), style)) > room


def write_place(path: str | None, line: int, text: str, output: Output, style: HitStyle) -> None:
    """Write `path:line:text`, the text in one line."""
    output.write(_line([(path, _MAGENTA), (str(line), _GREEN)], ":", _one_line(text), style) + b"\n")


def write_hits_with_context(
    hits: Sequence[Hit],
    lines: Sequence[Sequence[tuple[int, str]]],
    output: Output,
    style: HitStyle,
    *,
    marks: MarkedSpans | None = None,
) -> None:
    """Write each hit with the lines around it, and `--` between two hits, as grep does.

    Args:
        hits: In the order of the output.
        lines: For each hit, the numbered lines to show; the hit's own among them.
        output: Where to.
        style: How.
        marks: Finds what is shown in the colour of a match, within the hit's own lines.
    """
    for position, (hit, around) in enumerate(zip(hits, lines, strict=True)):
        if position:
            output.write(b"--\n")
        for number, text in [pair for pair in around if pair[0] < hit.line]:
            output.write(_context_line(hit, number, text, style))
        own = [pair for pair in around if hit.line <= pair[0] <= hit.end_line]
        if len(own) == hit.end_line - hit.line + 1:
            output.write(_hit_line(hit, own[0][1], style, marks=marks) + b"\n")
            for number, text in own[1:]:
                output.write(_context_line(hit, number, text, style, marks))
        else:
            output.write(_hit_line(hit, _one_line(hit.text or ""), style, marks=marks) + b"\n")
        for number, text in [pair for pair in around if pair[0] > hit.end_line]:
            output.write(_context_line(hit, number, text, style))


def write_paths(hits: Sequence[Hit], output: Output, stdin_name: str, end: bytes) -> None:
    """Write the name of each file with hits, best first."""
    for path in dict.fromkeys(hit.path or stdin_name for hit in hits):
        output.write(os.fsencode(path) + end)


def write_counts(hits: Sequence[Hit], output: Output, stdin_name: str, end: bytes = b"\n") -> None:
    """Write `path:count` for each file with hits, best first."""
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.path or stdin_name] = counts.get(hit.path or stdin_name, 0) + 1
    for path, count in counts.items():
        output.write(os.fsencode(f"{path}:{count}") + end)


def _one_line(text: str) -> str:
    return " ".join(text.split()) if "\n" in text else text


def _hit_line(
    hit: Hit, text: str, style: HitStyle, query: str | None = None, marks: MarkedSpans | None = None
) -> bytes:
    return _line(_places(hit, query), ":", text, style, marks)


def _places(hit: Hit, query: str | None) -> list[tuple[str | None, str]]:
    return [(query, ""), (hit.path, _MAGENTA), (str(hit.line), _GREEN), (f"{hit.score:.4f}", "")]


def _parts_line(hit: Hit) -> bytes:
    """Return the score as a sum: weight, scaled score, and what was scaled."""
    parts = [
        f"{part.weight:g} x {part.scaled:.4f} ({name} {part.value:.4f})" for name, part in hit.parts.items()
    ]
    return f"    {' + '.join(parts)}".encode()


def _context_line(
    hit: Hit, number: int, text: str, style: HitStyle, marks: MarkedSpans | None = None
) -> bytes:
    return _line([(hit.path, _MAGENTA), (str(number), _GREEN)], "-", text, style, marks) + b"\n"


def _terms_line(hit: Hit, style: HitStyle) -> bytes:
    """Return what counts most in the sparse part of a score: weight in the query x weight in the chunk."""
    terms = ", ".join(f"{part.term} {part.query:.2f} x {part.document:.2f}" for part in hit.terms)
    return _line([], ":", f"    {terms}", style)


def _line(
    places: Sequence[tuple[str | None, str]],
    separator: str,
    text: str,
    style: HitStyle,
    marks: MarkedSpans | None = None,
) -> bytes:
    """Return one line without its end: the places, each with the separator behind it, and the text."""
    shown = _shown_places(places, style)
    spans = (
        []
        if marks is None or not style.color
        else marks(text if style.width is None else text[:_MARKED_CHARS])
    )
    text = marked_line(text, spans, _room(shown, style), lambda part: _visible(part, style))
    if style.color:
        separator = f"{_CYAN}{separator}{_RESET}"
        shown = [(f"{color}{place}{_RESET}" if color else place, color) for place, color in shown]
    path = next((place for place, color in places if color == _MAGENTA), None)
    if style.links is not None and path is not None:
        shown = _link_places(shown, separator, file_url(path, style.links))
    head = "".join(place + separator for place, _ in shown)
    return f"{head}{text}".encode("utf-8", "surrogateescape")


def _shown_places(places: Sequence[tuple[str | None, str]], style: HitStyle) -> list[tuple[str, str]]:
    return [(_shown(place, style), color) for place, color in places if place is not None]


def _link_places(shown: list[tuple[str, str]], separator: str, url: str) -> list[tuple[str, str]]:
    """Return the places with path and line number, which follow each other, as one link."""
    at = [color for _, color in shown].index(_MAGENTA)
    link = linked(shown[at][0] + separator + shown[at + 1][0], url)
    return [*shown[:at], (link, ""), *shown[at + 2 :]]


def _room(shown: Sequence[tuple[str, str]], style: HitStyle) -> int | None:
    """Return how many columns are left for the text."""
    if style.width is None:
        return None
    return max(1, style.width - sum(columns(place) + 1 for place, _ in shown))


def _visible(text: str, style: HitStyle) -> str:
    """Show a text of a hit; with `null` its line breaks stay."""
    # A half surrogate pair in a text has no bytes; in a name it stands for a byte that is not UTF-8.
    lines = (_shown(line, style) for line in text.split("\n")) if style.null else [_shown(text, style)]
    return _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", "\n".join(lines))


def _shown(text: str, style: HitStyle) -> str:
    r"""Show what a terminal would act on as an escape such as `\x1b`."""
    if not style.escape_controls:
        return text
    return _CONTROLS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    # A byte that is not UTF-8 comes as 0xdc00 plus itself.
    character = chr(ord(match[0]) - 0xDC00) if match[0] >= "\udc80" else match[0]
    return character.encode("unicode_escape").decode("ascii")
