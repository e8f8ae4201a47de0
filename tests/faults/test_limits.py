"""Little memory and few processors: the command works, or says in one line that it cannot.

A limit on the address space stands in for a full memory. Limits so low that Python cannot even load the
command line are left out: nothing of the program runs there. Where the tokenizer's own allocator gives up it
ends the process by SIGABRT, which no caller can prevent; the index must have survived that, too.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.faults import FULL
from tests.faults.corpus import SEARCH_ALL
from tests.faults.stage import Points, Stage

STEPS = 40 if FULL else 8
ALLOCATOR_GAVE_UP = "memory allocation of "
SEARCH = (
    *SEARCH_ALL,
    "--no-cache",
)
STATUS = ("index", "status", "-i", "store/x.emb", "--json")


def peak_kibibytes(command: list[str], folder: Path, environment: dict[str, str]) -> int:
    """Return the most address space that a command takes."""
    process = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL)
    peak = 0
    while process.poll() is None:
        lines = Path(f"/proc/{process.pid}/status").read_text().splitlines()
        peak = max([peak, *(int(line.split()[1]) for line in lines if line.startswith("VmPeak:"))])
        time.sleep(0.001)
    assert process.returncode == 0
    return peak


def limited(kibibytes: int) -> list[str]:
    """Return what to put before a command to limit its address space."""
    return ["bash", "-c", f'ulimit -v {kibibytes}; exec "$@"', "limited"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="measures the address space in /proc")
@pytest.mark.parametrize("name", ["build", "search", "status"])
def test_little_memory(stage: Stage, name: str) -> None:
    scenario = stage.scenario("update")
    command = {"build": scenario.command, "search": SEARCH, "status": STATUS}[name]
    program = stage.program
    clean = stage.ask(*command).ok().out
    stage.restore(scenario.before)
    start = [sys.executable, "-c", "import embedcli.cli.main, embedcli.cli.tree"]
    least = peak_kibibytes(start, program.folder, program.environment)
    most = peak_kibibytes([*program.command, *map(str, command)], program.folder, program.environment)
    assert least < most
    points = Points()
    codes = []
    for step in range(1, STEPS + 1):
        stage.restore(scenario.before)
        limit = least + (most - least) * 11 * step // (10 * STEPS)
        with points.point(f"{limit} of {most} KiB"):
            done = program(*command, before=limited(limit))
            codes.append(done.code)
            if name == "build":
                stage.answer_between(scenario)
                stage.finish(scenario)
            if done.code == -signal.SIGABRT and ALLOCATOR_GAVE_UP in done.err:
                continue
            assert done.code in (0, 2), done
            if done.code == 0:
                assert (done.out, done.err) == (clean, "")
            else:
                lines = [line for line in done.err.splitlines() if not line.startswith("hint: ")]
                assert len(lines) == 1, done
                assert lines[0].startswith("embedcli: ")
                assert done.out == b""
    points.check()
    assert codes[-1] == 0


@pytest.mark.skipif(shutil.which("taskset") is None, reason="there is no taskset")
def test_one_processor(stage: Stage) -> None:
    scenario = stage.scenario("update")
    one = ["taskset", "-c", str(min(os.sched_getaffinity(0)))]
    done = stage.program(*scenario.command, before=one).ok()
    assert (done.out, done.err) == (b"", "")
    assert stage.content() == scenario.new
    found = stage.program(*SEARCH, before=one).ok()
    assert (found.out, found.err) == (stage.search().out, "")
