"""SIGKILL at any moment: the index opens as it was committed, and the next build finishes."""

from __future__ import annotations

import random
import subprocess
import time

import pytest

from tests.faults import FULL, spread
from tests.faults.shim import CHANGES, Shim
from tests.faults.stage import Points, Stage

KILLED = -9
KILLS = 100 if FULL else 10
SWEEP = 8


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "update"])
def test_killed_at_random_moments(stage: Stage, name: str) -> None:
    scenario = stage.scenario(name)
    longest = 0.0
    for _ in range(2):
        stage.restore(scenario.before)
        start = time.monotonic()
        stage.program(*scenario.command).ok()
        longest = max(longest, time.monotonic() - start)
    moments = random.Random(1)
    killed = 0
    points = Points()
    for _ in range(KILLS):
        stage.restore(scenario.before)
        delay = moments.uniform(0.2, 1.0) * longest
        process = stage.program.start(*scenario.command)
        try:
            process.wait(timeout=delay)
        except subprocess.TimeoutExpired:
            process.kill()
        killed += process.wait() == KILLED
        with points.point(f"after {delay:.3f} of {longest:.3f} seconds"):
            stage.answer_between(scenario)
            stage.finish(scenario)
    points.check()
    assert killed >= KILLS // 4


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "update", "compact"])
@pytest.mark.parametrize("action", ["kill-before", "kill-after"])
def test_killed_at_each_call(stage: Stage, shim: Shim, name: str, action: str) -> None:
    scenario = stage.scenario(name)
    total = stage.count_calls(scenario, shim, CHANGES)
    points = Points()
    newest = -len(scenario.old)
    for at in spread(total, SWEEP):
        with points.point(f"call {at} of {total}"):
            assert stage.disturbed(scenario, shim, CHANGES, action, at).code == KILLED
            found = stage.answer_between(scenario)
            age = len(found & scenario.new) - len(found - scenario.new)
            assert age >= newest, "older than after a kill at an earlier call"
            newest = age
            stage.finish(scenario)
    points.check()
    assert newest == len(scenario.new), "the last calls of a run come after its commit"
