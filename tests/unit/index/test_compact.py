"""Compaction: the same content and the same answers in less room, or the index as it was."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from index_helpers import (
    DTYPES,
    check_lexical,
    content,
    histories,
    identity,
    play,
    put,
    query,
    rows_alive,
    unit_rows,
    writing,
)

from embedcli.errors import DamagedIndexError
from embedcli.index import compact as compact_module
from embedcli.index import file as file_module
from embedcli.index.compact import compact
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.meta import Identity
from embedcli.index.nearest import nearest
from embedcli.index.plan import Plan
from embedcli.index.reader import IndexReader
from embedcli.index.scan import Wanted
from embedcli.index.verify import verify

if TYPE_CHECKING:
    from pathlib import Path


def run(path: Path, own: Identity, on_progress=lambda _done, _total: None) -> None:
    with open_for_writing(path, own) as connection:
        compact(path, connection, on_progress)
        assert not connection.in_transaction


def answers(path: Path) -> list[list[tuple[object, float]]]:
    """Return what some queries find, by record and number within it; and the order of all chunks."""
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        found = []
        for method in ("exact", "signs"):
            for hits in nearest(reader, unit_rows(4, seed=77), Wanted(5), Plan(method, 1000, {})):
                chunks = reader.chunks([hit.row for hit in hits])
                keys = [(chunk.path, chunk.record, chunk.ordinal, chunk.text) for chunk in chunks]
                found.append(list(zip(keys, [hit.cosine for hit in hits], strict=True)))
        return found


def findings(path: Path, own: Identity) -> list[str]:
    with open_for_writing(path, own) as connection:
        return verify(path, connection, check_lexical=own.keep_text).findings


@settings(max_examples=20)
@given(histories(), st.sampled_from(DTYPES), st.booleans(), st.integers(1, 9))
def test_what_can_be_found_stays_as_it_was(tmp_path_factory, steps, dtype, keep_text, segment_rows):
    path = tmp_path_factory.mktemp("index") / "x.emb"
    own = identity(dtype, keep_text=keep_text)
    play(path, own, steps)
    before, found = content(path), answers(path)
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        counts, commit, sources = reader.counts(), reader.commit(), reader.sources()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compact_module, "SEGMENT_ROWS", segment_rows)
        run(path, own)
    after = content(path)
    assert after == before
    assert list(after) == list(before), "the order stays"
    # Ties are found in the order of their places, which stays too.
    assert answers(path) == found
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        assert reader.counts() == {**counts, "vectors": len(before)}
        assert reader.commit() == reader.vectors_commit() == commit + 1
        assert reader.sources() == sources
        sizes = [len(block.vectors) for block in reader.blocks()]
        assert all(size == segment_rows for size in sizes[:-1])
        assert sum(sizes) == len(before)
    assert query(path, "SELECT count(*) FROM tombstone") == [(0,)]
    assert query(path, "SELECT count(*) FROM record WHERE NOT complete") == [(0,)]
    assert query(path, "SELECT count(*) FROM chunk") == [(len(before),)]
    assert findings(path, own) == []
    if keep_text:
        check_lexical(path)
    assert [file.name for file in path.parent.iterdir()] == ["x.emb"]


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_second_compaction_changes_no_vector(tmp_path, dtype):
    path, own = tmp_path / "x.emb", identity(dtype)
    play(path, own, [("put", [3, 4, 5], False, True), ("put", [2, 2], True, True), ("drop", [2])])
    run(path, own)
    columns = "SELECT count, dtype, signs, row_hashes, vectors FROM segment"
    once = query(path, columns)
    before = content(path)
    run(path, own)
    assert query(path, columns) == once
    assert content(path) == before


def test_the_file_gets_smaller_and_goes_on_growing_from_there(tmp_path):
    path, own = tmp_path / "x.emb", identity(dim=64)
    rows = unit_rows(3000, 64)
    with writing(path, own) as writer:
        put(writer, b"a.txt", {str(number): ["a text"] for number in range(3000)}, rows, dim=64)
        writer.commit()
        writer.drop_records(range(31, 3001))
    full = path.stat().st_size
    before = content(path)
    run(path, own)
    assert path.stat().st_size < full / 4
    assert content(path) == before
    with writing(path, own) as writer:
        put(writer, b"b.txt", {"new": ["new text"]}, unit_rows(1, 64, seed=1), dim=64)
        writer.drop_records([1])
    assert len(content(path)) == 30
    assert findings(path, own) == []


def test_words_are_found_where_their_chunks_now_are(tmp_path):
    path, own = tmp_path / "x.emb", identity()
    with writing(path, own) as writer:
        put(writer, b"a.txt", {name: [f"the {name} sleeps"] for name in ("cat", "dog", "hen", "cow")})
        writer.drop_records([1, 3])
    run(path, own)
    for word, expected in (
        ("dog", ["the dog sleeps"]),
        ("cat", []),
        ("sleep", ["the dog sleeps", "the cow sleeps"]),
    ):
        found = query(
            path,
            "SELECT chunk.text FROM lexical JOIN chunk ON chunk.id = lexical.rowid"
            " WHERE lexical MATCH ? ORDER BY chunk.id",
            word,
        )
        assert [text for (text,) in found] == expected
    check_lexical(path)


def test_an_index_of_which_nothing_is_left_is_empty_and_usable(tmp_path):
    path, own = tmp_path / "x.emb", identity()
    play(path, own, [("put", [2, 2], False, True), ("drop", [1, 2])])
    run(path, own)
    assert content(path) == {}
    assert query(path, "SELECT count(*) FROM segment") == [(0,)]
    play(path, own, [("put", [3], False, True)])
    assert len(content(path)) == 3
    assert findings(path, own) == []


def test_progress_ends_at_the_number_of_live_vectors(tmp_path):
    path, own = tmp_path / "x.emb", identity()
    play(path, own, [("put", [3, 4], False, True), ("put", [5], False, True), ("drop", [1])])
    seen: list[tuple[int, int]] = []
    run(path, own, lambda done, total: seen.append((done, total)))
    assert seen == [(4, 9), (9, 9)]


@pytest.mark.parametrize("calls", [1, 2, 3])
def test_stopped_in_the_middle_it_has_changed_nothing(tmp_path, calls):
    path, own = tmp_path / "x.emb", identity()
    play(
        path,
        own,
        [("put", [3, 4], False, True), ("put", [5], False, False), ("put", [6], True, True), ("drop", [1])],
    )
    tables = ("meta", "root", "source", "record", "chunk", "segment", "tombstone")

    def everything():
        return [query(path, f"SELECT * FROM {table}") for table in tables], content(path), answers(path)

    before = everything()
    counter = itertools.count(1)

    def stop(_done: int, _total: int) -> None:
        if next(counter) == calls:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(path, own, stop)
    assert everything() == before
    check_lexical(path)
    run(path, own)
    assert content(path) == before[1]


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE chunk SET text = 'other' WHERE id = 5",
        "DELETE FROM chunk WHERE id = 5",
        "UPDATE segment SET vectors = zeroblob(length(vectors)) WHERE id = 2",
        "DELETE FROM segment WHERE id = 1",
        "DELETE FROM tombstone",
        "UPDATE tombstone SET dead = zeroblob(length(dead))",
        "INSERT INTO chunk SELECT 900, record, 9, 0, 0, 0, 0, 1, 1, '', x'', 0 FROM chunk WHERE id = 5",
    ],
)
def test_a_damaged_index_is_refused_and_not_changed(tmp_path, sql):
    path, own = tmp_path / "x.emb", identity()
    play(path, own, [("put", [3, 4], False, True), ("put", [5], False, True), ("drop", [1])])
    query(path, sql)
    before = [query(path, f"SELECT * FROM {table}") for table in ("meta", "record", "chunk", "segment")]
    with pytest.raises(DamagedIndexError, match=r"x\.emb: damaged: "):
        run(path, own)
    after = [query(path, f"SELECT * FROM {table}") for table in ("meta", "record", "chunk", "segment")]
    assert after == before


def test_readers_meanwhile_see_the_old_state(tmp_path, monkeypatch):
    # How long the end waits for them before it leaves the file in WAL mode.
    monkeypatch.setattr(file_module, "_BUSY_SECONDS", 0.1)
    path, own = tmp_path / "x.emb", identity()
    play(path, own, [("put", [3, 4], False, True), ("put", [5], False, True), ("drop", [1])])
    before = content(path)
    with contextlib.ExitStack() as stack:
        readers = []

        def look(_done: int, _total: int) -> None:
            assert content(path) == before
            connection = stack.enter_context(open_for_reading(path))
            readers.append(IndexReader(path, connection))

        run(path, own, look)
        assert len(readers) == 2
        for reader in readers:
            assert rows_alive(reader)[0].tolist() == list(range(4, 13))
            assert [stored.ordinal for stored in reader.chunks(range(4, 13))] == [1, 2, 3, 4, 1, 2, 3, 4, 5]
    assert content(path) == before
    assert min(place for (place,) in query(path, "SELECT id FROM chunk")) == 13
