"""The files under a folder, by the rules of ripgrep."""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from embedcli.datatypes import Problem
from embedcli.errors import UsageError
from embedcli.records.glob import compile_glob, matches

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from ignore import Walk
    from ignore.overrides import Override

    from embedcli.datatypes import OnProblem
    from embedcli.records.settings import ReadSettings

IGNORE_FILE: Final = ".embedcliignore"
OWN_FOLDER: Final = ".embedcli"
"""Where an index lies; never input, even where hidden files are."""

_IO_ERROR: Final = re.compile(
    r"(?s)(?P<path>.*): IO error for operation on (?P=path): .*\(os error (?P<errno>\d+)\)"
)


def walk(root: str, settings: ReadSettings, on_problem: OnProblem) -> list[str]:
    """Return the regular files under a folder, sorted by the bytes of their paths.

    Links, sockets, devices and FIFOs are left out, and so is what an ignore file names, what is hidden, and
    what the settings exclude. A folder that cannot be read is a problem; the others are read all the same.
    Ignore files of git count only inside a git repository, as in ripgrep. Memory: all paths at once, so that
    the order is that of the bytes and not that of the file system.

    Raises:
        UsageError: A glob cannot be understood.

    Source: the ignore crate, through ignore-python; its defaults except where a setting says otherwise.
    """
    includes = [compile_glob(glob) for glob in settings.include]
    found: list[str] = []
    for path in _entries(_walker(root, settings), on_problem):
        try:
            status = os.lstat(path)
        except OSError:
            continue  # Gone since the walk met it: it is as if the walk had come later.
        if not stat.S_ISREG(status.st_mode):
            continue
        if settings.max_filesize_bytes is not None and status.st_size > settings.max_filesize_bytes:
            continue
        # Includes only narrow. The library's own would also bring back what is hidden or ignored.
        relative = os.path.relpath(path, root) if includes else ""
        if not includes or any(matches(pattern, relative) for pattern in includes):
            found.append(path)
    return sorted(found, key=os.fsencode)


def _walker(root: str, settings: ReadSettings) -> Walk:
    """Return the library's walk with the settings applied."""
    from ignore import WalkBuilder

    builder = WalkBuilder(Path(root)).hidden(not settings.hidden).overrides(_excludes(root, settings))
    if settings.respect_ignore_files:
        builder.add_custom_ignore_filename(IGNORE_FILE)
    else:
        builder.ignore(yes=False).parents(yes=False)
        builder.git_ignore(yes=False).git_global(yes=False).git_exclude(yes=False)
    return builder.build()


def _excludes(root: str, settings: ReadSettings) -> Override:
    """Return the excluded globs as the library wants them: negated, relative to the root."""
    from ignore import Error
    from ignore.overrides import OverrideBuilder

    overrides = OverrideBuilder(Path(root))
    for glob in (OWN_FOLDER, *settings.exclude):
        try:
            overrides.add(f"!{glob}")
        except Error as error:
            raise UsageError(f"glob {glob!r}: {error}") from error
    return overrides.build()


def _entries(walker: Walk, on_problem: OnProblem) -> Iterator[str]:
    """Yield what the walk meets, and pass on what it could not read."""
    from ignore import Error
    from ignore import IOError as WalkIOError

    while True:
        try:
            entry = next(walker)
        except StopIteration:
            return
        except (Error, WalkIOError) as error:
            on_problem(_problem(str(error)))
        else:
            yield str(entry.path())


def _problem(message: str) -> Problem:
    """Return the library's message as a problem with its place apart."""
    found = _IO_ERROR.fullmatch(message)
    if found is None:
        return Problem(message.partition(": ")[0], message.partition(": ")[2] or message)
    return Problem(found["path"], os.strerror(int(found["errno"])))
