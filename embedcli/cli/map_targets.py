"""What was typed for `map` to the pictures that are written, and where."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Literal, NamedTuple

from embedcli.cli.resolve import choice
from embedcli.datatypes import STDIN_NAME
from embedcli.errors import UsageError

Form = Literal["html", "svg", "png", "ascii", "jsonl"]

_BY_SUFFIX: dict[str, Form] = {
    ".html": "html",
    ".htm": "html",
    ".svg": "svg",
    ".png": "png",
    ".jsonl": "jsonl",
}


class Target(NamedTuple):
    """One file to write; None for standard output."""

    form: Form
    path: str | None


def find_targets(
    *forms: str | None, output: str | None, svg: str | None, png: str | None
) -> tuple[Target, ...]:
    """Return what is written.

    Args:
        forms: What was said of the form of the output, None where nothing was.
        output: Where; None for standard output, unless there are other pictures.
        svg: Where an SVG goes besides.
        png: Where a PNG goes.

    Raises:
        UsageError: Two forms for one output or two outputs in one file, an unknown form, or pixels for a
            terminal.
    """
    to_stdout = output in (None, STDIN_NAME)
    on_terminal = to_stdout and sys.stdout is not None and sys.stdout.isatty()
    said = [form for form in forms if form is not None]
    if len(set(said)) > 1:
        raise UsageError(
            f"{said[0]} and {said[1]} are two forms of one output", hint="--svg and --png come besides"
        )
    besides = [Target("svg", svg)] * (svg is not None) + [Target("png", png)] * (png is not None)
    if said:
        form: Form = choice("--to", said[0], Form)
    elif output is not None and not to_stdout:
        suffix = Path(output).suffix.lower()
        if suffix and suffix not in _BY_SUFFIX:
            raise UsageError(
                f"-o {output}: no form of a map is called {suffix}", hint="--to html, svg or png"
            )
        form = _BY_SUFFIX.get(suffix, "html")
    else:
        form = "ascii" if on_terminal else "html"
    if form == "png" and on_terminal:
        raise UsageError("a PNG is nothing for a terminal", hint="-o map.png")
    targets = [] if besides and not said and output is None else [Target(form, output)]
    targets += besides
    places = [os.path.realpath(target.path) for target in targets if target.path not in (None, STDIN_NAME)]
    if len(set(places)) < len(places):
        raise UsageError("two pictures would be written to one file")
    return tuple(targets)
