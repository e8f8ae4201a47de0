"""All records of a run: on disk, and with one vector for each text.

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

_NO_TEXT = -1
NO_ROW = -1
"""The row of a record without a vector."""


class Chosen(NamedTuple):
    """A record that was chosen, by its number in input order from 0.

    Attributes:
        number: Which record.
        score: Why, in the terms of the way it was chosen; None where that says nothing.
    """

    number: int
    score: float | None


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
                self._rows.append(len(self._firsts) if is_known else NO_ROW)
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

        counted = [copies for copies, row in zip(self._copies, self._rows, strict=True) if row != NO_ROW]
        return np.array(counted, dtype=np.float32)

    @property
    def rows(self) -> npt.NDArray[np.int64]:
        """The row of each record, shape (records,), int64; -1 for one without a vector."""
        import numpy as np

        # One more at the end, where the place of a blank record points to.
        rows: npt.NDArray[np.int64] = np.array([*self._rows, NO_ROW], dtype=np.int64)
        return rows[np.array(self._text_of, dtype=np.int64)]

    @property
    def keys(self) -> npt.NDArray[np.uint64]:
        """A hash of the text of each row, and of the vector that came with it, shape (n,), uint64.

        The same in every run. Of a million texts two share one with a chance of 3 in 10**8.
        """
        import numpy as np

        named = [key[:8] for key, row in zip(self._texts, self._rows, strict=True) if row != NO_ROW]
        return np.frombuffer(b"".join(named), dtype="<u8").astype(np.uint64)

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
