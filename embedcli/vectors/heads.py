"""What turns vectors into scores of labels: directions, linear models, labelled neighbours; numpy alone.

Products are taken in float64 and scores rounded to `DECIMALS`, so that a row's scores do not depend on the
rows beside it, nor on how many there are.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from embedcli.vectors.neighbors import nearest_among

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Doubles = npt.NDArray[np.float64]

DECIMALS: Final = 6
"""Of a score. Sums of float64 in another order differ by less than a billionth of that."""

NEIGHBORS: Final = 20
"""Labelled neighbours that vote. Measured: docs/classify.md."""

NAME_SHARPNESS: Final = 15.0
"""Cosines to label names become probabilities as exp(15 cosine): with 12 to 18 those of two sets and two
encoders were likeliest."""

_NEIGHBOR_SHARPNESS: Final = 14.0
"""A neighbour votes with exp(14 cosine). Measured: docs/classify.md."""

_SPARE: Final = 8
"""Neighbours looked at beyond those that vote: float32 products are off by less than these are apart."""


_EQUAL_DECIMALS: Final = 9
"""Cosines that are equal to so many places are equal: sums in another order differ later."""

_ROWS: Final = 256
"""Rows whose neighbours are looked at together: some ten thousand pairs."""


class Head:
    """Scores of labels, higher is closer, for rows of unit length."""

    @property
    def labels(self) -> int:
        """How many labels there are."""
        raise NotImplementedError

    @property
    def dim(self) -> int:
        """Numbers in the vectors that it takes."""
        raise NotImplementedError

    def raw(self, vectors: Vectors) -> Doubles:
        """Return what scores are made of, shape (n, labels)."""
        raise NotImplementedError

    def finished(self, raw: Doubles) -> Doubles:
        """Return the scores that are made of this, shape (n, labels), at most 1."""
        return raw

    def scores(self, vectors: Vectors) -> Doubles:
        """Return the score of each label for each row, shape (n, labels), at most 1."""
        return self.finished(self.raw(vectors))

    def probabilities(self, scores: Doubles) -> Doubles:
        """Return scores as shares, shape (n, labels); each row sums to 1."""
        total = scores.sum(axis=1, keepdims=True)
        even = np.full_like(scores, 1 / scores.shape[1])
        shares: Doubles = np.divide(scores, total, out=even, where=total > 0)
        return shares


@dataclass(frozen=True)
class DirectionHead(Head):
    """The cosine, -1 to 1, to one direction of each label: of its name, or the mean of its examples.

    Attributes:
        directions: Shape (labels, dim), float32, unit length.
        sharpness: What a cosine is multiplied by before it is the logarithm of a probability.
    """

    directions: Vectors
    sharpness: float = NAME_SHARPNESS

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return len(self.directions)

    @property
    def dim(self) -> int:
        """Numbers in the vectors that it takes."""
        return int(self.directions.shape[1])

    def raw(self, vectors: Vectors) -> Doubles:
        """Return cosines; see `Head`."""
        products = vectors.astype(np.float64) @ self.directions.T.astype(np.float64)
        return rounded(np.clip(products, -1, 1))

    def probabilities(self, scores: Doubles) -> Doubles:
        """Return the softmax of the scores; see `Head`."""
        return softmax(scores * self.sharpness)


@dataclass(frozen=True)
class LinearHead(Head):
    """Probabilities, 0 to 1, by a linear model.

    Attributes:
        weights: Shape (labels, dim), float32.
        bias: Shape (labels,), float32.
        sharpness: What the model's numbers are multiplied by: above 1 where it is too modest.
        many: Whether each label has a probability of its own, so that a row can have several or none.
    """

    weights: Vectors
    bias: npt.NDArray[np.float32]
    sharpness: float = 1.0
    many: bool = False

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return len(self.weights)

    @property
    def dim(self) -> int:
        """Numbers in the vectors that it takes."""
        return int(self.weights.shape[1])

    def raw(self, vectors: Vectors) -> Doubles:
        """Return the model's numbers; see `Head`."""
        found: Doubles = vectors.astype(np.float64) @ self.weights.T.astype(np.float64) + self.bias
        return found

    def finished(self, raw: Doubles) -> Doubles:
        """Return probabilities; see `Head`."""
        logits = raw * self.sharpness
        if not self.many:
            return rounded(softmax(logits))
        # The hyperbolic tangent does not overflow.
        return rounded(0.5 + 0.5 * np.tanh(logits / 2))


@dataclass(frozen=True)
class NeighborHead(Head):
    """The share of the votes, 0 to 1, of the nearest examples; a vote weighs the less the farther it is.

    Attributes:
        vectors: Shape (n, dim), float32, unit length, n at least 1.
        targets: Which labels each example has, shape (n, labels), bool.
        neighbors: How many vote; of equally near ones the first.
    """

    vectors: Vectors
    targets: npt.NDArray[np.bool_]
    neighbors: int = NEIGHBORS

    @property
    def labels(self) -> int:
        """How many labels there are."""
        return int(self.targets.shape[1])

    @property
    def dim(self) -> int:
        """Numbers in the vectors that it takes."""
        return int(self.vectors.shape[1])

    def raw(self, vectors: Vectors) -> Doubles:
        """Return shares; see `Head`."""
        found = np.zeros((len(vectors), self.labels))
        for start in range(0, len(vectors), _ROWS):
            found[start : start + _ROWS] = self._shares(vectors[start : start + _ROWS])
        return rounded(found)

    def _shares(self, vectors: Vectors) -> Doubles:
        near = nearest_among(vectors, self.vectors, self.neighbors + _SPARE).rows
        # Of equally near ones the lower row stands first.
        rows = np.sort(near.astype(np.int64), axis=1)
        wide = self.vectors[rows].astype(np.float64)
        cosines = np.round(np.einsum("nd,nmd->nm", vectors.astype(np.float64), wide), _EQUAL_DECIMALS)
        best = np.argsort(-cosines, axis=1, kind="stable")[:, : self.neighbors]
        rows, cosines = np.take_along_axis(rows, best, axis=1), np.take_along_axis(cosines, best, axis=1)
        votes = np.exp(_NEIGHBOR_SHARPNESS * (cosines - cosines[:, :1]))
        found = np.zeros((len(vectors), self.labels))
        for place in range(votes.shape[1]):
            found += votes[:, place : place + 1] * self.targets[rows[:, place]]
        shares: Doubles = found / votes.sum(axis=1, keepdims=True)
        return shares


def softmax(logits: Doubles) -> Doubles:
    """Return probabilities that are proportional to exp(logits), row by row."""
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: Doubles = found / found.sum(axis=1, keepdims=True)
    return shares


def rounded(scores: npt.NDArray[Any]) -> Doubles:
    """Return scores with `DECIMALS`, never -0.0."""
    found: Doubles = scores.astype(np.float64)
    np.round(found, DECIMALS, out=found)
    return np.add(found, 0.0, out=found)


def ranked(scores: Doubles) -> npt.NDArray[np.intp]:
    """Return the labels of each row, the best first, of equal ones the first; shape (n, labels)."""
    return np.argsort(-scores, axis=1, kind="stable")


def margins(scores: Doubles) -> Doubles:
    """Return how far each row's best score is ahead of the next one, shape (n,); at least two labels."""
    best = -np.partition(-scores, 1, axis=1)[:, :2]
    return rounded(best[:, 0] - best[:, 1])
