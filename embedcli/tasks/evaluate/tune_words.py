"""The BM25 scores of an index, remembered where many settings ask the same questions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedcli.index.lexical import LexicalReader

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedcli.index.lexical import LexicalHit, Question

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Scored:
    """What is known of indexes with the same texts in the same rows. O(questions x rows that were asked for).

    Attributes:
        questions: By their text.
        best: By question and count.
        scores: By question and row.
    """

    questions: dict[str, Question] = field(default_factory=dict)
    best: dict[tuple[Question, int], list[LexicalHit]] = field(default_factory=dict)
    scores: dict[Question, dict[int, float]] = field(default_factory=dict)


class RememberedWords(LexicalReader):
    """Another reader's answers, each computed once."""

    def __init__(self, reader: LexicalReader, known: Scored) -> None:
        """Take over what is known; `known` is added to. Nothing is filtered, and no expression looked for."""
        self._reader, self._known = reader, known

    def question(self, text: str) -> Question:
        """See `LexicalReader.question`."""
        if text not in self._known.questions:
            self._known.questions[text] = self._reader.question(text)
        return self._known.questions[text]

    def best(self, question: Question, count: int, allowed: Rows | None = None) -> list[LexicalHit]:
        """See `LexicalReader.best`."""
        if allowed is not None:
            return self._reader.best(question, count, allowed)
        if (question, count) not in self._known.best:
            self._known.best[question, count] = self._reader.best(question, count)
        return self._known.best[question, count]

    def scores(self, question: Question, rows: Rows) -> Doubles:
        """See `LexicalReader.scores`."""
        import numpy as np

        own = self._known.scores.setdefault(question, {})
        missing = np.array([row for row in rows.tolist() if row not in own], dtype=np.int64)
        if len(missing):
            own.update(zip(missing.tolist(), self._reader.scores(question, missing).tolist(), strict=True))
        return np.array([own[row] for row in rows.tolist()], dtype=np.float64)
