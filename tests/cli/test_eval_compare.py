"""`embedcli eval compare`, as a real process."""

from __future__ import annotations

import numpy as np
import pytest

LINES = "".join(f"the number {i} and {i * 7 % 13} apples on day {i % 30}\n" for i in range(60))


def values(found) -> dict[tuple[str, str], float]:
    return {(each["system"], each["metric"]): each["value"] for each in found.objects}


def test_an_encoder_agrees_with_itself_more_than_with_its_own_signs(program, write):
    write("a.txt", LINES + "\n" + LINES)
    same = program("eval", "compare", "static", "static", "a.txt", "--json").ok()
    assert same.objects[0]["queries"] == 60
    own = values(same)
    pair = "static ~ static (2)"
    assert next(iter(own)) == (pair, "Jaccard@10")
    assert own[pair, "CKA"] == pytest.approx(1)
    assert (own[pair, "Jaccard@50"], own[pair, "RBO"]) == pytest.approx((1, 1))
    assert same.objects[0]["chance"] == pytest.approx(0.093, abs=0.01)
    assert own["static ~ bag of words", "Jaccard@10"] < 0.9
    sign = program("eval", "compare", "static", "static@dtype=binary@dim=32", "a.txt", "--sample", 40).ok()
    assert sign.lines[0].split("  ")[0] == "measure"
    assert "static ~ static@dtype=binary@dim=32" in sign.lines[0]
    assert "40 texts; in brackets" in sign.err


def test_a_rotated_file_agrees_fully_and_rows_without_a_direction_are_told(program):
    random = np.random.default_rng(0)
    rows = random.normal(size=(80, 8))
    rows[3] = np.nan
    np.save(program.folder / "a.npy", rows)
    np.save(program.folder / "b.npy", rows @ np.linalg.qr(random.normal(size=(8, 8)))[0])
    np.save(program.folder / "c.npy", random.normal(size=(80, 5)))
    found = program("eval", "compare", "a.npy", "b.npy", "--fail-under", "cka=0.999999", "--json").ok()
    assert "1 texts were left out" in found.err
    assert values(found)["a.npy ~ b.npy", "CKA"] == pytest.approx(1, abs=1e-6)
    other = values(program("eval", "compare", "a.npy", "c.npy", "--json").ok())
    assert abs(other["a.npy ~ c.npy", "CKA"]) < 0.15


def test_indexes_are_joined_by_id(program, write):
    write("t.jsonl", "".join(f'{{"id":"r{i}","text":"about {i} apples"}}\n' for i in range(20)))
    program("index", "build", "t.jsonl", "-i", "a.emb", "-m", "static", "-q").ok()
    write("t.jsonl", "".join(f'{{"id":"r{i}","text":"about {i} apples"}}\n' for i in range(15)))
    program("index", "build", "t.jsonl", "-i", "b.emb", "-m", "static", "--dim", 64, "-q").ok()
    found = program("eval", "compare", "a.emb", "b.emb", "--json").ok()
    assert "5 records were left out: an index does not have their ids" in found.err
    assert found.objects[0]["queries"] == 15


def test_what_makes_no_sense_is_refused_in_a_line(program, write):
    write("few.txt", "one\ntwo\nthree\n")
    for typed in (("static",), ("static", "static@dim=8", "few.txt")):
        found = program("eval", "compare", *typed)
        assert (found.code, found.out) == (2, b"")
        assert found.err.startswith("embedcli: ")
