"""What `eval` computes from judged pairs and labelled texts, on made-up vectors."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    adjusted_rand_score,
    average_precision_score,
    f1_score,
    precision_score,
    recall_score,
    roc_auc_score,
    v_measure_score,
)

from embedcli.errors import InputError, UsageError
from embedcli.tasks.cluster import ClusterSettings, cluster_rows
from embedcli.tasks.evaluate.calibrated import evaluate_calibration
from embedcli.tasks.evaluate.classification import (
    Learning,
    _drawn,
    _splits,
    evaluate_classification,
    parse_shots,
)
from embedcli.tasks.evaluate.clustering import evaluate_clusters
from embedcli.tasks.evaluate.labelled_texts import LabelledTexts
from embedcli.tasks.evaluate.pairs import evaluate_pairs, first_half
from embedcli.tasks.evaluate.sts import evaluate_sts
from embedcli.tasks.judged_pairs import ScoredPairs
from embedcli.vectors.normalize import normalize

WORDS = ["red", "green", "blue", "white", "black", "pink", "grey", "gold"]


@pytest.fixture(autouse=True)
def _few_resamples(monkeypatch):
    monkeypatch.setattr("embedcli.vectors.resampling.RESAMPLES", 200)


def scored(count=400, seed=0):
    """Pairs of which a third belong together; the cosine says so roughly."""
    rng = np.random.default_rng(seed)
    values = (np.arange(count) % 3 == 0).astype(float)
    cosines = np.clip(rng.normal(0.3 + 0.35 * values, 0.15), -1, 1).round(2)
    lefts = [f"{WORDS[row % 8]} {WORDS[row % 5]}" for row in range(count)]
    rights = [f"{WORDS[row % 7]} {WORDS[row % 5]}" for row in range(count)]
    return ScoredPairs(tuple(map(str, range(count))), lefts, rights, values, cosines, 0)


def labelled(per_label=30, seed=0, labels=("x", "y", "z")):
    """Texts in clouds around their label's place."""
    rng = np.random.default_rng(seed)
    middles = np.random.default_rng(99).normal(size=(len(labels), 8))
    targets = np.arange(per_label * len(labels)) % len(labels)
    vectors = normalize((middles[targets] + rng.normal(0, 0.9, (len(targets), 8))).astype(np.float32))
    texts = [f"{WORDS[target % 8]} {rng.choice(WORDS)}" for target in targets.tolist()]
    ids = tuple(str(row) for row in range(len(targets)))
    return LabelledTexts(ids, texts, vectors, labels, targets.astype(np.int64), 0, 0)


def test_pairs_have_the_figures_of_scikit_learn():
    pairs = scored()
    labels = pairs.values == 1
    found = evaluate_pairs(pairs, "model", seed=3)
    assert found.systems == ("model", "bag of words")
    assert found.metrics == ("AP", "ROC-AUC", "F1", "threshold")
    assert found.find("model", "AP").value == pytest.approx(average_precision_score(labels, pairs.cosines))
    assert found.find("model", "ROC-AUC").value == pytest.approx(roc_auc_score(labels, pairs.cosines))
    threshold = found.find("model", "threshold").value
    best = f1_score(labels, pairs.cosines >= threshold)
    # What was chosen on the other half is no better.
    assert best - 0.1 < found.find("model", "F1").value <= best
    for each in found.measurements:
        assert each.metric == "threshold" or each.low < each.value < each.high
    assert found.chance["AP"] == pytest.approx(labels.mean())
    with pytest.raises(InputError, match="1 of 400 pairs have the label 1"):
        evaluate_pairs(pairs._replace(values=np.eye(1, 400)[0]), "model", 0)


def test_scores_without_an_order_are_refused():
    pairs = scored(30)
    assert evaluate_sts(pairs, "model", 0).find("model", "Spearman").value > 0.5
    with pytest.raises(InputError, match="all 30 pairs have the same score"):
        evaluate_sts(pairs._replace(values=np.ones(30)), "model", 0)


def test_a_threshold_is_measured_where_it_was_not_chosen():
    pairs = scored(1200)
    labels = pairs.values == 1
    half = first_half(labels, 5)
    assert half.sum() == 600
    assert labels[half].sum() == 200
    found = evaluate_calibration(pairs, "model", 0.9, {"mine": 0.5}, 5)
    own, threshold = ~half, found.chosen.value
    given = pairs.cosines[own] >= threshold
    shown = {each.metric: each.value for each in found.evaluation.measurements[:3]}
    assert shown["precision"] == pytest.approx(precision_score(labels[own], given))
    assert shown["recall"] == pytest.approx(recall_score(labels[own], given))
    assert shown["threshold"] == threshold
    assert abs(shown["precision"] - 0.9) < 0.06
    # The lowest that has it on the first half: one step below, it is less.
    below = pairs.cosines[half] >= threshold - 0.01
    assert precision_score(labels[half], below) < 0.9 <= found.chosen.precision
    assert found.is_precise
    assert found.evaluation.systems == ("model, fitted", "model, mine", "bag of words, fitted")
    assert found.evaluation.items == tuple(np.flatnonzero(own).astype(str))
    assert [point.threshold for point in found.curve] == sorted({*pairs.cosines[own]}, reverse=True)
    assert found.curve[-1].recall == 1
    # The rule of dedupe asks for more.
    assert evaluate_calibration(pairs, "model", None, {}, 5).chosen.value > threshold


def test_clusters_are_measured_as_scikit_learn_does_and_the_value_is_in_its_interval():
    # Many labels of few texts: plain resamples would lie above the figure.
    texts = labelled(6, labels=tuple("abcdefghijkl"))
    found = evaluate_clusters(texts, 1)
    assert found.systems == ("k-means", "communities", "bag of words")
    weights = np.ones(len(texts.texts), dtype=np.float32)
    own = cluster_rows(texts.vectors, weights, ClusterSettings("kmeans", 12, seed=1)).labels
    assert found.find("k-means", "V-measure").value == pytest.approx(v_measure_score(texts.targets, own))
    assert found.find("k-means", "ARI").value == pytest.approx(adjusted_rand_score(texts.targets, own))
    for each in found.measurements:
        assert each.low < each.value < each.high
    with pytest.raises(InputError, match="all texts have the label 'x'"):
        evaluate_clusters(texts._replace(labels=("x",), targets=texts.targets * 0), 1)


def test_each_text_is_asked_about_once_and_never_learnt_from_then():
    targets = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2, 3])
    splits = _splits(targets, None, 0)
    assert sorted(np.concatenate([each.asked for each in splits]).tolist()) == list(range(10))
    for each in splits:
        assert sorted([*each.pool, *each.asked]) == list(range(10))
    drawn = _drawn(targets, np.arange(10), 2, np.random.default_rng(0))
    assert np.bincount(targets[drawn]).tolist() == [2, 2, 2, 1]
    assert len(set(drawn.tolist())) == 7


def test_few_examples_find_fewer_labels_than_all():
    texts = labelled()
    found = evaluate_classification(texts, None, Learning((1, None), draws=3))
    assert found.systems == ("logistic", "knn", "mean", "bag of words")
    assert found.metrics == ("accuracy@1", "accuracy", "macro-F1@1", "macro-F1")
    for system in found.systems[:3]:
        few, all_of_them = found.find(system, "accuracy@1"), found.find(system, "accuracy")
        assert few.value < all_of_them.value
        assert set(np.unique(np.round(few.values * 3, 9))) <= {0, 1, 2, 3}
        assert set(np.unique(all_of_them.values)) <= {0, 1}
        assert found.find(system, "macro-F1").value == pytest.approx(all_of_them.value, abs=0.05)
    assert found.chance["accuracy"] == pytest.approx(1 / 3)
    assert found.find("bag of words", "accuracy").value > 0.5


def test_what_is_learnt_from_another_file_knows_its_labels_by_name():
    train, asked = labelled(40), labelled(10, seed=5)
    found = evaluate_classification(asked, train, Learning())
    assert found.find("mean", "accuracy").value > 0.7
    # The labels that are asked about are some of those, with other places.
    some = np.flatnonzero(asked.targets > 0)
    part = LabelledTexts(
        *(tuple(asked.ids[row] for row in some), [asked.texts[row] for row in some], asked.vectors[some]),
        *(("y", "z"), asked.targets[some] - 1, 0, 0),
    )
    by_part = evaluate_classification(part, train, Learning()).find("mean", "accuracy")
    assert by_part.values.tolist() == found.find("mean", "accuracy").values[some].tolist()
    with pytest.raises(InputError, match="label 'z' has no text in --train"):
        evaluate_classification(asked, train._replace(labels=("x", "y", "w")), Learning())


def test_shots_are_numbers_or_all():
    assert parse_shots("1, 4,all,4") == (1, 4, None)
    for typed in ("", "0", "-1", "1.5", "many", "1,,2"):
        with pytest.raises(UsageError, match="is no number of examples"):
            parse_shots(typed)
