"""Opening an index file: for reading as one commit, for writing under the lock."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, get_args
from urllib.parse import quote

from embedcli.datatypes import StoredDtype
from embedcli.errors import (
    DamagedIndexError,
    IndexFileError,
    IndexLockedError,
    IndexMismatchError,
    MissingIndexError,
    OutputError,
)
from embedcli.index.checksum import row_hash
from embedcli.index.lock import writer_lock
from embedcli.index.schema import (
    APPLICATION_ID,
    FORMAT_VERSION,
    LEXICAL_TABLE,
    create_statements,
    layout_pragmas,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COUNTED = ("sources", "records", "chunks", "vectors")
"""What `meta` keeps count of. Chunks are those that a search can find; vectors also the deleted ones."""

_META_TYPES: dict[str, Any] = {
    "identity": dict,
    "commit": int,
    "vectors_commit": int,
    "counts": dict,
    "query_defaults": dict,
}
_MAX_DIM = 1 << 16
"""More numbers in a vector than any encoder gives; a file that claims more is not to decide how much memory
is taken."""

_SQLITE_MAGIC = b"SQLite format 3\0"
_BUSY_SECONDS = 10.0


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


@contextlib.contextmanager
def translated_errors(path: Path) -> Iterator[None]:
    """Turn SQLite's exceptions into the project's own; the only place that does so.

    Raises:
        OutputError: The disk is full or cannot be written.
        DamagedIndexError: SQLite finds the file malformed.
        IndexFileError: Anything else SQLite says.
    """
    try:
        yield
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
            raise OutputError(f"{path}: {error}", hint="the last commit is intact") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, str(error)) from error
        raise IndexFileError(f"{path}: {error}") from error


def damaged(path: Path, what: str) -> DamagedIndexError:
    """Return the error for an index whose content cannot be trusted."""
    return DamagedIndexError(
        f"{path}: damaged: {what}",
        hint="delete it and build it again: the files it was made from are untouched",
    )


def check_header(path: Path) -> None:
    """Check that a file is an index of a version that can be read, before SQLite parses any of it.

    Raises:
        MissingIndexError: There is no such file.
        DamagedIndexError: It is something else.
        IndexFileError: It is of another format version.
    """
    try:
        with path.open("rb") as stream:
            header = stream.read(100)
    except (FileNotFoundError, NotADirectoryError):
        raise MissingIndexError(
            f"{path}: no index here", hint=f"embedcli index build -i {path} PATH makes one"
        ) from None
    except OSError as error:
        raise IndexFileError(f"{path}: {error.strerror}") from error
    found_id = int.from_bytes(header[68:72], "big")
    if not header.startswith(_SQLITE_MAGIC) or found_id != APPLICATION_ID:
        raise DamagedIndexError(f"{path}: not an embedcli index")
    version = int.from_bytes(header[60:64], "big")
    if version != FORMAT_VERSION:
        raise IndexFileError(
            f"{path}: index format {version}, this version reads {FORMAT_VERSION}",
            hint="a newer embedcli may read it" if version > FORMAT_VERSION else "build it again",
        )


@contextlib.contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an index for reading; everything read in the block is of one commit.

    Raises:
        IndexFileError: See `check_header` and `translated_errors`.
    """
    check_header(path)
    with translated_errors(path):
        connection = _connect(path, "ro")
        try:
            connection.execute("BEGIN")
            _check_schema(path, connection)
            yield connection
        finally:
            connection.close()


@contextlib.contextmanager
def open_for_writing(
    path: Path, identity: Identity, *, lock_timeout_seconds: float = 0.0
) -> Iterator[sqlite3.Connection]:
    """Open or create an index for writing, under the writer's lock.

    While the block runs the file is in WAL mode, so that readers are never kept waiting. At its end
    everything is folded back into the one file. The caller commits; what is not committed is rolled back.

    Raises:
        IndexLockedError: Another run is writing.
        IndexMismatchError: The index holds vectors of another identity.
        IndexFileError: See `check_header` and `translated_errors`.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise IndexFileError(f"{path.parent}: cannot be made: {error.strerror}") from error
    with writer_lock(path, lock_timeout_seconds), translated_errors(path):
        is_new = not path.exists() or path.stat().st_size == 0
        if not is_new:
            check_header(path)
        connection = _connect(path, "rwc")
        try:
            if is_new:
                _create(connection, identity)
            _check_schema(path, connection)
            check_identity(path, read_identity(path, connection), identity)
            _switch_to_wal(path, connection, lock_timeout_seconds)
            connection.execute("PRAGMA synchronous = FULL")
            yield connection
        finally:
            _close_cleanly(connection)


@contextlib.contextmanager
def open_for_rehearsal(path: Path, identity: Identity) -> Iterator[sqlite3.Connection]:
    """Open an index as if for writing, for a run that keeps nothing: the file is not changed by a byte.

    What the block does stays in memory and is dropped at its end. An index that does not exist is not made.

    Raises:
        IndexLockedError: Another run is writing.
        IndexMismatchError: The index holds vectors of another identity.
        IndexFileError: See `check_header` and `translated_errors`.
    """
    if not path.exists():
        with contextlib.closing(_configured(sqlite3.connect(":memory:", isolation_level=None))) as connection:
            _create(connection, identity)
            yield connection
        return
    check_header(path)
    with writer_lock(path, 0.0), translated_errors(path):
        connection = _connect(path, "rw")
        try:
            # Nothing reaches the file before a commit, however much there is.
            connection.execute("PRAGMA cache_spill = OFF")
            _check_schema(path, connection)
            check_identity(path, read_identity(path, connection), identity)
            yield connection
        finally:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            connection.close()


def _connect(path: Path, mode: str) -> sqlite3.Connection:
    """Connect in autocommit mode, with nothing in the file's own schema trusted to run."""
    return _configured(
        sqlite3.connect(
            f"file:{quote(str(path.absolute()).encode('utf-8', 'surrogateescape'))}?mode={mode}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )
    )


def _configured(connection: sqlite3.Connection) -> sqlite3.Connection:
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    return connection


def _create(connection: sqlite3.Connection, identity: Identity) -> None:
    """Make the tables in one transaction: a killed first run leaves no half-made index."""
    for statement in layout_pragmas():
        connection.execute(statement)
    connection.execute("BEGIN IMMEDIATE")
    for statement in create_statements():
        connection.execute(statement)
    write_meta(connection, "identity", asdict(identity))
    write_meta(connection, "commit", 0)
    write_meta(connection, "vectors_commit", 0)
    write_meta(connection, "counts", dict.fromkeys(COUNTED, 0))
    write_meta(connection, "query_defaults", {})
    root = (0, b"-", "{}")
    connection.execute("INSERT INTO root VALUES (?, ?, ?, ?)", (*root, row_hash(root)))
    connection.execute("COMMIT")


def _check_schema(path: Path, connection: sqlite3.Connection) -> None:
    """Check that the file has the tables of the format and nothing else: no views, no triggers.

    Raises:
        DamagedIndexError: It has others.
    """
    found = {
        (name, sql)
        for name, sql in connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL")
        # The tables that FTS5 makes for itself are written as its version likes.
        if not (name.startswith(f"{LEXICAL_TABLE}_") and str(sql).startswith("CREATE TABLE"))
    }
    wanted = {
        (statement.split("(")[0].split(" ON ")[0].split(" USING ")[0].split()[-1], statement)
        for statement in create_statements()
        if statement.startswith("CREATE")
    }
    if found != wanted:
        raise damaged(path, "its tables are not those of an index")


def _switch_to_wal(path: Path, connection: sqlite3.Connection, timeout_seconds: float) -> None:
    """Let readers go on while this run writes; only for the switch itself none may be at work.

    Raises:
        IndexLockedError: A reader did not finish in time.
    """
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * max(_BUSY_SECONDS, timeout_seconds))}")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
            raise
        raise IndexLockedError(
            f"{path}: a search has been reading it all the time", hint="--lock-timeout SECONDS waits for it"
        ) from error
    connection.execute(f"PRAGMA busy_timeout = {int(1000 * _BUSY_SECONDS)}")


def _close_cleanly(connection: sqlite3.Connection) -> None:
    """Fold the WAL back into the file, so that an idle index is one file that read-only media can hold."""
    with contextlib.suppress(sqlite3.Error):
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        # Either may find a reader in the way; the file then stays in WAL mode, valid, until the next time.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("PRAGMA journal_mode = DELETE")
    connection.close()


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
        if isinstance(value, _META_TYPES[key]) and (
            key != "counts" or all(isinstance(value.get(name), int) for name in COUNTED)
        ):
            return value
    raise damaged(path, f"meta {key!r} is not of its kind")


def write_meta(connection: sqlite3.Connection, key: str, value: Any) -> None:
    """Set one JSON value of `meta`."""
    text = json.dumps(value)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, text, row_hash((key, text))))


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


def stored_identity(path: Path) -> Identity:
    """Return the identity of an index file.

    Raises:
        IndexFileError: See `open_for_reading`.
    """
    with open_for_reading(path) as connection:
        return read_identity(path, connection)


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
