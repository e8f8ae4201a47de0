"""How far two collections are from each other, as JSON or to read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from embedcli.write.columns import clip, visible
from embedcli.write.objects import dump
from embedcli.write.table import write_table

if TYPE_CHECKING:
    from embedcli.reports import Changed, Drift
    from embedcli.write.target import Output

_MEASURES = ("mean_cosine", "energy", "p")
_TEXT_ROOM = 100


def write_drift_object(drift: Drift, output: Output) -> None:
    """Write one object with everything in it."""
    told: dict[str, list[dict[str, Any]]] = {"new": [], "gone": []}
    for each in drift.changed:
        about = {"id": each.record.id, "text": each.record.text, "score": each.score, "alike": each.alike}
        told[each.change].append(about)
    measures = {name: getattr(drift, name) for name in ("left", "right", *_MEASURES)}
    output.write(dump({**measures, **told}) + b"\n")


def write_drift(drift: Drift, output: Output, width: int | None = None) -> None:
    """Write what people read.

    Args:
        drift: What was measured.
        output: Where to.
        width: Columns that a text is clipped to.
    """
    values = {name: getattr(drift, name) for name in _MEASURES}
    rows = [(name, "-" if value is None else f"{value:.4f}") for name, value in values.items()]
    write_table(("measure", "value"), rows, output)
    if drift.changed:
        output.write(b"\n")
        changed = [_cells(each, width or _TEXT_ROOM) for each in drift.changed]
        write_table(("change", "score", "alike", "id", "text"), changed, output)


def _cells(changed: Changed, room: int) -> tuple[str, ...]:
    texts = visible(changed.record.id), clip(visible(changed.record.text), room)
    return (changed.change, f"{changed.score:.4f}", str(changed.alike), *texts)
