"""The facts about a whole index: its identity, its counts, its settings of queries."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from embedcli.datatypes import StoredDtype
from embedcli.errors import IndexMismatchError
from embedcli.index.checksum import row_hash
from embedcli.index.damage import damaged
from embedcli.index.schema import SPARSE_FORMAT_VERSION

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

T = TypeVar("T")

COUNTED = ("sources", "records", "chunks", "vectors")
"""What `meta` keeps count of. Chunks are those that a search can find; vectors also the deleted ones."""


META_TYPES: dict[str, Any] = {
    "identity": dict,
    "commit": int,
    "vectors_commit": int,
    "counts": dict,
    "query_defaults": dict,
    "sparse": dict,
}


_MAX_DIM = 1 << 16
"""More numbers in a vector than any encoder gives; a file that claims more is not to decide how much memory
is taken."""


_MAX_TERMS = 1 << 22
"""Likewise for the words of a vocabulary."""


@dataclass(frozen=True, slots=True)
class SparseIdentity:
    """What all sparse vectors of an index share.

    Attributes:
        model: The model's name.
        variant: Which of its variants.
        fingerprint: `Manifest.fingerprint`.
        query_prompt: What is put before a query.
        document_prompt: What was put before each chunk.
        terms: Words in its vocabulary.
    """

    model: str
    variant: str
    fingerprint: str
    query_prompt: str
    document_prompt: str
    terms: int

    def __str__(self) -> str:
        return f"{self.model} ({self.variant}, {self.fingerprint[:12]})"


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
        sparse: What its sparse vectors are from; None in an index without.
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
    sparse: SparseIdentity | None = None


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


def has_sparse(connection: sqlite3.Connection) -> bool:
    """Whether the file is one that holds sparse vectors."""
    return bool(connection.execute("PRAGMA user_version").fetchone()[0] == SPARSE_FORMAT_VERSION)


def write_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    """Set the identity of a new index; that of its sparse vectors is a fact of its own."""
    table = asdict(identity)
    sparse = table.pop("sparse")
    write_meta(connection, "identity", table)
    if sparse is not None:
        write_meta(connection, "sparse", sparse)


def read_identity(path: Path, connection: sqlite3.Connection) -> Identity:
    """Return the identity that the index was created with.

    Raises:
        DamagedIndexError: It cannot be read.
    """
    sparse = None
    if has_sparse(connection):
        sparse = _typed(path, SparseIdentity, read_meta(path, connection, "sparse"))
        if not 1 <= sparse.terms <= _MAX_TERMS:
            raise damaged(path, f"sparse vectors of {sparse.terms} words")
    identity = replace(_typed(path, Identity, read_meta(path, connection, "identity")), sparse=sparse)
    if not 1 <= identity.dim <= _MAX_DIM or identity.dtype not in get_args(StoredDtype):
        raise damaged(path, f"vectors of {identity.dim} numbers of type {identity.dtype!r}")
    return identity


def _typed(path: Path, kind: type[T], table: dict[str, Any]) -> T:
    """Return a dataclass of plain values made of a JSON object.

    Raises:
        DamagedIndexError: A value is missing, unknown or of another type.
    """
    kinds = {"int": int, "bool": bool, "str": str}
    plain = {entry.name: kinds[str(entry.type)] for entry in fields(kind) if str(entry.type) in kinds}  # type: ignore[arg-type]
    try:
        made = kind(**table)
    except TypeError as error:
        raise damaged(path, "its identity cannot be read") from error
    if not set(table) <= set(plain) or not all(
        isinstance(getattr(made, name), own) for name, own in plain.items()
    ):
        raise damaged(path, "its identity cannot be read")
    return made


def check_identity(path: Path, stored: Identity, wanted: Identity) -> None:
    """Refuse another identity, naming the first thing that differs on both sides.

    Raises:
        IndexMismatchError: They differ.
    """
    for key, value in asdict(replace(stored, sparse=None)).items():
        other = getattr(replace(wanted, sparse=None), key)
        if value != other:
            raise IndexMismatchError(
                f"{path}: built with {key} {value!r}, this run has {other!r}",
                hint="use the same model and settings, or build another index with -i",
            )
    check_sparse(path, stored.sparse, wanted.sparse)


def check_sparse(path: Path, stored: SparseIdentity | None, wanted: SparseIdentity | None) -> None:
    """Refuse sparse vectors of another model than the index holds, naming both.

    Raises:
        IndexMismatchError: They are, or one of the two has none.
    """
    if stored == wanted:
        return
    if stored is None:
        raise IndexMismatchError(
            f"{path}: built without --sparse, this run has {wanted}",
            hint="build another index with -i: all its chunks need sparse vectors",
        )
    raise IndexMismatchError(
        f"{path}: built with the sparse model {stored}, this run has {wanted or 'none'}",
        hint="use the same sparse model, or build another index with -i",
    )
