"""Token ids of many short texts, the fast way where it is sure to be the same."""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from embedcli.encode.token_ids import TokenIds
from embedcli.encode.tokenizer import PIECE_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from embedcli.encode.tokenizer import Tokenizer, WordRule

    Integers = npt.NDArray[np.int64]
    Keys = npt.NDArray[np.uint64]

REMEMBERED_WORDS = 1 << 18
"""Places for words, 8 MB; of two words that share one, the last that was met has it."""

REMEMBERED_TOKENS = 1 << 20
"""Tokens of remembered words, 8 MB; when they are full, all is forgotten."""

_KEY_BYTES = 16
"""Longer words, one in a few hundred, go to the tokenizer each time."""

_SIMPLE = re.compile("[\t\n\r -~\u00a1-\u052f]*")
"""Text in which Python and the rules of BERT find the same white space: ASCII without control characters, and
the letters of Latin, Greek and Cyrillic."""

_END = "\0"
"""Stands behind each text; it cannot be in one that is simple."""

_SPACE, _LETTER, _MARK = range(3)
_KINDS = np.array(
    [
        _LETTER if code >= 128 or chr(code).isalnum() else _MARK if 32 < code < 127 else _SPACE
        for code in range(256)
    ],
    dtype=np.uint8,
)
"""What a byte of UTF-8 is: between words, part of a word, or a word of its own wherever it stands."""

_FIRST_BYTES = np.array([(1 << 8 * count) - 1 for count in range(9)], dtype=np.uint64)
"""Masks for the first 0 to 8 bytes of a little-endian number."""

_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F], dtype=np.uint64)
"""They spread words over places; two odd numbers without a pattern (the golden ratio's fraction, a prime)."""


class WordTokenizer:
    """Gives a tokenizer's own ids, looked up word by word.

    By the rules of BERT the tokens of what stands between two white spaces or punctuation marks depend on
    nothing else. Simple text with none of the tokenizer's added tokens in it is taken apart there, all texts
    of a call together, and each word is shown to the tokenizer once: ten to thirty times as fast. Everything
    else goes to the tokenizer, long texts piece by piece.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Look at the tokenizer's rules."""
        self._tokenizer, self._lock = tokenizer, threading.Lock()
        rule = tokenizer.word_rule
        self._words = None if rule is None else _WordMemory(tokenizer, rule)
        added = rule.added if rule is not None else ()
        # In any case: which form an added token is looked for in is its own affair.
        self._added = re.compile("|".join(map(re.escape, added)), re.IGNORECASE) if added else None

    def token_ids(self, texts: Sequence[str], limit: int | None = None) -> TokenIds:
        """Return the ids of each text; reading a text may stop once `limit` ids are passed."""
        if self._words is None or not texts:
            return TokenIds.of([self._tokenizer.token_ids(text, limit) for text in texts])
        if self._is_simple("\n".join(texts)) and max(map(len, texts)) <= PIECE_CHARS:
            with self._lock:
                return self._words.look_up(texts)
        simple = [len(text) <= PIECE_CHARS and self._is_simple(text) for text in texts]
        rest = [text if is_simple else "" for text, is_simple in zip(texts, simple, strict=True)]
        with self._lock:
            found = self._words.look_up(rest)
        others = [row for row, is_simple in enumerate(simple) if not is_simple]
        return found.filled({row: self._tokenizer.token_ids(texts[row], limit) for row in others})

    def _is_simple(self, text: str) -> bool:
        """Whether the tokens of a text are those of its words."""
        return _SIMPLE.fullmatch(text) is not None and (
            self._added is None or self._added.search(text) is None
        )


class _WordMemory:
    """The tokens of words, found when they are met for the first time.

    A table with a place for each value of a hash. A word is recognized by all of its bytes: a place that two
    words share costs time and nothing else. All texts of a call are worked on as one array, in O(bytes).
    """

    def __init__(self, tokenizer: Tokenizer, rule: WordRule) -> None:
        self._tokenizer, self._lower_case = tokenizer, rule.lower_case
        self._shift = np.uint64(64 - (REMEMBERED_WORDS - 1).bit_length())
        self._keys: Keys = np.zeros((2, REMEMBERED_WORDS), dtype=np.uint64)
        self._starts: Integers = np.zeros(REMEMBERED_WORDS, dtype=np.int64)
        self._counts: Integers = np.zeros(REMEMBERED_WORDS, dtype=np.int64)
        self._ids: Integers = np.zeros(REMEMBERED_TOKENS, dtype=np.int64)
        self._used = 0

    def look_up(self, texts: Sequence[str]) -> TokenIds:
        """Return the ids of simple texts. One thread at a time."""
        content = _END.join([*texts, ""]).encode()
        if self._lower_case:
            # ASCII alone; other letters are left to the tokenizer, which has tables of its own for them.
            content = content.lower()
        # No token has less than a character; twice as many, lest a letter become two.
        self._make_room(2 * len(content))
        words = _split(content)
        keys = _keys(content, words)
        places = (keys[0] * _MULTIPLIERS[0] + keys[1] * _MULTIPLIERS[1]) >> self._shift
        known = (self._keys[0, places] == keys[0]) & (self._keys[1, places] == keys[1])
        is_short = words.stops - words.starts <= _KEY_BYTES
        known &= is_short
        starts, counts = self._starts[places], self._counts[places]
        if not known.all():
            missing = np.flatnonzero(~known)
            starts[missing], counts[missing] = self._learn(content, words, missing)
            # The key of a longer word is that of its beginning, which may be a word itself.
            kept = missing[is_short[missing]]
            self._keep(places[kept], keys[:, kept], starts[kept], counts[kept])
        before = np.append(0, np.cumsum(counts))
        ids = self._ids[np.arange(before[-1]) + np.repeat(starts - before[:-1], counts)]
        return TokenIds(ids, before[np.append(0, words.ends)])

    def _make_room(self, tokens: int) -> None:
        """Forget everything where so many more might not fit."""
        if self._used + tokens > len(self._ids):
            self._keys[:] = 0
            self._used = 0
            if tokens > len(self._ids):
                self._ids = np.zeros(tokens, dtype=np.int64)

    def _learn(self, content: bytes, words: _Words, missing: Integers) -> tuple[Integers, Integers]:
        """Return where the ids of some words begin, and how many they are, having written them there."""
        found: dict[bytes, tuple[int, int]] = {}
        spans = []
        for start, stop in zip(words.starts[missing].tolist(), words.stops[missing].tolist(), strict=True):
            word = content[start:stop]
            span = found.get(word)
            if span is None:
                text = word.decode()
                ids = self._tokenizer.word_ids(text) if word.isascii() else self._tokenizer.token_ids(text)
                span = found[word] = self._used, len(ids)
                self._ids[self._used : self._used + len(ids)] = ids
                self._used += len(ids)
            spans.append(span)
        starts, counts = np.array(spans, dtype=np.int64).T
        return starts, counts

    def _keep(self, places: Integers, keys: Keys, starts: Integers, counts: Integers) -> None:
        """Remember words; of several for one place, the last."""
        places, last = np.unique(places[::-1], return_index=True)
        rows = len(starts) - 1 - last
        self._keys[:, places] = keys[:, rows]
        self._starts[places], self._counts[places] = starts[rows], counts[rows]


class _Words(NamedTuple):
    """Where the words of some texts stand.

    Attributes:
        starts: First byte of each word, shape (words,).
        stops: One past its last byte, shape (words,).
        ends: How many words there are up to the end of each text, shape (texts,).
    """

    starts: Integers
    stops: Integers
    ends: Integers


def _split(content: bytes) -> _Words:
    """Find the words in texts with an end mark behind each."""
    codes = np.frombuffer(content, dtype=np.uint8)
    kinds = _KINDS[codes]
    is_letter, is_mark = kinds == _LETTER, kinds == _MARK
    # The last byte is an end mark, so that no word touches either end of what is compared.
    begins, ends = is_mark.copy(), is_mark
    begins[0] |= is_letter[0]
    begins[1:] |= is_letter[1:] & ~is_letter[:-1]
    ends[:-1] |= is_letter[:-1] & ~is_letter[1:]
    starts = np.flatnonzero(begins)
    return _Words(
        starts, np.flatnonzero(ends) + 1, np.searchsorted(starts, np.flatnonzero(codes == ord(_END)))
    )


def _keys(content: bytes, words: _Words) -> Keys:
    """Return the first 16 bytes of each word as two little-endian numbers, shape (2, words)."""
    padded = content + bytes(_KEY_BYTES)
    # A number at each byte, overlapping.
    numbers = np.ndarray((len(content) + 8,), dtype="<u8", buffer=padded, strides=(1,))
    lengths = words.stops - words.starts
    return np.stack(
        [
            numbers.take(words.starts) & _FIRST_BYTES[np.minimum(lengths, 8)],
            numbers.take(words.starts + 8) & _FIRST_BYTES[np.clip(lengths - 8, 0, 8)],
        ]
    ).astype(np.uint64, copy=False)
