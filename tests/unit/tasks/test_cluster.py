"""What every method promises, settings that contradict each other, instructions, and the Python API."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import embedcli
from embedcli.encode.catalog import find_model
from embedcli.errors import UsageError
from embedcli.tasks.cluster import ClusterSettings, cluster_rows, method_for
from embedcli.tasks.instruction import instruction_prompt
from embedcli.vectors import neighbors
from embedcli.vectors.clusters import NOISE, group_stats, renumbered
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize
from tests.unit.vectors.cluster_helpers import ones, planted, same

SETTINGS = {
    "kmeans": ClusterSettings("kmeans", 3),
    "auto": ClusterSettings("kmeans", auto=True),
    "communities": ClusterSettings(),
    "communities of 3": ClusterSettings(count=3),
    "density": ClusterSettings("density", min_size=5),
    "threshold": ClusterSettings("threshold", threshold=0.6),
}
WORDS = {
    "kmeans": "k-means",
    "auto": "k-means, k = 3: the fewest of 2 to 100 with a silhouette near the highest, 0.",
    "communities": "communities of the 15-nearest-neighbour graph, modularity 0.",
    "communities of 3": "communities of the 15-nearest-neighbour graph, modularity 0.",
    "density": "HDBSCAN on the 15-nearest-neighbour graph, at least 5 different texts each",
    "threshold": "stars, cosine to the middle at least 0.6",
}


@pytest.mark.parametrize("name", SETTINGS)
def test_planted_clusters_are_found_for_any_number_of_threads(name):
    rows, kinds = planted([60, 50, 40])
    found = cluster_rows(rows, ones(rows), SETTINGS[name])
    if name != "communities":
        assert same(found.labels, kinds)
    # However fine the resolution cuts, it cuts within what was planted.
    assert len({*zip(found.labels.tolist(), kinds.tolist(), strict=True)}) == found.labels.max() + 1
    assert found.reason.startswith(WORDS[name])
    for jobs in (2, 3):
        again = cluster_rows(rows, ones(rows), SETTINGS[name], jobs)
        assert (again.labels.tolist(), again.reason) == (found.labels.tolist(), found.reason)


@settings(max_examples=30)
@given(
    st.sampled_from(["kmeans", "communities", "density", "threshold"]),
    st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), min_size=0, max_size=40),
    st.integers(1, 6),
    st.booleans(),
)
def test_every_method_keeps_the_rules(method, picked, least, assign):
    about = np.random.default_rng(7).normal(size=(31, 5)).astype(np.float32)
    rows = normalize(about[[kind for kind, _ in picked]].reshape(-1, 5))
    weights = np.array([weight for _, weight in picked], dtype=np.float32)
    distinct = len({kind for kind, _ in picked})
    wanted = replace(
        SETTINGS[method],
        count=min(3, distinct) or None if method == "kmeans" else None,
        auto=method == "kmeans" and not distinct,
        min_size=max(2, least) if method == "density" else least,
        assign_noise=assign,
    )
    found = cluster_rows(rows, weights, wanted)
    labels = found.labels
    assert labels.tolist() == renumbered(labels, weights).tolist()
    # Equal rows are together.
    for kind in {kind for kind, _ in picked}:
        assert len({labels[place] for place, (other, _) in enumerate(picked) if other == kind}) == 1
    sizes = np.bincount(labels[labels != NOISE], weights=weights[labels != NOISE])
    assert (sizes >= wanted.least).all()
    if assign and labels.max(initial=NOISE) >= 0:
        assert (labels != NOISE).all()
    if not assign:
        assert found.assigned == 0


def test_copies_count_for_the_size_of_a_cluster():
    rows = np.eye(4, dtype=np.float32)
    weights = np.array([1, 5, 1, 2], dtype=np.float32)
    stars = ClusterSettings("threshold", threshold=0.5)
    assert cluster_rows(rows, weights, stars).labels.tolist() == [NOISE, 0, NOISE, 1]
    assert cluster_rows(rows, weights, replace(stars, min_size=1)).labels.tolist() == [2, 0, 3, 1]
    assert cluster_rows(rows, weights, replace(stars, min_size=6)).labels.tolist() == [NOISE] * 4


def test_noise_goes_to_the_nearest_centroid():
    rows, _ = planted([30, 20, 1, 1, 1], width=0.3, mixed=False)
    weights = ones(rows)
    weights[-1] = 4
    wanted = ClusterSettings("threshold", threshold=0.7, min_size=5)
    before = cluster_rows(rows, weights, wanted)
    assert before.labels[-3:].tolist() == [NOISE] * 3
    centroids = group_stats(rows, before.labels, weights).centroids
    after = cluster_rows(rows, weights, replace(wanted, assign_noise=True))
    assert after.assigned == weights[before.labels == NOISE].sum() >= 6
    for row in np.flatnonzero(before.labels == NOISE):
        nearest = cosine(centroids, rows[row]).argmax()
        with_it = before.labels == nearest
        assert after.labels[row] == after.labels[np.flatnonzero(with_it)[0]]
    # There is nothing to be nearest to.
    none = cluster_rows(rows, weights, replace(wanted, min_size=99, assign_noise=True))
    assert (set(none.labels), none.assigned) == ({NOISE}, 0)


def test_few_texts(monkeypatch):
    row = np.ones((1, 1), dtype=np.float32)
    for name, wanted in SETTINGS.items():
        assert cluster_rows(row[:0], ones(row[:0]), wanted).labels.tolist() == []
        if "3" in name or name == "kmeans":
            continue
        expected = 0 if name == "auto" else NOISE
        assert cluster_rows(row, ones(row), wanted).labels.tolist() == [expected], name
        if name != "density":
            assert cluster_rows(row, ones(row), replace(wanted, min_size=1)).labels.tolist() == [0], name
    monkeypatch.setattr(neighbors, "EXACT_ROWS", 100)
    monkeypatch.setattr(neighbors, "LOOKED_INTO", 2)
    rows = normalize(np.random.default_rng(0).normal(size=(400, 12)).astype(np.float32))
    assert "% of it found, modularity" in cluster_rows(rows, ones(rows), ClusterSettings()).reason


@pytest.mark.parametrize("method", ["kmeans", "communities"])
def test_more_clusters_than_texts_are_refused(method):
    rows = np.eye(3, dtype=np.float32)[[0, 1, 2, 0, 1]]
    with pytest.raises(UsageError, match="-k 4: more clusters than different texts, .* 3") as caught:
        cluster_rows(rows, ones(rows), ClusterSettings(method, 4))
    assert caught.value.hint == "-k 3 or less"
    assert sorted(set(cluster_rows(rows, ones(rows), ClusterSettings("kmeans", 3)).labels)) == [0, 1, 2]


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ({"method": "magic"}, "no method 'magic'"),
        ({"method": "kmeans"}, "needs to know how many"),
        ({"method": "threshold"}, "need a threshold"),
        ({"method": "density", "count": 3}, "-k goes with --method kmeans and communities"),
        ({"auto": True}, "--auto goes with --method kmeans"),
        ({"threshold": 0.5}, "--threshold goes with --method threshold"),
        ({"method": "kmeans", "count": 3, "resolution": 2.0}, "--resolution goes with"),
        ({"count": 3, "resolution": 2.0}, "both say how many"),
        ({"method": "kmeans", "count": 1, "auto": True}, "nothing to choose"),
        ({"method": "threshold", "threshold": 1.5}, "-1 to 1, not 1.5"),
        ({"method": "threshold", "threshold": float("nan")}, "-1 to 1, not nan"),
        ({"resolution": 0.0}, "above 0, not 0"),
        ({"resolution": float("nan")}, "above 0, not nan"),
        ({"resolution": float("inf")}, "above 0, not inf"),
        ({"seed": -1}, "a seed is from 0 to 18446744073709551615, not -1"),
        ({"seed": 1 << 64}, "a seed is from 0"),
        ({"method": "density", "min_size": 1}, "one record has no density"),
    ],
)
def test_settings_that_make_no_sense_are_refused(wanted, said):
    with pytest.raises(UsageError, match=said):
        ClusterSettings(**wanted)


def test_what_is_meant_where_no_method_is_named():
    assert method_for(None, None, auto=False) == "communities"
    assert method_for(5, None, auto=False) == "kmeans"
    assert method_for(None, None, auto=True) == "kmeans"
    assert method_for(None, -0.5, auto=False) == "threshold"
    assert method_for(None, 0.0, auto=False) == "threshold"


# --- instructions


def manifest_with(**prompts: str):
    return replace(find_model("static", ()).manifest, prompts=prompts)


@pytest.mark.parametrize(
    ("prompts", "expected"),
    [
        ({"query": "Instruct: Given a question, find answers\nQuery: "}, "Instruct: by tone\nQuery: "),
        ({"query": "Instruct: a\nQuery:"}, "Instruct: by tone\nQuery:"),
        ({"query": "task: search result | query: "}, "task: by tone | query: "),
        ({"query": "", "Clustering": "task: clustering | query: "}, "task: by tone | query: "),
        # The query's form before that of another task.
        ({"a": "task: x | query: ", "query": "Instruct: x\nQuery: "}, "Instruct: by tone\nQuery: "),
    ],
)
def test_an_instruction_takes_the_place_of_the_one_in_the_prompt(prompts, expected):
    assert instruction_prompt(manifest_with(**prompts), "  by\n tone ") == expected


@pytest.mark.parametrize(
    "prompts",
    [{}, {"query": ""}, {"query": "query: ", "document": "passage: "}, {"query": "Represent this: "}],
)
def test_a_model_without_such_a_prompt_takes_no_instruction(prompts):
    with pytest.raises(UsageError, match="takes no instructions"):
        instruction_prompt(manifest_with(**prompts), "by tone")
    with pytest.raises(UsageError, match="blank"):
        instruction_prompt(manifest_with(query="Instruct: a\nQuery: "), " \n")


# --- from Python


def test_the_python_api():
    texts = ["the dog barks", "tax forms", "", "a dog barked", "the tax form", "a dog barks at dogs"]
    with embedcli.load_model("static") as model:
        found = embedcli.cluster(texts, count=2, model=model)
        assert [each and each.cluster for each in found] == [0, 1, None, 0, 1, 0]
        assert isinstance(found[0], embedcli.ClusterMember)
        assert "dog" in found[0].name
        assert "tax" in found[1].name
        assert all(0.5 < each.score <= 1 for each in found if each)
        stars = embedcli.cluster(texts, threshold=0.99, model=model)
        assert set(stars) == {None, embedcli.ClusterMember(NOISE, None, None)}
        auto = embedcli.cluster(texts, auto=True, seed=3, model=model)
        assert {each and each.cluster for each in auto} == {0, 1, None}
        assert embedcli.cluster([], model=model) == []
        with pytest.raises(UsageError, match="-k 9"):
            embedcli.cluster(texts, count=9, model=model)
    with pytest.raises(TypeError, match="a sequence of strings"):
        embedcli.cluster("text")
    with pytest.raises(TypeError):
        embedcli.cluster(["text"], colour="red")
