"""Token ids of many short texts, the fast way where it is sure to be the same."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from embedcli.encode.tokenizer import PIECE_CHARS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.encode.tokenizer import Tokenizer

REMEMBERED_WORDS = 1 << 18
"""Words whose tokens are kept: some 40 MB at most."""

_PLAIN = re.compile(r"[\t\n\r -~]*")
_WORD = re.compile(r"[0-9A-Za-z]+|[!-/:-@\[-`{-~]")


class WordTokenizer:
    """Gives a tokenizer's own ids, looked up word by word.

    By the rules of BERT a word's tokens do not depend on the words around it. Printable ASCII text, with none
    of the tokenizer's added tokens in it, is taken apart here and each word is shown to the tokenizer once:
    three to ten times as fast. Everything else goes to the tokenizer, long texts piece by piece.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Look at the tokenizer's rules."""
        self._tokenizer = tokenizer
        self._rule = tokenizer.word_rule
        self._ids: dict[str, list[int]] = {}
        added = self._rule.added if self._rule is not None else ()
        # In any case: which form an added token is looked for in is its own affair.
        self._added = re.compile("|".join(map(re.escape, added)), re.IGNORECASE) if added else None

    def token_ids(self, texts: Sequence[str], limit: int | None = None) -> list[list[int]]:
        """Return the ids of each text; reading a text may stop once `limit` ids are passed."""
        if self._rule is None:
            return [self._tokenizer.token_ids(text, limit) for text in texts]
        lower_case, known, added = self._rule.lower_case, self._ids, self._added
        found = []
        for text in texts:
            is_plain = len(text) <= PIECE_CHARS and _PLAIN.fullmatch(text)
            if not is_plain or (added is not None and added.search(text)):
                found.append(self._tokenizer.token_ids(text, limit))
                continue
            ids: list[int] = []
            for word in _WORD.findall(text.lower() if lower_case else text):
                ids += known.get(word) or self._learn(word)
            found.append(ids)
        return found

    def _learn(self, word: str) -> list[int]:
        """Return a word's ids and keep them."""
        ids = self._tokenizer.word_ids(word)
        if len(self._ids) >= REMEMBERED_WORDS:
            self._ids.clear()
        self._ids[word] = ids
        return ids
