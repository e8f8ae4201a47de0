"""What was found for questions, for those that ask again: for more chunks, or to rank them in another way."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Hashable

    import numpy as np
    import numpy.typing as npt

    Rows = npt.NDArray[np.int64]

QUESTIONS: Final = 64

MATCHES: Final = 1024
"""Rows that are remembered of an expression: most that are asked for, read in half a millisecond."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of one question.

    Attributes:
        matches: By expression, the first `MATCHES` rows that match, best first by FTS5's own BM25.
        scores: Of rows, by our own.
    """

    matches: dict[str, Rows] = field(default_factory=dict)
    scores: dict[int, float] = field(default_factory=dict)


class LexicalMemory:
    """What is known of the questions that were asked last.

    It says something about every index that has the same texts in the same rows.
    """

    def __init__(self, at_most: int | None = QUESTIONS) -> None:
        """Start with nothing known.

        Args:
            at_most: How many questions are remembered; None for all.
        """
        self._at_most = at_most
        self._known: OrderedDict[Hashable, Known] = OrderedDict()

    def of(self, question: Hashable) -> Known:
        """Return what is known of a question, to be added to."""
        known = self._known.setdefault(question, Known())
        self._known.move_to_end(question)
        if self._at_most is not None and len(self._known) > self._at_most:
            self._known.popitem(last=False)
        return known
