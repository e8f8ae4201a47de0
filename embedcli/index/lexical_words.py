"""Words as the full-text table has them, and how often they stand in texts."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np

from embedcli.index.rows import storable
from embedcli.index.schema import LEXICAL_TOKENIZER

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

_STEMMER = "porter "


class WordCounter:
    """SQLite's own tokenizer, in a table in memory: it alone knows which words it makes of a text."""

    def __init__(self) -> None:
        self._connection = sqlite3.connect(":memory:", isolation_level=None)
        for table, tokenizer in (
            ("stems", LEXICAL_TOKENIZER),
            ("words", LEXICAL_TOKENIZER.removeprefix(_STEMMER)),
        ):
            self._connection.execute(
                f"CREATE VIRTUAL TABLE {table} USING fts5 (text, content='', tokenize='{tokenizer}')"
            )
            self._connection.execute(f"CREATE VIRTUAL TABLE {table}_seen USING fts5vocab ({table}, instance)")

    def words(self, text: str) -> dict[str, str]:
        """Return the different words of a text in their order: each stem, and the last word that has it.

        A stem is what the table holds; only a word can be asked for, since stemming a stem may change it.
        """
        found = {}
        for table in ("stems", "words"):
            self._fill(table, [text])
            found[table] = [
                row[0]
                for row in self._connection.execute(f"SELECT term FROM {table}_seen ORDER BY offset")  # noqa: S608  (our own names)
            ]
        return dict(zip(found["stems"], found["words"], strict=True))

    def count(
        self, texts: Sequence[str], stems: Sequence[str]
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return how often each stem stands in each text, and how many words each text has.

        Returns:
            Counts, shape (len(texts), len(stems)), and lengths, shape (len(texts),), float64.
        """
        self._fill("stems", texts)
        counts = np.zeros((len(texts), len(stems)))
        for column, stem in enumerate(stems):
            for row, count in self._connection.execute(
                "SELECT doc, count(*) FROM stems_seen WHERE term = ? GROUP BY doc", (stem,)
            ):
                counts[row, column] = count
        lengths = np.zeros(len(texts))
        for row, blob in self._connection.execute("SELECT id, sz FROM stems_docsize"):
            lengths[row] = varints(blob)[0]
        return counts, lengths

    def _fill(self, table: str, texts: Sequence[str]) -> None:
        self._connection.execute("BEGIN")
        self._connection.execute(f"INSERT INTO {table} ({table}) VALUES ('delete-all')")  # noqa: S608  (our own names)
        self._connection.executemany(
            f"INSERT INTO {table} (rowid, text) VALUES (?, ?)",  # noqa: S608  (our own names)
            enumerate(map(storable, texts)),
        )
        self._connection.execute("COMMIT")


def varints(blob: bytes) -> list[int]:
    """Return the numbers in a blob of SQLite's variable-length integers.

    Source: the SQLite documentation, "Database File Format", section 1.6: seven bits a byte, the highest
        first, the top bit set in all but the last; a ninth byte counts whole.
    """
    numbers, value, length = [], 0, 0
    for byte in blob:
        length += 1
        value = value << 8 | byte if length == 9 else value << 7 | byte & 0x7F
        if byte < 0x80 or length == 9:
            numbers.append(value)
            value = length = 0
    return numbers
