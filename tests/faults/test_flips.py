"""One byte or one value of an index changed: the answer is true, or the run says that the index is damaged."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Finished
from tests.faults import FULL
from tests.faults.stage import Points, Stage, needs_command

FLIPS = 1000 if FULL else 100

VALUES = ("1.5", "CAST(x'ff' AS TEXT)", *(("-1", "NULL", "x'ff'", "'text'", "0", "1 << 62") if FULL else ()))
"""SQL values, most of them of another type than any column's."""


def flips(content: bytes) -> list[tuple[int, int]]:
    """Return offsets and what is flipped there: the header and the schema, which SQLite trusts, and anywhere."""
    chance = random.Random(7)
    offsets = [chance.randrange(100) for _ in range(FLIPS // 10)]
    offsets += [chance.randrange(100, 4096) for _ in range(FLIPS // 5)]
    offsets += [chance.randrange(len(content)) for _ in range(FLIPS - len(offsets))]
    return [
        (offset, chance.choice([1 << chance.randrange(8), chance.randrange(1, 256)])) for offset in offsets
    ]


def shown(hits: list[Any]) -> list[dict[str, Any]]:
    """Return what is said of each hit, but for what depends on the other hits."""
    return [{key: value for key, value in hit.items() if key not in ("rank", "score")} for hit in hits]


def check_answer(done: Finished, clean: list[dict[str, Any]]) -> None:
    """Check that a search on a damaged index says only what is true, or in one line that it cannot."""
    assert done.code in (0, 1, 2), done
    assert done.code == 0 or not done.out
    assert [hit for hit in shown(done.objects) if hit not in clean] == []
    if done.code == 2:
        assert done.err.startswith("embedcli: store/x.emb: "), done.err


def flip(stage: Stage, before: dict[str, bytes], offset: int, mask: int) -> None:
    content = bytearray(before["x.emb"])
    content[offset] ^= mask
    stage.restore({"x.emb": bytes(content)})


@pytest.mark.slow
def test_one_flipped_byte_never_makes_a_false_answer(built: Stage) -> None:
    before, clean = built.stored(), shown(built.search().ok().objects)
    points = Points()
    for offset, mask in flips(before["x.emb"]):
        flip(built, before, offset, mask)
        with points.point(f"offset {offset}, mask {mask:#x}"):
            check_answer(built.search(), clean)
    points.check()


@pytest.mark.slow
def test_check_finds_each_flip_that_changes_an_answer(built: Stage) -> None:
    needs_command(built, "check")
    built.ask("index", "check", "-i", "store/x.emb").ok()
    before, clean = built.stored(), shown(built.search().ok().objects)
    points = Points()
    for number, (offset, mask) in enumerate(flips(before["x.emb"])):
        flip(built, before, offset, mask)
        with points.point(f"offset {offset}, mask {mask:#x}"):
            done = built.search()
            is_right = done.code == 0 and shown(done.objects) == clean
            # A check reads the whole file: the short form has few of those that need not find anything.
            if is_right and not FULL and number % 4:
                continue
            checked = built.ask("index", "check", "-i", "store/x.emb")
            allowed = (0, 1, 2) if is_right else (1, 2) if done.code == 2 else (1,)
            assert checked.code in allowed, (done, checked)
    points.check()


def columns(path: Path) -> Iterator[tuple[str, str]]:
    """Yield each column of each table."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in connection.execute(f"PRAGMA table_info('{table}')"):
                yield table, row[1]


@pytest.mark.slow
def test_one_changed_value_never_makes_a_false_answer(built: Stage) -> None:
    before, clean = built.stored(), shown(built.search().ok().objects)
    points = Points()
    changed = 0
    for table, column in columns(built.index):
        for value in VALUES:
            built.restore(before)
            with contextlib.closing(sqlite3.connect(built.index)) as connection:
                try:
                    with connection:
                        connection.execute(f'UPDATE "{table}" SET "{column}" = {value}')
                except sqlite3.Error:
                    # Refused by a constraint: no damage.
                    continue
            changed += 1
            with points.point(f"{table}.{column} = {value}"):
                check_answer(built.search(), clean)
                status = built.ask("index", "status", "-i", "store/x.emb", "--json")
                assert status.code in (0, 2), status
    points.check()
    assert changed > 50
