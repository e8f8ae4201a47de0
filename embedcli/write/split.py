"""One file for each cluster, in a folder that holds nothing else.

Every file is written beside its name first; only when all are there do they take their places. A list in the
folder, `.embedcli-split`, says which files an earlier run made and what was in them: these are replaced, and
nothing that anybody else put there or changed is ever touched.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.errors import InputError, OutputError
from embedcli.write.target import Output, open_output, translated

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Hashes = dict[str, list[str]]
    Write = Callable[[Output], None]

LIST_NAME: Final = ".embedcli-split"
NOISE_NAME: Final = "noise"
_VERSION: Final = 1
_MOST_LIST_BYTES: Final = 1 << 26
_NAME_BYTES: Final = 60
"""Of a cluster's name in that of its file: file systems take 255 in all."""
_ID_DIGITS: Final = 3
_TEMPORARY: Final = re.compile(r"\.embedcli-[0-9a-f]{16}\.tmp")
_SAFE_EXTENSION: Final = re.compile(r"\.[A-Za-z0-9]{1,10}")
_BLOCK_BYTES: Final = 1 << 20


class SplitFile(NamedTuple):
    """A file of a split.

    Attributes:
        name: Its own, without a folder.
        write: Writes its content.
    """

    name: str
    write: Write


def file_name(cluster: int | None, name: str, largest: int, extension: str) -> str:
    """Return the name of a cluster's file, such as `003-card-lost-stolen.csv`.

    Args:
        cluster: Its id; None for what is in none.
        name: The cluster's name, whatever is in it: of each character that is no letter or digit, and of any
            beyond 60 bytes, nothing is left.
        largest: The largest id: all numbers have as many digits.
        extension: With its point.
    """
    if cluster is None:
        return NOISE_NAME + safe_extension(extension)
    digits = max(_ID_DIGITS, len(str(largest)))
    words = "".join(char if _is_safe(char) else " " for char in unicodedata.normalize("NFC", name)).split()
    short = "-".join(words).encode()[:_NAME_BYTES].decode("utf-8", "ignore").rstrip("-")
    return f"{cluster:0{digits}}{'-' if short else ''}{short}{safe_extension(extension)}"


def safe_extension(extension: str) -> str:
    """Return an extension of a few letters and digits; `.txt` for any other."""
    return extension if _SAFE_EXTENSION.fullmatch(extension) else ".txt"


def _is_safe(char: str) -> bool:
    return char.isalnum() or unicodedata.category(char) in {"Mn", "Mc"}


def check_folder(path: str) -> None:
    """See whether a split may go to a folder: it is not there, is empty, or holds an earlier split alone.

    Raises:
        OutputError: It is no folder, or cannot be read.
        InputError: Something else is in it, or a file of the split was changed.
    """
    if os.path.lexists(path):
        _made_before(Path(path), path)


def write_split(path: str, files: Iterable[SplitFile]) -> int:
    """Write the files of a split; return how many.

    One file is open at a time. The folder is made if it is missing. When this fails, the folder holds what it
    held; where the process is killed while files take their places, each is the old one or the new one.

    Args:
        path: The folder.
        files: Their names all differ.

    Raises:
        OutputError: A file cannot be written, or another run is at work in the folder.
        InputError: As `check_folder`.
    """
    folder = Path(path)
    with translated(path):
        is_new = not os.path.lexists(path)
        if is_new:
            folder.mkdir()
    try:
        with _locked(folder, path):
            return _replace_all(folder, path, files)
    except BaseException:
        if is_new:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise


def _replace_all(folder: Path, path: str, files: Iterable[SplitFile]) -> int:
    old = _made_before(folder, path)
    waiting: dict[str, Path] = {}
    new: Hashes = {}
    try:
        for file in files:
            waiting[file.name] = folder / f".embedcli-{secrets.token_hex(8)}.tmp"
            new[file.name] = [_write_one(waiting[file.name], file)]
        # From here on the old content of a name and the new one are both known as ours, whatever happens.
        _write_list(folder, {name: [*old.get(name, []), *new.get(name, [])] for name in {**old, **new}})
        with translated(path):
            for name, temporary in waiting.items():
                temporary.rename(folder / name)
            for name in old.keys() - new.keys():
                (folder / name).unlink()
        _write_list(folder, new)
    finally:
        for temporary in waiting.values():
            with contextlib.suppress(OSError):
                temporary.unlink()
    return len(new)


def _write_one(path: Path, file: SplitFile) -> str:
    """Write a file beside its name; return the hash of what is in it."""
    name = str(path.parent / file.name)
    with translated(name), path.open("xb") as stream:
        output = Output(stream, name)
        file.write(output)
        output.flush()
        os.fsync(stream.fileno())
    return _hash(path)


@contextlib.contextmanager
def _locked(folder: Path, path: str) -> Iterator[None]:
    """Hold the lock of a folder for as long as a block runs; what a killed run left beside is removed."""
    with translated(path):
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise OutputError(f"cannot write to {path}: another run is writing there") from error
        with translated(path):
            for entry in _entries(folder):
                if _is_left_over(entry):
                    Path(entry).unlink()
        yield
    finally:
        os.close(handle)


def _made_before(folder: Path, path: str) -> Hashes:
    """Return the files of an earlier split that are in a folder, and the hashes that they may have.

    Raises:
        OutputError: It is no folder, or cannot be read.
        InputError: Something else is in it, or a file of the split was changed.
    """
    with translated(path):
        entries = {entry.name: entry for entry in _entries(folder) if not _is_left_over(entry)}
        listed = _read_list(entries.pop(LIST_NAME, None), path)
        for name, entry in entries.items():
            is_listed = name in listed and entry.is_file(follow_symlinks=False)
            if not is_listed or _hash(Path(entry)) not in listed[name]:
                what = "was changed since an earlier split wrote it" if is_listed else "is in it"
                raise InputError(
                    f"{path}: not replaced, {name!r} {what}",
                    hint="--split-into wants a folder that is new, empty, or of an earlier split alone",
                )
    return {name: listed[name] for name in entries}


def _read_list(entry: os.DirEntry[str] | None, path: str) -> Hashes:
    """Return what an earlier run wrote down; nothing where there is no such file."""
    if entry is None:
        return {}
    files = None
    with contextlib.suppress(ValueError, KeyError, TypeError, RecursionError):
        if entry.is_file(follow_symlinks=False) and entry.stat().st_size <= _MOST_LIST_BYTES:
            said = json.loads(Path(entry).read_bytes())
            files = said["files"] if said["version"] == _VERSION else None
    if type(files) is not dict or not all(type(each) is list for each in files.values()):
        raise InputError(f"{path}: its {LIST_NAME} is not what an earlier split wrote")
    return files


def _write_list(folder: Path, files: Hashes) -> None:
    with open_output(str(folder / LIST_NAME)) as output:
        output.write(json.dumps({"version": _VERSION, "files": files}, indent=1).encode() + b"\n")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as found:
        return [*found]


def _is_left_over(entry: os.DirEntry[str]) -> bool:
    """Whether an entry is a file that a killed run left."""
    return _TEMPORARY.fullmatch(entry.name) is not None and entry.is_file(follow_symlinks=False)


def _hash(path: Path) -> str:
    """Return the hash of a file's content."""
    import xxhash

    found = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            found.update(block)
    return found.hexdigest()
