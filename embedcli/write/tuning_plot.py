"""Settings as a page with two plots: what they give against what they cost. No script, no network."""

from __future__ import annotations

import html
import math
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.write.map_figure import COLORS, FAINT, GROUND, INK, OTHER

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from embedcli.tuning import Tuned, Tuning
    from embedcli.write.target import Output

_WIDTH: Final = 640
_HEIGHT: Final = 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 20, 40, 56
_MARGIN_RATIO: Final = 0.06
_LOG_FROM: Final = 4
_STEPS: Final = (1, 2, 5)
_GRID: Final = f'stroke="{OTHER}" stroke-opacity=".35"'
_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


class _Axis(NamedTuple):
    """A range of values, the pixels that it lies on, and its marks."""

    low: float
    high: float
    first: float
    last: float
    is_log: bool

    def place(self, value: float) -> float:
        low, high, own = (math.log10(each) if self.is_log else each for each in (self.low, self.high, value))
        return self.first + (own - low) / (high - low) * (self.last - self.first)

    def marks(self) -> list[float]:
        if self.is_log:
            tens = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            marks = [step * 10.0**ten for ten in tens for step in _STEPS]
        else:
            width = (self.high - self.low) / 5
            unit = 10.0 ** math.floor(math.log10(width))
            step = next((step * unit for step in _STEPS if step * unit >= width), 10 * unit)
            marks = [
                step * number
                for number in range(math.floor(self.low / step), math.ceil(self.high / step) + 1)
            ]
        return [mark for mark in marks if self.low <= mark <= self.high]


def write_plot(tuning: Tuning, title: str, output: Output) -> None:
    """Write the page: the metric on the held-out half over the size of the index, and over time.

    Args:
        tuning: What was measured.
        title: Above.
        output: Where to.
    """
    models = list(dict.fromkeys(_group(point) for point in tuning.points))
    colors = {name: COLORS[number % len(COLORS)] for number, name in enumerate(models)}
    panels = (
        ("index size, MB", lambda point: point.index_bytes / 1e6),
        ("time of one query, ms", lambda point: max(point.query_ms, 1e-3)),
    )
    plots = "".join(_panel(tuning, label, cost, colors) for label, cost in panels)
    keys = "".join(
        f'<span><svg width="12" height="12"><circle cx="6" cy="6" r="5" fill="{color}"/></svg>'
        f" {_plain(name)}</span>"
        for name, color in colors.items()
    )
    rows = "".join(_row(tuning, number) for number in tuning.shown)
    head = "".join(f"<th>{name}</th>" for name in ("setting", "", "chosen on", "held out", "MB", "ms/query"))
    output.write(
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{_plain(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<style>body{{background:{GROUND};color:{INK};font:15px system-ui,sans-serif;margin:24px}}"
        f"h1{{font-size:22px}}p{{color:{FAINT}}}span{{margin-right:18px;white-space:nowrap}}"
        "table{border-collapse:collapse;font-size:14px;margin-top:18px}"
        "td,th{padding:3px 12px 3px 0;text-align:left}"
        "td:nth-child(n+3){font-variant-numeric:tabular-nums}</style></head>\n"
        f"<body><h1>{_plain(title)}</h1>\n"
        f"<p>{_plain(tuning.metric)} on the {len(tuning.held_out)} held-out queries. Filled: no other"
        f" setting beats it in {_plain(tuning.metric)}, size and time on the {len(tuning.chosen_on)} queries"
        " that the choice was made on. Point at a mark to see its setting.</p>\n"
        f"<div>{keys}</div>\n{plots}\n<table><tr>{head}</tr>{rows}</table></body></html>\n".encode()
    )


def _group(point: Tuned) -> str:
    return "words alone" if point.setting.mode == "lexical" else point.setting.model


def _panel(tuning: Tuning, label: str, cost: Callable[[Tuned], float], colors: dict[str, str]) -> str:
    """Return one plot as SVG."""
    costs = [cost(point) for point in tuning.points]
    # Over less than a factor of four, powers of ten leave too few marks.
    is_log = max(costs) > _LOG_FROM * min(costs)
    across = _axis(costs, _LEFT, _WIDTH - _RIGHT, is_log=is_log)
    qualities = [tuning.on_held_out(number) for number in range(len(tuning.points))]
    up = _axis(qualities, _HEIGHT - _BOTTOM, _TOP, is_log=False)
    parts = [
        f'<svg width="{_WIDTH}" height="{_HEIGHT}" role="img" font-size="12" fill="{INK}">',
        f"<title>{_plain(tuning.metric)} over {label}</title>",
    ]
    for mark in across.marks():
        x = across.place(mark)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{_HEIGHT - _BOTTOM}" {_GRID}/>'
            f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">{mark:g}</text>'
        )
    for mark in up.marks():
        y = up.place(mark)
        parts.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" {_GRID}/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{mark:.4g}</text>'
        )
    parts.append(
        f'<text x="{(_LEFT + _WIDTH - _RIGHT) / 2}" y="{_HEIGHT - 14}" text-anchor="middle">{label}</text>'
        f'<text x="{_LEFT}" y="20" font-weight="600">{_plain(tuning.metric)}</text>'
    )
    named = {tuning.usual: "default", tuning.words: "bag of words", tuning.chosen: "chosen"}
    order = sorted(range(len(tuning.points)), key=lambda number: (number in tuning.frontier, number in named))
    for number in order:
        point = tuning.points[number]
        x, y = across.place(cost(point)), up.place(qualities[number])
        color = colors[_group(point)]
        fill = color if number in tuning.frontier else "none"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{6 if number in named else 4.5}" fill="{fill}"'
            f' stroke="{color}" stroke-width="1.4" pointer-events="all">'
            f"<title>{_plain(_said(tuning, number))}</title></circle>"
        )
        if number == tuning.chosen:
            parts.append(
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="11" fill="none" stroke="{INK}" stroke-width="2"/>'
            )
    parts += _names({place: named[place] for place in named}, tuning, across, up, cost)
    return "".join(parts) + "</svg>"


def _names(
    named: dict[int, str], tuning: Tuning, across: _Axis, up: _Axis, cost: Callable[[Tuned], float]
) -> list[str]:
    """Return the names of a few points, each moved down until it is clear of those before it."""
    placed: list[tuple[float, float]] = []
    parts = []
    for number, name in named.items():
        x, y = across.place(cost(tuning.points[number])), up.place(tuning.on_held_out(number))
        is_right = x > (_LEFT + _WIDTH - _RIGHT) / 2
        at, y = (x - 16 if is_right else x + 16), y + 4
        while any(abs(y - other) < 15 and abs(at - beside) < 110 for beside, other in placed):
            y += 15
        placed.append((at, y))
        parts.append(
            f'<text x="{at:.1f}" y="{y:.1f}" text-anchor="{"end" if is_right else "start"}" font-weight="600"'
            f' stroke="{GROUND}" stroke-width="4" paint-order="stroke">{name}</text>'
        )
    return parts


def _axis(values: Sequence[float], first: float, last: float, *, is_log: bool) -> _Axis:
    """Return an axis with some room around its values."""
    low, high = min(values), max(values)
    if is_log:
        room = max((high / low) ** _MARGIN_RATIO, 1.05)
        return _Axis(low / room, high * room, first, last, is_log=True)
    room = (high - low) * _MARGIN_RATIO or 0.05 * (abs(high) or 1.0)
    return _Axis(low - room, high + room, first, last, is_log=False)


def _said(tuning: Tuning, number: int) -> str:
    point = tuning.points[number]
    return (
        f"{point.setting.name}\n{tuning.metric} {tuning.on_held_out(number):.4f} held out,"
        f" {tuning.on_first_half(number):.4f} chosen on\n{point.index_bytes / 1e6:.3g} MB,"
        f" {point.query_ms:.3g} ms"
    )


def _row(tuning: Tuning, number: int) -> str:
    point = tuning.points[number]
    roles = ", ".join(role for role in tuning.roles(number) if role != "frontier")
    cells = (
        point.setting.name,
        roles,
        f"{tuning.on_first_half(number):.4f}",
        f"{tuning.on_held_out(number):.4f}",
        f"{point.index_bytes / 1e6:.3g}",
        f"{point.query_ms:.3g}" if point.query_ms < 100 else f"{point.query_ms:.0f}",
    )
    return "<tr>" + "".join(f"<td>{_plain(cell)}</td>" for cell in cells) + "</tr>\n"


def _plain(text: str) -> str:
    return html.escape(text.encode("utf-8", "replace").decode())
