"""The facts about a whole index: its identity, its counts, its settings of queries."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, get_args

from embedcli.datatypes import StoredDtype
from embedcli.errors import IndexMismatchError
from embedcli.index.checksum import row_hash
from embedcli.index.damage import damaged

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

COUNTED = ("sources", "records", "chunks", "vectors")
"""What `meta` keeps count of. Chunks are those that a search can find; vectors also the deleted ones."""


META_TYPES: dict[str, Any] = {
    "identity": dict,
    "commit": int,
    "vectors_commit": int,
    "counts": dict,
    "query_defaults": dict,
}


_MAX_DIM = 1 << 16
"""More numbers in a vector than any encoder gives; a file that claims more is not to decide how much memory
is taken."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What all vectors of an index share. A search or a build with another identity is refused.

    Attributes:
        model: The model's name.
        variant: Which of its variants.
        fingerprint: `Manifest.fingerprint`.
        pooling: How token vectors were pooled.
        query_prompt: What is put before a query.
        document_prompt: What was put before each chunk.
        max_tokens: The model's limit.
        dim: Numbers in a stored vector.
        dtype: What vectors are stored as: `float32`, `float16`, `int8` or `binary`.
        keep_text: Whether chunks keep their text.
        metric: Always `cosine`: vectors are stored at unit length.
    """

    model: str
    variant: str
    fingerprint: str
    pooling: str
    query_prompt: str
    document_prompt: str
    max_tokens: int
    dim: int
    dtype: str = "float16"
    keep_text: bool = True
    metric: str = "cosine"


def read_meta(path: Path, connection: sqlite3.Connection, key: str) -> Any:
    """Return one JSON value of `meta`.

    Raises:
        DamagedIndexError: It is not there or is not what was written.
    """
    row = connection.execute("SELECT value, row_hash FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None or row_hash((key, row[0])) != row[1]:
        raise damaged(path, f"meta {key!r} cannot be read")
    with contextlib.suppress(ValueError, RecursionError):
        value: Any = json.loads(row[0])
        if isinstance(value, META_TYPES[key]) and (
            key != "counts" or all(isinstance(value.get(name), int) for name in COUNTED)
        ):
            return value
    raise damaged(path, f"meta {key!r} is not of its kind")


def write_meta(connection: sqlite3.Connection, key: str, value: Any) -> None:
    """Set one JSON value of `meta`."""
    text = json.dumps(value)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, text, row_hash((key, text))))


def add_stdin_root(connection: sqlite3.Connection) -> None:
    """Add the root that stands for standard input."""
    root = (0, b"-", "{}")
    connection.execute("INSERT INTO root VALUES (?, ?, ?, ?)", (*root, row_hash(root)))


def read_identity(path: Path, connection: sqlite3.Connection) -> Identity:
    """Return the identity that the index was created with.

    Raises:
        DamagedIndexError: It cannot be read.
    """
    table = read_meta(path, connection, "identity")
    try:
        identity = Identity(**table)
    except TypeError as error:
        raise damaged(path, "its identity cannot be read") from error
    kinds = {"int": int, "bool": bool, "str": str}
    if not all(
        isinstance(getattr(identity, entry.name), kinds[str(entry.type)]) for entry in fields(identity)
    ):
        raise damaged(path, "its identity cannot be read")
    if not 1 <= identity.dim <= _MAX_DIM or identity.dtype not in get_args(StoredDtype):
        raise damaged(path, f"vectors of {identity.dim} numbers of type {identity.dtype!r}")
    return identity


def check_identity(path: Path, stored: Identity, wanted: Identity) -> None:
    """Refuse another identity, naming the first thing that differs on both sides.

    Raises:
        IndexMismatchError: They differ.
    """
    for key, value in asdict(stored).items():
        other = getattr(wanted, key)
        if value != other:
            raise IndexMismatchError(
                f"{path}: built with {key} {value!r}, this run has {other!r}",
                hint="use the same model and settings, or build another index with -i",
            )
