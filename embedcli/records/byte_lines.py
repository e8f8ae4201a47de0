"""Blocks of bytes to lines, each with its own separator, in bounded memory."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


class LongLine(NamedTuple):
    """Stands for a line that was over the limit and is gone.

    Attributes:
        size_bytes: Its size, separator included.
        quotes: How many double quotes it held, by which a table knows where its record ends.
    """

    size_bytes: int
    quotes: int


class _Tail:
    """The beginning of a line whose end has not been read yet."""

    def __init__(self, limit_bytes: int) -> None:
        self.size_bytes = 0
        self._limit_bytes = limit_bytes
        self._parts: list[bytes] = []
        self._quotes = 0
        self._is_long = False

    def add(self, part: bytes) -> None:
        """Add what follows, and forget all of it once it is too much."""
        self.size_bytes += len(part)
        if self._is_long or self.size_bytes > self._limit_bytes + 1:
            for kept in (*self._parts, part):
                self._quotes += kept.count(b'"')
            self._parts.clear()
            self._is_long = True
        else:
            self._parts.append(part)

    def take(self, separator: bytes) -> bytes | LongLine:
        """Return the line and begin anew."""
        line: bytes | LongLine = b"".join(self._parts)
        if self._is_long:
            line = LongLine(self.size_bytes, self._quotes)
        self.__init__(self._limit_bytes)  # type: ignore[misc]
        return line if isinstance(line, LongLine) else _checked(line, separator, self._limit_bytes)


def iter_lines(
    blocks: Iterator[bytes], limit_bytes: int, separator: bytes = b"\n"
) -> Iterator[bytes | LongLine]:
    """Yield the lines of a stream, separators included; they join back to the stream.

    Input without a single line feed has its lines ended by carriage returns, if it has any.

    Args:
        blocks: The stream. When it raises, the line that it broke off in is not given out.
        limit_bytes: Longest line that is kept, separator not counted. Memory is O(limit_bytes + block).
        separator: One byte.
    """
    tail = _Tail(limit_bytes)
    has_separator = False
    for block in blocks:
        lines = _split(block, separator)
        rest = b"" if lines[-1].endswith(separator) else lines.pop()
        has_separator = has_separator or bool(lines)
        for line in lines:
            if tail.size_bytes:
                tail.add(line)
                yield tail.take(separator)
            else:
                yield _checked(line, separator, limit_bytes)
        if rest:
            tail.add(rest)
    if not tail.size_bytes:
        return
    last = tail.take(separator)
    if isinstance(last, bytes) and not has_separator and separator == b"\n":
        yield from last.splitlines(keepends=True)
    else:
        yield last


def _split(block: bytes, separator: bytes) -> list[bytes]:
    """Return a block in lines, separators included."""
    if separator == b"\n":
        return io.BytesIO(block).readlines()
    lines = block.split(separator)
    last = lines.pop()
    return [line + separator for line in lines] + ([last] if last else [])


def _checked(line: bytes, separator: bytes, limit_bytes: int) -> bytes | LongLine:
    """Return the line, or what stands for it if it is too long."""
    if len(line) <= limit_bytes or len(line.removesuffix(separator)) <= limit_bytes:
        return line
    return LongLine(len(line), line.count(b'"'))
