"""Which records to look at: spread out, standing for all, far out, or like examples.

Records wait on disk; in memory are one vector of each text, and some hundred bytes for it. No text is chosen
twice as long as there are others: exact copies fill up what is left.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING, NamedTuple

from embedcli.tasks.build import record_hash
from embedcli.tasks.pipeline import batches, in_turn, overlapped
from embedcli.tasks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.vectors.set_query import SetQuery

_NO_TEXT = -1
_NO_ROW = -1


class Chosen(NamedTuple):
    """A record that was chosen, by its number in input order from 0.

    Attributes:
        number: Which record.
        score: Why, in the terms of the way it was chosen; None where that says nothing.
    """

    number: int
    score: float | None


class Sample(NamedTuple):
    """What was chosen, best first, and how well it does; None where there is nothing to say of that."""

    chosen: list[Chosen]
    reach: float | None = None


class Pool:
    """All records of a run: on disk, and with one vector for each text.

    Attributes:
        spool: The records.
        blank: How many had nothing in them; they are never chosen.
        unknown: How many texts the model knew no word of; they have no vector and are never chosen.
    """

    def __init__(self, vectors: RecordVectors, *, is_lookup: bool = False) -> None:
        """Open the spool.

        Args:
            vectors: Makes the vectors, of unit length.
            is_lookup: Whether that takes no longer than reading.

        Raises:
            OSError: There is no folder for temporary files.
        """
        self.spool = Spool()
        self.blank = self.unknown = 0
        self._vectors = vectors
        self._staged = in_turn if is_lookup else overlapped
        self._texts: dict[bytes, int] = {}
        self._text_of = array("q")
        self._copies = array("q")
        self._rows = array("q")
        self._firsts = array("q")
        self._kept: list[Vectors] = []

    def close(self) -> None:
        """Give the disk back."""
        self.spool.close()

    def stream(self, records: Iterable[Record]) -> Iterator[Vectors]:
        """Take all records; yield the vectors of texts that were not met before, shape (n, dim), n above 0.

        The rows count on from one array to the next; `chosen` knows which record each of them is.

        Raises:
            TextTooLongError: A text is too long and `on_long` is `error`.
            VectorError: A vector that came with a record does not fit.
        """
        import numpy as np

        fresh = batches(self._fresh(records), lambda item: item[1].text)
        for batch, vectors in self._staged(fresh, self._batch_vectors):
            known = np.asarray(vectors.any(axis=1))
            self.unknown += len(batch) - int(known.sum())
            for (number, _), is_known in zip(batch, known.tolist(), strict=True):
                self._rows.append(len(self._firsts) if is_known else _NO_ROW)
                if is_known:
                    self._firsts.append(number)
            if known.any():
                yield vectors[known]

    def gather(self, records: Iterable[Record]) -> Vectors:
        """Take all records; return the vectors of their texts, shape (n, dim), each text once."""
        return _joined([*self.stream(records)])

    def _batch_vectors(self, batch: Sequence[tuple[int, Record]]) -> Vectors:
        from embedcli.vectors.normalize import normalize

        return normalize(self._vectors.record_vectors([record for _, record in batch]))

    def _fresh(self, records: Iterable[Record]) -> Iterator[tuple[int, Record]]:
        """Yield each text's first record with its number."""
        for number, record in enumerate(self.spool.keep(records)):
            if record.is_blank:
                self.blank += 1
                self._text_of.append(_NO_TEXT)
                continue
            key = record_hash(record, "")
            text = self._texts.setdefault(key, len(self._texts))
            self._text_of.append(text)
            if text == len(self._copies):
                self._copies.append(1)
                yield number, record
            else:
                self._copies[text] += 1

    @property
    def weights(self) -> npt.NDArray[np.float32]:
        """How many records have the text of each row, shape (n,), float32."""
        import numpy as np

        counted = [copies for copies, row in zip(self._copies, self._rows, strict=True) if row != _NO_ROW]
        return np.array(counted, dtype=np.float32)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row of each record, shape (records,), int64; -1 for one without a vector."""
        import numpy as np

        # One more at the end, where the place of a blank record points to.
        rows: npt.NDArray[np.int64] = np.array([*self._rows, _NO_ROW], dtype=np.int64)
        return rows[np.array(self._text_of, dtype=np.int64)]

    def chosen(self, rows: Iterable[tuple[int, float | None]], count: int | None) -> list[Chosen]:
        """Return the records of some rows, and then their copies, until there are enough.

        Args:
            rows: Rows with their scores, best first, at most `count`.
            count: How many records are wanted; None for all.
        """
        found = [Chosen(self._firsts[row], score) for row, score in rows]
        if count is not None and len(found) >= count:
            return found
        scores = {self._text_of[each.number]: each.score for each in found}
        taken = {each.number for each in found}
        for number, text in enumerate(self._text_of):
            if len(found) == count:
                break
            if text in scores and number not in taken:
                found.append(Chosen(number, scores[text]))
        return found


def _joined(parts: list[Vectors]) -> Vectors:
    """Return arrays as one; each is let go as soon as it is copied, so that there is no second copy."""
    import numpy as np

    if not parts:
        return np.zeros((0, 0), dtype=np.float32)
    whole = np.empty((sum(map(len, parts)), parts[0].shape[1]), dtype=np.float32)
    end = len(whole)
    while parts:
        part = parts.pop()
        whole[end - len(part) : end] = part
        end -= len(part)
    return whole


def diverse(pool: Pool, vectors: Vectors, count: int, jobs: int = 1) -> Sample:
    """Choose records that lie far from each other and near to all; see `vectors.k_center`.

    A record's score is its cosine to the nearest of those chosen before it, none for the first; the reach is
    the lowest cosine of any text to the nearest chosen one.
    """
    from embedcli.vectors.in_blocks import CELLS, in_blocks
    from embedcli.vectors.k_center import neighbors_for, settle, spread_out
    from embedcli.vectors.metric import cosine

    wanted = min(count, len(vectors))
    if len(vectors) < 2:
        return Sample(pool.chosen([(row, None) for row in range(len(vectors))], count))
    rows = spread_out(settle(vectors, neighbors_for(len(vectors), wanted), jobs=jobs), wanted, jobs=jobs)
    taken = vectors[rows]
    scores = [None, *(float(cosine(taken[:place], taken[place]).max()) for place in range(1, wanted))]
    nearest = in_blocks(
        len(vectors),
        max(1, CELLS // wanted),
        lambda block: float((vectors[block] @ taken.T).max(axis=1).min()),
        jobs,
    )
    return Sample(pool.chosen(zip(rows, scores, strict=True), count), min(nearest))


def representative(pool: Pool, vectors: Vectors, count: int, jobs: int = 1) -> Sample:
    """Choose records that stand for all, copies counted; see `vectors.facility`.

    A record's score is what it adds to the mean cosine of all records to the nearest chosen one; the reach is
    that mean.
    """
    from embedcli.vectors.facility import representatives

    wanted = min(count, len(vectors))
    if not wanted:
        return Sample([])
    taken = representatives(vectors, pool.weights, wanted, jobs=jobs)
    return Sample(pool.chosen(taken, count), sum(each.gain for each in taken))


def outlying(pool: Pool, vectors: Vectors, count: int, jobs: int = 1) -> Sample:
    """Choose records that are far from their neighbours; see `vectors.outliers`.

    A record's score is its cosine to its fifth nearest other text; copies of it are no other text.
    """
    from embedcli.vectors.outliers import outliers

    if len(vectors) < 2:
        return Sample(pool.chosen([(row, None) for row in range(len(vectors))], count))
    found = outliers(vectors, min(count, len(vectors)), jobs=jobs)
    return Sample(pool.chosen(found, count), found[-1].cosine)


def alike(pool: Pool, records: Iterable[Record], examples: SetQuery, count: int) -> Sample:
    """Choose the records that are nearest to any of some examples.

    A record's score is the cosine to the nearest example, 0 where that is below. Memory is O(count x dim),
    and the records' hashes.
    """
    from embedcli.vectors.set_query import SetTop

    top, first = SetTop(examples, count), 0
    for vectors in pool.stream(records):
        top.add(vectors, first)
        first += len(vectors)
    found = [(each.row, each.score) for each in top.result()]
    return Sample(pool.chosen(found, count), found[-1][1] if found else None)
