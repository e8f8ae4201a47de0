"""Heads: scores that depend on the row alone, learning, holding out, abstaining, taxonomies and hubs."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embedcli.vectors.abstain import LEAST_ANSWERED, choose_cut, choose_margin
from embedcli.vectors.fit_heads import Examples, Fit, fit, held_out_raw, names_help, sharpened
from embedcli.vectors.frechet import frechet_scores, path_lengths
from embedcli.vectors.heads import DirectionHead, LinearHead, NeighborHead, margins, ranked, softmax
from embedcli.vectors.held_out import FOLDS, MANY_ROWS, STAYS, held_out_parts
from embedcli.vectors.hubs import hub_penalties
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize

SHARES = hnp.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0, 0.1, 0.25, 0.5, 0.9, 1]))


def unit(rows: int, dim: int, seed: int) -> np.ndarray:
    return normalize(np.random.default_rng(seed).standard_normal((rows, dim)).astype(np.float32))


def around(centers: np.ndarray, each: int, noise: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Rows near some centres, and which label each has."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(len(centers)), each)
    rows = centers[labels] + noise * rng.standard_normal((len(labels), centers.shape[1]))
    return normalize(rows.astype(np.float32)), np.eye(len(centers), dtype=bool)[labels]


def some_heads(labels: int, dim: int, seed: int) -> list:
    rng = np.random.default_rng(seed)
    weights = 3 * rng.standard_normal((labels, dim)).astype(np.float32)
    bias = rng.standard_normal(labels).astype(np.float32)
    return [
        DirectionHead(unit(labels, dim, seed)),
        LinearHead(weights, bias, 2.0),
        LinearHead(weights, bias, many=True),
        NeighborHead(unit(50, dim, seed + 1), np.eye(labels, dtype=bool)[rng.integers(0, labels, 50)], 7),
    ]


# --- scores


@settings(max_examples=15)
@given(st.integers(1, 70), st.integers(2, 9), st.integers(1, 40), st.data())
def test_scores_depend_on_the_row_alone(rows, labels, dim, data):
    vectors = unit(rows, dim, rows)
    some = np.array(data.draw(st.lists(st.integers(0, rows - 1), max_size=rows)), dtype=np.int64)
    for head in some_heads(labels, dim, 3):
        scores = head.scores(vectors)
        assert (head.labels, head.dim) == (labels, dim)
        assert scores.shape == (rows, labels)
        assert head.scores(vectors[some]).tobytes() == scores[some].tobytes()
        assert scores.max() <= 1
        assert np.abs(head.probabilities(scores).sum(axis=1) - 1).max() < 1e-9
        order = ranked(scores)
        found = np.take_along_axis(scores, order, axis=1)
        assert all(row == sorted(row, reverse=True) for row in found.tolist())
        assert margins(scores) == pytest.approx(found[:, 0] - found[:, 1], abs=1e-6)
    # Of equal scores the first label.
    assert ranked(np.array([[1.0, 2, 2, 0]])).tolist() == [[1, 2, 0, 3]]


def test_numbers_of_any_size_are_probabilities():
    logits = np.array([[1e6, -1e6, 0.0], [0, 0, 0]])
    assert softmax(logits).tolist() == [[1, 0, 0], [1 / 3] * 3]
    weights = np.array([[1e30], [-1e30]], dtype=np.float32)
    row = np.ones((1, 1), dtype=np.float32)
    with np.errstate(all="raise", under="ignore"):
        for many in (False, True):
            head = LinearHead(weights, np.zeros(2, dtype=np.float32), many=many)
            assert head.scores(row).tolist() == [[1, 0]]
    nobody = LinearHead(np.zeros((2, 1), dtype=np.float32), np.full(2, -900, dtype=np.float32), many=True)
    assert nobody.probabilities(nobody.scores(row)).tolist() == [[0.5, 0.5]]


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 6), st.integers(0, 9))
def test_the_nearest_examples_vote(examples, count, seed):
    rng = np.random.default_rng(seed)
    # Few places, so that many are equally near.
    vectors = unit(5, 3, seed)[rng.integers(0, 5, examples)]
    targets = np.eye(3, dtype=bool)[rng.integers(0, 3, examples)]
    asked = unit(4, 3, seed + 1)
    found = NeighborHead(vectors, targets, count).scores(asked)
    for row, query in enumerate(asked):
        near = cosine(vectors, query)
        best = sorted(range(examples), key=lambda each, near=near: (-near[each], each))[:count]
        votes = dict.fromkeys(range(3), 0.0)
        for each in best:
            votes[int(targets[each].argmax())] += math.exp(14 * near[each])
        total = sum(votes.values())
        assert found[row] == pytest.approx([votes[label] / total for label in range(3)], abs=1e-6)


# --- learning


@pytest.mark.parametrize("kind", ["mean", "knn", "logistic"])
@pytest.mark.parametrize("labels", [2, 5])
def test_what_is_plain_is_learnt(kind, labels):
    centers = unit(labels, 24, 1)
    own, asked = around(centers, 6, 0.1, 2), around(centers, 20, 0.1, 3)
    for many in (False, True):
        head = fit(Examples(*own), Fit(kind, many=many))
        scores = head.scores(asked[0])
        assert (scores.argmax(axis=1) == asked[1].argmax(axis=1)).mean() > 0.97
    # The same bits again.
    assert fit(Examples(*own), Fit(kind, many=many)).scores(asked[0]).tobytes() == scores.tobytes()


def test_names_help_where_they_mean_something_and_few_examples_are_there():
    centers = unit(12, 24, 4)
    names, _ = around(centers, 1, 0.12, 5)
    own, asked = around(centers, 1, 0.3, 6), around(centers, 30, 0.2, 7)
    for kind in ("mean", "logistic"):
        right = [
            (
                fit(Examples(*own, given), Fit(kind)).scores(asked[0]).argmax(axis=1)
                == asked[1].argmax(axis=1)
            ).mean()
            for given in (None, names)
        ]
        assert right[1] > right[0] + 0.05
    assert names_help(Examples(*own), names)
    assert not names_help(Examples(*own), np.roll(names, 1, axis=0))


def test_several_labels_have_probabilities_of_their_own():
    centers = unit(3, 16, 8)
    both = normalize(centers[[0]] + centers[[1]])
    rows, targets = around(np.concatenate([centers, both]), 8, 0.05, 9)
    joined = np.zeros((len(rows), 3), dtype=bool)
    joined[:, :3] = targets[:, :3]
    joined[targets[:, 3]] = [True, True, False]
    head = fit(Examples(rows, joined), Fit("logistic", many=True))
    found = head.scores(np.concatenate([centers, both])) >= 0.5
    assert found.tolist() == [
        [True, False, False],
        [False, True, False],
        [False, False, True],
        [True, True, False],
    ]
    # A label that all have, and one that none has: nothing to learn, and no failure.
    joined[:, 2] = True
    always = fit(Examples(rows, joined), Fit("logistic", many=True)).scores(rows)
    assert always[:, 2].tolist() == [1.0] * len(rows)


def test_probabilities_are_as_sure_as_they_are_right():
    centers = unit(6, 24, 10)
    own, asked = around(centers, 12, 0.25, 11), around(centers, 200, 0.25, 12)
    examples = Examples(*own)
    parts = held_out_parts(own[1])
    raw = held_out_raw(examples, Fit("logistic"), parts)
    head = sharpened(fit(examples, Fit("logistic")), raw, own[1])
    scores = head.scores(asked[0])
    right = (scores.argmax(axis=1) == asked[1].argmax(axis=1)).mean()
    assert 0.5 < right < 0.99
    modest = LinearHead(head.weights, head.bias, head.sharpness / 8).scores(asked[0]).max(axis=1).mean()
    assert abs(scores.max(axis=1).mean() - right) < 0.08 < abs(modest - right)


# --- holding out


@settings(max_examples=40)
@given(st.lists(st.integers(0, 5), min_size=2, max_size=60), st.integers(0, 3))
def test_something_is_left_to_learn_from_each_label(labels, seed):
    assume(len(set(labels)) > 1)
    _, places = np.unique(labels, return_inverse=True)
    targets = np.eye(places.max() + 1, dtype=bool)[places]
    parts = held_out_parts(targets, seed)
    assert set(parts.tolist()) <= {STAYS, *range(FOLDS)}
    for part in range(FOLDS):
        assert targets[parts != part].any(axis=0).all()
    counts = targets.sum(axis=0)
    assert (parts[targets[:, counts == 1].any(axis=1)] == STAYS).all()
    for label in np.flatnonzero(counts >= 2):
        assert (parts[targets[:, label]] != STAYS).any()
        dealt = np.bincount(parts[targets[:, label] & (parts != STAYS)], minlength=FOLDS)
        assert dealt.max() <= -(-counts[label] // min(FOLDS, counts[counts > 1].min())) + 1
    assert held_out_parts(targets, seed).tolist() == parts.tolist()


@settings(max_examples=40)
@given(hnp.arrays(bool, st.tuples(st.integers(2, 30), st.integers(2, 4))), st.integers(0, 3))
def test_something_is_left_of_labels_that_stand_together(targets, seed):
    targets[:, 0] |= ~targets.any(axis=1)
    parts = held_out_parts(targets, seed)
    for part in range(FOLDS):
        assert (targets[parts != part].any(axis=0) == targets.any(axis=0)).all()


def test_few_examples_that_are_told_apart_make_nothing_sure():
    centers = unit(5, 24, 1)
    own = around(centers, 4, 0.05, 2)
    parts = held_out_parts(own[1])
    raw = held_out_raw(Examples(*own), Fit("logistic"), parts)
    assert (raw.argmax(axis=1) == own[1].argmax(axis=1)).all()
    head = sharpened(fit(Examples(*own), Fit("logistic")), raw, own[1])
    assert 2 < head.sharpness < 4


def test_of_many_examples_a_fifth_is_held_out():
    targets = np.eye(4, dtype=bool)[np.arange(MANY_ROWS + 4) % 4]
    parts = held_out_parts(targets)
    assert set(parts.tolist()) == {STAYS, 0}
    assert (parts == 0).mean() == pytest.approx(1 / FOLDS, abs=0.01)


def test_what_is_held_out_was_not_seen():
    # Each example is its own label's only neighbour: who has seen it knows it.
    rows = unit(40, 30, 1)
    targets = np.eye(2, dtype=bool)[np.random.default_rng(2).integers(0, 2, 40)]
    parts = held_out_parts(targets)
    raw = held_out_raw(Examples(rows, targets), Fit("knn", neighbors=1), parts)
    seen = fit(Examples(rows, targets), Fit("knn", neighbors=1)).scores(rows)
    assert (seen.argmax(axis=1) == targets.argmax(axis=1)).all()
    assert (raw.argmax(axis=1) == targets.argmax(axis=1))[parts != STAYS].mean() < 0.8


# --- abstaining


@settings(max_examples=60)
@given(SHARES, st.data(), st.sampled_from([0.5, 0.8, 0.95, 1.0]))
def test_a_margin_keeps_what_it_promises_and_answers_as_much_as_it_can(ahead, data, target):
    wrong = data.draw(
        st.lists(st.integers(0, len(ahead) - 1), max_size=data.draw(st.sampled_from([1, 3, 60])))
    )
    right = np.ones(len(ahead), dtype=bool)
    right[wrong] = False
    bar = choose_margin(ahead, right, target)
    kept = ahead >= bar.value
    assert bar.accuracy == pytest.approx(right[kept].mean())
    assert bar.answered == pytest.approx(kept.mean())
    needed = min(len(ahead), LEAST_ANSWERED)
    assert kept.sum() >= needed
    possible = [value for value in set(ahead.tolist()) if (ahead >= value).sum() >= needed]
    # With one more answer, a wrong one.
    good = [
        value
        for value in possible
        if (~right[ahead >= value]).sum() + 1 <= (1 - target) * ((ahead >= value).sum() + 1)
    ]
    if good:
        assert bar.value == min(good)
    else:
        assert bar.accuracy == max(right[ahead >= value].mean() for value in possible)


@settings(max_examples=40)
@given(hnp.arrays(np.float64, (12, 3), elements=st.sampled_from([0, 0.2, 0.5, 0.7, 1])), st.data())
def test_a_cut_has_the_best_f1(scores, data):
    targets = data.draw(hnp.arrays(bool, scores.shape).filter(lambda made: made.any()))
    cut, measure = choose_cut(scores, targets)

    def f1(value: float) -> float:
        given_ = scores >= value
        return 2 * (given_ & targets).sum() / (given_.sum() + targets.sum())

    assert f1(cut) == pytest.approx(measure)
    assert measure == pytest.approx(max(f1(value) for value in np.unique(scores)))


# --- taxonomies and hubs


@settings(max_examples=30)
@given(
    st.lists(
        st.tuples(st.integers(0, 5), st.integers(0, 5), st.sampled_from([0.5, 1.0, 3.0])),
        min_size=1,
        max_size=12,
    )
)
def test_paths_are_the_shortest(edges):
    edges = [(one, other, length) for one, other, length in edges if one != other] or [(0, 1, 1.0)]
    found = path_lengths(6, edges)
    plain = np.full((6, 6), np.inf)
    np.fill_diagonal(plain, 0)
    for one, other, length in edges:
        plain[one, other] = plain[other, one] = min(plain[one, other], length)
    for way in range(6):
        plain = np.minimum(plain, plain[:, [way]] + plain[[way], :])
    assert found.tolist() == plain.tolist()


def test_the_frechet_mean_can_be_a_label_that_has_no_probability():
    # A chain 0 - 1 - 2 - 3 - 4, with probabilities for its ends and its middle alone.
    distances = path_lengths(5, [(step, step + 1, 1.0) for step in range(4)])[[0, 2, 4]]
    cases = {(1, 0, 0): 0, (0.5, 0.5, 0): 1, (0, 0.5, 0.5): 3, (0.5, 0, 0.5): 2, (0.1, 0.8, 0.1): 2}
    scores = frechet_scores(np.array(list(cases), dtype=np.float64), distances)
    assert scores.argmax(axis=1).tolist() == list(cases.values())
    assert scores[0, 0] == 1
    # The mean of 0 and 1 in squares is a half.
    assert scores[1, 1] == pytest.approx(1 / 2)
    assert scores[1, 0] == pytest.approx(1 / 3)


def test_a_label_near_to_everything_loses_most():
    middle, ones = np.ones((1, 8)), np.eye(8)
    directions = normalize(np.concatenate([middle, ones]).astype(np.float32))
    own = np.repeat(np.arange(1, 9), 20)
    noise = 0.1 * np.random.default_rng(0).standard_normal((len(own), 8))
    rows = normalize((ones[own - 1] + 0.37 * middle + noise).astype(np.float32))
    penalties = hub_penalties(directions, rows)
    assert penalties.mean() == pytest.approx(0, abs=1e-6)
    assert penalties.argmax() == 0
    assert hub_penalties(directions, rows, jobs=2).tolist() == penalties.tolist()
    scores = DirectionHead(directions).scores(rows)
    right = [(each.argmax(axis=1) == own).mean() for each in (scores, scores - penalties)]
    assert right[1] > right[0] + 0.1
