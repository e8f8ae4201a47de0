"""The plain files of a model's source folder: JSON, weights, ONNX graphs, licence and languages."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from embedcli.errors import ModelError

if TYPE_CHECKING:
    from pathlib import Path

WEIGHTS_NAME = "model.safetensors"
SHARDS_NAME = "model.safetensors.index.json"
PICKLE_NAMES = ("pytorch_model.bin", "pytorch_model.bin.index.json")
"""Weights as PyTorch writes them by itself: reading them can run code."""

_ONNX_FIRST = ("model.onnx", "model_quantized.onnx")

_LICENCES = {
    "apache-2.0": "Apache-2.0",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-nd-4.0": "CC-BY-NC-ND-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "cc-by-sa-3.0": "CC-BY-SA-3.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc0-1.0": "CC0-1.0",
    "gemma": "LicenseRef-Gemma",
    "gpl-3.0": "GPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "mit": "MIT",
    "mpl-2.0": "MPL-2.0",
    "openrail": "LicenseRef-OpenRAIL",
    "unlicense": "Unlicense",
}
"""SPDX identifiers of the words that model cards use. Those of no standard licence are `LicenseRef-`."""


def read_json(path: Path) -> Any:
    """Return a JSON file's value.

    Raises:
        ModelError: The file is missing or is not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name}") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: {error}") from error


def read_object(path: Path, *, optional: bool = False) -> dict[str, Any]:
    """Return a JSON file's object; an empty one for a missing file that need not be there.

    Raises:
        ModelError: As `read_json`, or the value is no object.
    """
    if optional and not path.exists():
        return {}
    value = read_json(path)
    if not isinstance(value, dict):
        raise ModelError(f"{path}: not a JSON object")
    return value


def inner_folder(folder: Path, name: object, *, where: str) -> Path:
    """Return a folder within `folder`, or `folder` itself for an empty name.

    Raises:
        ModelError: The name leads out of the folder, or a part of it is a link.
    """
    if not isinstance(name, str) or "\\" in name or "\0" in name:
        raise ModelError(f"{folder}: {where} {name!r} is not a folder's name")
    parts = PurePosixPath(name).parts
    if name.startswith("/") or ".." in parts:
        raise ModelError(f"{folder}: {where} {name!r} points outside the folder")
    found = folder
    for part in parts:
        found = found / part
        if found.is_symlink():
            raise ModelError(f"{folder}: {where} {name!r} is a link")
    return found


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256 in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def weights_sha256(folder: Path) -> str:
    """Return the SHA-256 of the weights, or an empty string where there are none in safetensors.

    Weights in several files count as the list of their hashes.

    Raises:
        ModelError: The list of files is damaged, or one of them is missing.
    """
    if (folder / WEIGHTS_NAME).is_file():
        return file_sha256(folder / WEIGHTS_NAME)
    if not (folder / SHARDS_NAME).is_file():
        return ""
    shards = read_object(folder / SHARDS_NAME).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(name, str) for name in shards.values()):
        raise ModelError(f"{folder / SHARDS_NAME}: no list of files")
    digest = hashlib.sha256()
    for name in sorted(set(shards.values())):
        if name != PurePosixPath(name).name or not (folder / name).is_file():
            raise ModelError(f"{folder}: no {name}")
        digest.update(f"{name} {file_sha256(folder / name)}\n".encode())
    return digest.hexdigest()


def onnx_files(folder: Path, transformer: Path) -> tuple[str, ...]:
    """Return the ONNX graphs that come with a model, relative to its folder, the plainest first."""
    places = [transformer / "onnx", transformer]
    if transformer != folder:
        places += [folder / "onnx", folder]
    found = [
        path.relative_to(folder).as_posix()
        for place in places
        for path in sorted(place.glob("*.onnx"))
        if path.is_file()
    ]

    def rank(name: str) -> int:
        base = PurePosixPath(name).name
        return _ONNX_FIRST.index(base) if base in _ONNX_FIRST else len(_ONNX_FIRST)

    return tuple(sorted(found, key=rank))


def read_card(folder: Path) -> tuple[str, tuple[str, ...]]:
    """Return the licence and the languages that README.md states at its head.

    Only two plain keys of that block are read, each on one line or as a list of plain words. What is written
    in any other way, and a licence whose SPDX identifier is not known, is left empty.

    Returns:
        An SPDX identifier or an empty string, and ISO 639 codes in their order.
    """
    try:
        with (folder / "README.md").open(encoding="utf-8") as stream:
            lines = stream.read(1 << 16).splitlines()
    except (OSError, UnicodeDecodeError):
        return "", ()
    if not lines or lines[0].strip() != "---":
        return "", ()
    values: dict[str, list[str]] = {"license": [], "language": []}
    key = ""
    for line in lines[1:]:
        if line.strip() == "---":
            break
        if match := re.fullmatch(r"([A-Za-z_-]+):(.*)", line):
            key, rest = match.group(1), match.group(2).strip()
            items = rest[1:-1].split(",") if rest[:1] == "[" and rest[-1:] == "]" else [rest]
        elif match := re.fullmatch(r"\s*-\s+(\S+)\s*", line):
            items = [match.group(1)]
        else:
            continue
        if key in values:
            values[key] += [word for item in items if (word := item.strip().strip("'\""))]
    licences = values["license"]
    languages = (word for word in values["language"] if re.fullmatch(r"[a-z]{2,3}", word))
    return (
        _LICENCES.get(licences[0].lower(), "") if len(licences) == 1 else "",
        tuple(dict.fromkeys(languages)),
    )
