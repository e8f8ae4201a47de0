"""`failing_io.c`: compiled once, and told by variables which call to act on."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ENTRY = struct.Struct("=IIIIqqq")


class Kind(IntEnum):
    """The kinds of calls, in the order of the C source."""

    WRITE = 0
    SYNC = 1
    UNLINK = 2
    TRUNCATE = 3
    RENAME = 4
    READ = 5
    OPEN = 6


CHANGES = ("write", "sync", "unlink", "truncate", "rename", "open")
"""All that a crash can part: everything but reads."""


class Call(NamedTuple):
    """One logged call that succeeded.

    Attributes:
        kind: What was called; `OPEN` is the making of a file.
        path: The file's name within the folder; empty for the folder itself.
        second: The new name of a rename.
        offset: Where a write began.
        length: The length a file was cut to.
        data: What was written.
    """

    kind: Kind
    path: str
    second: str
    offset: int
    length: int
    data: bytes


@dataclass(frozen=True)
class Shim:
    """The compiled library, for calls on files under one folder."""

    library: Path
    folder: Path
    scratch: Path

    def environment(
        self, kinds: tuple[str, ...], action: str, at: int = 0, *, repeat: bool = False
    ) -> dict[str, str]:
        """Return the variables that make the `at`-th call of some kinds do something."""
        return {
            "LD_PRELOAD": str(self.library),
            "FAULT_FOLDER": str(self.folder.resolve()),
            "FAULT_KINDS": ",".join(kinds),
            "FAULT_ACTION": action,
            "FAULT_AT": str(at),
            "FAULT_REPEAT": "1" if repeat else "0",
            "FAULT_COUNT": str(self.scratch / "fault-count"),
            "FAULT_LOG": str(self.scratch / "fault-log"),
        }

    @property
    def calls(self) -> int:
        """How many calls counted in the last run."""
        return int((self.scratch / "fault-count").read_text() or 0)

    def log(self) -> list[Call]:
        """Return the calls of the runs with the action `log`, in order."""
        return list(self._entries((self.scratch / "fault-log").read_bytes()))

    def _entries(self, content: bytes) -> Iterator[Call]:
        position = 0
        prefix = str(self.folder.resolve())

        def take(length: int) -> bytes:
            nonlocal position
            position += length
            return content[position - length : position]

        while position < len(content):
            kind, path_length, second_length, _, offset, length, data_length = _ENTRY.unpack(
                take(_ENTRY.size)
            )
            path, second = (
                take(size).decode().removeprefix(prefix).lstrip("/") for size in (path_length, second_length)
            )
            yield Call(Kind(kind), path, second, offset, length, take(data_length))
