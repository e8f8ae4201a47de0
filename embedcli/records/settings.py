"""How input is found and read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from typing import Final

    from embedcli.datatypes import Format

MAX_RECORD_BYTES: Final = 16 << 20
"""Longest record that is read: far above any text a model takes in, far below what memory holds."""


DEFAULT_FIELDS: Final = ("text",)
"""Where the text is if nobody says."""


@dataclass(frozen=True, slots=True)
class ReadSettings:
    """How input is found and read.

    Attributes:
        format: What the input is; `auto` decides for each source.
        text_fields: JSON fields that make the text, joined by a space.
        columns: Columns that make the text of CSV, TSV and Parquet, by name or by number from 1; empty for
            the columns that are called as `text_fields`.
        header: Whether the first row of CSV and TSV names the columns.
        id_field: Field or column that holds the id; None for `id`, else `_id`, else place in the source.
        include: Globs; a walk gives only files that match one of them. As in `.gitignore`: without a slash
            a name at any depth, with one a path from the folder that is walked.
        exclude: Globs; a walk leaves out what matches one of them.
        hidden: Whether a walk goes into what begins with a dot.
        respect_ignore_files: Whether a walk obeys `.gitignore`, `.ignore` and `.embedcliignore`.
        max_filesize_bytes: A walk leaves out larger files; None for no limit.
        max_record_bytes: A longer record is skipped, separator not counted.
        pre: Command that turns a file into text: it gets the path as last argument and the file on its
            standard input. Split as a shell would, but run without one.
        pre_glob: `pre` only runs for files that match this glob; None for all files.
        binary_as_text: Whether input with NUL bytes is read all the same.
        text_as: What `auto` makes of the text files that a walk finds.
        named_text_as: What `auto` makes of a named file that is neither JSONL nor a table.
        stdin_text_as: What `auto` makes of a standard input that is not JSONL.
    """

    format: Format = "auto"
    text_fields: tuple[str, ...] = DEFAULT_FIELDS
    columns: tuple[str, ...] = ()
    header: bool = True
    id_field: str | None = None
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    hidden: bool = False
    respect_ignore_files: bool = True
    max_filesize_bytes: int | None = None
    max_record_bytes: int = MAX_RECORD_BYTES
    pre: str | None = None
    pre_glob: str | None = None
    binary_as_text: bool = False
    text_as: Literal["lines", "whole"] = "lines"
    named_text_as: Literal["lines", "whole"] = "lines"
    stdin_text_as: Literal["lines", "whole"] = "lines"
