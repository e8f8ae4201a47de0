"""Learned sparse vectors as real processes: embed, index, search."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tokenizers import Tokenizer

from tests.conftest import Finished, Program
from tests.models_maker import write_sparse_model

Write = Callable[..., Path]

TEXTS = [
    "the dog runs to the cat",
    "a cat sleeps",
    "search the document of the title",
    "none of the dog and cat text is about a task",
    "to query the passage",
]
ROWS = [{"id": f"n{number}", "text": text, "year": 2000 + number} for number, text in enumerate(TEXTS)]
JSONL = "".join(json.dumps(row) + "\n" for row in ROWS)
QUESTION = "dog sleeps"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    write_sparse_model(folder / "tiny-sparse", max_tokens=12)
    write_sparse_model(folder / "other-sparse", max_tokens=12, seed=1)
    return folder


@pytest.fixture(scope="module")
def weigh(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, float]]:
    """What the formula gives a text, term by term."""
    scores = write_sparse_model(tmp_path_factory.mktemp("again") / "tiny-sparse", max_tokens=12)
    tokenizer = Tokenizer.from_file(str(models / "tiny-sparse" / "tokenizer.json"))

    def weights(text: str) -> dict[str, float]:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        row = np.log1p(np.maximum(scores[ids], 0)).max(axis=0)
        row[[2, 3]] = 0
        return {tokenizer.id_to_token(term): float(row[term]) for term in np.flatnonzero(row)}

    return weights


@pytest.fixture
def sparse(program: Program, models: Path) -> Program:
    program.environment["EMBEDCLI_MODELS"] = str(models)
    return program


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf") / "docs"


INDEX = "docs/.embedcli/index.emb"
BUILD = ("index", "build", "-i", INDEX, "docs/notes.jsonl", "-m", "static", "-q")


@pytest.fixture
def notes(sparse: Program, write: Write, shelf: Path) -> Program:
    """The program beside `docs/notes.jsonl` and its index, which is built once and travels with it."""
    if not shelf.exists():
        write("docs/notes.jsonl", JSONL)
        sparse(*BUILD, "--sparse", "tiny-sparse").ok()
        shutil.move(sparse.folder / "docs", shelf)
    shutil.copytree(shelf, sparse.folder / "docs")
    return sparse


def hits(program: Program, *arguments: object) -> list[dict[str, Any]]:
    return program("search", "-i", INDEX, "--json", *arguments).ok().objects


def test_embed_writes_terms_by_weight(sparse: Program, weigh: Callable[[str], dict[str, float]]) -> None:
    long = " ".join(TEXTS)
    stdin = JSONL + json.dumps({"id": "blank", "text": " "}) + "\n" + json.dumps({"text": long}) + "\n"
    done = sparse("embed", "--sparse", "tiny-sparse", "-", stdin=stdin.encode()).ok()
    assert "2 texts longer than the model takes, read in windows" in done.err
    found = done.objects
    assert [row["id"] for row in found] == [*(row["id"] for row in ROWS), "blank", "7"]
    assert found[5]["sparse"] is None
    for row, text in [*zip(found, TEXTS, strict=False), (found[6], long)]:
        assert (row["text"], row["sparse_model"].startswith("tiny-sparse:fp32:")) == (text, True)
        weights = list(row["sparse"].values())
        assert weights == sorted(weights, reverse=True)
        assert row["sparse"] == pytest.approx(weigh(text), rel=1e-6)
    assert found[1]["year"] == 2001


def test_embed_shows_terms_to_read(sparse: Program, weigh: Callable[[str], dict[str, float]]) -> None:
    done = sparse("embed", "--sparse", "tiny-sparse", "--show-terms", 2, stdin=b"a cat sleeps\n\n").ok()
    best = sorted(weigh("a cat sleeps").items(), key=lambda pair: -pair[1])[:2]
    assert done.lines == ["1:" + ", ".join(f"{term} {weight:.2f}" for term, weight in best), "2:"]


def test_what_is_written_goes_through_again(sparse: Program) -> None:
    first = sparse("embed", "-m", "static", stdin=b"a cat sleeps\n").ok()
    both = sparse("embed", "--sparse", "tiny-sparse", stdin=first.out).ok().objects[0]
    assert both["vector"] == first.objects[0]["vector"]
    assert both["vector_model"] == first.objects[0]["vector_model"]
    again = sparse("embed", "-m", "static", stdin=json.dumps(both).encode()).ok().objects[0]
    assert (again["sparse"], again["vector"]) == (both["sparse"], both["vector"])


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (("--sparse", "static"), "static-minilm is no sparse model: its kind is static", "models list"),
        (("-m", "tiny-sparse"), "tiny-sparse is a sparse model", "embed --sparse MODEL"),
        (("--sparse", "none"), "no model named 'none'", "known models"),
        (("--sparse", "tiny-sparse", "-m", "static"), "-m contradicts it", ""),
        (("--sparse", "tiny-sparse", "--dim", 8), "--dim is about vectors of numbers", ""),
        (("--sparse", "tiny-sparse", "--dtype", "int8"), "--dtype is about vectors", ""),
        (("--sparse", "tiny-sparse", "--to", "npy"), "is written as jsonl, not as npy", "--to jsonl"),
        (("--sparse", "tiny-sparse", "-o", "x.npy"), "is written as jsonl, not as npy", "--to jsonl"),
        (("--show-terms", 3), "--show-terms is about --sparse", ""),
        (("--sparse", "tiny-sparse", "--on-long", "error"), "the model takes 12", "--on-long"),
    ],
)
def test_what_does_not_fit_is_refused(
    sparse: Program, arguments: tuple[object, ...], said: str, hint: str
) -> None:
    done = sparse("embed", *arguments, stdin=(" ".join(TEXTS) + "\n").encode())
    assert (done.code, done.out) == (2, b"")
    assert said in done.err.splitlines()[0]
    assert hint in done.err
    assert not list(sparse.folder.iterdir())


def test_sparse_search_equals_the_formula(notes: Program, weigh: Callable[[str], dict[str, float]]) -> None:
    found = hits(notes, QUESTION, "--mode", "sparse", "--show-terms", 3)
    asked = weigh(QUESTION)
    wanted = {}
    for row in ROWS:
        own = weigh(str(row["text"]))
        products = {term: asked[term] * own[term] for term in asked.keys() & own.keys()}
        wanted[row["id"]] = (sum(products.values()), sorted(products, key=lambda term: -products[term])[:3])
    assert [hit["id"] for hit in found] == sorted(wanted, key=lambda name: -wanted[name][0])
    for hit in found:
        # Stored as float16.
        assert hit["score"] == pytest.approx(wanted[hit["id"]][0], rel=5e-4)
        assert hit["cosine"] is None
        assert [part["term"] for part in hit["terms"]] == wanted[hit["id"]][1]
        assert hit["terms"][0]["query"] == pytest.approx(asked[hit["terms"][0]["term"]], rel=1e-6)


def test_filters_apply_before_the_best_are_chosen(notes: Program) -> None:
    every = hits(notes, QUESTION, "--mode", "sparse")
    narrowed = hits(notes, QUESTION, "--mode", "sparse", "-n", 1, "--where", f'id = "{every[-1]["id"]}"')
    assert [hit["score"] for hit in narrowed] == [every[-1]["score"]]
    assert notes("search", "-i", INDEX, QUESTION, "--mode", "sparse", "--where", "year = 1").code == 1


def test_terms_are_shown_under_each_hit(notes: Program) -> None:
    done = notes("search", "-i", INDEX, QUESTION, "--mode", "sparse", "-n", 1, "--show-terms", 2).ok()
    hit, terms = done.lines
    assert hit.startswith("docs/notes.jsonl:")
    parts = [part.split() for part in terms.strip().split(", ")]
    assert [(len(part), part[2]) for part in parts] == [(4, "x"), (4, "x")]
    assert terms.startswith("    ")
    assert done.err.startswith(f"embedcli: {QUESTION!r}: ")


def test_sparse_vectors_are_a_third_part(notes: Program) -> None:
    alone = {hit["id"]: hit["score"] for hit in hits(notes, QUESTION, "--mode", "sparse")}
    plain = hits(notes, QUESTION, "--explain", "--sparse-weight", 0)
    assert set(plain[0]["parts"]) == {"dense", "lexical"}
    usual = hits(notes, QUESTION, "--explain")
    assert usual == hits(notes, QUESTION, "--explain", "--sparse-weight", 0.2)
    found = hits(notes, QUESTION, "--explain", "--sparse-weight", 0.5)
    assert {hit["id"] for hit in found} == {row["id"] for row in ROWS}
    before = {hit["id"]: hit["score"] for hit in plain}
    for hit in found:
        part = hit["parts"]["sparse"]
        assert (part["weight"], part["value"]) == (0.5, pytest.approx(alone.get(hit["id"], 0), rel=1e-9))
        assert hit["score"] == pytest.approx(before[hit["id"]] + 0.5 * part["scaled"], abs=1e-9)
    assert [hit["score"] for hit in found] == sorted((hit["score"] for hit in found), reverse=True)
    values = np.array([hit["parts"]["sparse"]["value"] for hit in found])
    scaled = np.array([hit["parts"]["sparse"]["scaled"] for hit in found])
    np.testing.assert_allclose(scaled, (values - values.mean()) / values.std(), rtol=1e-6)


def test_a_refresh_goes_on_making_them(notes: Program, write: Write) -> None:
    write("docs/notes.jsonl", JSONL + json.dumps({"id": "new", "text": "sleeps sleeps dog"}) + "\n")
    notes("index", "build", "-i", INDEX, "-q").ok()
    assert "new" in [hit["id"] for hit in hits(notes, QUESTION, "--mode", "sparse")]
    write("docs/notes.jsonl", JSONL)
    notes("index", "build", "-i", INDEX, "-q", "--sparse", "tiny-sparse").ok()
    before = hits(notes, QUESTION, "--mode", "sparse")
    assert "new" not in [hit["id"] for hit in before]
    notes("index", "compact", "-i", INDEX, "-q").ok()
    assert hits(notes, QUESTION, "--mode", "sparse") == before
    assert "sound" in notes("index", "check", "-i", INDEX).ok().err
    status = json.loads(notes("index", "status", "-i", INDEX, "--json").ok().out)
    assert (status["format"], status["sparse"][:19]) == (2, "tiny-sparse (fp32, ")


def test_a_moved_file_is_not_encoded_again(notes: Program) -> None:
    before = hits(notes, QUESTION, "--mode", "sparse")
    (notes.folder / "docs" / "notes.jsonl").rename(notes.folder / "docs" / "moved.jsonl")
    # With the weights gone nothing can be encoded.
    copy = notes.folder / "models"
    shutil.copytree(notes.environment["EMBEDCLI_MODELS"], copy)
    (copy / "tiny-sparse" / "model.onnx").unlink()
    gone = {"EMBEDCLI_MODELS": str(copy)}
    notes("index", "build", "-i", INDEX, "docs/moved.jsonl", "-q", env=gone).ok()
    notes("index", "remove", "-i", INDEX, "docs/notes.jsonl", "-q").ok()
    after = hits(notes, QUESTION, "--mode", "sparse")
    assert [(hit["id"], hit["score"]) for hit in after] == [(hit["id"], hit["score"]) for hit in before]
    assert {hit["path"] for hit in after} == {"docs/moved.jsonl"}


def refused(done: Finished, said: str, hint: str) -> None:
    assert (done.code, done.out) == (2, b"")
    cause, *more = done.err.splitlines()
    assert said in cause
    assert hint in "\n".join(more)


def test_models_that_do_not_fit_the_index_are_refused(notes: Program) -> None:
    kept = (notes.folder / INDEX).read_bytes()
    build = ("index", "build", "-i", INDEX, "docs/notes.jsonl", "-q")
    refused(
        notes(*build, "--sparse", "other-sparse"),
        "built with the sparse model tiny-sparse (fp32, ",
        "use the same sparse model",
    )
    refused(notes(*build, "--sparse", "static"), "is no sparse model: its kind is static", "models list")
    refused(notes(*build, "-m", "tiny-sparse"), "tiny-sparse is a sparse model", "--sparse MODEL")
    refused(notes("index", "import", "-i", INDEX, "x.npy"), "x.npy", "")
    assert (notes.folder / INDEX).read_bytes() == kept
    refused(
        notes("index", "build", "-i", "new.emb", "docs/notes.jsonl", "--no-text", "--sparse", "tiny-sparse"),
        "--no-text keeps no words",
        "",
    )
    assert not (notes.folder / "new.emb").exists()


def test_an_index_without_sparse_vectors_says_so(notes: Program) -> None:
    build = ("index", "build", "-i", "plain.emb", "docs/notes.jsonl", "-m", "static", "-q")
    notes(*build).ok()
    refused(notes(*build, "--sparse", "tiny-sparse"), "plain.emb: built without --sparse", "another index")
    for option in (("--mode", "sparse"), ("--sparse-weight", 0.3)):
        refused(
            notes("search", QUESTION, "-i", "plain.emb", *option), "holds no sparse vectors", "--sparse MODEL"
        )
    places = ("-i", INDEX, "-i", "plain.emb")
    both = notes("search", QUESTION, *places, "--explain", "--json").ok().objects
    assert {tuple(hit["parts"]) for hit in both} == {("dense", "lexical")}
    refused(notes("search", QUESTION, *places, "--mode", "sparse"), "plain.emb: holds no sparse", "--sparse")
    refused(
        notes("search", QUESTION, "-i", "plain.emb", "--show-terms", 3), "--show-terms is about", "--mode"
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ("--mode", "sparse", "--min-score", 0.5),
            "--min-score is a cosine, and --mode sparse computes none",
        ),
        (("--mode", "sparse", "--alpha", 0.5), "--alpha is about --mode hybrid"),
        (("--mode", "dense", "--sparse-weight", 0.5), "--sparse-weight is about --mode hybrid"),
        (("--mode", "sparse", "--lexical-query", "x"), "which --mode sparse does not"),
        (("--mode", "sparse", "--exact"), "--mode sparse looks at none"),
        (("--mode", "sparse", "--rerank", "maxsim"), "--rerank maxsim compares vectors"),
        (("--mode", "sparse", "--show-terms", 2, "-l"), "--show-terms shows each hit"),
        (("--show-terms", 2, "--sparse-weight", 0), "--show-terms is about sparse vectors"),
    ],
)
def test_contradictions_are_one_line(notes: Program, options: tuple[object, ...], said: str) -> None:
    done = notes("search", QUESTION, "-i", INDEX, *options)
    assert (done.code, done.out) == (2, b"")
    assert said in done.err.splitlines()[0]


def test_damaged_postings_end_the_search(notes: Program) -> None:
    import sqlite3

    with sqlite3.connect(notes.folder / INDEX) as connection:
        connection.execute("UPDATE posting SET weights = zeroblob(length(weights))")
    connection.close()
    for options in (("--mode", "sparse"), ("--sparse-weight", 1)):
        done = notes("search", QUESTION, "-i", INDEX, *options)
        assert (done.code, done.out, "damaged: the posting of term" in done.err) == (2, b"", True)
    # What does not look at them goes on.
    assert len(hits(notes, QUESTION, "--sparse-weight", 0)) == len(ROWS)
    assert notes("index", "check", "-i", INDEX).code == 1
    notes("index", "check", "--repair", "-i", INDEX)
    notes("index", "build", "-i", INDEX, "-q").ok()
    assert len(hits(notes, QUESTION, "--mode", "sparse")) == len(ROWS)


def test_an_export_says_what_it_leaves_out(notes: Program) -> None:
    done = notes("index", "export", "-i", INDEX, "-o", "out").ok()
    assert f"{INDEX}: its sparse vectors are left out" in done.err
    refused(
        notes("index", "import", "out.npy", "-i", INDEX),
        f"{INDEX}: holds sparse vectors, and an import makes none",
        "-i FILE",
    )
    notes("index", "import", "out.npy", "-i", "copy.emb", "-m", "static", "-q").ok()


def test_many_questions_and_other_forms(notes: Program, write: Write) -> None:
    write("q.jsonl", "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(TEXTS)))
    together = hits(notes, "--queries", "q.jsonl", "--mode", "sparse", "-n", 2)
    for number, text in enumerate(TEXTS):
        alone = hits(notes, text, "--mode", "sparse", "-n", 2)
        own = [hit for hit in together if hit["query"] == str(number)]
        assert [(hit["id"], hit["score"]) for hit in own] == [(hit["id"], hit["score"]) for hit in alone]
    assert hits(notes, TEXTS[1], "--mode", "sparse", "--explain")[0]["parts"].keys() == {"sparse"}
    refused(notes("search", " ", "-i", INDEX, "--mode", "sparse"), "the query is empty", "")
    refused(notes("search", "x", "docs/notes.jsonl", "--mode", "sparse"), "are about an index", "-i FILE")
    dry = notes("index", "build", "--dry-run", "-i", "new.emb", "docs/notes.jsonl", "--sparse", "tiny-sparse")
    assert "chunks    5" in dry.ok().out.decode()
    assert not (notes.folder / "new.emb").exists()
