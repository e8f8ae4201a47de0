"""What `--where`, `--path` and `--since` let through, alone and together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from embedcli.datatypes import Chunk, Record
from embedcli.errors import UsageError
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.meta import Identity
from embedcli.index.reader import IndexReader
from embedcli.index.stored import FileStat
from embedcli.index.writer import IndexWriter, NewChunk
from embedcli.tasks.select import Selection, select_rows
from embedcli.where import parse_where

IDENTITY = Identity("tiny", "int8", "f" * 32, "mean", "", "", 16, 4)
OLD, NEW = 1_000_000_000_000_000_000, 1_700_000_000_000_000_000

FILES: list[tuple[bytes, bytes, int | None, dict[str, dict[str, Any]]]] = [
    (b"../docs", b"guide.md", OLD, {"g1": {"lang": "en", "year": 2001}, "g2": {"lang": "de"}}),
    (b"../docs", b"api/search.md", NEW, {"p1": {"lang": "en", "year": 2024}}),
    (
        b"../docs",
        b"api/notes.txt",
        NEW + 1,
        {"t1": {}, "t2": {"id": "own", "path": "elsewhere", "year": 2024}},
    ),
    (b"../papers/list.csv", b"", OLD, {"7": {"lang": "en", "id": None}}),
    (b"-", b"-", None, {"s1": {"lang": "en", "year": 2024}}),
]


@pytest.fixture(scope="module")
def path(tmp_path_factory) -> Path:
    """An index of records with two chunks each, of which one is gone and one unfinished."""
    path: Path = tmp_path_factory.mktemp("select") / "x.emb"
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=True)
        for root, file, mtime, records in FILES:
            put(writer, root, file, mtime, records)
        put(writer, b"../docs", b"guide.txt", NEW, {"half": {"lang": "en"}}, complete=False)
        put(writer, b"../docs", b"guide.rst", NEW, {"gone": {"lang": "en"}})
        writer.drop_records([writer.reserve_record() - 1])
        writer.commit()
    return path


def put(writer, root, file, mtime, records, *, complete=True) -> None:
    number = 0 if root == b"-" else writer.put_root(root, "{}")
    stat = None if mtime is None else FileStat(1, mtime, mtime, 1, mtime)
    source = writer.put_source(number, file, stat=stat, content_hash=b"h", state="indexed", settings="{}")
    chunks, hidden = [], set()
    for name, fields in records.items():
        record = writer.reserve_record()
        writer.add_record(record, source, Record(name, ""), json.dumps(fields), b"t", complete=complete)
        hidden |= set() if complete else {record}
        chunks += [NewChunk(record, Chunk(name, ordinal, 0, 1, 0, 1, 1, 1), b"h" * 16) for ordinal in (1, 2)]
    writer.add_chunks(chunks, np.eye(4, dtype=np.float32)[[0] * len(chunks)], hidden)


def selected(path: Path, where: str | None = None, **selection: Any) -> set[str] | None:
    """Return the names of the records that a selection lets through; None for no selection."""
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        condition = None if where is None else parse_where(where)
        rows = select_rows(reader, Selection(condition, **selection))
        if rows is None:
            return None
        assert rows.dtype == np.int64
        assert rows.tolist() == sorted(set(rows.tolist()))
        found = [(chunk.record, chunk.ordinal) for chunk in reader.chunks(rows.tolist())]
    names = {name for name, _ in found}
    assert sorted(found) == sorted((name, ordinal) for name in names for ordinal in (1, 2))
    return names


EVERYTHING = {"g1", "g2", "p1", "t1", "t2", "7", "s1"}


def test_an_empty_selection_asks_nothing(path):
    assert Selection().is_empty
    assert selected(path) is None


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('lang = "en"', {"g1", "p1", "7", "s1"}),
        ("year >= 2024", {"p1", "t2", "s1"}),
        ('lang = "en" and year >= 2024', {"p1", "s1"}),
        ('not lang = "en"', {"g2", "t1", "t2"}),
        ("nothing exists", set()),
        ("not nothing exists", EVERYTHING),
    ],
)
def test_conditions_look_at_the_fields_of_a_record(path, where, expected):
    assert selected(path, where) == expected


@pytest.mark.parametrize(
    ("globs", "expected"),
    [
        (["*.md"], {"g1", "g2", "p1"}),
        (["api/*"], {"p1", "t1", "t2"}),
        (["api/*.md", "guide.*"], {"p1", "g1", "g2"}),
        (["api/**"], {"p1", "t1", "t2"}),
        (["list.csv"], {"7"}),
        (["docs/guide.md"], set()),
        (["guide"], set()),
        (["-"], {"s1"}),
        (["*"], EVERYTHING),
    ],
)
def test_globs_look_at_the_path_under_the_root(path, globs, expected):
    assert selected(path, path_globs=tuple(globs)) == expected


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        (OLD, EVERYTHING - {"s1"}),
        (OLD + 1, {"p1", "t1", "t2"}),
        (NEW, {"p1", "t1", "t2"}),
        (NEW + 1, {"t1", "t2"}),
        (NEW + 2, set()),
        (0, EVERYTHING - {"s1"}),
        (-5, EVERYTHING - {"s1"}),
    ],
)
def test_records_from_standard_input_have_no_time(path, since, expected):
    assert selected(path, since_ns=since) == expected


def test_all_that_is_said_must_hold(path):
    english = 'lang = "en"'
    assert selected(path, english, path_globs=("*.md",)) == {"g1", "p1"}
    assert selected(path, english, since_ns=NEW) == {"p1"}
    assert selected(path, path_globs=("*.txt", "*.csv"), since_ns=NEW + 1) == {"t1", "t2"}
    assert selected(path, "year = 2024", path_globs=("api/*",), since_ns=NEW) == {"p1", "t2"}
    assert selected(path, "year = 2024", path_globs=("*.csv",), since_ns=NEW) == set()


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ('id = "g1"', {"g1"}),
        ('id in ("p1", "t2", "s1")', {"p1", "s1"}),
        ('id = "own"', {"t2"}),
        ("id exists", EVERYTHING - {"7"}),
        ('id = "7"', set()),
        ('path = "guide.md"', {"g1", "g2"}),
        ('path like "api/%"', {"p1", "t1"}),
        ('path = "elsewhere"', {"t2"}),
        ('path = "list.csv"', {"7"}),
        ('path = "-"', {"s1"}),
        ('not id = "g1" and path = "guide.md"', {"g2"}),
    ],
)
def test_id_and_path_can_be_named_where_a_record_has_no_such_field(path, where, expected):
    assert selected(path, where) == expected


def test_path_globs_look_at_the_file_and_not_at_a_field(path):
    assert selected(path, path_globs=("elsewhere",)) == set()


def test_a_wrong_glob_is_refused(path):
    with pytest.raises(UsageError, match="a brace has no partner"):
        selected(path, path_globs=("{a",))


def test_file_names_that_are_no_utf8_can_be_selected(tmp_path):
    path = tmp_path / "x.emb"
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=True)
        put(writer, b"../docs", b"caf\xe9.txt", NEW, {"odd": {}})
        put(writer, b"../docs", "café.md".encode(), NEW, {"even": {}})
        writer.commit()
    assert selected(path, path_globs=("caf?.txt",)) == {"odd"}
    assert selected(path, path_globs=("caf*",)) == {"odd", "even"}
    assert selected(path, 'path = "café.md"') == {"even"}
