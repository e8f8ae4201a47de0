"""Hashes that find damage in an index. They do not guard against malice: the file is the user's own."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import xxhash

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np
    import numpy.typing as npt

SqlValue = int | float | str | bytes | None


def hash_bytes(content: object) -> int:
    """Return xxh3-64 as the signed integer that SQLite can hold.

    SQLite gives what is in the file: text or a number where a blob should be never has a blob's hash.
    """
    if not isinstance(content, bytes | memoryview):
        content = b"no blob: " + repr(content).encode()
    value: int = xxhash.xxh3_64_intdigest(content)
    return value - (1 << 64) if value >= 1 << 63 else value


def row_hash(columns: Iterable[SqlValue]) -> int:
    """Return the hash of a row's columns; type and length of each are part of what is hashed."""
    parts: list[bytes] = []
    for value in columns:
        if value is None:
            parts.append(b"n")
            continue
        if isinstance(value, int):
            kind, content = b"i", str(value).encode()
        elif isinstance(value, str):
            kind, content = b"s", value.encode("utf-8", "surrogatepass")
        elif isinstance(value, float):
            # No column holds one; a damaged file may.
            kind, content = b"f", struct.pack("<d", value)
        else:
            kind, content = b"b", value
        parts += (kind, struct.pack("<Q", len(content)), content)
    return hash_bytes(b"".join(parts))


def vector_hashes(vectors: npt.NDArray[np.floating]) -> bytes:
    """Return the xxh3-64 of each row, 8 bytes each, little-endian, for `vectors` of shape (n, dim)."""
    return b"".join(struct.pack("<Q", xxhash.xxh3_64_intdigest(row.tobytes())) for row in vectors)
