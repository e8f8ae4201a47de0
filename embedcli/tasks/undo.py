"""The input of `dedupe` again, from what it wrote and its report."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NamedTuple

import xxhash

from embedcli.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.write.target import Output

_BLOCK_BYTES: Final = 1 << 20
_HINT: Final = "give the report and the output of the same run, both as they were written"
_HASH: Final = re.compile(r"[0-9a-f]{16}")


class _Dropped(NamedTuple):
    """What a line of the report says: the bytes, where they stood, and the hash of the output before them."""

    raw: bytes
    offset: int
    before: str


def undo(report: Iterable[bytes], kept: BinaryIO, output: Output) -> None:
    """Write the output of `dedupe` with what it dropped back in its place.

    The output is compared with the report up to the last record that was dropped; behind it the report knows
    nothing. Memory is O(one line of the report).

    Args:
        report: Lines of JSON, as `write.duplicates.Filter` writes them. They may say anything: they are
            checked before they are believed.
        kept: What was written beside the report.
        output: Takes the bytes. Part of them may have been written when an error comes.

    Raises:
        InputError: The report is none, is damaged or not in order, or belongs to another output.
        OutputError: The output cannot be written.
    """
    source = _Source(kept, output)
    place = 0
    for number, line in enumerate(report, start=1):
        dropped = _dropped(line, number)
        gap = dropped.offset - place
        if gap < 0:
            raise InputError(f"line {number} of the report is not in its place", hint=_HINT)
        if source.copy(gap) < gap or source.hash() != dropped.before:
            raise InputError(f"what was kept is not what line {number} of the report tells of", hint=_HINT)
        output.write(dropped.raw)
        place = dropped.offset + len(dropped.raw)
    source.copy(None)


class _Source:
    """The kept bytes on their way to the output, and the hash of those that went there."""

    def __init__(self, kept: BinaryIO, output: Output) -> None:
        self._kept, self._output = kept, output
        self._hash = xxhash.xxh3_64()

    def copy(self, count: int | None) -> int:
        """Hand on so many bytes, or all (None); return how many there were."""
        copied = 0
        while count is None or copied < count:
            wanted = _BLOCK_BYTES if count is None else min(_BLOCK_BYTES, count - copied)
            try:
                block = self._kept.read(wanted)
            except OSError as error:
                raise InputError(f"cannot read what was kept: {error.strerror or error}") from error
            if not block:
                break
            self._hash.update(block)
            self._output.write(block)
            copied += len(block)
        return copied

    def hash(self) -> str:
        """Return the hash of what was handed on."""
        return self._hash.hexdigest()


def _dropped(line: bytes, number: int) -> _Dropped:
    """Return what a line says.

    Raises:
        InputError: It is no line of a report.
    """
    try:
        value = json.loads(line.decode("utf-8"), object_pairs_hook=_object)
        found = _checked(value)
    except (ValueError, RecursionError) as error:
        message = f"line {number} of the report is none that dedupe wrote"
        raise InputError(message, hint="--undo takes what --report wrote") from error
    return found


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        raise ValueError("a field stands there twice")
    return value


def _checked(value: object) -> _Dropped:
    """Return the three fields; a ValueError, which wrong UTF-8 is too, where one is not what it must be."""
    if not isinstance(value, dict):
        raise ValueError("no object")  # noqa: TRY004  (one error for all that is wrong)
    raw, offset, before = (value.get(name) for name in ("raw", "offset", "before"))
    if type(offset) is not int or offset < 0:
        raise ValueError("no offset")
    if not isinstance(before, str) or not _HASH.fullmatch(before):
        raise ValueError("no hash")
    if not isinstance(raw, str) or not raw:
        raise ValueError("no bytes")
    return _Dropped(raw.encode("utf-8", "surrogateescape"), offset, before)
