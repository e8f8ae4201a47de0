"""How well clusters agree with labels: V-measure and the adjusted Rand index, as scikit-learn has them.

Both are sums over the cells of a table, clusters against labels; a choice of rows, some of them several
times, is another table with the same cells, so that resampling costs O(n) each time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    Rows = npt.NDArray[np.integer[Any]]
    Doubles = npt.NDArray[np.float64]


class Contingency:
    """Labels beside clusters. Memory is O(n), however many of both there are."""

    def __init__(self, labels: npt.NDArray[np.integer[Any]], clusters: npt.NDArray[np.integer[Any]]) -> None:
        """Number the cells that are not empty; O(n log n).

        Args:
            labels: Shape (n,), from 0.
            clusters: The same shape, from 0.
        """
        width = int(clusters.max(initial=0)) + 1
        cells, self._cell_of = np.unique(labels.astype(np.int64) * width + clusters, return_inverse=True)
        self._label_of, self._cluster_of = np.divmod(cells, width)

    def v_measure(self, rows: Rows) -> float:
        """Return the harmonic mean of homogeneity and completeness of these rows, 0 to 1.

        The same number as mutual information over the arithmetic mean of both entropies, which is what
        `normalized_mutual_info_score` of scikit-learn gives. 1 where there is one label and one cluster.

        Source: A. Rosenberg, J. Hirschberg, "V-Measure: a conditional entropy-based external cluster
        evaluation measure", EMNLP 2007; with beta = 1.
        """
        cells, labels, clusters = self._counts(rows)
        both, by_label, by_cluster = _entropy(cells), _entropy(labels), _entropy(clusters)
        if by_label + by_cluster <= 0:
            return 1.0
        return float(np.clip(2 * (by_label + by_cluster - both) / (by_label + by_cluster), 0.0, 1.0))

    def adjusted_rand(self, rows: Rows) -> float:
        """Return how many pairs of these rows are together in both or apart in both, 0 by chance, at most 1.

        Source: L. Hubert, P. Arabie, "Comparing partitions", Journal of Classification 2, 1985, equation 5.
        """
        together, by_label, by_cluster = (_pairs(each) for each in self._counts(rows))
        every = len(rows) * (len(rows) - 1) / 2
        expected = by_label * by_cluster / every if every else 0.0
        most = (by_label + by_cluster) / 2
        # One cluster of all, or one of each, on both sides.
        return 1.0 if most == expected else float((together - expected) / (most - expected))

    def _counts(self, rows: Rows) -> tuple[Doubles, Doubles, Doubles]:
        """Return how many rows are in each cell, each label and each cluster."""
        cells: Doubles = np.bincount(self._cell_of[rows], minlength=len(self._label_of)).astype(np.float64)
        labels: Any = np.bincount(self._label_of, weights=cells)
        clusters: Any = np.bincount(self._cluster_of, weights=cells)
        return cells, labels, clusters


def _entropy(counts: Doubles) -> float:
    there = counts[counts > 0]
    return float(np.log(there.sum()) - (there @ np.log(there)) / there.sum()) if len(there) else 0.0


def _pairs(counts: Doubles) -> float:
    return float((counts * (counts - 1)).sum() / 2)
