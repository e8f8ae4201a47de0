"""Lexical near-duplicates: scores against brute force, the rule for the best, forgetting, and the look."""

from __future__ import annotations

import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.errors import UsageError
from embedcli.records.near_text import DEFAULT_JACCARD, NearText, NearTexts
from embedcli.records.runs import jaccard, runs_of, signatures_of

WORDS = (
    "card",
    "lost",
    "my",
    "new",
    "where",
    "is",
    "the",
    "bank",
    "please",
    "top",
    "up",
    "fee",
    "é漢",
    "\U0001f600",
)
forms = st.lists(st.sampled_from(WORDS), min_size=1, max_size=7).map(" ".join)
odd_forms = st.text(st.characters(exclude_categories=[]), min_size=1, max_size=12)


def runs(form: str) -> set[bytes]:
    """Return the runs of a form as the docs say it, unit by unit."""
    units = f" {form} ".encode("utf-16-be", "surrogatepass")
    return {units[place : place + 8] for place in range(0, max(1, len(units) - 7), 2)}


def brute_force(first: str, second: str) -> float:
    one, other = runs(first), runs(second)
    return len(one & other) / len(one | other)


def nearest(texts: NearTexts, form: str) -> NearText | None:
    return texts.look([form]).nearest(0)


def keep_all(texts: NearTexts, kept: dict[int, str]) -> None:
    look = texts.look(list(kept.values()))
    for row, number in enumerate(kept):
        look.keep(row, number)


def words(rng: random.Random, count: int) -> str:
    return " ".join(
        "".join(rng.choices("abcdefghijklmnopqrstuvwxyz", k=rng.randint(2, 9))) for _ in range(count)
    )


@given(forms | odd_forms, forms | odd_forms)
def test_jaccard_is_exact_and_symmetric(first: str, second: str) -> None:
    score = jaccard(runs_of(first), runs_of(second))
    assert score == brute_force(first, second)
    assert score == jaccard(runs_of(second), runs_of(first))


@given(st.lists(forms, max_size=8), forms, st.sampled_from([0.2, 0.5, DEFAULT_JACCARD, 1.0]))
@settings(max_examples=60)
def test_what_is_found_is_kept_has_its_true_score_and_reaches_the_threshold(
    kept: list[str], form: str, threshold: float
) -> None:
    texts = NearTexts(threshold)
    keep_all(texts, dict(enumerate(kept)))
    found = nearest(texts, form)
    scores = [brute_force(form, other) for other in kept]
    if found is not None:
        assert found.jaccard == scores[found.number] >= threshold
        # Whatever is equally near came later.
        assert found.jaccard not in scores[: found.number]
    if form in kept:
        assert found == NearText(kept.index(form), 1.0)


@given(st.lists(forms, min_size=1, max_size=10), st.integers(1, 4), st.randoms(use_true_random=False))
@settings(max_examples=60)
def test_the_order_of_keeping_and_the_cuts_do_not_matter(
    kept: list[str], size: int, rng: random.Random
) -> None:
    found = []
    for cut in (size, len(kept)):
        numbers = list(range(len(kept)))
        rng.shuffle(numbers)
        texts = NearTexts(0.5)
        for start in range(0, len(numbers), cut):
            keep_all(texts, {number: kept[number] for number in numbers[start : start + cut]})
        look = texts.look(kept)
        found.append([look.nearest(row) for row in range(len(kept))])
    assert found[0] == found[1]


@given(st.lists(forms, min_size=1, max_size=8), st.sets(st.integers(0, 9)))
@settings(max_examples=60)
def test_what_is_forgotten_is_as_if_it_had_never_been(kept: list[str], forgotten: set[int]) -> None:
    texts, without = NearTexts(0.3), NearTexts(0.3)
    keep_all(texts, dict(enumerate(kept)))
    for number in forgotten:
        texts.forget(number)
    keep_all(without, {number: form for number, form in enumerate(kept) if number not in forgotten})
    assert [nearest(texts, form) for form in kept] == [nearest(without, form) for form in kept]


def test_a_look_sees_what_is_kept_and_forgotten_after_it_began() -> None:
    look = (texts := NearTexts()).look(["where is my card", "where is my card", "", ""])
    assert look.nearest(0) is None
    look.keep(0, 7)
    assert look.nearest(1) == NearText(7, 1.0)
    look.keep(1, 3)
    assert look.nearest(1) == NearText(3, 1.0)
    texts.forget(3)
    assert look.nearest(1) == NearText(7, 1.0)
    look.keep(2, 9)
    assert look.nearest(3) is None


def test_a_number_forgotten_can_be_given_again() -> None:
    texts = NearTexts()
    keep_all(texts, {1: "where is my card"})
    texts.forget(1)
    keep_all(texts, {1: "please top up my account"})
    assert nearest(texts, "where is my card") is None
    assert nearest(texts, "please top up my account") == NearText(1, 1.0)


@pytest.mark.parametrize("threshold", [0.3, DEFAULT_JACCARD, 0.95])
def test_so_many_pairs_are_found_as_is_said(threshold: float) -> None:
    rng = random.Random(4)
    texts = NearTexts(threshold)
    pairs = []
    while len(pairs) < 600:
        form = words(rng, 30)
        places = form.split()
        # Words are taken from the end until the score is hardly above the threshold.
        while len(places) > 1 and brute_force(form, " ".join(places[:-1])) >= threshold:
            places.pop()
        pairs.append((form, " ".join(places)))
    keep_all(texts, {number: form for number, (form, _) in enumerate(pairs)})
    look = texts.look([copy for _, copy in pairs])
    found = [look.nearest(row) for row in range(len(pairs))]
    share = sum(near is not None and near.number == row for row, near in enumerate(found)) / len(pairs)
    assert texts.recall(threshold) >= 0.99
    assert share >= 0.985


def test_nothing_changes_when_many_texts_are_sorted_away_and_forgotten() -> None:
    rng = random.Random(5)
    texts, oldest, count = NearTexts(), 0, 14_000
    forms = [words(rng, 4) for _ in range(count)]
    for start in range(0, count, 1000):
        keep_all(texts, {number: forms[number] for number in range(start, start + 1000)})
        while start + 1000 - oldest > 2500:
            texts.forget(oldest)
            oldest += 1
    asked = range(0, count, 7)
    look = texts.look([forms[number] for number in asked])
    found = [look.nearest(row) for row in range(len(asked))]
    assert found == [NearText(number, 1.0) if number >= oldest else None for number in asked]
    # A window costs what is in it, not what went through it.
    assert len(texts._kept._forms) < 8_000
    assert sum(map(len, texts._kept.bands._runs)) < 8_000 * texts._kept.plan.bands


def test_the_best_of_very_many_alike_is_found() -> None:
    texts = NearTexts(0.5)
    alike = {number: f"the same line as ever with number {number:05}" for number in range(400)}
    keep_all(texts, alike)
    for number in (0, 123, 399):
        look = texts.look([alike[number]])
        assert look.nearest(0) == NearText(number, 1.0)
        # Each of the others would have to be scored, were there no limit.
        assert len(look._scores[0]) == 100


def test_signatures_are_the_same_in_every_process_and_company() -> None:
    program = (
        "from embedcli.records.runs import signatures_of; print(signatures_of(['a', 'b c d e'], 32).tolist())"
    )
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, check=True, env={"PYTHONHASHSEED": seed}
        )
        assert done.stdout.decode().strip() == str(signatures_of(["a", "b c d e"], 32).tolist())
    assert (
        signatures_of(["x", "b c d e", "\ud800"], 32)[1].tolist()
        == signatures_of(["b c d e"], 32)[0].tolist()
    )


def test_long_texts_are_hashed_in_blocks() -> None:
    forms = ["short one", "long " * 300_000, "another", "long " * 300_000, "short one"]
    signatures = signatures_of(forms, 16)
    assert (signatures[0] == signatures[4]).all()
    assert (signatures[2] == signatures_of(["another"], 16)[0]).all()
    assert (signatures[1] == signatures[3]).all()


@pytest.mark.parametrize("threshold", [0.0, 0.19, 1.01, float("nan")])
def test_thresholds_that_make_no_sense_are_refused(threshold: float) -> None:
    with pytest.raises(UsageError) as caught:
        NearTexts(threshold)
    assert "0.2 to 1" in str(caught.value)
    assert caught.value.hint
