"""Ranked chunks put together: one of each group, neighbours joined, nothing said twice."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import Hit
from embedcli.tasks.answers import JOINED_CHUNKS, enough_hits, join, put_together
from embedcli.tasks.search import SearchSettings

PLAIN = SearchSettings(10, merge=False, collapse=False)


def hit(
    record: str,
    score: float = 1,
    *,
    text: str = "x",
    path: str | None = "a",
    chunk: int = 1,
    whole: bool = False,
) -> Hit:
    return Hit(score, score, record, chunk, path, 1, 1, text, whole_file=whole)


def test_the_first_of_each_group_stays_in_its_place():
    hits = [hit("r", 9, chunk=2), hit("s", 8), hit("r", 7), hit("t", 6), hit("s", 5, chunk=2)]

    def found(**settings):
        return [(each.id, each.chunk) for each in put_together(hits, replace(PLAIN, **settings))]

    assert found() == [("r", 2), ("s", 1), ("t", 1)]
    assert len(found(by="chunk")) == 5
    assert found(by="file") == [("r", 2)]
    assert found(top_k=2) == [("r", 2), ("s", 1)]


@pytest.mark.parametrize(("by", "asked"), [(None, [(0, 1), (1,), (1,)]), ("chunk", [(0, 1)])])
def test_more_is_asked_for_only_where_it_is_needed(by, asked):
    plenty = [hit(f"r{number}", 100 - number) for number in range(50)]
    crowded = [hit("one", 100 - number, chunk=number + 1) for number in range(40)] + [
        hit("two", 1), hit("three", 0), hit("four", -1),
    ]  # fmt: skip
    calls = []

    def search(numbers, count):
        calls.append(tuple(numbers))
        return [(plenty, crowded)[number][:count] for number in numbers]

    found = enough_hits(search, 2, replace(PLAIN, by=by, top_k=3))
    assert calls == asked
    assert [each.id for each in found[0]] == ["r0", "r1", "r2"]
    assert [each.id for each in found[1]] == (["one"] * 3 if by else ["one", "two", "three"])


@st.composite
def cut_texts(draw):
    """A text in windows that overlap, touch, or have line breaks and spaces between them; and their ranking."""
    words = [f"w{number}" for number in range(draw(st.integers(1, 30)))]
    gaps = draw(st.lists(st.sampled_from([" ", "  ", "\n", "\n\n", "\n  "]), min_size=30, max_size=30))
    spans, text = [], ""
    for word, gap in zip(words, gaps, strict=False):
        text += gap if text else ""
        spans.append((len(text), len(text) + len(word)))
        text += word
    chunks, first = [], 0
    while first < len(words):
        last = min(len(words), first + draw(st.integers(1, 4)))
        chunks.append((spans[first][0], spans[last - 1][1]))
        overlap = draw(st.integers(0, 1)) if last - first > 1 and last < len(words) else 0
        first = last - overlap
    order = draw(st.permutations(range(len(chunks))))
    hits = [
        Hit(
            *(-rank, 0.0, "file", number + 1, "file", 1 + text.count("\n", 0, chunks[number][0])),
            1 + text.count("\n", 0, chunks[number][1]),
            text[slice(*chunks[number])],
            whole_file=True,
            start=chunks[number][0],
            end=chunks[number][1],
        )
        for rank, number in enumerate(order)
    ]
    return text, hits


@given(cut_texts(), st.integers(1, 8))
def test_joined_hits_are_spans_of_the_text(cut, top_k):
    text, hits = cut
    found = put_together(hits, SearchSettings(top_k, collapse=False))
    assert len(found) <= top_k
    for each in found:
        assert each.text == text[each.start : each.end]
        assert each.line == 1 + text.count("\n", 0, each.start)
        assert each.end_line == 1 + text.count("\n", 0, each.end)
    # In the order of the best chunk of each, and none of them twice.
    scores = [each.score for each in found]
    assert scores == sorted(set(scores), reverse=True)
    assert found[0].score == hits[0].score
    # The first chunks are all in some hit.
    for earlier in hits[: len(found)]:
        assert any(each.start <= earlier.start and earlier.end <= each.end for each in found)


def test_a_hit_takes_no_more_than_its_neighbours():
    hits = [
        Hit(-rank, 0, "f", number, "f", number, number, f"t{number}", whole_file=True, start=3 * number, end=3 * number + 2)
        for rank, number in enumerate([5, 6, 4, 7, 3, 9])
    ]  # fmt: skip
    found = put_together(hits, SearchSettings(10, collapse=False))
    assert [each.text for each in found] == ["t4\nt5\nt6", "t7", "t3", "t9"]
    assert JOINED_CHUNKS == 3
    assert [each.text for each in put_together(hits, SearchSettings(1, collapse=False))] == ["t5"]
    # The fourth only fills up: nothing but its place speaks for it.
    assert [each.text for each in put_together(hits, SearchSettings(2, collapse=False))] == ["t5\nt6", "t4"]
    assert len(put_together(hits, SearchSettings(10, by="chunk", collapse=False))) == 6
    records = [replace(each, whole_file=False, id=each.text) for each in hits]
    assert len(put_together(records, SearchSettings(10, collapse=False))) == 6


@pytest.mark.parametrize(
    ("cosines", "start", "joins"),
    [((0.5, 0.41), 3, True), ((0.5, 0.39), 3, False), ((0.5, 0.1), 1, True), ((-0.1, -0.11), 3, True)],
)
def test_what_only_touches_must_be_nearly_as_close(cosines, start, joins):
    hits = [
        Hit(9 - number, cosine, "f", number + 1, "f", 1, 1, "ab", whole_file=True, start=at, end=at + 2)
        for number, (cosine, at) in enumerate(zip(cosines, (0, start), strict=True))
    ]
    assert len(put_together(hits, SearchSettings(10, collapse=False))) == (1 if joins else 2)
    bm25 = [replace(each, cosine=None, score=10 * each.cosine) for each in hits]
    assert len(put_together(bm25, SearchSettings(10, collapse=False))) == (1 if joins else 2)


def test_texts_that_an_index_does_not_keep_have_no_join():
    first = Hit(1, 1, "f", 1, "f", 1, 1, None, start=0, end=4)
    joined = join(first, Hit(0, 0, "f", 2, "f", 3, 3, None, start=6, end=9))
    assert (joined.text, joined.start, joined.end, joined.end_line) == (None, 0, 9, 3)


LONG = " ".join(f"word{number}" for number in range(40))


@pytest.mark.parametrize(
    ("first", "second", "alike"),
    [
        ("Disk full", "disk  FULL!", True),
        ("disk full", "full disk", False),
        ("error 4042", "error 4043", False),
        ("???", "???", True),
        ("???", "!!!", False),
        (LONG, LONG.replace("word7 ", "other "), True),
        (LONG, LONG + " and one more", False),
        (LONG, " ".join(reversed(LONG.split())), True),
        ("", "", False),
    ],
)
def test_what_says_the_same(first, second, alike):
    hits = [hit("r", text=first), hit("s", text="between"), hit("t", text=second), hit("u", text=second)]
    found = put_together(hits, SearchSettings(10))
    if first == second == "":
        assert len(found) == 4
        return
    assert [each.id for each in found] == (["r", "s"] if alike else ["r", "s", "t"])
    assert [each.alike for each in found] == ([2, 0] if alike else [0, 0, 1])
    assert len(put_together(hits, PLAIN)) == 4


def test_a_copied_file_counts_once():
    def chunk(path, number):
        return hit(path, text=f"paragraph {number}", path=path, chunk=number, whole=True)

    hits = [chunk("a", 1), chunk("b", 1), chunk("b", 2), chunk("a", 2), chunk("c", 1)]
    found = put_together(hits, SearchSettings(10))
    assert [(each.path, each.alike) for each in found] == [("a", 2), ("b", 1)]
    (whole,) = put_together([chunk("a", 1), chunk("a", 2), chunk("b", 1), chunk("b", 2)], SearchSettings(10))
    assert whole.alike == 1
