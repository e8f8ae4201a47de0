"""What an index tells a build that compares it with its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class FileStat:
    """What tells an unchanged file without reading it, and when that was looked at."""

    size: int
    mtime_ns: int
    ctime_ns: int
    inode: int
    seen_ns: int


@dataclass(frozen=True, slots=True)
class StoredSource:
    """A source as the index holds it."""

    id: int
    stat: FileStat | None
    content_hash: bytes | None
    state: str
    reason: str | None
    settings: str


class StoredRecord(NamedTuple):
    """A record as the index holds it."""

    id: int
    line: int
    end_line: int
    fields: str
    text_hash: bytes
