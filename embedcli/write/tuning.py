"""What settings give and cost: tables with a verdict for each knob, and JSON."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedcli.write.objects import dump
from embedcli.write.table import write_table

if TYPE_CHECKING:
    from embedcli.tuning import Swept, Tuned, Tuning
    from embedcli.write.target import Output

_CLEARLY: Final = 0.05
_MEGA: Final = 1e6


def write_tuning(tuning: Tuning, output: Output) -> None:
    """Write the settings that a reader needs, what was found inside the encoder, and what to type."""
    rows = [_point_row(tuning, number) for number in tuning.shown]
    write_table(
        ("setting", "", "chosen on", "held out", "p", "MB", "bytes/chunk", "ms/query", "ms/text"),
        rows,
        output,
    )
    if tuning.swept:
        output.write(b"\n")
        swept = [
            (
                each.knob,
                each.setting,
                f"{each.value:.4f}",
                f"{each.change:+.4f}",
                p_text(each.p),
                "-" if each.time_ratio is None else f"{each.time_ratio:.2f}",
                verdict(each),
            )
            for each in tuning.swept
        ]
        write_table((tuning.swept_model, "", tuning.metric, "change", "p", "time", "verdict"), swept, output)
    chosen = tuning.points[tuning.chosen].setting
    output.write(
        f"\nbuild   embedcli index build {chosen.build_options} -i FILE PATH\n"
        f"search  embedcli search {chosen.search_options} -i FILE\n\n".encode("utf-8", "replace")
    )


def write_tuning_objects(tuning: Tuning, output: Output) -> None:
    """Write an object for each setting and for each change inside the encoder: see docs/json.md."""
    for number, point in enumerate(tuning.points):
        output.write(dump(_point_object(tuning, number, point)) + b"\n")
    for each in tuning.swept:
        facts = {"task": "tune", "system": tuning.swept_model, "metric": tuning.metric, "value": each.value}
        more = {
            "low": None,
            "high": None,
            "queries": len(tuning.chosen_on) + len(tuning.held_out),
            "p": each.p,
        }
        own = {"knob": each.knob, "setting": each.setting, "change": each.change}
        rest = {"time_ratio": each.time_ratio, "verdict": verdict(each)}
        output.write(dump({**facts, **more, **own, **rest}) + b"\n")


def verdict(each: Swept) -> str:
    """Return in plain words what a change inside the encoder is worth."""
    if each.knob == "encoder":
        return "what the others are compared with"
    if each.p >= _CLEARLY:
        return "no clear difference: leave it"
    size = f"{abs(each.change):.2f}".removeprefix("0")
    return f"{size} higher: worth a test of your own" if each.change > 0 else f"{size} lower: leave it"


def p_text(p: float) -> str:
    """Return a p-value with three digits after the point."""
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")


def _point_row(tuning: Tuning, number: int) -> tuple[str, ...]:
    point = tuning.points[number]
    p = tuning.p.get(number)
    return (
        point.setting.name,
        ", ".join(role for role in tuning.roles(number) if role != "frontier"),
        f"{tuning.on_first_half(number):.4f}",
        f"{tuning.on_held_out(number):.4f}",
        "-" if p is None else p_text(p),
        f"{point.index_bytes / _MEGA:.3g}",
        f"{point.index_bytes / max(1, point.chunks):.0f}",
        f"{point.query_ms:.3g}" if point.query_ms < 100 else f"{point.query_ms:.0f}",
        f"{point.text_ms:.2g}",
    )


def _point_object(tuning: Tuning, number: int, point: Tuned) -> dict[str, object]:
    return {
        "task": "tune",
        "system": point.setting.name,
        "metric": tuning.metric,
        "value": tuning.on_held_out(number),
        "low": None,
        "high": None,
        "queries": len(tuning.held_out),
        "p": tuning.p.get(number),
        "chosen_on": tuning.on_first_half(number),
        "roles": list(tuning.roles(number)),
        **point.setting._asdict(),
        "index_bytes": point.index_bytes,
        "chunks": point.chunks,
        "query_ms": round(point.query_ms, 4),
        "text_ms": round(point.text_ms, 4),
    }
