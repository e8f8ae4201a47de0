"""An index as a memory: what it knows, what it takes in, and when that counts."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.errors import (
    IndexLockedError,
    IndexMismatchError,
    Interrupted,
    MissingIndexError,
    UsageError,
)
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.reader import IndexReader
from embedcli.index.schema import SEGMENT_ROWS
from embedcli.tasks.chunks import identity_of
from embedcli.tasks.remember import Memory, MemorySettings, open_memory
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    from pathlib import Path

UPDATE = MemorySettings(update=True)


@pytest.fixture(scope="module")
def vectorizer() -> Vectorizer:
    return Vectorizer(find_model("static", ()), EncoderSettings(jobs=1), VectorSettings(), Counts())


def line(number: int, text: str, path: str | None = None) -> Record:
    place = str(number) if path is None else f"{path}:{number}"
    return Record(place, text, text.encode() + b"\n", path=path, line=number, end_line=number)


def item(name: str, text: str, number: int = 1, path: str | None = None, **more: object) -> Record:
    fields = {"id": name, "text": text, **more}
    return Record(name, text, b"{}", fields, path, number, number)


def take(index: Path, vectorizer: Vectorizer, *records: Record, settings: MemorySettings = UPDATE) -> Memory:
    with open_memory(index, vectorizer, settings) as memory:
        memory.add(records, vectorizer.record_vectors(records))
        memory.commit()
    return memory


def content(index: Path, vectorizer: Vectorizer) -> list[tuple[str, str | None]]:
    with open_memory(index, vectorizer) as memory:
        return [(each.id, each.text) for block in memory.blocks(with_texts=True) for each in block.known]


def test_what_was_added_is_known_to_the_next_run_with_its_vectors(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    records = [item("a", "the dog runs"), item("b", "a late refund"), line(3, "  ")]
    memory = take(index, vectorizer, *records)
    assert (memory.report.added, memory.report.unchanged) == (2, 0)
    with open_memory(index, vectorizer) as memory:
        (block,) = memory.blocks(with_texts=True)
        assert memory.size() == 2
        assert memory.known(block.rows[::-1].tolist()) == block.known[::-1]
    assert [(each.id, each.chunk, each.text) for each in block.known] == [
        ("a", 1, "the dog runs"),
        ("b", 1, "a late refund"),
    ]
    expected = vectorizer.text_vectors(["the dog runs", "a late refund"])
    assert np.abs(normalize(block.vectors) - normalize(expected)).max() < 1e-3


def test_nothing_counts_before_it_is_committed(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    take(index, vectorizer, item("a", "the dog runs"))
    with pytest.raises(Interrupted), open_memory(index, vectorizer, UPDATE) as memory:
        memory.add([item("b", "a cat sleeps")], vectorizer.text_vectors(["a cat sleeps"]))
        assert memory.size() == 1
        raise Interrupted(2)
    # More than a segment is written before the commit, and is gone all the same.
    many = [item(str(number), f"number {number}") for number in range(SEGMENT_ROWS + 1)]
    with open_memory(index, vectorizer, UPDATE) as memory:
        memory.add(many, np.ones((len(many), vectorizer.dim), dtype=np.float32))
        assert [len(block.rows) for block in memory.blocks()] == [1]
    assert content(index, vectorizer) == [("a", "the dog runs")]


def test_replaced_records_are_the_past_until_the_commit(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    take(index, vectorizer, item("a", "the dog runs"), item("b", "a cat sleeps"))
    with open_memory(index, vectorizer, UPDATE) as memory:
        memory.add([item("a", "bread and tax")], vectorizer.text_vectors(["bread and tax"]))
        memory.add([item("b", "a cat sleeps", 7, note=1)], vectorizer.text_vectors(["a cat sleeps"]))
        (block,) = memory.blocks(with_texts=True)
        assert [each.text for each in block.known] == ["the dog runs", "a cat sleeps"]
        memory.commit()
        assert (memory.report.added, memory.report.replaced, memory.report.unchanged) == (0, 1, 1)
    assert content(index, vectorizer) == [("b", "a cat sleeps"), ("a", "bread and tax")]
    with open_for_reading(index) as connection:
        (row,) = connection.execute("SELECT fields, line FROM record WHERE name = 'b'")
        assert row == ('{"id":"b","text":"a cat sleeps","note":1}', 7)


TEXTS = st.sampled_from(["the dog runs", "a cat sleeps", "title", " "])
LINES = st.lists(st.tuples(TEXTS, st.sampled_from([None, "a.txt", "b.txt"])), max_size=6)


@settings(max_examples=12)
@given(st.lists(LINES, min_size=1, max_size=3))
def test_texts_without_an_id_are_known_wherever_they_come_from(tmp_path_factory, vectorizer, runs):
    index = tmp_path_factory.mktemp("memory") / "seen.emb"
    seen: list[str] = []
    for run in runs:
        records = [line(number, text, path) for number, (text, path) in enumerate(run, start=1)]
        memory = take(index, vectorizer, *records)
        new = list(dict.fromkeys(text for text, _ in run if text.strip() and text not in seen))
        assert memory.report.added == len(new)
        assert memory.report.unchanged == sum(text != " " for text, _ in run) - len(new)
        seen += new
    found = content(index, vectorizer)
    assert [text for _, text in found] == seen
    assert len({name for name, _ in found}) == len(seen)


def test_one_id_in_two_files_of_a_run_is_two_records(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    for _ in range(2):
        take(
            index,
            vectorizer,
            item("1", "the dog runs", path="a.jsonl"),
            item("1", "a cat sleeps", path="b.jsonl"),
        )
        assert content(index, vectorizer) == [("1", "the dog runs"), ("b.jsonl#1", "a cat sleeps")]
    # A place that looks like an id is none.
    take(index, vectorizer, line(1, "bread"), item("1", "title", path="a.jsonl"))
    assert [text for _, text in content(index, vectorizer)] == ["a cat sleeps", "bread", "title"]


def test_ids_are_found_where_they_were_said_to_be(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    keyed = MemorySettings(update=True, id_field="key")
    first = Record("k", "the dog runs", b"", {"key": "k", "text": "the dog runs"})
    take(index, vectorizer, first, settings=keyed)
    take(index, vectorizer, first._replace(text="a cat sleeps"), settings=keyed)
    assert content(index, vectorizer) == [("k", "a cat sleeps")]
    whole = Record("notes/a.md", "bread\nand tax", b"", {}, "notes/a.md", 1, 2)
    take(index, vectorizer, whole)
    take(index, vectorizer, whole._replace(text="title"))
    assert content(index, vectorizer)[1:] == [("notes/a.md", "title")]


def test_vectors_that_came_with_records_are_kept(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    vector = np.zeros(vectorizer.dim, dtype=np.float32)
    vector[3] = 2.0
    bare = Record("1", "", b"{}", {}, vector=vector)
    with open_memory(index, vectorizer, UPDATE) as memory:
        memory.add([bare], vector[None])
        memory.commit()
    memory = take(index, vectorizer, bare, bare._replace(vector=-vector))
    assert (memory.report.added, memory.report.unchanged) == (1, 1)
    with open_memory(index, vectorizer) as memory:
        vectors = np.concatenate([block.vectors for block in memory.blocks()])
    assert vectors[:, 3].tolist() == [1.0, -1.0]


def test_no_texts_no_text_fields(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    take(
        index,
        vectorizer,
        item("a", "the dog runs", note=5),
        settings=MemorySettings(update=True, keep_text=False),
    )
    # As the index was made, whatever is said later.
    take(index, vectorizer, item("b", "a cat sleeps"))
    assert content(index, vectorizer) == [("a", None), ("b", None)]
    assert b"dog" not in index.read_bytes()
    assert b"cat" not in index.read_bytes()


def test_a_memory_is_an_index_like_any_other(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    take(index, vectorizer, item("a", "the dog runs", path="x.jsonl"), line(2, "a cat sleeps"))
    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        assert reader.counts() == {"sources": 1, "records": 2, "chunks": 2, "vectors": 2}
        assert reader.status().partial == 0
        chunk = reader.chunks([1])[0]
        assert (chunk.start, chunk.end, chunk.fields) == (
            0,
            12,
            {"path": "x.jsonl", "id": "a", "text": "the dog runs"},
        )


def test_what_cannot_be_a_memory_is_refused(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    with pytest.raises(MissingIndexError, match="no index here"), open_memory(index, vectorizer):
        pass
    with (
        pytest.raises(UsageError, match="not known"),
        open_memory(index, vectorizer, MemorySettings(update=True, dtype="float64")),
    ):
        pass
    assert not index.exists()
    take(index, vectorizer, item("a", "the dog runs"))
    other = vectorizer.with_settings(VectorSettings(dim=8))
    for how in (MemorySettings(), UPDATE):
        with pytest.raises(IndexMismatchError, match="dim"), open_memory(index, other, how):
            pass
    with (
        open_for_writing(index, identity_of(vectorizer, "float16", keep_text=True)),
        pytest.raises(IndexLockedError),
        open_memory(index, vectorizer, UPDATE),
    ):
        pass
    # Reading alone needs no lock.
    with (
        open_for_writing(index, identity_of(vectorizer, "float16", keep_text=True)),
        open_memory(index, vectorizer) as memory,
    ):
        assert memory.size() == 1


def test_an_idle_memory_is_one_file(tmp_path, vectorizer):
    index = tmp_path / "seen.emb"
    with open_memory(index, vectorizer, UPDATE) as memory:
        memory.add([item("a", "the dog runs")], vectorizer.text_vectors(["the dog runs"]))
        list(memory.blocks())
        memory.commit()
        list(memory.blocks())
    assert [path.name for path in tmp_path.iterdir()] == ["seen.emb"]
    with contextlib.closing(sqlite3.connect(index)) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("delete",)
