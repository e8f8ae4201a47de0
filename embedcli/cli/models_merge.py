"""`embedcli models merge`: one model of several, and what that does to the user's own texts."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from embedcli.cli import options
from embedcli.cli.reading import ReadOptions

if TYPE_CHECKING:
    from embedcli.encode.catalog import Model
    from embedcli.tasks.merge import MergeReport


def merge(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL MODEL… [PATH…]", help="Models by name or folder, then texts: files, folders or -."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="The model folder to make.")
    ] = None,
    how: Annotated[
        str,
        typer.Option(
            "--how",
            metavar="WAY",
            help="weights: average the weights of one network. average: rotate the vectors into the first "
            "model's space and average them. auto: weights where that can be done.",
        ),
    ] = "auto",
    weight: Annotated[
        list[float] | None,
        typer.Option("--weight", metavar="N", help="A model's share, once for each. Default: equal shares."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name. Default: the name of DIR.")
    ] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="One line for lists.")
    ] = "",
    input_format: options.InputFormat = "auto",
    null: options.Null = False,
    files_from: options.FilesFrom = None,
    field: options.Field = None,
    column: options.ColumnOption = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    cache: options.CacheFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Make one model of several, and measure all of them on your own texts.

    \b
    embedcli models merge mine-1 mine-2 -o ~/models/soup notes/
    embedcli models merge ./first ./second -o ./soup --how weights --weight 0.7 --weight 0.3
    embedcli models merge all-MiniLM-L6-v2 static -o ~/models/both corpus.jsonl --how average

    Measured is how well a text is found by its own first sentence: for each model, for all put end to end
    (--model a+b, which needs no merging), and for the merged one. Averaging weights needs the extra `export`.
    """  # noqa: D301  (\b keeps the lines apart)
    from dataclasses import asdict

    from embedcli.cli.resolve import (
        choice,
        encoder_settings,
        open_cache,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress, say
    from embedcli.errors import UsageError
    from embedcli.tasks.merge import How, MergeSettings, sample_texts
    from embedcli.tasks.merge import merge as make
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    if output is None:
        raise UsageError("where to?", hint="-o DIR, the model folder to make")
    way: How = choice("--how", how, How)
    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    found, paths = _models_and_paths(models)
    reading = ReadOptions(input_format, null, files_from, field, column)
    inputs = reading.inputs(paths, or_stdin=False)
    with Progress("records", enabled=not quiet) as progress:
        texts = (
            sample_texts(inputs.records(run.counts, run.on_problem, progress.update)) if inputs.paths else []
        )
    with open_cache(cache, no_cache=False, by_default=False) as store:

        def open_vectorizer(model: "Model") -> Vectorizer:
            return Vectorizer(
                model,
                encoder_settings(device=device, jobs=jobs),
                VectorSettings("document", normalize=True),
                run.counts,
                cache=store,
                on_notice=run.notice,
            )

        report = make(
            found,
            output,
            MergeSettings(name or output.name, way, tuple(weight or ()), description),
            texts,
            open_vectorizer,
            (lambda _step: None) if quiet else say,
        )
    if as_json:
        typer.echo(json.dumps({"folder": str(output), **asdict(report)}))
    else:
        _show(output, report)
    run.finish()


def _models_and_paths(arguments: list[str]) -> tuple[list["Model"], list[str]]:
    """Return the models at the head of what was typed, and the paths after them."""
    from embedcli.cli.resolve import open_model
    from embedcli.encode.manifest import MANIFEST_NAME
    from embedcli.errors import UnknownModelError

    models: list[Model] = []
    for number, argument in enumerate(arguments):
        is_path = "/" in argument or "\\" in argument
        if is_path and "+" not in argument and not Path(argument, MANIFEST_NAME).is_file():
            return models, arguments[number:]
        try:
            models.append(open_model(argument))
        except UnknownModelError:
            if not Path(argument).exists() and argument != "-":
                raise
            return models, arguments[number:]
    return models, []


def _show(output: Path, report: "MergeReport") -> None:
    """Print what was made, and a line for each model that was measured."""
    from embedcli.tasks.known_item import GAIN, MRR, RECALL
    from embedcli.write.table import write_table
    from embedcli.write.target import open_output

    parts = ", ".join(
        f"{part} ({weight:.3g})" for part, weight in zip(report.parts, report.weights, strict=True)
    )
    what = "weights" if report.how == "weights" else f"vectors (rotation fitted to {report.texts} texts)"
    typer.echo(f"{output}: {report.dim} numbers, average of the {what} of {parts}")
    if report.reason:
        typer.echo(f"not of the weights: {report.reason}")
    if report.unmeasured:
        typer.echo(f"nothing was measured: {report.unmeasured}")
        return
    rows: list[list[str]] = []
    for figure in report.measured:
        if figure.metric == MRR:
            rows.append([figure.system])
        rows[-1].append(f"{figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
    typer.echo(
        f"{report.measured[0].queries} of the texts found by their first sentence, with 95 % intervals:"
    )
    with open_output(None) as out:
        header = ("model", MRR, RECALL, f"{GAIN} over the first")
        write_table(header, [[*row, *[""] * (len(header) - len(row))] for row in rows], out)
