"""Records to labels: scores of a head, what is done to them, and which of them are an answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.taxonomy import Taxonomy
    from embedcli.vectors.heads import Doubles, Head

BLOCK_RECORDS: Final = 256
BLOCK_CHARS: Final = 1 << 18
"""A block ends at either; what a block is changes no answer."""


class Scored(NamedTuple):
    """A label and its score, higher is closer."""

    label: str
    score: float


class Answer(NamedTuple):
    """What a record is called.

    Attributes:
        label: The best label; None where the record is left open, or has no vector.
        score: Of the best label, also where that is no answer; None for a record without a vector.
        margin: How far that is ahead of the next label's, likewise.
        labels: The best labels, or all that are answers where a record may have several.
    """

    label: str | None = None
    score: float | None = None
    margin: float | None = None
    labels: tuple[Scored, ...] = ()


@dataclass(frozen=True, slots=True)
class AnswerSettings:
    """Which scores are answers.

    Attributes:
        min_score: The lowest; None for any.
        min_margin: The least that the best score is ahead; None for any.
        top_k: How many labels are listed, also those that are no answers; None for one, or for all with
            `many`.
        many: Whether all labels with `min_score` are answers.
    """

    min_score: float | None = None
    min_margin: float | None = None
    top_k: int | None = None
    many: bool = False


@dataclass(frozen=True)
class Classifier:
    """Gives answers. A row's answer depends on nothing but the row.

    Attributes:
        names: The labels, in the order of the head's scores.
        head: Gives scores.
        settings: Which of them are answers.
        penalties: What is taken from each label's score, shape (labels,); None for nothing.
        taxonomy: Where the answer is the label nearest to all that a record may be; else None.
    """

    names: Sequence[str]
    head: Head
    settings: AnswerSettings = field(default_factory=AnswerSettings)
    penalties: Doubles | None = None
    taxonomy: Taxonomy | None = None

    @property
    def labels(self) -> Sequence[str]:
        """All labels that can be an answer."""
        return self.names if self.taxonomy is None else self.taxonomy.labels

    def answers(self, vectors: Vectors) -> list[Answer]:
        """Return an answer for each row.

        Args:
            vectors: Shape (n, dim), float32, unit length; rows of zeros have no answer.

        Raises:
            VectorError: The head was learnt with vectors of another size.
        """
        import numpy as np

        known = np.asarray(vectors.any(axis=1))
        found = [Answer()] * len(vectors)
        for row, answer in zip(np.flatnonzero(known).tolist(), self._answers(vectors[known]), strict=True):
            found[row] = answer
        return found

    def scores(self, vectors: Vectors) -> Doubles:
        """Return the score of each of `labels` for each row of unit length, shape (n, labels)."""
        from embedcli.vectors.heads import rounded

        scores = self.head.scores(vectors)
        if self.penalties is not None:
            scores = rounded(scores - self.penalties)
        if self.taxonomy is None:
            return scores
        from embedcli.vectors.frechet import frechet_scores

        return frechet_scores(self.head.probabilities(scores), self.taxonomy.distances)

    def _answers(self, vectors: Vectors) -> list[Answer]:
        import numpy as np

        from embedcli.vectors.heads import margins, ranked

        if not len(vectors):
            return []
        scores = self.scores(vectors)
        listed = self.settings.top_k or (scores.shape[1] if self.settings.many else 1)
        order = ranked(scores)[:, :listed]
        best = np.take_along_axis(scores, order, axis=1)
        rows = zip(order.tolist(), best.tolist(), margins(scores).tolist(), strict=True)
        return [self._answer(*row) for row in rows]

    def _answer(self, places: list[int], scores: list[float], margin: float) -> Answer:
        """Return the answer that the best labels of a record, in their order, are."""
        settings = self.settings
        least = settings.min_score
        is_open = (least is not None and scores[0] < least) or (
            settings.min_margin is not None and margin < settings.min_margin
        )
        found = tuple(Scored(self.labels[place], score) for place, score in zip(places, scores, strict=True))
        if settings.many and least is not None:
            found = tuple(each for each in found if each.score >= least)
        return Answer(None if is_open else self.labels[places[0]], scores[0], margin, found)


class LabelStream:
    """Answers records as they come and hands them on. Memory is a block."""

    def __init__(
        self,
        classifier: Classifier,
        vectors: RecordVectors,
        sink: Callable[[Record, Answer], None],
        after: Callable[[], None] = lambda: None,
    ) -> None:
        """Start with nothing waiting.

        Args:
            classifier: Gives the answers.
            vectors: Makes the vectors.
            sink: Takes each record and its answer, in input order.
            after: Called after each block.
        """
        self._classifier, self._vectors = classifier, vectors
        self._sink, self._after = sink, after
        self._waiting: list[Record] = []
        self._chars = 0

    def run(self, records: Iterable[Record]) -> None:
        """Take all records.

        Raises:
            TextTooLongError: A text is too long and `on_long` is `error`.
            VectorError: A vector that came with a record does not fit.
        """
        for record in records:
            self._waiting.append(record)
            self._chars += len(record.text)
            if len(self._waiting) >= BLOCK_RECORDS or self._chars >= BLOCK_CHARS:
                self.flush()
        self.flush()

    def flush(self) -> None:
        """Answer what is waiting: called when the input pauses, too."""
        from embedcli.vectors.normalize import normalize

        if not self._waiting:
            return
        block, self._waiting, self._chars = self._waiting, [], 0
        full = [record for record in block if not record.is_blank]
        answers = iter(
            self._classifier.answers(normalize(self._vectors.record_vectors(full))) if full else ()
        )
        for record in block:
            self._sink(record, Answer() if record.is_blank else next(answers))
        self._after()
