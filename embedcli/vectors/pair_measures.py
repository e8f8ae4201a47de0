"""How well scores of pairs agree with what people say of them: correlations, and labels told apart.

Each measure can be taken of any choice of the pairs, some of them several times, as resampling wants it. What
is sorted is sorted once: a choice costs O(n). A measure that says nothing of a choice is NaN.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.integer[Any]]
    Doubles = npt.NDArray[np.float64]


class Correlation:
    """Correlation of two numbers of each pair."""

    def __init__(self, first: npt.NDArray[Any], second: npt.NDArray[Any]) -> None:
        """Sort both; O(n log n).

        Args:
            first: Shape (n,), finite.
            second: The same shape, finite.
        """
        self._values = [np.asarray(each, dtype=np.float64) for each in (first, second)]
        self._groups = [np.unique(each, return_inverse=True)[1] for each in self._values]

    def pearson(self, rows: Rows) -> float:
        """Return the linear correlation of these rows, -1 to 1; NaN where one side has one value only.

        Source: K. Pearson, "Notes on regression and inheritance in the case of two parents", 1895.
        """
        first, second = (each[rows] for each in self._values)
        return _correlation(first, second)

    def spearman(self, rows: Rows) -> float:
        """Return the correlation of the ranks of these rows, equal ones sharing a rank; see `pearson`.

        Source: C. Spearman, "The proof and measurement of association between two things", 1904; equal
        values have the mean of their ranks, as in M. G. Kendall, "Rank Correlation Methods", 1948.
        """
        first, second = (_ranks(each[rows]) for each in self._groups)
        return _correlation(first, second)


class RankedLabels:
    """How well scores put pairs with the label before those without; higher scores come first."""

    def __init__(self, scores: npt.NDArray[Any], labels: npt.NDArray[np.bool_]) -> None:
        """Sort the scores; O(n log n).

        Args:
            scores: Shape (n,), finite.
            labels: The same shape.
        """
        ordered, groups = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
        self._count = len(ordered)
        self._groups, self._labels = groups, np.asarray(labels, dtype=np.float64)

    def average_precision(self, rows: Rows) -> float:
        """Return the precision at each score, weighted by the recall it adds, 0 to 1; NaN without a label.

        Equal scores are one step, as in scikit-learn: their order says nothing.

        Source: G. Salton, M. J. McGill, "Introduction to Modern Information Retrieval", 1983.
        """
        added, found, every = self._counts(rows)
        if not len(found) or not found[-1]:
            return float("nan")
        return float((added * found / every).sum() / found[-1])

    def roc_auc(self, rows: Rows) -> float:
        """Return how likely one with the label stands before one without, 0 to 1, equal scores a half.

        NaN where all have it, or none has.

        Source: J. A. Hanley, B. J. McNeil, "The meaning and use of the area under a receiver operating
        characteristic (ROC) curve", Radiology 143, 1982.
        """
        added, found, every = self._counts(rows)
        if not len(found) or not found[-1] or found[-1] == every[-1]:
            return float("nan")
        # Of each with the label: those without it that stand before it, and half of those beside it.
        wrong = every - found
        above = wrong.copy()
        above[1:] += wrong[:-1]
        return float(1 - (added * above).sum() / (2 * found[-1] * wrong[-1]))

    def _counts(self, rows: Rows) -> tuple[Doubles, Doubles, Doubles]:
        """Return, by score, how many with the label have it, how many down to it, and how many at all."""
        groups = self._groups[rows]
        every = np.bincount(groups, minlength=self._count)
        found = np.bincount(groups, weights=self._labels[rows], minlength=self._count)
        there = every > 0
        added: Any = found[there]
        return added, np.cumsum(added), np.cumsum(every[there]).astype(np.float64)


class Decisions:
    """Yes or no of each pair, beside the label."""

    def __init__(self, given: npt.NDArray[np.bool_], labels: npt.NDArray[np.bool_]) -> None:
        """Keep both, of shape (n,)."""
        self._given, self._labels = given, labels

    def precision(self, rows: Rows) -> float:
        """Return the share of those said yes to that have the label, 0 to 1; NaN where there are none."""
        right, given, _ = self._counts(rows)
        return right / given if given else float("nan")

    def recall(self, rows: Rows) -> float:
        """Return the share of those with the label that were said yes to, 0 to 1; NaN without any."""
        right, _, wanted = self._counts(rows)
        return right / wanted if wanted else float("nan")

    def f1(self, rows: Rows) -> float:
        """Return the harmonic mean of precision and recall, 0 to 1; NaN with nothing to find or found.

        Source: C. J. van Rijsbergen, "Information Retrieval", 1979, chapter 7.
        """
        right, given, wanted = self._counts(rows)
        return 2 * right / (given + wanted) if given + wanted else float("nan")

    def _counts(self, rows: Rows) -> tuple[int, int, int]:
        given, labels = self._given[rows], self._labels[rows]
        return int((given & labels).sum()), int(given.sum()), int(labels.sum())


class Curve(NamedTuple):
    """Precision and recall at each score that there is, the highest first.

    Attributes:
        thresholds: Shape (t,): pairs with at least this score are said yes to.
        given: How many those are, shape (t,).
        precision: Shape (t,), 0 to 1.
        recall: Shape (t,), 0 to 1, never falling.
    """

    thresholds: Doubles
    given: npt.NDArray[np.int64]
    precision: Doubles
    recall: Doubles


def precision_recall(scores: npt.NDArray[Any], labels: npt.NDArray[np.bool_]) -> Curve:
    """Return precision and recall at each different score; O(n log n). See `RankedLabels`."""
    falling, groups = np.unique(-np.asarray(scores, dtype=np.float64), return_inverse=True)
    given = np.cumsum(np.bincount(groups, minlength=len(falling))).astype(np.int64)
    right = np.cumsum(np.bincount(groups, weights=labels, minlength=len(falling)))
    return Curve(-falling, given, right / given, right / max(1, int(labels.sum())))


def best_f1_threshold(scores: npt.NDArray[Any], labels: npt.NDArray[np.bool_]) -> float:
    """Return the score from which on yes gives the highest F1, of equals the highest; O(n log n).

    It lies halfway to the next lower score, where there is one: what was not seen may come as close.

    Args:
        scores: Shape (n,), n at least 1.
        labels: The same shape.
    """
    curve = precision_recall(scores, labels)
    right = curve.precision * curve.given
    place = int(np.argmax(2 * right / (curve.given + labels.sum())))
    following = curve.thresholds[min(place + 1, len(curve.thresholds) - 1)]
    return float((curve.thresholds[place] + following) / 2)


def _ranks(groups: npt.NDArray[np.intp]) -> Doubles:
    """Return the mean rank of each member's group, less a constant."""
    counts = np.bincount(groups)
    ranks: Doubles = (np.cumsum(counts) - counts / 2)[groups]
    return ranks


def _correlation(first: Doubles, second: Doubles) -> float:
    # So that no square is too large for a double.
    first, second = (side / max(1.0, float(np.abs(side).max())) for side in (first, second))
    one, two = first - first.mean(), second - second.mean()
    lengths = float(np.sqrt((one @ one) * (two @ two)))
    # Means of equal numbers are off by their last bit.
    if not lengths or not np.ptp(first) or not np.ptp(second):
        return float("nan")
    return float(np.clip(one @ two / lengths, -1.0, 1.0)) + 0.0
