"""Hits as JSON, and as lines in the manner of grep."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.errors import UsageError
from embedcli.write.columns import clip, columns
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from embedcli.datatypes import Hit
    from embedcli.write.target import Output

# What a terminal acts on, or what turns the direction of a line: C0 but the tab, DEL, C1, bidi controls, and
# bytes of a name that are not UTF-8.
_CONTROLS = re.compile(
    "[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\udc80-\udcff]"
)
_HALF_PAIR = re.compile("[\ud800-\udfff]")
_MAGENTA, _GREEN, _CYAN, _RESET = "\x1b[35m", "\x1b[32m", "\x1b[36m", "\x1b[m"
"""The colours of grep: path, line number, separator."""


@dataclass(frozen=True, slots=True)
class HitStyle:
    """How hits are shown.

    Attributes:
        color: Whether path, line and separators have colours.
        escape_controls: Whether control characters are shown as escapes: on a terminal they would act.
        width: Columns of the terminal, to which a line is clipped with an ellipsis; None for no limit.
    """

    color: bool = False
    escape_controls: bool = False
    width: int | None = None


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
            "text": hit.text,
            **({} if hit.model is None else {"model": hit.model}),
            **({"parts": {name: part._asdict() for name, part in hit.parts.items()}} if explain else {}),
            **({"terms": [part._asdict() for part in hit.terms]} if hit.terms else {}),
        }
        own = {key: value for key, value in hit.fields.items() if key not in named}
        output.write(dump({**named, **own}) + b"\n")


def check_trec(ids: Iterable[str]) -> None:
    """Refuse ids of queries and hits that a TREC run cannot hold.

    Raises:
        UsageError: One holds white space, which parts the columns, or nothing at all.
    """
    for name in ids:
        if len(name.split()) != 1 or name != name.strip():
            raise UsageError(f"--trec: the id {name!r} is not one word", hint="--json")


def write_hits_trec(hits: Sequence[Hit], query: str, output: Output) -> None:
    """Write `query Q0 id rank score embedcli`, the run format of the Text Retrieval Conference.

    Args:
        hits: Best first.
        query: The query's id; see `check_trec`.
        output: Where to.
    """
    for rank, hit in enumerate(hits, start=1):
        line = f"{query} Q0 {hit.id} {rank} {hit.score!r} embedcli\n"
        output.write(line.encode("utf-8", "surrogateescape"))


def write_hits_text(
    hits: Sequence[Hit], output: Output, style: HitStyle, query: str | None = None, *, explain: bool = False
) -> None:
    """Write `path:line:score:text`, the text in one line; standard input has no path.

    Args:
        hits: Best first.
        output: Where to.
        style: How.
        query: The query's id, which begins each line; None where there is one query.
        explain: Whether a second line, indented, says what each score is made of.
    """
    for hit in hits:
        output.write(_hit_line(hit, _one_line(hit.text or ""), style, query))
        if explain:
            output.write(_parts_line(hit))
        if hit.terms:
            output.write(_terms_line(hit, style))


def write_place(path: str | None, line: int, text: str, output: Output, style: HitStyle) -> None:
    """Write `path:line:text`, the text in one line."""
    output.write(_line([(path, _MAGENTA), (str(line), _GREEN)], ":", _one_line(text), style))


def write_hits_with_context(
    hits: Sequence[Hit], lines: Sequence[Sequence[tuple[int, str]]], output: Output, style: HitStyle
) -> None:
    """Write each hit with the lines around it, and `--` between two hits, as grep does.

    Args:
        hits: In the order of the output.
        lines: For each hit, the numbered lines to show; the hit's own among them.
        output: Where to.
        style: How.
    """
    for position, (hit, around) in enumerate(zip(hits, lines, strict=True)):
        if position:
            output.write(b"--\n")
        for number, text in [pair for pair in around if pair[0] < hit.line]:
            output.write(_context_line(hit, number, text, style))
        own = [pair for pair in around if hit.line <= pair[0] <= hit.end_line]
        if len(own) == hit.end_line - hit.line + 1:
            output.write(_hit_line(hit, own[0][1], style))
            for number, text in own[1:]:
                output.write(_context_line(hit, number, text, style))
        else:
            output.write(_hit_line(hit, _one_line(hit.text or ""), style))
        for number, text in [pair for pair in around if pair[0] > hit.end_line]:
            output.write(_context_line(hit, number, text, style))


def write_paths(hits: Sequence[Hit], output: Output, stdin_name: str, end: bytes) -> None:
    """Write the name of each file with hits, best first."""
    for path in dict.fromkeys(hit.path or stdin_name for hit in hits):
        output.write(os.fsencode(path) + end)


def write_counts(hits: Sequence[Hit], output: Output, stdin_name: str) -> None:
    """Write `path:count` for each file with hits, best first."""
    counts: dict[str, int] = {}
    for hit in hits:
        counts[hit.path or stdin_name] = counts.get(hit.path or stdin_name, 0) + 1
    for path, count in counts.items():
        output.write(os.fsencode(f"{path}:{count}\n"))


def _one_line(text: str) -> str:
    return " ".join(text.split()) if "\n" in text else text


def _hit_line(hit: Hit, text: str, style: HitStyle, query: str | None = None) -> bytes:
    places = [(query, ""), (hit.path, _MAGENTA), (str(hit.line), _GREEN), (f"{hit.score:.4f}", "")]
    return _line(places, ":", text, style)


def _parts_line(hit: Hit) -> bytes:
    """Return the score as a sum: weight, scaled score, and what was scaled."""
    parts = [
        f"{part.weight:g} x {part.scaled:.4f} ({name} {part.value:.4f})" for name, part in hit.parts.items()
    ]
    return f"    {' + '.join(parts)}\n".encode()


def _context_line(hit: Hit, number: int, text: str, style: HitStyle) -> bytes:
    return _line([(hit.path, _MAGENTA), (str(number), _GREEN)], "-", text, style)


def _terms_line(hit: Hit, style: HitStyle) -> bytes:
    """Return what counts most in the sparse part of a score: weight in the query x weight in the chunk."""
    terms = ", ".join(f"{part.term} {part.query:.2f} x {part.document:.2f}" for part in hit.terms)
    return _line([], ":", f"    {terms}", style)


def _line(places: Sequence[tuple[str | None, str]], separator: str, text: str, style: HitStyle) -> bytes:
    """Return one line: the places, each with the separator behind it, and the text."""
    shown = [(_shown(place, style), color) for place, color in places if place is not None]
    # A half surrogate pair in a text has no bytes; in a name it stands for a byte that is not UTF-8.
    text = _HALF_PAIR.sub("\N{REPLACEMENT CHARACTER}", _shown(text, style))
    if style.width is not None:
        text = clip(text, max(1, style.width - sum(columns(place) + 1 for place, _ in shown)))
    if style.color:
        separator = f"{_CYAN}{separator}{_RESET}"
        shown = [(f"{color}{place}{_RESET}" if color else place, color) for place, color in shown]
    head = "".join(place + separator for place, _ in shown)
    return f"{head}{text}\n".encode("utf-8", "surrogateescape")


def _shown(text: str, style: HitStyle) -> str:
    r"""Show what a terminal would act on as an escape such as `\x1b`."""
    if not style.escape_controls:
        return text
    return _CONTROLS.sub(_escape, text)


def _escape(match: re.Match[str]) -> str:
    # A byte that is not UTF-8 comes as 0xdc00 plus itself.
    character = chr(ord(match[0]) - 0xDC00) if match[0] >= "\udc80" else match[0]
    return character.encode("unicode_escape").decode("ascii")
