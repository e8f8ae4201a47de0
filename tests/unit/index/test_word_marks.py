"""Where the words of a question stand: as the full-text table has words, and nothing else."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.index import word_marks
from embedcli.index.lexical_words import WordCounter
from embedcli.index.word_marks import WordMarks, words_held

WORDS = ["dog", "Dogs", "running", "runs", "café", "CAFE\u0301", "the", "x2", "漢字", "naïve", "AND", "a"]
GLUE = [" ", "\n", ", ", '"', "*", "-", "(", "\0", "\ud800", "\U000f0000", "\U000f0001", "\u200b", "…", "  "]
TEXTS = st.lists(st.sampled_from(WORDS + GLUE), max_size=25).map("".join)


def marked(question: str, text: str, expression: str | None = None) -> list[str]:
    return [text[start:end] for start, end in WordMarks(question, expression).spans(text)]


@settings(max_examples=60)
@given(TEXTS, TEXTS, st.sampled_from([7, 4_096]))
def test_exactly_the_words_that_have_a_stem_of_the_question_are_marked(question, text, piece):
    counter = WordCounter()
    words = counter.words(question)
    stems = [stem for stem, word in words.items() if word not in ("the", "and", "a")] or list(words)
    with pytest.MonkeyPatch.context() as patch:
        if piece == 7:
            # No word of these is longer, so that each piece ends where a word does.
            text = text.replace(" ", "\n\n").replace("*", " ")
        patch.setattr(word_marks, "_CUT", word_marks.re.compile(rf"(?s).{{1,{piece}}}(?=\s|\Z)|.{{1,4096}}"))
        spans = WordMarks(question).spans(text)
    assert all(start < end for start, end in spans)
    assert all(first.end <= second.start for first, second in itertools.pairwise(spans))
    for start, end in spans:
        assert next(iter(counter.words(text[start:end]))) in stems
        assert len(counter.words(text[start:end])) == 1
        # The whole word: beside it stands none of its letters.
        assert not text[end : end + 1].isalnum()
        assert not text[max(0, start - 1) : start].isalnum()
    counts, _ = counter.count([text], stems)
    assert len(spans) == counts.sum()


def test_endings_case_and_accents_do_not_count():
    assert marked("a running dog", "Dogs run, a DOG ran; dogged?") == ["Dogs", "run", "DOG", "dogged"]
    assert marked("cafe", "Café CAFE\u0301 cafés") == ["Café", "CAFE\u0301", "cafés"]


@pytest.mark.parametrize("question", ["", " ", '" * - ( ) NEAR', '"', "text:", "\0"])
def test_a_question_has_no_syntax(question):
    assert marked(question, "near the end, a text") == (
        ["near"] if "NEAR" in question else ["text"] if "t" in question else []
    )
    assert marked("cat OR dog", "a cat or no dog AND") == ["cat", "dog"]
    assert marked('say "the dog"', "the cat, the dog") == ["dog"]


def test_little_words_are_marked_where_there_are_no_others():
    assert marked("what is it", "it is what it is") == ["it", "is", "what", "it", "is"]
    assert marked("what is a dog", "it is a dog") == ["dog"]


def test_a_word_is_found_whose_stem_has_another_stem():
    assert list(WordCounter().words("agreed")) == ["agre"]
    assert list(WordCounter().words("agre")) != ["agre"]
    assert marked("agreed", "they agreed") == ["agreed"]


def test_each_text_is_looked_at_by_itself():
    marks = WordMarks("dog")
    assert len(marks.spans("dog " * 3_000)) == 3_000
    assert marks.spans("a dog") == [(2, 5)]
    assert marks.spans("") == []


def test_an_expression_marks_what_it_finds():
    assert marked("x", "the cat, the dog", '"the dog"') == ["the dog"]
    assert marked("x", "refunds and a refusal", "refu*") == ["refunds", "refusal"]
    assert marked("x", "dog dog dog", '"dog dog"') == ["dog dog dog"]
    assert marked("dog", "dog", "no (syntax") == []


def test_many_words_and_a_long_text():
    words = [f"w{number}" for number in range(1_000)]
    assert marked(" ".join(words), " ".join(reversed(words))) == words[::-1]
    text = "dog cat\n" * 5_000 + "x" * 10_000 + " dog"
    spans = WordMarks("dog").spans(text)
    assert len(spans) == 5_001
    assert {text[start:end] for start, end in spans} == {"dog"}


def test_a_word_that_is_repeated_is_held_once():
    assert words_held("a dog", ["dog dog DOGS", "a dog", "", "cat"]) == [1, 2, 0, 0]


@given(TEXTS, st.lists(TEXTS, max_size=4))
@settings(max_examples=30)
def test_words_held_are_counted_once(question, texts):
    counter = WordCounter()
    wanted = set(counter.words(question))
    assert words_held(question, texts) == [len(wanted & set(counter.words(text))) for text in texts]
