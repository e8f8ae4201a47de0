"""Figures of an evaluation: a table, JSON, and the values of single items."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from embedcli.write.added_fields import cell
from embedcli.write.objects import dump
from embedcli.write.table import write_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.reports import Evaluation, Figure
    from embedcli.write.target import Output

_NOTHING = "-"


def write_figures(shown: Sequence[Figure], output: Output, width: int | None = None) -> None:
    """Write a table: a row for each system, a column for each metric and its interval, and p of the first.

    A row says what guessing gives, where that is known.

    Args:
        shown: By system; of each, the deciding metric first.
        output: Where to.
        width: Columns that lines are cut to; None for no limit.
    """
    systems = list(dict.fromkeys(each.system for each in shown))
    metrics = list(dict.fromkeys(each.metric for each in shown))
    cells = {(each.system, each.metric): each for each in shown}
    rows = []
    for system in systems:
        own = [cells.get((system, metric)) for metric in metrics]
        first = own[0]
        p = _NOTHING if first is None or first.p is None else _rounded_p(first.p)
        rows.append([system, *map(_figure_cell, own), p])
    chances = {each.metric: each.chance for each in shown if each.chance is not None}
    if chances:
        rows.append(["(chance)", *(_number(chances.get(metric)) for metric in metrics), _NOTHING])
    header = ["system", *metrics, "p"]
    keep = range(len(header) if any(each.p is not None for each in shown) else len(header) - 1)
    write_table([header[at] for at in keep], [[row[at] for at in keep] for row in rows], output, width)


def write_figure_objects(shown: Sequence[Figure], output: Output) -> None:
    """Write an object a line: see docs/json.md."""
    for each in shown:
        output.write(dump(each._asdict()) + b"\n")


def write_items(evaluation: Evaluation, output: Output, *, as_json: bool) -> int:
    """Write the value of each item in each measure that is a mean; return how many lines.

    Args:
        evaluation: What was measured.
        output: Where to.
        as_json: Whether as an object a line instead of a table with tabs and a header.
    """
    if not as_json:
        output.write(b"system\tmetric\titem\tvalue\n")
    count = 0
    for each in evaluation.measurements:
        if each.values is None:
            continue
        for item, value in zip(evaluation.items, each.values.tolist(), strict=True):
            if as_json:
                own = {"system": each.system, "metric": each.metric, "item": item, "value": value}
                output.write(dump(own) + b"\n")
            else:
                fields = (each.system, each.metric, item, value)
                output.write(
                    "\t".join(cell(field, "\t") for field in fields).encode("utf-8", "replace") + b"\n"
                )
            count += 1
    return count


def _figure_cell(figure: Figure | None) -> str:
    if figure is None or not math.isfinite(figure.value):
        return _NOTHING
    if figure.low is None or figure.high is None:
        return _number(figure.value)
    return f"{_number(figure.value)} [{_number(figure.low)} {_number(figure.high)}]"


def _number(value: float | None) -> str:
    """Return a number with four digits that count, at most four of them after the point."""
    if value is None or not math.isfinite(value):
        return _NOTHING
    if abs(value) < 10:
        return f"{value:.4f}"
    return f"{value:.4g}" if abs(value) < 10_000 else f"{value:.0f}"


def _rounded_p(p: float) -> str:
    return f"{p:.4f}" if p >= 0.0001 else "<.0001"
