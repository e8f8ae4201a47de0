"""The ONNX Runtime session: threads, device, and the cache of optimized graphs.

ONNX Runtime's own words (execution provider and the like) stay in this module.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from typing import TYPE_CHECKING, Any

from embedcli.encode.processors import cpu_identity
from embedcli.errors import DamagedModelError, DeviceError, ModelError

if TYPE_CHECKING:
    from pathlib import Path

_FATAL_ONLY = 4
"""ONNX Runtime's log severity: what it reports is raised as well, and said in our words."""

_CUDA = "CUDAExecutionProvider"
_CPU = "CPUExecutionProvider"


def has_cuda() -> bool:
    """Whether the installed ONNX Runtime was built for CUDA (a working GPU is another matter)."""
    import onnxruntime

    return _CUDA in onnxruntime.get_available_providers()


def open_session(path: Path, sha256: str, *, device: str, threads: int, cache_folder: Path | None) -> Any:
    """Return an `onnxruntime.InferenceSession` for a model file.

    The file is read once, compared with its hash, checked for what it may hold, and handed over as bytes, so
    that what was checked is what runs and no external data file can be pulled in. On the CPU, the optimized
    graph is kept in `cache_folder` for the next time.

    Args:
        path: The ONNX file.
        sha256: What its content must hash to, in hexadecimal.
        device: `cpu` or `cuda:N`.
        threads: Threads that one call uses; calls from several threads run side by side.
        cache_folder: Where optimized graphs are kept; None for nowhere.

    Raises:
        DamagedModelError: The file cannot be read, is not what the hash says, or is refused by ONNX Runtime.
        ModelError: The graph asks for what is not allowed, such as operators that are somebody's code.
        DeviceError: CUDA was asked for and cannot be had.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _FATAL_ONLY
    # Set, never left to a guess: inside a container the guess counts the host's cores.
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    # Spinning threads fight with the other workers for the same cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    # Every text has its own length: a plan for the last shape is of no use to the next.
    options.enable_mem_pattern = False
    if device != "cpu":
        return _open_cuda(_read_checked(path, sha256), options, int(device.partition(":")[2] or 0))

    prefix = f"{sha256[:16]}-{onnxruntime.__version__}-{cpu_identity()}-"
    cached = _find_cached(cache_folder, prefix)
    if cached is not None:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        # A cache entry that ONNX Runtime cannot use is made again below.
        with contextlib.suppress(Exception):
            return onnxruntime.InferenceSession(str(cached), options, providers=[_CPU])
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    model = _read_checked(path, sha256)
    temporary = _temporary_file(cache_folder, prefix)
    if temporary is not None:
        options.optimized_model_filepath = str(temporary)
    try:
        session = onnxruntime.InferenceSession(model, options, providers=[_CPU])
    except MemoryError:
        raise
    except Exception as error:  # the library raises many unrelated classes
        _check_memory(error)
        raise DamagedModelError(f"{path}: ONNX Runtime refuses it: {_first_line(error)}") from error
    if temporary is not None:
        _keep(temporary, prefix)
    return session


def _open_cuda(model: bytes, options: Any, number: int) -> Any:
    """Open the session on a GPU, or raise: ONNX Runtime alone would fall back to the CPU with a log line."""
    import onnxruntime

    if not has_cuda():
        raise DeviceError(
            "device cuda: the installed ONNX Runtime has no CUDA support",
            hint="pip uninstall onnxruntime && pip install 'embedcli[gpu]'",
        )
    if hasattr(onnxruntime, "preload_dlls"):
        # Finds the CUDA libraries that pip installed beside ONNX Runtime; missing ones show up below.
        with contextlib.suppress(Exception):
            onnxruntime.preload_dlls()
    try:
        session = onnxruntime.InferenceSession(
            model, options, providers=[(_CUDA, {"device_id": str(number)}), _CPU]
        )
    except Exception as error:  # as above
        _check_memory(error)
        raise DeviceError(f"device cuda:{number}: {_first_line(error)}") from error
    if _CUDA not in session.get_providers():
        raise DeviceError(
            f"device cuda:{number}: CUDA is not usable on this machine",
            hint="embedcli doctor shows what is missing; --device cpu always works",
        )
    return session


def _read_checked(path: Path, sha256: str) -> bytes:
    """Return the file's bytes, which hash to `sha256` and hold nothing that is not allowed."""
    # Not needed for a cached graph, which was made of a checked file.
    from embedcli.encode.trust import check_graph

    try:
        content = path.read_bytes()
    except OSError as error:
        raise DamagedModelError(f"{path}: {error.strerror}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise DamagedModelError(
            f"{path}: sha256 is {found}, the manifest says {sha256}",
            hint="the file is damaged or was changed; get the model again",
        )
    check_graph(content, str(path))
    return content


def _find_cached(folder: Path | None, prefix: str) -> Path | None:
    """Return an optimized graph whose content hashes to what its name says, or None.

    The hash stands in the name, so that one rename makes file and hash visible together. The graph is then
    opened by its path: the folder is the user's own, and handing over 23 MB as bytes costs a fifth of the
    start.
    """
    import mmap

    import xxhash

    if folder is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        for path in sorted(folder.glob(f"{prefix}*.onnx")):
            with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
                digest = xxhash.xxh3_128_hexdigest(content)
            if path.name == f"{prefix}{digest}.onnx":
                return path
            path.unlink()
    return None


def _temporary_file(folder: Path | None, prefix: str) -> Path | None:
    """Return a path that an optimized graph can be written to, or None where the folder cannot be written."""
    if folder is None:
        return None
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    # ONNX Runtime cannot write there: the session must not fail for want of a cache.
    return folder / f"{prefix}{os.getpid()}.tmp" if os.access(folder, os.W_OK) else None


def _keep(temporary: Path, prefix: str) -> None:
    """Give the optimized graph its name; without a cache the next start is only slower."""
    import xxhash

    with contextlib.suppress(OSError):
        digest = xxhash.xxh3_128_hexdigest(temporary.read_bytes())
        temporary.rename(temporary.with_name(f"{prefix}{digest}.onnx"))
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)


def run(session: Any, feeds: dict[str, Any], output: str) -> Any:
    """Return one output of the graph, translated errors and all.

    Raises:
        ModelError: ONNX Runtime failed.
    """
    try:
        return session.run([output], feeds)[0]
    except Exception as error:  # as above
        _check_memory(error)
        raise ModelError(f"ONNX Runtime failed: {_first_line(error)}") from error


def _check_memory(error: Exception) -> None:
    """Call what the library could not get by its name.

    Raises:
        MemoryError: It was memory.
    """
    if "bad_alloc" in str(error) or "Failed to allocate memory" in str(error):
        raise MemoryError from error


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0]
