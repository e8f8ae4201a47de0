"""`embedcli dedupe --calibrate`: a threshold from the user's own texts or judged pairs."""

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.reading import ReadOptions
    from embedcli.cli.run import Run
    from embedcli.datatypes import Record
    from embedcli.tasks.calibrate import Calibration
    from embedcli.tasks.vectorize import Vectorizer

_SHOWN_CHARS = 100
LOW_RECALL = 0.5


def calibrate_threshold(
    reading: "ReadOptions",
    encoding: "EncodeOptions",
    paths: list[str] | None,
    run: "Run",
    *,
    pairs: str | None,
    seed: int,
    as_json: bool,
    save: bool,
) -> NoReturn:
    """Read, choose a threshold, print it, and end the command; see `print_calibration`."""
    from contextlib import ExitStack
    from dataclasses import replace

    from embedcli.cli.terminal import Progress
    from embedcli.errors import UsageError

    names = None if pairs is None else tuple(pairs.split(","))
    if names is not None and len(names) != 3:
        raise UsageError(
            f"--pairs {pairs!r}: not the names of three fields", hint="--pairs text_a,text_b,is_duplicate"
        )
    if names is not None and not (reading.field or reading.column):
        reading = replace(reading, field=[names[0]], column=[names[0]])
    inputs = reading.inputs(paths)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("records", enabled=not run.quiet))
        vectorizer = encoding.open(stack, run, reads_files=inputs.reads_files)
        print_calibration(
            inputs.records(run.counts, run.on_problem, progress.update),
            vectorizer,
            pairs=names,
            seed=seed,
            as_json=as_json,
            save=save,
        )
    run.finish()


def print_calibration(
    records: "Iterable[Record]",
    vectorizer: "Vectorizer",
    *,
    pairs: tuple[str, str, str] | None = None,
    seed: int = 0,
    as_json: bool = False,
    save: bool = False,
    texts_from: str = "the user's texts",
) -> None:
    """Choose a threshold and print it with its precision and recall.

    Args:
        records: What is read.
        vectorizer: Makes the vectors, as `dedupe` would.
        pairs: The names of the fields of two texts and of the label; None to make pairs of the texts.
        seed: For the sample of the texts and the changes in their copies.
        as_json: Whether to print one JSON object.
        save: Whether to write it into the model's manifest.
        texts_from: Where the texts are from, in words, for the manifest.

    Raises:
        UsageError: There are too few texts or pairs, or the model's manifest is not the user's to change.
        InputError: A pair cannot be read.
    """
    from embedcli.encode.duplicates import Duplicates
    from embedcli.tasks.calibrate import calibrate, calibrate_pairs, labelled_pairs, save_duplicates

    found = (
        calibrate((record.text for record in records), vectorizer, seed=seed)
        if pairs is None
        else calibrate_pairs(labelled_pairs(records, pairs), vectorizer)
    )
    manifest = vectorizer.model.manifest
    if save:
        figures = (found.threshold, round(found.precision, 4), round(found.recall, 4), found.pairs)
        save_duplicates(vectorizer.model.folder, Duplicates(*figures, texts=texts_from))
    if as_json:
        typer.echo(json.dumps({"model": manifest.name, **asdict(found)}))
        return
    for line in _lines(found, manifest.name, made=pairs is None):
        typer.echo(line)


def _lines(found: "Calibration", model: str, *, made: bool) -> list[str]:
    """Return what people read."""
    from embedcli.tasks.calibrate import FEW_TEXTS
    from embedcli.vectors.threshold import PRECISION
    from embedcli.write.columns import clip

    of = f"{found.pairs} pairs" + (f" made of {found.texts} texts" if made else "")
    lines = [
        f"--threshold {found.threshold:g}   model {model}, {of}",
        f"precision {found.precision:.3f}   of the pairs at or above it, so many are duplicates",
        f"recall    {found.recall:.3f}   of the duplicates, so many are at or above it",
    ]
    lines += [f"  {kind:<9} {recall:.3f}" for kind, recall in found.recall_by.items()]
    if not found.is_precise:
        lines.append(f"no threshold has the precision {PRECISION:g}: distinct texts are as close as copies")
    if found.recall < LOW_RECALL:
        lines.append("most copies lie below it: to this model the texts are too much alike")
    if found.closest:
        lines.append("pairs at or above it that count as distinct; if they are duplicates, all the better:")
    for left, right, cosine in found.closest:
        lines += [
            f"  {cosine:.4f}  {clip(_one_line(left), _SHOWN_CHARS)}",
            f"          {clip(_one_line(right), _SHOWN_CHARS)}",
        ]
    if made:
        few = f"only {found.texts} texts: " if found.texts < FEW_TEXTS else ""
        lines.append(f"{few}in more texts than these the closest ones are closer; --preview shows them")
    return lines


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split()))
