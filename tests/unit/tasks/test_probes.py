"""Probes: their known answers for a bag of words, and for encoders that see one thing alone."""

from __future__ import annotations

import json
from itertools import combinations

import numpy as np
import pytest

from embedcli.errors import InputError
from embedcli.tasks.edits import misspell_text, replace_words
from embedcli.tasks.evaluate import probe_texts, probes, stress
from embedcli.tasks.evaluate.limit import DOCUMENTS, make_limit, things, write_limit
from embedcli.tasks.evaluate.stress import PROBES, run_probe, word_products


def value(probe: str, products=word_products, texts=None, seed: int = 0, name: str | None = None) -> float:
    found = run_probe(probe, texts, products, seed)
    return float(found.values[name or probe].mean())


@pytest.mark.parametrize("seed", [0, 1])
def test_a_bag_of_words_gives_the_known_answers(seed):
    assert value("order", seed=seed) == 0.5
    assert value("numbers", seed=seed) == 0.5
    assert value("negation", seed=seed) == 0
    assert value("sentence", seed=seed) > 0.95


def test_a_bag_of_words_tells_no_order_of_the_users_texts():
    texts = probe_texts.documents(30, 2, 5)
    assert value("order", texts=texts) == 0.5
    found = run_probe("order", texts, word_products, 0)
    assert set(found.values["order"].tolist()) == {0.5}


def test_words_at_the_same_place_tell_the_order():
    def by_place(lefts, rights):
        """How many words stand at the same place."""

        def vectors(texts):
            return [[*enumerate(text.lower().strip(".").split())] for text in texts]

        return np.array([[len(set(one) & set(other)) for other in vectors(rights)] for one in vectors(lefts)])

    texts = probe_texts.documents(30, 2, 5)
    assert value("order", by_place, texts) == 1


def test_an_encoder_of_numbers_tells_numbers():
    def by_number(lefts, rights):
        one, other = (
            np.array([float("".join(filter(str.isdigit, text))) for text in texts])
            for texts in (lefts, rights)
        )
        return -np.abs(np.log(one[:, None] / other[None]))

    assert value("numbers", by_number) == 1
    assert value("numbers", lambda a, b: -by_number(a, b)) == 0


def test_drift_grows_with_what_was_changed_and_equal_texts_have_none():
    found = run_probe("typos", None, word_products, 0)
    for kind in ("misspelt", "replaced"):
        drifts = [found.values[f"{kind} {share:.0%}"].mean() for share in probes.SHARES]
        assert drifts == sorted(drifts)
        assert drifts[0] > 0.03
    same = run_probe("typos", None, lambda a, b: np.ones((len(a), len(b))), 0)
    assert not any(values.any() for values in same.values.values())


def test_only_what_is_read_is_found():
    def first_words(lefts, rights):
        return word_products([*lefts], [" ".join(text.split()[:60]) for text in rights])

    places = [f"{place} of a text" for place in ("beginning", "middle", "end")]
    found = {place: value("position", first_words, name=place) for place in places}
    # The question's own words are in other texts too.
    assert found[places[0]] > 0.7
    assert found[places[1]] < 0.3
    whole = {value("position", name=place) for place in places}
    assert len(whole) == 1
    # Of equally near texts the wrong ones go first.
    assert value("position", lambda a, b: np.ones((len(a), len(b))), name=places[0]) == 0


def test_length_is_a_rank_correlation():
    def by_length(_lefts, rights):
        lengths = np.array([len(text.split()) for text in rights], dtype=np.float64)
        return np.minimum(lengths[:, None], lengths[None])

    def correlation(products) -> float:
        found = run_probe("length", None, products, 0)
        return found.statistics["length"](np.arange(found.items))

    assert correlation(by_length) > 0.9
    assert correlation(lambda a, b: -by_length(a, b)) < -0.9
    assert np.isnan(correlation(lambda a, b: np.zeros((len(a), len(b)))))


def test_too_few_texts_leave_a_probe_out():
    texts = ["One short line."] * 9
    assert {probe for probe in PROBES if run_probe(probe, texts, word_products, 0) is None} == {
        "sentence",
        "order",
        "length",
        "typos",
        "position",
    }


def test_both_systems_have_all_measures_and_items_are_counted():
    class Words:
        """A bag of words in the place of an encoder."""

        def text_vectors(self, texts):
            from sklearn.feature_extraction.text import HashingVectorizer

            return HashingVectorizer(n_features=256).transform(texts).toarray()

    said: list[str] = []
    texts = probe_texts.documents(12, 2, 0)
    found = stress.stress("mine", Words(), ["sentence", "order", "numbers"], texts, 0, said.append)
    assert said == ["sentence is left out: it needs 10 texts with enough words or sentences"]
    assert found.systems == ("mine", "bag of words")
    assert found.metrics == ("order", "numbers")
    assert len(found.items) == 12 + probes.ITEMS
    assert found.chance == {"order": 0.5, "numbers": 0.5}
    assert all(each.low <= each.value <= each.high for each in found.measurements)
    with pytest.raises(InputError, match="too few"):
        stress.stress("mine", Words(), ["sentence"], texts[:3], 0, said.append)


def test_edits_change_as_many_words_as_they_say():
    text = "The quick brown foxes jumped over eleven sleeping watchdogs, again and again!"
    for share, count in ((0.01, 1), (0.25, 3), (0.5, 6)):
        for edited in (misspell_text(text, share), replace_words(text, ["zebra"], share)):
            changed = [one != other for one, other in zip(text.split(), edited.split(), strict=True)]
            assert sum(changed) == count
    assert misspell_text("42 ! 17", 0.5) is None
    assert misspell_text("a b c", 0.5) is None
    assert replace_words(" ! ", ["x"], 0.5) is None
    assert misspell_text(text, 0.5, 1) != misspell_text(text, 0.5, 2)


def test_each_pair_of_documents_answers_one_question(tmp_path):
    assert len({thing.rstrip("s") for thing in things()}) == len(things())
    made = make_limit(0)
    assert len(made.documents) == DOCUMENTS
    assert {question.answers for question in made.questions} == set(combinations(made.documents, 2))
    for question in made.questions[:40]:
        likes = {
            name
            for name, text in made.documents.items()
            if question.thing in text.strip(".").replace(",", "").split()
        }
        assert likes == set(question.answers)
    assert make_limit(0) == made != make_limit(1)
    write_limit(made, tmp_path)
    assert len((tmp_path / "qrels.tsv").read_text().splitlines()) == 2 * 435 + 1
    queries = [json.loads(line) for line in (tmp_path / "queries.jsonl").read_text().splitlines()]
    assert queries[0] == {"_id": "1", "text": f"Who likes {made.questions[0].thing}?"}
