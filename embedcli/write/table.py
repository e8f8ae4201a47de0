"""A plain table with aligned columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.write.columns import clip, columns, pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.write.target import Output


def write_table(
    header: Sequence[str], rows: Sequence[Sequence[str]], output: Output, width: int | None = None
) -> None:
    """Write a header and rows, two spaces between columns, the last one unpadded.

    Args:
        header: Names of the columns.
        rows: Cells, as many as there are names.
        output: Where to.
        width: Columns that lines are cut to; None for no limit.
    """
    widths = [max(columns(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = [pad(cell, width) for cell, width in zip(row, widths, strict=True)]
        line = "  ".join(cells).rstrip()
        shown = line if width is None else clip(line, width)
        output.write(shown.encode("utf-8", "replace") + b"\n")
