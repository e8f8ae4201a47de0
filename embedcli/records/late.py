"""Where late chunks are cut, and which text around each one the encoder is to read with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.records.sentences import iter_sentences
from embedcli.records.windows import pieces

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from embedcli.datatypes import TokenSpans

TOKEN_CHARS: Final = 64
"""A context has at most this many characters for each token that fits: white space and what has no tokens
must not make it long."""


class SpanInContext(NamedTuple):
    """A span of a text, and the longer one around it that is encoded with it."""

    start: int
    end: int
    context_start: int
    context_end: int


class _Counted(NamedTuple):
    """A span, and the tokens from the end of the span before it to its own end, at least 1."""

    start: int
    end: int
    tokens: int


def iter_sentence_groups(
    text: str, start: int, end: int, *, token_spans: TokenSpans, max_tokens: int
) -> Iterator[tuple[int, int]]:
    """Yield spans that join back to a piece of a text: as many sentences as fit, at least one. Linear.

    White space may stand at their ends. A single sentence may be over the limit.

    Args:
        text: The whole text.
        start: Where the piece begins.
        end: One past its end.
        token_spans: The tokenizer. It only sees pieces of bounded length.
        max_tokens: At least 1.
    """
    group, used = start, 0
    for first, last in iter_sentences(text[start:end]):
        tokens = _count(text, start + first, start + last, token_spans, max_tokens)
        if used and used + tokens > max_tokens:
            yield group, start + first
            group, used = start + first, 0
        used += tokens
    if group < end:
        yield group, end


def iter_contexts(
    text: str,
    spans: Iterable[tuple[int, int]],
    *,
    token_spans: TokenSpans,
    max_tokens: int,
    overlap_tokens: int,
) -> Iterator[SpanInContext]:
    """Yield spans, in order, each with the window of the text that it is to be encoded in.

    A window is a run of whole spans with no more than `max_tokens` tokens. It shares up to `overlap_tokens`
    with the next; a span in both goes to the one that shows more of the text on its nearer side. A text that
    fits is one window. Time is linear; memory is that of a window. Tokens are counted span by span: where a
    tokenizer joins what stands on both sides of a border, a window may have a few more or less.

    Args:
        text: The whole text.
        spans: Parts of it that do not overlap, without white space at their ends.
        token_spans: The tokenizer. It only sees pieces of bounded length.
        max_tokens: Tokens of a window, special tokens left out; a longer span is a window by itself.
        overlap_tokens: Less than `max_tokens`.

    Source: Günther et al., "Late Chunking: Contextual Chunk Embeddings Using Long-Context Embedding Models",
    2024, section 3.2, "long late chunking". There windows are cut at tokens, and a token's vector is taken
    from the earlier one; here no chunk is parted.
    """
    held: list[_Counted] = []
    total = settled = 0  # The tokens of these, and how many, at the head, went to the window before.
    for span in _counted(text, spans, token_spans, max_tokens):
        if held and not _fits(held[0].start, total + span.tokens, span.end, max_tokens):
            first = _next_window(held, span, max_tokens, overlap_tokens)
            split = max(_split(held, first), settled)
            yield from _in_context(held, settled, split)
            held, settled = held[first:], split - first
            total = sum(each.tokens for each in held)
        held.append(span)
        total += span.tokens
    yield from _in_context(held, settled, len(held))


def _counted(
    text: str, spans: Iterable[tuple[int, int]], token_spans: TokenSpans, max_tokens: int
) -> Iterator[_Counted]:
    before = None
    for start, end in spans:
        counted_from = start if before is None else before
        yield _Counted(start, end, max(1, _count(text, counted_from, end, token_spans, max_tokens)))
        before = end


def _in_context(held: list[_Counted], first: int, last: int) -> Iterator[SpanInContext]:
    """Yield some spans of a window with the whole of it."""
    for span in held[first:last]:
        yield SpanInContext(span.start, span.end, held[0].start, held[-1].end)


def _fits(start: int, tokens: int, end: int, max_tokens: int) -> bool:
    """Whether several spans can be one window."""
    return tokens <= max_tokens and end - start <= TOKEN_CHARS * max_tokens


def _next_window(held: list[_Counted], span: _Counted, max_tokens: int, overlap_tokens: int) -> int:
    """Return which of the spans of a window the next one, with `span` in it, begins with."""
    tokens = 0
    for at in range(len(held) - 1, 0, -1):
        tokens += held[at].tokens
        if tokens > overlap_tokens or not _fits(held[at].start, tokens + span.tokens, span.end, max_tokens):
            return at + 1
    return 1


def _split(held: list[_Counted], first: int) -> int:
    """Return the first span that has more text before it in the next window than after it in this one.

    The next window begins with the span `first`; none before that is looked at.
    """
    left, right = 0, sum(span.tokens for span in held[first:])
    for at in range(first, len(held)):
        right -= held[at].tokens
        if left > right:
            return at
        left += held[at].tokens
    return len(held)


def _count(text: str, start: int, end: int, token_spans: TokenSpans, max_tokens: int) -> int:
    """Return how many tokens part of a text has; counting stops once they are more than `max_tokens`."""
    count = 0
    for first, last in pieces(text, start, end):
        count += len(token_spans(text[first:last]))
        if count > max_tokens:
            break
    return count
