"""A disk that is full or fails, at each call in turn: exit 2, and the last commit answers as before.

Once everything is committed, folding the write-ahead log back into the one file is only tidying up: where
that fails, exit code 0 is true, and the next build tidies up.
"""

from __future__ import annotations

import pytest

from tests.conftest import Finished
from tests.faults import FULL, spread
from tests.faults.corpus import SEARCH_ALL
from tests.faults.shim import Shim
from tests.faults.stage import SIDECARS, Points, Stage

SWEEP = 6
FAULTS = [
    (("write", "truncate"), "enospc", False),
    (("sync",), "eio", False),
    (("write", "truncate"), "enospc", True),
    (("write", "truncate"), "eio", False),
    (("sync",), "eio", True),
    (("read",), "eio", False),
    (("unlink", "open", "rename"), "eio", False),
    (("unlink", "open", "rename"), "eio", True),
]
COMBINATIONS = [
    pytest.param(kinds, action, repeat, name, id=f"{name}-{kinds[0]}-{action}-{'on' if repeat else 'once'}")
    for name in ("update", "first", "compact")
    for number, (kinds, action, repeat) in enumerate(FAULTS)
    # In the short form, an update meets all of them, the others the first two.
    if FULL or name == "update" or number < 2
]


def assert_one_line(done: Finished, *, names: str) -> None:
    """Check that an error is one line that says where, and perhaps a hint."""
    lines = done.err.splitlines()
    assert lines[0].startswith(f"embedcli: {names}"), done.err
    assert [line for line in lines[1:] if not line.startswith("hint: ")] == []


@pytest.mark.slow
@pytest.mark.parametrize(("kinds", "action", "repeat", "name"), COMBINATIONS)
def test_a_call_that_fails(
    stage: Stage, shim: Shim, kinds: tuple[str, ...], action: str, repeat: bool, name: str
) -> None:
    scenario = stage.scenario(name)
    total = stage.count_calls(scenario, shim, kinds)
    points = Points()
    codes = set()
    may_stay = {"x.emb", *(f"x.emb{suffix}" for suffix in SIDECARS)} | (
        {"x.emb.lock"} if "unlink" in kinds else set()
    )
    for at in spread(total, SWEEP):
        with points.point(f"call {at} of {total}"):
            done = stage.disturbed(scenario, shim, kinds, action, at, repeat=repeat)
            assert {path.name for path in stage.store.iterdir()} <= may_stay
            codes.add(done.code)
            found = stage.answer_between(scenario)
            if done.code == 0:
                assert found == scenario.new, "success was said of what is not there"
            else:
                assert done.code == 2
                assert_one_line(done, names="store/x.emb")
            stage.finish(scenario)
    points.check()
    if FULL:
        assert 2 in codes


@pytest.mark.parametrize("name", ["first", "update"])
def test_writes_and_reads_that_stop_short_are_gone_on_with(stage: Stage, shim: Shim, name: str) -> None:
    scenario = stage.scenario(name)
    stage.disturbed(scenario, shim, ("write", "read"), "short", 1, repeat=True).ok()
    assert stage.content() == scenario.new
    stage.finish(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("repeat", [False, True], ids=["once", "from-then-on"])
@pytest.mark.parametrize(
    "command",
    [
        (
            *SEARCH_ALL,
            "--cache",
            "queries.db",
        ),
        ("index", "status", "-i", "store/x.emb", "--json"),
    ],
    ids=["search", "status"],
)
def test_a_read_that_fails_is_never_half_an_answer(
    stage: Stage, shim: Shim, command: tuple[object, ...], repeat: bool
) -> None:
    stage.scenario("update")
    clean = stage.ask(*command).ok()
    stage.program(*command, env=shim.environment(("read",), "count")).ok()
    total = shim.calls
    points = Points()
    for at in spread(total, SWEEP):
        with points.point(f"read {at} of {total}"):
            done = stage.program(*command, env=shim.environment(("read",), "eio", at, repeat=repeat))
            assert (done.code, done.out) in ((2, b""), (0, clean.out))
            if done.code == 2:
                assert_one_line(done, names="store/x.emb")
    points.check()
