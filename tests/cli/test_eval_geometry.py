"""`embedcli eval geometry`, as a real process."""

from __future__ import annotations

import numpy as np
import pytest

LINES = "".join(f"the number {i} and {i * 7 % 13} apples on day {i % 30}\n" for i in range(60))


def test_texts_have_a_shape_with_limits_and_objects(program, write):
    write("a.txt", LINES + "\n" + LINES)
    found = program("eval", "geometry", "a.txt", "-m", "static", "--fail-under", "effective rank=300")
    assert found.code == 1
    assert found.lines[0].split() == ["measure", "static-minilm"]
    assert [line.split("  ")[0] for line in found.lines[1:4]] == ["rows", "dim", "effective rank"]
    assert "it reads 17 for 20" in found.out.decode()
    assert "missed: static-minilm effective rank" in found.err
    assert "60 of 120 vectors are copies" in found.err


def test_a_file_of_vectors_is_read_alone_and_broken_rows_are_told(program, write):
    rows = np.random.default_rng(0).normal(size=(60, 6))
    rows[3], rows[5] = np.nan, 0
    np.save(program.folder / "v.npy", rows)
    found = program("eval", "geometry", "--vectors", "v.npy", "--json").ok()
    values = {each["metric"]: each["value"] for each in found.objects}
    assert (values["rows"], values["dim"], values["non-finite"], values["zero"]) == (60, 6, 1, 1)
    assert values["effective rank"] == pytest.approx(6, rel=0.1)
    assert "2 of 60 vectors were left out: 1 not finite, 1 zero" in found.err
    write("bad.npy", "nothing")
    bad = program("eval", "geometry", "--vectors", "bad.npy")
    assert (bad.code, bad.out) == (2, b"")


def test_pairs_have_an_alignment(program, write):
    write("p.csv", "a,b\nhello there,hello there\nred car,red car\n,nothing\n")
    found = program("eval", "geometry", "--pairs", "a,b", "p.csv", "-m", "static", "--json").ok()
    values = {each["metric"]: each["value"] for each in found.objects}
    assert values["alignment"] == pytest.approx(0, abs=1e-6)
    assert (values["rows"], values["duplicates"], values["hubness"]) == (4, 2, None)
