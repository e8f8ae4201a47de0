"""`--model a+b` wherever a model is named, and `embedcli models merge`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from embedcli.encode.static_folder import StaticFacts, write_static_folder
from embedcli.encode.static_table import StaticTable
from embedcli.encode.word_vectors import word_tokenizer
from tests.conftest import REPOSITORY, Finished, Program

Write = Callable[..., Path]

WORDS = [f"{c}{v}{d}" for c in "bdfgklmnprst" for v in "aeiou" for d in "bdfgk"]


@pytest.fixture
def shelf(program: Program) -> Program:
    """The program with a folder of models: `tiny`, a graph of 24 dimensions, and `words`, a table of 30."""
    models = program.folder / "models"
    shutil.copytree(REPOSITORY / "tests" / "compat" / "models" / "tiny", models / "tiny")
    rows = np.random.default_rng(1).normal(size=(len(WORDS) + 1, 30)).astype(np.float32)
    rows[0] = 0
    counts = np.ones(len(rows), np.float32)
    counts[0] = 0
    facts = StaticFacts("words", "here", "1", "MIT", "by hand")
    write_static_folder(models / "words", StaticTable(rows, counts), word_tokenizer(WORDS), facts)
    program.environment["EMBEDCLI_MODELS"] = str(models)
    return program


@pytest.fixture
def stories(write: Write) -> Path:
    """Three hundred texts whose first sentence shares two words with the rest."""
    rng = np.random.default_rng(2)
    drawn = [rng.choice(WORDS, size=6) for _ in range(300)]
    return write("stories.txt", "".join(f"{' '.join(own[:4])}. {' '.join(own[2:])} end\n" for own in drawn))


def refused(done: Finished, *words: str) -> None:
    assert done.code == 2
    for word in words:
        assert word in done.err


def test_a_joined_model_searches_with_the_mean_of_the_cosines(shelf: Program, write: Write) -> None:
    write("t.txt", "bab dad\ngag kik mam\nrar bab\n")
    found = {
        model: {
            hit["line"]: hit["cosine"]
            for hit in shelf("search", "-m", model, "--json", "bab gag", "t.txt").ok().objects
        }
        for model in ("tiny", "words", "tiny+words", "models/tiny+./models/words")
    }
    for line in (1, 2, 3):
        mean = (found["tiny"][line] + found["words"][line]) / 2
        assert found["tiny+words"][line] == pytest.approx(mean, abs=1e-6)
    assert found["models/tiny+./models/words"] == found["tiny+words"]


def test_an_index_of_a_joined_model_finds_its_own_model(shelf: Program, write: Write) -> None:
    write("docs/a.txt", "bab dad\n")
    write("docs/b.txt", "gag kik\n")
    shelf("index", "build", "-i", "x.emb", "-m", "tiny+words", "docs").ok()
    hits = shelf("search", "-i", "x.emb", "--json", "gag kik").ok().objects
    assert [Path(hit["path"]).name for hit in hits] == ["b.txt", "a.txt"]
    assert hits[0]["cosine"] == pytest.approx(1, abs=2e-3)
    write("docs/c.txt", "rar rar\n")
    assert "1 files added" in shelf("index", "build", "-i", "x.emb").ok().err
    assert len(shelf("search", "-i", "x.emb", "--json", "rar").ok().objects) == 3
    assert "tiny+words" in shelf("index", "status", "-i", "x.emb").ok().out.decode()
    refused(shelf("search", "-i", "x.emb", "-m", "words+tiny", "gag"), "words+tiny")
    shutil.rmtree(shelf.folder / "models" / "words")
    refused(shelf("search", "-i", "x.emb", "gag"), "no model named 'words'")


def test_what_a_joined_model_cannot_do_is_said(shelf: Program) -> None:
    refused(shelf("embed", "-m", "tiny+", "--string", "x"), "'tiny+'")
    refused(
        shelf("embed", "-m", "tiny+words", "--pooling", "cls", "--string", "x"),
        "--pooling cls",
        "own pooling",
    )
    refused(shelf("embed", "-m", "tiny+words", "--variant", "fp32", "--string", "x"), "fp32+float32")
    facts = shelf("models", "show", "--json", "tiny+words").ok().objects[0]
    assert (facts["name"], facts["dim"], facts["licence"]) == ("tiny+words", 54, "Apache-2.0 AND MIT")
    assert [part["model"] for part in facts["parts"]] == ["tiny", "words"]


def test_merging_makes_a_model_and_measures_it(shelf: Program, stories: Path) -> None:
    done = shelf("models", "merge", "words", "tiny", "-o", "models/both", stories.name).ok()
    assert done.lines[0] == (
        "models/both: 30 numbers, average of the vectors (rotation fitted to 240 texts) of words (0.5), tiny (0.5)"
    )
    assert done.lines[1] == "not of the weights: words is static and has no network"
    assert done.lines[2].startswith("60 of the texts found by their first sentence")
    header = ["model", "MRR@10", "recall@1", "gain in MRR@10 over the first"]
    assert re.split("  +", done.lines[3]) == header
    assert [line.split()[0] for line in done.lines[4:]] == ["words", "tiny", "words+tiny", "both"]
    assert shelf("models", "test", "both").code == 0
    assert shelf("models", "verify", "both", "-q").code == 0
    assert len(shelf("embed", "-m", "both", "--string", "bab dad").ok().objects[0]["vector"]) == 30


def test_the_report_as_json(shelf: Program, stories: Path) -> None:
    arguments = ("models", "merge", "tiny", "words", "--weight", "3", "--weight", "1", "--how", "average")
    report = shelf(*arguments, "-o", "made", "--json", "-q", stories.name).ok().objects[0]
    assert (report["folder"], report["how"], report["dim"], report["texts"]) == ("made", "average", 24, 240)
    assert (report["parts"], report["weights"]) == (["tiny", "words"], [0.75, 0.25])
    assert len(report["measured"]) == 4 * 3 - 1
    assert set(report["measured"][0]) == {"system", "metric", "value", "low", "high", "queries"}
    again = shelf(*arguments, "-o", "again/made", "--json", "-q", stories.name).ok().objects[0]
    assert again["measured"] == report["measured"]


def test_what_cannot_be_merged_is_said(shelf: Program, stories: Path) -> None:
    refused(shelf("models", "merge", "tiny", "words", stories.name), "where to?", "-o DIR")
    refused(shelf("models", "merge", "tiny", "-o", "x", stories.name), "1 models")
    refused(shelf("models", "merge", "tiny", "word", "-o", "x"), "no model named 'word'")
    refused(shelf("models", "merge", "tiny", "words", "-o", "x"), "0 texts to fit a rotation of 30")
    refused(shelf("models", "merge", "tiny", "words", "-o", "x", "--how", "soup"), "--how 'soup'")
    refused(shelf("models", "merge", "tiny", "words", "-o", "x", "--how", "weights"), "words is static")
    refused(shelf("models", "merge", "tiny", "words", "-o", "x", "missing/"), "missing/")
    assert not (shelf.folder / "x").exists()
