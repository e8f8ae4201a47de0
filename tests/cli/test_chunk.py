"""`embedcli chunk` as a real process."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

PAGE = """\
# A page

First paragraph of the page, which is long enough to be a chunk of its own, é 漢.

## Part two

Dr. No said so. It was true! Was it?

```sh
# no heading
```
"""
LONG = " ".join(f"Sentence {number} of a long report speaks of bread." for number in range(200))


def objects(program: Program, *arguments: object, **options: Any) -> list[dict[str, Any]]:
    return program("chunk", "--json", *arguments, **options).ok().objects


def test_chunks_are_shown_with_their_places(program: Program, write: Write) -> None:
    write("page.md", PAGE)
    done = program("chunk", "page.md").ok()
    assert done.err == ""
    assert (
        done.lines[0]
        == "page.md:1:# A page First paragraph of the page, which is long enough to be a chunk of its own, é 漢."
    )
    assert [line.split(":")[1] for line in done.lines] == ["1", "5"]
    found = program("chunk", "page.md", "--chunking", "sentences").ok()
    assert found.lines[-4:] == [
        "page.md:7:Dr. No said so.",
        "page.md:7:It was true!",
        "page.md:7:Was it?",
        "page.md:9:```sh # no heading ```",
    ]
    assert [
        line.split(":")[1] for line in program("chunk", "page.md", "--chunking", "markdown").ok().lines
    ] == ["1", "5"]
    assert len(program("chunk", "page.md", "--chunking", "lines").ok().lines) == 7


@pytest.mark.parametrize("chunking", ["none", "sentences", "paragraphs", "markdown", "code"])
def test_records_of_chunks_join_back(program: Program, write: Write, chunking: str) -> None:
    text = PAGE + LONG + "\n"
    write("page.md", text)
    end = 0
    found = objects(program, "page.md", "--chunking", chunking, "--on-long", "pool")
    for number, record in enumerate(found, start=1):
        assert (record["id"], record["chunk"]) == (f"page.md#{number}", number)
        assert text[record["start"] : record["end"]] == record["text"]
        assert text[end : record["start"]].strip() == ""
        assert record["line"] == 1 + text[: record["start"]].count("\n")
        end = record["end"]
    assert text[end:].strip() == ""


def test_windows_of_tokens_overlap(program: Program, write: Write) -> None:
    write("long.txt", LONG)
    found = objects(program, "long.txt", "--chunking", "tokens")
    assert all(LONG[each["start"] : each["end"]] == each["text"] for each in found)
    assert all(after["start"] < before["end"] for before, after in itertools.pairwise(found))
    assert (found[0]["start"], found[-1]["end"]) == (0, len(LONG))
    done = program("chunk", "long.txt", "--chunking", "tokens", "--on-long", "pool")
    assert (done.code, "needs a number of tokens" in done.err) == (2, True)


def test_no_chunk_is_longer_than_the_model_takes(program: Program, write: Write) -> None:
    write("long.txt", LONG)
    found = objects(program, "long.txt")
    assert len(found) > 5
    done = program(
        "embed", "--on-long", "error", stdin="".join(json.dumps(each) + "\n" for each in found).encode()
    )
    assert done.ok().err == ""
    assert len(objects(program, "long.txt", "--on-long", "pool")) == 1
    assert len(objects(program, "long.txt", "-m", "static")) < len(found)


def test_an_index_holds_what_is_shown(program: Program, write: Write) -> None:
    write("docs/page.md", PAGE)
    write("docs/long.txt", LONG)
    for chunking in ("paragraphs", "markdown", "sentences", "code"):
        shown = objects(program, "docs", "--chunking", chunking)
        program("index", "build", "-q", "-i", f"{chunking}.emb", "docs", "--chunking", chunking).ok()
        hits = (
            program(
                "search",
                "bread",
                "-i",
                f"{chunking}.emb",
                "-n",
                1000,
                "--by",
                "chunk",
                "--no-collapse",
                "--json",
            )
            .ok()
            .objects
        )
        assert sorted((hit["path"], hit["chunk"], hit["text"]) for hit in hits) == sorted(
            (each["path"], each["chunk"], each["text"]) for each in shown
        )


def test_standard_input_tables_and_records(program: Program, write: Write) -> None:
    piped = objects(program, "--chunking", "markdown", "-", stdin=PAGE.encode())
    assert [record["line"] for record in piped] == [1, 5]
    assert piped[0]["path"] is None
    lines = objects(program, "--chunking", "lines", "-", stdin=b"one\n\ntwo\n")
    assert [record["text"] for record in lines] == ["one", "two"]
    write("t.csv", "id,body,n\na,One. Two.,1\nb,,2\n")
    found = objects(program, "t.csv", "--column", "body", "--chunking", "sentences")
    assert [(each["id"], each["text"], each["n"]) for each in found] == [
        ("a#1", "One.", "1"),
        ("a#2", "Two.", "1"),
    ]
    rows = b'{"id": "x", "text": "One. Two.", "tag": [1]}\n'
    found = objects(program, "-", "--chunking", "sentences", stdin=rows)
    assert [(each["id"], each["text"], each["tag"]) for each in found] == [
        ("x#1", "One.", [1]),
        ("x#2", "Two.", [1]),
    ]
    assert [each["id"] for each in objects(program, "-", stdin=rows)] == ["x#1"]


def test_nothing_missing_and_wrong(program: Program, write: Write) -> None:
    assert (program("chunk", "-").ok().out, program("chunk", "--json", "-").ok().out) == (b"", b"")
    assert program("chunk", "none.txt").code == 2
    done = program("chunk", "-", "--chunking", "chapters")
    assert (done.code, done.out, "--chunking" in done.err) == (2, b"", True)
    write("bad.jsonl", '{"text": "a"}\n{"text": \n')
    done = program("chunk", "bad.jsonl", "--stats-json", "s.json")
    assert (done.code, done.lines) == (3, ["bad.jsonl:1:a"])
    assert json.loads((program.folder / "s.json").read_text())["written"] == 1


def test_a_closed_pipe_is_no_error(program: Program, write: Write) -> None:
    write("many.txt", "".join(f"Line {number} of many.\n" for number in range(100_000)))
    command = ("chunk", "--chunking", "lines", "many.txt")
    with program.start(*command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"many.txt:1:Line 0 of many.\n"
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
