"""Stars as clusters: each row within a threshold of the row that its cluster stands around; no chains.

Where `dedupe` takes rows in input order, here the row with the nearest company comes first: it becomes the
middle of a star, not the end of one. That makes a third fewer clusters (docs/cluster.md).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from embedcli.vectors.clusters import NOISE
from embedcli.vectors.kept import rounded
from embedcli.vectors.metric import pair_cosines

if TYPE_CHECKING:
    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Labels, Start, Weights
    from embedcli.vectors.neighbors import Neighbors
    from embedcli.vectors.stars import Stars

_LOOKED_AT: Final = 8192
"""Rows handed over at a time."""


class StarClusters(NamedTuple):
    """Stars.

    Attributes:
        labels: The star of each row, shape (n,), int64, from 0.
        middles: What each star stands around, shape (stars, dim), float32.
    """

    labels: Labels
    middles: Vectors


def star_clusters(
    vectors: Vectors, weights: Weights, neighbors: Neighbors, stars: Stars, start: Start | None = None
) -> StarClusters:
    """Return the star of each row.

    A row goes to the nearest of the stars that were there before it, as `Stars` has it. Stars of an earlier
    run are there before all others, whether or not the row in their middle still is: a row that was in one of
    them stays there, and one of them may have no row.

    Args:
        vectors: Shape (n, dim), float32, unit length.
        weights: Shape (n,): how often each row counts.
        neighbors: The nearest rows of each row.
        stars: Without rows; the threshold is theirs.
        start: The stars of an earlier run of the same threshold; None, or one without middles, for none.
    """
    threshold = stars.rule.threshold
    company = np.maximum(neighbors.cosines.astype(np.float64) - threshold, 0.0)
    # Copies of a row are company too, as near as can be.
    total = (company * weights[neighbors.rows]).sum(axis=1) + (weights - 1.0) * (1.0 - threshold)
    labels = np.full(len(vectors), NOISE, dtype=np.int64)
    middles = [np.empty((0, vectors.shape[1]), dtype=np.float32)]
    count = 0
    if start is not None and start.middles is not None:
        middles.append(start.middles)
        count = len(start.middles)
        labels[:] = _stayed(vectors, start.labels, start.middles, threshold)
        stars.keep_all(start.middles, np.arange(count), np.zeros(count))
    order = np.argsort(-total, kind="stable")
    order = order[labels[order] == NOISE]
    for first in range(0, len(order), _LOOKED_AT):
        rows = order[first : first + _LOOKED_AT]
        look = stars.look(vectors[rows], np.zeros(len(rows)))
        begun = []
        for place, row in enumerate(rows.tolist()):
            near = look.nearest(place)
            if near is None:
                look.keep(place, count)
                labels[row] = count
                begun.append(row)
                count += 1
            else:
                labels[row] = near.number
        middles.append(vectors[begun])
    return StarClusters(labels, np.concatenate(middles))


def _stayed(vectors: Vectors, labels: Labels, middles: Vectors, threshold: float) -> Labels:
    """Return the labels with `NOISE` for rows that are not within the threshold of their star's middle.

    Such are those of the noise that were given to the nearest cluster.
    """
    found = labels.copy()
    known = np.flatnonzero(labels != NOISE)
    for first in range(0, len(known), _LOOKED_AT):
        rows = known[first : first + _LOOKED_AT]
        # As `Stars` compares them.
        own, others = (
            rounded(some, np.zeros(len(rows))).halves for some in (vectors[rows], middles[labels[rows]])
        )
        found[rows[pair_cosines(own, others) < threshold]] = NOISE
    return found
