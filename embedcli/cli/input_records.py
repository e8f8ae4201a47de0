"""The records that a filter reads: from files and pipes, with vectors beside them, or from an index."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Head, Record
    from embedcli.tasks.inputs import Inputs

OWN_VECTORS: Final = "own"
"""What `--vectors` says instead of a file: those that the records bring."""


def input_records(
    inputs: "Inputs",
    source: "Path | None",
    rows: str | None,
    on_head: "Callable[[Head], None]",
    run: "Run",
    progress: "Progress",
    *,
    null: bool,
) -> "Iterator[Record]":
    """Return the records, each with the bytes that are written for it.

    Args:
        inputs: What is read.
        source: An index that is read instead.
        rows: A file with the vectors of the records; None where there is none.
        on_head: Told what stands before the first record.
        run: Counts, and hears of problems.
        progress: Shows how far it is.
        null: Whether names of files end in NUL.
    """
    if source is not None:
        from embedcli.tasks.export_index import iter_index_records

        return _counted(iter_index_records(source), run)
    from embedcli.tasks.passing import passing_records

    records = passing_records(inputs, run.counts, run.on_problem, on_head, progress.update, null=null)
    if rows is None:
        return records
    from embedcli.tasks.carried import with_rows

    return with_rows(records, rows)


def _counted(records: "Iterator[Record]", run: "Run") -> "Iterator[Record]":
    for record in records:
        run.counts.read += 1
        yield record
