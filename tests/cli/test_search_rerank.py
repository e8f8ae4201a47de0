"""`search --rerank MODEL` and what `models` says of a cross-encoder, as real processes."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedcli.encode.catalog import EncoderSettings, Model, open_pair_encoder
from embedcli.encode.manifest import read_manifest
from tests.conftest import Finished, Program
from tests.models_maker import pair_graph, transformer_config, wordpiece, write_json, write_pair_model

Write = Callable[..., Path]

TEXTS = [
    "The dog sleeps.",
    "A cat runs to the dog.",
    "None of the text is a document.",
    "The cat sleeps and the dog runs.",
    "A title to search.",
    "The task of the cat: a search for the dog, the dog, the dog, the dog, the dog, the dog and the dog runs",
]
QUERY = "which dog runs"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("built") / "pets.emb"


@pytest.fixture
def shelf(program: Program, write: Write, built: Path) -> Program:
    """The program beside `pets.jsonl` and an index of it by the static model, with the model `judge`."""
    home = program.folder / "models"
    write_pair_model(home / "judge", max_tokens=24)
    rows = [{"id": f"n{number}", "text": text, "even": number % 2 == 0} for number, text in enumerate(TEXTS)]
    write("pets.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    with_models = Program(program.folder, {**program.environment, "EMBEDCLI_MODELS": str(home)})
    if not built.exists():
        with_models("index", "build", "-m", "static", "-i", "pets.emb", "pets.jsonl", "-q").ok()
        shutil.copy(with_models.folder / "pets.emb", built)
    shutil.copy(built, with_models.folder)
    return with_models


def scores(shelf: Program, query: str, texts: list[str]) -> list[float]:
    folder = shelf.folder / "models" / "judge"
    model = Model(folder, read_manifest(folder))
    return open_pair_encoder(model, EncoderSettings("cpu", 1)).score(query, texts).scores


def hits(shelf: Program, *arguments: object) -> list[dict[str, Any]]:
    return shelf("search", "--json", "--explain", *arguments).ok().objects


def test_its_score_takes_the_place_of_the_first(shelf: Program) -> None:
    expected = dict(zip(TEXTS, scores(shelf, QUERY, TEXTS), strict=True))
    by_score = sorted(TEXTS, key=lambda text: -expected[text])
    for model in ("judge", "./models/judge"):
        found = hits(shelf, QUERY, "-i", "pets.emb", "--rerank", model)
        assert [hit["text"] for hit in found] == by_score
        assert [hit["score"] for hit in found] == [expected[text] for text in by_score]
        for hit in found:
            score = expected[hit["text"]]
            assert hit["parts"] == {"cross-encoder": {"value": score, "scaled": score, "weight": 1.0}}
            assert -1 <= hit["cosine"] <= 1
    for options in (("-j", 1), ("-j", 3), ("--device", "cpu")):
        assert hits(shelf, QUERY, "-i", "pets.emb", "--rerank", "judge", *options) == found
    assert hits(shelf, QUERY, "-i", "pets.emb", "--rerank", "judge", "-n", 2) == found[:2]
    text = shelf("search", QUERY, "-i", "pets.emb", "--rerank", "judge", "-n", 1, "--explain").ok().lines
    assert f"(cross-encoder {found[0]['score']:.4f})" in text[1]


def test_a_weight_adds_it_to_the_first_score(shelf: Program) -> None:
    found = hits(shelf, QUERY, "-i", "pets.emb", "--rerank", "judge", "--rerank-weight", 0.5)
    plain = {hit["id"]: hit["score"] for hit in hits(shelf, QUERY, "-i", "pets.emb")}
    values = np.array([hit["parts"]["cross-encoder"]["value"] for hit in found])
    for hit, scaled in zip(found, (values - values.mean()) / values.std(), strict=True):
        assert set(hit["parts"]) == {"dense", "lexical", "cross-encoder"}
        assert hit["score"] == pytest.approx(plain[hit["id"]] + 0.5 * scaled, abs=1e-6)


def test_only_as_many_as_the_budget_are_looked_at(shelf: Program) -> None:
    first = [hit["text"] for hit in hits(shelf, QUERY, "-i", "pets.emb", "-n", 2)]
    found = hits(shelf, QUERY, "-i", "pets.emb", "--rerank", "judge", "--rerank-depth", 2, "-n", 2)
    assert sorted(hit["text"] for hit in found) == sorted(first)
    done = shelf(
        *("search", QUERY, "-i", "pets.emb", "--rerank", "judge", "--rerank-depth", 2, "-n", 1),
        *("--mode", "lexical", "--stats-json", "stats.json"),
    ).ok()
    assert (len(done.lines), json.loads((shelf.folder / "stats.json").read_text())["encoded"]) == (1, 2)


def test_words_files_pipes_filters_and_many_questions(shelf: Program, write: Write) -> None:
    # No encoder is there; the words find the candidates.
    words = ("-i", "pets.emb", "--mode", "lexical", "--rerank", "judge", "-m", "none-of-that-name")
    assert shelf("search", "dog", "-i", "pets.emb", "-m", "none-of-that-name").code == 2
    found = hits(shelf, "dog", *words)
    assert {hit["id"] for hit in found} == {"n0", "n1", "n3", "n5"}
    assert [hit["cosine"] for hit in found] == [None] * 4
    assert [hit["score"] for hit in found] == sorted(
        scores(shelf, "dog", [TEXTS[0], TEXTS[1], TEXTS[3], TEXTS[5]]), reverse=True
    )
    narrowed = hits(shelf, "dog", "-i", "pets.emb", "--rerank", "judge", "--where", "even = true")
    assert {hit["id"] for hit in narrowed} == {"n0", "n2", "n4"}
    write("pets.txt", "".join(f"{text}\n" for text in TEXTS))
    of_file = hits(shelf, QUERY, "pets.txt", "-m", "static", "--rerank", "judge")
    of_pipe = shelf(
        *("search", QUERY, "-", "-m", "static", "--rerank", "judge", "--json", "--explain"),
        stdin=(shelf.folder / "pets.txt").read_bytes(),
    ).ok()
    assert [hit["text"] for hit in of_pipe.objects] == [hit["text"] for hit in of_file]
    assert {tuple(hit["parts"]) for hit in of_file} == {("cross-encoder",)}
    write("q.txt", "dog\ncat sleeps\n")
    many = hits(shelf, "--queries", "q.txt", *words)
    assert many == [
        {**hit, "query": str(number)}
        for number, query in enumerate(("dog", "cat sleeps"), start=1)
        for hit in hits(shelf, query, *words)
    ]


def test_what_is_cut_is_said_once(shelf: Program) -> None:
    done = shelf("search", "dog", "-i", "pets.emb", "--rerank", "judge").ok()
    assert done.err == "embedcli: 1 text longer than the model takes, cut to its beginning\n"
    done = shelf("search", "dog " * 40, "-i", "pets.emb", "--rerank", "judge", "--mode", "lexical").ok()
    assert done.err == "embedcli: 2 texts longer than the model takes, cut to its beginning\n"


def refusal(done: Finished) -> str:
    assert (done.code, done.out) == (2, b"")
    first, second = done.err.splitlines()
    assert first.startswith("embedcli: ")
    assert second.startswith("hint: ")
    return done.err


def test_each_kind_is_refused_in_the_others_place(shelf: Program, write: Write) -> None:
    write("a.txt", "dog\n")
    for model in ("default", "static", "default+static"):
        said = refusal(shelf("search", "dog", "a.txt", "--rerank", model))
        assert "does not score pairs of texts\nhint: what is needed is a cross-encoder" in said
    # Also where there is nothing to look at.
    words = ("-i", "pets.emb", "--mode", "lexical")
    assert shelf("search", "unheard", *words, "--rerank", "judge").code == 1
    refusal(shelf("search", "unheard", *words, "--rerank", "static"))
    for command in (
        ("search", "dog", "a.txt"),
        ("embed", "a.txt"),
        ("index", "build", "-i", "x.emb", "a.txt"),
    ):
        said = refusal(shelf(*command, "-m", "judge"))
        assert "judge is a cross-encoder" in said
        assert "hint: search --rerank judge" in said
    assert not (shelf.folder / "x.emb").exists()
    assert "'best' is neither maxsim nor a model" in refusal(
        shelf("search", "dog", "a.txt", "--rerank", "best")
    )
    write_pair_model(shelf.folder / "models" / "two", labels=(1.0, 2.0), probes=False)
    said = refusal(shelf("search", "dog", "a.txt", "-m", "static", "--rerank", "two"))
    assert "two gives 2 scores for a pair" in said


def test_a_damaged_model_is_one_error(shelf: Program) -> None:
    path = shelf.folder / "models" / "judge" / "tokenizer.json"
    path.write_bytes(path.read_bytes() + b" ")
    for command in (
        ("search", QUERY, "-i", "pets.emb", "--rerank", "judge"),
        ("models", "verify", "judge"),
        ("models", "test", "judge"),
    ):
        assert "tokenizer.json: sha256 is" in refusal(shelf(*command))


def test_models_says_what_it_is(shelf: Program) -> None:
    listed = next(line for line in shelf("models", "list").ok().lines if line.startswith("judge"))
    assert listed.split()[1:4] == ["cross-encoder", "1", "24"]
    shown = shelf("models", "show", "judge").ok().out.decode()
    assert "scores     one number for a query and a text, higher is more relevant" in shown
    assert "up to 24 tokens a pair, the query at most half" in shown
    assert "vectors" not in shown
    assert "pooling" not in shown
    assert shelf("models", "verify", "judge").ok().lines == ["judge: 2 files are what the manifest says"]
    tested = shelf("models", "test", "judge").ok().lines
    assert tested[0] == "judge fp32 on cpu: 9 probe pairs"
    assert tested[1].startswith("correlation with the expected scores: 1.000000")
    assert tested[2] == "alone and among others: identical"
    assert tested[3].endswith("pairs a second")


def test_a_published_graph_is_taken_as_it_is(shelf: Program) -> None:
    source, inner = shelf.folder / "source", wordpiece()
    config = transformer_config("bert", 8, inner.get_vocab_size())
    config |= {"architectures": ["BertForSequenceClassification"], "id2label": {"0": "LABEL_0"}}
    write_json(source / "config.json", config)
    inner.save(str(source / "tokenizer.json"))
    (source / "onnx").mkdir()
    table = np.random.default_rng(3).standard_normal((inner.get_vocab_size(), 8))
    (source / "onnx" / "model.onnx").write_bytes(pair_graph(table))
    shelf("models", "add", "source", "--name", "added").ok()
    assert shelf("models", "test", "added").ok().lines[0] == "added fp32 on cpu: 16 probe pairs"
    found = hits(shelf, QUERY, "-i", "pets.emb", "--rerank", "added")
    assert (len(found), set(found[0]["parts"])) == (6, {"cross-encoder"})
