"""Ranked chunks put together to hits: one a record, neighbours joined, repeated texts shown once."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.tasks.group import group_of

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    from embedcli.datatypes import Hit, ScorePart, TermPart
    from embedcli.tasks.search import SearchSettings

JOINED_CHUNKS: Final = 3
"""Most chunks of one hit: with more, a short file would be one hit, wherever its answer stands."""

JOINED_RATIO: Final = 0.8
"""A chunk that touches a better one joins it if it is at least so close: else it only stands beside it."""

ALIKE_WORDS: Final = 20
ALIKE_RATIO: Final = 0.95
"""Texts of so many words are alike where they share this much of them; shorter ones where the words are the
same in the same order: in a line of a log, one number makes another event."""

_MORE = 4
"""At most so many times as many chunks are asked for where those that were found make too few hits."""

_SPARE: Final = 1.25
"""So many times as many as would do if further chunks made as many hits as those that were found."""

_WORD = re.compile(r"\w+")


class Ranked(NamedTuple):
    """A row and what ranks it; see `Hit`."""

    row: int
    score: float
    cosine: float | None
    parts: Mapping[str, ScorePart]
    terms: tuple[TermPart, ...] = ()


def put_together(hits: Iterable[Hit], settings: SearchSettings) -> list[Hit]:
    """Return at most `top_k` hits, in the order of their best chunks.

    Chunks are looked at in their order until there are enough hits. One of a group (`group.group_of`) that is
    there already is passed over. One whose text an earlier hit shows is only counted there, in `alike`. One
    that overlaps a chunk of an earlier hit joins it, and one that touches it does if it is nearly as close,
    both in text files and among the first `top_k`: what is only met while hits are filled up is no better
    than what stands elsewhere.

    Args:
        hits: Single chunks, best first.
        settings: What a hit stands for, whether chunks are joined and whether repeated texts are shown.
    """
    found: dict[int, Hit] = {}
    groups: set[Hashable] = set()
    shown, joins = _Shown(), _Joins()
    looked_at = 0
    for number, hit in enumerate(hits):
        if len(found) == settings.top_k:
            break
        group = group_of(
            settings.by, path=hit.path, record=hit.id, chunk=hit.chunk, whole_file=hit.whole_file
        )
        # Two indexes may hold the same chunk; to show each was asked for.
        if group in groups and settings.by != "chunk":
            continue
        groups.add(group)
        if settings.collapse and (earlier := shown.find(hit)) is not None:
            place = joins.place_of(earlier)
            found[place] = replace(found[place], alike=found[place].alike + shown.count(hit))
            continue
        found[number] = hit
        looked_at += 1
        if settings.merge and settings.by is None and hit.whole_file and looked_at <= settings.top_k:
            for other in joins.add(number, hit):
                first, later = sorted((joins.place_of(number), other))
                if _belong_together(found[first], found[later]):
                    found[first] = join(found[first], found.pop(later))
                    joins.unite(first, later)
        if settings.collapse:
            shown.add(number, hit)
    return list(found.values())


def _belong_together(best: Hit, other: Hit) -> bool:
    """Whether two hits that touch or overlap are one answer."""
    if min(best.end, other.end) > max(best.start, other.start):
        return True
    near, less = (hit.score if hit.cosine is None else hit.cosine for hit in (best, other))
    return less >= near - (1 - JOINED_RATIO) * abs(near)


class _Joins:
    """Which hits are parts of which, by the numbers of their chunks."""

    def __init__(self) -> None:
        self._chunks: dict[tuple[str | None, str, int], int] = {}
        self._place: dict[int, int] = {}
        self._sizes: dict[int, int] = {}

    def place_of(self, number: int) -> int:
        """Return the hit that a chunk is in: the number of its best chunk."""
        while (place := self._place.get(number, number)) != number:
            number = place
        return number

    def add(self, number: int, hit: Hit) -> list[int]:
        """Take a chunk in; return the hits that it may join, best first."""
        self._chunks[hit.path, hit.id, hit.chunk] = number
        self._sizes[number] = size = 1
        beside = [self._chunks.get((hit.path, hit.id, hit.chunk + step)) for step in (-1, 1)]
        joined = []
        for place in sorted({self.place_of(other) for other in beside if other is not None}):
            if size + self._sizes[place] <= JOINED_CHUNKS:
                size += self._sizes[place]
                joined.append(place)
        return joined

    def unite(self, first: int, later: int) -> None:
        """Make one hit part of another."""
        self._place[later] = first
        self._sizes[first] += self._sizes.pop(later)


def enough_hits(
    search: Callable[[Sequence[int], int], list[list[Hit]]], queries: int, settings: SearchSettings
) -> list[list[Hit]]:
    """Return the hits of each query: `top_k` of them whenever there are as many.

    Args:
        search: Gives the best chunks for some queries, by their numbers, at most so many, or all there are.
        queries: How many there are.
        settings: See `put_together`.
    """
    answers: list[list[Hit]] = [[] for _ in range(queries)]
    missing: Sequence[int] = range(queries)
    count = max(settings.top_k, settings.first_chunks)
    while missing:
        short, more = [], 0.0
        for number, hits in zip(missing, search(missing, count), strict=True):
            answers[number] = put_together(hits, settings)
            if len(answers[number]) < settings.top_k and len(hits) >= count:
                short.append(number)
                # As many again as the found ones suggest, and a little more.
                more = max(more, min(_MORE, _SPARE * settings.top_k / max(1, len(answers[number]))))
        missing, count = short, math.ceil(count * more)
    return answers


def join(best: Hit, other: Hit) -> Hit:
    """Return a hit that spans two chunks of one file that overlap or touch, with all else of the first.

    Nothing but white space stands between two such chunks: it comes back as the line breaks there were and
    spaces for the rest, so that characters keep their places.
    """
    first, second = sorted((best, other), key=lambda hit: hit.start)
    text = None
    if first.text is not None and second.text is not None:
        gap = second.start - first.end
        breaks = min(max(0, second.line - first.end_line), max(0, gap))
        text = first.text + "\n" * breaks + " " * (gap - breaks) + second.text[max(0, -gap) :]
    return replace(
        best,
        start=first.start,
        end=max(first.end, second.end),
        line=first.line,
        end_line=max(first.end_line, second.end_line),
        text=text,
    )


class _Shown:
    """The texts of chunks, so that one that says the same is recognized. O(texts of about its length)."""

    def __init__(self) -> None:
        self._exact: dict[tuple[str, ...], int] = {}
        self._long: dict[int, list[tuple[Counter[str], int]]] = {}
        self._counted: set[tuple[str | None, str]] = set()

    def add(self, number: int, hit: Hit) -> None:
        """Remember what a chunk says."""
        words = _words(hit)
        if words:
            self._exact.setdefault(words, number)
            if len(words) >= ALIKE_WORDS:
                self._long.setdefault(len(words), []).append((Counter(words), number))

    def find(self, hit: Hit) -> int | None:
        """Return the number of a chunk that says the same; None if there is none."""
        words = _words(hit)
        if not words or words in self._exact:
            return self._exact.get(words)
        counts = Counter(words)
        for length in range(int(ALIKE_RATIO * len(words)), int(len(words) / ALIKE_RATIO) + 1):
            for other, number in self._long.get(length, ()):
                shared = (counts & other).total()
                if shared >= ALIKE_RATIO * (len(words) + length - shared):
                    return number
        return None

    def count(self, hit: Hit) -> int:
        """Return how many records a chunk that says nothing new stands for: a file of several counts once."""
        key = (hit.path, hit.id)
        if key in self._counted:
            return hit.alike
        self._counted.add(key)
        return 1 + hit.alike


def _words(hit: Hit) -> tuple[str, ...]:
    """Return the words of a hit, case and all between them left out; the whole text where it has none."""
    text = hit.text or ""
    return tuple(_WORD.findall(text.casefold())) or ((text.strip(),) if text.strip() else ())
