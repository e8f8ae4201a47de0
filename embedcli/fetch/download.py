"""One file, in as many pieces as the network makes of it, and never under its name before it is checked."""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import re
import shutil
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedcli.errors import DamagedModelError, ModelError, OutputError
from embedcli.fetch.transport import (
    NETWORK_HINT,
    TIMEOUT_SECONDS,
    StatusError,
    UnreachableError,
    bare_url,
    open_url,
    unreachable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

MAX_BYTES = 64 << 30
"""No encoder is larger; a server that does not stop sending is."""

PART_SUFFIX = ".part"

_BLOCK_BYTES = 1 << 18
_TRIES = 5
"""Attempts in a row that bring nothing new before giving up."""

_WAIT_SECONDS = (0.2, 1.0, 2.0, 4.0)
_TRANSIENT = (408, 500, 502, 503, 504)
_RANGE = re.compile(r"bytes (\d{1,18})-(\d{1,18})/(\d{1,18})")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file on a server.

    Attributes:
        url: Where it is.
        sha256: What its content hashes to; None where only `git_sha1` is known.
        git_sha1: The same as git counts it: SHA-1 over a head with the length, and the content.
        bytes: Its length; None where the server alone knows it.
        headers: What the request carries beside.
    """

    url: str
    sha256: str | None
    git_sha1: str | None = None
    bytes: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def fetch_file(
    remote: Remote,
    path: Path,
    *,
    timeout_seconds: float = TIMEOUT_SECONDS,
    on_bytes: Callable[[int], None] = lambda _count: None,
) -> None:
    """Bring a file to `path`, unless it is there and is the right one.

    The bytes go to a file beside it, which stays when the run is stopped and which the next run goes on with.
    It gets its name once length and hash are right; with a wrong hash it is deleted.

    Args:
        remote: The file.
        path: Where it is to be; its folder exists.
        timeout_seconds: How long one step of the connection may say nothing.
        on_bytes: Told how many bytes are there, each time there are more.

    Raises:
        StatusError: The server refuses.
        DamagedModelError: What the server has is not what was announced.
        ModelError: The server cannot be reached, or is too slow.
        OutputError: The disk is full, or cannot be written.
    """
    if path.is_file() and _matches(remote, path):
        on_bytes(path.stat().st_size)
        return
    part = path.with_name(path.name + PART_SUFFIX)
    was_there = part.exists()
    try:
        _fetch_all(remote, part, timeout_seconds, on_bytes)
        if not _matches(remote, part):
            part.unlink()
            if not was_there:
                raise DamagedModelError(
                    f"{bare_url(remote.url)}: what the server sent has another hash than it should",
                    hint="it was damaged on the way, or changed by somebody; it was deleted",
                )
            # An old piece may have been the wrong one.
            fetch_file(remote, path, timeout_seconds=timeout_seconds, on_bytes=on_bytes)
            return
        part.replace(path)
    except OSError as error:
        raise OutputError(f"{part}: {error.strerror or error}") from error


def _fetch_all(remote: Remote, part: Path, timeout_seconds: float, on_bytes: Callable[[int], None]) -> None:
    """Append to `part` until it is whole, in as many requests as that takes."""
    tries = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        if remote.bytes is not None and before > remote.bytes:
            part.unlink()
            before = 0
        try:
            if (remote.bytes or None) == before or _append(remote, part, before, timeout_seconds, on_bytes):
                return
            reason, is_lasting = "the connection broke off", False
        except StatusError as error:
            if error.status not in _TRANSIENT:
                raise
            reason, is_lasting = str(error), False
        except UnreachableError as error:
            reason, is_lasting = str(error), error.is_lasting
        after = part.stat().st_size if part.exists() else 0
        tries = 1 if after > before else tries + 1
        if is_lasting or tries >= _TRIES:
            kept = f"; {after} bytes are kept, and the same command goes on from there" if after else ""
            raise ModelError(f"{bare_url(remote.url)}: {reason}", hint=NETWORK_HINT + kept)
        time.sleep(_WAIT_SECONDS[tries - 1])


def _append(
    remote: Remote, part: Path, have: int, timeout_seconds: float, on_bytes: Callable[[int], None]
) -> bool:
    """Make one request, add what it brings to `part`, and return whether the file is whole."""
    headers = {**remote.headers, **({"Range": f"bytes={have}-"} if have else {})}
    try:
        answer = open_url(remote.url, headers, timeout_seconds)
    except StatusError as error:
        if error.status != http.client.REQUESTED_RANGE_NOT_SATISFIABLE or not have:
            raise
        part.unlink()
        return False
    with contextlib.closing(answer):
        total = _total_bytes(answer, have)
        if answer.status != http.client.PARTIAL_CONTENT:
            have = 0
        if remote.bytes is not None and total not in (None, remote.bytes):
            raise DamagedModelError(
                f"{bare_url(remote.url)}: the server has {total} bytes, {remote.bytes} were announced",
                hint="it was damaged or changed on the server; nothing of it is used",
            )
        limit = min(MAX_BYTES, remote.bytes if remote.bytes is not None else total or MAX_BYTES)
        if (total or 0) > limit:
            raise ModelError(f"{bare_url(remote.url)}: {total} bytes, more than any model has")
        _check_space(part, (total or 0) - have)
        whole = _copy(answer, part, have, limit, on_bytes)
    return whole if total is None else part.stat().st_size == total


def _total_bytes(answer: http.client.HTTPResponse, have: int) -> int | None:
    """Return the length of the whole file by the answer's headers; None if they do not tell."""
    if answer.status == http.client.PARTIAL_CONTENT:
        match = _RANGE.fullmatch(answer.headers.get("Content-Range", ""))
        if match is None or int(match[1]) != have:
            raise UnreachableError("the server sent another piece than it was asked for", is_lasting=True)
        return int(match[3])
    length = answer.headers.get("Content-Length", "")
    return int(length) if length.isascii() and length.isdigit() else None


def _check_space(part: Path, more: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if more > free:
        raise OutputError(f"{part.parent}: {more} bytes are to come, {free} are free")


def _copy(
    answer: http.client.HTTPResponse, part: Path, have: int, limit: int, on_bytes: Callable[[int], None]
) -> bool:
    """Write an answer's body behind the first `have` bytes, and return whether it came to its end."""
    with part.open("ab" if have else "wb") as stream:
        while True:
            try:
                block = answer.read(_BLOCK_BYTES)
            except http.client.IncompleteRead as error:
                stream.write(error.partial)
                return False
            except (OSError, http.client.HTTPException) as error:
                raise unreachable(error) from error
            if not block:
                return True
            have += len(block)
            if have > limit:
                stream.truncate(0)
                raise DamagedModelError(f"the server sends more than the {limit} bytes that were announced")
            stream.write(block)
            on_bytes(have)


def _matches(remote: Remote, path: Path) -> bool:
    """Whether a file has the length and the hash that it should have."""
    size = path.stat().st_size
    if remote.bytes is not None and size != remote.bytes:
        return False
    with path.open("rb") as stream:
        if remote.sha256 is not None:
            return hashlib.file_digest(stream, "sha256").hexdigest() == remote.sha256
        # Git's own name for a file. Source: git-scm.com, "Git Internals - Git Objects".
        digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
        return digest.hexdigest() == remote.git_sha1
