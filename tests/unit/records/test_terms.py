"""The words and pairs of words in texts of many kinds."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.records.terms import MAX_CHARS, is_run, terms_of


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("I lost my debit card!", {"lost", "debit", "card", "debit card"}),
        ("The customer's PIN, please", {"customer", "pin", "customer pin"}),
        ("top-up: won't log out", {"top", "top up", "log", "log out"}),
        ("call 555-0199 about COVID19 & 3D", {"call", "covid19", "3d"}),
        ("New York in the first week", {"york", "new york", "week", "first week"}),
        ("a b c / x", set()),
        ("", set()),
        ("x" * 41, set()),
        (
            "Überweisung l\u2019école ﬁnance",
            {"überweisung", "finance", "l'école", "überweisung l'école", "l'école finance"},
        ),
        ("कार्ड खो गया", {"कार्ड", "खो", "गया", "कार्ड खो", "खो गया"}),
        ("カードを紛失しました", {"カード", "紛失"}),
        ("我的信用卡", {"信用", "用卡", "信用卡"}),
        ("blocked 卡 card", {"blocked", "card"}),
        ("บัตร", {"บัตร"}),
        ("don't\u2019s x's can\u2019t", set()),
        ("snake_case camelCase", {"snake", "case", "camelcase", "snake case", "case camelcase"}),
    ],
)
def test_terms(text: str, terms: set[str]) -> None:
    assert terms_of(text) == terms


def test_runs_are_told_from_words() -> None:
    assert is_run("信用")
    assert is_run("บัตร")
    assert not is_run("card")
    assert not is_run("カード")


def test_what_is_far_behind_in_a_text_does_not_count() -> None:
    assert terms_of("alpha " * (MAX_CHARS // 6) + " omega" * 9) == {"alpha", "alpha alpha"}


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_terms_are_short_lower_case_and_of_letters(text: str) -> None:
    for term in terms_of(text):
        assert term == term.strip()
        assert term.lower() == term
        assert not any(char.isspace() and char != " " for char in term)
        assert all(1 < len(word) <= 40 and not word.isdecimal() for word in term.split(" "))
        assert len(term.split(" ")) <= 2
        assert not any(unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for char in term)
