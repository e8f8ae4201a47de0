"""Clusters of texts: what is wanted, and one function behind which are all ways to find them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from typing import Final

    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Clustering, Labels, Start, Weights

Method = Literal["kmeans", "density", "communities", "threshold"]

LEAST: Final = {"kmeans": 1, "density": 10, "communities": 2, "threshold": 2}
"""Records of the smallest cluster by each method, where nobody says."""


_SEEDS: Final = 1 << 64


@dataclass(frozen=True, slots=True)
class ClusterSettings:
    """How clusters are found.

    Attributes:
        method: By what.
        count: Clusters of `kmeans` and, as nearly as can be, of `communities`; with `auto` the most.
        auto: Whether `kmeans` chooses how many.
        threshold: The lowest cosine to the middle of a star, -1 to 1, of `threshold`.
        resolution: Of `communities`, above 0: the higher, the more; None for 1, or for what `count` says.
        min_size: Records of the smallest cluster, smaller ones are noise; None for what suits the method.
        assign_noise: Whether noise goes to the nearest cluster.
        seed: Of what is left to chance.
    """

    method: Method = "communities"
    count: int | None = None
    auto: bool = False
    threshold: float | None = None
    resolution: float | None = None
    min_size: int | None = None
    assign_noise: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Check that the settings make sense together.

        Raises:
            UsageError: They do not.
        """
        if self.method not in get_args(Method):
            raise UsageError(f"no method {self.method!r}", hint="one of " + ", ".join(get_args(Method)))
        for option, value, methods in (
            ("-k", self.count, ("kmeans", "communities")),
            ("--auto", self.auto or None, ("kmeans",)),
            ("--threshold", self.threshold, ("threshold",)),
            ("--resolution", self.resolution, ("communities",)),
        ):
            if value is not None and self.method not in methods:
                raise UsageError(f"{option} goes with --method {' and '.join(methods)}, not {self.method}")
        self._check_counts()
        if self.method == "threshold" and self.threshold is None:
            raise UsageError(
                "stars need a threshold", hint="--threshold 0.7, the lowest cosine to the middle"
            )
        if self.threshold is not None and not -1 <= self.threshold <= 1:
            raise UsageError(f"a threshold is from -1 to 1, not {self.threshold:g}")
        if self.resolution is not None and not 0 < self.resolution < float("inf"):
            raise UsageError(f"a resolution is above 0, not {self.resolution:g}")
        if not 0 <= self.seed < _SEEDS:
            raise UsageError(f"a seed is from 0 to {_SEEDS - 1}, not {self.seed}")

    def _check_counts(self) -> None:
        """Check what says how many clusters there are, and how large.

        Raises:
            UsageError: It makes no sense.
        """
        if self.method == "kmeans" and self.count is None and not self.auto:
            raise UsageError("k-means needs to know how many clusters", hint="-k N, or --auto")
        if self.count is not None and self.resolution is not None:
            raise UsageError(
                "-k and --resolution both say how many communities", hint="leave out one of them"
            )
        if self.auto and self.count == 1:
            raise UsageError("-k 1 leaves --auto nothing to choose")
        if self.method == "density" and self.min_size == 1:
            raise UsageError("--min-size 1: one record has no density", hint="--min-size 2 or more")

    @property
    def least(self) -> int:
        """Records of the smallest cluster."""
        return LEAST[self.method] if self.min_size is None else self.min_size


def method_for(count: int | None, threshold: float | None, *, auto: bool) -> Method:
    """Return the method that is meant where none is named."""
    if count is not None or auto:
        return "kmeans"
    return "communities" if threshold is None else "threshold"


def cluster_rows(
    vectors: Vectors, weights: Weights, settings: ClusterSettings, jobs: int = 1, start: Start | None = None
) -> Clustering:
    """Return the cluster of each row.

    Rows that are equal to the last bit are taken as one. Memory is that of the vectors up to three times, and
    of 15 neighbours of each row; time is O(n**2 x dim) up to 131,072 rows, O(n**1.5 x dim) beyond, and for
    `kmeans` O(n x clusters x dim) a round.

    Args:
        vectors: Shape (n, dim), float32, unit length; n may be 0.
        weights: Shape (n,), float32: records that have the text of each row.
        settings: How.
        jobs: Threads; their number changes nothing.
        start: Clusters of an earlier run, near which these are looked for where the method can: k-means of
            as many clusters, communities, and stars of the same threshold.

    Raises:
        UsageError: More clusters are wanted than there are different texts.
    """
    import numpy as np

    from embedcli.tasks.cluster_methods import FINDERS, DistinctRows
    from embedcli.vectors.clusters import NOISE, Clustering, renumbered
    from embedcli.vectors.distinct import distinct_rows

    if not len(vectors):
        return Clustering(np.zeros(0, dtype=np.int64), "nothing to cluster")
    firsts, row_of = distinct_rows(vectors)
    own = vectors if len(firsts) == len(vectors) else vectors[firsts]
    heavy = np.bincount(row_of, weights=weights).astype(np.float32)
    before = start if start is None else start._replace(labels=start.labels[firsts])
    labels, reason, middles = FINDERS[settings.method](DistinctRows(own, heavy, jobs, before), settings)
    labels = labels.copy()
    inside = labels != NOISE
    sizes = np.bincount(labels[inside], weights=heavy[inside], minlength=1)
    labels[inside] = np.where(sizes[labels[inside]] < settings.least, NOISE, labels[inside])
    found = renumbered(labels, heavy)
    assigned = 0
    if settings.assign_noise:
        assigned = int(heavy[found == NOISE].sum()) if (found != NOISE).any() else 0
        found = renumbered(_with_noise_assigned(own, found, heavy), heavy)
    final = renumbered(found[row_of], weights)
    if middles is not None:
        # Those of the clusters that are left, by their final numbers.
        own_labels = labels[row_of]
        inside = np.flatnonzero(own_labels != NOISE)
        _, firsts_of = np.unique(final[inside], return_index=True)
        middles = middles[own_labels[inside[firsts_of]]]
    return Clustering(final, reason, assigned, middles)


def _with_noise_assigned(vectors: Vectors, labels: Labels, weights: Weights) -> Labels:
    """Return the labels with noise in the cluster of the nearest centroid, as it was without the noise."""
    import numpy as np

    from embedcli.vectors.clusters import NOISE, group_stats
    from embedcli.vectors.neighbors import nearest_among

    noise = np.flatnonzero(labels == NOISE)
    if len(noise) in (0, len(labels)):
        return labels
    centroids = group_stats(vectors, labels, weights).centroids
    found = labels.copy()
    found[noise] = nearest_among(vectors[noise], centroids, 1).rows[:, 0]
    return found
