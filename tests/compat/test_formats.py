"""The committed index files still open, answer and verify, and can be built upon."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.compat.make_index import HERE, answers, mode_of

if TYPE_CHECKING:
    from tests.conftest import Program

INDEXES = sorted(path.stem for path in HERE.glob("format-*.emb"))


@pytest.fixture
def tiny(program: Program, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    # Also for the processes that `answers` starts.
    for key, value in program.environment.items():
        monkeypatch.setenv(key, value)
    return {"EMBEDCLI_MODELS": str(HERE / "models"), "EMBEDCLI_MODEL": "tiny"}


def copy_of(name: str, folder: Path) -> Path:
    for path in HERE.glob(f"{name}.emb*"):
        shutil.copy(path, folder)
    return folder / f"{name}.emb"


def test_there_are_files_of_each_format() -> None:
    assert [
        *("format-1-binary", "format-1-float16", "format-1-float32", "format-1-int8"),
        "format-2-sparse",
    ] == INDEXES


@pytest.mark.parametrize("name", INDEXES)
def test_an_old_index_answers_as_it_did(program: Program, tiny: dict[str, str], name: str) -> None:
    index = copy_of(name, program.folder)
    expected = json.loads((HERE / f"{name}.json").read_text())
    found = answers(index, mode_of(name))
    score = "cosine" if mode_of(name) == "dense" else "score"
    assert list(found) == list(expected)
    for query, hits in expected.items():
        assert [{**hit, score: None} for hit in found[query]] == [{**hit, score: None} for hit in hits]
        # The last bits of a sum may differ between processors.
        assert [hit[score] for hit in found[query]] == pytest.approx(
            [hit[score] for hit in hits], rel=1e-6, abs=1e-6
        )
    assert program("index", "check", "-i", index, env=tiny).code == 0


@pytest.mark.parametrize("name", INDEXES)
def test_the_words_of_an_old_index_are_found(program: Program, tiny: dict[str, str], name: str) -> None:
    index = copy_of(name, program.folder)
    for mode in ("lexical", "hybrid"):
        done = program("search", "bub", "-i", index, "--mode", mode, "-n", 1, "--json", env=tiny)
        if name == "format-1-int8":
            assert (done.code, "built with --no-text" in done.err) == (2, True)
        else:
            assert "bub" in done.ok().objects[0]["text"].split()


@pytest.mark.parametrize("name", INDEXES)
def test_an_old_index_can_be_built_upon(program: Program, tiny: dict[str, str], name: str) -> None:
    index = copy_of(name, program.folder)
    program(
        "index", "build", "-i", index, "-", stdin=b'{"id": "new", "text": "tid tid tid rub"}\n', env=tiny
    ).ok()
    (hit,) = program("search", "tid tid tid rub", "-i", index, "-n", "1", "--json", env=tiny).ok().objects
    assert hit["id"] == "new"
    program("index", "compact", "-i", index, env=tiny).ok()
    assert program("index", "check", "-i", index, env=tiny).code == 0


def test_an_old_graph_is_used(program: Program, tiny: dict[str, str]) -> None:
    pytest.importorskip("hnswlib")
    index = copy_of("format-1-float16", program.folder)
    asked = b"bab bed\nnob\n"
    exact = program("search", "--queries", "-", "-i", index, "--exact", "--json", stdin=asked, env=tiny).ok()
    walked = program(
        "search", "--queries", "-", "-i", index, "--plan", "graph", "--json", stdin=asked, env=tiny
    ).ok()
    assert walked.err == ""
    assert walked.out == exact.out
