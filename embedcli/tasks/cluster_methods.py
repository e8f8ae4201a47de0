"""The ways to find clusters: labels of rows that are all different, and by what they were found, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from embedcli.datatypes import Vectors
    from embedcli.tasks.cluster import ClusterSettings, Method
    from embedcli.vectors.clusters import Labels, Start, Weights
    from embedcli.vectors.neighbors import Neighbors

NEIGHBORS: Final = 15
"""Nearest rows that the graph of communities and density has of each row, and by which stars are begun."""


class Found(NamedTuple):
    """What a method found.

    Attributes:
        labels: Shape (n,), int64, from 0, or `NOISE`.
        reason: By what, in words.
        middles: By label: what the stars of `threshold` stand around, shape (labels, dim); None of others.
    """

    labels: Labels
    reason: str
    middles: Vectors | None = None


class DistinctRows(NamedTuple):
    """What is clustered.

    Attributes:
        vectors: Shape (n, dim), float32, unit length, no two equal, n at least 1.
        weights: Shape (n,), float32: records that have the text of each row.
        jobs: Threads; their number changes nothing.
        start: Clusters of an earlier run, for the methods that can start there.
    """

    vectors: Vectors
    weights: Weights
    jobs: int
    start: Start | None

    def check_count(self, count: int) -> None:
        """See whether there can be so many clusters.

        Raises:
            UsageError: There are fewer rows.
        """
        if count > len(self.vectors):
            raise UsageError(
                f"-k {count}: more clusters than different texts, of which there are {len(self.vectors)}",
                hint=f"-k {len(self.vectors)} or less",
            )

    def neighbors(self) -> Neighbors:
        """Return the nearest rows of each row; there are at least 2 rows."""
        from embedcli.vectors.neighbors import nearest_neighbors

        return nearest_neighbors(self.vectors, NEIGHBORS, jobs=self.jobs)


def by_means(rows: DistinctRows, settings: ClusterSettings) -> Found:
    """Find so many clusters as are wanted, or as suit the rows, by k-means."""
    from embedcli.vectors.k_means import k_means

    count, reason = settings.count or 1, "k-means"
    if settings.auto:
        from embedcli.vectors.choose_count import MOST, choose_count

        choice = choose_count(
            rows.vectors, rows.weights, settings.count or MOST, seed=settings.seed, jobs=rows.jobs
        )
        count = choice.clusters
        reason = (
            f"k-means, k = {count}: the fewest of 2 to {choice.tried} with a silhouette near the highest,"
            f" {choice.silhouette:.2f}"
            if count > 1
            else "k-means, k = 1: too few different texts to choose"
        )
    rows.check_count(count)
    start = None if rows.start is None or len(rows.start.means) != count else rows.start.means
    labels = k_means(rows.vectors, rows.weights, count, seed=settings.seed, jobs=rows.jobs, start=start)
    return Found(labels, reason)


def by_communities(rows: DistinctRows, settings: ClusterSettings) -> Found:
    """Find communities of the graph of nearest neighbours."""
    from embedcli.vectors.communities import (
        communities,
        communities_of_count,
        mean_cosine,
        neighbor_graph,
    )

    if settings.count is not None:
        rows.check_count(settings.count)
    if len(rows.vectors) == 1:
        return _one(0)
    near = rows.neighbors()
    graph = neighbor_graph(near, mean_cosine(rows.vectors))
    held = None
    if rows.start is not None:
        from embedcli.vectors.anchors import anchored

        held = anchored(graph, rows.start.labels)
    if settings.count is None:
        found = communities(graph, resolution=settings.resolution or 1.0, seed=settings.seed, held=held)
    else:
        found = communities_of_count(graph, settings.count, seed=settings.seed, held=held)
    by = "" if found.resolution == 1 else f", resolution {found.resolution:.4g}"
    return Found(found.labels, f"communities of {_told(near)}, modularity {found.modularity:.2f}{by}")


def by_density(rows: DistinctRows, settings: ClusterSettings) -> Found:
    """Find where rows lie dense."""
    from embedcli.vectors.clusters import NOISE
    from embedcli.vectors.density import dense_clusters

    if len(rows.vectors) == 1:
        return _one(NOISE)
    near = rows.neighbors()
    labels = dense_clusters(rows.vectors, near, settings.least, jobs=rows.jobs)
    return Found(labels, f"HDBSCAN on {_told(near)}, at least {settings.least} different texts each")


def by_threshold(rows: DistinctRows, settings: ClusterSettings) -> Found:
    """Find stars of rows that are near to the one in the middle."""
    from embedcli.tasks.star_plan import make_stars
    from embedcli.vectors.star_clusters import star_clusters

    if len(rows.vectors) == 1:
        return _one(0)._replace(middles=rows.vectors)
    threshold = settings.threshold or 0.0
    near = rows.neighbors()
    with make_stars(rows.vectors.shape[1], threshold, jobs=rows.jobs) as stars:
        found = star_clusters(rows.vectors, rows.weights, near, stars, rows.start)
        recall = stars.recall()
    missed = "" if recall is None else f", {recall.ratio:.1%} of what is so near found"
    reason = f"stars, cosine to the middle at least {threshold:g}{missed}"
    return Found(found.labels, reason, found.middles)


def _one(label: int) -> Found:
    import numpy as np

    return Found(np.array([label], dtype=np.int64), "one text")


def _told(near: Neighbors) -> str:
    """Return what the graph is called, and how much of it is missing."""
    of = "" if near.recall == 1 else f", {near.recall:.1%} of it found"
    return f"the {near.rows.shape[1]}-nearest-neighbour graph{of}"


FINDERS: Final[dict[Method, Callable[[DistinctRows, ClusterSettings], Found]]] = {
    "kmeans": by_means,
    "density": by_density,
    "communities": by_communities,
    "threshold": by_threshold,
}
"""By the name of the method."""
