"""Late chunks: cut at sentences, each with as much of the text around it as fits."""

from __future__ import annotations

import itertools
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.records.chunk import chunk_text
from embedcli.records.late import TOKEN_CHARS, iter_contexts, iter_sentence_groups
from embedcli.records.sentences import iter_sentences
from tests.strategies import prose, texts
from tests.unit.records.test_chunk import TOKENIZERS, check_cover, check_places

WORDS = TOKENIZERS["words"]

sentences = st.lists(
    st.sampled_from(
        ["One two three. ", "A b c d e f g h! ", "No end ", "Is it? ", "x\n\n", "E.g. this. ", "漢字。"]
    ),
    max_size=40,
).map("".join)


def late(text, token_spans, limit):
    return list(chunk_text(text, "late", line=1, token_spans=token_spans, max_tokens=limit, overlap_tokens=0))


@given(st.one_of(sentences, prose, texts), st.sampled_from(sorted(TOKENIZERS)), st.integers(3, 40))
def test_chunks_cover_the_text_and_keep_the_limit(text, kind, limit):
    tokenizer = TOKENIZERS[kind]
    chunks = late(text, tokenizer, limit)
    check_places(text, chunks)
    check_cover(text, chunks)
    for chunk in chunks:
        assert len(tokenizer(chunk.text)) <= limit


@given(sentences, st.integers(8, 40))
def test_long_blocks_are_cut_at_the_ends_of_sentences(text, limit):
    """As many sentences as fit: the one after a chunk would have been too much for it."""
    tokenizer = TOKENIZERS["parts of words"]
    ends = [0, *(end for _, end in iter_sentences(text))]
    limit = max([limit, *(len(tokenizer(text[start:end])) for start, end in itertools.pairwise(ends))])
    spans = list(iter_sentence_groups(text, 0, len(text), token_spans=tokenizer, max_tokens=limit))
    assert "".join(text[start:end] for start, end in spans) == text
    for start, end in spans:
        assert start in ends
        assert end in ends
        if end < len(text):
            following = text[start : ends[ends.index(end) + 1]]
            assert len(tokenizer(following)) > limit


def test_what_a_late_chunk_is():
    text = "First one here. Second one here. Third one.\n\nAlone.\n"
    assert [chunk.text for chunk in late(text, WORDS, 7)] == [
        "First one here. Second one here.",
        "Third one.\n\nAlone.",
    ]
    short = "A block by itself, long enough to stand for itself, as it has more than eighty characters."
    assert [chunk.text for chunk in late(f"{short}\n\n{short}", WORDS, 40)] == [short, short]


def test_a_span_in_two_windows_goes_where_it_stands_further_inside():
    text = " ".join("abcdefghijklmnop")
    spans = [found.span() for found in re.finditer(r"\w", text)]
    found = iter_contexts(text, spans, token_spans=WORDS, max_tokens=8, overlap_tokens=4)
    shown = [
        (text[each.start : each.end], text[each.context_start : each.context_end].replace(" ", ""))
        for each in found
    ]
    assert shown == [
        *((letter, "abcdefgh") for letter in "abcdef"),
        *((letter, "efghijkl") for letter in "ghij"),
        *((letter, "ijklmnop") for letter in "klmnop"),
    ]


@st.composite
def spans_of_words(draw):
    """Return a text and spans of it, some of them longer than any window."""
    sizes = draw(st.lists(st.one_of(st.integers(1, 9), st.integers(20, 60)), min_size=1, max_size=25))
    text, spans = "", []
    for size in sizes:
        text += draw(st.sampled_from([" ", "\n\n", "  \n"])) if text else ""
        spans.append((len(text), len(text) + 2 * size - 1))
        text += " ".join("x" * size)
    return text, spans


@settings(max_examples=150)
@given(spans_of_words(), st.integers(4, 30), st.integers(0, 29))
def test_each_span_has_the_window_that_shows_most_around_it(cut, limit, overlap):
    text, spans = cut
    overlap = min(overlap, limit // 2)
    found = list(iter_contexts(text, spans, token_spans=WORDS, max_tokens=limit, overlap_tokens=overlap))
    assert [(each.start, each.end) for each in found] == spans
    starts, ends = {start for start, _ in spans}, {end for _, end in spans}

    def count(start, end):
        return len(WORDS(text[start:end])) if end > start else 0

    windows = sorted({(each.context_start, each.context_end) for each in found})
    for start, end in windows:
        assert start in starts
        assert end in ends
        assert count(start, end) <= limit or (start, end) in spans
    for (_, end), (start, _) in itertools.pairwise(windows):
        assert count(start, end) <= overlap
    if count(0, len(text)) <= limit:
        assert windows == [(0, len(text))]
    for each in found:
        inside = [window for window in windows if window[0] <= each.start and each.end <= window[1]]
        assert (each.context_start, each.context_end) in inside
        if len(inside) == 2:
            (_, end), (start, _) = inside
            later = count(start, each.start) > count(each.end, end)
            assert (each.context_start, each.context_end) == inside[later]
    # A window ends only where the next span does not fit.
    for start, end in windows:
        following = next((span for span in spans if span[0] >= end), None)
        assert following is None or count(start, following[1]) > limit


@given(st.one_of(prose, texts), st.sampled_from(sorted(TOKENIZERS)), st.integers(3, 40))
def test_any_text_and_tokenizer(text, kind, limit):
    chunks = late(text, TOKENIZERS[kind], limit)
    spans = [(chunk.start, chunk.end) for chunk in chunks]
    found = list(
        iter_contexts(text, spans, token_spans=TOKENIZERS[kind], max_tokens=2 * limit, overlap_tokens=limit)
    )
    assert [(each.start, each.end) for each in found] == spans
    for each in found:
        assert each.context_start <= each.start < each.end <= each.context_end


def test_what_has_no_tokens_makes_no_long_window():
    text = "\n\n".join(["\u200b" * 90] * 400)
    spans = [found.span() for found in re.finditer("\u200b+", text)]
    found = list(iter_contexts(text, spans, token_spans=lambda _text: [], max_tokens=100, overlap_tokens=10))
    assert len(found) == 400
    assert max(each.context_end - each.context_start for each in found) <= TOKEN_CHARS * 100


@pytest.mark.parametrize("text", ["x. " * 12_000, "word " * 8_000, "\n" * 30_000 + "x", "a.b" * 10_000])
def test_the_tokenizer_sees_each_character_a_few_times(text):
    seen = 0

    def counting(part):
        nonlocal seen
        seen += len(part)
        return WORDS(part)

    spans = [(chunk.start, chunk.end) for chunk in late(text, counting, 16)]
    assert seen <= 4 * len(text)
    seen = 0
    list(iter_contexts(text, spans, token_spans=counting, max_tokens=64, overlap_tokens=16))
    assert seen <= len(text)
