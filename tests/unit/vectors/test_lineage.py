"""Ids go on to what is the same cluster, and to nothing else; the rest is told as what it is."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.vectors.clusters import NOISE, group_stats, renumbered
from embedcli.vectors.lineage import Event, Generation, carried_labels, follow
from embedcli.vectors.normalize import normalize

DIM = 16
AXES = np.eye(DIM, dtype=np.float32)


def generation(clusters: dict[int, list[tuple[int, int]]], noise: tuple[int, ...] = ()) -> Generation:
    """Make clusters of texts, each a number and the topic that its vector points to."""
    texts = [(text, topic, place) for place, each in enumerate(clusters.values()) for text, topic in each]
    texts += [(text, 0, NOISE) for text in noise]
    texts.sort()
    keys = np.array([text for text, _, _ in texts], np.uint64)
    labels = np.array([place for *_, place in texts], np.int64)
    nudge = np.random.default_rng(0).normal(scale=0.05, size=(10_000, DIM)).astype(np.float32)
    rows = [AXES[topic] + nudge[text] for text, topic, _ in texts]
    vectors = normalize(np.array(rows, np.float32).reshape(-1, DIM))
    stats = group_stats(vectors, labels, np.ones(len(keys), np.float32))
    ids = np.array([*clusters], np.int64)
    return Generation(ids, stats.centroids, stats.sizes, stats.cohesion, keys, labels, np.ones_like(labels))


def texts(start: int, stop: int, topic: int = 0) -> list[tuple[int, int]]:
    return [(number, topic) for number in range(start, stop)]


OLD = generation({4: texts(0, 20, 1), 7: texts(20, 40, 2), 9: texts(40, 50, 3)}, noise=(90,))


def test_the_same_clusters_keep_their_ids() -> None:
    new = generation({0: texts(40, 50, 3), 1: texts(0, 20, 1), 2: texts(20, 40, 2)}, noise=(90,))
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [9, 4, 7]
    assert found.events == []
    assert (found.shared, found.kept) == (51, 51)


def test_what_is_new_is_born_and_what_is_gone_died() -> None:
    new = generation({0: texts(0, 20, 1), 1: texts(100, 130, 5), 2: texts(20, 40, 2)})
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [4, 10, 7]
    assert found.events == [Event("born", 10), Event("died", 9)]
    assert (found.shared, found.kept) == (40, 40)


def test_a_split_is_told_and_the_larger_part_keeps_the_id() -> None:
    new = generation({0: texts(0, 13, 1), 1: texts(20, 40, 2), 2: texts(40, 50, 3), 3: texts(13, 20, 1)})
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [4, 7, 9, 10]
    assert found.events == [Event("split", 4, (4, 10), (0.65, 0.35))]
    assert found.kept == 43


def test_a_crumb_is_no_part() -> None:
    new = generation({0: texts(0, 17, 1), 1: texts(20, 40, 2), 2: texts(40, 50, 3), 3: texts(17, 20, 1)})
    assert follow(OLD, new, 10).events == [Event("born", 10)]


def test_a_merger_is_told_and_goes_on_as_the_larger() -> None:
    new = generation({0: texts(0, 20, 1) + texts(40, 48, 3), 1: texts(20, 40, 2)}, noise=(48, 49))
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [4, 7]
    assert found.events == [Event("merged", 4, (4, 9), (1.0, 0.8))]


def test_a_rest_of_a_cluster_neither_merges_nor_splits() -> None:
    new = generation({0: [(0, 1), *texts(20, 40, 2)], 1: [(1, 1), *texts(40, 50, 3)]})
    assert follow(OLD, new, 10).events == [Event("died", 4)]
    new = generation({0: texts(0, 3, 4), 1: texts(3, 6, 5), 2: texts(20, 40, 2), 3: texts(40, 50, 3)})
    assert [event.name for event in follow(OLD, new, 10).events][-1] != "split"


def test_nobody_inherits_what_fell_apart() -> None:
    new = generation({place: texts(5 * place, 5 * place + 5, 1) for place in range(4)})
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [10, 11, 12, 13]
    assert [event.name for event in found.events] == ["died", "died", "split"]


def test_scattered_clusters_died() -> None:
    new = generation({0: texts(20, 40, 2) + texts(0, 4, 1), 1: texts(40, 50, 3)}, noise=(*range(4, 20),))
    assert follow(OLD, new, 10).events == [Event("died", 4)]


@pytest.mark.parametrize(("topic", "inherits"), [(1, True), (5, False)])
def test_without_common_texts_the_centroids_say(topic: int, inherits: bool) -> None:
    new = generation({0: texts(100, 120, topic), 1: texts(20, 40, 2), 2: texts(40, 50, 3)})
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [4 if inherits else 10, 7, 9]
    assert found.events == ([] if inherits else [Event("born", 10), Event("died", 4)])


def test_the_id_of_a_cluster_that_merged_goes_to_no_lookalike() -> None:
    # All that was in 4 is in 7 now; what is new beside it is only about the same.
    new = generation({0: texts(0, 20, 1) + texts(20, 45, 2), 1: texts(100, 120, 1)})
    found = follow(OLD, new, 10)
    assert found.ids.tolist() == [7, 10]


def test_one_common_text_is_not_enough() -> None:
    new = generation({0: [(0, 1), *texts(100, 130, 6)], 1: texts(20, 40, 2), 2: texts(40, 50, 3)})
    assert follow(OLD, new, 10).ids.tolist() == [10, 7, 9]


def test_copies_count() -> None:
    new = generation({0: texts(0, 13, 1), 1: texts(20, 40, 2), 2: texts(40, 50, 3), 3: texts(13, 20, 1)})
    copies = np.where((new.keys >= 13) & (new.keys < 20), 10, 1)
    found = follow(OLD, new._replace(copies=copies), 10)
    assert found.ids.tolist() == [10, 7, 9, 4]


@given(st.lists(st.integers(-1, 6), max_size=60), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_other_numbers_of_the_same_clusters_change_nothing(labels: list[int], random: object) -> None:
    old = random_generation(labels, ids_from=5)
    shuffled = list(range(len(old.ids)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    place = np.array([shuffled.index(each) for each in range(len(old.ids))] + [NOISE], np.int64)
    new = old._replace(
        ids=np.arange(len(old.ids)),
        centroids=old.centroids[shuffled],
        sizes=old.sizes[shuffled],
        cohesion=old.cohesion[shuffled],
        labels=place[old.labels],
    )
    found = follow(old, new, 50)
    assert found.ids.tolist() == old.ids[shuffled].tolist()
    assert found.events == []
    assert found.kept == found.shared == len(labels)


@given(st.lists(st.tuples(st.integers(-1, 5), st.integers(-1, 5), st.integers(0, 2)), max_size=80))
@settings(max_examples=150)
def test_ids_are_one_to_one_and_all_is_told_once(rows: list[tuple[int, int, int]]) -> None:
    old = random_generation(
        [first for first, _, when in rows if when != 1], 3, [n for n, row in enumerate(rows) if row[2] != 1]
    )
    new = random_generation(
        [last for _, last, when in rows if when != 0], 0, [n for n, row in enumerate(rows) if row[2] != 0]
    )
    found = follow(old, new, 20)
    ids = found.ids.tolist()
    before, goes_on = set(old.ids.tolist()), set(ids) & set(old.ids.tolist())
    assert len(set(ids)) == len(ids)
    assert set(ids) - before == set(range(20, 20 + len(set(ids) - before)))
    told = {
        name: [event for event in found.events if event.name == name]
        for name in ("born", "died", "split", "merged")
    }
    births = {event.cluster for event in told["born"]}
    parts = {other for event in told["split"] for other in event.others}
    made = {event.cluster for event in told["merged"]}
    assert births | (parts - before) | (made - before) == set(ids) - before
    assert not births & (parts | made)
    deaths = {event.cluster for event in told["died"]}
    split = {event.cluster for event in told["split"]}
    merged = {other for event in told["merged"] for other in event.others}
    assert deaths | (split - goes_on) | (merged - goes_on) == before - goes_on
    assert not deaths & (split | merged)
    assert all(0 <= share <= 1 for event in found.events for share in event.shares)
    assert 0 <= found.kept <= found.shared == sum(when == 2 for *_, when in rows)


def random_generation(labels: list[int], ids_from: int, keys: list[int] | None = None) -> Generation:
    copies = np.ones(len(labels), np.int64)
    found = renumbered(np.array(labels, np.int64), copies.astype(np.float32))
    vectors = normalize(np.random.default_rng(0).normal(size=(max(100, len(labels)), DIM)).astype(np.float32))
    stats = group_stats(vectors[: len(labels)], found, copies.astype(np.float32))
    ids = np.arange(ids_from, ids_from + len(stats.sizes))
    numbers = np.array(range(len(labels)) if keys is None else keys, np.uint64)
    return Generation(ids, stats.centroids, stats.sizes, stats.cohesion, numbers, found, copies)


def test_texts_are_where_they_were() -> None:
    keys = np.array([25, 3, 500, 90, 41], np.uint64)
    assert carried_labels(OLD, keys).tolist() == [1, 0, NOISE, NOISE, 2]
    empty = OLD._replace(keys=np.zeros(0, np.uint64), labels=np.zeros(0, np.int64))
    assert carried_labels(empty, keys).tolist() == [NOISE] * 5
