"""Where an index lies, and how paths are kept in it."""

from __future__ import annotations

import os
from pathlib import Path

from embedcli.datatypes import STDIN_NAME
from embedcli.errors import IndexFileError

INDEX_FOLDER = ".embedcli"
INDEX_NAME = "index.emb"


def index_in(folder: Path) -> Path:
    """Return where the index of a folder lies."""
    return folder / INDEX_FOLDER / INDEX_NAME


def index_path(given: str) -> Path:
    """Return the index file that `-i` names: a file, or a folder that holds one."""
    path = Path(given)
    return index_in(path) if path.is_dir() else path


def nearest_index(start: Path) -> Path | None:
    """Return the index of `start` or of the nearest folder above it that has one."""
    for folder in (start.absolute(), *start.absolute().parents):
        if index_in(folder).is_file():
            return index_in(folder)
    return None


def new_index_path(first_root: str) -> Path:
    """Return where an index is made when none was named: in the first root, or beside it if it is a file."""
    root = Path(first_root)
    return index_in(root if root.is_dir() else root.parent)


def store_root(root: Path, index: Path) -> bytes:
    """Return a root as an index keeps it: absolute, or relative if the index lies in the root's `.embedcli`.

    A folder that carries its index in it can then be moved as a whole.
    """
    home = index.absolute().parent
    absolute = Path(os.path.abspath(root))  # noqa: PTH100  (`absolute` keeps "..")
    if home.name == INDEX_FOLDER and (absolute == home.parent or home.parent in absolute.parents):
        return os.fsencode(os.path.relpath(absolute, home))
    return os.fsencode(absolute)


def root_from_stored(stored: bytes, index: Path) -> Path:
    """Return the absolute path of a stored root.

    Raises:
        IndexFileError: The index was taken out of the folder that its root is relative to. What the root
            would mean from here is some other folder, which nobody named.
    """
    if is_out_of_place(stored, index):
        raise IndexFileError(
            f"{index}: taken out of its folder: where its files are cannot be told",
            hint=f"put it into FOLDER/{INDEX_FOLDER}/ again, or build another with -i NEW PATH",
        )
    return Path(os.path.normpath(index.absolute().parent / os.fsdecode(stored)))


def is_out_of_place(stored: bytes, index: Path) -> bool:
    """Whether a stored root is relative to a folder that the index no longer lies in."""
    return not stored.startswith(b"/") and index.absolute().parent.name != INDEX_FOLDER


def shown_source(root: bytes, relative: bytes, index: Path) -> str:
    """Return a stored file as results show it; relative to its root where the index is out of place."""
    if is_out_of_place(root, index):
        return os.fsdecode(relative)
    whole = root_from_stored(root, index)
    return shown_path(whole / os.fsdecode(relative) if relative else whole)


def hit_path(root: bytes, relative: bytes, index: Path) -> str | None:
    """Return a stored file as results show it, or None for what came from standard input."""
    return None if root == STDIN_NAME.encode() else shown_source(root, relative, index)


def shown_path(path: Path) -> str:
    """Return a path as messages and results show it: relative to the working directory."""
    try:
        return os.path.relpath(path)
    except ValueError:  # another drive
        return str(path)
