"""Sides of a comparison: how they are typed, and what is made of their vectors."""

from __future__ import annotations

import numpy as np
import pytest

from embedcli.datatypes import Record
from embedcli.errors import InputError, UsageError
from embedcli.tasks.evaluate.compare import (
    as_stored,
    choose_entries,
    compare,
    file_vectors,
    parse_side,
    row_entries,
)


def test_a_side_is_a_name_and_settings(tmp_path):
    found = parse_side("static@dim=64@dtype=int8@variant=fp32")
    assert (found.name, found.kind, found.dim) == ("static", "model", 64)
    assert found.settings == {"dim": "64", "dtype": "int8", "variant": "fp32"}
    assert (parse_side("a.npy").kind, parse_side("a.npy").dim) == ("rows", None)
    index = tmp_path / ".embedcli" / "index.emb"
    index.parent.mkdir()
    index.write_bytes(b"")
    assert parse_side(str(index)).kind == parse_side(str(tmp_path)).kind == "index"


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "a@",
        "a@size=3",
        "a@dim",
        "a@dim=",
        "a@dim=0",
        "a@dim=-1",
        "a@dtype=int7",
        "a.npy@variant=int8",
        "a@dim=8@dim=9",
    ],
)
def test_what_is_no_side_is_refused(typed):
    with pytest.raises(UsageError):
        parse_side(typed)


def test_each_text_is_compared_once_and_only_where_all_indexes_have_it():
    records = [Record(str(n), text) for n, text in enumerate(["a", "", "b", "a", "c"])]
    chosen, missing, total = choose_entries(records, [], 9, 0)
    assert [(entry.number, entry.text) for entry in chosen] == [(0, "a"), (2, "b"), (4, "c")]
    assert (missing, total) == (0, 5)
    chosen, missing, _ = choose_entries(records, [{"0", "2", "4"}, {"2", "3"}], 9, 0)
    assert ([entry.id for entry in chosen], missing) == (["2"], 3)
    assert len(choose_entries(records, [], 2, 0)[0]) == len(row_entries(9, 2, 0)) == 2


def test_rows_are_found_by_their_number_and_too_few_are_refused():
    rows = np.arange(12.0).reshape(6, 2)
    assert file_vectors(rows, "a.npy", row_entries(6, 6, 0)).tolist() == rows.tolist()
    with pytest.raises(InputError, match="a.npy: 3 rows"):
        file_vectors(rows[:3], "a.npy", row_entries(6, 6, 0))


def test_vectors_are_cut_rounded_and_have_unit_length():
    rows = np.array([[3, 4, 9], [0, 0, 1], [np.nan, 1, 1], [-6, 8, 0]], np.float32)
    cut = as_stored(rows, parse_side("a.npy@dim=2"))
    assert cut == pytest.approx(np.array([[0.6, 0.8], [0, 0], [0, 0], [-0.6, 0.8]]))
    signs = as_stored(np.repeat(rows, 8, axis=1), parse_side("a.npy@dtype=binary"))
    assert np.linalg.norm(signs, axis=1) == pytest.approx([1, 1, 0, 1])
    with pytest.raises(UsageError, match="3 numbers"):
        as_stored(rows, parse_side("a.npy@dim=4"))


def test_texts_without_a_vector_on_one_side_are_left_out():
    rows = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    other = rows.copy()
    other[2] = 0
    found, left_out = compare([("a", rows), ("b", other)], row_entries(8, 8, 0), 0)
    assert (left_out, len(found.items), found.systems) == (1, 7, ("a ~ b",))
    assert found.metrics == ("Jaccard@1", "Jaccard@5", "RBO", "CKA")
    with pytest.raises(InputError, match="too few"):
        compare([("a", rows[:4]), ("b", other[:4])], row_entries(4, 4, 0), 0)
