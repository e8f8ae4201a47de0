"""Copies differ from their texts as their rule says, and in nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.records.sentences import iter_sentences
from embedcli.tasks.edits import EDITED_RATIO, EDITS, LEAST_SHORTENED, LEAST_SHUFFLED, edit_text
from tests.conftest import REPOSITORY
from tests.strategies import prose, texts

LONG = (
    "The harbour froze over in January. Ships waited outside for days! Who would have thought so? "
    "The mayor, who had seen worse winters, sent for the tugs. They came from the north.\n\nIt thawed in May."
)


def sentences(text):
    return [text[start:end].strip() for start, end in iter_sentences(text) if text[start:end].strip()]


@given(st.one_of(texts, prose), st.sampled_from(EDITS), st.integers(0, 3))
def test_a_copy_is_another_text_unless_it_is_exact(text, edit, seed):
    copy = edit_text(text, edit, seed)
    assert copy == edit_text(text, edit, seed)
    if edit == "exact":
        assert copy == text
    else:
        assert copy != text
        assert copy is None or copy.strip()


@given(st.text("aBcßéǆ 1漢", max_size=20))
def test_recased_copies_are_equal_but_for_case(text):
    copy = edit_text(text, "recased")
    assert (copy is None) == (text.upper() == text.lower() == text)
    assert copy is None or copy in (text.upper(), text.lower(), text.swapcase())


@given(
    st.lists(
        st.sampled_from(["one", "two", "three", "four", "five", "sixes", "sevens"]), min_size=1, max_size=90
    )
)
def test_one_word_of_twenty_is_edited(words):
    copy = edit_text(" ".join(words), "edited")
    assert copy is not None
    changes = max(1, round(EDITED_RATIO * len(words)))
    # A change takes away, adds or exchanges one word, or leaves one that is spelt otherwise.
    before, after = Counter(words), Counter(copy.split())
    assert (before - after).total() + (after - before).total() <= 2 * changes
    assert abs(len(copy.split()) - len(words)) <= changes
    gone = [place for place, (old, new) in enumerate(zip(words, copy.split(), strict=False)) if old != new]
    assert gone or len(copy.split()) != len(words)


def test_a_long_text_has_as_many_edits_as_the_ratio_says():
    letters = random.Random(0)
    words = ["".join(letters.choices("bcdfghkmpt", k=9)) for _ in range(400)]
    place_of = {word: place for place, word in enumerate(words)}
    for seed in range(20):
        copy = edit_text(" ".join(words), "edited", seed).split()
        misspelt = [word for word in copy if word not in place_of]
        left_out = len(set(words) - set(copy)) - len(misspelt)
        doubled = sum(count == 2 for count in Counter(copy).values())
        order = [place_of[word] for word in copy if word in place_of]
        swapped = sum(one > other for one, other in pairwise(order))
        assert len(misspelt) + left_out + doubled + swapped == EDITED_RATIO * 400


def test_edited_copies_are_misspelt_shortened_doubled_and_swapped():
    kinds = set()
    for seed in range(40):
        words, copy = (
            ["alpha", "bravo", "charlie", "delta"],
            edit_text("alpha bravo charlie delta", "edited", seed),
        )
        found = copy.split()
        if len(found) == 3:
            kinds.add("left out")
        elif len(found) == 5:
            assert any(one == other for one, other in pairwise(found))
            kinds.add("doubled")
        elif sorted(found) == words:
            kinds.add("swapped")
        else:
            assert sum(one != other for one, other in zip(words, found, strict=True)) == 1
            kinds.add("misspelt")
    assert len(kinds) == 4


def test_white_space_and_the_rest_of_a_text_stay():
    text = "  one\t two \n\n three  "
    for seed in range(20):
        copy = edit_text(text, "edited", seed)
        assert copy.startswith("  ")
        assert copy.endswith("  ")


def test_sentences_are_moved_or_one_is_left_out():
    own = sentences(LONG)
    for seed in range(20):
        shuffled = edit_text(LONG, "shuffled", seed)
        assert sentences(shuffled) != own
        assert sorted(sentences(shuffled)) == sorted(own)
        shortened = edit_text(LONG, "shortened", seed)
        assert sum((Counter(own) - Counter(sentences(shortened))).values()) == 1
        assert len(sentences(shortened)) == len(own) - 1


def test_the_order_is_always_another():
    text = " ".join(sentences(LONG)[:3])
    assert all(edit_text(text, "shuffled", seed) != text for seed in range(40))


@pytest.mark.parametrize(("edit", "least"), [("shuffled", LEAST_SHUFFLED), ("shortened", LEAST_SHORTENED)])
def test_few_sentences_are_left_as_they_are(edit, least):
    text = " ".join(sentences(LONG)[: least - 1])
    assert edit_text(text, edit) is None
    assert edit_text(f"{text} One more.", edit) is not None
    assert edit_text("Same. Same. Same.", "shuffled") is None


@pytest.mark.parametrize("text", ["", " ", "- - -", "\n\n"])
def test_without_words_nothing_is_edited(text):
    assert [edit_text(text, edit) for edit in EDITS] == [text, None, None, None, None]


def test_another_process_makes_the_same_copies():
    code = f"from embedcli.tasks.edits import *; print([edit_text({LONG!r}, edit) for edit in EDITS])"
    ran = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        check=True,
        env={"PYTHONHASHSEED": "7", "PYTHONPATH": str(REPOSITORY)},
    )
    assert ran.stdout.decode().strip() == str([edit_text(LONG, edit) for edit in EDITS])
