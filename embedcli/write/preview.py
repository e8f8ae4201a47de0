"""A preview of a threshold as text: a histogram, the pairs around the line, and what would be kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from embedcli.write.columns import clip, visible

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from embedcli.reports import NearPair, Preview
    from embedcli.write.target import Output

WIDTH: Final = 100
"""Columns where the terminal does not say."""

_LEAST_BAR: Final = 10
_BAR: Final = "#"


def write_preview(preview: Preview, output: Output, width: int | None = None) -> None:
    """Write what people read.

    Args:
        preview: What a threshold would do.
        output: Where to.
        width: Columns; texts and bars are clipped to them.
    """
    for line in _lines(preview, width or WIDTH):
        output.write(line.encode("utf-8", "replace") + b"\n")


def _lines(preview: Preview, width: int) -> Iterator[str]:
    left = preview.records - preview.by_text
    yield f"{preview.records} records, {preview.by_text} of them duplicates by their text alone"
    if preview.histogram:
        yield ""
        yield f"closest other record of the {left} that are left, by cosine:"
        yield from _bars(preview, width)
    if preview.alone:
        yield f"  {preview.alone} with none"
    yield from _pairs("just at or above the threshold: duplicates", preview.above, width)
    yield from _pairs("just below it: none", preview.below, width)
    yield ""
    yield "threshold   kept  dropped"
    for at, kept in preview.kept:
        mark = "  <" if at == preview.threshold else ""
        yield f"{at:9.4f}{kept:7}{preview.records - kept:9}{mark}"


def _bars(preview: Preview, width: int) -> Iterator[str]:
    most = max(one.records for one in preview.histogram)
    for low, high, records in preview.histogram:
        is_last = high == preview.histogram[-1].high
        mark = "<" if low <= preview.threshold < high or (is_last and preview.threshold == high) else " "
        start = f"  {low:.2f} {mark}{records:8} "
        room = max(_LEAST_BAR, width - len(start))
        # What is there is seen, however little it is beside the rest.
        yield (start + _BAR * -(-records * room // most)).rstrip()


def _pairs(title: str, pairs: Sequence[NearPair], width: int) -> Iterator[str]:
    if not pairs:
        return
    yield ""
    yield f"{title}:"
    for ids, texts, cosine in pairs:
        for start, own, text in zip((f"{cosine:8.4f}  ", " " * 10), ids, texts, strict=True):
            yield clip(f"{start}{visible(own)}: {visible(text)}", width)
