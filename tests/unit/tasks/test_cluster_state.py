"""States of `cluster`: read as they were written, and refused where anything is not what a run writes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedcli.errors import InputError
from embedcli.index.array_file import array_file
from embedcli.tasks.cluster_state import (
    KIND,
    VERSION,
    ClusterState,
    Origin,
    check_origin,
    follow_state,
    kept_names,
    read_state,
    state_file,
)
from embedcli.vectors.clusters import Clustering, group_stats
from embedcli.vectors.lineage import Generation

ORIGIN = Origin("tiny:int8:0123456789ab", "mean", "", 2, "kmeans", 2, None, 0)
STATE = ClusterState(
    ORIGIN,
    Generation(
        ids=np.array([7, 3]),
        centroids=np.eye(2, dtype=np.float32),
        sizes=np.array([3, 1]),
        cohesion=np.array([0.9, 1.0]),
        keys=np.array([1, 5, 2**64 - 1], np.uint64),
        labels=np.array([0, -1, 1]),
        copies=np.array([3, 1, 1]),
    ),
    ("card, lost", "rain"),
    9,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "topics.state"


def test_what_is_written_is_read(path: Path) -> None:
    path.write_bytes(state_file(STATE))
    found = read_state(str(path))
    assert found is not None
    assert found._replace(clusters=STATE.clusters) == STATE
    for ours, theirs in zip(STATE.clusters, found.clusters, strict=True):
        assert np.array_equal(ours, theirs)
        assert ours.dtype == theirs.dtype


def test_none_and_an_empty_file_are_no_state(path: Path) -> None:
    assert read_state(str(path)) is None
    path.touch()
    assert read_state(str(path)) is None


@pytest.mark.parametrize("place", [3, 40, 200, -1])
def test_a_damaged_state_is_refused(path: Path, place: int) -> None:
    content = bytearray(state_file(STATE))
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"topics\.state"):
        read_state(str(path))


CLUSTERS: list[dict[str, Any]] = [
    {"ids": np.array([7, 7])},
    {"ids": np.array([7, -1])},
    {"ids": np.array([7, 9])},
    {"ids": np.array([[7, 3]])},
    {"ids": np.array([7.0, 3.0])},
    {"ids": np.array([7, 3, 4])},
    {"centroids": np.zeros((2, 3), np.float32)},
    {"centroids": np.full((2, 2), np.nan, np.float32)},
    {"centroids": np.eye(2)},
    {"sizes": np.array([3, 0])},
    {"cohesion": np.array([0.9])},
    {"keys": np.array([5, 1, 9], np.uint64)},
    {"keys": np.array([1, 1, 9], np.uint64)},
    {"keys": np.array([1, 5], np.uint64)},
    {"labels": np.array([0, 2, 1])},
    {"labels": np.array([0, -2, 1])},
    {"copies": np.array([1, 1, 0])},
]
ABOUT: list[Callable[[dict[str, Any]], object]] = [
    lambda about: about.pop("names"),
    lambda about: about.update(names=["one"]),
    lambda about: about.update(names=[1, 2]),
    lambda about: about.update(names=3),
    lambda about: about.update(next_id="9"),
    lambda about: about.update(next_id=2**63),
    lambda about: about.update(origin={}),
    lambda about: about.update(origin=[]),
    lambda about: about["origin"].update(dim="2"),
    lambda about: about["origin"].update(more=1),
]


@pytest.mark.parametrize("wrong", CLUSTERS, ids=lambda wrong: next(iter(wrong)))
def test_arrays_that_no_run_writes_are_refused(path: Path, wrong: dict[str, Any]) -> None:
    path.write_bytes(state_file(STATE._replace(clusters=STATE.clusters._replace(**wrong))))
    with pytest.raises(InputError, match="no cluster-state file of embedcli"):
        read_state(str(path))


@pytest.mark.parametrize("change", ABOUT)
def test_words_that_no_run_writes_are_refused(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    about: dict[str, Any] = {
        "origin": {**{name: getattr(ORIGIN, name) for name in ORIGIN.__slots__}},
        "names": ["card, lost", "rain"],
        "next_id": 9,
    }
    change(about)
    path.write_bytes(array_file(KIND, VERSION, about, STATE.clusters._asdict()))
    with pytest.raises(InputError, match="no cluster-state file of embedcli"):
        read_state(str(path))


@pytest.mark.parametrize("missing", ["ids", "keys", "copies"])
def test_a_missing_array_is_refused(path: Path, missing: str) -> None:
    arrays = STATE.clusters._asdict()
    del arrays[missing]
    about = {
        "origin": {name: getattr(ORIGIN, name) for name in ORIGIN.__slots__},
        "names": STATE.names,
        "next_id": 9,
    }
    path.write_bytes(array_file(KIND, VERSION, about, arrays))
    with pytest.raises(InputError, match="no cluster-state file of embedcli"):
        read_state(str(path))


def test_a_file_of_another_kind_or_version_is_refused(path: Path) -> None:
    path.write_bytes(array_file("classifier", 1, {}, {"a": np.zeros(1)}))
    with pytest.raises(InputError, match="a classifier file, not a cluster-state file"):
        read_state(str(path))
    path.write_bytes(array_file(KIND, VERSION + 1, {}, {"a": np.zeros(1)}))
    with pytest.raises(InputError, match="of version 2, and this reads 1"):
        read_state(str(path))
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match=r"topics\.state"):
        read_state(str(path))


@pytest.mark.parametrize(
    "other", [{"model": "tiny:fp32:0"}, {"pooling": "cls"}, {"prompt": "x: "}, {"dim": 3}]
)
def test_other_vectors_are_refused_and_both_named(other: dict[str, Any]) -> None:
    check_origin("s", STATE, ORIGIN)
    check_origin("s", STATE, replace(ORIGIN, method="communities", count=None, seed=4))
    with pytest.raises(InputError) as caught:
        check_origin("s", STATE, replace(ORIGIN, **other))
    [(name, value)] = other.items()
    assert repr(value) in str(caught.value)
    assert repr(getattr(ORIGIN, name)) in str(caught.value)


def test_vectors_of_an_unknown_model_are_compared_by_size_alone() -> None:
    check_origin("s", STATE, replace(ORIGIN, model=None, pooling=None, prompt=None))


def test_a_name_of_the_same_terms_stays_as_it_was() -> None:
    assert kept_names(STATE, [3, 7, 9], ["snow", "lost, card", "card, lost"]) == [
        "snow",
        "card, lost",
        "card, lost",
    ]
    assert kept_names(None, [0], ["rain"]) == ["rain"]


def test_the_highest_id_is_not_given_again_when_its_cluster_is_gone() -> None:
    vectors = np.eye(4, dtype=np.float32)
    weights = np.ones(4, np.float32)
    state: ClusterState | None = None
    ids = []
    for labels in ([0, 1, 2, 3], [0, 1, 2, -1], [0, 1, 2, -1], [0, 1, 2, 3]):
        found = Clustering(np.array(labels), "")
        stats = group_stats(vectors, found.labels, weights)
        followed = follow_state(state, np.arange(4, dtype=np.uint64), weights, found, stats)
        state = ClusterState(ORIGIN, followed.clusters, ("",) * len(stats.sizes), followed.next_id)
        ids.append(followed.clusters.ids.tolist())
    assert ids == [[0, 1, 2, 3], [0, 1, 2], [0, 1, 2], [0, 1, 2, 4]]
