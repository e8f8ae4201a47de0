"""What a disk may hold after the power failed: a logged run up to a cut, without what was never synced.

The model: what was written to a file or cut from it before a completed sync of that file is there; each later
write or cut is there, is lost, or, a write, is there up to a sector. The making, removing and renaming of
files are there if the folder was synced afterwards; of the later ones, any may be lost. Shared memory
(`-shm`) holds whatever it likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.shim import Call, Kind

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping, Sequence

SECTOR_BYTES = 512

_NAMES = (Kind.OPEN, Kind.UNLINK, Kind.RENAME)


def after_power_loss(
    initial: Mapping[str, bytes], calls: Sequence[Call], chance: random.Random
) -> dict[str, bytes]:
    """Return the files of a folder, by name, after some calls on them and the loss of power.

    Args:
        initial: The files before, all on disk.
        calls: All changes that were made, in order.
        chance: Decides what is lost.
    """
    files = _file_numbers(initial, calls)
    durable = _durable(files, calls)
    keep = chance.random()
    contents = {number: bytearray(content) for number, content in enumerate(initial.values())}
    names = {name: number for number, name in enumerate(initial)}
    for position, call in enumerate(calls):
        if call.kind is Kind.SYNC:
            continue
        is_whole = position in durable or chance.random() < keep
        number = files[position]
        if call.kind in _NAMES:
            if is_whole:
                _rename(names, call, number)
            continue
        content = contents.setdefault(number, bytearray())
        if call.kind is Kind.WRITE:
            sectors = len(call.data) // SECTOR_BYTES
            length = len(call.data) if is_whole else SECTOR_BYTES * chance.randint(0, sectors)
            if length:
                content.extend(bytes(max(0, call.offset + length - len(content))))
                content[call.offset : call.offset + length] = call.data[:length]
        elif is_whole:
            content.extend(bytes(max(0, call.length - len(content))))
            del content[call.length :]
    return {
        name: chance.randbytes(32768) if name.endswith("-shm") else bytes(contents.get(number, b""))
        for name, number in names.items()
    }


def _file_numbers(initial: Mapping[str, bytes], calls: Sequence[Call]) -> list[int]:
    """Return which file each call was on: names are used again for other files."""
    names = {name: number for number, name in enumerate(initial)}
    count = len(names)
    files = []
    for call in calls:
        if call.kind is Kind.OPEN:
            names[call.path], count = count, count + 1
        # The folder itself is no file.
        files.append(names[call.path] if call.path else -1)
        if call.kind in (Kind.UNLINK, Kind.RENAME):
            _rename(names, call, files[-1])
    return files


def _rename(names: dict[str, int], call: Call, number: int) -> None:
    """Change the names of a folder as a call does."""
    if call.kind is Kind.OPEN:
        names[call.path] = number
        return
    names.pop(call.path, None)
    if call.kind is Kind.RENAME:
        names[call.second] = number


def _durable(files: Sequence[int], calls: Sequence[Call]) -> set[int]:
    """Return the calls after which the file, or for its name the folder, was synced."""
    durable: set[int] = set()
    waiting: dict[int, list[int]] = {}
    for position, call in enumerate(calls):
        if call.kind is Kind.SYNC:
            durable.update(waiting.pop(files[position], ()))
        else:
            waiting.setdefault(-1 if call.kind in _NAMES else files[position], []).append(position)
    return durable
