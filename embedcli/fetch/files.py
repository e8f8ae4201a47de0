"""Files of a repository or an archive by their paths: which names are safe, and which files a model needs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from embedcli.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MAX_FILES = 20_000
_MAX_PATH_CHARS = 400
_MAX_NAME_CHARS = 200
_LEGAL = ("license", "licence", "notice", "copying", "readme")
_LEGAL_ENDINGS = ("", ".md", ".txt", ".rst")
_SETTINGS = (".json", ".txt", ".toml")
_GRAPH, _TENSORS = ".onnx", ".safetensors"
_DATA_ENDINGS = ("_data", ".data")
MANIFEST = "model.toml"
SMALL_BYTES = 2_000_000
"""Settings are smaller; a tokenizer may be larger, and is not among what is looked at beforehand."""


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file of a repository, with its length and one of two hashes of it."""

    path: str
    bytes: int
    sha256: str | None
    git_sha1: str | None


def is_safe_path(path: str) -> bool:
    """Whether a path stays below the folder that it is put into, on every system."""
    parts = path.split("/")
    return (
        len(path) <= _MAX_PATH_CHARS
        and all(char.isprintable() and char not in '\\:*?"<>|' for char in path)
        and all(part not in ("", ".", "..") and len(part) <= _MAX_NAME_CHARS for part in parts)
    )


def check_listing(what: str, files: Sequence[RemoteFile]) -> None:
    """Refuse a listing that could not be of a model.

    Raises:
        ModelError: It has too many files, two with one name, or one without a hash.
    """
    if len(files) > MAX_FILES:
        raise ModelError(f"{what}: {len(files)} files are more than any model has")
    if len({file.path for file in files}) != len(files):
        raise ModelError(f"{what}: two files have one name")
    for file in files:
        if file.bytes < 0 or not (file.sha256 or file.git_sha1):
            raise ModelError(f"{what}: no length or hash for {file.path!r}")


def settings_files(files: Iterable[RemoteFile]) -> list[RemoteFile]:
    """Return the small files that say what a model is: settings at the top and in folders of modules."""
    return [
        file
        for file in files
        if is_safe_path(file.path)
        and file.bytes <= SMALL_BYTES
        and (_is_setting(file.path) or file.path == MANIFEST)
        and PurePosixPath(file.path).name != "tokenizer.json"
    ]


def _is_setting(path: str) -> bool:
    pure = PurePosixPath(path)
    return pure.suffix == ".json" and (
        len(pure.parts) == 1 or (len(pure.parts) == 2 and pure.name == "config.json")
    )


def onnx_files(paths: Iterable[str]) -> list[str]:
    """Return the paths of the graphs, in the order in which they are preferred.

    Plain arithmetic first: what somebody has rounded to fewer bits is not what was trained. A graph whose
    numbers are in another file is left out: only graphs that are one file are used.
    """
    names = set(paths)
    found = [
        path
        for path in names
        if is_safe_path(path)
        and path.endswith(_GRAPH)
        and not any(path + ending in names for ending in _DATA_ENDINGS)
    ]
    first = ("onnx/model.onnx", "model.onnx")
    return sorted(found, key=lambda path: (path not in first, path != first[0], len(path), path))


def needed_files(
    files: Sequence[RemoteFile],
    modules: Iterable[str],
    *,
    graph: str | None,
    manifest_names: Iterable[str] = (),
) -> list[RemoteFile]:
    """Return the files that a model is made of, in the order of their paths.

    Args:
        files: All there are.
        modules: Folders of the model's modules, without the top one.
        graph: The ONNX graph that is to be used; None if the weights are.
        manifest_names: Files that a `model.toml` names; if there are any, nothing else is needed.
    """
    safe = [file for file in files if is_safe_path(file.path)]
    named = set(manifest_names)
    if named:
        return [file for file in safe if file.path in named | {MANIFEST} or _is_top_legal(file.path)]
    folders = set(modules)
    return [file for file in safe if _is_needed(file.path, folders, graph)]


def _is_top_legal(path: str) -> bool:
    return "/" not in path and _is_legal(path)


def _is_needed(path: str, folders: set[str], graph: str | None) -> bool:
    pure = PurePosixPath(path)
    parent = str(pure.parent)
    if path == graph:
        return True
    if parent not in (".", *folders):
        return False
    if pure.suffix == _TENSORS:
        # Beside a graph the encoder's own weights are not read; those of a dense layer are.
        return graph is None or parent != "."
    return pure.suffix in _SETTINGS or _is_legal(path)


def _is_legal(path: str) -> bool:
    pure = PurePosixPath(path.lower())
    return pure.name.startswith(_LEGAL) and pure.suffix in _LEGAL_ENDINGS
