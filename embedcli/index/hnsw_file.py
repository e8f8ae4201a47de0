"""Reading and writing the file of an approximate-neighbour graph, `<index>.hnsw`.

The file is derived data: whatever is wrong with it is a reason not to use it, and no error.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import os
import secrets
import stat
import struct
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import xxhash

from embedcli.errors import OutputError, UsageError
from embedcli.index.hnsw_format import MAX_EF, GraphHeader, GraphKey, GraphLinks, check_range

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

MAGIC = b"emb-hnsw"
MAX_HEADER_BYTES = 1 << 16

_START = struct.Struct("<8sI")
_HASH = struct.Struct("<Q")
_COPY_BYTES = 1 << 20

Cause = Literal["missing", "stale", "damaged", "unsupported"]


@dataclass(frozen=True, slots=True)
class Unusable:
    """Why there is no graph to be had.

    Attributes:
        reason: One clause, to follow the name of the file.
        cause: `missing`; `stale`: of another commit, content, size or format version; `damaged`; or
            `unsupported`: too large for the memory, or hnswlib is of an unknown kind.
    """

    reason: str
    cause: Cause


class _RefusedError(Exception):
    """The file cannot be used."""

    def __init__(self, reason: str, cause: Cause = "damaged") -> None:
        super().__init__(reason)
        self.answer = Unusable(reason, cause)


def read_graph_header(path: Path) -> GraphHeader | Unusable:
    """Return a graph's header, verified by its hash; of the arrays only the length is checked."""
    try:
        with _opened(path) as (stream, size):
            return _read_header(stream, size)
    except _RefusedError as refused:
        return refused.answer


def read_graph(path: Path, key: GraphKey, count: int, dim: int) -> tuple[GraphHeader, GraphLinks] | Unusable:
    """Return a graph whose every number was checked, so that no search leaves its arrays.

    It is read, not mapped: a mapped file that is cut short kills the process. Nothing is allocated before
    the file is known to be as long as its header says.

    Args:
        path: The file.
        key: What the graph must have been built from.
        count: How many rows it must have.
        dim: How many numbers its vectors must have.
    """
    try:
        with _opened(path) as (stream, size):
            header = _read_header(stream, size)
            _check_belongs(header, key, count, dim)
            graph = _read_links(stream, header)
    except _RefusedError as refused:
        return refused.answer
    if graph.hash() != header.payload_hash:
        return Unusable("its checksum does not match", "damaged")
    problem = graph.problem(header)
    return Unusable(problem, "damaged") if problem else (header, graph)


def write_graph(path: Path, header: GraphHeader, graph: GraphLinks) -> None:
    """Write a graph beside `path` and rename it into place; the header has the hash of the arrays already.

    Raises:
        OutputError: It cannot be written; the old file stays and nothing else is left behind.
    """
    _replace_file(path, [_start(header), *graph.contents()])


def update_ef_search(path: Path, ef_search: int) -> Unusable | None:
    """Store another `ef_search` with a graph, by a new file that is renamed into place.

    The arrays are copied as they are, under the hash that they had: damage in them is still found at loading.
    To be called by the one who may write to the index, lest a newer graph be replaced.

    Args:
        path: The file.
        ef_search: 1 to `MAX_EF`.

    Returns:
        Why the file was left alone, or None.

    Raises:
        UsageError: `ef_search` is out of range.
        OutputError: The new file cannot be written; the old one stays.
    """
    check_range("ef_search", ef_search, 1, MAX_EF)
    try:
        with _opened(path) as (stream, size):
            header = _read_header(stream, size)
            start = _start(replace(header, ef_search=ef_search))
            contents = iter(lambda: stream.read(_COPY_BYTES), b"")
            _replace_file(path, itertools.chain([start], contents))
    except _RefusedError as refused:
        return refused.answer
    return None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[tuple[io.BufferedReader[io.FileIO], int]]:
    """Open a file for a block, with its size; what goes wrong in reading it is a refusal."""
    try:
        with io.BufferedReader(io.FileIO(path, opener=_open_at_once)) as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise _RefusedError("it is not a regular file")
            yield stream, status.st_size
    except FileNotFoundError as error:
        raise _RefusedError("there is none", "missing") from error
    except OSError as error:
        raise _RefusedError(f"it cannot be read: {error.strerror or error}") from error


def _open_at_once(path: str, flags: int) -> int:
    """Open a file without waiting: a FIFO of that name might never answer."""
    return os.open(path, flags | os.O_NONBLOCK)


def _read_header(stream: io.BufferedReader[io.FileIO], size: int) -> GraphHeader:
    """Return the header, with the stream left at the arrays, which are as long as it says."""
    start = stream.read(_START.size)
    if len(start) < _START.size or start[: len(MAGIC)] != MAGIC:
        raise _RefusedError("it is not a graph")
    length = _START.unpack(start)[1]
    if length > MAX_HEADER_BYTES:
        raise _RefusedError("its header is too long")
    content, stored = stream.read(length), stream.read(_HASH.size)
    if stored != _HASH.pack(xxhash.xxh3_64_intdigest(start + content)):
        raise _RefusedError("the checksum of its header does not match")
    try:
        header = GraphHeader.from_json(content)
    except (ValueError, RecursionError, TypeError, KeyError, AttributeError, UsageError) as error:
        raise _RefusedError("its header is not one") from error
    if header is None:
        raise _RefusedError("it is of another format version", "stale")
    expected = len(start) + length + _HASH.size + header.payload_bytes
    if size != expected:
        raise _RefusedError(f"it has {size} bytes, its header says {expected}")
    return header


def _check_belongs(header: GraphHeader, key: GraphKey, count: int, dim: int) -> None:
    """Refuse a graph of something else than what the caller has."""
    if header.key.commit != key.commit:
        raise _RefusedError(f"it is of commit {header.key.commit}, the index is at {key.commit}", "stale")
    if header.key.content != key.content:
        raise _RefusedError("it was built from other vectors", "stale")
    if (header.count, header.dim) != (count, dim):
        raise _RefusedError(
            f"it is of {header.count} vectors of dimension {header.dim}, the index has {count} of {dim}",
            "stale",
        )


def _read_links(stream: io.BufferedReader[io.FileIO], header: GraphHeader) -> GraphLinks:
    """Return the arrays as they stand in the file, not checked."""
    graph = GraphLinks.empty(header.count, header.upper_lists, header.settings.m)
    for content in graph.contents():
        if stream.readinto(content) != len(content):
            raise _RefusedError("it is cut short")
    return graph


def _start(header: GraphHeader) -> bytes:
    """Everything that stands before the arrays."""
    content = header.to_json()
    start = _START.pack(MAGIC, len(content)) + content
    return start + _HASH.pack(xxhash.xxh3_64_intdigest(start))


def _replace_file(path: Path, parts: Iterable[bytes | memoryview]) -> None:
    """Write a file beside `path`, to disk, and give it that name.

    A new file gets the permissions that the umask leaves, a replaced one keeps its own.
    """
    # A short name, since the longest names leave no room for an ending; hidden, so that walks pass it over.
    temporary = path.with_name(f".embedcli-{secrets.token_hex(8)}.tmp")
    try:
        try:
            with temporary.open("xb") as stream:
                with contextlib.suppress(FileNotFoundError):
                    os.fchmod(stream.fileno(), stat.S_IMODE(path.stat().st_mode))
                for part in parts:
                    stream.write(part)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except BaseException:
            with contextlib.suppress(OSError):
                temporary.unlink()
            raise
    except OSError as error:
        raise OutputError(f"cannot write to {path}: {error.strerror or error}") from error
    # A rename that a power cut undoes brings back the older graph, which the next reader finds stale.
    with contextlib.suppress(OSError):
        handle = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
