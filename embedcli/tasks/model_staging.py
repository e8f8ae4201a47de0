"""Where a model is put together before it is one: a hidden folder within the models folder.

It is on the same file system as the models, whatever is mounted where, so that one rename makes a model
visible. What was fetched before an interruption stays there and is used by the next run.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import shutil
import time
from typing import TYPE_CHECKING

from embedcli.errors import IndexFileError, IndexLockedError, OutputError
from embedcli.index.lock import writer_lock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STAGING_NAME = ".staging"
STALE_SECONDS = 7 * 86_400
"""What was left for longer than this is not coming back."""

_MARK = "source.txt"
_OLD, _GONE = "old", "gone"


class Staging:
    """One source's place, locked for this run.

    Attributes:
        files: What was fetched, under its paths at the source; kept when the run fails.
        unpacked: What came out of an archive; new in each run.
        made: The model as it will be; new in each run.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files, self.unpacked, self.made = folder / "files", folder / "unpacked", folder / "made"

    def prepare(self, source: str) -> None:
        """Make the place ready: old fetched files stay, everything else goes."""
        self.clean()
        self.files.mkdir(parents=True, exist_ok=True)
        (self._folder / _MARK).write_text(source + "\n", encoding="utf-8")

    def clean(self) -> None:
        """Remove what must not be used by another run."""
        for path in (self.unpacked, self.made):
            shutil.rmtree(path, ignore_errors=True)

    def keep_fetched(self) -> None:
        """Keep what the next run can go on with, if there is anything."""
        self.clean()
        if not any(path.is_file() for path in self.files.rglob("*")):
            self.remove()

    def remove(self) -> None:
        """Remove all of it."""
        shutil.rmtree(self._folder, ignore_errors=True)


@contextlib.contextmanager
def lock_name(models: Path, name: str) -> Iterator[None]:
    """Hold a model's name: nobody else adds or removes a model of that name meanwhile.

    Raises:
        IndexLockedError: Another run has it.
        OutputError: The models folder cannot be written.
    """
    with _lock(models, f"name-{name}", f"{name}: another run is adding or removing this model"):
        _restore(models / name)
        yield


@contextlib.contextmanager
def open_staging(models: Path, source: str) -> Iterator[Staging]:
    """Hold the place of a source, its version included.

    When the block ends well, nothing of it stays; when it does not, what was fetched does.

    Raises:
        IndexLockedError: Another run fetches the same.
        OutputError: The models folder cannot be written.
    """
    key = hashlib.sha256(source.encode()).hexdigest()[:20]
    with _lock(models, key, f"{source}: another run is fetching it"):
        staging = Staging(models / STAGING_NAME / key)
        try:
            staging.prepare(source)
        except OSError as error:
            raise OutputError(f"{models}: {error.strerror or error}") from error
        try:
            yield staging
        except BaseException:
            staging.keep_fetched()
            raise
        staging.remove()


@contextlib.contextmanager
def _lock(models: Path, key: str, message: str) -> Iterator[None]:
    root = models / STAGING_NAME
    try:
        with contextlib.ExitStack() as stack:
            while True:
                try:
                    root.mkdir(parents=True, exist_ok=True)
                    stack.enter_context(writer_lock(root / key))
                    break
                except OSError as error:
                    raise OutputError(f"{root}: {error.strerror or error}") from error
                except IndexLockedError as error:
                    raise IndexLockedError(message, hint="try again when it has ended") from error
                except IndexFileError:
                    # Another run that ended has just removed the empty folder.
                    if root.is_dir():
                        raise
            yield
    finally:
        # Only an empty one goes: other runs may be at work, or have left something.
        with contextlib.suppress(OSError):
            root.rmdir()


def publish(made: Path, target: Path) -> None:
    """Move a finished model to its name, in place of an older one if there is one.

    Between the two renames of a replacement the name is free for a moment; a run that is killed there leaves
    the old model under a hidden name, from which the next run that holds the name brings it back.

    Raises:
        OutputError: It cannot be moved.
    """
    aside = _aside(target, _OLD)
    try:
        _flush(made)
        if target.exists() or target.is_symlink():
            target.rename(aside)
        made.rename(target)
    except OSError as error:
        if not target.exists() and aside.exists():
            aside.rename(target)
        raise OutputError(f"{target}: {error.strerror or error}") from error
    _delete(aside)


def take_away(target: Path) -> None:
    """Remove a model: one rename, so that no half of it is ever seen, then its files.

    Raises:
        OutputError: It cannot be moved.
    """
    aside = _aside(target, _GONE)
    try:
        target.rename(aside)
    except OSError as error:
        raise OutputError(f"{target}: {error.strerror or error}") from error
    _delete(aside)


def remove_stale(models: Path) -> None:
    """Remove what runs that were killed have left for longer than a week. Nothing that fails here matters."""
    root = models / STAGING_NAME
    deadline = time.time() - STALE_SECONDS
    with contextlib.suppress(OSError):
        for path in list(root.iterdir()):
            if not path.is_dir():
                continue
            mark = path / _MARK
            with contextlib.suppress(OSError, IndexLockedError):
                if (mark if mark.exists() else path).stat().st_mtime < deadline:
                    with writer_lock(root / path.name):
                        shutil.rmtree(path, ignore_errors=True)


def _aside(target: Path, why: str) -> Path:
    """Return a free hidden name; the model's own name ends where the digits begin."""
    return target.parent / STAGING_NAME / f"{why}-{secrets.token_hex(4)}-{target.name}"


def _restore(target: Path) -> None:
    """Give a model back its name where a replacement was killed between its two renames."""
    with contextlib.suppress(OSError):
        for path in (target.parent / STAGING_NAME).iterdir():
            kind, _, rest = path.name.partition("-")
            if kind != _OLD or rest.partition("-")[2] != target.name:
                continue
            if target.exists():
                _delete(path)
            else:
                path.rename(target)


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_symlink():
            path.unlink()
        else:
            shutil.rmtree(path, ignore_errors=True)


def _flush(folder: Path) -> None:
    """Bring files to the disk before their names: after a power loss there is all of the model or none."""
    for path in [*folder.iterdir(), folder]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
