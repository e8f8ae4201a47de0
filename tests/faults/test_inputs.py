"""Empty input, files whose times lie, and many rounds of change: what is found is what is there."""

from __future__ import annotations

import json
import os
import random
import time
from pathlib import Path

import pytest

from tests.faults import FULL
from tests.faults.corpus import QUERY
from tests.faults.stage import Stage, needs_command

ROUNDS = 100 if FULL else 30


def texts(stage: Stage) -> dict[str, str]:
    """Return the text that is found in each file; every file of the test is one chunk."""
    content = stage.content()
    found = {shown.path: shown.text for shown in content}
    assert len(found) == len(content)
    return found


def refresh(stage: Stage) -> dict[str, str]:
    """Build, and return the text that is found in each file."""
    stage.ask(*stage.build).ok()
    return texts(stage)


@pytest.mark.parametrize(
    "files",
    [{}, {"a.txt": ""}, {"a.txt": "\n\n \t\n\n"}, {"a.jsonl": ""}, {"a.txt": "", "b/c.txt": "\n"}],
    ids=["no-file", "empty-file", "blank-lines", "empty-jsonl", "several"],
)
def test_nothing_to_index_is_an_empty_index(stage: Stage, files: dict[str, str]) -> None:
    stage.write_docs(files)
    for _ in range(2):
        done = stage.ask(*stage.build).ok()
        assert (done.out, done.err) == (b"", "")
        found = stage.search()
        assert (found.code, found.out, found.err) == (1, b"", "")
        assert stage.status()["chunks"] == 0
    (stage.program.folder / "docs/new.txt").write_text("The first sentence of all.\n")
    assert refresh(stage) == {"docs/new.txt": "The first sentence of all."}
    (stage.program.folder / "docs/new.txt").write_text("")
    assert refresh(stage) == {}


@pytest.mark.parametrize("content", [b"", b"\n\n\n"])
def test_nothing_to_search_is_no_hit(stage: Stage, content: bytes) -> None:
    (stage.program.folder / "a.txt").write_bytes(content)
    for path in ("a.txt", "store"):
        done = stage.ask("search", QUERY, path, "--json", "--cache", "queries.db")
        assert (done.code, done.out, done.err) == (1, b"", "")


def test_more_hits_wanted_than_there_are_rows(stage: Stage) -> None:
    stage.write_docs({"a.txt": "One.\n", "b.txt": "Two.\n", "c.txt": "Three.\n"})
    stage.ask(*stage.build).ok()
    command = ("search", QUERY, "-i", "store/x.emb", "--json", "--cache", "queries.db")
    everything = stage.ask(*command, "-n", 3).ok().objects
    assert len(everything) == 3
    for wanted in (4, 10, 1_000_000):
        assert stage.ask(*command, "-n", wanted).ok().objects == everything
    assert stage.ask(*command, "-n", 1).ok().objects == everything[:1]
    none = stage.ask(*command, "-n", 0)
    assert (none.code, none.out) == (2, b"")
    assert "-n" in none.err


@pytest.mark.parametrize("query", ["", " ", "\n\t "])
def test_an_empty_query_is_refused(stage: Stage, query: str) -> None:
    stage.write_docs({"a.txt": "One.\n"})
    stage.ask(*stage.build).ok()
    for where in (("-i", "store/x.emb"), ("docs",)):
        done = stage.ask("search", query, *where, "--json")
        assert (done.code, done.out) == (2, b"")
        assert done.err.startswith("embedcli: the query is empty\n")


@pytest.fixture(params=[0.0, 2.2], ids=["young", "old"])
def horse(stage: Stage, request: pytest.FixtureRequest) -> Path:
    """A file, new or old enough that its times are trusted."""
    stage.write_docs({"a.txt": "A white horse.\n", "b.txt": "A small house.\n"})
    time.sleep(request.param)
    return stage.program.folder / "docs/a.txt"


def test_times_that_lie(stage: Stage, horse: Path) -> None:
    path = horse
    assert refresh(stage)["docs/a.txt"] == "A white horse."
    # Size and time of change stay the same.
    before = path.stat()
    path.write_text("A black horse.\n")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert refresh(stage)["docs/a.txt"] == "A black horse."
    # Far in the future, then changed with that time kept.
    future = time.time_ns() + 10**9 * 86_400 * 365 * 10
    os.utime(path, ns=(future, future))
    assert refresh(stage)["docs/a.txt"] == "A black horse."
    path.write_text("A brown horse.\n")
    os.utime(path, ns=(future, future))
    assert refresh(stage)["docs/a.txt"] == "A brown horse."
    # Before 1970, and at the end of what a signed 32-bit number holds.
    for seconds in (-1, 2**31 - 1, 2**31):
        path.write_text(f"A horse of {seconds}.\n")
        os.utime(path, (seconds, seconds))
        assert refresh(stage)["docs/a.txt"] == f"A horse of {seconds}."


def test_a_file_replaced_by_renaming(stage: Stage, horse: Path) -> None:
    folder = stage.program.folder
    refresh(stage)
    before = horse.stat()
    other = folder / "a.new"
    other.write_text("A black horse.\n")
    os.utime(other, ns=(before.st_atime_ns, before.st_mtime_ns))
    other.rename(horse)
    assert refresh(stage) == {"docs/a.txt": "A black horse.", "docs/b.txt": "A small house."}
    # Two files change places: each has the size and the time that the other had.
    for source, target in (("a.txt", "c.txt"), ("b.txt", "a.txt"), ("c.txt", "b.txt")):
        (folder / "docs" / source).rename(folder / "docs" / target)
    assert refresh(stage) == {"docs/a.txt": "A small house.", "docs/b.txt": "A black horse."}


def test_a_name_that_changes_only_its_case(stage: Stage) -> None:
    stage.write_docs({"notes.txt": "A white horse.\n"})
    folder = stage.program.folder / "docs"
    refresh(stage)
    (folder / "notes.txt").rename(folder / "NOTES.txt")
    assert refresh(stage) == {"docs/NOTES.txt": "A white horse."}
    (folder / "NOTES.txt").rename(folder / "Notes.txt")
    (folder / "Notes.txt").write_text("A black horse.\n")
    assert refresh(stage) == {"docs/Notes.txt": "A black horse."}


def test_a_file_that_becomes_a_folder_and_back(stage: Stage) -> None:
    stage.write_docs({"a": "A white horse.\n", "b.txt": "A small house.\n"})
    path = stage.program.folder / "docs/a"
    refresh(stage)
    path.unlink()
    path.mkdir()
    (path / "c.txt").write_text("A black horse.\n")
    assert refresh(stage) == {"docs/a/c.txt": "A black horse.", "docs/b.txt": "A small house."}
    (path / "c.txt").unlink()
    path.rmdir()
    path.write_text("A brown horse.\n")
    assert refresh(stage) == {"docs/a": "A brown horse.", "docs/b.txt": "A small house."}


@pytest.mark.slow
def test_after_many_rounds_of_change_the_live_are_found_and_no_others(stage: Stage) -> None:
    chance = random.Random(33)
    files = {f"{number}.txt": f"File {number}, as it was at first.\n" for number in range(20)}

    def expect() -> dict[str, str]:
        return {f"docs/{name}": text.strip() for name, text in files.items()}

    stage.write_docs(files)
    assert refresh(stage) == expect()
    size_at_first = stage.index.stat().st_size
    for turn in range(ROUNDS):
        del files[chance.choice(sorted(files))]
        files[f"new-{turn}.txt"] = f"File that came in round {turn}.\n"
        files[chance.choice(sorted(files))] = f"Replaced in round {turn}.\n"
        stage.write_docs(files)
        assert refresh(stage) == expect()
    facts = stage.status()
    assert facts["chunks"] == len(files)
    assert facts["deleted"] > 0
    needs_command(stage, "compact")
    stage.ask("index", "compact", "-i", "store/x.emb").ok()
    assert texts(stage) == expect()
    assert stage.status()["deleted"] == 0
    assert stage.index.stat().st_size <= 1.5 * size_at_first
    assert refresh(stage) == expect()


def test_records_replaced_again_and_again_stay_one_each(stage: Stage) -> None:
    path = stage.program.folder / "docs/t.jsonl"
    path.parent.mkdir()
    command = (*stage.build, "--format", "jsonl")
    for turn in range(5):
        rows = [
            {"id": f"r{number}", "text": f"Record {number} of round {turn}."}
            for number in range(turn, turn + 4)
        ]
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        stage.ask(*command).ok()
        assert {(hit["id"], hit["text"]) for hit in stage.search().ok().objects} == {
            (row["id"], row["text"]) for row in rows
        }
