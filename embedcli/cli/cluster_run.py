"""The run of `cluster`: records in, clusters, records out, and what is said of them."""

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from embedcli.cli.cluster_output import write_clusters
from embedcli.cli.cluster_past import open_past
from embedcli.cli.cluster_shown import ShownOptions, StateOptions
from embedcli.cli.work import Work
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from embedcli.tasks.cluster import ClusterSettings
    from embedcli.tasks.pool import Pool
    from embedcli.vectors.clusters import Clustering, GroupStats


@dataclass
class ClusterWork(Work):
    """A run of `cluster`.

    Attributes:
        instruct: What the encoder is told to look at; None for nothing.
        shown: What is written.
        remembered: Of the last run.
    """

    whole: str = "cluster sorts records"
    instruct: str | None = None
    shown: ShownOptions = field(default_factory=ShownOptions)
    remembered: StateOptions = field(default_factory=StateOptions)

    def __post_init__(self) -> None:
        """See whether there is an encoder that an instruction is for.

        Raises:
            UsageError: There is none, or it takes no instructions.
        """
        if self.instruct is None:
            return
        if self.typed.carries_vectors or self.typed.source is not None:
            raise UsageError("--instruct is for an encoder, and these vectors are there already")
        if self.encoding.prompt is not None:
            raise UsageError("--instruct and --prompt exclude each other")
        from embedcli.cli.resolve import open_model
        from embedcli.tasks.instruction import instruction_prompt

        manifest = open_model(self.encoding.model).manifest
        self.encoding = replace(self.encoding, prompt=instruction_prompt(manifest, self.instruct))

    def cluster(self, settings: "ClusterSettings") -> None:
        """Read, cluster, write, and say what came of it."""
        from embedcli.tasks.cluster import cluster_rows
        from embedcli.tasks.cluster_report import ClusterReport, count_terms
        from embedcli.vectors.clusters import group_stats

        vectorizer = None if self.typed.carries_vectors else self.vectorizer()
        past = open_past(self, self.remembered, settings, vectorizer)
        pool = self.pool(vectorizer, is_lookup=vectorizer is None or vectorizer.is_lookup)
        vectors = pool.gather(self.records() if past is None else past.watched(self.records()))
        self.run.stop_if_nothing_was_read()
        start = None if past is None else past.start(pool, vectors)
        found = None if past is None else past.same_again(pool)
        if found is None:
            found = cluster_rows(vectors, pool.weights, settings, self.jobs, start)
        stats = group_stats(vectors, found.labels, pool.weights)
        ids = [*range(len(stats.sizes))] if past is None else past.follow(pool, found, stats)
        namer = count_terms(pool, found, len(ids))
        names = namer.names(ids)
        if past is not None:
            names = past.name(names)
        write_clusters(self, ClusterReport(pool, found, stats, ids, names, namer), self.shown)
        self.tell(pool, found, stats)
        if past is not None:
            past.save(self.run)

    def tell(self, pool: "Pool", found: "Clustering", stats: "GroupStats") -> None:
        """Say what was found."""
        run = self.run
        noise = int(pool.weights[found.labels < 0].sum())
        run.measured |= {"clusters": len(stats.sizes), "noise": noise, "assigned": found.assigned}
        said = [found.reason]
        if len(stats.sizes):
            said.append(f"largest {stats.sizes.max()}, smallest {stats.sizes.min()}")
        if found.assigned:
            said.append(f"{found.assigned} records of the noise given to the nearest")
        if noise:
            said.append(f"{noise} noise")
        clusters = "1 cluster" if len(stats.sizes) == 1 else f"{len(stats.sizes)} clusters"
        run.notice(f"{clusters} of {run.counts.read} records ({'; '.join(said)})")
        if pool.unknown:
            run.notice(f"{pool.unknown} texts are in no cluster: the model knows no word of them")
