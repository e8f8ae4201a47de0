"""What `search` is asked, and where it looks."""

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from embedcli.cli.run import Run
    from embedcli.datatypes import By, Record
    from embedcli.tasks.chunk_settings import ChunkSettings
    from embedcli.where import Condition


def read_condition(where: str | None) -> "Condition | None":
    """Return the condition of `--where`, parsed."""
    if where is None:
        return None
    # 7 ms, for those who ask for it.
    from embedcli.where import parse_where

    return parse_where(where)


def read_unit(by: str | None, *, as_trec: bool) -> "By | None":
    """Return what a hit stands for; a TREC run names each record once.

    Raises:
        UsageError: It is not known, or no record where a run is wanted.
    """
    from embedcli.cli.resolve import choice
    from embedcli.datatypes import By
    from embedcli.errors import UsageError

    if by is None:
        return "record" if as_trec else None
    unit: By = choice("--by", by, By)
    if as_trec and unit != "record":
        raise UsageError(f"--trec names records; --by {unit} does not")
    return unit


def read_queries(query: str | None, file: str | None, named: list[str], run: "Run") -> list["Record"]:
    """Return the queries as records: the one that was typed, or those of a file."""
    from pathlib import Path

    from embedcli.cli.resolve import stdin_bytes
    from embedcli.datatypes import STDIN_NAME, Record
    from embedcli.errors import UsageError
    from embedcli.tasks.inputs import Inputs

    if file is not None and Path(file).is_dir():
        raise UsageError(f"--queries {file} is a folder", hint="a file with a question a line, or -")
    if file is None:
        if query is None:
            raise UsageError("no query", hint="embedcli search 'what to look for' PATH…")
        return [Record("1", query)]
    if file == STDIN_NAME and STDIN_NAME in named:
        raise UsageError("--queries - and the path - both want standard input")
    found = list(Inputs([file], {"text_as": "lines"}, stdin_bytes()).records(run.counts, run.on_problem))
    if not found:
        raise UsageError(f"{file}: no queries in it")
    # A query without an id of its own goes by its line, as it would from standard input.
    return [
        record._replace(id=str(record.line)) if record.id == f"{record.path}:{record.line}" else record
        for record in found
    ]


def places_to_search(
    paths: list[str] | None, files_from: str | None, indexes: list[str] | None, run: "Run", *, null: bool
) -> tuple[list[str], list["Path"]]:
    """Return what to read: paths, or indexes. Paths win over an index, an index over standard input."""
    import os
    from pathlib import Path

    from embedcli.cli.resolve import index_to_read, input_paths
    from embedcli.tasks.places import nearest_index

    if paths or files_from:
        return input_paths(paths, files_from, null=null), []
    given = indexes or ([os.environ["EMBEDCLI_INDEX"]] if os.environ.get("EMBEDCLI_INDEX") else [])
    if given:
        return [], list(dict.fromkeys(index_to_read(name) for name in given))
    nearest = nearest_index(Path())
    if nearest is None:
        return input_paths(None, None, null=null), []
    if sys.stdin is not None and not sys.stdin.closed and _carries_data(os.fstat(sys.stdin.fileno()).st_mode):
        run.notice(f"searching the index {nearest}; the path - searches standard input")
    return [], [nearest]


def _carries_data(mode: int) -> bool:
    """Whether standard input is a pipe or a file: somebody meant it to be read."""
    import stat

    return stat.S_ISFIFO(mode) or stat.S_ISREG(mode)


_ABOUT_FILES = frozenset(
    {"include", "exclude", "hidden", "respect_ignore_files", "max_filesize_bytes", "format"}
)
_ABOUT_RECORDS = frozenset({"text_fields", "columns", "header", "id_field"})


def check_read(
    read: "Mapping[str, Any]", how: "ChunkSettings", *, on_index: bool, has_examples: bool
) -> None:
    """Refuse to read an index in another way than it was built.

    Args:
        read: What was said about reading.
        how: What was said about chunks.
        on_index: Whether an index is searched.
        has_examples: Whether the question is made of records, which fields and columns are about, too.

    Raises:
        UsageError: Something was said that only files can do.
    """
    from embedcli.errors import UsageError

    if not on_index:
        return
    # -0 is about what is printed as well.
    told = {key: value for key, value in read.items() if (key, value) != ("format", "null")}
    said = set(told) & (_ABOUT_FILES if has_examples else _ABOUT_FILES | _ABOUT_RECORDS)
    if said or how.chunking is not None or how.chosen():
        raise UsageError(
            "how files are read and cut was settled when the index was built;"
            " --include, --field, --format, --chunking and their like say nothing to a search of it",
            hint="--path and --where narrow an index; PATH… searches files",
        )
