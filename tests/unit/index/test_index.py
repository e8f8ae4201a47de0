"""The index file: what is written is read back, what is damaged is noticed, one writer at a time."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.datatypes import Chunk, Record
from embedcli.errors import (
    DamagedIndexError,
    IndexFileError,
    IndexLockedError,
    IndexMismatchError,
    MissingIndexError,
    ShrinkError,
)
from embedcli.index.checksum import row_hash
from embedcli.index.file import open_for_reading, open_for_writing
from embedcli.index.lock import writer_lock
from embedcli.index.meta import Identity
from embedcli.index.reader import IndexReader
from embedcli.index.schema import APPLICATION_ID, SEGMENT_ROWS, TABLES
from embedcli.index.writer import IndexWriter, NewChunk

if TYPE_CHECKING:
    from pathlib import Path

IDENTITY = Identity("tiny", "int8", "f" * 32, "mean", "", "", 16, 8)


def chunk(text: str, ordinal: int = 1) -> Chunk:
    return Chunk(text, ordinal, 0, len(text), 0, len(text.encode()), 1, 1)


def unit_rows(count: int, seed: int = 0, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def fill(path: Path, texts: list[str], *, seed: int = 0, may_shrink: bool = False) -> np.ndarray:
    """Write one source with a record and a chunk a text; return the vectors."""
    vectors = unit_rows(len(texts), seed)
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=may_shrink)
        root = writer.put_root(b"..", "{}")
        source = writer.put_source(
            root, b"a.txt", stat=None, content_hash=b"h", state="indexed", settings="{}"
        )
        chunks = []
        for position, text in enumerate(texts):
            number = writer.reserve_record()
            writer.add_record(number, source, Record(f"r{position}", text), "{}", b"t")
            chunks.append(NewChunk(number, chunk(text), text.encode()[:16].ljust(16)))
        writer.add_chunks(chunks, vectors, set())
        writer.commit()
    return vectors


def live(path: Path) -> dict[str, np.ndarray]:
    """Return text and vector of every chunk that a search can find."""
    found = {}
    with open_for_reading(path) as connection:
        reader = IndexReader(path, connection)
        for first, vectors, dead in reader.blocks():
            alive = np.ones(len(vectors), bool) if dead is None else ~dead
            rows = np.flatnonzero(alive)
            for row, stored in zip(rows, reader.chunks([first + int(row) for row in rows]), strict=True):
                found[stored.text] = vectors[row]
    return found


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    vectors = fill(path, ["one", "two", "three"])
    found = live(path)
    assert list(found) == ["one", "two", "three"]
    np.testing.assert_array_equal(np.stack(list(found.values())), vectors.astype(np.float16))


def test_an_idle_index_is_one_file_that_opens_read_only(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    fill(path, ["one"])
    assert [file.name for file in tmp_path.iterdir()] == ["x.emb"]
    assert path.read_bytes()[18:20] == b"\x01\x01", "not left in WAL mode"
    assert int.from_bytes(path.read_bytes()[68:72], "big") == APPLICATION_ID


@settings(max_examples=25, deadline=None)
@given(dropped=st.sets(st.integers(0, 19)))
def test_dropped_records_are_never_found_and_the_others_always(
    tmp_path_factory: pytest.TempPathFactory, dropped: set[int]
) -> None:
    path = tmp_path_factory.mktemp("index") / "x.emb"
    texts = [f"text {number}" for number in range(20)]
    fill(path, texts)
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=True)
        assert writer.drop_records(number + 1 for number in dropped) == len(dropped)
        writer.commit()
    assert list(live(path)) == [text for number, text in enumerate(texts) if number not in dropped]


def test_a_record_in_parts_shows_only_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=False)
        source = writer.put_source(0, b"-", stat=None, content_hash=None, state="partial", settings="{}")
        number = writer.reserve_record()
        writer.add_record(number, source, Record("big", ""), "{}", b"t", complete=False)
        for part in range(2):
            writer.add_chunks([NewChunk(number, chunk(f"part {part}"), b"x" * 16)], unit_rows(1), {number})
            writer.commit()
            assert live(path) == {}
        writer.complete_record(number)
        writer.commit()
    assert list(live(path)) == ["part 0", "part 1"]


def test_known_vectors_are_those_that_were_stored(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    vectors = fill(path, ["one", "two"])
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=False)
        known = writer.known_vectors([b"two".ljust(16), b"nine".ljust(16)])
    assert list(known) == [b"two".ljust(16)]
    np.testing.assert_array_equal(known[b"two".ljust(16)], vectors[1].astype(np.float16).astype(np.float32))


def test_the_shrink_guard_counts_what_comes_in_place(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    texts = [f"text {number}" for number in range(300)]
    fill(path, texts)
    with open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=False)
        assert writer.drop_records(range(1, 101)) == 100, "100 is still allowed"
        with pytest.raises(ShrinkError, match="would drop 101 of 300"):
            writer.drop_records([101])
        number = writer.reserve_record()
        writer.add_chunks([NewChunk(number, chunk("new"), b"n" * 16)], unit_rows(1), set())
        assert writer.drop_records([101]) == 1, "one came, one may go"


def test_an_uncommitted_run_leaves_the_last_commit(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    fill(path, ["one"])
    with pytest.raises(RuntimeError), open_for_writing(path, IDENTITY) as connection:
        writer = IndexWriter(path, connection, IDENTITY, may_shrink=True)
        writer.drop_records([1])
        raise RuntimeError
    assert list(live(path)) == ["one"]


@pytest.mark.parametrize("content", [b"not a database", b"SQLite format 3\0" + bytes(84)])
def test_a_file_that_is_no_index_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x.emb"
    path.write_bytes(content)
    with pytest.raises(DamagedIndexError, match="not an embedcli index"), open_for_reading(path):
        pass


def test_an_empty_file_is_no_index_yet(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    path.touch()
    with pytest.raises(MissingIndexError, match="an empty file"), open_for_reading(path):
        pass
    fill(path, ["one"])
    assert list(live(path)) == ["one"]


def test_a_missing_index_and_another_format_are_named(tmp_path: Path) -> None:
    with pytest.raises(MissingIndexError), open_for_reading(tmp_path / "none.emb"):
        pass
    path = tmp_path / "x.emb"
    fill(path, ["one"])
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(IndexFileError, match="index format 99"), open_for_reading(path):
        pass


def test_another_identity_is_refused_with_both_names(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    fill(path, ["one"])
    other = Identity("other", "int8", "f" * 32, "mean", "", "", 16, 8)
    with pytest.raises(IndexMismatchError, match="'tiny'.*'other'"), open_for_writing(path, other):
        pass


def test_damage_is_noticed_before_an_answer_is_given(tmp_path: Path) -> None:
    """Every byte of a small index in turn: the answer is right, or the damage is named."""
    path = tmp_path / "x.emb"
    fill(path, ["some text that is long enough to be found again", "two"])
    expected = {text: vector.tobytes() for text, vector in live(path).items()}
    content = path.read_bytes()
    noticed = 0
    random = np.random.default_rng(0)
    for position in random.choice(len(content), size=400, replace=False):
        flipped = bytearray(content)
        flipped[position] ^= 1 << int(random.integers(8))
        path.write_bytes(flipped)
        try:
            found = {text: vector.tobytes() for text, vector in live(path).items()}
        except IndexFileError:
            noticed += 1
        else:
            assert found == expected, f"byte {position}"
    assert noticed > 0


def test_a_second_writer_is_told_who_has_the_lock(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    with writer_lock(path):
        code = (
            "import sys; from pathlib import Path; from embedcli.index.lock import writer_lock\n"
            "from embedcli.errors import IndexLockedError\n"
            "try:\n  writer_lock(Path(sys.argv[1])).__enter__()\n"
            "except IndexLockedError as error: print(error)"
        )
        other = subprocess.run(
            [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
        )
    import os

    assert f"pid {os.getpid()}, since " in other.stdout
    with writer_lock(path):
        pass
    assert not list(tmp_path.iterdir()), "the lock file is gone"


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "x.emb"
    with writer_lock(path), pytest.raises(IndexLockedError), writer_lock(path, 0.2):
        pass


@given(st.lists(st.one_of(st.none(), st.integers(-(2**63), 2**63 - 1), st.text(), st.binary()), min_size=1))
def test_row_hash_tells_types_and_borders_apart(columns: list[int | str | bytes | None]) -> None:
    assert row_hash(columns) == row_hash(list(columns))
    assert row_hash([*columns, None]) != row_hash(columns)
    for position, value in enumerate(columns):
        if isinstance(value, str):
            changed = list(columns)
            changed[position] = value.encode("utf-8", "surrogatepass")
            assert row_hash(changed) != row_hash(columns)


def test_the_schema_names_what_each_column_holds() -> None:
    assert SEGMENT_ROWS > 0
    for table in TABLES:
        assert table.row
        assert len({column.name for column in table.columns}) == len(table.columns)
