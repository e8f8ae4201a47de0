"""The join of two inputs by what their records say: `match LEFT RIGHT`.

The right side is read first; its records wait on disk, its vectors in memory. The left side then goes by, a
batch at a time, unless its records must know of each other (`ratio`, `one_to_one`): then it waits likewise.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from embedcli.reports import Match
from embedcli.tasks.match import CANDIDATES, Ranked, against_neighbors, rank, side_of
from embedcli.tasks.match_one_to_one import one_to_one
from embedcli.tasks.pipeline import batches, in_turn, overlapped
from embedcli.tasks.pool import NO_ROW

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.match import MatchSettings, Side
    from embedcli.tasks.pool import Pool

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

    Matched = tuple[Record, list[Match]]


class Gathered:
    """One side as a whole.

    Attributes:
        pool: Its records.
        side: Its texts, each once.
        rows: The text of each record, shape (records,); -1 for one without a vector.
        copies: How many records have each text, shape (n,), int64.
        numbers: The numbers of the records of each text, text after text, each in input order.
        starts: Where those of each text begin, shape (n,), int64.
    """

    def __init__(self, pool: Pool, records: Iterable[Record], settings: MatchSettings) -> None:
        """Read all records.

        Args:
            pool: An empty one.
            records: To be read.
            settings: Say what is compared.

        Raises:
            TextTooLongError: A text is too long and `on_long` is `error`.
            VectorError: A vector that came with a record does not fit.
        """
        import numpy as np

        vectors = pool.gather(records)
        self.pool, self.rows = pool, pool.rows
        order = np.argsort(self.rows, kind="stable")
        self.numbers: Rows = order[np.searchsorted(self.rows[order], 0) :]
        self.copies: Rows = np.bincount(self.rows[self.numbers], minlength=len(vectors))
        self.starts: Rows = np.cumsum(self.copies) - self.copies
        texts = (pool.spool.record(number).text for number in self.numbers[self.starts].tolist())
        self.side: Side = side_of(vectors, texts, settings)

    def record(self, row: int, copy: int = 0) -> Record:
        """Return a record of a text."""
        return self.pool.spool.record(int(self.numbers[self.starts[row] + copy]))


def join(
    records: Iterable[Record],
    vectors: RecordVectors,
    right: Gathered,
    settings: MatchSettings,
    *,
    is_lookup: bool = True,
) -> Iterator[Matched]:
    """Yield each left record, in input order, with its matches, the best first; memory is O(batch).

    Args:
        records: The left side.
        vectors: Makes their vectors, of unit length.
        right: The right side.
        settings: What makes a match; neither `ratio` nor `one_to_one`.
        is_lookup: Whether making vectors takes no longer than reading.
    """
    import numpy as np

    from embedcli.vectors.normalize import normalize

    def encode(batch: list[Record]) -> Vectors:
        there = [row for row, record in enumerate(batch) if not record.is_blank]
        if not there:
            return np.zeros((len(batch), 0), dtype=np.float32)
        made = normalize(vectors.record_vectors([batch[row] for row in there]))
        whole = np.zeros((len(batch), made.shape[1]), dtype=np.float32)
        whole[there] = made
        return whole

    staged = in_turn if is_lookup else overlapped
    for batch, made in staged(batches(records, lambda record: record.text), encode):
        known = np.flatnonzero(made.any(axis=1)).tolist()
        side = side_of(made[known], (batch[row].text for row in known), settings)
        best = rank(side, right.side, max(settings.top_k, 2), settings)
        places = {row: place for place, row in enumerate(known)}
        for row, record in enumerate(batch):
            yield record, _matches(best, places[row], right, settings) if row in places else []


def join_whole(left: Gathered, right: Gathered, settings: MatchSettings) -> Iterator[Matched]:
    """Yield each left record with its matches, as `join`, where one may depend on all others.

    Args:
        left: The left side; the very same object as the right one where records are matched with each other.
        right: The right side.
        settings: What makes a match.
    """
    forward = backward = ranked(left, right, settings)
    if left is not right and (settings.ratio or settings.one_to_one):
        backward = ranked(right, left, settings)
    if settings.ratio:
        forward, backward = against_neighbors(forward, backward, settings.neighbors)
    partners = one_to_one(left, right, forward, backward, settings) if settings.one_to_one else None
    for number, row in enumerate(left.rows.tolist()):
        record = left.pool.spool.record(number)
        if partners is not None:
            yield record, partners.of(number)
        elif row == NO_ROW:
            yield record, []
        else:
            yield record, _matches(forward, row, right, settings, number if left is right else None)


def ranked(left: Gathered, right: Gathered, settings: MatchSettings) -> Ranked:
    """Return as many of the best texts as the settings can make use of."""
    import numpy as np

    wanted = max(settings.top_k, 2)
    if settings.ratio or settings.one_to_one:
        wanted = max(wanted, settings.neighbors, CANDIDATES)
    if left is not right:
        return rank(left.side, right.side, wanted, settings)
    others = rank(left.side, right.side, wanted, settings, are_same=True)
    # Another record with the very same text is as near as can be.
    own = np.where(left.copies > 1, 1.0, -np.inf)
    rows = np.arange(len(own))
    joined = Ranked(
        *(
            np.concatenate((first[:, np.newaxis], rest), axis=1)
            for first, rest in zip((rows, own, np.ones(len(own)), np.ones(len(own))), others, strict=True)
        )
    )
    return joined.take(np.argsort(-joined.scores, axis=1, kind="stable")[:, :wanted])


def _matches(
    best: Ranked, place: int, right: Gathered, settings: MatchSettings, own_number: int | None = None
) -> list[Match]:
    """Return the matches of one left text.

    Args:
        best: The best right texts of all left ones.
        place: Of the left text there.
        right: The right side.
        settings: How many, and how good.
        own_number: The number of the left record where the sides are the same.
    """
    first, second = best.top_two[place].tolist()
    found = []
    for column in range(min(settings.top_k, best.rows.shape[1])):
        score, row = float(best.scores[place, column]), int(best.rows[place, column])
        margin = score - (first if column else second)
        if not is_good(score, margin, settings):
            continue
        is_itself = int(right.numbers[right.starts[row]]) == own_number
        characters = float(best.characters[place, column]) if settings.blend else None
        cosine = float(best.cosines[place, column])
        record = right.record(row, copy=int(is_itself))
        found.append(Match(record, score, margin if math.isfinite(margin) else None, cosine, characters))
    return found


def is_good(score: float, margin: float, settings: MatchSettings) -> bool:
    """Whether a pair is a match; one that is the only possible one has all the margin that there is."""
    return (
        score > -math.inf
        and (settings.min_score is None or score >= settings.min_score)
        and (settings.min_margin is None or margin >= settings.min_margin)
    )
