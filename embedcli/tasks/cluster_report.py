"""What is said of clusters instead of, or beside, their records: summaries, a tree, a file for each."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from embedcli.datatypes import ClusterMember
from embedcli.errors import UsageError
from embedcli.reports import ClusterNode, ClusterSummary
from embedcli.tasks.naming import Namer
from embedcli.tasks.pool import NO_ROW

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Head, Record
    from embedcli.tasks.pool import Pool
    from embedcli.vectors.clusters import Clustering, GroupStats
    from embedcli.write.split import SplitFile
    from embedcli.write.target import Output

_WORDS: Final = 10
_PACKED: Final = ".gz"
_BY_DELIMITER: Final = {",": ".csv", "\t": ".tsv"}


@dataclass(frozen=True)
class ClusterReport:
    """The clusters of a run.

    Attributes:
        pool: The records.
        found: Their clusters, each by its place among the k.
        stats: Of these.
        ids: One for each; what is written.
        names: Likewise.
        namer: Has counted their words.
    """

    pool: Pool
    found: Clustering
    stats: GroupStats
    ids: Sequence[int]
    names: Sequence[str]
    namer: Namer

    def members(self) -> Iterator[ClusterMember | None]:
        """Yield where each record is, in input order; None for one without a vector."""
        from embedcli.vectors.clusters import NOISE

        labels, scores = self.found.labels.tolist(), self.stats.scores.tolist()
        for row in self.pool.rows.tolist():
            if row == NO_ROW:
                yield None
            elif (place := labels[row]) == NOISE:
                yield ClusterMember(NOISE, None, None)
            else:
                yield ClusterMember(self.ids[place], self.names[place], scores[row])

    def summaries(self) -> list[ClusterSummary]:
        """Return what each cluster is like, the largest first; noise, if there is any, at the end."""
        from embedcli.vectors.clusters import NOISE

        weights = self.pool.weights
        whole = int(weights.sum())
        medoids = [(row, None) for row in self.stats.medoids.tolist()]
        words = self.namer.terms(_WORDS)
        rows = []
        for place, chosen in enumerate(self.pool.chosen(medoids, len(medoids))):
            example = self.pool.spool.record(chosen.number)
            size, cohesion = int(self.stats.sizes[place]), float(self.stats.cohesion[place])
            name, cluster = self.names[place], self.ids[place]
            said = (example.text, example.id, tuple(words[place]))
            rows.append(ClusterSummary(cluster, name, size, size / whole, cohesion, *said))
        rows.sort(key=lambda row: (-row.size, row.cluster))
        noise = int(weights[self.found.labels == NOISE].sum())
        return [*rows, ClusterSummary(NOISE, None, noise, noise / whole)] if noise else rows

    def tree(self) -> list[ClusterNode]:
        """Return the clusters as a tree, each node before what is below it, larger branches first.

        Raises:
            UsageError: There are too many.
        """
        from embedcli.vectors.hierarchy import MOST_CLUSTERS, join_all

        count = len(self.ids)
        if count > MOST_CLUSTERS:
            raise UsageError(
                f"--tree: {count} clusters, and a tree has at most {MOST_CLUSTERS}",
                hint="fewer by -k, or by a larger --min-size",
            )
        joins = join_all(self.stats)
        inner = self.namer.joined_names([join[:2] for join in joins])
        sizes: list[int] = self.stats.sizes.tolist()
        for join in joins:
            sizes.append(sizes[join.first] + sizes[join.second])
        nodes = []
        waiting: list[tuple[int, int | None, int]] = [(len(sizes) - 1, None, 0)] if sizes else []
        while waiting:
            node, parent, depth = waiting.pop()
            if node < count:
                said = (self.ids[node], self.names[node], sizes[node], None)
                nodes.append(ClusterNode(node, parent, depth, *said))
                continue
            join = joins[node - count]
            nodes.append(
                ClusterNode(node, parent, depth, None, inner[node - count], sizes[node], join.cosine)
            )
            waiting += [(join.second, node, depth + 1), (join.first, node, depth + 1)]
        return nodes

    def files(self, heads: Sequence[Head], extension: str) -> Iterator[SplitFile]:
        """Yield a file for each cluster, with the bytes of its records in input order.

        What is in none (noise, and records without a vector) is in one of its own, if there is any.

        Args:
            heads: What stands before the first record, in each of them.
            extension: Of their names.
        """
        import numpy as np

        from embedcli.write.split import SplitFile, file_name

        places = record_places(self.pool, self.found)
        order = np.argsort(places, kind="stable")
        ends = np.searchsorted(places[order], np.arange(-1, len(self.ids)), side="right")
        largest = max(self.ids, default=0)
        for place, (start, end) in enumerate(zip([0, *ends.tolist()], ends.tolist(), strict=False), start=-1):
            if start < end:
                cluster, name = (None, "") if place < 0 else (self.ids[place], self.names[place])
                content = _Content(self.pool, heads, order[start:end])
                yield SplitFile(file_name(cluster, name, largest, extension), content.write)


@dataclass(frozen=True)
class _Content:
    """Some records, by their numbers."""

    pool: Pool
    heads: Sequence[Head]
    numbers: npt.NDArray[np.int64]

    def write(self, output: Output) -> None:
        for head in self.heads:
            output.write(head.content)
        for number in self.numbers.tolist():
            output.write(self.pool.spool.raw(number))


def record_places(pool: Pool, found: Clustering) -> npt.NDArray[np.int64]:
    """Return the place of each record's cluster, -1 for noise and without a vector, shape (records,)."""
    import numpy as np

    from embedcli.vectors.clusters import NOISE

    rows = pool.rows
    return np.where(rows == NO_ROW, NOISE, np.append(found.labels, NOISE)[rows])


def count_terms(pool: Pool, found: Clustering, clusters: int) -> Namer:
    """Return a namer that has counted the terms of all records."""
    namer = Namer(clusters)
    for number, place in enumerate(record_places(pool, found).tolist()):
        namer.add(pool.spool.record(number).text, place)
    return namer


def extension_of(paths: Sequence[str], heads: Sequence[Head], first: Record | None) -> str:
    """Return what files of records are to be called: what the input is, or what it looks like.

    Args:
        paths: As they were named; empty where the records are not what stands in these files.
        heads: What stands before the first record.
        first: The first record, if there is any.
    """
    suffixes = {Path(path.removesuffix(_PACKED)).suffix for path in paths}
    if len(suffixes) == 1 and suffixes.isdisjoint({"", ".parquet"}):
        return suffixes.pop()
    for head in heads:
        if head.delimiter is not None:
            return _BY_DELIMITER.get(head.delimiter, ".txt")
    return ".jsonl" if first is not None and first.fields else ".txt"
