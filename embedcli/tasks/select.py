"""Which rows of an index may be found: what `--where`, `--path` and `--since` let through."""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from embedcli.index.damage import damaged
from embedcli.records.glob import compile_glob, matches

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Mapping

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json
    from embedcli.index.reader import IndexReader, StoredPlace
    from embedcli.where import Condition

    Rows = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Selection:
    """What a record must be to be found.

    Attributes:
        where: A condition on its fields, `id` and `path` among them where it has no such field itself; None
            for any.
        path_globs: Its file matches one of these, by its path under the root; empty for any.
        since_ns: Its file was changed then or later, nanoseconds since 1970; None for any time. Records from
            standard input have no such time and are not found.
    """

    where: Condition | None = None
    path_globs: tuple[str, ...] = ()
    since_ns: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it lets everything through."""
        return self.where is None and not self.path_globs and self.since_ns is None


class UnseenFields:
    """The fields that a condition names and no record so far has: a name may be misspelt."""

    def __init__(self, condition: Condition | None) -> None:
        """Start with all fields that stand for none of the record's own facts."""
        named = frozenset() if condition is None else condition.fields_named
        self._names = set(named - {"id", "path"})

    def look_at(self, fields: Mapping[str, Json]) -> None:
        """Look at one more record."""
        if self._names:
            self._names -= {name for name in self._names if name in fields or name.split(".")[0] in fields}

    def tell(self, on_notice: Callable[[str], None]) -> None:
        """Say which fields no record had."""
        for name in sorted(self._names):
            on_notice(f"--where: no record has a field {name!r}")


def select_rows(
    reader: IndexReader, selection: Selection, on_notice: Callable[[str], None] = lambda _notice: None
) -> Rows | None:
    """Return the rows that a selection lets through, ascending; None if it asks nothing. O(records).

    Args:
        reader: The index.
        selection: What is asked.
        on_notice: Told of fields that no record has.

    Raises:
        UsageError: A glob is wrong.
        DamagedIndexError: The fields of a record are not what was written.
    """
    if selection.is_empty:
        return None
    import numpy as np

    patterns = [compile_glob(glob) for glob in selection.path_globs]
    paths = {
        source.id: _name(source)
        for source in reader.sources()
        if _is_wanted(source, patterns, selection.since_ns)
    }
    condition = selection.where
    fields_named = condition.fields_named if condition is not None else frozenset()
    records = []
    unseen = UnseenFields(condition)
    for number, source, name, fields in reader.iter_records():
        if source not in paths:
            continue
        if condition is not None:
            values = _parsed(fields)
            if values is None:
                raise damaged(reader.path, f"the fields of record {number}")
            unseen.look_at(values)
            if "id" in fields_named:
                values.setdefault("id", name)
            if "path" in fields_named:
                values.setdefault("path", paths[source])
            if not condition.matches(values):
                continue
        records.append(number)
    unseen.tell(on_notice)
    return reader.rows_of_records(np.array(sorted(records), dtype=np.int64))


def _parsed(fields: str) -> dict[str, Json] | None:
    """Return stored fields, or None if they are no JSON object.

    Python's own parser takes the `NaN` that JSON does not know.
    """
    import orjson

    try:
        values = orjson.loads(fields)
    except (orjson.JSONDecodeError, TypeError):
        values = None
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            values = json.loads(fields)
    return values if isinstance(values, dict) else None


def _is_wanted(source: StoredPlace, patterns: list[re.Pattern[str]], since_ns: int | None) -> bool:
    if since_ns is not None and (source.mtime_ns is None or source.mtime_ns < since_ns):
        return False
    return not patterns or any(matches(pattern, _name(source)) for pattern in patterns)


def _name(source: StoredPlace) -> str:
    """Return a file's path under its root; its name where it is a root itself."""
    return os.fsdecode(source.path or os.path.basename(source.root))  # noqa: PTH119  (bytes)
