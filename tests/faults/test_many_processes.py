"""Writers at once, readers during commits, a writer that died, an index that must not be written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
import time
from pathlib import Path

import pytest

from tests.conftest import without_privileges
from tests.faults import FULL
from tests.faults.corpus import EVERY_CHUNK, Content, content_of
from tests.faults.stage import Stage, Worker

PROCESSES = 8
COMMITS = 100 if FULL else 30
LOCKED = 75
MANY = 400
"""Files that take some seconds to encode."""


def run_at_once(stage: Stage, *options: object) -> list[tuple[int, str]]:
    """Start several builds of one index; return their exit codes and what they say."""
    started = [
        stage.program.start(*stage.build, *options, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        for _ in range(PROCESSES)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in started]
    return [(process.returncode, text) for process, text in zip(started, said, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "update"])
def test_builds_at_once_are_one_after_the_other(stage: Stage, name: str) -> None:
    scenario = stage.scenario(name)
    for options, allowed in (((), {0, LOCKED}), (("--lock-timeout", 60), {0})):
        stage.restore(scenario.before)
        ended = run_at_once(stage, *options)
        assert {code for code, _ in ended} <= allowed, ended
        assert 0 in {code for code, _ in ended}
        assert all(("another run is writing" in said) == (code == LOCKED) for code, said in ended), ended
        assert stage.content() == scenario.new
        assert stage.status()["chunks"] == len(scenario.new)
        stage.finish(scenario)


@pytest.mark.slow
def test_each_answer_during_commits_is_of_one_commit(stage: Stage) -> None:
    files = {f"{number}.txt": f"File {number}, as it was at first.\n" for number in range(4)}
    stage.write_docs(files)
    stage.ask(*stage.build).ok()
    versions: list[Content] = [stage.content()]
    answers: list[Content] = []
    problems: list[str] = []
    is_over = threading.Event()

    def read() -> None:
        reader = Worker()
        try:
            while not is_over.is_set():
                done = stage.search(worker=reader)
                if done.code != 0 or done.err:
                    problems.append(f"{done.code}: {done.err}")
                answers.append(content_of(done.objects))
        except AssertionError as error:
            problems.append(str(error))
        finally:
            reader.close()

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for commit in range(COMMITS):
            for number in (commit % 4, (commit + 1) % 4):
                files[f"{number}.txt"] = f"File {number}, as edited in round {commit}.\n"
            stage.write_docs(files)
            stage.ask(*stage.build).ok()
            versions.append(stage.content())
    finally:
        is_over.set()
        for reader in readers:
            reader.join()
    assert problems == []
    assert len(set(versions)) == COMMITS + 1
    assert set(answers) <= set(versions)
    assert len(set(answers)) > COMMITS // 10, "the readers saw the index change"


def write_many(stage: Stage) -> None:
    """Add files that take a while to encode."""
    for number in range(MANY):
        path = stage.program.folder / f"docs/many/{number:04}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"Document {number} is about subject {number} and nothing else. " * 10)


def wait_for_cpu_seconds(process: subprocess.Popen[bytes], seconds: float) -> None:
    """Wait until a process has worked that long, by its own CPU time."""
    ticks = seconds * os.sysconf("SC_CLK_TCK")
    while process.poll() is None:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        if int(fields[11]) + int(fields[12]) >= ticks:
            return
        time.sleep(0.02)
    pytest.fail(f"ended too early, with {process.returncode}")


def wait_until_default(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Wait until a process no longer catches a signal, or has ended."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        (caught,) = (int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
        if not caught & 1 << (number - 1):
            return
        time.sleep(0.005)


def test_the_lock_of_a_killed_writer_is_free(stage: Stage) -> None:
    scenario = stage.scenario("update")
    write_many(stage)
    owner = stage.program.start(*stage.build)
    wait_for_cpu_seconds(owner, 1.5)
    assert (stage.store / "x.emb.lock").exists()
    assert stage.ask(*stage.build).code == LOCKED
    owner.kill()
    assert owner.wait() == -signal.SIGKILL
    (stage.program.folder / "docs/many").rename(stage.program.folder / "put-away")
    stage.finish(scenario)


def test_an_index_that_must_not_be_written_is_read(stage: Stage) -> None:
    scenario = stage.scenario("update")
    before = without_privileges()
    clean = stage.search().ok()
    stage.index.chmod(0o444)
    stage.store.chmod(0o555)
    try:
        command = (
            "search",
            "bread",
            "-i",
            "store/x.emb",
            *EVERY_CHUNK,
        )
        assert stage.program(*command, before=before).ok().out == clean.out
        stage.program("index", "status", "-i", "store/x.emb", before=before).ok()
        done = stage.program(*scenario.command, before=before)
    finally:
        stage.store.chmod(0o755)
    assert (done.code, done.out) == (2, b"")
    assert done.err.startswith("embedcli: store/x.emb")
    assert "ermission denied" in done.err
    assert len(done.err.splitlines()) <= 2
    assert stage.stored() == scenario.before


@pytest.mark.slow
@pytest.mark.parametrize(
    "signals",
    [(signal.SIGINT,), (signal.SIGTERM,), (signal.SIGINT, signal.SIGTERM)],
    ids=["interrupt", "terminate", "both"],
)
def test_a_signal_in_the_middle_of_a_build(stage: Stage, signals: tuple[signal.Signals, ...]) -> None:
    scenario = stage.scenario("update")
    write_many(stage)
    process = stage.program.start(*stage.build, "--jobs", 1, stderr=subprocess.PIPE)
    wait_for_cpu_seconds(process, 1.5)
    first, *second = signals
    process.send_signal(first)
    for number in second:
        wait_until_default(process, number)
        process.send_signal(number)
    _, said = process.communicate(timeout=30)
    assert said == b""
    # The second one ends the process as a signal does, if it is not over by then.
    assert process.returncode in (128 + first, *(-number for number in second))
    if not second:
        assert [path.name for path in stage.store.iterdir()] == ["x.emb"]
    kept = {shown.text for shown in stage.content()}
    stage.program(*stage.build, "--stats-json", "stats.json").ok()
    found = stage.content()
    assert {shown for shown in found if "docs/many" not in shown.path} == scenario.new
    assert len(found) == len(scenario.new) + MANY
    if not second:
        stats = json.loads((stage.program.folder / "stats.json").read_text())
        assert stats["encoded"] == len({shown.text for shown in found} - kept), "what was committed is lost"
