"""The last run of `cluster`: what it left, and what became of it."""

from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from embedcli.cli.cluster_shown import StateOptions
    from embedcli.cli.run import Run
    from embedcli.cli.work import Work
    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.cluster import ClusterSettings
    from embedcli.tasks.cluster_state import ClusterState, Followed, Origin
    from embedcli.tasks.pool import Pool
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.clusters import Clustering, GroupStats, Start
    from embedcli.vectors.lineage import Event, Lineage

_EVENTS_SHOWN = 10


@dataclass
class Past:
    """What the last run left, locked until this one ends.

    Attributes:
        path: The file.
        events: Where events are written; None for nowhere.
        state: What the last run left; None where there was nothing.
        origin: What the vectors and clusters of this run are from.
        followed: This run's clusters, once they have their ids.
        names: Of these.
        middles: Of these, if they are stars.
    """

    path: str
    events: str | None
    state: "ClusterState | None"
    origin: "Origin"
    followed: "Followed | None" = None
    names: "list[str]" = field(default_factory=list)
    middles: "Vectors | None" = None

    def watched(self, records: "Iterable[Record]") -> "Iterator[Record]":
        """Pass records on; remember which model their own vectors are from, where no encoder says it."""
        for record in records:
            if self.origin.model is None and record.vector_model is not None:
                self.origin = replace(self.origin, model=record.vector_model)
            yield record

    def start(self, pool: "Pool", vectors: "Vectors") -> "Start | None":
        """Return where the last run's clusters are among the vectors of this one.

        Raises:
            InputError: They may not be compared.
        """
        from embedcli.tasks.cluster_state import check_origin, start_of

        if not len(vectors):
            return None
        self.origin = replace(self.origin, dim=vectors.shape[1])
        if self.state is not None:
            check_origin(self.path, self.state, self.origin)
        return start_of(self.state, pool.keys, self.origin.threshold)

    def same_again(self, pool: "Pool") -> "Clustering | None":
        """Return the last run's clusters if nothing is different; call `start` first."""
        from embedcli.tasks.cluster_state import same_again

        return same_again(self.state, self.origin, pool.keys, pool.weights)

    def follow(self, pool: "Pool", found: "Clustering", stats: "GroupStats") -> list[int]:
        """Return the id of each cluster of this run."""
        from embedcli.tasks.cluster_state import follow_state

        self.middles = found.middles
        self.followed = follow_state(self.state, pool.keys, pool.weights, found, stats)
        ids: list[int] = self.followed.clusters.ids.tolist()
        return ids

    def name(self, names: "Sequence[str]") -> list[str]:
        """Return the names of this run's clusters; those of the same terms as before are as they were."""
        from embedcli.tasks.cluster_state import kept_names

        assert self.followed is not None, "clusters are named once they have ids"
        self.names = kept_names(self.state, self.followed.clusters.ids.tolist(), names)
        return self.names

    def save(self, run: "Run") -> None:
        """Say what became of the last run's clusters; then let this run take its place."""
        from embedcli.tasks.cluster_state import ClusterState, state_file
        from embedcli.write.target import open_output

        if self.followed is None or not len(self.followed.clusters.keys):
            run.notice(f"{self.path}: left as it is, nothing was clustered")
            return
        clusters, lineage = self.followed.clusters, self.followed.lineage
        told = dict(zip(clusters.ids.tolist(), self.names, strict=True))
        if self.state is not None:
            told = dict(zip(self.state.clusters.ids.tolist(), self.state.names, strict=True)) | told
        if self.events is not None:
            from embedcli.write.objects import dump

            with open_output(self.events) as output:
                for event in [] if lineage is None else lineage.events:
                    output.write(dump(_as_json(event, told)) + b"\n")
        said = (self.origin, clusters, tuple(self.names), self.followed.next_id, self.middles)
        with open_output(self.path) as output:
            output.write(state_file(ClusterState(*said)))
        if lineage is not None:
            self._tell(run, lineage, told)

    def _tell(self, run: "Run", lineage: "Lineage", names: dict[int, str]) -> None:
        """Say what became of the last run's clusters."""
        counts = Counter(event.name for event in lineage.events)
        run.measured |= {"shared": lineage.shared, "kept": lineage.kept}
        run.measured |= {name: counts[name] for name in ("born", "died", "split", "merged")}
        for event in lineage.events[: None if run.verbose else _EVENTS_SHOWN]:
            run.notice(_line(event, names))
        if len(lineage.events) > _EVENTS_SHOWN and not run.verbose:
            run.notice(f"{len(lineage.events) - _EVENTS_SHOWN} more events; -v names them")
        kept = (
            f"{lineage.kept} of {lineage.shared} records of the last run"
            f" ({lineage.kept / lineage.shared:.1%}) are where they were"
            if lineage.shared
            else "no record of the last run is there any more"
        )
        run.notice(
            f"{kept}; clusters: {counts['born']} born, {counts['died']} died, {counts['split']} split,"
            f" {counts['merged']} merged"
        )


def open_past(
    work: "Work", typed: "StateOptions", settings: "ClusterSettings", vectorizer: "Vectorizer | None"
) -> Past | None:
    """Return what the last run left, locked until the work's stack closes; None where no state was named.

    Raises:
        InputError: It is damaged, or of another model.
        IndexLockedError: Another run has it.
    """
    if typed.state is None:
        return None
    from embedcli.index.lock import writer_lock
    from embedcli.tasks.cluster_state import Origin, check_origin, read_state

    work.stack.enter_context(writer_lock(Path(typed.state), typed.lock_timeout))
    made: tuple[str | None, str | None, str | None, int] = (None, None, None, 0)
    if vectorizer is not None:
        made = (vectorizer.vector_model, vectorizer.pooling, vectorizer.prompt, vectorizer.dim)
    origin = Origin(
        *made, settings.method, settings.count, settings.threshold, settings.seed, asked=repr(settings)
    )
    past = Past(typed.state, typed.events, read_state(typed.state), origin)
    if past.state is not None and vectorizer is not None:
        # Before the first text is encoded.
        check_origin(past.path, past.state, origin)
    return past


def _as_json(event: "Event", names: dict[int, str]) -> dict[str, Any]:
    """Return an event as it is written."""
    said: dict[str, Any] = {"event": event.name, "cluster": event.cluster, "name": names[event.cluster]}
    if event.others:
        said |= {"into" if event.name == "split" else "from": list(event.others), "share": list(event.shares)}
    return said


def _line(event: "Event", names: dict[int, str]) -> str:
    """Return an event as it is said."""
    parts = [
        f"{other} ({share:.0%} of it)" if event.name == "split" else f"{share:.0%} of {other}"
        for other, share in zip(event.others, event.shares, strict=True)
    ]
    what = f"cluster {event.cluster} ({names[event.cluster]})"
    match event.name:
        case "split":
            return f"{what} split into {' and '.join(parts)}"
        case "merged":
            return f"{what} merged from {' and '.join(parts)}"
        case _:
            return f"{what} {'was born' if event.name == 'born' else 'died'}"
