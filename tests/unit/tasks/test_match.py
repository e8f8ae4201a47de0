"""What goes together: candidates, margins, ratios, pairs that share nothing, copies."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Record
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.match import MatchSettings, Side, against_neighbors, rank, side_of
from embedcli.tasks.match_comm import Comparison
from embedcli.tasks.match_drift import DriftSettings, drift
from embedcli.tasks.match_join import Gathered, join, join_whole
from embedcli.tasks.pool import Pool
from embedcli.vectors.match_scores import blended
from embedcli.vectors.normalize import normalize

BY_COSINE = MatchSettings(blend=0)


def carried(name: str, *numbers: float, text: str | None = None) -> Record:
    vector = np.array(numbers, dtype=np.float32)
    return Record(name, name if text is None else text, f"{name}\n".encode(), vector=vector)


def unit(seed: int, count: int, dim: int = 6) -> np.ndarray:
    return normalize(np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32))


POOLS: list[Pool] = []


@pytest.fixture(autouse=True)
def _close_pools():
    yield
    while POOLS:
        POOLS.pop().close()


def new_pool(vectors=None) -> Pool:
    POOLS.append(Pool(vectors or CarriedVectors(), is_lookup=True))
    return POOLS[-1]


def gathered(records: list[Record], how: MatchSettings = BY_COSINE) -> Gathered:
    return Gathered(new_pool(), records, how)


def ids(matched) -> list[tuple[str, list[str]]]:
    return [(record.id, [match.record.id for match in matches]) for record, matches in matched]


# --- ranking

WORDS = ["red", "green", "blue", "old", "new", "house", "tree", "car"]


@settings(max_examples=30)
@given(
    st.lists(st.lists(st.sampled_from(WORDS), max_size=4), min_size=1, max_size=12),
    st.lists(st.lists(st.sampled_from(WORDS), max_size=4), min_size=1, max_size=12),
    st.integers(0, 99),
    st.sampled_from([0.0, 0.4, 1.0]),
    st.integers(1, 5),
)
def test_the_best_are_those_of_a_sort_of_all_scores(left, right, seed, blend, count):
    how = MatchSettings(blend=blend)
    one, other = (
        side_of(unit(seed + place, len(texts)), (" ".join(words) for words in texts), how)
        for place, texts in enumerate((left, right))
    )
    found = rank(one, other, count, how)
    cosines = (one.vectors @ other.vectors.T).astype(float)
    scores = cosines
    if blend:
        from embedcli.records.characters import similarities

        rows = np.indices(cosines.shape).reshape(2, -1)
        alike = similarities(one.characters, rows[0], other.characters, rows[1]).reshape(cosines.shape)
        has_text = np.array([bool(words) for words in left])[:, None] & np.array([bool(w) for w in right])
        # Where there is no text, the vectors decide.
        scores = np.where(has_text, blended(cosines, alike, blend), cosines)
    k = min(count, len(right))
    np.testing.assert_allclose(found.scores, -np.sort(-scores, axis=1)[:, :k], atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(scores, found.rows, axis=1), found.scores, atol=1e-6)
    np.testing.assert_allclose(np.take_along_axis(cosines, found.rows, axis=1), found.cosines, atol=1e-6)


def test_a_typo_is_a_candidate_among_hundreds_that_are_nearer_by_vector():
    how = MatchSettings()
    asked = unit(0, 1, 16)
    # Two hundred texts whose vectors are nearer than that of the one that is meant.
    others = normalize(asked + 0.2 * unit(1, 200, 16))
    vectors = np.concatenate((others, -asked))
    texts = [f"{WORDS[n % 8]} {WORDS[n // 8 % 8]} number {n}" for n in range(200)]
    right = side_of(vectors, [*texts, "reset the password"], how)
    left = side_of(asked, ["rest the pasword"], MatchSettings())
    assert rank(left, right, 1, MatchSettings(blend=0.9)).rows.tolist() == [[200]]
    assert rank(Side(asked), Side(vectors), 1, BY_COSINE).rows.tolist() != [[200]]


def test_threads_change_nothing():
    texts = [" ".join(WORDS[(n * 7 + k) % 8] for k in range(5)) + str(n) for n in range(300)]
    one, other = (side_of(unit(place, 300), texts, MatchSettings()) for place in (0, 1))
    first = rank(one, other, 3, MatchSettings(jobs=1))
    second = rank(one, other, 3, MatchSettings(jobs=3))
    for left, right in zip(first, second, strict=True):
        np.testing.assert_array_equal(left, right)


def test_ratios_are_set_against_the_neighbors_of_both():
    left, right = unit(0, 7), unit(1, 9)
    scores = (left @ right.T).astype(float)
    forward, backward = (
        rank(Side(one), Side(other), 9, BY_COSINE) for one, other in ((left, right), (right, left))
    )
    by_left, by_right = against_neighbors(forward, backward, 4)
    own = -np.sort(-scores, axis=1)[:, :4].mean(axis=1)
    others = -np.sort(-scores.T, axis=1)[:, :4].mean(axis=1)
    means = (np.maximum(own, 0)[:, None] + np.maximum(others, 0)) / 2
    ratios = np.maximum(scores, 0) / means
    np.testing.assert_allclose(by_left.scores, -np.sort(-ratios, axis=1), atol=1e-5)
    np.testing.assert_allclose(by_right.scores, -np.sort(-ratios.T, axis=1)[:, :7], atol=1e-5)
    np.testing.assert_allclose(np.take_along_axis(ratios, by_left.rows, axis=1), by_left.scores, atol=1e-5)


def test_a_hub_wins_by_cosine_and_loses_by_ratio():
    # The hub is near to all; each of the three has a partner of its own that is hardly farther.
    right = normalize(np.array([[1, 1, 1], [1, 0.1, 0.1], [0.1, 1, 0.1], [0.1, 0.1, 1]], np.float32))
    left = normalize(np.array([[1, 0.5, 0.5], [0.5, 1, 0.5], [0.5, 0.5, 1]], np.float32))
    one = gathered([carried(f"l{row}", *vector) for row, vector in enumerate(left)])
    other = gathered([carried(f"r{row}", *vector) for row, vector in enumerate(right)])
    assert ids(join_whole(one, other, BY_COSINE)) == [(f"l{row}", ["r0"]) for row in range(3)]
    by_ratio = MatchSettings(blend=0, ratio=True, neighbors=3)
    assert ids(join_whole(one, other, by_ratio)) == [(f"l{row}", [f"r{row + 1}"]) for row in range(3)]


# --- joining


def test_margins_limits_and_more_than_one():
    right = gathered([carried("near", 1, 0), carried("next", 0.8, 0.6), carried("far", -1, 0)])
    left = [carried("a", 1, 0), carried("b", 0.9, 0.436), Record("blank", " ", b" \n")]

    def found(**how):
        settings = MatchSettings(**{"blend": 0, **how})
        return list(join(left, CarriedVectors(), right, settings))

    matched = found(top_k=3)
    assert ids(matched) == [
        ("a", ["near", "next", "far"]),
        ("b", ["next", "near", "far"]),
        ("blank", []),
    ]
    first = matched[0][1]
    assert [match.score for match in first] == pytest.approx([1, 0.8, -1])
    # Ahead of the second; the others are behind the first.
    assert [match.margin for match in first] == pytest.approx([0.2, -0.2, -2])
    assert first[0].characters is None
    assert ids(found(min_score=0.99)) == [("a", ["near"]), ("b", []), ("blank", [])]
    assert ids(found(min_margin=0.1)) == [("a", ["near"]), ("b", []), ("blank", [])]
    assert ids(found(min_margin=0.05)) == [("a", ["near"]), ("b", ["next"]), ("blank", [])]
    # The only one there is has no margin, and all that can be asked for.
    only = gathered([carried("only", 1, 0)])
    alone = next(join(left, CarriedVectors(), only, MatchSettings(blend=0, min_margin=0.5)))[1]
    assert [match.margin for match in alone] == [None]
    nothing = gathered([])
    assert ids(join(left, CarriedVectors(), nothing, MatchSettings())) == [
        ("a", []),
        ("b", []),
        ("blank", []),
    ]


def test_equal_records_are_one_text_and_the_first_of_them_is_named():
    right = gathered(
        [carried("r1", 0, 1, text="x"), carried("r2", 1, 0, text="y"), carried("r3", 1, 0, text="y")]
    )
    matches = next(
        iter(join_whole(gathered([carried("a", 1, 0.1)]), right, MatchSettings(blend=0, top_k=3)))
    )[1]
    assert [match.record.id for match in matches] == ["r2", "r1"]
    # Its copy is no second best.
    assert matches[0].margin > 0.5


def test_an_input_is_matched_with_itself_and_no_record_with_itself():
    whole = gathered(
        [
            carried("a", 1, 0),
            carried("b", 0.9, 0.436),
            carried("c", 0, 1, text="same"),
            carried("d", 0, 1, text="same"),
            carried("e", -1, -0.2),
        ]
    )
    found = list(join_whole(whole, whole, BY_COSINE))
    assert ids(found) == [("a", ["b"]), ("b", ["a"]), ("c", ["d"]), ("d", ["c"]), ("e", ["c"])]
    assert found[2][1][0].score == 1
    ratio = list(join_whole(whole, whole, MatchSettings(blend=0, ratio=True, neighbors=2)))
    assert [name for name, (other,) in ids(ratio) if name == other] == []
    for how in (BY_COSINE, MatchSettings(), MatchSettings(blend=0, ratio=True)):
        alone = gathered([carried("a", 1, 0)], how)
        assert ids(join_whole(alone, alone, how)) == [("a", [])]
        two = gathered([carried("a", 1, 0), carried("b", 0.9, 0.4)], how)
        assert ids(join_whole(two, two, how)) == [("a", ["b"]), ("b", ["a"])]


@settings(max_examples=40)
@given(
    st.lists(st.integers(0, 3), max_size=5),
    st.lists(st.integers(0, 3), max_size=4),
    st.integers(0, 9),
    st.sampled_from([None, 0.3]),
)
def test_one_to_one_is_the_best_of_all_ways(left_texts, right_texts, seed, min_score):
    places = unit(seed, 4, 3), unit(seed + 50, 4, 3)
    lefts = [
        carried(f"l{number}", *places[0][text], text=f"L{text}") for number, text in enumerate(left_texts)
    ]
    rights = [
        carried(f"r{number}", *places[1][text], text=f"R{text}") for number, text in enumerate(right_texts)
    ]
    how = MatchSettings(blend=0, one_to_one=True, min_score=min_score)
    found = list(join_whole(gathered(lefts), gathered(rights), how))
    partners = [matches[0].record.id for _, matches in found if matches]
    assert len(set(partners)) == len(partners)
    table = np.zeros((len(lefts), len(rights) + len(lefts)))
    cosines = places[0][left_texts] @ places[1][right_texts].T if lefts and rights else np.zeros((0, 0))
    cosines = np.where(cosines >= (0 if min_score is None else min_score), np.maximum(cosines, 0), 0)
    table[: cosines.shape[0], : cosines.shape[1]] = cosines
    ways = permutations(range(table.shape[1]), len(lefts))
    best = max((sum(table[row, column] for row, column in enumerate(way)) for way in ways), default=0)
    assert sum(match.score for _, matches in found for match in matches) == pytest.approx(best, abs=1e-5)
    assert all(match.score >= (min_score or 0) for _, matches in found for match in matches)
    # Of equal records, the first are those that have a partner, and the first of equal partners.
    for text in set(left_texts):
        has_one = [bool(matches) for own, (_, matches) in zip(left_texts, found, strict=True) if own == text]
        assert has_one == sorted(has_one, reverse=True)
    for text in set(right_texts):
        numbers = [number for number, own in enumerate(right_texts) if own == text]
        used = [int(partner[1:]) for partner in partners if int(partner[1:]) in numbers]
        assert used == numbers[: len(used)]


def test_the_margin_of_a_pair_may_be_negative():
    left = gathered([carried("a", 1, 0), carried("b", 1, 0.2)])
    right = gathered([carried("x", 1, 0.05), carried("y", 0.2, 1)])
    how = MatchSettings(blend=0, one_to_one=True)
    found = {record.id: matches[0] for record, matches in join_whole(left, right, how)}
    assert {name: match.record.id for name, match in found.items()} == {"a": "x", "b": "y"}
    assert found["a"].margin > 0 > found["b"].margin
    strict = MatchSettings(blend=0, one_to_one=True, min_margin=0.0)
    assert ids(join_whole(left, right, strict)) == [("a", ["x"]), ("b", [])]


def test_those_that_nobody_has_among_his_best_still_find_somebody(monkeypatch):
    monkeypatch.setattr("embedcli.tasks.match_join.CANDIDATES", 2)
    # All on the left have r0 and r1 for their best two; the others are farther from every one of them.
    left = gathered([carried(f"l{number}", 1, number / 100) for number in range(5)])
    right = gathered([carried(f"r{number}", 1, 2 * number) for number in range(4)])
    how = MatchSettings(blend=0, one_to_one=True, neighbors=1)
    found = list(join_whole(left, right, how))
    assert sorted(match.record.id for _, matches in found for match in matches) == ["r0", "r1", "r2", "r3"]


# --- comparing two collections


def compared(left: list[Record], right: list[Record], **how) -> list[tuple[str, str | None, str | None]]:
    comparison = Comparison()
    comparison.read(left, right)
    settings = MatchSettings(blend=0, one_to_one=True, **{"min_score": 0.9, **how})
    found = [
        (each.status, each.left and each.left.id, each.right and each.right.id)
        for each in comparison.compare(new_pool, settings)
    ]
    comparison.close()
    return found


def test_what_is_the_same_reworded_and_only_on_one_side():
    left = [
        carried("l1", 1, 0, text="same"),
        carried("l2", 0, 1, text="old words"),
        carried("l3", -1, 0, text="gone"),
        Record("l4", "", b"\n"),
        carried("l5", 1, 0, text="same"),
    ]
    right = [
        carried("r1", -0.7, -0.7, text="new"),
        carried("r2", 0.1, 1, text="other words"),
        carried("r3", 1, 0, text="same"),
        Record("r4", " ", b" \n"),
    ]
    assert compared(left, right) == [
        ("same", "l1", "r3"),
        ("reworded", "l2", "r2"),
        ("only_left", "l3", None),
        ("only_left", "l5", None),
        ("only_right", None, "r1"),
    ]
    assert compared(left, right, min_score=0.999)[1] == ("only_left", "l2", None)
    assert compared(left, left) == [("same", name, name) for name in ("l1", "l2", "l3", "l5")]
    assert compared([], right) == [("only_right", None, name) for name in ("r1", "r2", "r3")]
    assert compared([], []) == []


def test_what_is_the_same_is_not_encoded():
    class NoVectors:
        def record_vectors(self, records):
            raise AssertionError(records)

    comparison = Comparison()
    comparison.read([Record("a", "x"), Record("b", "y")], [Record("c", "y")])
    settings = MatchSettings(blend=0, one_to_one=True, min_score=0.9)
    found = comparison.compare(lambda: new_pool(NoVectors()), settings)
    assert [each.status for each in found] == ["only_left", "same"]
    comparison.close()


# --- drift


def topic(name: str, axis: int, count: int, seed: int) -> list[Record]:
    vectors = np.random.default_rng(seed).normal(scale=0.2, size=(count, 8)).astype(np.float32)
    vectors[:, axis] += 1
    return [carried(f"{name}{number}", *vector) for number, vector in enumerate(vectors)]


def test_a_planted_topic_is_found_and_no_stranger_is_told_of_before_it():
    left = [*topic("a", 0, 60, 1), *topic("b", 1, 60, 2), *topic("lost", 4, 30, 3)]
    stranger = carried("stranger", 0, 0, 0, 0, 0, 0, 0, 1)
    right = [stranger, *topic("A", 0, 60, 4), *topic("B", 1, 60, 5), *topic("news", 2, 30, 6)]
    found = drift(gathered(left), gathered(right), DriftSettings(count=2))
    assert (found.left, found.right) == (150, 151)
    assert found.p <= 0.01
    assert 0 < found.energy < 1
    assert found.mean_cosine < 0.99
    first = {
        change: next(each for each in found.changed if each.change == change) for change in ("new", "gone")
    }
    assert first["new"].record.id.startswith("news")
    assert first["gone"].record.id.startswith("lost")
    assert first["new"].score > 0.2
    # One record stands for its topic, and says for how many.
    assert first["new"].alike >= 20
    second = [each for each in found.changed if each.change == "new"][1:]
    assert [each.score < first["new"].score / 2 for each in second] == [True]


def test_the_score_is_the_mean_cosine_to_the_five_nearest_here_less_that_there():
    right = [carried("b", 0, 1), carried("c", 0.6, 0.8)]
    # Five copies of the nearest are the five nearest; the sixth and what is farther do not count.
    left = [*(carried(f"a{number}", 0.8, 0.6, text="a") for number in range(6)), carried("z", 1, 0)]
    found = drift(gathered(left), gathered(right), DriftSettings()).changed
    # For c, what is there is nearer than b; the copies of a go with z.
    assert [(each.change, each.record.id, each.alike) for each in found] == [
        ("new", "b", 0),
        ("gone", "z", 6),
    ]
    assert found[0].score == pytest.approx(0.8 - 0.6)
    assert found[1].score == pytest.approx(0.8 - (0.6 + 0.0) / 2)


def test_two_draws_from_the_same_do_not_differ():
    found = drift(
        gathered([*topic("a", 0, 60, 1), *topic("b", 1, 60, 2)]),
        gathered([*topic("A", 0, 60, 3), *topic("B", 1, 60, 4)]),
        DriftSettings(),
    )
    assert found.p > 0.05
    assert found.mean_cosine > 0.99


def test_copies_are_company():
    left = topic("a", 0, 40, 1)
    again = [carried(f"spam{number}", 0, 0, 1, 0, 0, 0, 0, 0, text="spam") for number in range(6)]
    found = drift(gathered(left), gathered([*topic("A", 0, 40, 2), *again]), DriftSettings(count=1)).changed
    assert found[0].record.id == "spam0"
    assert found[0].alike == 5
    # On both sides they are no news.
    both = drift(
        gathered([*left, *again]), gathered([*topic("A", 0, 40, 2), *again]), DriftSettings(count=40)
    )
    assert not any(each.record.text == "spam" for each in both.changed)


def test_an_empty_side_says_nothing():
    for left, right in (([], topic("a", 0, 3, 1)), (topic("a", 0, 3, 1), []), ([], [])):
        found = drift(gathered(left), gathered(right), DriftSettings())
        assert found == (len(left), len(right), None, None, None, [])
    one = drift(gathered(topic("a", 0, 1, 1)), gathered(topic("b", 1, 1, 1)), DriftSettings())
    assert one.p == 1
