"""Where bytes go: standard output, a device, or a file that is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from embedcli.errors import OutputClosedError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT_NAME = "standard output"

_STDOUT_PATHS = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")
_DESCRIPTORS = ("/dev/std", "/dev/fd/", "/proc/")
"""Names of what is open already: what is behind them cannot be replaced by renaming."""


class Output:
    """A stream of bytes whose failures are the project's own errors.

    Attributes:
        name: What messages call it.
    """

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream, self.name = stream, name

    def write(self, content: bytes | memoryview) -> None:
        """Write bytes.

        Raises:
            OutputClosedError: The reader has gone.
            OutputError: The device is full, or fails.
        """
        with translated(self.name):
            self._stream.write(content)

    def flush(self) -> None:
        """Hand on what is buffered; raises as `write`."""
        with translated(self.name):
            self._stream.flush()

    def can_be_patched(self) -> bool:
        """Whether bytes that were written can be written again: only in a file of our own."""
        return self.name != STDOUT_NAME and self._stream.seekable()

    def patch(self, content: bytes) -> None:
        """Write over the beginning; raises as `write`."""
        with translated(self.name):
            self._stream.seek(0)
            self._stream.write(content)
            self._stream.seek(0, os.SEEK_END)


@contextlib.contextmanager
def open_output(path: str | None, *, in_place: bool = False) -> Iterator[Output]:
    """Open an output for a block.

    A file is written beside its name and renamed into place when the block ends well; when it does not, the
    old file stays and the new one is removed. A new file gets the permissions that the umask leaves, a
    replaced one keeps its own. Devices, FIFOs and names of open descriptors (`/dev/stdout`) are written to
    directly.

    Args:
        path: The file; None or `-` for standard output.
        in_place: Whether a file is written as the run goes, and holds what was flushed however that ends.

    Raises:
        OutputClosedError: The reader of standard output has gone.
        OutputError: The output cannot be written; the message names it and the reason.
    """
    # Opening /dev/stdout anew would empty a file that the shell appends to.
    if path is None or path in _STDOUT_PATHS:
        if sys.stdout is None:
            raise OutputError(f"cannot write to {STDOUT_NAME}: it is closed")
        output = Output(cast("BinaryIO", sys.stdout.buffer), STDOUT_NAME)
        yield output
        output.flush()
        return
    # The file behind a symbolic link is replaced, not the link.
    real = Path(os.path.realpath(path))
    if in_place or _is_direct(path):
        with translated(path):
            flags = os.O_WRONLY | os.O_TRUNC | (os.O_CREAT if in_place else 0)
            stream = os.fdopen(os.open(path, flags, 0o666), "wb")
        try:
            output = Output(stream, path)
            yield output
            output.flush()
        finally:
            with contextlib.suppress(OSError):
                stream.close()
        return
    with _beside(real, path) as output:
        yield output


def _is_direct(path: str) -> bool:
    """Whether a path is opened as it is: not a file that can be replaced, nor one that is still to come."""
    if path.startswith(_DESCRIPTORS) or path.endswith("/"):
        return True
    try:
        # Not the resolved path: the kernel follows its own links where their text leads nowhere.
        return not stat.S_ISREG(Path(path).stat().st_mode)
    except OSError:
        return False


@contextlib.contextmanager
def _beside(path: Path, name: str) -> Iterator[Output]:
    """Write a temporary file in the same folder and rename it over `path`."""
    # A short name, since the longest names leave no room for an ending; hidden, so that walks pass it over.
    temporary = path.parent / f".embedcli-{secrets.token_hex(8)}.tmp"
    with translated(name):
        old = _permissions(path)
        if old is not None and not os.access(path, os.W_OK):
            # Renaming would replace it all the same.
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        handle = os.open(temporary, flags, 0o666 if old is None else 0o600)
    try:
        stream = os.fdopen(handle, "wb")
        try:
            output = Output(stream, name)
            yield output
            output.flush()
            with translated(name):
                if old is not None:
                    os.fchmod(stream.fileno(), old)
                os.fsync(stream.fileno())
        finally:
            with contextlib.suppress(OSError):
                stream.close()
        with translated(name):
            temporary.rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise


def _permissions(path: Path) -> int | None:
    """Return the permissions of the file that is replaced; None where there is none."""
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except FileNotFoundError:
        return None


@contextlib.contextmanager
def translated(name: str) -> Iterator[None]:
    """Turn what goes wrong in writing into the project's own errors."""
    try:
        yield
    except BrokenPipeError as error:
        raise OutputClosedError(f"{name}: the reader has gone") from error
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR):
            raise OutputError(f"cannot write to {name}: the folder does not exist") from error
        raise OutputError(f"cannot write to {name}: {error.strerror or error}") from error
