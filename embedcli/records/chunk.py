"""Texts to chunks: parts with exact places, none of them blank."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.datatypes import Chunk
from embedcli.errors import UsageError
from embedcli.records.late import iter_sentence_groups
from embedcli.records.sections import iter_code_blocks, iter_sections
from embedcli.records.sentences import iter_sentences
from embedcli.records.windows import iter_windows

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from embedcli.datatypes import Chunking, TokenSpans

SHORT_BLOCK_CHARS: Final = 80
"""A block shorter than this, about one line, says little without the block after it: mostly a heading."""


def chunk_text(
    text: str,
    chunking: Chunking,
    *,
    line: int,
    token_spans: TokenSpans | None,
    max_tokens: int | None,
    overlap_tokens: int,
    spans: Iterable[tuple[int, int]] | None = None,
) -> Iterator[Chunk]:
    """Return the chunks of a text, in order, numbered from 1.

    `none` makes one chunk, `lines` one of each line that is not blank, `paragraphs` one of each block between
    blank lines, `markdown` one of each heading with what stands below it, `code` one of each definition,
    short ones joined to the next. `sentences` makes one of each sentence, `tokens` windows of the whole text.
    `late` makes the blocks of `paragraphs`, with a longer one cut at the ends of sentences; `semantic` the
    given spans. With
    `max_tokens`, a chunk that is longer is split into windows, whatever the chunking. Start and end exclude
    white space; without overlap, chunks and the white space between them join back to the text. Time is
    linear.

    Args:
        text: Its lines are parted by LF.
        chunking: How it is cut.
        line: The text's first line in its source.
        token_spans: The tokenizer; needed when `max_tokens` is given.
        max_tokens: Most tokens of a chunk, special tokens left out; None for no limit.
        overlap_tokens: Tokens that windows next to each other share; only between the windows of one piece.
        spans: Where `semantic` cuts, joining back to the text.

    Raises:
        UsageError: A limit without a tokenizer, `tokens` without a limit, or an overlap not below the limit.
    """
    if chunking == "tokens" and max_tokens is None:
        raise UsageError("chunking by tokens needs a number of tokens", hint="--on-long split")
    if max_tokens is not None:
        if token_spans is None:
            raise UsageError("a limit in tokens needs a tokenizer")
        if not 0 <= overlap_tokens < max_tokens:
            raise UsageError(
                f"an overlap of {overlap_tokens} tokens does not fit chunks of {max_tokens} tokens",
                hint="the overlap must be smaller",
            )
    pieces = _pieces(text, chunking) if spans is None else _trimmed(text, spans)
    if max_tokens is None or token_spans is None:
        return _numbered(text, line, pieces)
    if chunking == "late":
        pieces = _sentence_groups(text, pieces, token_spans, max_tokens)
    return _numbered(
        text,
        line,
        (
            window
            for start, end in pieces
            for window in iter_windows(
                text,
                start,
                end,
                token_spans=token_spans,
                max_tokens=max_tokens,
                overlap_tokens=overlap_tokens,
            )
        ),
    )


def _sentence_groups(
    text: str, blocks: Iterable[tuple[int, int]], token_spans: TokenSpans, max_tokens: int
) -> Iterator[tuple[int, int]]:
    """Yield as many sentences of each block as fit into a chunk, without the white space around them."""
    for start, end in blocks:
        if end - start < max_tokens and text[start:end].isascii():
            yield start, end  # As in `iter_windows`.
            continue
        groups = iter_sentence_groups(text, start, end, token_spans=token_spans, max_tokens=max_tokens)
        yield from _trimmed(text, groups)


def _numbered(text: str, line: int, spans: Iterable[tuple[int, int]]) -> Iterator[Chunk]:
    """Yield the chunks of spans that are in order of their starts."""
    places = _Places(text, line)
    for ordinal, (start, end) in enumerate(spans, start=1):
        yield places.chunk(ordinal, start, end)


def _pieces(text: str, chunking: Chunking) -> Iterator[tuple[int, int]]:
    """Yield the spans that a text is cut into before any limit, without the white space around them."""
    match chunking:
        case "lines":
            return _lines(text)
        case "paragraphs" | "late":
            return _joined(_blocks(text))
        case "markdown":
            return _joined(_trimmed(text, iter_sections(text)))
        case "code":
            return _joined(_trimmed(text, iter_code_blocks(text)))
        case "sentences":
            return _trimmed(text, iter_sentences(text))
        case _:
            return iter([span] if (span := _stripped(text, 0, len(text))) else [])


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Yield the lines that are not blank."""
    start = 0
    while start < len(text):
        line_break = text.find("\n", start)
        end = len(text) if line_break < 0 else line_break
        if span := _stripped(text, start, end):
            yield span
        start = end + 1


def _trimmed(text: str, spans: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans without the white space around them; blank ones are left out."""
    return (span for start, end in spans if (span := _stripped(text, start, end)))


def _joined(blocks: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield blocks, each with the short ones before it.

    A block that is not short always ends a piece, so that an edit moves no piece beyond the next such block.
    """
    start = end = 0
    for block_start, block_end in blocks:
        start = block_start if end == 0 else start
        end = block_end
        if end - start >= SHORT_BLOCK_CHARS:
            yield start, end
            end = 0
    if end:
        yield start, end


def _blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield the blocks that blank lines part."""
    start = end = 0
    place = 0
    while place < len(text):
        line_break = text.find("\n", place)
        line_end = len(text) if line_break < 0 else line_break
        if span := _stripped(text, place, line_end):
            start = span[0] if end == 0 else start
            end = span[1]
        elif end:
            yield start, end
            end = 0
        place = line_end + 1
    if end:
        yield start, end


def _stripped(text: str, start: int, end: int) -> tuple[int, int] | None:
    """Return a span without the white space around it, or None if nothing is left."""
    part = text[start:end]
    left = len(part) - len(part.lstrip())
    if left == len(part):
        return None
    return start + left, start + len(part.rstrip())


class _Places:
    """Counts bytes and lines along a text, so that each character is looked at once."""

    def __init__(self, text: str, line: int) -> None:
        self._text, self._line = text, line
        self._is_ascii = text.isascii()
        self._char = self._byte = 0

    def chunk(self, ordinal: int, start: int, end: int) -> Chunk:
        """Return the chunk of a span that begins no earlier than the one before."""
        self._line += self._text.count("\n", self._char, start)
        self._byte += self._bytes(self._char, start)
        self._char = start
        return Chunk(
            text=self._text[start:end],
            ordinal=ordinal,
            start=start,
            end=end,
            start_byte=self._byte,
            end_byte=self._byte + self._bytes(start, end),
            line=self._line,
            end_line=self._line + self._text.count("\n", start, end),
        )

    def _bytes(self, start: int, end: int) -> int:
        """Return how many bytes part of the text takes as UTF-8, half surrogate pairs included."""
        if self._is_ascii:
            return end - start
        return len(self._text[start:end].encode("utf-8", "surrogatepass"))
