"""The sentence that a long hit begins with."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.index.lexical_words import WordCounter
from embedcli.records.sentences import iter_sentences
from embedcli.tasks.best_sentence import BY_MEANING, SENTENCES, LongHit, best_sentences
from embedcli.tasks.vectorize import Vectorizer, VectorSettings

TEXT = (
    "The tax is due in March. A puppy chewed on a slipper.\n\nThe volume could not be mounted! "
    "My dog sleeps all day. My dog sleeps."
)


@pytest.fixture(scope="module")
def vectorizer():
    counts = Counts()
    made = Vectorizer(find_model("static", []), EncoderSettings("cpu", 1), VectorSettings("query"), counts)
    yield made
    made.close()


def sentence_at(text: str, start: int) -> str:
    return next(text[start:end].strip() for first, end in iter_sentences(text) if first <= start < end)


def test_by_words_it_is_the_first_with_most_of_them():
    asked = [Record("1", "a dog that sleeps"), Record("2", "unheard"), Record("3", "MOUNTING volumes")]
    found = best_sentences(asked, [LongHit(number, TEXT) for number in range(3)])
    assert [sentence_at(TEXT, start) for start in found] == [
        "My dog sleeps all day.",
        "The tax is due in March.",
        "The volume could not be mounted!",
    ]
    assert TEXT[found[2] :].startswith("The volume")


def test_by_meaning_it_is_the_one_with_the_highest_cosine(vectorizer):
    before = vectorizer._counts.encoded
    for query, expected in (
        ("young canine", "My dog sleeps."),
        ("money for the state", "The tax"),
        ("disk", "The volume"),
    ):
        vectors = vectorizer.text_vectors([query])
        before += 1
        (start,) = best_sentences([Record("1", query)], [LongHit(0, TEXT)], vectors, vectorizer)
        sentences = [TEXT[first:end].strip() for first, end in iter_sentences(TEXT)]
        documents = vectorizer.with_settings(VectorSettings("document"), Counts())
        cosines = documents.text_vectors(sentences) @ vectors[0]
        assert sentence_at(TEXT, start) == sentences[int(np.argmax(cosines))]
        assert TEXT[start:].startswith(expected)
    assert vectorizer._counts.encoded == before, "what is encoded for showing is not counted"


def test_work_is_bounded(vectorizer, monkeypatch):
    seen: list[list[str]] = []
    plain = Vectorizer.text_vectors

    def text_vectors(self, texts):
        seen.append(list(texts))
        return plain(self, texts)

    vectors = vectorizer.text_vectors(["dog"])
    monkeypatch.setattr(Vectorizer, "text_vectors", text_vectors)
    text = "The cat sat. " * 100 + "My dog. " + "x" * 10_000
    found = best_sentences([Record("1", "dog")], [LongHit(0, text)] * (BY_MEANING + 3), vectors, vectorizer)
    assert [len(texts) for texts in seen] == [SENTENCES] * BY_MEANING
    assert found == [0] * (BY_MEANING + 3)
    seen.clear()
    best_sentences([Record("1", "dog")], [LongHit(0, "First. Word" + " word" * 10_000)], vectors, vectorizer)
    assert max(map(len, seen[0])) <= 400


def test_one_sentence_or_none_needs_no_encoder():
    assert best_sentences([Record("1", "dog")], [LongHit(0, text) for text in ("", "  ", "no end")]) == [
        0,
        0,
        0,
    ]


@settings(max_examples=40)
@given(
    st.lists(st.sampled_from(["dog", "cat.", "Runs!", "\n\n", "a", "The", "- x\n"]), max_size=30).map(
        " ".join
    ),
    st.text("dogcat ", max_size=9),
)
def test_the_place_is_where_a_sentence_begins(text, query):
    (start,) = best_sentences([Record("1", query)], [LongHit(0, text)])
    spans = list(iter_sentences(text))
    assert start == 0 or start in {end - len(text[first:end].lstrip()) for first, end in spans}
    counter = WordCounter()
    wanted = set(counter.words(query))
    held = [len(wanted & set(counter.words(text[first:end]))) for first, end in spans[:SENTENCES]]
    if start:
        own = next(number for number, (first, end) in enumerate(spans) if first <= start < end)
        assert held[own] == max(held) > max(held[:own], default=0)
