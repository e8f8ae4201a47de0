"""Clusters instead of their records: a table, a tree, or objects."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedcli.write.columns import clip, visible
from embedcli.write.objects import dump
from embedcli.write.table import write_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from embedcli.reports import ClusterNode, ClusterSummary
    from embedcli.write.target import Output

_COLUMNS: Final = ("cluster", "size", "share", "cohesion", "name", "example")
_NOISE: Final = "(noise)"
_NAME_SHARE: Final = 3
"""A name takes a third of a terminal's columns at most: the example needs some too."""


def write_summary(rows: Sequence[ClusterSummary], output: Output, width: int | None) -> None:
    """Write a table with a header.

    In a pipe: one line a cluster, tabs between cells, nothing cut; white space in a text is one space each.
    On a terminal: aligned, lines cut to the width, control characters as escapes.

    Args:
        rows: In their order.
        output: Where to.
        width: Columns of the terminal; None for a pipe or a file.
    """
    if width is None:
        for cells in (_COLUMNS, *(_cells(row, _one_line) for row in rows)):
            output.write("\t".join(cells).encode("utf-8", "replace") + b"\n")
        return
    shown = [_cells(row, visible) for row in rows]
    shown = [(*cells[:4], clip(cells[4], max(1, width // _NAME_SHARE)), cells[5]) for cells in shown]
    write_table(_COLUMNS, shown, output, width)


def write_summary_json(rows: Iterable[ClusterSummary], output: Output) -> None:
    """Write one object a line."""
    for row in rows:
        output.write(dump({**row._asdict(), "words": list(row.words)}) + b"\n")


def write_tree(nodes: Sequence[ClusterNode], output: Output, width: int | None) -> None:
    """Write an indented tree: cosine and size of inner nodes, id and size of clusters, names.

    Args:
        nodes: Parents first, and each with all that is below it before its siblings.
        output: Where to.
        width: Columns of the terminal; None for a pipe or a file, where nothing is cut.
    """
    for line in _branches(nodes):
        shown = line if width is None else clip(line, width)
        output.write(shown.encode("utf-8", "replace") + b"\n")


def write_tree_json(nodes: Iterable[ClusterNode], output: Output) -> None:
    """Write one object a line, parents first."""
    for node in nodes:
        output.write(dump(node._asdict()) + b"\n")


def _cells(row: ClusterSummary, shown: Callable[[str], str]) -> tuple[str, ...]:
    cohesion = "" if row.cohesion is None else f"{row.cohesion:.4f}"
    name = _NOISE if row.name is None else row.name
    return str(row.cluster), str(row.size), f"{row.share:.4f}", cohesion, name, shown(row.example or "")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _branches(nodes: Sequence[ClusterNode]) -> Iterator[str]:
    """Yield the lines of a tree."""
    rails: list[str] = []
    is_last = _last_children(nodes)
    for node, last in zip(nodes, is_last, strict=True):
        del rails[max(0, node.depth - 1) :]
        branch = "" if node.parent is None else "└─ " if last else "├─ "
        what = f"#{node.cluster}" if node.cosine is None else f"{node.cosine:.2f}"
        yield f"{''.join(rails)}{branch}{what}  {node.size}  {node.name}"
        if node.parent is not None:
            rails.append("   " if last else "│  ")


def _last_children(nodes: Sequence[ClusterNode]) -> list[bool]:
    """Return whether each node is the last one below its parent."""
    seen: set[int | None] = set()
    found = []
    for node in reversed(nodes):
        found.append(node.parent not in seen)
        seen.add(node.parent)
    return found[::-1]
