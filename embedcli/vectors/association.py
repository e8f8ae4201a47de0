"""Whether one group of words is nearer to these attributes, and another to those: association tests.

Source: A. Caliskan, J. Bryson, A. Narayanan, "Semantics derived automatically from language corpora contain
human-like biases", Science 356, 2017 (WEAT); C. May, A. Wang, S. Bordia, S. Bowman, R. Rudinger, "On
measuring social biases in sentence encoders", NAACL 2019 (SEAT), and the program published with it.
"""

from __future__ import annotations

import math
from itertools import combinations
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from embedcli.datatypes import Vectors

    Doubles = npt.NDArray[np.float64]

EXACT_PARTITIONS: Final = 50_000
"""Divisions up to which all are looked at: two groups of 9 words."""

SAMPLED_PARTITIONS: Final = 19_999
"""So that p is a multiple of 1/20,000, and no less."""

_BATCH: Final = 2_048
_ROUNDING: Final = 1e-12


class Association(NamedTuple):
    """What a test found.

    Attributes:
        effect: Standard deviations between the groups, -2 to 2; None where all targets are alike.
        p: How likely chance alone makes the difference as large, in this direction.
        is_exact: Whether p is from all divisions into two groups.
    """

    effect: float | None
    p: float
    is_exact: bool


def leanings(targets: Vectors, first: Vectors, second: Vectors) -> Doubles:
    """Return how much nearer each target is to one group of attributes than to another, shape (n,), float64.

    Args:
        targets: Shape (n, dim), float32, unit length.
        first: Attributes, at least one, likewise.
        second: The others.
    """
    means = first.mean(axis=0, dtype=np.float64) - second.mean(axis=0, dtype=np.float64)
    found: Doubles = np.einsum("ij,j->i", targets.astype(np.float64), means)
    return found


def effect_size(first: Doubles, second: Doubles) -> float | None:
    """Return the difference of two groups' mean leanings over the standard deviation of all; None for none.

    Args:
        first: Shape (n,), from `leanings`, n at least 1.
        second: Shape (m,), likewise.

    Source: Caliskan et al., supplement; the divisor is n + m - 1, as in the program of May et al.
    """
    both = np.concatenate((first, second))
    spread = float(both.std(ddof=1))
    return float(first.mean() - second.mean()) / spread if spread > _ROUNDING else None


def associate(first: Doubles, second: Doubles, seed: int) -> Association:
    """Return effect size and one-sided p of two groups of leanings.

    p is the share of all divisions of the targets into groups of these sizes whose difference is as large or
    larger, this one among them. O(divisions x targets).

    Args:
        first: Shape (n,), n at least 1.
        second: Shape (m,), m at least 1.
        seed: Of the divisions, where there are too many to look at them all.
    """
    both = np.concatenate((first, second))
    is_exact = math.comb(len(both), len(first)) <= EXACT_PARTITIONS
    found = float(first.sum())
    # The other group's sum follows from this one's.
    bar = found - _ROUNDING * max(1.0, float(np.abs(both).sum()))
    sums = _all_sums(both, len(first)) if is_exact else _some_sums(both, len(first), seed)
    as_large = total = 0
    for batch in sums:
        as_large += int((batch >= bar).sum())
        total += len(batch)
    p = as_large / total if is_exact else (as_large + 1) / (total + 1)
    return Association(effect_size(first, second), p, is_exact)


def _all_sums(both: Doubles, count: int) -> Iterator[Doubles]:
    """Yield the sum of each choice of `count` leanings, in batches."""
    chosen = np.array(list(combinations(range(len(both)), count)), dtype=np.intp)
    for start in range(0, len(chosen), _BATCH):
        yield both[chosen[start : start + _BATCH]].sum(axis=1)


def _some_sums(both: Doubles, count: int, seed: int) -> Iterator[Doubles]:
    random = np.random.default_rng(seed)
    for start in range(0, SAMPLED_PARTITIONS, _BATCH):
        rows = min(_BATCH, SAMPLED_PARTITIONS - start)
        shuffled = random.permuted(np.broadcast_to(both, (rows, len(both))), axis=1)
        yield shuffled[:, :count].sum(axis=1)
