"""What a run of `cluster` leaves for the next one, so that a cluster keeps its id from night to night."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.index.array_file import Arrays
    from embedcli.vectors.clusters import Clustering, GroupStats, Start, Weights
    from embedcli.vectors.lineage import Generation, Keys, Lineage

KIND: Final = "cluster-state"
VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Origin:
    """What vectors and clusters of a run are from.

    Attributes:
        model: Name, variant and fingerprint; None where vectors came along that name none.
        pooling: How token vectors became one; None likewise.
        prompt: What was put before each text; None likewise.
        dim: Numbers in a vector.
        method: By what clusters were found.
        count: How many clusters were asked for; None where that was left open.
        threshold: The lowest cosine to the middle of a star; None of other methods.
        seed: Of what was left to chance.
        asked: Everything that was asked for, in words that are compared with those of the next run.
    """

    model: str | None
    pooling: str | None
    prompt: str | None
    dim: int
    method: str
    count: int | None
    threshold: float | None
    seed: int
    asked: str = ""


class ClusterState(NamedTuple):
    """The clusters of a run, and what they are from.

    Attributes:
        origin: What they are from.
        clusters: Their ids, members and centroids.
        names: One for each.
        next_id: The lowest id that no cluster ever had.
        middles: What each stands around, shape (k, dim); None where they are no stars.
    """

    origin: Origin
    clusters: Generation
    names: tuple[str, ...]
    next_id: int
    middles: Vectors | None = None


class Followed(NamedTuple):
    """The clusters of this run, with their ids.

    Attributes:
        clusters: This run's, with the ids that go on and those that are new.
        next_id: The lowest id that no cluster ever had.
        lineage: What became of the last run's clusters; None where there was none.
    """

    clusters: Generation
    next_id: int
    lineage: Lineage | None


def read_state(path: str) -> ClusterState | None:
    """Return what the last run left, or None where there is no such file or an empty one.

    Raises:
        InputError: It cannot be read, or is not what a run left.
    """
    from embedcli.index.array_file import read_array_file

    try:
        if Path(path).stat().st_size == 0:
            return None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or 'cannot be read'}") from error
    about, arrays = read_array_file(path, KIND, VERSION)
    try:
        return _checked(about, arrays)
    except (KeyError, TypeError, ValueError, IndexError) as error:
        raise InputError(f"{path}: no {KIND} file of embedcli: {error}") from error


def state_file(state: ClusterState) -> bytes:
    """Return the bytes of a file that `read_state` reads."""
    from embedcli.index.array_file import array_file

    about = {"origin": asdict(state.origin), "names": state.names, "next_id": state.next_id}
    middles = {} if state.middles is None else {"middles": state.middles}
    return array_file(KIND, VERSION, about, {**state.clusters._asdict(), **middles})


def check_origin(path: str, state: ClusterState, origin: Origin) -> None:
    """See whether vectors may be compared with those of the last run.

    Raises:
        InputError: They are from another model, or of another size; both are named.
    """
    for what in ("model", "pooling", "prompt"):
        old, new = getattr(state.origin, what), getattr(origin, what)
        if None not in (old, new) and old != new:
            raise InputError(
                f"{path}: its vectors are of {what} {old!r}, those of this run of {what} {new!r}",
                hint="a --state of its own for each model and prompt",
            )
    if origin.dim != state.origin.dim:
        raise InputError(
            f"{path}: its vectors have {state.origin.dim} numbers, those of this run {origin.dim}"
        )


def follow_state(
    state: ClusterState | None, keys: Keys, weights: Weights, found: Clustering, stats: GroupStats
) -> Followed:
    """Return the clusters of this run, each with the id of the last run's cluster that it is.

    Args:
        state: What the last run left.
        keys: Hash of each row's text, shape (n,), as `Pool.keys`.
        weights: Records that have it, shape (n,).
        found: Clusters of the rows.
        stats: Of these.
    """
    import numpy as np

    from embedcli.vectors.lineage import Generation, follow

    unique, firsts = np.unique(keys, return_index=True)
    copies = weights[firsts].astype(np.int64)
    clusters = Generation(
        np.arange(len(stats.sizes)),
        *(stats.centroids, stats.sizes, stats.cohesion, unique, found.labels[firsts], copies),
    )
    if state is None:
        return Followed(clusters, len(stats.sizes), None)
    lineage = follow(state.clusters, clusters, state.next_id)
    next_id = max([state.next_id, *(lineage.ids + 1).tolist()])
    return Followed(clusters._replace(ids=lineage.ids), next_id, lineage)


def same_again(state: ClusterState | None, origin: Origin, keys: Keys, weights: Weights) -> Clustering | None:
    """Return the clusters of the last run if this one asks the same of the same records; else None.

    Without this, a run that is repeated would move some records: it starts from the last one, which did not
    start from itself.

    Args:
        state: What the last run left.
        origin: Of this run.
        keys: Hash of each row's text, shape (n,).
        weights: Records that have it, shape (n,).
    """
    import numpy as np

    from embedcli.vectors.clusters import Clustering
    from embedcli.vectors.lineage import carried_labels

    if state is None or state.origin != origin or not state.names:
        return None
    order = np.argsort(keys, kind="stable")
    old = state.clusters
    if not (np.array_equal(keys[order], old.keys) and np.array_equal(weights[order], old.copies)):
        return None
    return Clustering(carried_labels(old, keys), "the last run's: the records are the same", 0, state.middles)


def start_of(state: ClusterState | None, keys: Keys, threshold: float | None) -> Start | None:
    """Return where the last run's clusters are among the texts of this one; None where there are none.

    Args:
        state: What the last run left.
        keys: Hash of each row's text, shape (n,).
        threshold: Of this run; stars of another are no start.
    """
    import numpy as np

    from embedcli.vectors.clusters import Start
    from embedcli.vectors.lineage import carried_labels

    if state is None or not state.names:
        return None
    old = state.clusters
    # The mean of a cluster's vectors points to the centroid and is as long as the cohesion.
    means = old.centroids * old.cohesion[:, np.newaxis].astype(np.float32)
    middles = state.middles if state.origin.threshold == threshold else None
    return Start(carried_labels(old, keys), means, middles)


def kept_names(state: ClusterState | None, ids: Sequence[int], names: Sequence[str]) -> list[str]:
    """Return the names of clusters; one of the same terms as last time stays as it was."""
    if state is None:
        return [*names]
    old = dict(zip(state.clusters.ids.tolist(), state.names, strict=True))
    return [
        before if set((before := old.get(number, "")).split(", ")) == set(name.split(", ")) else name
        for number, name in zip(ids, names, strict=True)
    ]


def _checked(about: dict[str, Any], arrays: Arrays) -> ClusterState:
    """Return a state whose parts fit each other: nobody says that we wrote the file.

    Raises:
        ValueError: They do not.
        KeyError: Something is missing.
        TypeError: Something is of another type.
    """
    import numpy as np

    from embedcli.vectors.lineage import Generation

    origin, next_id, names = Origin(**about["origin"]), about["next_id"], tuple(about["names"])
    middles = arrays.get("middles")
    clusters = Generation(**{name: array for name, array in arrays.items() if name != "middles"})
    count = len(clusters.ids)
    _expect(type(next_id) is int and 0 <= next_id < 1 << 62 and type(origin.dim) is int, "numbers")
    _expect(all(type(name) is str for name in names) and len(names) == count, "names that do not fit")
    known = {"ids": "<i8", "centroids": "<f4", "sizes": "<i8", "cohesion": "<f8", "keys": "<u8"}
    for name, dtype in {**known, "labels": "<i8", "copies": "<i8"}.items():
        _expect(arrays[name].dtype == np.dtype(dtype), f"{name} of another type")
    rows = (len(clusters.keys),)
    _expect(clusters.centroids.shape == (count, origin.dim), "centroids that do not fit")
    _expect(
        middles is None
        or (
            middles.shape == clusters.centroids.shape
            and middles.dtype == np.dtype("<f4")
            and bool(np.isfinite(middles).all())
        ),
        "middles that do not fit",
    )
    _expect(clusters.ids.ndim == 1 and clusters.sizes.shape == clusters.cohesion.shape == (count,), "sizes")
    _expect(clusters.keys.ndim == 1 and clusters.labels.shape == clusters.copies.shape == rows, "members")
    _expect(bool(np.isfinite(clusters.centroids).all() and np.isfinite(clusters.cohesion).all()), "numbers")
    ids: npt.NDArray[np.int64] = clusters.ids
    _expect(bool((ids >= 0).all() and (ids < next_id).all()) and len(np.unique(ids)) == count, "ids")
    _expect(bool((clusters.labels >= -1).all() and (clusters.labels < count).all()), "labels")
    _expect(bool((clusters.keys[1:] > clusters.keys[:-1]).all()), "keys out of order")
    _expect(bool((clusters.copies > 0).all() and (clusters.sizes > 0).all()), "sizes below 1")
    return ClusterState(origin, clusters, names, next_id, middles)


def _expect(is_so: bool, what: str) -> None:
    if not is_so:
        raise ValueError(what)
