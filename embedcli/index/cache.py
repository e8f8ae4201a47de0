"""The user's vector cache: one bounded SQLite file of hashes and vectors, no text.

It is derived data. Whatever is wrong with it, the run goes on without it: a damaged file is replaced, a
locked one is left alone.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from functools import wraps
from threading import RLock
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from embedcli.datatypes import EncodedText
from embedcli.index.checksum import row_hash

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path


MAX_BYTES = 1 << 30
"""Size at which the entries that were not used for longest are dropped: some 600,000 vectors of 384."""

_KEEP_RATIO = 0.8
_BUSY_SECONDS = 5.0
_IN_ONE_QUERY = 500
_SECONDS_A_DAY = 86_400
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vector (
    key BLOB PRIMARY KEY, tokens INTEGER NOT NULL, vector BLOB NOT NULL,
    used_day INTEGER NOT NULL, row_hash INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS vector_used ON vector (used_day);
"""


class CacheInfo(NamedTuple):
    """How many vectors the cache holds and how many bytes its file has."""

    entries: int
    bytes: int


def _locked(method: Callable[..., Any]) -> Callable[..., Any]:
    """Let one thread at a time use the connection."""

    @wraps(method)
    def locked(self: VectorCache, *args: Any, **options: Any) -> Any:
        with self._lock:
            return method(self, *args, **options)

    return locked


class VectorCache:
    """Vectors by key. A key is a hash over everything that a vector depends on, so entries never go stale."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_BYTES) -> None:
        """Open or create the cache; a file that is no database is replaced."""
        self._path, self._max_bytes = path, max_bytes
        self._today = int(time.time()) // _SECONDS_A_DAY
        # An interrupted run closes the cache while its last batch may still be using it.
        self._lock = RLock()
        self._connection = self._open()

    def _open(self) -> sqlite3.Connection | None:
        for _ in range(2):
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
            except (OSError, sqlite3.Error):
                return None
            try:
                connection.execute("PRAGMA trusted_schema = OFF")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.executescript(_SCHEMA)
            except sqlite3.OperationalError:
                # Locked, read-only or full: somebody else's business.
                connection.close()
                return None
            except sqlite3.DatabaseError:
                connection.close()
                self._remove()
                continue
            return connection
        return None

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)

    @_locked
    def get(self, keys: Sequence[bytes]) -> dict[bytes, EncodedText]:
        """Return what is known of the keys; entries that do not match their hash are left out."""
        found: dict[bytes, EncodedText] = {}
        stale_days: list[tuple[int, bytes]] = []
        if self._connection is None:
            return found
        with contextlib.suppress(sqlite3.Error):
            for start in range(0, len(keys), _IN_ONE_QUERY):
                part = keys[start : start + _IN_ONE_QUERY]
                for key, tokens, content, used_day, stored in self._connection.execute(
                    "SELECT key, tokens, vector, used_day, row_hash FROM vector"  # noqa: S608  (only question marks)
                    f" WHERE key IN ({', '.join('?' * len(part))})",
                    part,
                ):
                    if row_hash((key, tokens, content)) == stored:
                        found[key] = EncodedText(tokens, np.frombuffer(content, dtype="<f4"))
                        if used_day != self._today:
                            stale_days.append((self._today, key))
            if stale_days:
                with self._connection:
                    self._connection.executemany("UPDATE vector SET used_day = ? WHERE key = ?", stale_days)
        return found

    @_locked
    def put(self, items: Mapping[bytes, EncodedText] | Iterable[tuple[bytes, EncodedText]]) -> None:
        """Add vectors; one that cannot be written is not kept."""
        if self._connection is None:
            return
        rows = []
        for key, (tokens, vector) in dict(items).items():
            content = vector.astype("<f4").tobytes()
            rows.append((key, tokens, content, self._today, row_hash((key, tokens, content))))
        with contextlib.suppress(sqlite3.Error), self._connection:
            self._connection.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?, ?, ?)", rows)

    def info(self) -> CacheInfo:
        """Return how much the cache holds."""
        if self._connection is None:
            return CacheInfo(0, 0)
        with contextlib.suppress(sqlite3.Error):
            return CacheInfo(
                self._connection.execute("SELECT count(*) FROM vector").fetchone()[0], self._size()
            )
        return CacheInfo(0, 0)

    def _size(self) -> int:
        assert self._connection is not None
        pages, free, page_bytes = (
            self._connection.execute(f"PRAGMA {name}").fetchone()[0]
            for name in ("page_count", "freelist_count", "page_size")
        )
        return int((pages - free) * page_bytes)

    @_locked
    def close(self) -> None:
        """Drop what was not used for longest, if the cache has grown too large, and close it."""
        if self._connection is None:
            return
        with contextlib.suppress(sqlite3.Error):
            size = self._size()
            if size > self._max_bytes:
                entries = self._connection.execute("SELECT count(*) FROM vector").fetchone()[0]
                excess = int(entries * (1 - _KEEP_RATIO * self._max_bytes / size))
                with self._connection:
                    self._connection.execute(
                        "DELETE FROM vector WHERE key IN (SELECT key FROM vector ORDER BY used_day LIMIT ?)",
                        (excess,),
                    )
                self._connection.execute("VACUUM")
        self._connection.close()
        self._connection = None

    def clear(self) -> None:
        """Remove the file."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        self._remove()
