"""A plain table with aligned columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.write.columns import columns, pad

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.write.target import Output


def write_table(header: Sequence[str], rows: Sequence[Sequence[str]], output: Output) -> None:
    """Write a header and rows, two spaces between columns, the last one unpadded."""
    widths = [max(columns(row[column]) for row in (header, *rows)) for column in range(len(header))]
    for row in (header, *rows):
        cells = [pad(cell, width) for cell, width in zip(row, widths, strict=True)]
        output.write("  ".join(cells).rstrip().encode("utf-8", "replace") + b"\n")
