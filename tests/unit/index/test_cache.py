"""The vector cache: exact, bounded, and never a reason for a run to fail."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np

from embedcli.datatypes import EncodedText
from embedcli.index.cache import VectorCache

if TYPE_CHECKING:
    from pathlib import Path


def entry(number: int, dim: int = 16) -> tuple[bytes, EncodedText]:
    vector = np.random.default_rng(number).normal(size=dim).astype(np.float32)
    return number.to_bytes(16, "big"), EncodedText(number, vector)


def test_vectors_come_back_bit_for_bit(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "vectors.db"
    entries = dict(entry(number) for number in range(1200))
    cache = VectorCache(path)
    cache.put(entries)
    cache.close()
    cache = VectorCache(path)
    found = cache.get([*entries, b"x" * 16])
    cache.close()
    assert set(found) == set(entries)
    for key, (tokens, vector) in entries.items():
        assert found[key].tokens == tokens
        assert found[key].vector.tobytes() == vector.tobytes()


def test_a_damaged_entry_is_not_used(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    cache = VectorCache(path)
    cache.put([entry(1), entry(2)])
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE vector SET tokens = 5 WHERE key = ?", (entry(1)[0],))
    connection.commit()
    connection.close()
    cache = VectorCache(path)
    assert set(cache.get([entry(1)[0], entry(2)[0]])) == {entry(2)[0]}
    cache.close()


def test_a_file_that_is_no_database_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    path.write_bytes(b"garbage" * 1000)
    cache = VectorCache(path)
    cache.put([entry(1)])
    assert cache.info().entries == 1
    cache.close()


def test_a_place_that_cannot_be_written_is_no_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    cache = VectorCache(tmp_path / "file" / "vectors.db")
    cache.put([entry(1)])
    assert cache.get([entry(1)[0]]) == {}
    assert cache.info() == (0, 0)
    cache.close()


def test_the_cache_drops_what_was_not_used_for_longest(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    cache = VectorCache(path, max_bytes=330_000)
    cache.put(entry(number, 384) for number in range(100))
    cache.close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE vector SET used_day = 1")
    connection.commit()
    connection.close()
    cache = VectorCache(path, max_bytes=330_000)
    recent = [entry(number)[0] for number in range(10)]
    assert len(cache.get(recent)) == 10
    cache.put(entry(number, 384) for number in range(100, 170))
    cache.close()
    cache = VectorCache(path, max_bytes=330_000)
    assert cache.info().entries < 170
    assert len(cache.get(recent)) == 10, "used today"
    cache.close()
    assert path.stat().st_size < 350_000


def test_clear_removes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "vectors.db"
    cache = VectorCache(path)
    cache.put([entry(1)])
    cache.clear()
    assert not list(tmp_path.iterdir())
