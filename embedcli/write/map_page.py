"""A map as one HTML file that needs no network: style, script and data inside, and nothing else may run.

Data is base64 over deflate: whatever a text says, nothing of it can be taken for markup.
"""

from __future__ import annotations

import base64
import hashlib
import html
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.vectors.picture import GRID
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.datatypes import Record
    from embedcli.vectors.picture import Picture
    from embedcli.write.target import Output

TEXT_CHARS: Final = 1000
"""Characters of a text that a page holds; a longer one ends with an ellipsis there."""
VALUE_CHARS: Final = 200
"""Likewise of a field's value."""

_PARTS: Final = Path(__file__).parent / "map_page"
_LEVEL: Final = 9


class PageAbout(NamedTuple):
    """What a page says beside its points.

    Attributes:
        title: Above.
        footer: Below: what made it, one clause each.
        fields: Own fields of the records that are kept, in their order.
        color_by: The field that colours the points at first; None for their regions.
    """

    title: str
    footer: tuple[str, ...]
    fields: tuple[str, ...] = ()
    color_by: str | None = None


def write_page(output: Output, picture: Picture, records: Iterable[Record], about: PageAbout) -> None:
    """Write a page; records go through one at a time.

    Args:
        output: Takes the bytes.
        picture: The points.
        records: The record of each point.
        about: What else is said.
    """
    before, after = _template(about.title).split("{{data}}")
    output.write(before.encode())
    header = {
        "footer": about.footer,
        "fields": about.fields,
        "colour": None if about.color_by is None else about.fields.index(about.color_by),
        "extent": picture.extent,
        "levels": [[_rounded(region) for region in level] for level in picture.regions],
    }
    _write_section(output, "about", [dump(header)])
    _write_section(output, "points", [(picture.points * GRID).round().astype("<u2").tobytes()])
    _write_section(output, "regions", [picture.region_of.astype("<u2").tobytes()])
    _write_section(output, "records", _rows(records, about.fields))
    output.write(after.encode())


def _rounded(region: tuple[Any, ...]) -> list[Any]:
    return [round(value, 5) if isinstance(value, float) else value for value in region]


def _rows(records: Iterable[Record], fields: tuple[str, ...]) -> Iterable[bytes]:
    """Yield a JSON array with one array for each record: id, text, the fields."""
    lead = b"["
    for record in records:
        values = [_shown(record.fields.get(name)) for name in fields]
        yield lead + dump([record.id, _cut(record.text, TEXT_CHARS), *values])
        lead = b",\n"
    yield b"]" if lead != b"[" else b"[]"


def _shown(value: Any) -> Any:
    """Return a field's value as a page has it: numbers, truth and null as they are, all else as text."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        # What a browser's numbers cannot hold stays a text.
        return value if abs(value) < 1 << 53 else _cut(str(value), VALUE_CHARS)
    return _cut(value if isinstance(value, str) else dump(value).decode(), VALUE_CHARS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _write_section(output: Output, name: str, parts: Iterable[bytes]) -> None:
    """Write bytes as a block of data that a browser keeps and never runs."""
    output.write(b'<script type="text/plain" id="data-%s">' % name.encode())
    packer, rest = zlib.compressobj(_LEVEL), b""
    for part in parts:
        rest += packer.compress(part)
        whole = len(rest) // 3 * 3
        output.write(base64.b64encode(rest[:whole]))
        rest = rest[whole:]
    output.write(base64.b64encode(rest + packer.flush()))
    output.write(b"</script>\n")


def _template(title: str) -> str:
    """Return the page without its data; the policy names the style and the script by their hashes."""
    style = (_PARTS / "page.css").read_text(encoding="utf-8")
    script = "\n".join(path.read_text(encoding="utf-8") for path in sorted(_PARTS.glob("*.js")))
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src '{_hash(script)}'",
            f"style-src '{_hash(style)}'",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )
    page = (_PARTS / "page.html").read_text(encoding="utf-8")
    # The title last: what it says is not looked at again.
    for name, value in (("policy", policy), ("style", style), ("script", script), ("title", _plain(title))):
        page = page.replace("{{" + name + "}}", value)
    return page


def _plain(text: str) -> str:
    """Return text for HTML; braces too, since the data's place is marked by them."""
    return html.escape(text.encode("utf-8", "replace").decode()).replace("{", "&#123;")


def _hash(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return f"sha256-{base64.b64encode(digest).decode()}"
