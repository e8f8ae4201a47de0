"""The shape of a cloud of vectors: how many directions it uses, how evenly, and whether some rows are hubs.

Rows are taken in block by block. What looks at pairs of rows looks at a random sample of them.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import xxhash

from embedcli.vectors.communities import mean_cosine
from embedcli.vectors.neighbors import nearest_neighbors
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Doubles = npt.NDArray[np.float64]

SAMPLE_ROWS: Final = 5_000
"""Rows of which pairs are compared: two seconds, and the intrinsic dimension to about one part in 70."""

HUB_NEIGHBORS: Final = 10
"""Neighbours whose skewness is hubness. Source: Radovanovic et al. (see `hubness`), who use 10 throughout."""

_KEPT_RATIOS: Final = 0.9
"""Share of the ratios that the intrinsic dimension is fitted to. Source: Facco et al., as below."""

_STEP_CELLS: Final = 1 << 22


class Norms(NamedTuple):
    """The lengths of rows."""

    least: float
    mean: float
    most: float


class Geometry(NamedTuple):
    """What was found; a measure is None where there are too few rows for it.

    Attributes:
        rows: All rows that were looked at, the ones left out included.
        dim: Numbers in a row.
        non_finite: Rows with a value that is no finite number, left out.
        zero: Rows of nothing but zeros, left out.
        duplicates: Rows that are equal to an earlier one to the last bit.
        norms: Of the rows that are left.
        sampled: How many rows the measures below are from.
        effective_rank: See `effective_rank`.
        mean_cosine: Of all pairs of different rows.
        uniformity: See `uniformity`.
        intrinsic_dim: See `intrinsic_dimension`.
        hubness: See `hubness`.
    """

    rows: int
    dim: int
    non_finite: int
    zero: int
    duplicates: int
    norms: Norms | None
    sampled: int
    effective_rank: float | None
    mean_cosine: float | None
    uniformity: float | None
    intrinsic_dim: float | None
    hubness: float | None


class GeometrySurvey:
    """Takes rows in; memory for `SAMPLE_ROWS` of them, and 8 bytes for each other one."""

    def __init__(self, seed: int = 0) -> None:
        """Begin with no rows; the sample of a seed is the same however the rows are cut into blocks."""
        self._random = np.random.default_rng(seed)
        self._hashes = array("Q")
        self._rows = self._non_finite = self._zero = self._dim = 0
        self._least, self._most, self._sum = math.inf, 0.0, 0.0
        self._sample: Vectors = np.zeros((0, 0), np.float32)
        self._keys: Doubles = np.zeros(0)

    def add(self, rows: npt.NDArray[np.floating]) -> None:
        """Take rows, shape (n, dim), of any length, finite or not; the same `dim` in each call."""
        with np.errstate(over="ignore"):
            # What float32 has no number for counts as not finite.
            block = np.ascontiguousarray(rows, dtype=np.float32)
        self._rows += len(block)
        self._dim = block.shape[1]
        is_finite = np.isfinite(block).all(axis=1)
        is_zero = is_finite & ~block.any(axis=1)
        self._non_finite += int((~is_finite).sum())
        self._zero += int(is_zero.sum())
        keys = self._random.random(len(block))[is_finite & ~is_zero]
        block = block[is_finite & ~is_zero]
        if not len(block):
            return
        lengths = np.linalg.norm(block.astype(np.float64), axis=1)
        self._least, self._most = min(self._least, lengths.min()), max(self._most, lengths.max())
        for length in lengths.tolist():
            # One by one: sums of blocks would depend on how they are cut.
            self._sum += length
        self._hashes.extend(xxhash.xxh3_64_intdigest(row) for row in block)
        self._keep(block, keys)

    def _keep(self, block: Vectors, keys: Doubles) -> None:
        """Keep the rows with the lowest keys, in their order."""
        sample = np.concatenate((self._sample, block)) if len(self._sample) else block
        keys = np.concatenate((self._keys, keys))
        chosen = np.sort(np.argsort(keys, kind="stable")[:SAMPLE_ROWS])
        self._sample, self._keys = sample[chosen], keys[chosen]

    def measure(self, jobs: int = 1) -> Geometry:
        """Return what was found. O(SAMPLE_ROWS**2 x dim).

        Args:
            jobs: Threads; their number changes nothing.
        """
        sample, kept = self._sample, len(self._hashes)
        unit = normalize(sample) if len(sample) else sample
        has_pairs = len(sample) > 1
        return Geometry(
            rows=self._rows,
            dim=self._dim,
            non_finite=self._non_finite,
            zero=self._zero,
            duplicates=kept - len(np.unique(np.asarray(self._hashes, dtype=np.uint64))),
            norms=Norms(float(self._least), float(self._sum / kept), float(self._most)) if kept else None,
            sampled=len(sample),
            effective_rank=effective_rank(sample) if len(sample) else None,
            mean_cosine=mean_cosine(unit) if has_pairs else None,
            uniformity=uniformity(unit) if has_pairs else None,
            intrinsic_dim=intrinsic_dimension(sample),
            hubness=hubness(unit, jobs=jobs),
        )


def effective_rank(vectors: Vectors) -> float:
    """Return how many directions the rows use: the exponential of the entropy of the singular values.

    1 where all rows lie on one line, `dim` where all directions are used alike. Rows are not centred.

    Args:
        vectors: Shape (n, dim), float32, n at least 1, not all zero.

    Source: O. Roy and M. Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO 2007,
        definition 1.
    """
    rows = vectors.astype(np.float64)
    # The smaller of the two products: both have the same eigenvalues above zero.
    product = rows.T @ rows if rows.shape[1] <= len(rows) else rows @ rows.T
    eigenvalues = np.linalg.eigvalsh(product)
    # What rounding leaves of nothing is no direction.
    eigenvalues = eigenvalues[eigenvalues > eigenvalues[-1] * len(product) * np.finfo(np.float64).eps]
    shares = np.sqrt(eigenvalues)
    shares /= shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def uniformity(unit: Vectors) -> float:
    """Return the logarithm of the mean Gaussian potential of pairs: -4 for an even spread, 0 for one point.

    Args:
        unit: Shape (n, dim), float32, unit length, n at least 2. Pairs of a row with itself are left out.

    Source: T. Wang and P. Isola, "Understanding contrastive representation learning through alignment and
        uniformity on the hypersphere", ICML 2020, section 4.1.2, with t = 2.
    """
    total = 0.0
    for block, squares in _square_distances(unit):
        potentials = np.exp(-2 * squares)
        potentials[np.arange(len(potentials)), np.arange(block.start, block.stop)] = 0
        total += float(potentials.sum())
    return min(0.0, math.log(total / (len(unit) * (len(unit) - 1))))


def alignment(left: Vectors, right: Vectors) -> float:
    """Return the mean squared distance of rows that belong together: 0 for equal ones, 4 for opposite ones.

    Args:
        left: Shape (n, dim), float32, unit length, n at least 1.
        right: The same shape; row i belongs to row i.

    Source: Wang and Isola, as in `uniformity`, with alpha = 2.
    """
    apart = left.astype(np.float64) - right
    return float(np.einsum("ij,ij->i", apart, apart).mean())


def intrinsic_dimension(vectors: Vectors) -> float | None:
    """Return how many numbers say where a row lies among its neighbours.

    None for fewer than 20 different rows, and where none is nearer than another. Above about 10 it is a lower
    bound: 20 true dimensions read as about 17, and 50 as about 32.

    Args:
        vectors: Shape (n, dim), float32. Equal rows count once.

    Source: E. Facco, M. d'Errico, A. Rodriguez, A. Laio, "Estimating the intrinsic dimension of datasets by a
        minimal neighborhood information", Scientific Reports 7, 2017: TwoNN, a line through the origin.
    """
    distinct = np.unique(vectors, axis=0)
    if len(distinct) < 20:
        return None
    logs = np.empty(len(distinct))
    for block, squares in _square_distances(distinct):
        squares[np.arange(len(squares)), np.arange(block.start, block.stop)] = np.inf
        two = np.sort(np.partition(squares, 1, axis=1)[:, :2], axis=1)
        # Rounding may bring different rows to no distance at all.
        two = np.maximum(two, np.finfo(np.float64).tiny)
        logs[block] = np.log(two[:, 1] / two[:, 0]) / 2
    logs.sort()
    kept = int(len(logs) * _KEPT_RATIOS)
    reached = -np.log1p(-np.arange(1, kept + 1) / len(logs))
    spread = float(logs[:kept] @ logs[:kept])
    return float(logs[:kept] @ reached) / spread if spread else None


def hubness(unit: Vectors, *, jobs: int = 1) -> float | None:
    """Return the skewness of how often a row is among the 10 nearest of others; None for fewer than 20 rows.

    0 to 1 is usual; above about 2, a few rows are near to everything.

    Args:
        unit: Shape (n, dim), float32, unit length.
        jobs: Threads; their number changes nothing.

    Source: M. Radovanovic, A. Nanopoulos, M. Ivanovic, "Hubs in space: popular nearest neighbors in
        high-dimensional data", JMLR 11, 2010, equation 1.
    """
    if len(unit) < 2 * HUB_NEIGHBORS:
        return None
    near = nearest_neighbors(unit, HUB_NEIGHBORS, jobs=jobs).rows
    counts = np.bincount(near.ravel(), minlength=len(unit)).astype(np.float64)
    apart = counts - counts.mean()
    spread = float(np.sqrt((apart**2).mean()))
    return float((apart**3).mean()) / spread**3 if spread else 0.0


def _square_distances(vectors: Vectors) -> Iterator[tuple[slice, Doubles]]:
    """Yield squared distances of blocks of rows to all rows, shape (block, n)."""
    rows = vectors.astype(np.float64)
    squares = np.einsum("ij,ij->i", rows, rows)
    step = max(1, _STEP_CELLS // len(rows))
    for start in range(0, len(rows), step):
        block = slice(start, min(start + step, len(rows)))
        apart = squares[block, np.newaxis] + squares - 2 * (rows[block] @ rows.T)
        yield block, np.maximum(apart, 0)
