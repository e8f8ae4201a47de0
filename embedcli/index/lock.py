"""One writer at a time, by a lock of the operating system on a file beside the index.

The kernel drops the lock when its owner dies, so there is no stale lock to clean up. The lock is not taken
on the index itself: closing any handle on that file would drop SQLite's own locks on it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from typing import TYPE_CHECKING

from embedcli.errors import IndexFileError, IndexLockedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_POLL_SECONDS = 0.05


@contextlib.contextmanager
def writer_lock(index: Path, timeout_seconds: float = 0.0) -> Iterator[None]:
    """Hold the writer's lock of an index for as long as the block runs.

    Args:
        index: The index file, which need not exist yet; its folder must.
        timeout_seconds: How long to wait for another writer.

    Raises:
        IndexLockedError: Another writer has it; the message names its process and start time.
        IndexFileError: The lock file cannot be made.
    """
    path = index.with_name(index.name + ".lock")
    deadline = time.monotonic() + timeout_seconds
    while (handle := _try_lock(path)) is None:
        if time.monotonic() >= deadline:
            raise IndexLockedError(
                f"{index}: another run is writing to it ({_owner(path)})",
                hint="--lock-timeout SECONDS waits for it",
            )
        time.sleep(_POLL_SECONDS)
    try:
        # For messages only: a full disk is the business of what comes next.
        with contextlib.suppress(OSError):
            os.ftruncate(handle, 0)
            os.write(handle, f"pid {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}".encode())
        yield
    finally:
        # Removed while still locked: whoever opened it before finds another file under the name and tries
        # again.
        with contextlib.suppress(OSError):
            path.unlink()
        os.close(handle)


def _try_lock(path: Path) -> int | None:
    """Return a locked handle on the file that now has this name, or None if another process has it."""
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    except OSError as error:
        raise IndexFileError(f"{path}: cannot be written: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(handle).st_ino == path.stat().st_ino:
            return handle
    except BlockingIOError:
        pass
    except FileNotFoundError:
        # The last owner removed it between opening and locking: the caller tries again.
        pass
    except OSError as error:
        os.close(handle)
        raise IndexFileError(f"{path}: this file system does not support locks: {error.strerror}") from error
    os.close(handle)
    return None


def _owner(path: Path) -> str:
    """Return what the owner wrote about itself."""
    with contextlib.suppress(OSError):
        return path.read_text(encoding="utf-8", errors="replace")[:100] or "owner unknown"
    return "owner unknown"
