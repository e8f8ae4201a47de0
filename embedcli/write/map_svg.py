"""A map as SVG, for documents."""

from __future__ import annotations

import re
from itertools import groupby
from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

from embedcli.write.map_figure import FAINT, GROUND, INK, WIDTH

if TYPE_CHECKING:
    from embedcli.write.map_figure import Figure, Words
    from embedcli.write.target import Output

_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write_svg(output: Output, drawn: Figure) -> None:
    """Write a figure as SVG 1.1, text as text."""
    title = _plain(drawn.title)
    output.write(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{drawn.height}"'
        f' viewBox="0 0 {WIDTH} {drawn.height}" font-family="system-ui, sans-serif" role="img">\n'
        f"<title>{title}</title>\n"
        f'<rect width="100%" height="100%" fill="{GROUND}"/>\n'
        f'<text x="48" y="40" font-size="24" font-weight="600" fill="{INK}">{title}</text>\n'
        f'<g fill-opacity="{drawn.alpha}">\n'.encode()
    )
    for color, dots in groupby(drawn.dots, key=lambda dot: dot.color):
        circles = "".join(f'<circle cx="{dot.x:.1f}" cy="{dot.y:.1f}" r="{dot.radius:.1f}"/>' for dot in dots)
        output.write(f'<g fill="{color}">{circles}</g>\n'.encode())
    output.write(
        f'</g>\n<g fill="{INK}" text-anchor="middle" font-weight="600" stroke="{GROUND}" stroke-opacity=".9"'
        ' stroke-linejoin="round" paint-order="stroke">\n'.encode()
    )
    for name in drawn.names:
        output.write(_name(name))
    output.write(f'</g>\n<g font-size="13" fill="{INK}">\n'.encode())
    for x, y, color, words in drawn.legend:
        output.write(
            f'<circle cx="{x + 5}" cy="{y - 4}" r="5" fill="{color}"/>'
            f'<text x="{x + 16}" y="{y}">{_plain(words)}</text>\n'.encode()
        )
    output.write(
        f'</g>\n<text x="48" y="{drawn.height - 16}" font-size="12" fill="{FAINT}">'
        f"{_plain(drawn.footer)}</text>\n</svg>\n".encode()
    )


def _name(name: Words) -> bytes:
    lines = []
    for at, line in enumerate(name.lines):
        y = name.y + (at - (len(name.lines) - 1) / 2) * name.size * 1.25 + name.size * 0.35
        lines.append(f'<tspan x="{name.x:.1f}" y="{y:.1f}">{_plain(line)}</tspan>')
    head = f'<text font-size="{name.size}" stroke-width="{name.size / 3.5:.1f}">'
    return f"{head}{''.join(lines)}</text>\n".encode()


def _plain(text: str) -> str:
    """Return text for XML, which has no control characters."""
    return escape(_NOT_XML.sub("\ufffd", text))
