"""Chunks: exact places, nothing lost, no chunk over its limit, linear time."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.datatypes import TokenSpan
from embedcli.errors import UsageError
from embedcli.records.chunk import SHORT_BLOCK_CHARS, chunk_text
from embedcli.records.windows import PIECE_CHARS, pieces
from tests.strategies import prose, texts

CHUNKINGS = ["none", "lines", "sentences", "paragraphs", "markdown", "code"]


def spans_of(pattern):
    """Return a tokenizer whose tokens are what a pattern matches."""
    compiled = re.compile(pattern)

    def token_spans(text):
        assert len(text) <= PIECE_CHARS
        return [TokenSpan(*found.span()) for found in compiled.finditer(text)]

    return token_spans


def start_sensitive(text):
    """Give tokens as byte-level BPE does: with the space before them, and more at the start of a text."""
    tokens = [TokenSpan(*found.span()) for found in re.finditer(r"\s?\S{1,5}", text)]
    if tokens and not text[0].isspace():
        first = tokens[0]
        tokens[:1] = [TokenSpan(at, at + 1) for at in range(first.start, first.end)]
    return tokens


def many_per_character(text):
    """Give three tokens for each character that is not ASCII."""
    return [
        TokenSpan(at, at + 1)
        for at, c in enumerate(text)
        if not c.isspace()
        for _ in range(1 if c < "\x7f" else 3)
    ]


TOKENIZERS = {
    "words": spans_of(r"\S+"),
    "parts of words": spans_of(r"\w{1,3}|[^\w\s]"),
    "with spaces": spans_of(r"\s?\S{1,4}"),
    "start sensitive": start_sensitive,
    "bytes": many_per_character,
    "none": lambda _text: [],
}


def chunks_of(text, chunking="none", *, line=1, tokens=None, limit=None, overlap=0):
    return list(
        chunk_text(text, chunking, line=line, token_spans=tokens, max_tokens=limit, overlap_tokens=overlap)
    )


def check_places(text, chunks, line=1):
    encoded = text.encode("utf-8", "surrogatepass")
    for ordinal, chunk in enumerate(chunks, start=1):
        assert chunk.ordinal == ordinal
        assert chunk.text == text[chunk.start : chunk.end]
        assert chunk.text == chunk.text.strip() != ""
        assert encoded[chunk.start_byte : chunk.end_byte].decode("utf-8", "surrogatepass") == chunk.text
        assert chunk.line == line + text[: chunk.start].count("\n")
        assert chunk.end_line == line + text[: chunk.end].count("\n")


def check_cover(text, chunks):
    """Check that the chunks and the white space between them are the text."""
    end = 0
    for chunk in chunks:
        assert text[end : chunk.start].strip() == ""
        assert chunk.start >= end
        end = chunk.end
    assert text[end:].strip() == ""


marked_up = st.lists(
    st.sampled_from(
        [
            "\n",
            "\n\n",
            " ",
            "# a",
            "## b c",
            "---",
            "===",
            "```",
            "~~~",
            "    ",
            "x. ",
            "Y! ",
            "z",
            "- ",
            "1. ",
            "def f():",
            "}",
            "end",
            "e.g. ",
            "Dr. ",
            "。",
            "“Q.” ",
            "word",
        ]
    ),
    max_size=60,
).map("".join)
"""What the rules for sentences, headings and definitions look at."""


@given(texts | prose | marked_up, st.sampled_from(CHUNKINGS), st.integers(1, 1000))
def test_chunks_have_exact_places_and_cover_the_text(text, chunking, line):
    chunks = chunks_of(text, chunking, line=line)
    check_places(text, chunks, line)
    check_cover(text, chunks)


@given(
    texts | prose | marked_up,
    st.sampled_from([*CHUNKINGS, "tokens"]),
    st.sampled_from(sorted(TOKENIZERS)),
    st.integers(1, 12),
)
def test_no_chunk_is_over_the_limit_and_nothing_is_lost(text, chunking, tokenizer, limit):
    tokens = TOKENIZERS[tokenizer]
    chunks = chunks_of(text, chunking, tokens=tokens, limit=limit)
    check_places(text, chunks)
    check_cover(text, chunks)
    for chunk in chunks:
        assert len(tokens(chunk.text)) <= limit or len(chunk.text) == 1


@given(texts | prose, st.sampled_from(sorted(TOKENIZERS)), st.integers(1, 12), st.data())
def test_windows_overlap_by_no_more_than_they_should(text, tokenizer, limit, data):
    tokens = TOKENIZERS[tokenizer]
    overlap = data.draw(st.integers(0, limit - 1))
    chunks = chunks_of(text, "tokens", tokens=tokens, limit=limit, overlap=overlap)
    check_places(text, chunks)
    seen = 0
    for before, chunk in zip([None, *chunks], chunks, strict=False):
        assert len(tokens(chunk.text)) <= limit or len(chunk.text) == 1
        assert text[seen : chunk.start].strip() == ""
        assert chunk.end > seen
        if before is not None:
            assert chunk.start > before.start
            shared = [token for token in tokens(text) if token.end > chunk.start and token.end <= before.end]
            assert len(shared) <= overlap + (tokenizer in ("start sensitive", "bytes")) * 5
        seen = chunk.end
    assert text[seen:].strip() == ""


def test_the_overlap_is_there_where_words_allow_it():
    text = " ".join(f"w{number}" for number in range(20))
    chunks = chunks_of(text, "tokens", tokens=TOKENIZERS["words"], limit=6, overlap=2)
    assert [chunk.text.split()[0] for chunk in chunks] == ["w0", "w4", "w8", "w12", "w16"]
    assert chunks[0].text == "w0 w1 w2 w3 w4 w5"
    assert chunks[-1].text.split()[-1] == "w19"
    chunks = chunks_of("x" * 30, "tokens", tokens=spans_of("."), limit=10, overlap=4)
    assert [(c.start, c.end) for c in chunks] == [(0, 10), (6, 16), (12, 22), (18, 28), (24, 30)]


def test_every_window_has_something_new():
    letters = spans_of(r"\S")
    chunks = chunks_of("a b " + "x" * 12, "tokens", tokens=letters, limit=10, overlap=1)
    assert [c.text for c in chunks] == ["a b", "b " + "x" * 9, "x" * 4]
    # At the start of a text a long word has so many tokens that nothing else fits.
    chunks = chunks_of("a b c ddddd e f g h", "tokens", tokens=start_sensitive, limit=4, overlap=3)
    assert [c.text for c in chunks] == ["a b c ddddd", "b c ddddd e", "c ddddd e f", "g h"]


def test_a_character_with_too_many_tokens_stands_alone():
    def costly_start(text):
        return [TokenSpan(at, at + 1) for at in range(len(text)) for _ in range(1 if at else 3)]

    chunks = chunks_of("abcd", "tokens", tokens=costly_start, limit=2)
    assert [c.text for c in chunks] == ["a", "b", "c", "d"]


def test_short_texts_are_counted_too():
    letters = spans_of(r"\S")
    for limit, parts in ((4, ["abcd", "ef"]), (5, ["abcde", "f"]), (6, ["abcdef"]), (7, ["abcdef"])):
        assert [c.text for c in chunks_of("abcdef", tokens=letters, limit=limit)] == parts


def test_lines_become_chunks_unless_they_are_blank():
    chunks = chunks_of("a\n\n  b é \n \t\nc", "lines", line=5)
    assert [(c.text, c.line, c.start, c.end, c.start_byte, c.end_byte) for c in chunks] == [
        ("a", 5, 0, 1, 0, 1),
        ("b é", 7, 5, 8, 5, 9),
        ("c", 9, 13, 14, 14, 15),
    ]


def test_paragraphs_are_parted_by_blank_lines_and_short_ones_go_to_the_next():
    long = "word " * 20 + "end"
    text = f"# Title\n\n## Part\n \n{long}\nsecond line\n\n\n{long}\n\nshort end"
    chunks = chunks_of(text, "paragraphs")
    assert [c.text for c in chunks] == [f"# Title\n\n## Part\n \n{long}\nsecond line", long, "short end"]
    at_limit = "x" * SHORT_BLOCK_CHARS
    assert [c.text for c in chunks_of(f"{at_limit}\n\na", "paragraphs")] == [at_limit, "a"]
    assert len(chunks_of(f"{at_limit[1:]}\n\na", "paragraphs")) == 1


@given(
    st.lists(st.text("abc \n#", min_size=1, max_size=150).filter(str.strip), min_size=1, max_size=20),
    st.data(),
)
def test_an_edit_moves_only_its_neighbours(blocks, data):
    long_after = "end " * SHORT_BLOCK_CHARS
    at = data.draw(st.integers(0, len(blocks)))
    new = data.draw(st.text("xyz", min_size=1, max_size=150))

    def text_of(middle):
        parts = [*blocks[:at], *middle, *blocks[at:], long_after, *reversed(blocks)]
        return "\n\n".join(part.strip() for part in parts)

    before, after = ({c.text for c in chunks_of(text_of(part), "paragraphs")} for part in ([], [new]))
    tail = {c.text for c in chunks_of("\n\n".join(part.strip() for part in reversed(blocks)), "paragraphs")}
    assert tail <= before
    assert tail <= after


def test_a_window_is_cut_at_a_line_break_in_its_last_third():
    words = TOKENIZERS["words"]
    assert [c.text for c in chunks_of("a b c d e\nf g h", tokens=words, limit=6)] == ["a b c d e", "f g h"]
    assert [c.text for c in chunks_of("a b\nc d e f g h", tokens=words, limit=6)] == ["a b\nc d e f", "g h"]
    letters = spans_of(r"\S")
    assert [c.text for c in chunks_of("ab cd efgh ij", tokens=letters, limit=6)] == ["ab cd", "efgh ij"]
    assert [c.text for c in chunks_of("abcdefgh", tokens=letters, limit=3)] == ["abc", "def", "gh"]


def test_a_word_is_cut_only_where_it_must():
    letters = spans_of(r"\S")
    assert [c.text for c in chunks_of("ab cdef gh", tokens=letters, limit=4)] == ["ab", "cdef", "gh"]
    assert [c.text for c in chunks_of("ab cdefghi jk", tokens=letters, limit=4)] == [
        "ab",
        "cdef",
        "ghi",
        "jk",
    ]


@pytest.mark.parametrize("text", ["", " ", "\n\n \t\u00a0\u2028"])
@pytest.mark.parametrize("chunking", [*CHUNKINGS, "tokens"])
def test_blank_text_has_no_chunks(text, chunking):
    assert chunks_of(text, chunking, tokens=TOKENIZERS["words"], limit=5) == []


def test_half_a_surrogate_pair_has_a_place_too():
    chunks = chunks_of("\ud800 a\nb", "lines")
    check_places("\ud800 a\nb", chunks)
    assert chunks[1].start_byte == 6


def test_settings_that_contradict_each_other_are_refused_by_the_call():
    words = TOKENIZERS["words"]
    for settings in (
        {"chunking": "tokens", "token_spans": words, "max_tokens": None, "overlap_tokens": 0},
        {"chunking": "none", "token_spans": None, "max_tokens": 5, "overlap_tokens": 0},
        {"chunking": "none", "token_spans": words, "max_tokens": 5, "overlap_tokens": 5},
        {"chunking": "none", "token_spans": words, "max_tokens": 5, "overlap_tokens": -1},
        {"chunking": "none", "token_spans": words, "max_tokens": 0, "overlap_tokens": 0},
    ):
        with pytest.raises(UsageError):
            chunk_text("a", line=1, **settings)


@given(prose, st.integers(1, 30))
def test_pieces_join_back_and_end_before_white_space(text, size):
    parts = list(pieces(text, 0, len(text), size))
    assert "".join(text[start:end] for start, end in parts) == text
    assert all(0 < end - start <= size for start, end in parts)
    for start, end in parts[:-1]:
        if not text[end].isspace():
            # No place for a cut in all of the piece, but for white space at its very beginning.
            assert not re.search(r"\S\s", text[start : end + 1])
            assert end - start == size


@pytest.mark.parametrize(
    "kind",
    ["one word", "words", "white space", "lines", "short paragraphs", "marks", "sentences", "headings"],
)
def test_time_is_linear_in_the_length(kind):
    make = {
        "one word": lambda size: "x" * size,
        "words": lambda size: "word " * (size // 5),
        "white space": lambda size: "word " * 300 + " " * size + "b",
        "lines": lambda size: "a\n" * (size // 2),
        "short paragraphs": lambda size: "ab\n\n" * (size // 4),
        "marks": lambda size: "." * (size // 2) + "x" + "\n " * (size // 4),
        "sentences": lambda size: "No. 1. Yes! " * (size // 12),
        "headings": lambda size: "# a\n```\n---\n" * (size // 12),
    }[kind]

    def seconds(size):
        text = make(size)
        start = time.process_time()
        for chunking in ("tokens", *CHUNKINGS[1:]):
            for _ in chunk_text(
                text, chunking, line=1, token_spans=spans_of(r"\s?\S{1,8}"), max_tokens=200, overlap_tokens=20
            ):
                pass
        return time.process_time() - start

    seconds(10_000)
    small = min(seconds(30_000) for _ in range(3))
    # Eight times the text; quadratic time would be sixty-four times as long.
    assert seconds(240_000) < 24 * small + 0.1
