"""Parquet files."""

from __future__ import annotations

import datetime as dt
import decimal
import io
import sys

import pytest
from record_helpers import read_bytes, read_file

from embedcli.errors import MissingExtraError

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")


def write(path, rows, **options):
    pq.write_table(pa.Table.from_pylist(rows), path, **options)
    return path


def test_rows_become_records(tmp_path):
    rows = [{"id": number, "text": f"t{number}", "n": number / 2} for number in range(600)]
    path = write(tmp_path / "a.parquet", rows, row_group_size=250)
    outcome = read_file(path)
    assert outcome.reader.format == "parquet"
    assert outcome.texts == [row["text"] for row in rows]
    assert outcome.ids[-1] == "599"
    last = outcome.records[-1]
    assert (last.fields, last.line, last.raw, last.path) == (rows[-1], 600, b"", str(path))
    assert read_bytes(path.read_bytes(), format="parquet").texts == outcome.texts
    assert read_bytes(path.read_bytes(), 1000, format="parquet").texts == outcome.texts


def test_columns_are_chosen_and_missing_ones_named(tmp_path):
    path = write(tmp_path / "a.parquet", [{"a": "x", "b": "y"}])
    assert read_file(path, columns=("b", "1")).texts == ["y x"]
    assert read_file(path, text_fields=("b",)).ids == [f"{path}:1"]
    (problem,) = read_file(path).problems
    assert problem.is_error
    assert "a, b" in problem.reason


def test_wrong_rows_are_reported_and_the_rest_is_read(tmp_path):
    rows = [
        {"text": "a", "id": "1"},
        {"text": "b", "id": "1"},
        {"text": None, "id": "3"},
        {"text": "x" * 50, "id": "4"},
    ]
    path = write(tmp_path / "a.parquet", rows)
    outcome = read_file(path, max_record_bytes=49)
    assert outcome.texts == ["a", ""]
    assert [p.where for p in outcome.problems] == [f"{path}:2", f"{path}:4"]
    assert [p.where for p in read_file(write(tmp_path / "n.parquet", [{"text": 1}])).problems] == [
        f"{tmp_path}/n.parquet:1"
    ]


def test_vectors_come_along(tmp_path):
    nan = float("nan")
    path = write(
        tmp_path / "a.parquet", [{"id": "x", "vector": [1.0, 2.0]}, {"id": "y", "vector": [nan, 1.0]}]
    )
    outcome = read_file(path)
    (record,) = outcome.records
    assert record.vector is not None
    assert (record.vector.tolist(), record.fields) == ([1, 2], {"id": "x"})
    assert "no finite number" in outcome.problems[0].reason


def test_values_become_json(tmp_path):
    row = {
        "text": "a",
        "day": dt.date(2024, 2, 29),
        "moment": dt.datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001
        "span": dt.timedelta(seconds=90),
        "price": decimal.Decimal("1.10"),
        "bytes": b"\xff",
        "nan": float("nan"),
        "inner": {"days": [dt.date(2024, 1, 1)]},
    }
    (record,) = read_file(write(tmp_path / "a.parquet", [row])).records
    assert record.fields == {
        "text": "a",
        "day": "2024-02-29",
        "moment": "2024-02-29T01:02:03",
        "span": 90.0,
        "price": "1.10",
        "bytes": "\ufffd",
        "nan": None,
        "inner": {"days": ["2024-01-01"]},
    }


@pytest.mark.parametrize("kind", ["empty", "no parquet", "cut", "damaged", "gone", "folder"])
def test_what_is_no_parquet_is_an_error_and_no_exception(tmp_path, kind):
    path = write(
        tmp_path / "a.parquet", [{"text": f"t{number}"} for number in range(5000)], row_group_size=1000
    )
    data = path.read_bytes()
    if kind == "damaged":
        half = len(data) // 2
        path.write_bytes(data[:half] + b"\xff" * 500 + data[half + 500 :])
    elif kind == "gone":
        path.unlink()
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    else:
        path.write_bytes({"empty": b"", "no parquet": b"text\n", "cut": data[:-100]}[kind])
    outcome = read_file(path)
    assert [(p.where, p.is_error) for p in outcome.problems] == [(str(path), True)]
    assert "\n" not in outcome.problems[0].reason
    assert len(outcome.records) == len(set(outcome.ids)) < 5000


def test_without_pyarrow_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        read_bytes(io.BytesIO().getvalue(), format="parquet")
    assert caught.value.extra == "arrow"


def test_a_walk_takes_parquet_for_binary(tmp_path):
    path = write(tmp_path / "a.parquet", [{"text": "a"}])
    outcome = read_file(path, named=False)
    assert (outcome.records, outcome.problems[0].is_error) == ([], False)
    assert read_file(path, named=False, format="parquet").texts == ["a"]
