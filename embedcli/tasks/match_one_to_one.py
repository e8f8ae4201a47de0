"""Matches of which no two share a record: `match --one-to-one`, and what `match --comm` calls reworded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from embedcli.reports import Match

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedcli.tasks.match import MatchSettings, Ranked
    from embedcli.tasks.match_join import Gathered

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]


class Made(NamedTuple):
    """A pair of records that was made.

    Attributes:
        number: Of the right record.
        pair: Where its texts stand among the candidates.
    """

    number: int
    pair: int


class Partners:
    """The pairs that were made, by the left record's number."""

    def __init__(self, right: Gathered, candidates: _Candidates, made: dict[int, Made], blend: float) -> None:
        self._right, self._candidates, self._made, self._blend = right, candidates, made, blend

    def number(self, left: int) -> int | None:
        """Return the number of the right record that a left one goes with, or None."""
        made = self._made.get(left)
        return None if made is None else made.number

    def of(self, left: int) -> list[Match]:
        """Return a left record's one match, or none."""
        made = self._made.get(left)
        if made is None:
            return []
        score, margin, cosine, characters = (float(each[made.pair]) for each in self._candidates[2:])
        return [
            Match(
                self._right.pool.spool.record(made.number),
                score,
                margin if math.isfinite(margin) else None,
                cosine,
                characters if self._blend else None,
            )
        ]


class _Candidates(NamedTuple):
    """Pairs of texts, each once: arrays of shape (pairs,)."""

    left: Rows
    right: Rows
    scores: Doubles
    margins: Doubles
    cosines: Doubles
    characters: Doubles


def one_to_one(
    left: Gathered, right: Gathered, forward: Ranked, backward: Ranked, settings: MatchSettings
) -> Partners:
    """Return the pairs of records, each record in one at most, with the highest sum of scores.

    Candidates are the best right texts of each left one, and the best left texts of each right one, as far as
    they are good enough; a pair that scores nothing is not made. Of records with the same text, those that
    come first are the first to be paired, and with those that come first.

    Args:
        left: The left side.
        right: The right side.
        forward: For each left text the best right ones.
        backward: For each right text the best left ones.
        settings: How good a pair must be.
    """
    from embedcli.vectors.assignment import NONE, Pairs, assign, spread_over_copies

    candidates = _candidates(forward, backward, settings)
    texts = Pairs(candidates.left, candidates.right, candidates.scores)
    records = spread_over_copies(texts, left.copies, right.copies)
    partners = assign(records, int(left.copies.sum()))
    paired = (partners != NONE).nonzero()[0]
    texts_of = _texts(paired, left), _texts(partners[paired], right)
    return Partners(right, candidates, _in_input_order(*texts_of, candidates, left, right), settings.blend)


def _candidates(forward: Ranked, backward: Ranked, settings: MatchSettings) -> _Candidates:
    """Return the pairs of either direction that are good enough."""
    import numpy as np

    lefts, rights = (np.repeat(np.arange(len(each.rows)), each.rows.shape[1]) for each in (forward, backward))
    left = np.concatenate((lefts, backward.rows.ravel()))
    right = np.concatenate((forward.rows.ravel(), rights))
    _, once = np.unique(left * max(len(backward.rows), 1) + right, return_index=True)
    left, right = left[once], right[once]
    scores, cosines, characters = (
        np.concatenate((one.ravel(), other.ravel()))[once]
        for one, other in zip(forward[1:], backward[1:], strict=True)
    )
    first, second = forward.top_two[left].T
    # The best one of a left text is ahead of the second, all others are behind the best.
    is_best = forward.rows[left, 0] == right if forward.rows.size else np.zeros(0, np.bool_)
    margins = scores - np.where(is_best, second, first)
    good = scores > -np.inf
    if settings.min_score is not None:
        good &= scores >= settings.min_score
    if settings.min_margin is not None:
        good &= margins >= settings.min_margin
    return _Candidates(left[good], right[good], scores[good], margins[good], cosines[good], characters[good])


def _texts(records: Rows, side: Gathered) -> Rows:
    """Return the texts of records that are numbered text after text."""
    import numpy as np

    return np.searchsorted(side.starts, records, side="right") - 1


def _in_input_order(
    lefts: Rows, rights: Rows, candidates: _Candidates, left: Gathered, right: Gathered
) -> dict[int, Made]:
    """Return pairs of records for pairs of texts, of whose copies the first go together."""
    import numpy as np

    width = max(len(right.copies), 1)
    # Candidates stand in the order of their texts.
    pairs = np.searchsorted(candidates.left * width + candidates.right, lefts * width + rights)
    best_first = np.lexsort((pairs, -candidates.scores[pairs], lefts))
    pairs = pairs[best_first]
    numbers = left.numbers[_taken_in_turn(candidates.left[pairs], left.starts)]
    by_right = np.lexsort((numbers, candidates.right[pairs]))
    pairs, numbers = pairs[by_right], numbers[by_right]
    partners = right.numbers[_taken_in_turn(candidates.right[pairs], right.starts)]
    return {
        number: Made(partner, pair)
        for number, partner, pair in zip(numbers.tolist(), partners.tolist(), pairs.tolist(), strict=True)
    }


def _taken_in_turn(texts: Rows, starts: Rows) -> Rows:
    """Return for texts in ascending order the place of the next record of each."""
    import numpy as np

    return starts[texts] + np.arange(len(texts)) - np.searchsorted(texts, texts, side="left")
