"""The options about reading, which every command that takes records has."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from embedcli.cli import options

if TYPE_CHECKING:
    from embedcli.tasks.inputs import Inputs

_WHEN_FALSE = ("header", "respect_ignore_files")


@dataclass(frozen=True)
class ReadOptions:
    """What was typed about reading, in the order of the help text."""

    input_format: options.InputFormat = "auto"
    null: options.Null = False
    files_from: options.FilesFrom = None
    field: options.Field = None
    column: options.ColumnOption = None
    no_header: options.NoHeader = False
    id_field: options.IdField = None
    include: options.Include = None
    exclude: options.Exclude = None
    hidden: options.Hidden = False
    no_ignore: options.NoIgnore = False
    max_filesize: options.MaxFilesize = None
    max_record_bytes: options.MaxRecord = None
    pre: options.Pre = None
    pre_glob: options.PreGlob = None
    text: options.Text = False

    def settings(self, *, names_out: bool = False) -> dict[str, Any]:
        """Return what was said, by the names of `ReadSettings`; what was not said is left out.

        Args:
            names_out: Whether files that are one record are named in the output, where NUL may end a name.

        Raises:
            UsageError: A value is not known, or two contradict each other.
        """
        from embedcli.cli.resolve import choice, size_bytes
        from embedcli.datatypes import Format
        from embedcli.errors import UsageError

        # In a list of paths, NUL separates those.
        null = self.null and not self.files_from and not (names_out and self.input_format == "whole")
        if null and self.input_format not in ("auto", "null"):
            raise UsageError(f"-0 contradicts --format {self.input_format}")
        choice("--format", self.input_format, Format)
        record_bytes = self.max_record_bytes
        said: dict[str, Any] = {
            "format": "null" if null else None if self.input_format == "auto" else self.input_format,
            "text_fields": tuple(self.field or ()),
            "columns": tuple(self.column or ()),
            "header": False if self.no_header else None,
            "id_field": self.id_field,
            "include": tuple(self.include or ()),
            "exclude": tuple(self.exclude or ()),
            "hidden": self.hidden,
            "respect_ignore_files": False if self.no_ignore else None,
            "max_filesize_bytes": size_bytes("--max-filesize", self.max_filesize)
            if self.max_filesize
            else None,
            "max_record_bytes": size_bytes("--max-record-bytes", record_bytes) if record_bytes else None,
            "pre": self.pre,
            "pre_glob": self.pre_glob,
            "binary_as_text": self.text,
        }
        return {key: value for key, value in said.items() if value or (value is False and key in _WHEN_FALSE)}

    def inputs(self, paths: list[str] | None, *, or_stdin: bool = True, names_out: bool = False) -> "Inputs":
        """Return what is to be read: the paths and those of `--files-from`.

        Args:
            paths: As they were typed.
            or_stdin: Whether standard input is read where nothing was named.
            names_out: As in `settings`.

        Raises:
            UsageError: There is nothing to read, or what was said makes no sense.
        """
        from embedcli.cli.resolve import input_paths, stdin_bytes
        from embedcli.tasks.inputs import Inputs

        is_named = bool(paths or self.files_from)
        named = input_paths(paths, self.files_from, null=self.null) if is_named or or_stdin else []
        return Inputs(named, self.settings(names_out=names_out), stdin=stdin_bytes())
