"""Where the words of a question stand in a text, by the rules of the full-text table."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import TextSpan
from embedcli.index.lexical_words import WordCounter
from embedcli.index.rows import storable
from embedcli.index.schema import LEXICAL_TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_PIECE: Final = 4_096
"""Characters that FTS5 marks at once: it copies what it has for each mark. An expression is looked for in
each piece by itself."""

_WORDS_AT_A_TIME: Final = 100
"""Words in one expression: FTS5's time for one grows with the square of their number."""

_CUT = re.compile(rf"(?s).{{1,{_PIECE}}}(?=\s|\Z)|.{{1,{_PIECE}}}")
_FIRST_MARK: Final = 0xF0000
"""Private-use characters, of which one or two that a text does not hold stand for the marks."""


_LITTLE_WORDS: Final = frozenset(
    (
        *(
            "a",
            "an",
            "and",
            "are",
            "as",
            "at",
            "be",
            "by",
            "can",
            "do",
            "does",
            "for",
            "from",
            "how",
            "i",
            "if",
            "in",
        ),
        *(
            "is",
            "it",
            "its",
            "my",
            "of",
            "on",
            "or",
            "that",
            "the",
            "there",
            "this",
            "to",
            "was",
            "what",
            "when",
        ),
        *("where", "which", "who", "why", "will", "with", "you", "your"),
    )
)
"""English words that stand in every question and lead the eye nowhere: not marked where there are others."""


class WordMarks:
    """Finds the words of one question in texts; `highlight` of SQLite's FTS5 knows their places.

    A word of a text is marked if it has a stem that the question has, but for the little ones that any
    question has. Nothing of the question is taken for syntax.
    """

    def __init__(self, question: str, expression: str | None = None) -> None:
        """Take over a question.

        Args:
            question: In the user's words.
            expression: In FTS5's syntax, looked for instead of the question's words; None for those. One that
                FTS5 does not understand marks nothing.
        """
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        self._connection.execute(
            f"CREATE VIRTUAL TABLE piece USING fts5 (text, tokenize='{LEXICAL_TOKENIZER}')"
        )
        self._expressions = [expression] if expression is not None else list(_expressions(question))
        self._is_own = expression is None

    def spans(self, text: str) -> list[TextSpan]:
        """Return where the words stand, in order, in characters. Linear in the text."""
        if not self._expressions:
            return []
        pieces = [found.span() for found in _CUT.finditer(text)]
        # One character for one, so that places stay: FTS5's own text functions end at NUL.
        clean = storable(text).replace("\0", " ")
        opening, closing = _absent(clean)
        self._connection.execute("BEGIN")
        self._connection.execute("DELETE FROM piece")
        self._connection.executemany(
            "INSERT INTO piece (rowid, text) VALUES (?, ?)",
            ((number, clean[start:end]) for number, (start, end) in enumerate(pieces)),
        )
        self._connection.execute("COMMIT")
        found = {
            TextSpan(pieces[number][0] + span.start, pieces[number][0] + span.end)
            for expression in self._expressions
            for number, marked in self._marked(expression, opening, closing)
            for span in _read(marked, opening, closing)
        }
        return list(_apart(sorted(found)))

    def _marked(self, expression: str, opening: str, closing: str) -> list[tuple[int, str]]:
        try:
            return self._connection.execute(
                "SELECT rowid, highlight(piece, 0, ?, ?) FROM piece WHERE piece MATCH ?",
                (opening, closing, storable(expression)),
            ).fetchall()
        except sqlite3.OperationalError:
            if self._is_own:
                raise
            return []


def words_held(question: str, texts: Sequence[str]) -> list[int]:
    """Return how many different words of a question each text holds."""
    counter = WordCounter()
    stems = list(counter.words(question))
    counts, _ = counter.count(texts, stems)
    return [int(held) for held in (counts > 0).sum(axis=1)]


def _expressions(question: str) -> Iterator[str]:
    """Yield expressions that together match each word of a question that is to be marked."""
    every = list(WordCounter().words(question).values())
    words = [word for word in every if word not in _LITTLE_WORDS] or every
    for start in range(0, len(words), _WORDS_AT_A_TIME):
        yield " OR ".join(f'"{word}"' for word in words[start : start + _WORDS_AT_A_TIME])


def _absent(text: str) -> tuple[str, str]:
    """Return two characters that a text does not hold."""
    held = set(text)
    absent = (mark for mark in map(chr, range(_FIRST_MARK, 0x110000)) if mark not in held)
    return next(absent), next(absent)


def _read(marked: str, opening: str, closing: str) -> Iterator[TextSpan]:
    """Yield what stands between marks, in characters of the text without them."""
    start = place = 0
    for character in marked:
        if character == opening:
            start = place
        elif character == closing:
            yield TextSpan(start, place)
        else:
            place += 1


def _apart(spans: list[TextSpan]) -> Iterator[TextSpan]:
    """Yield spans in their order, those that overlap as one."""
    held: TextSpan | None = None
    for span in spans:
        if held is None or span.start >= held.end:
            if held is not None:
                yield held
            held = span
        else:
            held = TextSpan(held.start, max(held.end, span.end))
    if held is not None:
        yield held
