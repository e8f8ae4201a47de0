"""Segments: what is written is read back, by blocks and row by row, and no changed byte is believed."""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import xxhash
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from index_helpers import DTYPES, unit_rows

from embedcli.errors import DamagedIndexError, VectorError
from embedcli.index.schema import create_statements
from embedcli.index.segments import (
    append_segment,
    content_hash,
    iter_blocks,
    iter_row_hashes,
    iter_signs,
    mark_rows,
    next_row,
    read_rows,
)
from embedcli.vectors.metric import cosine
from embedcli.vectors.signs import sign_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = Path("x.emb")
BLOBS = ("signs", "row_hashes", "vectors")


@contextlib.contextmanager
def database() -> Iterator[sqlite3.Connection]:
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        for statement in create_statements(sparse=False):
            connection.execute(statement)
        yield connection


def as_stored(rows: np.ndarray, dtype: str) -> np.ndarray:
    """Return what a reader gets for rows of unit length, shape (n, dim), float32."""
    if dtype == "binary":
        return np.where(rows > 0, 1, -1).astype(np.float32) / np.float32(np.sqrt(rows.shape[1]))
    if dtype == "int8":
        peak = np.abs(rows).max(axis=1, keepdims=True, initial=0)
        return np.rint(rows / np.where(peak == 0, 1, peak / 127)).astype(np.float32)
    return rows.astype(dtype).astype(np.float32)


def readers(dim: int) -> dict[str, Callable[[sqlite3.Connection], Any]]:
    """Return every way of reading all of an index, by name."""
    return {
        "blocks": lambda connection: list(iter_blocks(PATH, connection, dim)),
        "signs": lambda connection: list(iter_signs(PATH, connection, dim)),
        "hashes": lambda connection: list(iter_row_hashes(PATH, connection)),
        "rows": lambda connection: read_rows(PATH, connection, [1, 2, 3], dim),
        "row": lambda connection: read_rows(PATH, connection, [2], dim),
    }


@st.composite
def segments(draw):
    """Some blocks of unit vectors, with zeros among their numbers, and marks for each."""
    dim = draw(st.sampled_from([1, 3, 8, 64, 70]))
    blocks = []
    for seed in range(draw(st.integers(1, 4))):
        rows = unit_rows(draw(st.integers(1, 30)), dim, seed)
        rows[draw(arrays(np.bool_, rows.shape))] = 0
        dead = draw(arrays(np.bool_, len(rows)))
        blocks.append((rows, dead))
    return dim, blocks


@given(segments(), st.sampled_from(DTYPES))
def test_what_is_written_is_read_back(case, dtype):
    dim, blocks = case
    with database() as connection:
        start = 1
        for rows, dead in blocks:
            assert next_row(connection) == start
            assert append_segment(connection, rows, dtype, dead) == start
            start += len(rows)
        starts = itertools.accumulate((len(rows) for rows, _ in blocks[:-1]), initial=1)
        found = zip(
            blocks,
            starts,
            iter_blocks(PATH, connection, dim),
            iter_signs(PATH, connection, dim),
            iter_row_hashes(PATH, connection),
            strict=True,
        )
        for (rows, dead), first, block, signs, hashes in found:
            stored = as_stored(rows, dtype)
            assert block.first == signs.first == hashes[0] == first
            np.testing.assert_allclose(block.vectors.astype(np.float32), stored, rtol=2**-22)
            np.testing.assert_array_equal(signs.words, sign_words(block.vectors))
            for marks in (block.dead, signs.dead, hashes[2]):
                if dead.any():
                    np.testing.assert_array_equal(marks, dead)
                else:
                    assert marks is None
            if dtype == "binary":
                assert len(hashes[1]) == 0
            else:
                assert block.vectors.dtype == np.dtype(dtype)
                assert hashes[1].tolist() == [
                    xxhash.xxh3_64_intdigest(row.tobytes()) for row in block.vectors
                ]


@given(segments(), st.sampled_from(DTYPES), st.data())
def test_rows_are_read_in_any_order_and_more_than_once(case, dtype, data):
    dim, blocks = case
    with database() as connection:
        for rows, dead in blocks:
            append_segment(connection, rows, dtype, dead)
        whole = np.concatenate([block.vectors for block in iter_blocks(PATH, connection, dim)])
        # Few rows are read one by one, many with all of their segment.
        most = data.draw(st.sampled_from([1, 3, 100]))
        wanted = data.draw(st.lists(st.integers(1, len(whole)), max_size=most))
        for rows in (wanted, np.array(wanted, dtype=np.int64)):
            found = read_rows(PATH, connection, rows, dim)
            assert found.dtype == np.float32
            np.testing.assert_array_equal(found, whole[np.array(wanted, dtype=int) - 1].astype(np.float32))


@given(segments(), st.sampled_from(DTYPES))
def test_a_segment_written_again_from_its_own_vectors_is_the_same(case, dtype):
    dim, blocks = case
    with database() as first, database() as second:
        for rows, _ in blocks:
            append_segment(first, rows, dtype, None)
        for block in iter_blocks(PATH, first, dim):
            append_segment(second, np.asarray(block.vectors, np.float32), dtype, None)
        once, again = (
            connection.execute("SELECT * FROM segment").fetchall() for connection in (first, second)
        )
        assert once == again


@given(segments())
def test_int8_keeps_the_direction(case):
    dim, blocks = case
    with database() as connection:
        for rows, _ in blocks:
            append_segment(connection, rows, "int8", None)
        for (rows, _), block in zip(blocks, iter_blocks(PATH, connection, dim), strict=True):
            for row, stored in zip(rows, block.vectors, strict=True):
                if row.any():
                    # Half a step of each number, against the longest of them.
                    assert cosine(stored[np.newaxis], row)[0] > 1 - dim * (0.5 / 127) ** 2


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_that_are_not_finite_are_not_written(dtype):
    for value in (np.nan, np.inf, -np.inf):
        rows = unit_rows(3)
        rows[1, 2] = value
        with database() as connection:
            with pytest.raises(VectorError, match="not finite"):
                append_segment(connection, rows, dtype, None)
            assert connection.execute("SELECT count(*) FROM segment").fetchone() == (0,)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("wanted", [[0], [-1], [41], [100], [2, 20, 25], [1, 40, 41], [2**62]])
def test_rows_in_no_segment_are_refused(dtype, wanted):
    with database() as connection:
        append_segment(connection, unit_rows(20), dtype, None)
        append_segment(connection, unit_rows(11), dtype, None, first=30)
        with pytest.raises(DamagedIndexError, match=r"x\.emb: damaged: vector .* is in no segment"):
            read_rows(PATH, connection, wanted, 8)
        with pytest.raises(DamagedIndexError, match="is in no segment"):
            mark_rows(PATH, connection, wanted, dead=True)
        assert read_rows(PATH, connection, [], 8).shape == (0, 8)


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=4),
    st.lists(st.tuples(st.lists(st.integers(0, 200)), st.booleans()), max_size=6),
)
def test_marks_are_kept_row_by_row(sizes, steps):
    total = sum(sizes)
    expected = np.zeros(total, bool)
    with database() as connection:
        for size in sizes:
            append_segment(connection, unit_rows(size), "float16", None)
        for rows, dead in steps:
            wanted = [row % total + 1 for row in rows]
            mark_rows(PATH, connection, wanted, dead=dead)
            expected[np.array(wanted, dtype=int) - 1] = dead
        found = [
            np.zeros(len(block.vectors), bool) if block.dead is None else block.dead
            for block in iter_blocks(PATH, connection, 8)
        ]
        assert np.concatenate(found).tolist() == expected.tolist()


def test_only_segments_before_a_row_are_read():
    with database() as connection:
        for _ in range(3):
            append_segment(connection, unit_rows(5), "float16", None)
        firsts = [block.first for block in iter_blocks(PATH, connection, 8, before=11)]
        assert firsts == [1, 6]


def test_the_content_hash_follows_vectors_and_marks():
    with database() as connection:
        seen = {content_hash(connection)}
        append_segment(connection, unit_rows(12), "float16", None)
        seen.add(content_hash(connection))
        mark_rows(PATH, connection, [3], dead=True)
        seen.add(content_hash(connection))
        mark_rows(PATH, connection, [4], dead=True)
        marked = content_hash(connection)
        seen.add(marked)
        append_segment(connection, unit_rows(12, seed=1), "float16", None)
        seen.add(content_hash(connection))
        assert len(seen) == 5
        connection.execute("DELETE FROM segment WHERE id = 2")
        assert content_hash(connection) == marked


# --- damage


@contextlib.contextmanager
def filled(dtype: str) -> Iterator[sqlite3.Connection]:
    """A segment of 12 rows, of which one alone is read from the middle of its blob, and some marks."""
    with database() as connection:
        dead = np.zeros(12, bool)
        dead[[4, 11]] = True
        append_segment(connection, unit_rows(12, 5), dtype, dead)
        yield connection


def changed_bytes(blob: bytes) -> Iterator[tuple[int, bytes]]:
    """Give a blob with each of its bytes changed in turn."""
    rng = np.random.default_rng(len(blob))
    for place in range(len(blob)):
        copy = bytearray(blob)
        copy[place] ^= int(rng.integers(1, 256))
        yield place, bytes(copy)


USERS = {
    "float32": {"signs": {"signs"}, "vectors": {"blocks", "rows"}, "row_hashes": {"hashes"}},
    "binary": {"signs": {"signs", "blocks", "rows", "row"}, "vectors": set(), "row_hashes": {"hashes"}},
}
"""Which reader looks at all of which blob; the row that is read alone has its own test."""


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("blob", BLOBS)
def test_no_changed_byte_of_a_blob_is_believed(dtype, blob):
    users = USERS.get(dtype, USERS["float32"])[blob]
    with filled(dtype) as connection:
        before = {name: repr(read(connection)) for name, read in readers(5).items()}
        (content,) = connection.execute(f"SELECT {blob} FROM segment").fetchone()
        assert bool(content) == (dtype != "binary" or blob == "signs")
        # Of another length, too.
        changes = [*(copy for _, copy in changed_bytes(content)), content[:-1], content + b"\0", b""]
        for change in changes:
            if change == content:
                continue
            connection.execute(f"UPDATE segment SET {blob} = ?", (change,))
            for name, read in readers(5).items():
                if name in users:
                    with pytest.raises(DamagedIndexError, match=r"x\.emb: damaged: .* of segment 1"):
                        read(connection)
                elif name == "row" and blob != "signs" and dtype != "binary":
                    # Right, or refused.
                    with contextlib.suppress(DamagedIndexError):
                        assert repr(read(connection)) == before[name]
                else:
                    assert repr(read(connection)) == before[name]


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8"])
@pytest.mark.parametrize("blob", ["vectors", "row_hashes"])
def test_a_row_that_is_read_alone_is_compared_with_its_own_hash(dtype, blob):
    with filled(dtype) as connection:
        rows = [read_rows(PATH, connection, [row], 5) for row in range(1, 13)]
        (content,) = connection.execute(f"SELECT {blob} FROM segment").fetchone()
        row_bytes = len(content) // 12
        for place, change in changed_bytes(content):
            connection.execute(f"UPDATE segment SET {blob} = ?", (change,))
            for row in range(1, 13):
                if row == place // row_bytes + 1:
                    with pytest.raises(DamagedIndexError, match=f"damaged: vector {row}$"):
                        read_rows(PATH, connection, [row], 5)
                elif row in (1, 12):
                    np.testing.assert_array_equal(read_rows(PATH, connection, [row], 5), rows[row - 1])
        for wrong in (content[:-1], content + b"\0", b""):
            connection.execute(f"UPDATE segment SET {blob} = ?", (wrong,))
            with pytest.raises(DamagedIndexError, match="the vectors of segment 1"):
                read_rows(PATH, connection, [1], 5)


@pytest.mark.parametrize("dtype", DTYPES)
def test_no_changed_deletion_mark_is_believed(dtype):
    with filled(dtype) as connection:
        dead, stored_hash = connection.execute("SELECT dead, row_hash FROM tombstone").fetchone()
        changes = [(copy, stored_hash) for _, copy in changed_bytes(dead)]
        changes += [(dead[:-1], stored_hash), (dead + b"\0", stored_hash), (b"", stored_hash)]
        changes += [(dead, stored_hash ^ (1 << bit)) for bit in range(63)]
        for change in changes:
            connection.execute("UPDATE tombstone SET dead = ?, row_hash = ?", change)
            for name, read in readers(5).items():
                with pytest.raises(DamagedIndexError, match="the deletion marks of segment 1"):
                    read(connection)
                    raise AssertionError(name)
            with pytest.raises(DamagedIndexError, match="the deletion marks of segment 1"):
                mark_rows(PATH, connection, [3], dead=True)


def test_marks_of_another_segment_are_not_believed():
    with database() as connection:
        for seed in range(2):
            append_segment(connection, unit_rows(12, 5, seed), "float16", np.arange(12) < 3)
        connection.execute("DELETE FROM tombstone WHERE segment = 2")
        connection.execute("UPDATE tombstone SET segment = 2")
        with pytest.raises(DamagedIndexError, match="the deletion marks of segment 2"):
            list(iter_blocks(PATH, connection, 5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(
    "column", ["id", "first", "count", "dtype", "signs_hash", "vectors_hash", "hashes_hash", "row_hash"]
)
def test_no_changed_column_of_a_segment_is_believed(dtype, column):
    with filled(dtype) as connection:
        (value,) = connection.execute(f"SELECT {column} FROM segment").fetchone()
        changes: list[Any] = [other for other in DTYPES if other != value] + ["float64", "", "x"]
        if column != "dtype":
            changes = [value ^ (1 << bit) for bit in range(63)] + [-value if value else 1]
        for change in changes:
            connection.execute(f"UPDATE segment SET {column} = ?", (change,))
            for name, read in readers(5).items():
                with pytest.raises(DamagedIndexError):
                    read(connection)
                    raise AssertionError(f"{name} believes {change!r}")


@pytest.mark.parametrize(
    "column", ["first", "count", "dtype", "signs_hash", "vectors_hash", "hashes_hash", "row_hash"]
)
@pytest.mark.parametrize("value", [0.5, b"\x01", "text"])
def test_columns_of_another_type_are_not_believed(column, value):
    """One bit in the head of an SQLite row makes a fraction of a whole number."""
    with filled("float16") as connection:
        connection.execute(f"UPDATE segment SET {column} = ?", (value,))
        for name, read in readers(5).items():
            with pytest.raises(DamagedIndexError):
                read(connection)
                raise AssertionError(name)


def test_a_block_of_another_dimension_is_refused():
    with filled("float16") as connection:
        for name, read in readers(6).items():
            # One word holds the signs of six numbers as well as those of five.
            if name not in ("signs", "hashes"):
                with pytest.raises(DamagedIndexError):
                    read(connection)
