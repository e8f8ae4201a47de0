"""The power fails: whatever of the unsynced writes is lost, the index opens as it was committed."""

from __future__ import annotations

import random

import pytest

from tests.faults import FULL, spread
from tests.faults.power import after_power_loss
from tests.faults.shim import CHANGES, Call, Kind, Shim
from tests.faults.stage import Points, Stage

CUTS = 25
LOSSES = 4 if FULL else 2
"""How many different losses are tried at each cut."""

FINISH_EVERY = 1 if FULL else 4
"""A build takes longer than a search: in the short form it follows only some of the losses."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["first", "update", "compact"])
def test_power_fails(stage: Stage, shim: Shim, name: str) -> None:
    scenario = stage.scenario(name)
    stage.disturbed(scenario, shim, CHANGES, "log").ok()
    calls = shim.log()
    assert {Kind.WRITE, Kind.SYNC, Kind.UNLINK} <= {call.kind for call in calls}
    points = Points()
    tried = 0
    for cut in spread(len(calls), CUTS):
        for loss in range(LOSSES):
            stage.restore(after_power_loss(scenario.before, calls[:cut], random.Random(1000 * cut + loss)))
            tried += 1
            with points.point(f"after call {cut} of {len(calls)}, loss {loss}"):
                found = stage.answer_between(scenario)
                if cut == len(calls):
                    assert found == scenario.new, "a run that ended well was lost"
                if tried % FINISH_EVERY == 0:
                    stage.finish(scenario)
    points.check()


def test_the_log_replayed_without_losses_is_what_the_run_left(stage: Stage, shim: Shim) -> None:
    scenario = stage.scenario("update")
    stage.disturbed(scenario, shim, CHANGES, "log").ok()
    calls = shim.log()
    sync_all = [Call(Kind.SYNC, path, "", 0, 0, b"") for path in ("x.emb", "")]
    assert after_power_loss(scenario.before, [*calls, *sync_all], random.Random(1)) == stage.stored()


def test_what_was_not_synced_can_be_lost() -> None:
    calls = [
        Call(Kind.OPEN, "a", "", 0, 0, b""),
        Call(Kind.WRITE, "a", "", 0, 0, b"one"),
        Call(Kind.SYNC, "a", "", 0, 0, b""),
        Call(Kind.SYNC, "", "", 0, 0, b""),
        Call(Kind.WRITE, "a", "", 3, 0, b"two"),
        Call(Kind.OPEN, "b", "", 0, 0, b""),
    ]
    left = [after_power_loss({}, calls, random.Random(seed)) for seed in range(50)]
    assert {files["a"] for files in left} == {b"one", b"onetwo"}
    assert {"b" in files for files in left} == {False, True}
