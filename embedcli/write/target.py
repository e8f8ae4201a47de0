"""Where bytes go: standard output, a device, or a file that is whole or not there."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from embedcli.errors import OutputClosedError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

STDOUT_NAME = "standard output"


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
def open_output(path: str | None) -> Iterator[Output]:
    """Open an output for a block.

    A file is written beside its name and renamed into place when the block ends well; when it does not, the
    old file stays and the new one is removed. Devices and FIFOs are written to directly.

    Args:
        path: The file; None or `-` for standard output.

    Raises:
        OutputClosedError: The reader of standard output has gone.
        OutputError: The output cannot be written; the message names it and the reason.
    """
    if path is None or path == "-":
        if sys.stdout is None:
            raise OutputError(f"cannot write to {STDOUT_NAME}: it is closed")
        output = Output(cast("BinaryIO", sys.stdout.buffer), STDOUT_NAME)
        yield output
        output.flush()
        return
    # The file behind a symbolic link is replaced, not the link.
    real = Path(os.path.realpath(path))
    if real.exists() and not real.is_file():
        with translated(path):
            stream = real.open("wb")
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


@contextlib.contextmanager
def _beside(path: Path, name: str) -> Iterator[Output]:
    """Write a temporary file in the same folder and rename it over `path`."""
    with translated(name):
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name[:100]}.", suffix=".tmp", dir=path.parent)
    try:
        stream = os.fdopen(handle, "w+b")
        try:
            output = Output(stream, name)
            yield output
            output.flush()
            with translated(name):
                os.fchmod(stream.fileno(), _mode(path))
                os.fsync(stream.fileno())
        finally:
            with contextlib.suppress(OSError):
                stream.close()
        with translated(name):
            Path(temporary).rename(path)
    except BaseException:
        with contextlib.suppress(OSError):
            Path(temporary).unlink()
        raise


def _mode(path: Path) -> int:
    """Return the permissions of the file that is replaced, or those that a new one gets."""
    with contextlib.suppress(OSError):
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


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
