"""Small results that outlive a run (cluster states, classifier heads): named arrays and a header in one file.

The file is in the safetensors format: plain numbers and a JSON header, no code. The header says of which kind
it is, in which version, and has a hash of everything else, so that damage is told from an older file.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from embedcli.errors import InputError, MissingPathError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy.typing as npt

    Arrays = Mapping[str, npt.NDArray[Any]]

MAX_BYTES: Final = 1 << 32
"""A larger file is refused before it is read."""

_ABOUT: Final = "embedcli"


def array_file(kind: str, version: int, about: Mapping[str, Any], arrays: Arrays) -> bytes:
    """Return the bytes of a file.

    Args:
        kind: What it holds, such as `cluster-state`.
        version: Of the kind's form, from 1.
        about: What is said of the arrays, as JSON has it.
        arrays: By name; of one of the dtypes of safetensors, all numbers finite.
    """
    import numpy as np
    from safetensors.numpy import save

    whole = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    head = {"kind": kind, "version": version, "about": about}
    head["hash"] = _hash(head, whole)
    return save(whole, metadata={_ABOUT: json.dumps(head, ensure_ascii=False, sort_keys=True)})


def read_array_file(path: str | Path, kind: str, version: int) -> tuple[dict[str, Any], Arrays]:
    """Return what was said of the arrays, and the arrays.

    Raises:
        MissingPathError: There is no such file.
        InputError: It cannot be read, is of another kind or version, or is not what was written.
    """
    from safetensors import SafetensorError, safe_open

    name = str(path)
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise InputError(f"{name}: no {kind} file, it is too large")
        with safe_open(name, framework="numpy") as opened:
            head = json.loads((opened.metadata() or {})[_ABOUT])
            arrays = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118  (no mapping)
        found, found_version, said = head["kind"], head["version"], head.pop("hash")
        about = head["about"]
    except FileNotFoundError as error:
        raise MissingPathError(name) from error
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or 'cannot be read'}") from error
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{name}: no {kind} file of embedcli") from error
    if found != kind:
        raise InputError(f"{name}: a {found} file, not a {kind} file")
    if found_version != version:
        raise InputError(f"{name}: a {kind} file of version {found_version}, and this reads {version}")
    if said != _hash(head, arrays) or not isinstance(about, dict):
        raise InputError(f"{name}: damaged: its hash is not that of its content")
    return about, arrays


def _hash(head: Mapping[str, Any], arrays: Arrays) -> str:
    import xxhash

    found = xxhash.xxh3_128(json.dumps(head, ensure_ascii=False, sort_keys=True).encode())
    for name in sorted(arrays):
        array = arrays[name]
        found.update(f"{name} {array.dtype.str} {array.shape}".encode())
        found.update(array.tobytes())
    return found.hexdigest()
