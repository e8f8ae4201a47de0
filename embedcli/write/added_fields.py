"""Records with more fields: rows of a table and objects stay what they were before these."""

from __future__ import annotations

import csv
import json
import re
from typing import TYPE_CHECKING, Any

from embedcli.errors import InputError
from embedcli.write.objects import dump, object_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Head, Record
    from embedcli.write.target import Output

_LINE_END = re.compile(rb"\r?\n\Z|\r\Z")
_NEEDS_QUOTES = re.compile('["\r\n]')


class AddedFields:
    """Writes records with fields added: cells of a table's row, members of an object.

    Other records, such as lines, become objects. A field that an object has already gets the new value.
    """

    def __init__(self, output: Output, names: Sequence[str]) -> None:
        """Take the output and the names of the fields."""
        self._output, self._names = output, tuple(names)
        self._delimiter: str | None = None

    def head(self, head: Head) -> None:
        """Write what stands before the first record, with the names of the new columns.

        Raises:
            InputError: The table has such a column already.
        """
        self._delimiter = head.delimiter
        if not head.names_columns:
            self._output.write(head.content)
            return
        text = head.content.decode("utf-8-sig", "replace")
        there = next(csv.reader([text], delimiter=head.delimiter or ","), [])
        for name in self._names:
            if name in there:
                raise InputError(
                    f"the table has a column {name!r} already", hint="rename it, or leave it out"
                )
        self._output.write(self._row(head.content, self._names))

    def write(self, record: Record, values: Sequence[Any]) -> None:
        """Write a record.

        Args:
            record: With the bytes it was read from.
            values: One for each name; None for none.
        """
        if self._delimiter is not None:
            is_row = bool(record.fields)
            self._output.write(self._row(record.raw, values) if is_row else record.raw)
            return
        added = dict(zip(self._names, values, strict=True))
        own = record.raw.rstrip()
        if record.fields and own.endswith(b"}"):
            if set(self._names) & set(record.fields):
                there = json.loads(own.decode("utf-8-sig", "replace"))
                self._output.write(dump({**there, **added}) + b"\n")
                return
            # The object's own bytes, numbers and spaces as they were.
            self._output.write(own[:-1] + b"," + dump(added)[1:] + b"\n")
            return
        # What a file of vectors says of a line stays in that file.
        self._output.write(object_line(record if record.fields else record._replace(vector=None), added))

    def flush(self) -> None:
        """Hand on what is buffered."""
        self._output.flush()

    def _row(self, raw: bytes, values: Sequence[Any]) -> bytes:
        """Return a row with more cells."""
        delimiter = self._delimiter or ","
        cells = "".join(delimiter + cell(value, delimiter) for value in values)
        end = _LINE_END.search(raw)
        at = len(raw) if end is None else end.start()
        return raw[:at] + cells.encode("utf-8", "surrogateescape") + (raw[at:] or b"\n")


def cell(value: object, delimiter: str) -> str:
    """Return a cell's text, in quotes where a reader would take it for something else."""
    text = "" if value is None else value if isinstance(value, str) else dump(value).decode()
    if _NEEDS_QUOTES.search(text) or delimiter in text:
        return '"' + text.replace('"', '""') + '"'
    return text
