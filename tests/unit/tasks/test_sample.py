"""Choosing records: copies, blank ones, what is new, which negatives are suspected."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Problem, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.hard_negatives import Mine, Mined, MiningSettings, mined_object
from embedcli.tasks.novel import bound_of, find_novel, remember_all
from embedcli.tasks.pool import Pool
from embedcli.tasks.remember import MemorySettings, open_memory
from embedcli.tasks.reservoir import random_records
from embedcli.tasks.sample import alike, diverse, outlying, representative
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.metric import cosine
from embedcli.vectors.normalize import normalize
from embedcli.vectors.set_query import SetQuery


@pytest.fixture(scope="module")
def vectorizer():
    settings = VectorSettings(normalize=True)
    made = Vectorizer(find_model("static", ()), EncoderSettings("cpu", 1), settings, Counts())
    yield made
    made.close()


def lines(*texts: str) -> list[Record]:
    return [Record(str(number), text, text.encode() + b"\n") for number, text in enumerate(texts, start=1)]


def carried(text: str, *numbers: float) -> Record:
    return Record(text, text, b"", vector=np.array(numbers, dtype=np.float32))


# --- copies and blank records


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["a", "b", "c", "d", "zero", " "]), max_size=12),
    st.integers(1, 14),
    st.sampled_from([diverse, representative, outlying]),
)
def test_no_text_is_chosen_twice_while_there_are_others_and_blank_ones_never_are(texts, count, way):
    places = {"a": (1, 0, 0), "b": (0, 1, 0), "c": (0, 0, 1), "d": (1, 1, 0), "zero": (0, 0, 0)}
    records = [carried(text, *places[text]) if text in places else lines(text)[0] for text in texts]
    pool = Pool(CarriedVectors(), is_lookup=True)
    vectors = pool.gather(records)
    found = way(pool, vectors, count).chosen
    usable = [text for text in texts if text not in ("zero", " ")]
    assert len(vectors) == len(set(usable))
    assert len(found) == min(count, len(usable))
    assert len({each.number for each in found}) == len(found)
    chosen = [texts[each.number] for each in found]
    assert len(set(chosen)) == min(count, len(set(usable)))
    # Of a text the first record is chosen first, then its copies in their order.
    for text in set(chosen):
        assert [each.number for each in found if texts[each.number] == text] == [
            number for number, other in enumerate(texts) if other == text
        ][: chosen.count(text)]
    assert pool.blank == texts.count(" ")
    assert pool.unknown == len({"zero"} & set(texts))
    assert pool.weights.tolist() == list(Counter(usable).values())
    assert [row >= 0 for row in pool.rows] == [text in places and text != "zero" for text in texts]
    assert [pool.spool.record(number).text for number in range(len(texts))] == texts
    pool.close()


def test_the_scores_say_what_they_should(vectorizer):
    texts = ["bread and butter", "butter and bread", "a tax form", "the tax office", "a dog barks", "bread"]
    vectors = vectorizer.text_vectors(texts)
    pool = Pool(vectorizer)
    assert np.array_equal(pool.gather(lines(*texts)), vectors)
    found = diverse(pool, vectors, 3)
    rows = [each.number for each in found.chosen]
    assert found.chosen[0].score is None
    assert found.chosen[2].score == pytest.approx(cosine(vectors[rows[:2]], vectors[rows[2]]).max())
    near = np.stack([cosine(vectors[rows], vector) for vector in vectors]).max(axis=1)
    assert found.reach == pytest.approx(near.min(), abs=1e-6)
    found = representative(pool, vectors, 2)
    rows = [each.number for each in found.chosen]
    near = np.stack([cosine(vectors[rows], vector) for vector in vectors]).max(axis=1)
    assert found.reach == pytest.approx(np.maximum(near, 0).mean(), abs=1e-6)
    pool.close()
    pool = Pool(vectorizer)
    found = alike(pool, lines(*texts), SetQuery((vectors[2], vectors[4])), 3)
    assert {each.number for each in found.chosen} == {2, 3, 4}
    assert [each.score for each in found.chosen[:2]] == pytest.approx([1, 1])
    pool.close()


# --- random


def test_each_choice_has_the_same_chance():
    records = lines("a", "b", " ", "c", "d")
    found = Counter(
        "".join(record.text for record in random_records(records, 2, seed)) for seed in range(6000)
    )
    # In input order; 1,000 of each, with a standard deviation of 29.
    assert set(found) == {"ab", "ac", "ad", "bc", "bd", "cd"}
    assert max(abs(count - 1000) for count in found.values()) < 130
    assert random_records(records, 9, 0) == [record for record in records if not record.is_blank]


# --- novel


def test_a_bound_calls_its_share_of_the_usual_new():
    usual = np.linspace(0.5, 1, 1999, dtype=np.float32)
    for ratio in (0.01, 0.05):
        assert (usual <= bound_of(usual, ratio)).mean() == pytest.approx(ratio, abs=0.001)
    # Of few, what is farther than all of them; the usual ones themselves are not.
    assert bound_of(np.array([0.7, 0.8]), 0.01) == 0.6999
    assert bound_of(np.array([]), 0.01) == 1.0


def test_records_like_the_past_are_seldom_new(tmp_path, vectorizer):
    rng = np.random.default_rng(0)
    centres = normalize(rng.standard_normal((10, vectorizer.dim)).astype(np.float32))

    def drawn(count: int) -> np.ndarray:
        noise = 0.3 / vectorizer.dim**0.5 * rng.standard_normal((count, vectorizer.dim))
        return normalize((centres[rng.integers(0, 10, count)] + noise).astype(np.float32))

    with open_memory(tmp_path / "past.emb", vectorizer, MemorySettings(update=True)) as memory:
        past = drawn(1000)
        memory.add(lines(*map(str, range(1000))), past)
        memory.commit()
        usual = find_novel(drawn(1000), memory, new_ratio=0.05)
        strange = normalize(rng.standard_normal((5, vectorizer.dim)).astype(np.float32))
        found = find_novel(np.concatenate([past[:5], strange]), memory)
    assert 0.02 < len(usual.unlike) / 1000 < 0.1
    assert {each.row for each in found.unlike} == set(range(5, 10))
    assert [each.cosine for each in found.unlike] == sorted(each.cosine for each in found.unlike)


def test_novelty_is_the_cosine_to_the_nearest_and_names_it(tmp_path, vectorizer):
    past = ["the late refund", "a broken screen", "an open window"]
    new = ["the refund came late", "zebras in the garden", "a window"]
    with open_memory(tmp_path / "past.emb", vectorizer, MemorySettings(update=True)) as memory:
        vectors = vectorizer.text_vectors(new)
        assert [each.row for each in find_novel(vectors, memory).unlike] == [0, 1, 2]
        pool = Pool(vectorizer)
        records = [
            Record(name, text, b"", {"id": name, "text": text})
            for name, text in zip("xyz", past, strict=True)
        ]
        remember_all(pool, pool.gather([*records, *lines(" ")]), memory)
        pool.close()
        assert memory.size() == 3
        found = find_novel(vectors, memory, max_score=1.0)
        stored = np.concatenate([block.vectors for block in memory.blocks()]).astype(np.float32)
        best = find_novel(vectors, memory, max_score=found.unlike[0].cosine)
        assert find_novel(vectors, memory, max_score=1.0, jobs=3) == found
    near = np.stack([cosine(stored, vector) for vector in vectors])
    for each in found.unlike:
        assert each.cosine == near[each.row].max()
        assert each.nearest == "xyz"[near[each.row].argmax()]
    assert best.unlike == found.unlike[:1]
    assert found.unlike[0].row == 1


# --- hard negatives


def mined(
    vectorizer: Vectorizer, pairs: list[tuple[str, str]], others: list[str], **how: object
) -> list[Mined]:
    mine = Mine(MiningSettings(**how))  # type: ignore[arg-type]
    records = [Record("", query, fields={"query": query, "positive": text}) for query, text in pairs]
    mine.add_pairs(records, Counts(), lambda problem: pytest.fail(str(problem)))
    mine.add_texts(lines(*others))
    found = list(mine.mine(vectorizer, vectorizer))
    mine.close()
    return found


def test_a_missed_positive_is_suspected_and_a_text_about_something_else_is_not(vectorizer):
    pairs = [
        ("how do I reset my password", "reset your password in the settings"),
        ("when does the shop open", "the shop opens at nine"),
    ]
    missed = "your password can be reset in the settings"
    others = [missed, "how to reset the router", "the shop sells password books", " "]
    guided, plain = (mined(vectorizer, pairs, others, count=3, guided=guided) for guided in (True, False))
    assert missed in [each.text for each in plain[0].negatives]
    assert [each.text for each in guided[0].suspected] == [missed]
    assert "how to reset the router" in [each.text for each in guided[0].negatives]
    for each in (*guided, *plain):
        assert each.positive.text not in [one.text for one in each.negatives]
        scores = [one.score for one in each.negatives]
        assert scores == sorted(scores, reverse=True)
    # The positives of others are negatives too.
    assert pairs[1][1] in [each.text for each in mined(vectorizer, pairs, [], guided=False)[0].negatives]
    found = mined_object(guided[0], MiningSettings())
    assert list(found) == [
        *("query", "positive", "positive_score", "negatives", "negative_scores", "suspected"),
        "suspected_scores",
    ]


def test_all_positives_of_a_query_are_left_out(vectorizer):
    pairs = [("bread", "fresh bread"), ("bread", "bread rolls"), ("tax", "the tax form")]
    found = mined(vectorizer, pairs, ["bread and butter"], count=9, guided=False)
    assert [{each.text for each in pair.negatives} for pair in found] == [
        {"the tax form", "bread and butter"},
        {"the tax form", "bread and butter"},
        {"fresh bread", "bread rolls", "bread and butter"},
    ]


@settings(max_examples=25)
@given(st.data())
def test_negatives_are_the_nearest_that_the_guide_does_not_suspect(data):
    numbers = st.lists(st.integers(-4, 4), min_size=3, max_size=3).filter(any)
    texts = [str(number) for number in range(data.draw(st.integers(2, 9)))]
    places = {text: normalize(np.array([data.draw(numbers)], dtype=np.float32))[0] for text in texts}
    places["q"] = normalize(np.array([data.draw(numbers)], dtype=np.float32))[0]
    count, margin = data.draw(st.integers(1, 4)), data.draw(st.sampled_from([0.0, 0.1, 0.5]))

    class Model:
        dim, is_lookup = 3, True

        def record_vectors(self, records: list[Record]) -> np.ndarray:
            return np.stack([places[record.text] for record in records])

    (found,) = mined(Model(), [("q", texts[0])], texts[1:], count=count, margin=margin)  # type: ignore[arg-type]

    def near(one: str, other: str) -> float:
        return float(cosine(places[one][None], places[other])[0])

    bar = near("q", texts[0]) - margin
    order = sorted(texts[1:], key=lambda text: -near("q", text))
    suspects = {text for text in order if max(near("q", text), near(texts[0], text)) >= bar}
    wanted = [text for text in order if text not in suspects][:count]
    assert [each.text for each in found.negatives] == wanted
    last = order.index(wanted[-1]) if len(wanted) == count else len(order)
    assert [each.text for each in found.suspected] == [text for text in order[:last] if text in suspects]


def test_a_pair_without_a_side_is_a_problem():
    told: list[Problem] = []
    mine, counts = Mine(MiningSettings()), Counts()
    records = [
        Record("1", "x", fields={"query": "x"}, path="p.jsonl", line=1),
        Record("2", "x", fields={"query": "x", "positive": 5}, line=2),
        Record("3", " ", line=3),
    ]
    mine.add_pairs(records, counts, told.append)
    mine.close()
    assert [(each.where, each.reason) for each in told] == [
        ("p.jsonl:1", "no text in field 'positive'"),
        ("-:2", "no text in field 'positive'"),
    ]
    assert counts.skipped == 2
