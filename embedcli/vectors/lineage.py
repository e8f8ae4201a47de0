"""Which cluster of a run is which of the run before, and what became of the others.

Two clusters may be the same one if their members are: of the texts that both runs have and that are in
either, at least 30 % are in both (Jaccard). Where less than half of either's members are in both runs, these
say too little: then each must be the other's nearest, at a cosine that members of neither fall below on
average. Of all ways to pair clusters so, the one with the highest sum of similarities counts, so that no two
share an old one.

Source: D. Greene, D. Doyle and P. Cunningham, "Tracking the evolution of communities in dynamic social
networks" (2010), section 3, for the Jaccard similarity and its bound of 0.3; the kinds of events and the
share of members by which they are told after M. Spiliopoulou et al., "MONIC: modeling and monitoring cluster
transitions" (2006), section 3. There a cluster is followed by every one that is like it, here by one at most.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import min_weight_full_bipartite_matching

from embedcli.vectors.clusters import NOISE
from embedcli.vectors.neighbors import nearest_among

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.clusters import Labels

    Keys = npt.NDArray[np.uint64]
    Doubles = npt.NDArray[np.float64]

EventName = Literal["born", "died", "split", "merged"]

_LIKE: Final = 0.3
_KNOWN: Final = 0.5
"""Share of a cluster's members in both runs from which on they speak for it."""
_SPLIT: Final = 0.25
"""Share of a cluster that is a part of it."""
_MERGED: Final = 0.5
"""Share of a cluster that is the cluster."""


class Generation(NamedTuple):
    """The clusters of one run.

    Attributes:
        ids: Shape (k,), int64, from 0, each once.
        centroids: Shape (k, dim), float32, unit length.
        sizes: Shape (k,), int64: records.
        cohesion: Shape (k,), float64.
        keys: Shape (n,), uint64, ascending, each once: hashes of the texts.
        labels: Shape (n,), int64: the place of each text's cluster among the k, or `NOISE`.
        copies: Shape (n,), int64: records that have the text.
    """

    ids: Labels
    centroids: Vectors
    sizes: Labels
    cohesion: Doubles
    keys: Keys
    labels: Labels
    copies: Labels


class Event(NamedTuple):
    """Something that became of a cluster.

    Attributes:
        name: `split`: parts of a quarter or more of what is still there of the cluster are in several
            others, at least one of them new. `merged`: half or more of what is still there of others, which
            are no more, is in the cluster. Neither is said of one of which less than half is still there.
            `died`: it is no more, and neither split nor merged. `born`: it is new, and neither part of one
            that split nor made of others.
        cluster: Its id.
        others: Into which it split, or which merged into it, itself among them if it was there.
        shares: Of each of the others: its share of the cluster that split, or the share of it that merged.
    """

    name: EventName
    cluster: int
    others: tuple[int, ...] = ()
    shares: tuple[float, ...] = ()


class Lineage(NamedTuple):
    """What became of the clusters of a run in the next.

    Attributes:
        ids: Of the new clusters, shape (k,), int64: an old one's, or one that no cluster had.
        events: By cluster, of each kind in turn.
        shared: Records of the new run whose text the old one had.
        kept: How many of these are in the cluster that they were in, or noise as before.
    """

    ids: Labels
    events: list[Event]
    shared: int
    kept: int


class _Overlap(NamedTuple):
    """Records of the texts that both runs have.

    Attributes:
        counts: In each old cluster and each new one, shape (k_old, k_new), sparse.
        old: In each old cluster, shape (k_old,), those that are noise now counted in.
        new: In each new cluster, shape (k_new,), likewise.
        both_noise: Noise in both.
        total: All.
    """

    counts: csr_array
    old: Doubles
    new: Doubles
    both_noise: int
    total: int


def follow(old: Generation, new: Generation, next_id: int) -> Lineage:
    """Return which new cluster is which old one, and what became of the others.

    Args:
        old: The run before.
        new: This one; its ids are not looked at.
        next_id: The lowest id that no cluster had.
    """
    overlap = _overlap(old, new)
    partners = _partners(old, new, overlap)
    is_fresh = partners == NOISE
    ids = next_id + np.cumsum(is_fresh) - 1
    ids[~is_fresh] = old.ids[partners[~is_fresh]]
    stayed = sum(count for row, column, count in _entries(overlap.counts) if partners[column] == row)
    events = _events(old, ids, partners, overlap)
    return Lineage(ids, events, overlap.total, int(stayed) + overlap.both_noise)


def carried_labels(old: Generation, keys: Keys) -> Labels:
    """Return the place of the old cluster that each text was in, shape (n,); `NOISE` for none or a new text.

    Args:
        old: The run before.
        keys: Hash of each text, shape (n,).
    """
    labels = np.full(len(keys), NOISE, dtype=np.int64)
    if len(old.keys):
        at = np.minimum(np.searchsorted(old.keys, keys), len(old.keys) - 1)
        known = old.keys[at] == keys
        labels[known] = old.labels[at[known]]
    return labels


def _overlap(old: Generation, new: Generation) -> _Overlap:
    _, at_old, at_new = np.intersect1d(old.keys, new.keys, assume_unique=True, return_indices=True)
    before, after, copies = old.labels[at_old], new.labels[at_new], new.copies[at_new]
    was, is_now = before != NOISE, after != NOISE
    both = was & is_now
    shape = len(old.ids), len(new.ids)
    counts = coo_array((copies[both].astype(np.float64), (before[both], after[both])), shape=shape).tocsr()
    return _Overlap(
        counts,
        np.bincount(before[was], weights=copies[was], minlength=shape[0]).astype(np.float64),
        np.bincount(after[is_now], weights=copies[is_now], minlength=shape[1]).astype(np.float64),
        int(copies[~was & ~is_now].sum()),
        int(copies.sum()),
    )


def _partners(old: Generation, new: Generation, overlap: _Overlap) -> Labels:
    """Return the place of the old cluster that each new one is, or `NOISE`, shape (k_new,)."""
    counts = overlap.counts.tocoo()
    rows, columns, found = counts.row.astype(np.int64), counts.col.astype(np.int64), counts.data
    like = found / (overlap.old[rows] + overlap.new[columns] - found)
    known_old = overlap.old >= _KNOWN * old.sizes
    known_new = overlap.new >= _KNOWN * new.sizes
    sure = (like >= _LIKE) & (known_old[rows] | known_new[columns])
    pairs = np.stack([rows[sure], columns[sure]])
    unsure = _nearest_pairs(old, new, np.flatnonzero(~known_old), np.flatnonzero(~known_new))
    # What members say goes before what centroids say.
    likeness = np.concatenate([like[sure], np.full(unsure.shape[1], _LIKE / 2)])
    return _assigned(np.concatenate([pairs, unsure], axis=1), likeness, len(old.ids), len(new.ids))


def _nearest_pairs(old: Generation, new: Generation, some: Labels, others: Labels) -> Labels:
    """Return pairs of old and new clusters that are one by their centroids, shape (2, pairs).

    Args:
        old: The run before.
        new: This one.
        some: Places of the old clusters that come into question.
        others: Of the new ones.
    """
    if not len(some) or not len(others):
        return np.empty((2, 0), dtype=np.int64)
    near = nearest_among(new.centroids[others], old.centroids[some], 1)
    back = nearest_among(old.centroids[some], new.centroids[others], 1).rows[:, 0]
    chosen = near.rows[:, 0]
    pairs = np.stack([some[chosen], others])
    bound = np.maximum(old.cohesion[pairs[0]], new.cohesion[pairs[1]])
    is_pair = (back[chosen] == np.arange(len(others))) & (near.cosines[:, 0] >= bound)
    return pairs[:, is_pair]


def _assigned(pairs: Labels, likeness: Doubles, old: int, new: int) -> Labels:
    """Return the partner of each new cluster by the one-to-one assignment of the highest sum."""
    partners = np.full(new, NOISE, dtype=np.int64)
    if not old or not pairs.shape[1]:
        return partners
    # A column of its own lets each old cluster go without a partner; a cost of zero would be no pair at all.
    rows = np.concatenate([pairs[0], np.arange(old)])
    columns = np.concatenate([pairs[1], new + np.arange(old)])
    costs = np.concatenate([2 - likeness, np.full(old, 2.0)])
    table = coo_array((costs, (rows, columns)), shape=(old, new + old)).tocsr()
    left, right = min_weight_full_bipartite_matching(table)
    is_pair = right < new
    partners[right[is_pair]] = left[is_pair]
    return partners


def _events(old: Generation, ids: Labels, partners: Labels, overlap: _Overlap) -> list[Event]:
    """Return what became of clusters that did not simply go on."""
    fresh = set(np.flatnonzero(partners == NOISE).tolist())
    ended = set(range(len(old.ids))) - set(partners.tolist())
    # Each old cluster's parts, with the share that each is of what is still there of it. Where that is
    # little, it says nothing of the cluster.
    known = overlap.old >= _KNOWN * old.sizes
    parts: dict[int, dict[int, float]] = {}
    for row, column, count in _entries(overlap.counts):
        if known[row]:
            parts.setdefault(row, {})[column] = count / overlap.old[row]
    splits = {
        row: large for row, each in parts.items() if (large := _large(each)).keys() & fresh and len(large) > 1
    }
    merges: dict[int, dict[int, float]] = {}
    for row in sorted(ended - splits.keys()):
        for column, share in parts.get(row, {}).items():
            if share >= _MERGED:
                merges.setdefault(column, {})[row] = share
    for column, merged in merges.items():
        own = int(partners[column])
        if own != NOISE:
            merged[own] = parts.get(own, {}).get(column, 0.0)
    died = ended - splits.keys() - {row for merged in merges.values() for row in merged}
    born = fresh - merges.keys() - {column for large in splits.values() for column in large}
    return [
        *sorted(Event("born", int(ids[column])) for column in born),
        *sorted(Event("died", int(old.ids[row])) for row in died),
        *sorted(_event("split", int(old.ids[row]), large, ids) for row, large in splits.items()),
        *sorted(_event("merged", int(ids[column]), merged, old.ids) for column, merged in merges.items()),
    ]


def _entries(counts: csr_array) -> Iterator[tuple[int, int, float]]:
    found = counts.tocoo()
    yield from zip(found.row.tolist(), found.col.tolist(), found.data.tolist(), strict=True)


def _large(parts: dict[int, float]) -> dict[int, float]:
    return {column: share for column, share in parts.items() if share >= _SPLIT}


def _event(name: EventName, cluster: int, others: dict[int, float], ids: Labels) -> Event:
    named = sorted((int(ids[other]), share) for other, share in others.items())
    return Event(name, cluster, tuple(other for other, _ in named), tuple(share for _, share in named))
