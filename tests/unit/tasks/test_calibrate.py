"""A threshold from texts and from judged pairs, with the shipped static encoder."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedcli.cli.dedupe_calibrate import print_calibration
from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, Model, find_model, shipped_folder
from embedcli.encode.duplicates import Duplicates
from embedcli.encode.export.probe_texts import _PASSAGES, SENTENCES
from embedcli.encode.manifest import read_manifest
from embedcli.errors import InputError, UsageError
from embedcli.tasks.calibrate import (
    LEAST_TEXTS,
    LabelledPair,
    calibrate,
    calibrate_pairs,
    labelled_pairs,
    nearest_pairs,
    save_duplicates,
)
from embedcli.tasks.reservoir import sample
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from tests.conftest import REPOSITORY, without_privileges

TEXTS = (*SENTENCES, *_PASSAGES)
FIGURES = Duplicates(0.93, 0.99, 0.8, 200, "some texts")


@pytest.fixture(scope="module")
def vectorizer():
    made = Vectorizer(find_model("static"), EncoderSettings(), VectorSettings(), Counts())
    yield made
    made.close()


def test_the_threshold_lies_between_copies_and_neighbours(vectorizer):
    found = calibrate(TEXTS, vectorizer)
    assert 0.7 < found.threshold < 0.98
    assert found.is_precise
    assert set(found.recall_by) == {"exact", "recased", "edited", "shuffled", "shortened"}
    assert found.recall_by["exact"] == found.recall_by["recased"] == 1
    assert found.texts == len(TEXTS)
    assert len(TEXTS) * 1.5 < found.pairs < len(TEXTS) * 2, "two that are mutual are one pair"
    assert found == calibrate(iter(TEXTS), vectorizer)
    assert found != calibrate(TEXTS, vectorizer, seed=1)


def test_precision_and_recall_are_those_of_its_pairs(vectorizer):
    found = calibrate(TEXTS, vectorizer)
    vectors = vectorizer.text_vectors(TEXTS)
    products = vectors @ vectors.T
    np.fill_diagonal(products, -1)
    close = {frozenset((row, int(products[row].argmax()))) for row in range(len(products))}
    wrong = sum(products[tuple(pair)] >= found.threshold for pair in close)
    right = found.recall * (found.pairs - len(close))
    assert right == pytest.approx(round(right))
    assert found.precision == pytest.approx(right / (right + wrong))


def test_texts_that_are_equal_but_for_case_and_space_are_one(vectorizer):
    again = [*TEXTS, *(f" {text.upper()} " for text in TEXTS[:40]), "", " \n"]
    assert calibrate(again, vectorizer) == calibrate(TEXTS, vectorizer)


def test_a_duplicate_among_the_texts_does_little_and_is_shown(vectorizer):
    texts = list(TEXTS)
    found = calibrate(texts, vectorizer)
    twin = "Photosynthesis turns light, water and carbon dioxide all into sugar."
    with_twin = calibrate([*texts, twin], vectorizer)
    assert with_twin.is_precise
    assert with_twin.threshold < found.threshold + 0.06
    assert twin in [text for pair in with_twin.closest for text in pair[:2]]
    assert all(pair.cosine >= with_twin.threshold for pair in with_twin.closest)


def test_where_distinct_texts_are_alike_the_threshold_says_so(vectorizer):
    things = ("door", "roof", "wall", "room", "gate", "lamp", "desk", "sofa", "bell", "well")
    colors = ("red", "blue", "green", "white", "black", "grey", "brown", "pink", "gold", "beige", "olive")
    alike = [f"The {thing} of the house is {color}." for thing in things for color in colors]
    found = calibrate(alike, vectorizer)
    assert found.recall < 0.9
    assert found.threshold > calibrate(TEXTS, vectorizer).threshold


def test_few_texts_are_refused(vectorizer):
    few = [*TEXTS[: LEAST_TEXTS - 1], TEXTS[0].lower()]
    with pytest.raises(UsageError, match=f"{LEAST_TEXTS - 1} different texts"):
        calibrate(few, vectorizer)
    calibrate([*few, TEXTS[LEAST_TEXTS]], vectorizer)


@given(st.lists(st.integers(), max_size=40), st.integers(1, 50), st.integers(0, 3))
def test_a_sample_is_in_order_and_as_large_as_it_can_be(items, at_most, seed):
    taken = sample(iter(items), at_most, seed)
    assert len(taken) == min(at_most, len(items))
    rest = iter(items)
    assert all(any(item == other for other in rest) for item in taken)


def test_a_sample_takes_each_item_as_often():
    often = Counter(item for seed in range(2000) for item in sample(range(5), 2, seed))
    assert all(abs(count - 800) < 120 for count in often.values())
    assert len(often) == 5


@given(st.integers(2, 12), st.integers(0, 2**32 - 1))
def test_nearest_pairs_are_what_comparing_all_finds(count, seed):
    vectors = np.random.default_rng(seed).normal(size=(count, 3)).astype(np.float32)
    unit = vectors.astype(np.float64) / np.linalg.norm(vectors, axis=1, keepdims=True)
    wanted = set()
    for row in range(count):
        others = [other for other in range(count) if other != row]
        nearest = max(others, key=lambda other: unit[row] @ unit[other])
        wanted.add((min(row, nearest), max(row, nearest)))
    assert [tuple(pair) for pair in nearest_pairs(vectors).tolist()] == sorted(wanted)


def test_nearest_pairs_across_blocks():
    rows = 3000
    angles = np.random.default_rng(0).permutation(rows) * (2 * np.pi / rows)
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    # Two turns of the same place are nearest to one another, however far apart they stand.
    vectors[2999] = vectors[5] * 3
    pairs = nearest_pairs(vectors)
    assert [5, 2999] in pairs.tolist()
    assert (pairs[:, 0] < pairs[:, 1]).all(), "no row is its own neighbour"
    assert set(pairs.ravel().tolist()) == set(range(rows))


PAIRS = [
    *(LabelledPair(text, f"{text} again", True) for text in TEXTS[:20]),
    *(LabelledPair(one, other, False) for one, other in pairwise(TEXTS[:21])),
]


def test_judged_pairs_give_a_threshold(vectorizer):
    found = calibrate_pairs(PAIRS, vectorizer)
    assert (found.precision, found.pairs, found.texts) == (1, 40, 41)
    assert found.recall >= 0.95
    assert not found.recall_by
    assert calibrate_pairs([*PAIRS, LabelledPair("a b", "a b", False)], vectorizer).closest[0][:2] == (
        "a b",
        "a b",
    )
    for same in (PAIRS[:20], PAIRS[20:], []):
        with pytest.raises(UsageError, match="both kinds are needed"):
            calibrate_pairs(same, vectorizer)


def record(line=1, **fields):
    return Record(str(line), "", fields=fields, line=line, path="p.csv")


def test_pairs_are_read_from_fields_of_any_kind():
    rows = [record(a="x", b="y", same="1"), record(a="x", b=5, same=False), record(a="", b="", same="TRUE")]
    assert list(labelled_pairs(rows, ("a", "b", "same"))) == [
        ("x", "y", True),
        ("x", "5", False),
        ("", "", True),
    ]
    with pytest.raises(InputError, match="p.csv:7: no field 'label'"):
        list(labelled_pairs([record(7, a="x", b="y")], ("a", "b", "label")))
    with pytest.raises(InputError, match="p.csv:3: the label is not 0 or 1, true or false; it is '0.5'"):
        list(labelled_pairs([record(3, a="x", b="y", same=0.5)], ("a", "b", "same")))


@pytest.fixture
def folder(tmp_path):
    return shutil.copytree(find_model("static").folder, tmp_path / "mine")


def test_a_threshold_is_saved_and_nothing_else_changes(folder):
    before = read_manifest(folder)
    save_duplicates(folder, FIGURES)
    after = read_manifest(folder)
    assert after.duplicates == FIGURES
    assert replace(after, duplicates=before.duplicates) == before
    assert after.fingerprint("int8") == before.fingerprint("int8")
    assert {path.name for path in folder.iterdir()} == {path.name for path in shipped_folder().joinpath("static-minilm").iterdir()}  # fmt: skip


def test_shipped_and_joined_models_stay_as_they_are(folder, tmp_path):
    link = tmp_path / "link"
    link.symlink_to(find_model("static").folder)
    for shipped in (find_model("static").folder, link):
        content = (shipped / "model.toml").read_bytes()
        with pytest.raises(UsageError, match="comes with embedcli") as caught:
            save_duplicates(shipped, FIGURES)
        assert caught.value.hint == "use --threshold 0.93"
        assert (shipped / "model.toml").read_bytes() == content
    with pytest.raises(UsageError, match="no folder of a model"):
        save_duplicates(find_model("static+default").folder, FIGURES)


def test_what_cannot_be_written_stays_as_it_was(folder):
    content = (folder / "model.toml").read_bytes()
    (folder / "model.toml").chmod(0o444)
    code = (
        "from pathlib import Path; from embedcli.tasks.calibrate import save_duplicates\n"
        "from embedcli.encode.duplicates import Duplicates\n"
        f"save_duplicates(Path({str(folder)!r}), {FIGURES!r})"
    )
    command = [*without_privileges(), sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, cwd=REPOSITORY)
    assert "OutputError: cannot write to" in ran.stderr
    assert (folder / "model.toml").read_bytes() == content


def test_what_is_printed_for_people_and_for_scripts(vectorizer, folder, capsys):
    records = [Record(str(number), text) for number, text in enumerate([*TEXTS, "\x1b[31m! " + _PASSAGES[0]])]
    print_calibration(records, vectorizer, as_json=True)
    said = json.loads(capsys.readouterr().out)
    assert said["model"] == "static-minilm"
    assert list(said) == [
        "model",
        "threshold",
        "precision",
        "recall",
        "recall_by",
        "pairs",
        "texts",
        "closest",
    ]
    mine = Vectorizer(Model(folder, read_manifest(folder)), EncoderSettings(), VectorSettings(), Counts())
    print_calibration(records, mine, save=True, texts_from="my texts")
    out = capsys.readouterr().out
    assert out.startswith(f"--threshold {said['threshold']:g}   model static-minilm, {said['pairs']} pairs")
    assert f"precision {said['precision']:.3f}" in out
    assert f"  edited    {said['recall_by']['edited']:.3f}" in out
    assert "\x1b" not in out
    assert "[31m!" in out
    saved = read_manifest(folder).duplicates
    assert (saved.threshold, saved.pairs, saved.texts) == (said["threshold"], said["pairs"], "my texts")
