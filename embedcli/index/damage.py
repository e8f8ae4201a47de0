"""What SQLite says, in the project's own words."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import TYPE_CHECKING

from embedcli.errors import DamagedIndexError, IndexFileError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


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
    except UnicodeDecodeError as error:
        # SQLite quotes the damaged text in its message.
        raise damaged(path, "a name or text is not UTF-8") from error
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY):
            raise OutputError(f"{path}: {error}", hint="the last commit is intact") from error
        if str(error).startswith("Could not decode to UTF-8"):
            raise damaged(path, "a text is not UTF-8") from error
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            raise damaged(path, str(error)) from error
        raise IndexFileError(f"{path}: {error}") from error


def damaged(path: Path, what: str) -> DamagedIndexError:
    """Return the error for an index whose content cannot be trusted."""
    return DamagedIndexError(
        f"{path}: damaged: {what}",
        hint=f"embedcli index check --repair -i {path} takes out what is damaged; build again after it",
    )
