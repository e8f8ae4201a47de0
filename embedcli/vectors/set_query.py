"""Questions made of several vectors: near this or that, and near those, and not near these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from embedcli.errors import VectorError
from embedcli.vectors.exact import SCAN_NUMBERS, safe_margin
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vector, Vectors

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

NOT_WEIGHT: Final = 0.4
"""What nearness to an unwanted vector takes away. Measured, as the rest of the score: docs/search.md."""


@dataclass(frozen=True)
class SetQuery:
    """A question as a set of vectors, each of shape (dim,), float32; those that are wanted at least one.

    Attributes:
        any_of: A row is as near to these as to the nearest of them.
        all_of: A row should be near to each of these as well.
        none_of: A row should be near to none of these.
    """

    any_of: tuple[Vector, ...] = ()
    all_of: tuple[Vector, ...] = ()
    none_of: tuple[Vector, ...] = ()

    @property
    def vectors(self) -> tuple[Vector, ...]:
        """All vectors, in the order of the attributes."""
        return (*self.any_of, *self.all_of, *self.none_of)

    @property
    def center(self) -> Vector:
        """The middle of what is wanted, unit length."""
        wanted = normalize(np.stack([*self.any_of, *self.all_of]))
        vector: Vector = normalize(wanted.sum(axis=0, keepdims=True))[0]
        return vector

    def cosines(self, rows: Vectors) -> Doubles:
        """Return the cosine of each row to each of `vectors`, shape (n, vectors)."""
        return np.stack([cosine(rows, vector) for vector in self.vectors], axis=1)

    def scores(self, cosines: Doubles) -> Doubles:
        """Return how well rows answer the question, shape (n,), -0.4 to 1, higher is better.

        The geometric mean of the nearness to `any_of` (the highest cosine) and to each of `all_of`, where a
        cosine below 0 counts as 0; less `NOT_WEIGHT` times the highest cosine above 0 to any of `none_of`.

        Args:
            cosines: Shape (n, vectors).

        Source of set operations on examples: Y. Liu, S. Wang et al., "SetCSE: Set Operations using
            Contrastive Learning of Sentence Embeddings", ICLR 2024; the product for "and" is that of
            probabilistic sums in fuzzy sets, which ranked best of six forms that were measured.
        """
        first, last = len(self.any_of), len(self.any_of) + len(self.all_of)
        wanted = cosines[:, first:last]
        if first:
            wanted = np.concatenate([cosines[:, :first].max(axis=1, keepdims=True), wanted], axis=1)
        score: Doubles = np.maximum(wanted, 0).prod(axis=1) ** (1 / wanted.shape[1])
        if self.none_of:
            score = score - NOT_WEIGHT * np.maximum(cosines[:, last:], 0).max(axis=1)
        return score

    def margin(self) -> float:
        """How far a score can be from the exact one where each cosine is off by `safe_margin` at most.

        A product of m numbers in 0 to 1 is then off by m margins, and its m-th root by the root of that.
        """
        parts = bool(self.any_of) + len(self.all_of)
        each = safe_margin(len(self.vectors[0]))
        return float((parts * each) ** (1 / parts) + NOT_WEIGHT * each)


class SetCandidate(NamedTuple):
    """One of the best rows: its score, and its cosine to each vector of the question."""

    row: int
    score: float
    cosines: tuple[float, ...]


class SetTop:
    """The `k` rows that answer a `SetQuery` best, exact, over blocks that come one after the other.

    As `exact.TopK`: rows need not have unit length, rows of zeros are never returned. Memory is O(k + one
    block + rows that tie with the last place).
    """

    def __init__(self, query: SetQuery, k: int, min_score: float | None = None) -> None:
        """Start with nothing seen.

        Args:
            query: What is looked for.
            k: How many rows are wanted, at least 1.
            min_score: The lowest score that counts, inclusive; None for no limit.
        """
        self._query, self._k = query, k
        self._min_score = -np.inf if min_score is None else min_score
        self._units = normalize(np.stack(query.vectors)).T
        self._rows: Rows = np.empty(0, dtype=np.int64)
        self._scores: Doubles = np.empty(0)
        self._cosines: Doubles = np.empty((0, len(query.vectors)))

    def scores(self, vectors: Vectors) -> Doubles:
        """Return the exact score of each vector, shape (n,)."""
        return self._query.scores(self._query.cosines(vectors))

    def add(
        self, block: npt.NDArray[Any], first: int | Rows = 0, dead: npt.NDArray[np.bool_] | None = None
    ) -> None:
        """Look at one more block; see `TopK.add`."""
        step = max(1, SCAN_NUMBERS // max(block.shape[1], 1))
        for start in range(0, len(block), step):
            rows = np.asarray(block[start : start + step], dtype=np.float32)
            alive = rows.any(axis=1)
            if dead is not None:
                alive &= ~dead[start : start + step]
            with np.errstate(all="ignore"):
                near = (rows @ self._units) / np.sqrt(np.einsum("ij,ij->i", rows, rows))[:, np.newaxis]
                rough = self._query.scores(near.astype(np.float64))
            # What is not a number is looked at exactly.
            kept = np.flatnonzero(alive & ~(rough < self._bar - self._query.margin()))
            if len(kept):
                cosines = self._query.cosines(rows[kept])
                numbers = kept + start
                self._take(numbers + first if isinstance(first, int) else first[numbers], cosines)

    def result(self, *, ties: bool = False) -> list[SetCandidate]:
        """The best rows so far: highest score first, equal ones by row number; see `TopK.result`."""
        order = np.lexsort((self._rows, -self._scores))
        return [
            SetCandidate(int(self._rows[at]), float(self._scores[at]), tuple(self._cosines[at].tolist()))
            for at in (order if ties else order[: self._k])
        ]

    @property
    def _bar(self) -> float:
        """The lowest score that can still matter."""
        if len(self._scores) < self._k:
            return float(self._min_score)
        return float(max(self._min_score, np.partition(self._scores, -self._k)[-self._k]))

    def _take(self, rows: Rows, cosines: Doubles) -> None:
        unknown = np.isnan(cosines).any(axis=1)
        if unknown.any():
            raise VectorError(f"vector {int(rows[unknown][0]) + 1} holds a value that is not a finite number")
        self._rows = np.concatenate([self._rows, rows])
        self._scores = np.concatenate([self._scores, self._query.scores(cosines)])
        self._cosines = np.concatenate([self._cosines, cosines])
        kept = self._scores >= self._bar
        self._rows, self._scores, self._cosines = self._rows[kept], self._scores[kept], self._cosines[kept]
