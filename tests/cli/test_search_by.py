"""`embedcli search --by`: a hit for each chunk, record or file."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

LONG = " ".join(f"Loaf number {number} of the bread is baked in the oven at noon." for number in range(300))
ROWS = [
    {"id": "long", "text": LONG},
    {"id": "bread", "text": "How bread is baked at home."},
    *({"id": f"t{number}", "text": f"The tax form number {number} is due."} for number in range(8)),
]
QUESTION = "bread baked in an oven"


@pytest.fixture
def pantry(program: Program, write: Write) -> Program:
    write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    paragraphs = "\n\n".join(
        f"{name} is a kind of bread, and it is baked in an oven for {name} days, slowly and with care."
        for name in ("Rye", "Oat", "Corn")
    )
    write("docs/bread.txt", f"{paragraphs}\n")
    write("docs/tax.txt", "The tax is due in March, and nobody knows a way around it, whatever they try.\n")
    return program


@pytest.mark.parametrize("mode", ["hybrid", "dense", "lexical"])
def test_a_record_is_one_hit_in_an_index(pantry: Program, mode: str) -> None:
    pantry("index", "build", "-q", "-i", "x.emb", "rows.jsonl").ok()
    query = ("search", QUESTION, "-i", "x.emb", "--json", "--mode", mode)
    chunks = pantry(*query, "-n", 500, "--by", "chunk").ok().objects
    assert len([hit for hit in chunks if hit["id"] == "long"]) > 10
    found = pantry(*query, "-n", 5).ok().objects
    everyone = {"long", "bread"} if mode == "lexical" else None
    assert len(found) == len({hit["id"] for hit in found}) == (2 if everyone else 5)
    assert everyone is None or {hit["id"] for hit in found} == everyone
    first: dict[str, int] = {}
    for hit in chunks:
        first.setdefault(hit["id"], hit["chunk"])
    assert all(first[hit["id"]] == hit["chunk"] for hit in found), "each by its best chunk"
    assert [hit["rank"] for hit in found] == list(range(1, len(found) + 1))
    assert pantry(*query, "-n", 5, "--by", "record").ok().objects == found
    (only,) = pantry(*query, "-n", 5, "--by", "file").ok().objects
    assert only["id"] == found[0]["id"]


@pytest.mark.parametrize("place", ["rows.jsonl", "-"])
def test_a_record_is_one_hit_in_files_and_pipes(pantry: Program, place: str) -> None:
    stdin = (pantry.folder / "rows.jsonl").read_bytes()
    query = ("search", QUESTION, place, "--json", "--on-long", "split")
    found = pantry(*query, "-n", 10, stdin=stdin).ok().objects
    assert sorted(hit["id"] for hit in found) == sorted(row["id"] for row in ROWS)
    chunks = pantry(*query, "-n", 500, "--by", "chunk", stdin=stdin).ok().objects
    assert len(chunks) > 20
    best = {hit["id"]: hit["cosine"] for hit in reversed(chunks)}
    assert {hit["id"]: hit["cosine"] for hit in found} == best
    by_file = pantry(*query, "--by", "file", stdin=stdin).ok().objects
    assert len(by_file) == (1 if place != "-" else 10)


def test_paragraphs_of_a_text_are_hits_of_their_own(pantry: Program) -> None:
    pantry("index", "build", "-q", "-i", "x.emb", "docs").ok()
    for place in (("docs",), ("-i", "x.emb"), ("-i", "x.emb", "--mode", "dense")):
        found = pantry("search", QUESTION, *place, "--json", "--by", "chunk").ok().objects
        assert [hit["path"] for hit in found] == ["docs/bread.txt"] * 3 + ["docs/tax.txt"]
        for by in ("file", "record"):
            each = pantry("search", QUESTION, *place, "--json", "--by", by).ok().objects
            assert [hit["path"] for hit in each] == ["docs/bread.txt", "docs/tax.txt"]
            assert each[0]["text"] == found[0]["text"]


def test_an_unknown_unit_is_wrong_usage(pantry: Program) -> None:
    done = pantry("search", QUESTION, "docs", "--by", "page")
    assert (done.code, done.out, "--by" in done.err) == (2, b"", True)


def test_a_run_for_evaluation_tools(pantry: Program, write: Write) -> None:
    pantry("index", "build", "-q", "-i", "x.emb", "rows.jsonl").ok()
    write("q.jsonl", '{"id": "q1", "text": "bread"}\n{"id": "q2", "text": "tax form number 3"}\n')
    query = ("search", "-i", "x.emb", "-n", 4, "--queries", "q.jsonl")
    run = [line.split(" ") for line in pantry(*query, "--trec").ok().lines]
    wanted = pantry(*query, "--json").ok().objects
    assert [(row[0], row[2], int(row[3]), float(row[4])) for row in run] == [
        (hit["query"], hit["id"], hit["rank"], hit["score"]) for hit in wanted
    ]
    assert {(row[1], row[5]) for row in run} == {("Q0", "embedcli")}
    (line,) = pantry("search", "bread", "docs", "-n", 1, "--trec").ok().lines
    assert line.startswith("1 Q0 docs/bread.txt 1 0.")
    write("odd.jsonl", '{"id": "a b", "text": "bread"}\n{"id": "c", "text": "loaf"}\n')
    for odd, said in (
        (("odd.jsonl", "--trec"), "the id 'a b' is not one word"),
        (("docs", "--trec", "--by", "chunk"), "--trec names records"),
        (("docs", "--trec", "--json"), "exclude each other"),
    ):
        done = pantry("search", "bread", *odd)
        assert (done.code, done.out, said in done.err) == (2, b"", True)
