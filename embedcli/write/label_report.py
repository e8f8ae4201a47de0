"""Labels counted, and answers compared with labels: tables for people, objects for programs."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from embedcli.write.columns import clip, pad
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from embedcli.reports import GoldReport, LabelCount
    from embedcli.write.target import Output

_MATRIX_LABELS: Final = 12
"""With more labels a table of all pairs is not read; the most frequent mistakes are listed either way."""

_SHOWN_MISTAKES: Final = 20
_LABEL_COLUMNS: Final = 40
_CELL: Final = 10
_OPEN: Final = "(left open)"
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def write_counts(counts: Sequence[LabelCount], output: Output, *, as_json: bool) -> None:
    """Write how often each label was given: an object a label, or a table."""
    if as_json:
        for each in counts:
            output.write(dump(asdict(each)) + b"\n")
        return
    _write(["   count   share   score  label", *(_count_line(each) for each in counts)], output)


def write_gold(report: GoldReport, output: Output, *, as_json: bool) -> None:
    """Write how answers compare with labels: one object, or tables."""
    if as_json:
        output.write(dump(asdict(report)) + b"\n")
    else:
        _write(_gold_lines(report), output)


def _write(lines: Iterator[str] | list[str], output: Output) -> None:
    for line in lines:
        output.write(line.rstrip().encode("utf-8", "replace") + b"\n")


def _count_line(each: LabelCount) -> str:
    score = "" if each.score is None else f"{each.score:.4f}"
    return f"{each.count:8}{each.share:8.1%}{score:>8}  {_shown(each.label)}"


def _gold_lines(report: GoldReport) -> Iterator[str]:
    yield f"accuracy {report.accuracy:.4f} of {report.records} records, macro F1 {report.macro_f1:.4f}"
    if not report.confusion:
        yield f"micro F1 {report.micro_f1:.4f}; accuracy counts a record whose labels are all right"
    if report.answered < report.records:
        share = report.answered / max(1, report.records)
        yield f"answered {share:.1%}: of these {report.accuracy_answered:.4f} are right"
    yield ""
    yield "precision  recall      f1  labelled   given  label"
    for each in report.labels:
        yield (
            f"{each.precision:9.4f}{each.recall:8.4f}{each.f1:8.4f}{each.gold:10}{each.given:8}"
            f"  {_shown(each.label)}"
        )
    names = [each.label for each in report.labels]
    if report.confusion and len(names) <= _MATRIX_LABELS:
        yield from _matrix(report, names)
    mistakes = sorted(
        (cell for cell in report.confusion if cell.label not in (None, cell.gold)),
        key=lambda cell: -cell.count,
    )
    if mistakes:
        yield ""
        yield "   count  labelled -> given" + (
            f", the {_SHOWN_MISTAKES} most frequent" if len(mistakes) > _SHOWN_MISTAKES else ""
        )
    for cell in mistakes[:_SHOWN_MISTAKES]:
        yield f"{cell.count:8}  {_shown(cell.gold)} -> {_shown(cell.label)}"


def _matrix(report: GoldReport, names: list[str]) -> Iterator[str]:
    """Yield a row for each label that records have, a column for each that was given."""
    cells = {(cell.gold, cell.label): cell.count for cell in report.confusion}
    heads: list[str | None] = [*names, None] if report.answered < report.records else [*names]
    yield ""
    yield "".join(f"{_fitted(head):>{_CELL}}" for head in heads) + "  given / labelled"
    for gold in names:
        yield "".join(f"{cells.get((gold, head), 0):{_CELL}}" for head in heads) + f"  {_shown(gold)}"


def _fitted(label: str | None) -> str:
    shown = clip(_shown(label), _CELL - 1)
    return " " * (_CELL - len(pad(shown, _CELL - 1))) + shown


def _shown(label: str | None) -> str:
    r"""Show a label in a table, what a terminal would act on as an escape such as `\x1b`."""
    text = _OPEN if label is None else label
    return clip(_CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), text), _LABEL_COLUMNS)
