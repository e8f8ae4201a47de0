"""What the readers of all formats share while one source is read: rules, counts and complaints."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from embedcli.datatypes import Problem

if TYPE_CHECKING:
    from embedcli.datatypes import Counts, OnProblem, Source
    from embedcli.records.settings import ReadSettings

_ID_HASH_BYTES = 16


class BadRecordError(Exception):
    """One record cannot be used. Never leaves this package: it becomes a problem.

    Attributes:
        reason: What is the matter.
        hint: What to type next, or an empty string.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(reason)
        self.reason, self.hint = reason, hint


class Reading:
    """One source being read.

    Attributes:
        source: What is read.
        settings: How.
        keeps_nul: Whether NUL is a character like any other, or the separator.
    """

    def __init__(self, source: Source, settings: ReadSettings, counts: Counts, on_problem: OnProblem) -> None:
        self.source, self.settings = source, settings
        self.keeps_nul = settings.binary_as_text or settings.format == "null"
        self._counts, self._on_problem = counts, on_problem
        self._seen_ids: set[bytes] = set()
        self._first_line_with_id = 0

    def skip(self, reason: str, line: int | None = None, *, hint: str = "", is_error: bool = True) -> None:
        """Report the source, or what begins in one of its lines, as left out, and count it."""
        self._counts.skipped += 1
        where = self.source.name if line is None else f"{self.source.name}:{line}"
        self._on_problem(Problem(where, reason, is_error=is_error, hint=hint))

    def skip_long(self, line: int, size_bytes: int) -> None:
        """Report a record that is over the limit."""
        limit = self.settings.max_record_bytes
        self.skip(
            f"a record of {size_bytes} bytes is over the limit of {limit}",
            line,
            hint=f"--max-record-bytes {size_bytes}",
        )

    def check_nul(self, raw: bytes) -> None:
        """Refuse a record with NUL bytes, where those have no meaning.

        Raises:
            BadRecordError: There are some.
        """
        if not self.keeps_nul and b"\0" in raw:
            raise BadRecordError("holds NUL bytes, so it is no text", "--text reads it all the same")

    def decode(self, raw: bytes) -> str:
        """Return a record's bytes as text: what is no UTF-8 replaced by U+FFFD, and the record counted."""
        try:
            return raw.decode("utf-8")
        except UnicodeDecodeError:
            self._counts.replaced += 1
            return raw.decode("utf-8", "replace")

    def place_id(self, line: int) -> str:
        """Return the id of a record that brings none: `path:line`, or the line for standard input."""
        return str(line) if self.source.path is None else f"{self.source.path}:{line}"

    def unique_id(self, given: str | None, line: int) -> str:
        """Return a record's id and remember it.

        Args:
            given: The id that the record brings, or None.
            line: Where it begins.

        Memory: 16 bytes of hash for each id once a record brought one, none before.

        Raises:
            BadRecordError: An earlier record has the same id.
        """
        if given is None:
            record_id = self.place_id(line)
            if not self._first_line_with_id:
                return record_id
        else:
            record_id = given
            self._first_line_with_id = self._first_line_with_id or line
        key = hashlib.blake2b(record_id.encode("utf-8", "surrogatepass"), digest_size=_ID_HASH_BYTES).digest()
        if key in self._seen_ids or self._is_place_before_ids(record_id):
            raise BadRecordError(f"a record before it has the same id {record_id!r}", "--id-field NAME")
        self._seen_ids.add(key)
        return record_id

    def _is_place_before_ids(self, record_id: str) -> bool:
        """Return whether an id is that of a record that had to be called by its place.

        Only records before the first one with an id of its own are not among the remembered.
        """
        number = record_id.removeprefix("" if self.source.path is None else f"{self.source.path}:")
        is_number = number.isascii() and number.isdigit() and len(number) < 20 and not number.startswith("0")
        return (
            is_number and int(number) < self._first_line_with_id and record_id == self.place_id(int(number))
        )


def unify_newlines(text: str) -> str:
    """Return a text with LF at its line ends, whether they were CRLF or, in a text without LF, CR."""
    if "\r" not in text:
        return text
    text = text.replace("\r\n", "\n")
    return text if "\n" in text else text.replace("\r", "\n")
