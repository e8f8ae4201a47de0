"""Rows that were read once."""

from __future__ import annotations

import pytest
from index_helpers import identity, put, writing

from embedcli.errors import DamagedIndexError
from embedcli.index import rows
from embedcli.index.file import open_for_reading


def test_the_rows_that_were_met_last_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "KNOWN_ROWS", 2)
    path = tmp_path / "x.emb"
    with writing(path, identity()) as writer:
        put(writer, b"a.txt", {str(number): [f"text {number}"] for number in range(4)})
    with open_for_reading(path) as connection:
        known = rows.KnownRows(path, connection)
        statements: list[str] = []
        connection.set_trace_callback(statements.append)
        for number in (1, 2, 1, 3, 1, 2):
            assert known.read("chunk", number) == rows.read_row(path, connection, "chunk", number)
        # The check reads as well: six times. Of the six others, 1 was known twice.
        assert len(statements) == 6 + 4
        with pytest.raises(DamagedIndexError, match="row 9 of chunk is missing"):
            known.read("chunk", 9)
