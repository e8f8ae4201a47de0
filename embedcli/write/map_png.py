"""A map as PNG, for documents: drawn by Pillow, from the extra `map`."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from embedcli.errors import MissingExtraError
from embedcli.write.map_figure import FAINT, GROUND, INK, WIDTH

if TYPE_CHECKING:
    from embedcli.write.map_figure import Figure
    from embedcli.write.target import Output

_SCALE: Final = 2
"""Pixels of the file for each of the figure."""
_FINER: Final = 2
"""It is drawn larger by this and then shrunk, so that edges are smooth."""


def need_pillow() -> None:
    """Raise before any work is done.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    try:
        import PIL.ImageDraw  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("map", "a PNG") from error


def write_png(output: Output, drawn: Figure) -> None:
    """Write a figure as PNG, `_SCALE * WIDTH` pixels wide; raises as `need_pillow`."""
    need_pillow()
    from PIL import Image, ImageDraw

    times = _SCALE * _FINER
    image = Image.new("RGB", (WIDTH * times, drawn.height * times), GROUND)
    # Colours with a fourth part are blended with what is below.
    brush = ImageDraw.Draw(image, "RGBA")
    alpha = round(255 * drawn.alpha)
    for dot in drawn.dots:
        x, y, radius = dot.x * times, dot.y * times, dot.radius * times
        red, green, blue = bytes.fromhex(dot.color[1:])
        brush.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(red, green, blue, alpha))
    image = image.resize((WIDTH * _SCALE, drawn.height * _SCALE), Image.Resampling.BOX)
    brush = ImageDraw.Draw(image)
    _write(brush, drawn.title, (48, 40), 24, INK, "ls")
    for name in drawn.names:
        for at, line in enumerate(name.lines):
            y = name.y + (at - (len(name.lines) - 1) / 2) * name.size * 1.25
            _write(brush, line, (name.x, y), name.size, INK, "mm", rim=name.size / 5)
    for x, y, color, words in drawn.legend:
        brush.ellipse([value * _SCALE for value in (x, y - 9, x + 10, y + 1)], fill=color)
        _write(brush, words, (x + 16, y), 13, INK, "ls")
    _write(brush, drawn.footer, (48, drawn.height - 16), 12, FAINT, "ls")
    content = io.BytesIO()
    image.save(content, "PNG", optimize=True)
    output.write(content.getvalue())


def _write(
    brush: Any, text: str, place: tuple[float, float], size: int, color: str, anchor: str, rim: float = 0
) -> None:
    text = "".join(letter if letter.isprintable() else "\ufffd" for letter in text)
    brush.text(
        (place[0] * _SCALE, place[1] * _SCALE),
        text,
        fill=color,
        font=_font(text, size * _SCALE),
        anchor=anchor,
        stroke_width=round(rim * _SCALE),
        stroke_fill=GROUND,
    )


def _font(text: str, size: int) -> Any:
    """Return Pillow's own font; for letters that it has not, one of this computer, if there is any."""
    from PIL import ImageFont

    if any(ord(letter) > 0x17F and letter != "…" for letter in text):
        for name in ("NotoSans-Regular.ttf", "DejaVuSans.ttf", "Arial Unicode.ttf", "arial.ttf"):
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
    return ImageFont.load_default(size)
