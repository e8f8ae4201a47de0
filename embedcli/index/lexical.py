"""The full-text side of an index: which chunks hold the words of a question, ranked by BM25.

FTS5 finds candidates; their scores are computed here, from texts that were compared with their hashes, so
that a chunk which only the vectors found is scored in the same way.
"""

from __future__ import annotations

import itertools
import math
import sqlite3
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.errors import UsageError
from embedcli.index.damage import damaged
from embedcli.index.lexical_memory import MATCHES, LexicalMemory
from embedcli.index.lexical_words import WordCounter, varints
from embedcli.index.rows import KnownRows
from embedcli.index.schema import LEXICAL_TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

K1: Final = 1.2
B: Final = 0.75
"""Saturation of repeated words, and how much the length of a chunk counts: the usual values, and FTS5's own.
Others (0.9 to 2, 0.4 to 0.9) moved two collections by less than 0.5 points, in opposite directions."""

_LEAST_WEIGHT: Final = 1e-6
"""What a word that is in most chunks weighs, as in FTS5: it orders what is equal otherwise."""

POSTINGS: Final = 20_000
"""Chunks that candidates may be looked for in, summed over words; see `docs/search.md`."""

_PER_HIT: Final = 3
"""Candidates for each wanted hit where frequent words were left out of the search for them."""

_AVERAGES = 1
"""The row of FTS5's own table that holds the number of rows and of words.
Source: the SQLite documentation, "SQLite FTS5 Extension", section 9.2."""


class Word(NamedTuple):
    """A word of a question.

    Attributes:
        stem: As the table holds it.
        word: As it can be asked for.
        rows: Chunks that hold it, at least 1.
        weight: Its inverse document frequency.
    """

    stem: str
    word: str
    rows: int
    weight: float


class LexicalHit(NamedTuple):
    """A chunk and its BM25 score, above 0."""

    row: int
    score: float


@dataclass(frozen=True, slots=True)
class Question:
    """What is looked for: words, or an expression in FTS5's own syntax.

    Attributes:
        words: Those of the question that some chunk holds, the rarest first.
        expression: Used as it is; then there are no words.
    """

    words: tuple[Word, ...] = ()
    expression: str | None = None


class LexicalReader:
    """Reads the full-text table of an open index that keeps its texts.

    Source of BM25: S. Robertson, H. Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
    with the weight of a word as FTS5 has it. A word that is repeated in the question counts once.

    Attributes:
        memory: What is known of questions that were asked before.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, chunks: int, known_rows: KnownRows | None = None
    ) -> None:
        """Prepare to read.

        Args:
            path: For messages.
            connection: See `open_for_reading`.
            chunks: How many can be found; the table holds those of records that are still written as well.
            known_rows: What reads chunks, and who else does; None for nobody.
        """
        self._path, self._connection = path, connection
        self._known_rows = known_rows or KnownRows(path, connection)
        self.memory = LexicalMemory()
        self._counter = WordCounter()
        self._rows_with: dict[str, int] = {}
        self._expressions: dict[str, dict[int, float]] = {}
        connection.execute(
            f"CREATE VIRTUAL TABLE IF NOT EXISTS temp.vocabulary USING fts5vocab (main, {LEXICAL_TABLE}, row)"
        )
        self._total, self._mean_length = self._averages()
        self._all_complete = self._total == chunks

    def question(self, text: str) -> Question:
        """Return a question for the words of a text; nothing in it is taken for syntax."""
        words = [
            Word(stem, word, rows, self._weight(rows))
            for stem, word in self._counter.words(text).items()
            if (rows := self._count(stem))
        ]
        return Question(tuple(sorted(words, key=lambda word: (word.rows, word.stem))))

    def best(self, question: Question, count: int, allowed: Rows | None = None) -> list[LexicalHit]:
        """Return the best chunks, best first; equal ones in the order they were stored.

        Exact while the question's words are in `POSTINGS` chunks together. Where they are in more, candidates
        are the chunks that rank best by the rarer words alone, three for each wanted one; their scores are by
        all words.

        Args:
            question: What is looked for.
            count: Most chunks, at least 1.
            allowed: Shape (n,), ascending: the only rows that may be found; None for all.

        Raises:
            UsageError: The expression is not in FTS5's syntax.
            DamagedIndexError: What was read is not what was written.
        """
        if question.expression is not None:
            scores = self._expression_scores(question.expression)
            rows = np.fromiter(scores, dtype=np.int64, count=len(scores))
            if allowed is not None:
                rows = rows[np.isin(rows, allowed)]
            return [LexicalHit(row, scores[row]) for row in self._complete(rows.tolist(), count)]
        rows = np.array(self._candidates(question, count, allowed), dtype=np.int64)
        found = self.scores(question, rows)
        order = np.lexsort((rows, -found))[:count]
        return [LexicalHit(int(rows[place]), float(found[place])) for place in order]

    def scores(self, question: Question, rows: Rows) -> npt.NDArray[np.float64]:
        """Return the BM25 score of each row, shape (len(rows),), float64; 0 for one without any of the words.

        Raises:
            DamagedIndexError: A chunk is missing or is not what was written.
        """
        if question.expression is not None:
            scores = self._expression_scores(question.expression)
            return np.array([scores.get(row, 0.0) for row in rows.tolist()])
        if not question.words or not len(rows):
            return np.zeros(len(rows))
        known = self.memory.of(question).scores
        missing = [row for row in rows.tolist() if row not in known]
        if missing:
            known.update(zip(missing, self._computed(question, missing).tolist(), strict=True))
        return np.array([known[row] for row in rows.tolist()])

    def _computed(self, question: Question, rows: Sequence[int]) -> npt.NDArray[np.float64]:
        texts = [self._known_rows.read("chunk", row)[9] or "" for row in rows]
        counts, lengths = self._counter.count(texts, [word.stem for word in question.words])
        weights = np.array([word.weight for word in question.words])
        tempered = K1 * (1 - B + B * lengths / self._mean_length)
        found: npt.NDArray[np.float64] = (counts * (K1 + 1) / (counts + tempered[:, np.newaxis])) @ weights
        return found

    def _averages(self) -> tuple[int, float]:
        """Return how many chunks there are and how many words one has on average."""
        row = self._connection.execute(
            f"SELECT block FROM {LEXICAL_TABLE}_data WHERE id = ?",  # noqa: S608  (our own name)
            (_AVERAGES,),
        ).fetchone()
        numbers = varints(row[0]) if row is not None and isinstance(row[0], bytes) else []
        total, words = (numbers[0], numbers[1]) if len(numbers) >= 2 else (0, 0)
        return total, max(words, 1) / max(total, 1)

    def _count(self, stem: str) -> int:
        """Return how many chunks hold a word. O(that)."""
        if stem not in self._rows_with:
            row = self._connection.execute(
                "SELECT doc FROM temp.vocabulary WHERE term = ?", (stem,)
            ).fetchone()
            self._rows_with[stem] = row[0] if row is not None else 0
        return self._rows_with[stem]

    def _weight(self, rows: int) -> float:
        if rows > self._total:
            raise damaged(self._path, "the counts of its full-text table")
        return max(_LEAST_WEIGHT, math.log((self._total - rows + 0.5) / (rows + 0.5)))

    def _candidates(self, question: Question, count: int, allowed: Rows | None) -> list[int]:
        """Return the rows that are worth scoring.

        The rarest words find them. A frequent word costs as much as it has chunks and decides little: it is
        left out where the rarer ones find enough. Source of the idea: H. Turtle, J. Flood, "Query Evaluation:
        Strategies and Optimizations", Information Processing and Management 31, 1995.
        """
        rows: list[int] = []
        words, known = question.words, self.memory.of(question).matches
        used = 0
        while used < len(words):
            postings = sum(word.rows for word in words[: used + 1])
            used += 1
            while used < len(words) and (postings := postings + words[used].rows) <= POSTINGS:
                used += 1
            wanted = count if used == len(words) else _PER_HIT * count
            expression = " OR ".join(f'"{word.word}"' for word in words[:used])
            rows = self._complete(self._matching(expression, known, allowed), wanted)
            if len(rows) >= wanted:
                break
        return rows

    def _matching(self, expression: str, known: dict[str, Rows], allowed: Rows | None) -> Iterator[int]:
        """Yield the rows that match, best first by FTS5's own BM25; `known` gets the first of them."""
        first = known.get(expression)
        if first is not None:
            yield from (first if allowed is None else first[np.isin(first, allowed)]).tolist()
            if len(first) < MATCHES:
                return
        cursor = self._connection.execute(
            f"SELECT rowid FROM {LEXICAL_TABLE} WHERE {LEXICAL_TABLE} MATCH ? ORDER BY rank",  # noqa: S608  (our own name)
            (expression,),
        )
        skip = first is not None
        while found := cursor.fetchmany(MATCHES):
            rows = np.array(found, dtype=np.int64)[:, 0]
            known.setdefault(expression, rows)
            if not skip:
                yield from (rows if allowed is None else rows[np.isin(rows, allowed)]).tolist()
            skip = False
        known.setdefault(expression, np.zeros(0, dtype=np.int64))

    def _complete(self, rows: Iterator[int] | Sequence[int], count: int) -> list[int]:
        """Return the first rows whose record is complete."""
        if self._all_complete:
            return list(itertools.islice(rows, count))
        kept: list[int] = []
        for row in rows:
            complete = self._connection.execute(
                "SELECT complete FROM chunk JOIN record ON record.id = chunk.record WHERE chunk.id = ?",
                (row,),
            ).fetchone()
            if complete is None:
                raise damaged(self._path, f"row {row} of chunk is missing")
            if complete[0]:
                kept.append(row)
                if len(kept) == count:
                    break
        return kept

    def _expression_scores(self, expression: str) -> dict[int, float]:
        """Return all chunks that match an expression, best first, with FTS5's own BM25. O(those)."""
        if expression not in self._expressions:
            try:
                found = self._connection.execute(
                    f"SELECT rowid, -rank FROM {LEXICAL_TABLE} WHERE {LEXICAL_TABLE} MATCH ?"  # noqa: S608  (our own name)
                    " ORDER BY rank, rowid",
                    (expression,),
                ).fetchall()
            except sqlite3.OperationalError as error:
                raise UsageError(
                    f"--lexical-query {expression!r}: {error}",
                    hint="""words, "phrases", AND, OR, NOT, NEAR(a b, 5), pre*; QUERY alone takes any text""",
                ) from error
            self._expressions[expression] = dict(found)
        return self._expressions[expression]
