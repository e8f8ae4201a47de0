"""Token ids of several texts in one array."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import numpy.typing as npt


class TokenIds(NamedTuple):
    """Token ids, text after text.

    Attributes:
        ids: Shape (tokens,), int64.
        ends: Where each text begins and ends, shape (texts + 1,), int64, from 0: text `n` has
            `ids[ends[n]:ends[n + 1]]`.
    """

    ids: npt.NDArray[np.int64]
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, ids_of: Sequence[Sequence[int]]) -> TokenIds:
        """Return lists of ids as one array."""
        ends = np.zeros(len(ids_of) + 1, dtype=np.int64)
        np.cumsum([len(ids) for ids in ids_of], out=ends[1:])
        return cls(np.fromiter(chain.from_iterable(ids_of), dtype=np.int64, count=int(ends[-1])), ends)

    @property
    def counts(self) -> npt.NDArray[np.int64]:
        """Tokens of each text, shape (texts,), int64."""
        return np.diff(self.ends)

    def each(self) -> Iterator[npt.NDArray[np.int64]]:
        """Yield the ids of each text."""
        for start, end in zip(self.ends[:-1].tolist(), self.ends[1:].tolist(), strict=True):
            yield self.ids[start:end]

    def lists(self) -> list[list[int]]:
        """Return the ids of each text as a list."""
        return [ids.tolist() for ids in self.each()]

    def filled(self, ids_of: Mapping[int, Sequence[int]]) -> TokenIds:
        """Return the same with ids for some texts that have none here, by their row in rising order."""
        ids, counts = TokenIds.of(list(ids_of.values())), self.counts
        rows = list(ids_of)
        counts[rows] = ids.counts
        return TokenIds(
            np.insert(self.ids, np.repeat(self.ends[rows], ids.counts), ids.ids),
            np.append(0, np.cumsum(counts)),
        )

    def cut(self, limit: int) -> TokenIds:
        """Return the first ids of each text, at most `limit`."""
        if not len(self.ids) or int(self.counts.max()) <= limit:
            return self
        return TokenIds.of([ids[:limit] for ids in self.lists()])
