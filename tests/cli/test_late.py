"""`--chunking late`, `--chunk-tokens`, `--chunk-overlap` and `--context-title` as real processes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.conftest import Program

Write = Callable[..., Path]

CITY = (
    "Berlin is the capital of Germany and by far its largest city, well known all over the world for its"
    " museums, its music and its parks."
)
PEOPLE = (
    "It has more than 3.8 million inhabitants, who live in twelve boroughs, the largest of them in the east."
)
BREAD = (
    "Mix the flour with water and salt, rest the dough over night in a cool place and bake it hot and long."
)
PAGE = f"{CITY}\n\n{PEOPLE}\n\n{BREAD}\n"
GUIDE = f"# Guide\n\n## Install\n\n{BREAD}\n\n## Remove\n\n{PEOPLE}\n"
LATE = ("--chunking", "late")


def build(program: Program, *arguments: object, **options: Any) -> tuple[int, int]:
    """Build `x.emb`, and return how many chunks were encoded and how many written."""
    program("index", "build", "-i", "x.emb", *arguments, "--stats-json", "s.json", **options).ok()
    counts = json.loads((program.folder / "s.json").read_text())
    return counts["encoded"], counts["written"]


def exported(program: Program, index: str = "x.emb") -> dict[tuple[str, int], tuple[str, np.ndarray]]:
    """Return the text and the vector of each chunk of an index."""
    program("index", "export", "-i", index, "-o", "out", "-q").ok()
    lines = (program.folder / "out.jsonl").read_text().splitlines()
    vectors = np.load(program.folder / "out.npy").astype(np.float32)
    rows = [json.loads(line) for line in lines]
    return {(row["id"], row["chunk"]): (row["text"], vectors[at]) for at, row in enumerate(rows)}


def cosines(program: Program, *arguments: object) -> dict[str, float]:
    """Ask for Berlin, and return the cosine of each chunk."""
    hits = program("search", "Berlin", *arguments, "--json", "-n", 50, "--by", "chunk").ok().objects
    return {hit["text"]: hit["cosine"] for hit in hits}


def test_late_chunks_know_their_surroundings_in_files_and_in_an_index(program: Program, write: Write) -> None:
    write("page.md", PAGE)
    shown = program("chunk", *LATE, "--json", "page.md").ok().objects
    assert [PAGE[each["start"] : each["end"]] for each in shown] == [CITY, PEOPLE, BREAD]
    assert build(program, *LATE, "page.md") == (3, 3)
    late = cosines(program, "-i", "x.emb", "--mode", "dense")
    separate = cosines(program, "page.md", "--chunking", "paragraphs")
    assert late[PEOPLE] > separate[PEOPLE] + 0.1
    first = program(
        "search", "Berlin", "page.md", *LATE, "--by", "chunk", "--json", "--stats-json", "s.json"
    ).ok()
    again = program(
        "search", "Berlin", "page.md", *LATE, "--by", "chunk", "--json", "--stats-json", "t.json"
    ).ok()
    assert first.out == again.out
    in_files = {hit["text"]: hit["cosine"] for hit in first.objects}
    assert in_files == pytest.approx(late, abs=2e-3)
    counts = [json.loads((program.folder / name).read_text()) for name in ("s.json", "t.json")]
    assert [each["encoded"] for each in counts] == [3, 0]
    # The mean of the chunks, weighted by their tokens, is the vector of the whole.
    whole = program("embed", "page.md", "--format", "whole", "--no-normalize").ok().objects[0]["vector"]
    parts = np.array([vector for _, vector in exported(program).values()])
    weights = np.linalg.lstsq(parts.T, np.array(whole), rcond=None)[0]
    assert (weights > 0).all()
    np.testing.assert_allclose(parts.T @ weights, whole, atol=2e-3)


def test_only_what_a_change_reaches_is_encoded_again(program: Program, write: Write) -> None:
    write("docs/page.md", PAGE)
    write("docs/other.md", f"{BREAD}\n\n{CITY}\n")
    assert build(program, *LATE, "docs") == (5, 5)
    assert build(program) == (0, 0)
    before = exported(program)
    write("docs/page.md", PAGE.replace("hot and long", "hot"))
    assert build(program) == (3, 3), "its neighbours stand in another text now"
    after = exported(program)
    assert after["other.md", 1] is not None
    for number in (1, 2):
        assert after["page.md", number][0] == before["page.md", number][0]
        assert np.abs(after["page.md", number][1] - before["page.md", number][1]).max() > 1e-3
    write("docs/copy.md", PAGE.replace("hot and long", "hot"))
    (program.folder / "docs/other.md").rename(program.folder / "docs/moved.md")
    assert build(program) == (0, 5), "the same text in another file"
    copied = exported(program)
    for number in (1, 2, 3):
        assert copied["copy.md", number][1].tolist() == after["page.md", number][1].tolist()
    program("index", "check", "-i", "x.emb").ok()


def test_long_texts_go_through_the_encoder_in_windows(program: Program, write: Write) -> None:
    """A record of many chunks is written in parts; the result does not depend on them, nor on threads."""
    sentences = [f"Sentence number {number} is about {number % 7} dogs." for number in range(400)]
    write("long.txt", " ".join(sentences) + "\n")
    options = (*LATE, "--chunk-tokens", 12)
    encoded, written = build(program, *options, "long.txt", "-j", 2)
    assert (encoded, written) == (400, 400)
    shown = program("chunk", *options, "--json", "long.txt").ok().objects
    assert [each["text"] for each in shown] == sentences
    first = exported(program)
    lines = [json.dumps({"id": str(n), "text": " ".join(sentences)}) for n in range(2)]
    program(
        "index", "build", "-q", "-i", "y.emb", "-", *options, "-j", 1, stdin="\n".join(lines).encode()
    ).ok()
    second = exported(program, "y.emb")
    for number in (1, 255, 256, 257, 300, 400):
        assert second["1", number][1].tolist() == first["long.txt", number][1].tolist()
    status = json.loads(program("index", "status", "-i", "x.emb", "--json").ok().out)
    assert status["chunking"] == ["late, at most 12 tokens; split when long"]
    program("index", "check", "-i", "x.emb").ok()


def test_a_rehearsal_counts_the_windows(program: Program, write: Write) -> None:
    write("page.md", PAGE)
    done = program("index", "build", "-i", "x.emb", *LATE, "page.md", "--dry-run").ok()
    facts = dict(line.split(maxsplit=1) for line in done.lines)
    assert facts["chunks"] == "3"
    assert 70 < int(facts["tokens"]) < 110, "one window, not one for each chunk"
    assert not (program.folder / "x.emb").exists()


def test_the_size_of_chunks_is_kept_for_each_root(program: Program, write: Write) -> None:
    text = " ".join(f"word{number}" for number in range(400))
    write("a/long.txt", text)
    write("b/other.txt", text)
    build(program, "a", "b")
    assert build(program, "a", "--chunk-tokens", 40, "--chunk-overlap", 8)[1] > 20
    assert build(program) == (0, 0)
    before = exported(program)
    sizes = {name: len(text.split()) for (name, _), (text, _) in before.items()}
    assert sizes["long.txt"] <= 20
    assert sizes["other.txt"] > 50, "b is as it was"
    status = json.loads(program("index", "status", "-i", "x.emb", "--json").ok().out)
    assert status["chunking"] == [
        "paragraphs for text files, none for JSONL and CSV, at most 40 tokens, sharing 8; split when long",
        "paragraphs for text files, none for JSONL and CSV; split when long",
    ]
    shown = program("chunk", "a", "--chunk-tokens", 40, "--chunk-overlap", 0, "--json").ok().objects
    assert " ".join(each["text"] for each in shown) == text
    shared = program("chunk", "a", "--chunk-tokens", 40, "--chunk-overlap", 20, "--json").ok().objects
    for one, two in itertools.pairwise(shared):
        assert one["start"] < two["start"] < one["end"]
    every = ("--by", "chunk", "--no-collapse", "--json", "-n", 100)
    found = program("search", "word7", "a", "--chunk-tokens", 40, *every).ok().objects
    unsaid = program("chunk", "a", "--chunk-tokens", 40, "--json").ok().objects
    assert sorted(hit["text"] for hit in found) == sorted(each["text"] for each in unsaid)
    # Records that are lines are cut as well once a size is said.
    lines = program("search", "word7", "-", "--chunk-tokens", 40, "--json", "-n", 100, stdin=text.encode())
    assert len(lines.ok().objects) == 1
    by_chunk = ("--by", "chunk", "--json", "-n", 100, "--chunk-tokens", 40)
    assert len(program("search", "word7", "-", *by_chunk, stdin=text.encode()).ok().objects) == len(unsaid)


def test_a_title_is_encoded_with_each_chunk(program: Program, write: Write) -> None:
    write("guide.md", GUIDE)
    sections = ("--chunking", "markdown", "--chunk-tokens", 20)
    shown = program("chunk", *sections, "--context-title", "--json", "guide.md").ok().objects
    assert {each["title"] for each in shown} == {"Guide > Install", "Guide > Remove"}
    assert all(GUIDE[each["start"] : each["end"]] == each["text"] for each in shown)
    assert build(program, *sections, "--context-title", "guide.md") == (len(shown), len(shown))
    found = exported(program)
    texts = [f"{each['title']}\n{each['text']}" for each in shown]
    options = [option for text in texts for option in ("--string", text)]
    wanted = [each["vector"] for each in program("embed", *options).ok().objects]
    for number, each in enumerate(shown, start=1):
        text, vector = found["guide.md", number]
        assert text == each["text"]
        np.testing.assert_allclose(vector, wanted[number - 1], atol=1e-3)
    hits = (
        program(
            "search", "Guide > Install", "guide.md", *sections, "--context-title", "--by", "chunk", "--json"
        )
        .ok()
        .objects
    )
    assert hits[0]["text"] == shown[0]["text"]
    write("guide.md", GUIDE.replace("# Guide", "# Manual", 1))
    assert build(program)[0] == len(shown)
    assert build(program, "guide.md", "--no-context-title")[0] > 0
    status = json.loads(program("index", "status", "-i", "x.emb", "--json").ok().out)
    assert status["chunking"] == ["markdown, at most 20 tokens; split when long"]


def test_the_title_of_a_record(program: Program, write: Write) -> None:
    def rows(title: str) -> str:
        return "".join(
            json.dumps(row) + "\n"
            for row in (
                {"id": "1", "title": title, "text": PEOPLE},
                {"id": "2", "text": PEOPLE},
                {"id": "3", "title": "", "text": BREAD},
            )
        )

    write("t.jsonl", rows("Berlin"))
    assert build(program, "t.jsonl", "--context-title") == (3, 3)
    found = exported(program)
    strings = ("--string", f"Berlin\n{PEOPLE}", "--string", PEOPLE)
    wanted = [np.array(each["vector"]) for each in program("embed", *strings).ok().objects]
    for name, vector in (("1", wanted[0]), ("2", wanted[1])):
        np.testing.assert_allclose(found[name, 1][1], vector, atol=1e-3)
        assert found[name, 1][0] == PEOPLE
    write("t.jsonl", rows("Paris"))
    assert build(program) == (1, 1)
    write("t.jsonl", rows("Paris"))
    assert build(program) == (0, 0)
    # In the text already: nothing is said twice.
    program(
        "index",
        "build",
        "-q",
        "-i",
        "y.emb",
        "t.jsonl",
        "--context-title",
        *("--field", "title"),
        *("--field", "text"),
    ).ok()
    joined = ("embed", "--string", f"Paris {PEOPLE}")
    np.testing.assert_allclose(
        exported(program, "y.emb")["1", 1][1], program(*joined).ok().objects[0]["vector"], atol=1e-3
    )


def test_a_title_leaves_room_for_all_of_the_chunk(program: Program, write: Write) -> None:
    long = " ".join(f"part {number}" for number in range(200))
    write("t.jsonl", json.dumps({"id": "1", "title": long, "text": long}) + "\n")
    write("t.md", f"# {long}\n\n{long}\n")
    for name, options in (("t.jsonl", ()), ("t.md", ("--chunking", "markdown"))):
        shown = program("chunk", name, *options, "--context-title", "--json").ok().objects
        assert len(shown) > 1
        assert all(20 < len(each["title"].split()) <= 32 for each in shown)
        texts = [option for each in shown for option in ("--string", f"{each['title']}\n{each['text']}")]
        program("embed", *texts, "--on-long", "error").ok()


@pytest.mark.parametrize(
    ("options", "cause", "hint"),
    [
        ((*LATE, "-m", "static"), "a table of tokens", "--chunking paragraphs"),
        ((*LATE, "--on-long", "pool"), "--on-long pool contradicts it", "--on-long split"),
        ((*LATE, "--chunk-overlap", 3), "share no tokens", "--chunk-overlap"),
        ((*LATE, "--context-title"), "--context-title is for the others", "--no-context-title"),
        (("--chunk-tokens", 255), "takes 254 tokens of text", "--chunk-tokens 254"),
        (("--chunk-tokens", 20, "--chunk-overlap", 20), "does not fit chunks of 20", "smaller"),
        (("--context-title", "--chunk-overlap", 230), "does not fit chunks of", "smaller"),
        (("--chunk-tokens", 20, "--on-long", "truncate"), "splits none", "--on-long split"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    program: Program, write: Write, options: tuple[object, ...], cause: str, hint: str
) -> None:
    write("page.md", PAGE)
    everywhere = "pool" in options
    for command in (("index", "build", "-i", "x.emb"), ("search", "Berlin"), ("chunk",))[
        : 3 if everywhere else 1
    ]:
        done = program(*command, "page.md", *options)
        assert (done.code, done.out) == (2, b"")
        first, second = done.err.splitlines()
        assert cause in first
        assert second.startswith("hint: ")
        assert hint in second
    assert not (program.folder / "x.emb").exists()


def test_what_an_index_keeps_is_looked_at_too(program: Program, write: Write) -> None:
    write("page.md", PAGE)
    build(program, "page.md", "--on-long", "pool")
    before = (program.folder / "x.emb").read_bytes()
    done = program("index", "build", "-i", "x.emb", "page.md", "--chunk-tokens", 20)
    assert done.code == 2
    assert "--on-long pool splits none" in done.err
    assert exported(program).keys() == {("page.md", number) for number in (1, 2, 3)}
    assert len((program.folder / "x.emb").read_bytes()) == len(before)
