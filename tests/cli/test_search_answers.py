"""`embedcli search`: neighbours make one hit, and nothing is said twice."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

PARAGRAPHS = [
    "Sourdough bread is baked in a hot oven, and the loaf is left to rest on a rack for an hour.",
    "Rye bread is baked in a cooler oven for longer, and its loaf keeps fresh for more than a week.",
    "The tax office is open on Mondays, and the forms for the year are found beside its entrance.",
    "A bicycle needs its chain oiled every month, and the brakes looked at before a longer journey.",
    "White bread is baked in the oven within half an hour, and a loaf of it is stale after two days.",
]
QUESTION = "bread loaf baked in an oven"


@pytest.fixture
def pantry(program: Program, write: Write) -> Program:
    write("docs/notes.txt", "\n\n".join(PARAGRAPHS) + "\n")
    program("index", "build", "-q", "-i", "x.emb", "docs").ok()
    return program


@pytest.mark.parametrize("place", [("docs",), ("-i", "x.emb"), ("-i", "x.emb", "--mode", "dense")])
def test_paragraphs_beside_each_other_are_one_hit(pantry: Program, place: tuple[str, ...]) -> None:
    text = (pantry.folder / "docs/notes.txt").read_text()
    found = pantry("search", QUESTION, *place, "-n", 3, "--json").ok().objects
    first = next(hit for hit in found if "Sourdough" in hit["text"])
    assert first["text"] == "\n\n".join(PARAGRAPHS[:2])
    assert (first["line"], first["end_line"]) == (1, 3)
    assert first["text"] == text[first["start"] : first["end"]]
    assert {(hit["text"], hit["line"]) for hit in found} >= {(PARAGRAPHS[4], 9)}
    assert not any(PARAGRAPHS[1] in hit["text"] for hit in found if hit is not first)
    single = pantry("search", QUESTION, *place, "-n", 3, "--by", "chunk", "--json").ok().objects
    assert sorted(hit["text"] for hit in single) == sorted([*PARAGRAPHS[:2], PARAGRAPHS[4]])
    assert all(hit["text"] == text[hit["start"] : hit["end"]] for hit in single)
    lines = pantry("search", QUESTION, *place, "-n", 3).ok().lines
    assert any(line.startswith("docs/notes.txt:1:") and line.endswith(PARAGRAPHS[1]) for line in lines)


def test_windows_that_overlap_say_nothing_twice(program: Program, write: Write) -> None:
    words = " ".join(f"word{number} of the long story about bread" for number in range(120))
    write("docs/story.txt", words + "\n")
    program("index", "build", "-q", "-i", "x.emb", "docs").ok()
    chunks = (
        program("search", "bread", "-i", "x.emb", "--by", "chunk", "--no-collapse", "--json").ok().objects
    )
    assert 1 < len(chunks) <= 9
    found = program("search", "bread", "-i", "x.emb", "--json").ok().objects
    assert len(found) < len(chunks)
    assert all(hit["text"] == words[hit["start"] : hit["end"]] for hit in found)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_line_of_a_log_is_shown_once(program: Program, jobs: int) -> None:
    # Far more repeated lines than are ever looked at together.
    lines = [
        f"disk {'/' * (number % 2)} full" if number % 100 else f"disk {number} full" for number in range(1500)
    ]
    stdin = "\n".join(lines).encode()
    query = ("search", "disk full", "-", "-n", 12, "--json", "-j", jobs)
    done = program(*query, stdin=stdin)
    found = done.ok().objects
    assert len(found) == 12
    (full,) = [hit for hit in found if hit["text"].split() in (["disk", "full"], ["disk", "/", "full"])]
    assert full["alike"] == 1500 - 15 - 1
    assert f"{full['alike']} more say what a hit says already; --no-collapse shows them" in done.err
    every = program(*query, "--no-collapse", stdin=stdin)
    assert [hit["alike"] for hit in every.ok().objects] == [0] * 12
    assert every.err == ""
    quiet = program("search", "disk full", "-", "-q", stdin=stdin)
    assert (quiet.code, quiet.err) == (0, "")


def test_copies_are_counted_where_names_and_numbers_are_wanted(program: Program, write: Write) -> None:
    write("docs/one.txt", PARAGRAPHS[0])
    write("docs/two.txt", PARAGRAPHS[0].upper())
    write("docs/three.txt", PARAGRAPHS[2])
    program("index", "build", "-q", "-i", "x.emb", "docs").ok()
    for place in (("docs",), ("-i", "x.emb")):
        found = program("search", QUESTION, *place, "--json").ok().objects
        assert [hit["alike"] for hit in found] == [1, 0]
        assert len(program("search", QUESTION, *place, "-l").ok().lines) == 3
        assert len(program("search", QUESTION, *place, "-c").ok().lines) == 3
        assert len(program("search", QUESTION, *place, "--trec").ok().lines) == 3
        again = program("search", QUESTION, *place, "--rerank", "maxsim", "--json").ok().objects
        assert [hit["alike"] for hit in again] == [1, 0]
