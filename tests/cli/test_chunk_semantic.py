"""`--chunking semantic` as a real process: texts are cut where their subject changes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

BREAD = (
    "The bread dough must rest over night. Fold it twice in the morning. Bake it in a closed pot at 240"
    " degrees. Let it cool before cutting."
)
CERTIFICATE = (
    "The web server's certificate runs out every ninety days. A timer renews it at three in the morning."
    " If that fails, the operators get mail. Browsers warn visitors a month later."
)
GARDEN = (
    "Tomatoes need sun and water. Plant them after the last frost. Remove side shoots every week. The"
    " tomatoes are ripe in August."
)
PAGE = f"{BREAD} {CERTIFICATE}\n{GARDEN}\n"


def test_a_text_is_cut_where_its_subject_changes(program: Program, write: Write) -> None:
    write("page.txt", PAGE)
    found = program("chunk", "--chunking", "semantic", "--json", "page.txt").ok().objects
    assert [each["text"] for each in found] == [BREAD, CERTIFICATE, GARDEN]
    assert [PAGE[each["start"] : each["end"]] for each in found] == [BREAD, CERTIFICATE, GARDEN]
    assert [each["line"] for each in found] == [1, 1, 2]
    again = program("chunk", "--chunking", "semantic", "--json", "-", stdin=PAGE.encode()).ok().objects
    assert [each["text"] for each in again] == [BREAD, CERTIFICATE, GARDEN]


def test_no_chunk_is_longer_than_was_asked_for(program: Program, write: Write) -> None:
    write("page.txt", PAGE)
    asked = ("--chunking", "semantic", "--chunk-tokens", 24, "--json", "page.txt")
    texts = [each["text"] for each in program("chunk", *asked).ok().objects]
    assert len(texts) > 3
    assert "".join("".join(texts).split()) == "".join(PAGE.split())
    # What is cut at 24 tokens already is cut no more.
    write("parts.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    again = program("chunk", "--chunking", "none", "--chunk-tokens", 24, "--json", "parts.jsonl").ok().objects
    assert [each["text"] for each in again] == texts


def test_files_and_an_index_are_cut_alike(program: Program, write: Write) -> None:
    write("page.txt", PAGE)
    semantic = ("--chunking", "semantic")
    direct = (
        program("search", "how are tomatoes grown", "page.txt", *semantic, "--json", "-n", 1).ok().objects
    )
    program("index", "build", "-q", "-i", "x.emb", *semantic, "page.txt").ok()
    stored = (
        program("search", "how are tomatoes grown", "-i", "x.emb", "--mode", "dense", "--json", "-n", 1)
        .ok()
        .objects
    )
    assert direct[0]["text"] == stored[0]["text"] == GARDEN
    assert b"semantic" in program("index", "status", "-i", "x.emb").ok().out


@pytest.mark.parametrize("text", ["", "\n\n", "One sentence alone."])
def test_little_text_is_no_trouble(program: Program, text: str) -> None:
    done = program("chunk", "--chunking", "semantic", "-", stdin=text.encode())
    assert (done.code, done.out.strip()) == (0, b"1:" * bool(text.strip()) + text.strip().encode())
