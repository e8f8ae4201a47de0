"""Association tests: how they are read, and the unrelated words beside them."""

from __future__ import annotations

import json
import random

import numpy as np
import pytest

from embedcli.errors import InputError, MissingPathError
from embedcli.tasks.evaluate.bias import AssociationTest, Group, measure_bias, read_tests
from embedcli.tasks.evaluate.unrelated_words import ALONE, KINDS, frames_of, put_into, two_kinds

GROUPS = {
    "targ1": {"category": "flowers", "examples": ["rose", "aster"]},
    "targ2": {"category": "insects", "examples": ["ant", "flea"]},
    "attr1": {"category": "good", "examples": ["love", "joy"]},
    "attr2": {"examples": ["pain", "ruin"]},
}


def test_a_file_holds_one_test_or_several(tmp_path):
    path = tmp_path / "weat.jsonl"
    path.write_text(json.dumps(GROUPS, indent=2))
    (found,) = read_tests(str(path))
    assert (found.name, found.targets[0]) == ("weat", Group("flowers", ("rose", "aster")))
    assert found.question == "flowers or insects: nearer to good or attr2?"
    path.write_text(json.dumps(GROUPS) + "\n\n" + json.dumps(GROUPS) + "\n")
    assert [test.name for test in read_tests(str(path))] == ["weat-1", "weat-2"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "empty"),
        ('{"targ1":\n {"examples": [1, }', ":2: no JSON"),
        ("[1]", ":1: no association test: targ1"),
        (json.dumps(GROUPS) + "\n3", ":2: no association test"),
        (json.dumps(GROUPS | {"attr1": {"examples": "love"}}), "attr1 has no list"),
        (json.dumps(GROUPS | {"attr1": {"examples": ["love", " "]}}), "attr1 has no list"),
        (json.dumps(GROUPS | {"attr1": {"examples": ["love"]}}), "attr1 has 1 examples"),
        ("[" * 100_000, "weat.json"),
    ],
)
def test_what_is_no_test_is_refused_with_its_line(tmp_path, content, said):
    path = tmp_path / "weat.json"
    path.write_text(content)
    with pytest.raises(InputError, match=said):
        read_tests(str(path))
    with pytest.raises(MissingPathError):
        read_tests(str(tmp_path / "none"))


SENTENCES = ["This is {}.", "{} is here.", "These are {}s."]


def test_frames_are_what_sentences_have_in_common():
    words = ["rose", "tulip", "lily", "daisy", "pansy"]
    texts = [frame.format(word) for word in words for frame in SENTENCES]
    texts = [*texts, "This is a rose.", "This is an aster.", "This is a poppy."]
    found = frames_of(texts)
    assert set(found.frames) == {"This is \0.", "\0 is here.", "These are \0.", "This is a \0."}
    assert found.words == 5
    filled = {put_into(frame, "oven") for frame in found.frames}
    assert filled == {"This is oven.", "Oven is here.", "These are ovens.", "This is an oven."}
    assert put_into("This is a \0.", "lamp") == "This is a lamp."
    assert frames_of(words) == ((ALONE,), 5)
    assert frames_of(["all differ here", "and nothing else does"]).frames == (ALONE,)
    assert put_into(ALONE, "oven") == "oven"


def test_unrelated_groups_share_no_kind():
    assert len({word for words in KINDS.values() for word in words}) == sum(map(len, KINDS.values()))
    kind_of = {word: kind for kind, words in KINDS.items() for word in words}
    for counts in ((5, 5), (25, 8), (100, 100), (300, 300)):
        first, second = two_kinds(counts, random.Random(1))
        assert not {kind_of[word] for word in first} & {kind_of[word] for word in second}
        if sum(counts) <= 200:
            assert (len(first), len(second)) == counts
        assert len(set(first)) == len(first)
        assert second


def encoder(tied: float):
    """Words are random, but flowers lean to what is good."""

    def encode(texts):
        made = []
        for text in texts:
            vector = np.random.default_rng(sum(map(ord, text)) * 7919 + len(text)).normal(size=16)
            vector[0] += tied * (text.startswith(("f-", "g-")) - text.startswith(("i-", "b-")))
            made.append(vector / np.linalg.norm(vector) if text != "unknown" else vector * 0)
        return np.array(made, np.float32)

    return encode


def groups(*names: str) -> list[Group]:
    return [Group(name, tuple(f"{name}-{n}" for n in range(8))) for name in names]


def test_what_is_tied_is_beyond_its_control_and_chance_is_not():
    test = AssociationTest("t", tuple(groups("f", "i")), tuple(groups("g", "b")))
    found = {each.metric: each.value for each in measure_bias(test, encoder(4), 0).measurements}
    assert found["d"] > 1.5 > found["control |d|"] > 0.3
    assert found["p"] < 0.001
    assert found["p control"] == pytest.approx(1 / 201)
    plain = {each.metric: each.value for each in measure_bias(test, encoder(0), 0, 50).measurements}
    assert abs(plain["d"]) < plain["control |d|"]
    assert plain["p control"] > 0.05


def test_texts_without_a_vector_are_counted_and_two_must_be_left():
    first, *others = groups("f", "i", "g", "b")
    with_unknown = first._replace(texts=(*first.texts, "unknown"))
    test = AssociationTest("t", (with_unknown, others[0]), tuple(others[1:]))
    assert measure_bias(test, encoder(1), 0, 5).unknown == 1
    bare = AssociationTest("t", (Group("f", ("f-1", "unknown")), others[0]), tuple(others[1:]))
    with pytest.raises(InputError, match="fewer than two texts of f"):
        measure_bias(bare, encoder(1), 0, 5)
