"""A long text in windows of at most so many tokens, cut where a reader would cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.datatypes import TokenSpan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from embedcli.datatypes import TokenSpans

PIECE_CHARS: Final = 32_768
"""Most characters that a tokenizer is given at once: its time is only known to be linear for bounded text."""


def iter_windows(
    text: str, start: int, end: int, *, token_spans: TokenSpans, max_tokens: int, overlap_tokens: int
) -> Iterator[tuple[int, int]]:
    """Yield spans of at most `max_tokens` tokens that cover a piece of a text, in order.

    A window is cut at the last line break in its last third, else at the last white space, else after the
    last token that fits. White space at its ends is left out. The next one begins at the cut, or up to
    `overlap_tokens` tokens before it, at a word where there is one. Time is linear in the text; memory is
    that of the tokens of a window and of `PIECE_CHARS` characters.

    Args:
        text: The whole text.
        start: Where the piece begins; no white space.
        end: One past its end; no white space before it.
        token_spans: The tokenizer. It only sees pieces of at most `PIECE_CHARS` characters.
        max_tokens: Tokens in a window, special tokens left out; at least 1.
        overlap_tokens: Less than `max_tokens`.
    """
    if end - start < max_tokens and text[start:end].isascii():
        # A tokenizer makes no more tokens than there are bytes, but for one it may put at the front.
        yield start, end
        return
    ahead = _TokensAhead(text, start, end, token_spans)
    piece_start = covered = start
    while True:
        ahead.drop_before(start)
        limit = ahead.limit(max_tokens)
        cut = end if limit is None else _cut(text, start, max(limit, covered + 1), covered, end)
        is_known = limit is None and start == piece_start
        # Words may have more tokens at the beginning of a text than in its middle, and so may their halves.
        over = None if is_known else _over_limit(text, start, cut, token_spans, max_tokens)
        while over is not None and over > covered:
            cut = _cut(text, start, over, covered, end)
            over = _over_limit(text, start, cut, token_spans, max_tokens)
        if over is not None and start < covered:
            start = covered  # The overlap left no room for anything new.
            continue
        if over is not None:
            cut = covered + 1  # One character with more tokens than allowed.
        yield start, start + len(text[start:cut].rstrip())
        covered = cut + _blank_chars(text, cut, end)
        if covered >= end:
            return
        start = ahead.overlap_start(start, covered, overlap_tokens)


class _TokensAhead:
    """The tokens from some place on, fetched piece by piece as they are needed."""

    def __init__(self, text: str, start: int, end: int, token_spans: TokenSpans) -> None:
        self._text = text
        self._pieces = pieces(text, start, end)
        self._token_spans = token_spans
        self._tokens: list[TokenSpan] = []

    def drop_before(self, place: int) -> None:
        """Forget tokens that end at a place or before it."""
        while True:
            gone = next((at for at, token in enumerate(self._tokens) if token.end > place), None)
            if gone is not None:
                del self._tokens[:gone]
                return
            self._tokens.clear()
            if not self._fetch():
                return

    def limit(self, max_tokens: int) -> int | None:
        """Return where the first token that does not fit begins, or None if all of them fit."""
        while len(self._tokens) <= max_tokens:
            if not self._fetch():
                return None
        return self._tokens[max_tokens].start

    def overlap_start(self, start: int, cut: int, overlap_tokens: int) -> int:
        """Return where the window after a cut begins: after `start`, and not after the cut."""
        before = next((at for at, token in enumerate(self._tokens) if token.end > cut), len(self._tokens))
        # A token may bring the space before it along.
        places = [
            token.start + _blank_chars(self._text, token.start, token.end)
            for token in self._tokens[max(0, before - overlap_tokens) : before]
        ]
        places = [place for place in places if start < place < cut]
        at_word = next((place for place in places if _is_between_words(self._text, place)), None)
        if at_word is not None:
            return at_word
        return places[0] if places and not _is_between_words(self._text, cut) else cut

    def _fetch(self) -> bool:
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._tokens += _spans(self._text, *piece, self._token_spans)
        return True


def pieces(text: str, start: int, end: int, size: int = PIECE_CHARS) -> Iterator[tuple[int, int]]:
    """Yield spans of at most `size` characters that join back to `text[start:end]`.

    They end before white space where there is any, so that words stay whole, each with its leading space.
    """
    while end - start > size:
        words = text[start : start + size + 1].rsplit(None, 1)
        if text[start + size].isspace():
            cut = start + size
        elif len(words) == 2:
            cut = start + len(words[0])
        else:
            cut = start + size
        yield start, cut
        start = cut
    if start < end:
        yield start, end


def _cut(text: str, start: int, limit: int, covered: int, end: int) -> int:
    """Return where a window ends: at `limit` or before it, and after what is covered already."""
    if limit >= end:
        return end
    third = max(limit - (limit - start) // 3, covered + 1)
    line_break = text.rfind("\n", third, limit + 1)
    if line_break >= 0:
        return line_break
    if text[limit].isspace() or text[limit - 1].isspace():
        return limit
    words = text[max(start, covered) : limit].rsplit(None, 1)
    return limit - len(words[1]) if len(words) == 2 else limit


def _over_limit(text: str, start: int, cut: int, token_spans: TokenSpans, max_tokens: int) -> int | None:
    """Return where to cut `text[start:cut]` for it to have no more tokens than allowed, None if it has not.

    `start` itself if its first character alone has more.
    """
    count = 0
    for piece in pieces(text, start, cut):
        tokens = _spans(text, *piece, token_spans)
        if count + len(tokens) > max_tokens:
            return tokens[max_tokens - count].start
        count += len(tokens)
    return None


def _spans(text: str, start: int, end: int, token_spans: TokenSpans) -> list[TokenSpan]:
    """Return the tokens of part of a text, placed in the whole of it."""
    return [TokenSpan(start + first, start + last) for first, last in token_spans(text[start:end])]


def _is_between_words(text: str, place: int) -> bool:
    """Return whether no word goes through a place."""
    return place <= 0 or place >= len(text) or text[place].isspace() or text[place - 1].isspace()


def _blank_chars(text: str, start: int, end: int) -> int:
    """Return how much white space follows a place."""
    size = 64
    while True:
        ahead = text[start : min(start + size, end)]
        rest = ahead.lstrip()
        if rest or start + size >= end:
            return len(ahead) - len(rest)
        size *= 8
