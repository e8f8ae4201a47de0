"""How far two encoders see the same texts alike: their cosines, and which neighbours each text has.

Both sides come as matrices of cosines between the same texts, so that vectors may have any sizes, or be
sparse. O(n**2) memory for n texts.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

LEAST_TEXTS: Final = 4
"""Of fewer, nothing unbiased can be said. Source: Song et al., as in `linear_cka`."""

PERSISTENCE: Final = 0.9
"""Of rank-biased overlap: ten places have 86 % of the weight. Source: Webber et al., section 4.3."""

JACKKNIFE_GROUPS: Final = 20
"""Parts that are left out in turn. Source: B. Efron and R. Tibshirani, "An introduction to the bootstrap",
1993, section 11.5, on groups."""

_NORMAL_95: Final = 1.959964
_ROUNDING: Final = 1e-12


class Interval(NamedTuple):
    """A value with its 95 % interval."""

    value: float
    low: float
    high: float


def linear_cka(left: Doubles, right: Doubles) -> float:
    """Return how alike two matrices of cosines are: 1 for a rotated or scaled copy, about 0 for random ones.

    The debiased form: the plain one is above 0 for random vectors, by as much as there are more numbers than
    texts. Where all rows of a side are one, it is 0.

    Args:
        left: Products of each two rows of a side, shape (n, n), n at least `LEAST_TEXTS`.
        right: Those of the other side, in the same order of texts.

    Source: S. Kornblith, M. Norouzi, H. Lee, G. Hinton, "Similarity of neural network representations
        revisited", ICML 2019, for CKA; L. Song et al., "Feature selection via dependence maximization", JMLR
        13, 2012, theorem 2, for the unbiased estimate in it.
    """
    one, other = _u_centred(left), _u_centred(right)
    own = math.sqrt(float((one * one).sum()) * float((other * other).sum()))
    return float((one * other).sum()) / own if own > _ROUNDING else 0.0


def _u_centred(products: Doubles) -> Doubles:
    """Return products without what a row or a column has in common, the diagonal left out.

    The mean product of two such matrices is the unbiased estimate. Source: G. Szekely and M. Rizzo, "Partial
    distance correlation with methods for dissimilarities", Annals of Statistics 42, 2014, definition 2.
    """
    count = len(products)
    centred = products.astype(np.float64)
    np.fill_diagonal(centred, 0)
    sums = centred.sum(axis=1)
    centred -= (sums[:, np.newaxis] + sums) / (count - 2)
    centred += sums.sum() / ((count - 1) * (count - 2))
    np.fill_diagonal(centred, 0)
    return centred


def cka_interval(left: Doubles, right: Doubles, seed: int) -> Interval:
    """Return `linear_cka` with an interval over texts: a jackknife that leaves out a part of them at a time.

    Copies of a text, as in a bootstrap, would look like pairs of texts that agree on everything.

    Args:
        left: As in `linear_cka`.
        right: Likewise.
        seed: Of the division into parts.
    """
    value = linear_cka(left, right)
    groups = min(JACKKNIFE_GROUPS, len(left))
    if len(left) - -(-len(left) // groups) < LEAST_TEXTS:
        return Interval(value, -1.0, 1.0)
    kept = np.ones((len(left), groups))
    for group, part in enumerate(np.array_split(np.random.default_rng(seed).permutation(len(left)), groups)):
        kept[part, group] = 0
    without = _masked_cka(left, right, kept)
    apart = without - without.mean()
    half = _NORMAL_95 * math.sqrt((groups - 1) / groups * float(apart @ apart))
    return Interval(value, max(-1.0, value - half), min(1.0, value + half))


def _masked_cka(left: Doubles, right: Doubles, kept: Doubles) -> Doubles:
    """Return `linear_cka` of some parts of the texts, shape (parts,), without copies of the products.

    Args:
        left: As in `linear_cka`.
        right: Likewise.
        kept: Which texts are in a part, shape (n, parts), 0 or 1.

    Source: Song et al., as in `linear_cka`, equation 5.
    """
    counts = kept.sum(axis=0)

    def hsic(one: Doubles, other: Doubles) -> Doubles:
        both = one * other
        np.fill_diagonal(both, 0)
        ours, theirs = (side @ kept - side.diagonal()[:, np.newaxis] * kept for side in (one, other))
        total: Doubles = np.einsum("ig,ig->g", kept, both @ kept)
        total += (kept * ours).sum(axis=0) * (kept * theirs).sum(axis=0) / ((counts - 1) * (counts - 2))
        total -= 2 / (counts - 2) * (kept * ours * theirs).sum(axis=0)
        return total

    own = np.sqrt(np.maximum(hsic(left, left) * hsic(right, right), 0))
    found: Doubles = np.divide(hsic(left, right), own, out=np.zeros(len(counts)), where=own > _ROUNDING)
    return found


def nearest_lists(products: Doubles, count: int) -> Rows:
    """Return the nearest other rows of each row, nearest first, of equally near ones the lower row.

    Args:
        products: Shape (n, n), n at least 2.
        count: How many; n - 1 where there are no more.

    Returns:
        Shape (n, count), int64.
    """
    found = np.empty((len(products), min(count, len(products) - 1)), dtype=np.int64)
    for row, near in enumerate(products):
        farness = -near
        farness[row] = np.inf
        found[row] = np.argsort(farness, kind="stable")[: found.shape[1]]
    return found


def _shared(left: Rows, right: Rows) -> Rows:
    """Return how many rows the first d of both lists share, for each d: shape (n, k)."""
    count, depth = left.shape
    shared = np.empty((count, depth), dtype=np.int64)
    for row in range(count):
        # A row counts from the place on where both lists have had it.
        _, here, there = np.intersect1d(left[row], right[row], assume_unique=True, return_indices=True)
        shared[row] = np.cumsum(np.bincount(np.maximum(here, there), minlength=depth))
    return shared


class ListAgreement(NamedTuple):
    """How alike the neighbours of each text are.

    Attributes:
        jaccard: For each depth, shape (n,): shared neighbours over all, 0 to 1.
        rank_biased: Shape (n,): rank-biased overlap, 0 to 1.
    """

    jaccard: dict[int, Doubles]
    rank_biased: Doubles


def list_agreement(left: Rows, right: Rows, depths: Sequence[int]) -> ListAgreement:
    """Return how alike two sets of lists are.

    Args:
        left: Shape (n, k), without repeats in a row.
        right: The same shape.
        depths: From 1 to k.

    Source: W. Webber, A. Moffat, J. Zobel, "A similarity measure for indefinite rankings", ACM TOIS 28(4),
        2010, equation 30: what was seen to depth k, extrapolated.
    """
    shared = _shared(left, right)
    jaccard = {depth: shared[:, depth - 1] / (2 * depth - shared[:, depth - 1]) for depth in depths}
    places = np.arange(1, left.shape[1] + 1)
    return ListAgreement(jaccard, _rank_biased(shared / places))


def _rank_biased(agreement: Doubles) -> Doubles:
    """Return rank-biased overlap from the share of common rows at each depth, shape (n, k)."""
    depth = agreement.shape[1]
    weights = (1 - PERSISTENCE) * PERSISTENCE ** np.arange(depth)
    overlap = agreement @ weights + agreement[:, -1] * PERSISTENCE**depth
    bounded: Doubles = np.minimum(overlap, 1)
    return bounded


class ChanceAgreement(NamedTuple):
    """What two encoders that know nothing give on average: see `ListAgreement`."""

    jaccard: dict[int, float]
    rank_biased: float


def chance_agreement(count: int, depths: Sequence[int], depth: int) -> ChanceAgreement:
    """Return the expected agreement of two random orders, exactly.

    Args:
        count: Texts, at least 2.
        depths: Of Jaccard similarities, each below `count`.
        depth: Of rank-biased overlap.

    Source: the number of shared ones is hypergeometric: d of count - 1 drawn twice.
    """
    others = count - 1
    jaccard = {}
    for each in depths:
        ways = math.comb(others, each)
        jaccard[each] = sum(
            math.comb(each, shared)
            * math.comb(others - each, each - shared)
            / ways
            * shared
            / (2 * each - shared)
            for shared in range(each + 1)
        )
    expected = np.arange(1, depth + 1)[np.newaxis] / others
    return ChanceAgreement(jaccard, float(_rank_biased(expected)[0]))


def products_of(vectors: Vectors) -> Doubles:
    """Return the products of each two rows, shape (n, n), float64."""
    rows = vectors.astype(np.float64)
    return rows @ rows.T
