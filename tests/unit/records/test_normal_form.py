# ruff: noqa: RUF001  (marks that look like others are what this is about)
"""Texts that a reader would call the same have one normal form, and others have not."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from embedcli.records.normal_form import normal_form

MARKS = "!\"'(),-.:;?[]`{}"
marked = st.text(
    st.one_of(
        st.sampled_from(MARKS + "aB1 =$^\n"),
        st.sampled_from("éẞİ½²①₂—–’“·。「﹁…\u0301\u0345\u200d\ufe0f\u00ad½\u2003"),
        st.characters(),
    ),
    max_size=30,
)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("How do I locate my card?", "how do i  locate\tmy card"),
        ("Re-use it.", "re use it"),
        ("(see: “here”)", "See here!"),
        ("don’t", "don't"),
        ("Straße", "STRASSE"),
        ("cafe\u0301", "CAFÉ"),
        ("ｆｕｌｌ　ｗｉｄｔｈ", "full width"),
        ("文字。「引用」", "文字 引用"),
        ("co\u00adoperate\u200b", "cooperate"),
        ("½ cup", "1/2 cup"),
        ("5–6 °C", "5-6 °C"),
        ("−5", "-5"),
        ("wait...", "wait…"),
        ("e.g. U.S.", "e.g U.S"),
        ("well (C++, C#).", "well C++ C#"),
        ("\ufeffheading", "Heading"),
        ("covid-19", "COVID 19"),
        ("❤\ufe0f yes", "❤ yes"),
        ("snake＿case", "snake_case"),
    ],
)
def test_what_differs_in_form_only_is_the_same(first: str, second: str) -> None:
    assert normal_form(first) == normal_form(second)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("re-use", "reuse"),
        ("we're here", "were here"),
        ("3.14", "314"),
        ("3.14", "3 14"),
        ("1,000", "1.000"),
        ("1:30", "1 30"),
        ("C++", "C"),
        ("C#", "C"),
        ("$5", "5"),
        ("5%", "5"),
        ("-5", "5"),
        ("(-5)", "(5)"),
        ("p < .05", "p < 05"),
        ("a != b", "a = b"),
        ("if (!x)", "if (x)"),
        ("rm -r x", "rm r x"),
        ("AT&T", "AT T"),
        ("10²", "102"),
        ("1½", "11/2"),
        ("1①", "11"),
        ("Great :)", "Great :("),
        ("Great ;-)", "Great"),
        ("?", "!"),
        ("«", "»"),
        ("snake_case", "snake case"),
        ("don't", "don t"),
        ("a!=b", "a =b"),
        ("5′", "5″"),
        ("10·5", "105"),
        ("naïve", "naive"),
        ("👍", "👎"),
    ],
)
def test_what_carries_meaning_is_not_lost(first: str, second: str) -> None:
    assert normal_form(first) != normal_form(second)


@given(marked)
@example("a\u00ad\u0301")
@example("´")
@example("\u0345\u0301")
@example("1.,2 :)-5")
def test_the_normal_form_of_a_normal_form_is_itself(text: str) -> None:
    form = normal_form(text)
    assert normal_form(form) == form


@given(marked)
def test_only_blank_texts_have_none(text: str) -> None:
    assert (normal_form(text) == "") == (not text.strip())


@given(marked)
def test_white_space_and_unicode_form_do_not_matter(text: str) -> None:
    form = normal_form(text)
    assert normal_form("\n" + text.replace(" ", " \t ") + " ") == form
    assert form == " ".join(form.split())


@given(st.text(st.characters(categories=["Ll", "Lu", "Lo"]), max_size=20))
def test_case_and_composition_do_not_matter(word: str) -> None:
    form = normal_form(word)
    assert normal_form(unicodedata.normalize("NFD", word)) == form
    assert normal_form(unicodedata.normalize("NFKC", word).casefold()) == form


@given(st.lists(st.from_regex(r"[a-z]+|[0-9]+([.,][0-9]+)*|\$[0-9]+|c\+\+", fullmatch=True), max_size=6))
def test_words_numbers_and_symbols_stay_whatever_marks_stand_around_them(words: list[str]) -> None:
    assert normal_form(", ".join(f'"{word}"!' for word in words)).split() == words


def test_long_rows_of_combining_marks_are_sorted_in_pieces() -> None:
    # All at once, it would take a time that grows with the square of the row.
    form = normal_form("a" + "\u0301\u0316" * 1000)
    assert normal_form(form) == form
    assert all(len(piece) <= 30 and set(piece) == {"\u0301", "\u0316"} for piece in form.split()[1:-1])
    # Marks of which one is two, of whose pieces the second pass makes no smaller ones.
    form = normal_form("a" + "\u0344" * 1000)
    assert normal_form(form) == form
