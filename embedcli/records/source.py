"""Paths on a command line to the sources that are read."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from embedcli.datatypes import STDIN_NAME, Source
from embedcli.errors import MissingPathError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO

    from embedcli.datatypes import OnProblem
    from embedcli.records.settings import ReadSettings


def find_sources(paths: Sequence[str], settings: ReadSettings, on_problem: OnProblem) -> Iterator[Source]:
    """Return the sources that paths stand for, in the order of the paths.

    `-` is standard input. A folder stands for the files under it, sorted by the bytes of their paths; links
    are followed for the paths themselves and nowhere else. Everything else that was named is a source as it
    is, FIFOs too.

    Args:
        paths: As the user gave them; bytes that are no UTF-8 as `os.fsdecode` has them.
        settings: What a walk leaves out.
        on_problem: Told of folders that cannot be read.

    Raises:
        MissingPathError: A path does not exist or cannot be reached. Raised by the call itself, before any
            source is given out.
        UsageError: Standard input is named twice.
    """
    if sum(path == STDIN_NAME for path in paths) > 1:
        raise UsageError("standard input can be read only once", hint="name - once")
    checked = [(path, path != STDIN_NAME and _is_folder(path)) for path in paths]
    return _sources(checked, settings, on_problem)


def read_path_list(stream: BinaryIO, null: bool) -> list[str]:
    """Return the paths of a list, one to a line or each ended by NUL, in their order; empty ones left out.

    Args:
        stream: The list.
        null: Whether NUL ends a path, as `find -print0` has it; a path may then hold line breaks.
    """
    separator = b"\0" if null else b"\n"
    return [os.fsdecode(path) for path in stream.read().split(separator) if path]


def _sources(
    checked: list[tuple[str, bool]], settings: ReadSettings, on_problem: OnProblem
) -> Iterator[Source]:
    for path, is_folder in checked:
        if is_folder:
            from embedcli.records.walk import walk

            for found in walk(path, settings, on_problem):
                yield Source(found, root=path, named=False)
        elif path == STDIN_NAME:
            yield Source(None)
        else:
            yield Source(path, root=path)


def _is_folder(path: str) -> bool:
    """Return whether a path is a folder, and make sure that it exists.

    Raises:
        MissingPathError: It does not, for the reason that its message gives.
    """
    try:
        return stat.S_ISDIR(os.stat(path).st_mode)  # noqa: PTH116  (a name need not be UTF-8)
    except FileNotFoundError as error:
        if os.path.islink(path):  # noqa: PTH114
            raise MissingPathError(path, f"broken link to {os.readlink(path)}") from error  # noqa: PTH115
        raise MissingPathError(path) from error
    except OSError as error:
        raise MissingPathError(path, error.strerror or str(error)) from error
    except ValueError as error:  # a NUL in the name
        raise MissingPathError(path, str(error)) from error
