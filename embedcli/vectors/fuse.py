"""Several scores of the same rows made one, so that rows can be ranked by all of them.

Cosine and BM25 have no common scale. Each part is scaled over the rows of one query's pool, weighted, and
added up; a row's fused score therefore says nothing beyond its own query.

Source: S. Bruch, S. Gai, A. Ingber, "An Analysis of Fusion Functions for Hybrid Retrieval", ACM Transactions
on Information Systems 42, 2023, for sums of scaled scores; G. Cormack, C. Clarke, S. Büttcher, "Reciprocal
Rank Fusion Outperforms Condorcet and Individual Rank Learning Methods", SIGIR 2009, for ranks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy.typing as npt

    from embedcli.datatypes import Fusion

    Doubles = npt.NDArray[np.float64]
    Marks = npt.NDArray[np.bool_]

RANK_CONSTANT: Final = 60
"""What is added to each rank in `rrf`, as in its source."""

_EQUAL: Final = 1e-12


class Part(NamedTuple):
    """One of the scores of each row.

    Attributes:
        scores: Shape (n,), float64, finite; higher is better.
        found: Shape (n,): whether the part found the row at all, as BM25 does not without a word in common.
        weight: 0 to 1.
    """

    scores: Doubles
    found: Marks
    weight: float


class Fused(NamedTuple):
    """Fused scores.

    Attributes:
        scores: Shape (n,), float64: the sum of weight x scaled over the parts.
        scaled: For each part, shape (n,), float64.
    """

    scores: Doubles
    scaled: list[Doubles]


def fuse(parts: Sequence[Part], in_pool: Marks, fusion: Fusion) -> Fused:
    """Return one score for each row. O(n log n).

    Args:
        parts: At least one, all of the same n rows.
        in_pool: Shape (n,), at least one True: the rows that say how the scores are scaled. The others come
            after them: they never score above the lowest of the pool.
        fusion: How a part is scaled. `zscore`: its mean over the pool becomes 0, one standard deviation 1.
            `minmax`: its lowest becomes 0, its highest 1. A part whose scores are all equal becomes 0. `rrf`:
            1 / (60 + rank), counted in the pool, equal scores sharing the best of their ranks; 0 where the
            part did not find the row.
    """
    scaled = [
        _reciprocal_ranks(part, in_pool) if fusion == "rrf" else _affine(part.scores, in_pool, fusion)
        for part in parts
    ]
    scores = np.zeros(len(in_pool))
    for part, own in zip(parts, scaled, strict=True):
        scores += part.weight * own
    scores[~in_pool] = np.minimum(scores[~in_pool], scores[in_pool].min())
    return Fused(scores, scaled)


def best_first(scores: Doubles, top_k: int) -> npt.NDArray[np.int64]:
    """Return the places of the best scores, best first, those that tie with the last one included."""
    order = np.argsort(-scores, kind="stable")
    if len(order) > top_k:
        order = order[scores[order] >= scores[order[top_k - 1]]]
    return order


def _affine(scores: Doubles, in_pool: Marks, fusion: Fusion) -> Doubles:
    # In one order, so that rows stored in another give the same sums to the last bit.
    pool = np.sort(scores[in_pool])
    shift = pool.mean() if fusion == "zscore" else pool.min()
    width = pool.std() if fusion == "zscore" else pool.max() - pool.min()
    # The deviation of equal numbers is not exactly 0.
    if width <= _EQUAL * max(1.0, float(np.abs(pool).max())):
        return np.zeros(len(scores))
    scaled: Doubles = (scores - shift) / width
    return scaled


def _reciprocal_ranks(part: Part, in_pool: Marks) -> Doubles:
    ascending = np.sort(-part.scores[part.found & in_pool])
    ranks = np.searchsorted(ascending, -part.scores, side="left") + 1
    return np.where(part.found, 1.0 / (RANK_CONSTANT + ranks), 0.0)
