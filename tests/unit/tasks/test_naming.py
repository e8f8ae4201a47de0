"""Names of groups say what sets them apart, and no two are the same."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.tasks import naming
from embedcli.tasks.naming import Namer

CARDS = ["I lost my card", "my card was stolen", "lost card, please block it", "card stolen yesterday"]
RATES = [
    "what is the exchange rate",
    "the exchange rate looks wrong",
    "exchange rates",
    "today's exchange rate",
    "exchange rate?",
]
NEWS = ["rain again", "more rain", "rain, and then snow"]


def namer_of(*groups: list[str], noise: list[str] | None = None) -> Namer:
    namer = Namer(len(groups))
    for number, texts in [*enumerate(groups), (-1, noise or [])]:
        for text in texts:
            namer.add(text, number)
    return namer


def test_a_name_is_of_the_words_that_set_a_group_apart() -> None:
    cards, rates, news = namer_of(CARDS, RATES, NEWS).names()
    assert set(cards.split(", ")) == {"card", "lost", "stolen"}
    # Said by the pair; its plural, and the words of the pair, are not said again.
    assert rates == "exchange rate, looks wrong"
    assert news.startswith("rain")


def test_what_is_frequent_everywhere_weighs_less() -> None:
    groups = (["please help: card", "help card"], ["please help: rain", "help rain"])
    assert [name.split(", ")[0] for name in namer_of(*groups).names()] == ["card", "rain"]
    # With noise that is full of them, cards say less than help.
    names = namer_of(*groups, noise=["card"] * 500).names()
    assert names[0].split(", ")[0] == "help"


def test_forms_of_a_word_are_named_once() -> None:
    name = namer_of(["verify, identity", "verified, identities", "verification, card"], ["rain"]).names()[0]
    assert sorted(word[:4] for word in name.split(", ")) == ["card", "iden", "veri"]


def test_what_one_text_alone_has_comes_last() -> None:
    pairs = [[f"apple, pear{number}, x{number}y", f"apple, plum{number}"] for number in range(20)]
    assert all(name.startswith("apple, ") for name in namer_of(*pairs).names())


def test_a_text_counts_a_word_once() -> None:
    name = namer_of([*CARDS, "refund " * 50], ["rain"]).names()[0]
    assert name.startswith("card")


def test_no_two_names_are_of_the_same_words() -> None:
    names = namer_of(CARDS, CARDS, CARDS, [CARDS[0]], [CARDS[0]], ["?"], ["!"], []).names()
    sets = [frozenset(name.split(", ")) for name in names]
    assert len(set(sets)) == len(names)
    assert names[5:] == ["cluster 5", "cluster 6", "cluster 7"]


def test_writing_without_spaces_has_names_too() -> None:
    cards = ["我的信用卡丢了", "信用卡被盗", "怎么挂失信用卡"]
    names = namer_of(cards, ["今天天气很好", "天气预报"]).names()
    assert names[0].startswith("信用卡")
    assert names[1].startswith("天气")


def test_unions_are_named_by_what_their_groups_share() -> None:
    lost = [f"lost card in {place}" for place in ("rome", "paris", "oslo")]
    stolen = [f"stolen card at {place}" for place in ("work", "school", "sea")]
    namer = namer_of(lost, stolen, RATES)
    names = [*namer.names(), *namer.joined_names([(0, 1), (3, 2), (0, 1)])]
    assert names[3].split(", ")[0] == "card"
    assert len({frozenset(name.split(", ")) for name in names}) == 6
    names = [*namer.names(), *namer.union_names([[0, 1], [0, 1, 2], [2]])]
    assert names[3].split(", ")[0] == "card"
    assert len({frozenset(name.split(", ")) for name in names}) == 6


def test_terms_are_ranked_and_change_with_more_texts() -> None:
    namer = namer_of(CARDS, RATES)
    assert namer.terms(2)[1] == namer.names()[1].split(", ")[:2]
    for _ in range(20):
        namer.add("snow", 0)
    assert namer.names()[0].startswith("snow, card")


def test_memory_is_bounded_and_frequent_words_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(naming, "MOST_COUNTS", 300)
    random_words = random.Random(0)
    namer = Namer(3)
    most = 0
    for number in range(600):
        group = number % 3
        noise = " / ".join(f"w{random_words.randrange(10**6)}" for _ in range(5))
        namer.add(f"{('apple', 'river', 'stone')[group]} / {noise}", group)
        most = max(most, sum(map(len, namer._counts)))
    assert most <= 300
    assert [name.split(", ")[0] for name in namer.names()] == ["apple", "river", "stone"]


@given(st.lists(st.tuples(st.text(max_size=20), st.integers(-1, 4)), max_size=30))
@settings(max_examples=50)
def test_names_are_there_and_differ(texts: list[tuple[str, int]]) -> None:
    namer = Namer(5)
    for text, group in texts:
        namer.add(text, group)
    names = [*namer.names(), *namer.joined_names([(0, 1), (5, 4)])]
    assert all(names)
    assert len({frozenset(name.split(", ")) for name in names}) == 7
    assert all(len(name.split(", ")) <= 3 for name in names)
