"""A token table from an encoder: the vector of each token alone, then fitted to the encoder's text vectors.

The mean of a text's rows shall point where the encoder's vector of the text points. That is a linear least
squares problem in the table, solved here in closed form by conjugate gradients: no step size, no epochs.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

FREQUENCY_WEIGHT: Final = 1e-3
"""A token with the share p of all tokens weighs a / (a + p) before the fit.

Source: Arora, Liang, Ma, "A simple but tough-to-beat baseline for sentence embeddings", ICLR 2017, where a
lies between 1e-4 and 1e-3."""

REGULARIZATION: Final = 0.3
"""Pull towards the table before the fit, in texts: a token seen in that many texts of one token moves half
of the way."""

ITERATIONS: Final = 8
"""Steps of the conjugate gradients; more change next to nothing. Measured: docs/static-encoder.md."""


def token_weights(counts: npt.NDArray[Any] | None, size: int) -> npt.NDArray[np.float32]:
    """Return the weight of each token by its frequency.

    Args:
        counts: How often each token was seen, shape (size,); None where there are no texts: then the token
            ids of the vocabulary are taken for ranks of Zipf's law, which holds for vocabularies that are
            sorted by frequency.
        size: Tokens in the vocabulary.

    Returns:
        Shape (size,), float32, above 0 and at most 1.
    """
    seen = 1 / np.arange(1, size + 1) if counts is None else np.asarray(counts, dtype=np.float64) + 5
    shares = np.asarray(seen / seen.sum(), dtype=np.float64)
    return (FREQUENCY_WEIGHT / (FREQUENCY_WEIGHT + shares)).astype(np.float32)


class TableFit:
    """Takes texts and their vectors batch by batch, and gives the table that fits them.

    Memory: eight bytes a token of text, and six tables.
    """

    def __init__(self, tokens: Vectors) -> None:
        """Begin with the encoder's vector of each token alone.

        Args:
            tokens: Shape (vocabulary, dim), float32; zero rows for tokens that are not to count.
        """
        counting = (tokens != 0).any(axis=1)
        self._tokens = np.where(counting[:, None], tokens - tokens[counting].mean(axis=0), 0).astype(
            np.float32
        )
        self._products = np.zeros(tokens.shape, dtype=np.float32)
        self._spread = np.zeros((tokens.shape[1],) * 2, dtype=np.float64)
        self._counts = np.zeros(len(tokens), dtype=np.int64)
        self._blocks: list[Any] = []
        self.texts = 0

    def add(self, ids_of: Sequence[Sequence[int]], vectors: Vectors) -> None:
        """Take some texts; those without tokens are passed over.

        Args:
            ids_of: Token ids of each text.
            vectors: The encoder's vectors of them, shape (texts, dim), float32, unit length.
        """
        from scipy.sparse import csr_array

        filled = [row for row, ids in enumerate(ids_of) if len(ids)]
        lengths = np.array([len(ids_of[row]) for row in filled], dtype=np.int64)
        ids = np.fromiter(chain.from_iterable(ids_of[row] for row in filled), np.int32, int(lengths.sum()))
        ends = np.append(0, np.cumsum(lengths)).astype(np.int32)
        # Over the root of the length: long texts count for more, in proportion to what they tell.
        shares = np.repeat(1 / np.sqrt(lengths), lengths).astype(np.float32)
        block = csr_array((shares, ids, ends), shape=(len(filled), len(self._tokens)))
        self._counts += np.bincount(ids, minlength=len(self._tokens))
        self._products += block.T @ vectors[filled]
        self._spread += vectors.T.astype(np.float64) @ vectors
        self._blocks.append(block)
        self.texts += len(filled)

    def solve(self, dim: int, on_step: Callable[[int], None] = lambda _done: None) -> Vectors:
        """Return the table, shape (vocabulary, dim), float32.

        Minimizes, over tables E, the sum over texts of |x E - y|^2, plus r |E - E0|^2, where y is the
        encoder's vector, x counts the text's tokens over the square root of their number, E0 is the weighted
        table of single tokens, and r is `REGULARIZATION`. Time: O(iterations x tokens of text x dim).

        Args:
            dim: Numbers in a row. Fewer than the encoder gives keep the directions along which its vectors
                (of the texts, or of the tokens where there are none) are longest.
            on_step: Called with the number of iterations done.

        Source: Hestenes and Stiefel, "Methods of conjugate gradients for solving linear systems", 1952, one
            system a column, with Jacobi's preconditioner.
        """
        axes, start = self.axes(dim), self.start(dim)
        if not self.texts:
            return start
        start *= self._scale(start)
        diagonal = REGULARIZATION + sum(block.multiply(block).sum(axis=0) for block in self._blocks)
        return conjugate_gradients(
            self._normal,
            self._products @ axes + np.float32(REGULARIZATION) * start,
            start,
            diagonal.astype(np.float32)[:, None],
            on_step,
        )

    def start(self, dim: int) -> Vectors:
        """Return what the fit begins with: the weighted table of single tokens.

        Shape (vocabulary, dim), float32.
        """
        return self._weighted() @ self.axes(dim)

    def axes(self, dim: int) -> Vectors:
        """Return orthonormal columns, shape (full dim, dim): the identity where nothing is left out."""
        full = self._tokens.shape[1]
        if dim == full:
            return np.eye(full, dtype=np.float32)
        weighted = self._weighted().astype(np.float64)
        _, vectors = np.linalg.eigh(self._spread if self.texts else weighted.T @ weighted)
        return np.ascontiguousarray(vectors[:, ::-1][:, :dim], dtype=np.float32)

    def _weighted(self) -> Vectors:
        counts = self._counts if self.texts else None
        return self._tokens * token_weights(counts, len(self._tokens))[:, None]

    def _normal(self, table: Vectors) -> Vectors:
        """Return what the normal equations multiply a table with."""
        product = np.float32(REGULARIZATION) * table
        for block in self._blocks:
            product += block.T @ (block @ table)
        return product

    def _scale(self, start: Vectors) -> np.float32:
        """Return what brings the sums of the first texts to unit length, in the median."""
        lengths = np.linalg.norm(self._blocks[0] @ start, axis=1)
        return np.float32(1 / max(float(np.median(lengths)), 1e-9))


def conjugate_gradients(
    multiply: Callable[[Vectors], Vectors],
    target: Vectors,
    start: Vectors,
    diagonal: Vectors,
    on_step: Callable[[int], None] = lambda _done: None,
) -> Vectors:
    """Return X after `ITERATIONS` steps towards `multiply(X) = target`.

    Args:
        multiply: A symmetric positive definite matrix, applied to each column.
        target: Shape (n, columns), float32.
        start: The X to begin with, likewise.
        diagonal: The matrix's diagonal, shape (n, 1).
        on_step: Called with the number of steps done.
    """
    solution = start.copy()
    residual = target - multiply(solution)
    scaled = residual / diagonal
    direction = scaled.copy()
    energy = np.einsum("ij,ij->j", residual, scaled)
    for step in range(1, ITERATIONS + 1):
        image = multiply(direction)
        # A column that is solved already has nothing left to divide.
        length = energy / np.maximum(np.einsum("ij,ij->j", direction, image), 1e-30)
        solution += direction * length
        residual -= image * length
        scaled = residual / diagonal
        left = np.einsum("ij,ij->j", residual, scaled)
        direction = scaled + direction * (left / np.maximum(energy, 1e-30))
        energy = left
        on_step(step)
    return solution
