"""`embedcli eval compare`, as a real process."""

from __future__ import annotations

import numpy as np
import pytest

LINES = "".join(f"the number {i} and {i * 7 % 13} apples on day {i % 30}\n" for i in range(60))


def values(found) -> dict[tuple[str, str], float]:
    return {(each["system"], each["metric"]): each["value"] for each in found.objects}


def test_an_encoder_agrees_with_its_own_signs_in_part(program, write):
    write("a.txt", LINES + "\n" + LINES)
    found = program("eval", "compare", "static", "static@dtype=binary@dim=32", "a.txt", "--sample", 40).ok()
    first, second = found.lines[:2]
    assert first.split("  ")[0] == "measure"
    for pair in ("static ~ static@dtype=binary@dim=32", "static ~ bag of words", "chance"):
        assert pair in first
    assert 0.1 < float(second.split()[1]) < 1
    assert "40 texts; in brackets" in found.err


def test_a_rotated_file_agrees_fully_and_rows_without_a_direction_are_told(program):
    random = np.random.default_rng(0)
    rows = random.normal(size=(80, 8))
    rows[3] = np.nan
    np.save(program.folder / "a.npy", rows)
    np.save(program.folder / "b.npy", rows @ np.linalg.qr(random.normal(size=(8, 8)))[0])
    found = program("eval", "compare", "a.npy", "b.npy", "--fail-under", "cka=0.999999", "--json").ok()
    assert "1 texts were left out" in found.err
    assert values(found)["a.npy ~ b.npy", "CKA"] == pytest.approx(1, abs=1e-6)


def test_indexes_are_joined_by_id(program, write):
    write("t.jsonl", "".join(f'{{"id":"r{i}","text":"about {i} apples"}}\n' for i in range(20)))
    program("index", "build", "t.jsonl", "-i", "a.emb", "-m", "static", "-q").ok()
    write("t.jsonl", "".join(f'{{"id":"r{i}","text":"about {i} apples"}}\n' for i in range(15)))
    program("index", "build", "t.jsonl", "-i", "b.emb", "-m", "static", "--dim", 64, "-q").ok()
    found = program("eval", "compare", "a.emb", "b.emb", "--json").ok()
    assert "5 records were left out: an index does not have their ids" in found.err
    assert found.objects[0]["queries"] == 15


def test_what_makes_no_sense_is_refused_in_a_line(program):
    found = program("eval", "compare", "static")
    assert (found.code, found.out) == (2, b"")
    assert found.err.startswith("embedcli: two encoders are compared")
