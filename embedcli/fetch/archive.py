"""Archives, unpacked so that nothing leaves the folder, nothing is a link, and the sizes stay bounded."""

from __future__ import annotations

import gzip
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from embedcli.errors import ModelError, OutputError
from embedcli.fetch.files import MANIFEST, MAX_FILES, is_safe_path

if TYPE_CHECKING:
    from collections.abc import Iterator

ARCHIVES = (".zip", ".whl", ".tar.gz", ".tgz")
MAX_UNPACKED_BYTES = 64 << 30
MAX_RATIO = 100
"""Bytes out for each byte in. Weights and vocabularies shrink to a tenth at best, zeros to a thousandth."""

_ALLOWANCE_BYTES = 64 << 20
_MAX_HEAD_BYTES = 1 << 24
_BLOCK_BYTES = 1 << 20
_INNER = ".unpacked"
_MAX_INNER = 16


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive that can be unpacked."""
    return name.lower().endswith(ARCHIVES)


def unpack(archive: Path, folder: Path) -> None:
    """Unpack an archive into a new folder.

    Names must stay below the folder; only plain files and folders are made, with permissions of their own;
    the number of files and of bytes is bounded.

    Args:
        archive: A zip file (`.zip`, `.whl`) or a compressed tar file (`.tar.gz`, `.tgz`).
        folder: Must not exist.

    Raises:
        ModelError: The archive is damaged, or holds what is refused; the message names it.
        OutputError: The disk is full, or cannot be written.
    """
    limit = min(MAX_UNPACKED_BYTES, archive.stat().st_size * MAX_RATIO + _ALLOWANCE_BYTES)
    target = _Target(archive.name, folder, limit)
    folder.mkdir()
    is_zip = archive.name.lower().endswith((".zip", ".whl"))
    try:
        (_unpack_zip if is_zip else _unpack_tar)(archive, target)
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, gzip.BadGzipFile) as error:
        raise ModelError(f"{archive.name}: damaged, or no archive: {error}") from error
    except (NotImplementedError, RuntimeError, ValueError) as error:
        raise ModelError(f"{archive.name}: cannot be unpacked: {error}") from error
    except OSError as error:
        raise OutputError(f"{folder}: {error.strerror or error}") from error


def find_models(folder: Path) -> list[Path]:
    """Return the folders that hold a model, in the order of their paths; those within another are its parts.

    Where there is none, archives in the folder are unpacked and looked into: some packages ship their weights
    as a zip file.

    Raises:
        ModelError: An archive within is refused.
        OutputError: The disk is full, or cannot be written.
    """
    found = _model_folders(folder)
    if found:
        return found
    inner = [path for path in sorted(folder.rglob("*")) if path.is_file() and is_archive(path.name)]
    if len(inner) > _MAX_INNER:
        raise ModelError(f"{len(inner)} archives within the archive: more than any model needs")
    for path in inner:
        unpack(path, path.with_name(path.name + _INNER))
        path.unlink()
    return _model_folders(folder)


def shown_path(folder: Path, root: Path) -> str:
    """Return a folder's path below `root` as it is typed: without what unpacking has added to names."""
    parts = (part.removesuffix(_INNER) for part in folder.relative_to(root).parts)
    return "/".join(parts)


def _model_folders(folder: Path) -> list[Path]:
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders.sort()
        names = set(files)
        has_weights = any(name.endswith((".safetensors", ".onnx")) for name in names) or any(
            Path(parent, "onnx").glob("*.onnx")
        )
        if names & {MANIFEST, "modules.json"} or ("config.json" in names and has_weights):
            found.append(Path(parent))
            folders.clear()
    return found


class _Target:
    """The folder that is filled, and how much may still go into it."""

    def __init__(self, archive: str, folder: Path, limit: int) -> None:
        self._archive, self._folder = archive, folder
        self._bytes_left, self._files_left = limit, MAX_FILES
        self._names: set[str] = set()

    def refuse(self, name: str, reason: str) -> ModelError:
        return ModelError(f"{self._archive}: {name!r} {reason}; nothing of it is used")

    def check_name(self, name: str) -> None:
        """Refuse a name that leads elsewhere, or that is there already."""
        if not is_safe_path(name):
            raise self.refuse(name, "is not a name below the folder")
        if name.casefold() in self._names:
            raise self.refuse(name, "is there twice")
        self._names.add(name.casefold())
        self._files_left -= 1
        if self._files_left < 0:
            raise ModelError(f"{self._archive}: more than {MAX_FILES} files, more than any model has")

    def write(self, name: str, stream: IO[bytes]) -> None:
        """Write one file, counting what really comes out, whatever the archive announces."""
        path = self._folder / name
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as output:
                while block := stream.read(_BLOCK_BYTES):
                    self._bytes_left -= len(block)
                    if self._bytes_left < 0:
                        raise ModelError(
                            f"{self._archive}: swells beyond {MAX_RATIO} times its size: not used"
                        )
                    if len(block) > shutil.disk_usage(self._folder).free:
                        raise OutputError(f"{self._folder}: no space left for what is unpacked")
                    output.write(block)
        except FileExistsError:
            raise self.refuse(name, "is a file and a folder") from None
        except NotADirectoryError:
            raise self.refuse(name, "is below a file") from None


def _unpack_zip(archive: Path, target: _Target) -> None:
    with zipfile.ZipFile(archive) as source:
        entries = source.infolist()
        for entry in entries:
            name = entry.orig_filename
            mode = entry.external_attr >> 16
            if name.endswith("/"):
                continue
            target.check_name(name)
            if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
                raise target.refuse(name, "is a link or a device")
            if entry.flag_bits & 1:
                raise target.refuse(name, "is encrypted")
            with source.open(entry) as stream:
                target.write(name, stream)


def _unpack_tar(archive: Path, target: _Target) -> None:
    with _tar(archive) as source:
        for entry in source:
            if entry.isdir():
                continue
            target.check_name(entry.name.removeprefix("./"))
            if not entry.isreg() or entry.issparse():
                raise target.refuse(entry.name, "is a link or a device")
            stream = source.extractfile(entry)
            if stream is None:
                raise target.refuse(entry.name, "cannot be read")
            with stream:
                target.write(entry.name.removeprefix("./"), stream)


@contextmanager
def _tar(archive: Path) -> Iterator[tarfile.TarFile]:
    with archive.open("rb") as raw, _Stream(fileobj=raw) as stream, tarfile.TarFile(fileobj=stream) as source:
        yield source
        # Only at its end does the stream tell whether all of it was right.
        if len(stream.read(_MAX_HEAD_BYTES)) == _MAX_HEAD_BYTES:
            raise ValueError("more follows behind its end")


class _Stream(gzip.GzipFile):
    """A decompressed stream of which no single piece is large: heads of entries are read in one piece."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _MAX_HEAD_BYTES:
            raise ValueError("the head of an entry is larger than any needs to be")
        return super().read(size)
