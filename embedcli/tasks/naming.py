"""Names for groups of texts, made of the words that they have and others have not.

Source: class-based TF-IDF, M. Grootendorst, "BERTopic: Neural topic modeling with a class-based TF-IDF
procedure" (2022), section 3.3: a term weighs (its share in the group) x log(1 + A / f), with its number f in
all groups and the average number A of terms in a group. Here a term counts once for each text that it is in,
so that one long text does not name a group.
"""

from __future__ import annotations

import heapq
import itertools
import math
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.records.terms import is_run, terms_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

NAME_TERMS: Final = 3
MOST_COUNTS: Final = 1 << 20
"""Numbers of terms in groups that are kept, some 150 MB; when there are more, each group loses the rarer half
of its terms."""

_COUNTS_OF_A_GROUP: Final = 8
"""As many each group keeps at least, however many groups there are."""
_RANKED: Final = 60
"""Terms of a group that are looked at, and how many of them are kept that do not repeat another."""
_DIFFERENT: Final = 16
_MERGED: Final = 400
"""Terms of a group, the most frequent ones, that count in the names of unions."""
_COVERS: Final = 0.8
"""A longer term that has this share of the texts of one inside it stands for both."""
_STEM: Final = 4
_ENDING: Final = 3
"""Letters that a form of a word has at most behind one of `_STEM` or more (`failure`, not `cardiology`)."""
_SAME_START: Final = 6
"""Longer words with the same first letters, at most so many, are taken for forms of one (`verification`)."""


class Namer:
    """Counts the terms of groups; gives each group a name.

    Memory is O(different terms of each group) up to `MOST_COUNTS`, however many texts there are.
    """

    def __init__(self, groups: int) -> None:
        """Start with nothing counted.

        Args:
            groups: How many; they are numbered from 0.
        """
        # Behind those of the groups, where -1 points to, stands what belongs to none.
        self._counts: list[Counter[str]] = [Counter() for _ in range(groups + 1)]
        self._kept = 0
        self._most = max(MOST_COUNTS, _COUNTS_OF_A_GROUP * groups)
        self._known: list[list[str]] | None = None

    def add(self, text: str, group: int) -> None:
        """Count the terms of a text.

        Args:
            text: Of any length.
            group: From 0; -1 for none, so that it only says which terms are frequent everywhere.
        """
        self._known = None
        counts = self._counts[group]
        before = len(counts)
        counts.update(terms_of(text))
        self._kept += len(counts) - before
        if self._kept > self._most:
            self._counts = [
                Counter(dict(_most_frequent(each, (len(each) + 1) // 2))) for each in self._counts
            ]
            self._kept = sum(map(len, self._counts))

    def names(self, numbers: Sequence[int] | None = None) -> list[str]:
        """Return a name for each group: up to three terms, the one that says most first.

        None is empty, and no two are of the same terms: of two that would be, the later takes other terms.

        Args:
            numbers: What a group without terms of its own is called by, each once; None for its number here.
        """
        return _named(self._ranked(), numbers or range(len(self._counts) - 1), set())

    def terms(self, count: int) -> list[list[str]]:
        """Return the terms that say most of each group, at most so many, the best first."""
        return [ranked[:count] for ranked in self._ranked()]

    def joined_names(self, joins: Sequence[tuple[int, int]]) -> list[str]:
        """Return a name for each of some unions of groups; none is that of a group or of another union.

        Args:
            joins: What each union is made of: numbers of groups, or those of earlier unions, which count on
                from the groups.
        """
        weigh, groups = self._weights(), len(self._counts) - 1
        tops = [_top(counts) for counts in self._counts[:-1]]
        for first, second in joins:
            tops.append(_top(tops[first] + tops[second]))
        taken = {frozenset(name.split(", ")) for name in self.names()}
        unions = range(groups, len(tops))
        return _named([_ranked(weigh, tops[union]) for union in unions], unions, taken)

    def union_names(self, unions: Sequence[Sequence[int]]) -> list[str]:
        """Return a name for each of some unions of groups; none is that of a group or of another union."""
        weigh, groups = self._weights(), len(self._counts) - 1
        tops = [_top(counts) for counts in self._counts[:-1]]
        ranked = []
        for union in unions:
            counts: Counter[str] = Counter()
            for group in union:
                counts.update(tops[group])
            ranked.append(_ranked(weigh, counts))
        taken = {frozenset(name.split(", ")) for name in self.names()}
        return _named(ranked, range(groups, groups + len(unions)), taken)

    def _ranked(self) -> list[list[str]]:
        if self._known is None:
            weigh = self._weights()
            self._known = [_ranked(weigh, counts) for counts in self._counts[:-1]]
        return self._known

    def _weights(self) -> _Weights:
        everywhere: Counter[str] = Counter()
        for counts in self._counts:
            everywhere.update(counts)
        return _Weights(everywhere, everywhere.total() / max(1, len(self._counts) - 1))


class _Weights(NamedTuple):
    """What a term weighs.

    Attributes:
        everywhere: In how many texts each term is.
        average: Terms of a group.
    """

    everywhere: Counter[str]
    average: float

    def of(self, term: str, count: int) -> float:
        """Return the weight of a term that so many texts of a group have, up to a factor of the group."""
        return count * math.log1p(self.average / self.everywhere[term])


def _most_frequent(counts: Counter[str], most: int) -> list[tuple[str, int]]:
    return heapq.nsmallest(most, counts.items(), key=lambda item: (-item[1], item[0]))


def _top(counts: Counter[str]) -> Counter[str]:
    return Counter(dict(_most_frequent(counts, _MERGED)))


def _ranked(weigh: _Weights, counts: Counter[str]) -> list[str]:
    """Return terms of a group, the one that weighs most first, none of them repeating another.

    What one text alone has comes last: it is the rarest, and says nothing of the group.
    """
    best = heapq.nsmallest(
        _RANKED, counts, key=lambda term: (counts[term] == 1, -weigh.of(term, counts[term]), -len(term), term)
    )
    kept: list[str] = []
    for term in best:
        if len(kept) == _DIFFERENT:
            break
        longer = (
            other
            for other in best
            if len(other) > len(term)
            and term in other
            and _contains(other, term)
            and counts[other] >= _COVERS * counts[term]
        )
        chosen = max(longer, key=lambda other: (len(other), other), default=term)
        if not any(_repeats(chosen, other) for other in kept):
            kept.append(chosen)
    return kept


def _contains(longer: str, term: str) -> bool:
    """Whether a term is part of a longer one, as a word of it or a run of its characters."""
    return term in longer if is_run(term) else term in longer.split(" ")


def _repeats(first: str, second: str) -> bool:
    """Whether two terms share a word, in whatever form, or two neighbours of writing without spaces."""
    if is_run(first) or is_run(second):
        return not {*itertools.pairwise(first)}.isdisjoint(itertools.pairwise(second))
    return any(_is_same_word(one, other) for one in first.split(" ") for other in second.split(" "))


def _is_same_word(first: str, second: str) -> bool:
    """Whether one of two words is the other with another ending, such as a plural; wrong now and then."""
    if first[0] != second[0]:
        return False
    shorter, longer = sorted((first, second), key=len)
    if longer in (shorter, shorter + "s"):
        return True
    if len(shorter) < _STEM:
        return False
    stem = shorter[:-1] if shorter[-1] in "ey" else shorter
    is_form = longer.startswith(stem) and len(longer) - len(stem) <= _ENDING
    return is_form or (len(stem) > _STEM and longer.startswith(stem[:_SAME_START]))


def _named(ranked: Iterable[Sequence[str]], numbers: Iterable[int], taken: set[frozenset[str]]) -> list[str]:
    """Return a name of each list of terms, in turn.

    Args:
        ranked: The best first.
        numbers: What those without a name of their own are called by, each once.
        taken: Sets of terms that no name is made of; those of the names come to it.
    """
    names = []
    for number, terms in zip(numbers, ranked, strict=True):
        name = next((each for each in _choices(terms) if frozenset(each) not in taken), None)
        if name is None:
            name = (*terms[:1], f"cluster {number}")
        taken.add(frozenset(name))
        names.append(", ".join(name))
    return names


def _choices(terms: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield names, the best first: the first terms, then with another one at the end."""
    if len(terms) <= NAME_TERMS:
        if terms:
            yield (*terms,)
        return
    for last in terms[NAME_TERMS - 1 :]:
        yield (*terms[: NAME_TERMS - 1], last)
