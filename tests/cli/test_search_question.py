"""`embedcli search`: questions that are more than one text."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Program

Write = Callable[..., Path]

TEXTS = [
    "The phone's battery is empty after an hour, I want my money back.",
    "My phone arrived quickly and looks great.",
    "The torch's battery leaks, this is a complaint.",
    "A laptop with a battery that lasts all day, I love it.",
    "The shoes hurt and the seller does not answer, very angry.",
    "Delivery was late and the parcel was damaged, I complain.",
]
ROWS = [{"id": f"r{number}", "text": text, "stars": number % 3} for number, text in enumerate(TEXTS)]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shelf")


@pytest.fixture
def shop(program: Program, write: Write, shelf: Path) -> Program:
    """The program beside `rows.jsonl` and its index, which is built once."""
    write("rows.jsonl", "".join(json.dumps(row) + "\n" for row in ROWS))
    if not (shelf / "x.emb").exists():
        program("index", "build", "-q", "-i", "x.emb", "rows.jsonl", "--dtype", "float32").ok()
        shutil.copy(program.folder / "x.emb", shelf)
    shutil.copy(shelf / "x.emb", program.folder)
    return program


def vectors(program: Program, role: str, *texts: str) -> np.ndarray:
    options = [part for text in texts for part in ("--string", text)]
    rows = [row["vector"] for row in program("embed", "--role", role, *options).ok().objects]
    return np.array(rows, dtype=np.float64)


PLACES = [("rows.jsonl",), ("-i", "x.emb")]


@pytest.mark.parametrize("place", PLACES)
def test_parts_are_combined_as_documented(shop: Program, place: tuple[str, ...]) -> None:
    query = ("search", "battery", *place, "--and", "a complaint", "--not", "phone", "--json", "-n", 6)
    found = shop(*query, "--explain").ok().objects
    texts = vectors(shop, "document", *TEXTS)
    wanted, also, without = vectors(shop, "query", "battery", "a complaint", "phone")
    near, second, unwanted = texts @ wanted, texts @ also, texts @ without
    scores = np.sqrt(np.maximum(near, 0) * np.maximum(second, 0)) - 0.4 * np.maximum(unwanted, 0)
    order = np.argsort(-scores, kind="stable")
    assert [hit["id"] for hit in found] == [f"r{row}" for row in order]
    for hit, row in zip(found, order, strict=True):
        assert hit["score"] == pytest.approx(scores[row], abs=1e-5)
        assert hit["cosine"] == pytest.approx(near[row], abs=1e-5)
        assert [part["value"] for part in hit["parts"].values()] == pytest.approx(
            [near[row], second[row], unwanted[row]], abs=1e-5
        )
        summed = sum(part["weight"] * part["scaled"] for part in hit["parts"].values())
        assert summed == pytest.approx(hit["score"], abs=1e-6)
    assert found[0]["id"] == "r2"
    assert {hit["query"] for hit in found} == {"battery --and a complaint --not phone"}
    bar = found[2]["score"]
    assert shop(*query, "--min-score", bar).ok().objects == [
        {key: value for key, value in hit.items() if key != "parts"} for hit in found[:3]
    ]
    some = shop(*query, "--where", "stars = 2").ok().objects
    assert [hit["id"] for hit in some] == [hit["id"] for hit in found if hit["stars"] == 2]


@pytest.mark.parametrize("place", PLACES)
def test_alternatives_and_examples(shop: Program, write: Write, place: tuple[str, ...]) -> None:
    found = shop("search", "--like", "shoes", "--like", "torch", *place, "-n", 2, "--json").ok().objects
    assert {hit["id"] for hit in found} == {"r2", "r4"}
    write("example.txt", "I am angry.\n\nNobody answers my mail, and the boots hurt.\n")
    (hit,) = shop("search", "--like", "@example.txt", *place, "-n", 1, "--json").ok().objects
    assert hit["id"] == "r4"
    texts = vectors(shop, "document", *TEXTS)
    (example,) = vectors(shop, "document", "I am angry.\n\nNobody answers my mail, and the boots hurt.\n")
    assert hit["cosine"] == pytest.approx(float(texts[4] @ example), abs=1e-5)
    # Several examples are averaged; a vector that came along is used as it is.
    rows = [
        {"text": "a battery"},
        {"id": "v", "vector": vectors(shop, "document", "a complaint")[0].tolist()},
    ]
    write("examples.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    (hit,) = shop("search", "--like", "@examples.jsonl", *place, "-n", 1, "--json").ok().objects
    mean = vectors(shop, "document", "a battery", "a complaint").mean(axis=0)
    cosines = texts @ mean / np.linalg.norm(mean)
    assert (hit["id"], hit["cosine"]) == (f"r{cosines.argmax()}", pytest.approx(cosines.max(), abs=1e-5))


def test_a_drafted_answer_moves_the_question(shop: Program, write: Write) -> None:
    write("drafts.jsonl", '{"text": "The parcel was broken."}\n{"text": "It came too late."}\n')
    query = ("search", "what went wrong", "-i", "x.emb", "--mode", "dense", "-n", 6, "--json")
    found = shop(*query, "--hyde", "drafts.jsonl").ok().objects
    (question,) = vectors(shop, "query", "what went wrong")
    moved = question + vectors(shop, "document", "The parcel was broken.", "It came too late.").sum(axis=0)
    cosines = vectors(shop, "document", *TEXTS) @ moved / np.linalg.norm(moved)
    assert [hit["cosine"] for hit in found] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)
    piped = shop(
        "search", "what went wrong", "rows.jsonl", "--hyde", "-", "-n", 1, "--json", stdin=b"It is broken."
    )
    assert piped.ok().objects[0]["cosine"] > shop(*query, "-n", 1).ok().objects[0]["cosine"]


def test_feedback_moves_it_towards_its_first_hits(shop: Program) -> None:
    query = ("search", "battery", "-i", "x.emb", "--mode", "dense", "-n", 6, "--json")
    plain = shop(*query).ok().objects
    found = shop(*query, "--prf", 2).ok().objects
    (question,) = vectors(shop, "query", "battery")
    first = vectors(shop, "document", *(hit["text"] for hit in plain[:2])).mean(axis=0)
    moved = question + 0.3 * first / np.linalg.norm(first)
    cosines = vectors(shop, "document", *TEXTS) @ moved / np.linalg.norm(moved)
    assert [hit["cosine"] for hit in found] == pytest.approx(sorted(cosines, reverse=True), abs=1e-5)


@pytest.mark.parametrize("place", PLACES)
def test_several_ways_to_ask_one_question(shop: Program, write: Write, place: tuple[str, ...]) -> None:
    write("ways.txt", "battery\nit is broken\nangry customer\n")
    query = ("search", "--queries", "ways.txt", *place, "--json", "-n", 6)
    lists: dict[str, dict[str, int]] = {}
    ranked: dict[str, list[tuple[int, float]]] = {}
    for hit in shop(*query).ok().objects:
        ranked.setdefault(hit["id"], []).append((hit["rank"], hit["cosine"]))
        lists.setdefault(hit["query"], {})[hit["id"]] = hit["rank"]
    assert len(lists) == 3
    wanted = {row["id"]: sum(1 / (60 + own[row["id"]]) for own in lists.values()) for row in ROWS}
    found = shop(*query, "--fuse-queries", "--explain").ok().objects
    assert [hit["score"] for hit in found] == pytest.approx(sorted(wanted.values(), reverse=True))
    assert {hit["id"]: hit["score"] for hit in found} == pytest.approx(wanted)
    # All else is as the question that ranked it best has it.
    for hit in found:
        own = ranked[hit["id"]]
        assert hit["cosine"] in [cosine for rank, cosine in own if rank == min(own)[0]]
    assert all(set(hit["parts"]) == {"1", "2", "3"} and hit["query"] == "ways.txt" for hit in found)
    assert len(shop(*query, "--fuse-queries", "-n", 2).ok().objects) == 2


def test_a_ready_vector_is_a_question(shop: Program) -> None:
    made = shop("embed", "--role", "query", "--string", "broken parcel").ok().out
    found = shop("search", "--queries", "-", "-i", "x.emb", "--json", "-n", 1, stdin=made).ok().objects
    assert found[0]["id"] == "r5"
    bare = json.dumps({"id": "q", "vector": json.loads(made)["vector"]}).encode()
    for mode in ("hybrid", "dense"):
        query = ("search", "--queries", "-", "-i", "x.emb", "--json", "-n", 3, "--mode", mode)
        without = shop(*query, stdin=bare).ok().objects
        assert (without[0]["id"], without[0]["query"]) == ("r5", "q")
        assert math.isfinite(without[0]["score"])


REFUSED = [
    (("--not", "phone", "-i", "x.emb"), "--not says only what is not wanted"),
    (("battery", "--and", "x", "-i", "x.emb", "--mode", "hybrid"), "--and compares vectors alone"),
    (("battery", "--and", "x", "-i", "x.emb", "--plan", "signs"), "compare every vector"),
    (
        ("battery", "--and", "x", "--rerank", "maxsim", "rows.jsonl"),
        "--rerank goes with a question in words",
    ),
    (
        ("battery", "--and", "x", "--hyde", "rows.jsonl", "rows.jsonl"),
        "--hyde goes with a question in words",
    ),
    (
        ("battery", "--and", "x", "rows.jsonl", "--min-score", "auto"),
        "--min-score auto is about one cosine",
    ),
    (("--like", "@none.txt", "rows.jsonl"), "none.txt"),
    (("--like", "@empty.txt", "rows.jsonl"), "empty.txt: no text in it"),
    (("--like", "@.", "rows.jsonl"), "an example: . is no file"),
    (("--like", "  ", "rows.jsonl"), "'  ' has no words to be like"),
    (("battery", "--hyde", "-", "-"), "standard input can be read once"),
    (
        ("battery", "--hyde", "rows.jsonl", "-i", "x.emb", "--mode", "lexical"),
        "--mode lexical looks at none",
    ),
    (("battery", "--prf", "3", "-i", "x.emb", "--mode", "lexical"), "--mode lexical looks at none"),
    (("battery", "--prf", "3", "rows.jsonl"), "only an index can answer"),
    (("battery", "--fuse-queries", "rows.jsonl"), "--queries FILE"),
    (("--queries", "rows.jsonl", "--and", "x", "-i", "x.emb"), "--queries brings many"),
    (("--queries", "rows.jsonl", "--hyde", "rows.jsonl", "-i", "x.emb"), "--queries brings many"),
]


def test_what_contradicts_itself_is_refused(shop: Program, write: Write) -> None:
    write("empty.txt", "\n")
    for options, said in REFUSED:
        done = shop("search", *options)
        assert (done.code, done.out) == (2, b""), options
        assert said in done.err, options


def test_fields_and_columns_are_about_examples_too(shop: Program, write: Write) -> None:
    write("examples.csv", "n,body\n1,The boots hurt and nobody answers.\n")
    for place in PLACES:
        plain = shop("search", "--like", "@examples.csv", *place, "-n", 1)
        assert (plain.code, "no column 'text'" in plain.err or "--column" in plain.err) == (2, True)
    found = shop("search", "--like", "@examples.csv", "-i", "x.emb", "--column", "body", "-n", 1, "--json")
    assert found.ok().objects[0]["id"] == "r4"
    write("draft.txt", "The parcel was broken.")
    drafted = [
        shop("search", "what went wrong", "-i", "x.emb", "--hyde", name, "--json").ok().out
        for name in ("draft.txt", "@draft.txt")
    ]
    assert drafted[0] == drafted[1]


def test_words_alone_may_be_all_that_is_asked(shop: Program) -> None:
    found = shop(
        "search", "--mode", "lexical", "--lexical-query", "batter* NOT laptop", "-i", "x.emb", "--json"
    )
    assert {hit["id"] for hit in found.ok().objects} == {"r0", "r2"}
    bare = shop("embed", "--role", "query", "--string", "broken parcel", "--no-text").ok().out
    done = shop("search", "--queries", "-", "-i", "x.emb", "--mode", "lexical", stdin=bare)
    assert (done.code, "the queries have no words" in done.err) == (2, True)


def test_each_of_many_questions_is_named_even_if_it_is_one(shop: Program) -> None:
    for count in (1, 2):
        asked = shop("search", "--queries", "-", "rows.jsonl", "-n", 1, stdin=b"battery\n" * count)
        lines = asked.ok().lines
        assert [line.split(":")[:2] for line in lines] == [[str(n + 1), "rows.jsonl"] for n in range(count)]


def test_an_index_is_read_as_it_was_built(shop: Program) -> None:
    about_files = ("--include=*.md", "--field=title", "--format=lines", "--chunking=late", "--chunk-tokens=9")
    for option in (*about_files, "--context-title"):
        done = shop("search", "battery", "-i", "x.emb", option)
        assert (done.code, done.out) == (2, b""), option
        assert "settled when the index was built" in done.err, option
    assert shop("search", "battery", "rows.jsonl", "--field=text").code == 0


def test_lines_around_hits_are_no_other_form(shop: Program) -> None:
    for form in ("--json", "--trec", "-l", "-c"):
        done = shop("search", "battery", "-i", "x.emb", form, "-C", 1)
        assert (done.code, done.out, "-A, -B and -C show lines" in done.err) == (2, b"", True)


def test_a_build_of_nothing_leaves_nothing(shop: Program) -> None:
    done = shop("index", "build", "-i", "none.emb")
    assert (done.code, "no paths to read" in done.err) == (2, True)
    assert not (shop.folder / "none.emb").exists()
