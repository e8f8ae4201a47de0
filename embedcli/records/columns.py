"""Columns by name and by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.records.reading import BadRecordError

if TYPE_CHECKING:
    from collections.abc import Sequence

_SHOWN_NAMES = 20


def column_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each column, all different.

    A column without a name is `column_N`, N from 1; one whose name is taken gets `_2`, `_3` and so on.
    """
    taken = set(cells)
    names: list[str] = []
    seen: set[str] = set()
    for number, cell in enumerate(cells, start=1):
        base = cell or f"column_{number}"
        name, again = base, 1
        while name in seen or (again > 1 and name in taken) or (not cell and name in taken):
            again += 1
            name = f"{base}_{again}"
        seen.add(name)
        names.append(name)
    return tuple(names)


def column_number(wanted: str, names: Sequence[str], *, option: str = "--column") -> int:
    """Return the place, from 0, of the column with that name or, failing that, with that number from 1.

    Raises:
        BadRecordError: There is none; the names that there are stand in the message.
    """
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    shown = ", ".join(names[:_SHOWN_NAMES]) + (", …" if len(names) > _SHOWN_NAMES else "")
    raise BadRecordError(
        f"no column {wanted!r}; its columns: {shown}", f"{option} takes a name or a number from 1"
    )
