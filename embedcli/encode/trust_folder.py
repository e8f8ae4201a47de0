"""What a folder of model files may hold, checked before anything in it is read as weights."""

from __future__ import annotations

import json
import math
import os
import stat
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.errors import DamagedModelError, ModelError

if TYPE_CHECKING:
    from collections.abc import Iterator

WEIGHTS = (".safetensors", ".onnx")
"""Endings of the weights that are read."""

PICKLED = (
    ".bin",
    ".pt",
    ".pth",
    ".pkl",
    ".pickle",
    ".ckpt",
    ".h5",
    ".keras",
    ".joblib",
    ".dill",
    ".msgpack",
)
"""Endings of weights that are never read: to load most of them is to run code that they bring."""

_MAGIC = (
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"PK\x03\x04", "a zip file, as PyTorch pickles are"),
    (b"\x89HDF", "an HDF5 file"),
)
_MAX_HEADER_BYTES = 100_000_000
"""Of a safetensors file. Source: the limit that the library safetensors sets."""

_HEADER_LENGTH_BYTES = 8
_BITS = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0", "F8_E4M3FNUZ", "F8_E5M2FNUZ"), 8),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 16),
    **dict.fromkeys(("I32", "U32", "F32"), 32),
    **dict.fromkeys(("I64", "U64", "F64", "C64"), 64),
    **dict.fromkeys(("F6_E2M3", "F6_E3M2"), 6),
    "F4": 4,
}


def check_folder(folder: Path) -> None:
    """Refuse a folder of model files that is not what it looks like.

    Every entry must be a plain file or folder: a link, be it symbolic or a second name of the same file,
    could show what lies elsewhere, or be changed from there. Files that would be read as weights or settings
    must not be pickles under another name, and safetensors files must be laid out as their header says.
    Pickles under their own name are left where they are, unless there are no other weights.

    Raises:
        ModelError: Something in it is refused; the message says what and why.
        DamagedModelError: A weights file contradicts itself.
    """
    pickles, has_weights = [], False
    for path in _plain_files(folder):
        ending = path.suffix.lower()
        if ending in PICKLED:
            pickles.append(path)
        if ending in WEIGHTS or ending == ".json":
            _check_magic(path)
        if ending == ".safetensors":
            check_safetensors(path)
        has_weights = has_weights or ending in WEIGHTS
    if pickles and not has_weights:
        raise ModelError(
            f"{folder}: its only weights, {pickles[0].name}, can run code when they are loaded",
            hint="look for the same model as safetensors or ONNX, or convert it with its own tools",
        )


def _plain_files(folder: Path) -> Iterator[Path]:
    """Yield every file below a folder, in order of their paths.

    Raises:
        ModelError: An entry is a link, a device or the like.
    """
    for parent, folders, files in os.walk(folder):
        folders.sort()
        for name in (*folders, *sorted(files)):
            path = Path(parent, name)
            facts = path.lstat()
            if stat.S_ISDIR(facts.st_mode):
                continue
            if stat.S_ISLNK(facts.st_mode) or facts.st_nlink > 1:
                raise ModelError(
                    f"{path}: a link; a model's files must be its own",
                    hint="cp -RL FOLDER COPY makes plain files of them",
                )
            if not stat.S_ISREG(facts.st_mode):
                raise ModelError(f"{path}: not a plain file")
            yield path


def _check_magic(path: Path) -> None:
    """Refuse a pickle that has the name of something else."""
    with path.open("rb") as stream:
        start = stream.read(8)
    for magic, what in _MAGIC:
        if start.startswith(magic):
            raise ModelError(f"{path}: its name says {path.suffix}, but it is {what}")


def check_safetensors(path: Path) -> None:
    """Refuse a safetensors file whose header does not describe the bytes that follow.

    Source: the format's own description in the project safetensors: 8 bytes with the length of the header, a
    JSON object, and the tensors one after another without holes.

    Raises:
        DamagedModelError: It is cut, or contradicts itself.
    """
    size = path.stat().st_size
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_HEADER_LENGTH_BYTES), "little")
        data_bytes = size - _HEADER_LENGTH_BYTES - length
        if size < _HEADER_LENGTH_BYTES or length > _MAX_HEADER_BYTES or data_bytes < 0:
            raise DamagedModelError(f"{path}: cut, or no safetensors file: its header is {length} bytes long")
        try:
            header = json.loads(stream.read(length), object_pairs_hook=_unique)
            spans = sorted(_span(entry) for name, entry in header.items() if name != "__metadata__")
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise DamagedModelError(f"{path}: its header is wrong: {error}") from error
    edges = [(0, 0), *spans, (data_bytes, data_bytes)]
    for (_, stop), (start, _) in pairwise(edges):
        if stop != start:
            raise DamagedModelError(f"{path}: tensors overlap, leave holes or end outside of the file")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object's pairs; a name that is there twice would be read in two ways."""
    if len(dict(pairs)) != len(pairs):
        raise ValueError("a name is there twice")
    return dict(pairs)


def _span(entry: Any) -> tuple[int, int]:
    """Return where a tensor begins and ends, having compared that with its shape."""
    start, stop = entry["data_offsets"]
    shape = entry["shape"]
    numbers = (start, stop, *shape)
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise ValueError(f"not sizes: {numbers}")
    if (math.prod(shape) * _BITS[entry["dtype"]] + 7) // 8 != stop - start:
        raise ValueError(f"shape {shape} of {entry['dtype']} does not take {stop - start} bytes")
    return start, stop
