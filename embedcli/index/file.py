"""Opening an index file: for reading as one commit, for writing under the lock."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from typing import TYPE_CHECKING
from urllib.parse import quote

from embedcli.errors import (
    DamagedIndexError,
    IndexFileError,
    IndexLockedError,
    MissingIndexError,
    OutputError,
)
from embedcli.index.damage import damaged, translated_errors
from embedcli.index.lock import writer_lock
from embedcli.index.meta import (
    COUNTED,
    Identity,
    add_stdin_root,
    check_identity,
    has_sparse,
    read_identity,
    write_identity,
    write_meta,
)
from embedcli.index.schema import (
    APPLICATION_ID,
    FORMAT_VERSION,
    LEXICAL_TABLE,
    SPARSE_FORMAT_VERSION,
    create_statements,
    layout_pragmas,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


_NEW_SUFFIX = ".new"

_SQLITE_MAGIC = b"SQLite format 3\0"
_BUSY_SECONDS = 10.0


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
    if not header:
        # A run that was stopped before it wrote anything.
        raise MissingIndexError(
            f"{path}: no index here, an empty file", hint=f"embedcli index build -i {path} PATH"
        )
    found_id = int.from_bytes(header[68:72], "big")
    if not header.startswith(_SQLITE_MAGIC) or found_id != APPLICATION_ID:
        raise DamagedIndexError(f"{path}: not an embedcli index")
    version = int.from_bytes(header[60:64], "big")
    if version not in (FORMAT_VERSION, SPARSE_FORMAT_VERSION):
        raise IndexFileError(
            f"{path}: index format {version}, this version reads {FORMAT_VERSION} to {SPARSE_FORMAT_VERSION}",
            hint="a newer embedcli may read it" if version > SPARSE_FORMAT_VERSION else "build it again",
        )


@contextlib.contextmanager
def open_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open an index for reading; everything read in the block is of one commit.

    Raises:
        IndexFileError: See `check_header` and `translated_errors`.
    """
    # On read-only media there is nothing to undo it with; SQLite then says what it cannot do.
    with contextlib.suppress(sqlite3.Error):
        _undo_half_commit(path)
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
        _undo_half_commit(path)
        if not path.exists() or path.stat().st_size == 0:
            _create_file(path, identity)
        check_header(path)
        connection = _connect(path, "rw")
        try:
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
    if not path.exists() or path.stat().st_size == 0:
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


def _undo_half_commit(path: Path) -> None:
    """Undo what a killed run left half done outside of WAL mode, which only a writable connection can."""
    if path.exists() and path.with_name(path.name + "-journal").exists():
        with contextlib.closing(_connect(path, "rw")) as connection:
            connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()


def _create_file(path: Path, identity: Identity) -> None:
    """Make an empty index under another name and rename it: nobody ever meets half of one.

    Raises:
        OutputError: It cannot be written.
    """
    new = path.with_name(path.name + _NEW_SUFFIX)
    try:
        _remove(new)
        with contextlib.closing(_connect(new, "rwc")) as connection:
            _create(connection, identity)
        new.replace(path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise OutputError(f"{path}: cannot be made: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):
            _remove(new)


def _remove(path: Path) -> None:
    for suffix in ("", "-journal"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _create(connection: sqlite3.Connection, identity: Identity) -> None:
    """Make the tables in one transaction: a killed first run leaves no half-made index."""
    for statement in layout_pragmas():
        connection.execute(statement)
    connection.execute("BEGIN IMMEDIATE")
    for statement in create_statements(sparse=identity.sparse is not None):
        connection.execute(statement)
    write_identity(connection, identity)
    write_meta(connection, "commit", 0)
    write_meta(connection, "vectors_commit", 0)
    write_meta(connection, "counts", dict.fromkeys(COUNTED, 0))
    write_meta(connection, "query_defaults", {})
    add_stdin_root(connection)
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
        for statement in create_statements(sparse=has_sparse(connection))
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


def stored_identity(path: Path) -> Identity:
    """Return the identity of an index file.

    Raises:
        IndexFileError: See `open_for_reading`.
    """
    with open_for_reading(path) as connection:
        return read_identity(path, connection)
