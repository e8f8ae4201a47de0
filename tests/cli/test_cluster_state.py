"""`embedcli cluster --state`: the same ids in the next run, and what became of the rest, as a real process."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.test_cluster_output import TOPICS
from tests.cli.test_sample import TOPICS as FORMS
from tests.conftest import Finished, Program

Write = Callable[..., Path]

FIRST = [text for _, text in TOPICS]
"""Texts of five topics."""


def texts(topic: str, count: int = 16) -> list[str]:
    words = [
        "old",
        "new",
        "red",
        "small",
        "large",
        "first",
        "last",
        "good",
        "bad",
        "late",
        "early",
        "cheap",
        "fine",
    ]
    return [FORMS[topic].format(word) for word in [*words, "broken", "green", "famous"][:count]]


def without(topic: str) -> list[str]:
    return [text for each, text in TOPICS if each != topic]


def night(program: Program, lines: list[str], *arguments: object, threshold: float = 0.6) -> Finished:
    """Cluster lines with the state `s`; the events are in `e`. Stars find the topics, and load the least."""
    content = "".join(line + "\n" for line in lines).encode()
    state = ("--threshold", threshold, "--state", "s", "--events", "e")
    return program("cluster", "-m", "static", *state, *arguments, stdin=content)


MADE: dict[str, Any] = {}


def first_night(program: Program) -> dict[str, int]:
    """Put a state of `FIRST` there; return the clusters of its texts."""
    if not MADE:
        MADE["ids"] = ids(night(program, FIRST))
        MADE["state"] = (program.folder / "s").read_bytes()
        assert events(program) == []
        assert not list(program.folder.glob("*.lock"))
    (program.folder / "s").write_bytes(MADE["state"])
    return MADE["ids"]


def ids(done: Finished) -> dict[str, int]:
    return {each["text"]: each["cluster"] for each in done.ok().objects}


def events(program: Program) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (program.folder / "e").read_text().splitlines()]


@pytest.mark.parametrize("how", [(), ("--method", "communities")], ids=str)
def test_ids_stay_whatever_the_order_and_the_sizes(program: Program, how: tuple[object, ...]) -> None:
    first = first_night(program)
    assert set(first.values()) == set(range(5))
    lines = [*FIRST[::-1][:50], *texts("football")]
    content = "".join(line + "\n" for line in lines).encode()
    method = how or ("--threshold", 0.6)
    done = program("cluster", "-m", "static", *method, "--state", "s", "--events", "e", stdin=content)
    second = ids(done)
    assert all(second[text] == first[text] for text in second if text in first)
    assert events(program) == []
    assert "records of the last run (100.0%) are where they were; clusters: 0 born, 0 died" in done.err


def test_births_and_deaths_are_told_and_no_id_comes_again(program: Program) -> None:
    first = first_night(program)
    gone = first[texts("piano", 1)[0]]
    done = night(program, [*without("piano"), *texts("volcano")])
    second = ids(done)
    assert {second[text] for text in texts("volcano")} == {5}
    assert all(second[text] == first[text] for text in without("piano"))
    assert [(each["event"], each["cluster"]) for each in events(program)] == [("born", 5), ("died", gone)]
    assert "volcano" in events(program)[0]["name"]
    assert {"piano", "sonata"} & set(events(program)[1]["name"].replace(",", "").split())
    assert f"cluster {gone} (" in done.err
    # Back again, it is new: its id was that of something that is no more.
    third = ids(night(program, FIRST))
    assert {third[text] for text in texts("piano", 5)} == {6}


def test_splits_and_mergers_are_told(program: Program) -> None:
    first = first_night(program)
    done = night(program, FIRST, threshold=-1)
    assert set(ids(done).values()) == {5}
    assert [(each["event"], each["cluster"], each["from"]) for each in events(program)] == [
        ("merged", 5, [0, 1, 2, 3, 4])
    ]
    assert events(program)[0]["share"] == [1] * 5
    assert " merged from 100% of 0 and 100% of 1 and " in done.err
    three = [text for text in FIRST if first[text] < 3]
    assert set(ids(night(program, three, threshold=-1)).values()) == {5}
    done = night(program, three)
    found = set(ids(done).values())
    assert len(found) == 3
    [split] = events(program)
    assert (split["event"], split["cluster"], set(split["into"])) == ("split", 5, found)
    assert sum(split["share"]) == pytest.approx(1)
    assert " split into " in done.err
    assert found <= {5, 6, 7, 8}


def test_names_of_fields_and_files_are_by_id(program: Program) -> None:
    night(program, without("bread")).ok()
    done = night(program, FIRST, "--summary", "--split-into", "topics").ok()
    ranked = [line.split("\t")[:2] for line in done.lines[1:]]
    assert ranked[0] == ["4", "16"]
    assert sorted(int(row[0]) for row in ranked) == [0, 1, 2, 3, 4]
    found = {path.name[:3]: path.read_bytes() for path in (program.folder / "topics").glob("0*")}
    assert sorted(found["004"].decode().splitlines()) == sorted(texts("bread"))


def test_another_model_is_refused_and_both_are_named(program: Program) -> None:
    first_night(program)
    before = (program.folder / "s").read_bytes()
    done = program("cluster", "-m", "all-MiniLM-L6-v2", "--state", "s", stdin=b"one\ntwo\nthree\n")
    assert done.code == 2
    assert done.out == b""
    assert "'static-minilm:" in done.err
    assert "'all-MiniLM-L6-v2:" in done.err
    assert (program.folder / "s").read_bytes() == before
    done = night(program, FIRST, "--prompt", "about: ")
    assert (done.code, done.out) == (2, b"")
    assert "of prompt 'about: '" in done.err


def test_vectors_that_came_along_are_compared_by_what_they_say(program: Program, write: Write) -> None:
    rows = [{"id": str(n), "text": f"t{n}", "vector": [1, n % 2, 0.01 * n]} for n in range(8)]
    named = [{**row, "vector_model": "a:b:c"} for row in rows]
    short = [{**row, "vector": row["vector"][:2]} for row in rows]
    for name, content in {"rows": rows, "named": named, "short": short}.items():
        write(f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in content))

    def run(name: str) -> Finished:
        return program("cluster", "--threshold", 0.9, "--vectors", "own", f"{name}.jsonl", "--state", "s")

    run("named").ok()
    run("rows").ok()
    done = run("short")
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("embedcli: s: its vectors have 3 numbers, those of this run 2\n")
    run("named").ok()
    write("named.jsonl", "".join(json.dumps({**row, "vector_model": "x:y:z"}) + "\n" for row in rows))
    done = run("named")
    assert done.code == 2
    assert "'a:b:c'" in done.err
    assert "'x:y:z'" in done.err


@pytest.mark.parametrize("content", [b"no state"])
def test_what_is_no_state_is_left_alone(program: Program, write: Write, content: bytes) -> None:
    path = write("s", content)
    done = night(program, FIRST)
    assert (done.code, done.out) == (2, b"")
    assert done.err == "embedcli: s: no cluster-state file of embedcli\n"
    assert path.read_bytes() == content
    assert not (program.folder / "e").exists()


def test_a_run_that_fails_leaves_the_old_state(program: Program) -> None:
    first_night(program)
    before = (program.folder / "s").read_bytes()
    for done in (
        night(program, without("dog"), "-o", "no/folder"),
        night(program, FIRST[:3], "--prompt", "x"),
        program.shell("printf 'a dog\\na cat\\n' | embedcli cluster -m static --state s > /dev/full"),
    ):
        assert done.code == 2
        assert (program.folder / "s").read_bytes() == before
    done = night(program, [])
    assert (program.folder / "s").read_bytes() == before


def test_two_runs_at_once(program: Program, write: Write) -> None:
    first_night(program)
    before = (program.folder / "s").read_bytes()
    with write("s.lock", "pid 1").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = night(program, FIRST)
        assert (done.code, done.out) == (75, b"")
        assert done.err.startswith("embedcli: s: another run is writing to it")
    assert (program.folder / "s").read_bytes() == before


def test_equal_runs_leave_equal_states(program: Program) -> None:
    states = []
    for jobs in (1, 2):
        first_night(program)
        done = night(program, [*without("tax"), *texts("volcano")], "-j", jobs).ok()
        states.append((done.out, (program.folder / "s").read_bytes(), (program.folder / "e").read_bytes()))
    assert states[0] == states[1]


def test_the_same_night_again_moves_nothing(program: Program) -> None:
    first = first_night(program)
    again = night(program, FIRST[::-1])
    assert ids(again) == first
    assert "the last run's: the records are the same" in again.err
    other = night(program, FIRST, "--seed", 3)
    assert "the records are the same" not in other.err


def test_nothing_is_written_over_what_is_read(program: Program) -> None:
    (program.folder / "in.txt").write_bytes(b"a\nb\n")
    for option in (("--state", "s", "--events", "in.txt"), ("--state", "in.txt"), ("--stats-json", "in.txt")):
        refused = program("cluster", "in.txt", "-o", "out", *option)
        assert (refused.code, refused.out) == (2, b"")
        assert "would be written over in.txt" in refused.err
    assert (program.folder / "in.txt").read_bytes() == b"a\nb\n"
