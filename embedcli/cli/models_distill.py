"""`embedcli models distill`: a static encoder from any other."""

import json
from pathlib import Path
from typing import Annotated

import typer

from embedcli.cli import options
from embedcli.cli.reading import ReadOptions


def distill(
    paths: options.Paths = None,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="DIR", help="The model folder to make.")
    ] = None,
    model: options.Model = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name. Default: the name of DIR.")
    ] = None,
    dim: Annotated[
        int | None,
        typer.Option("--dim", metavar="N", min=1, help="Numbers in a vector. Default: the encoder's."),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="One line for lists.")
    ] = "",
    input_format: options.InputFormat = "auto",
    null: options.Null = False,
    files_from: options.FilesFrom = None,
    field: options.Field = None,
    column: options.ColumnOption = None,
    variant: options.Variant = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    cache: options.CacheFile = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Make a static encoder: a table of token vectors, some forty times as fast.

    \b
    embedcli models distill -o ~/models/mine notes/ mail.txt
    embedcli models distill -m ./my-encoder/ -o ./my-static corpus.jsonl --cache distill.cache
    embedcli models distill -o ./plain                     (without texts: much weaker)

    Every token goes through the encoder; then the table is fitted to the encoder's vectors of the texts. A
    hundred thousand varied texts do well, a million better. With --cache an interrupted run goes on where it
    was.
    """  # noqa: D301  (\b keeps the lines apart)
    from dataclasses import asdict

    from embedcli.cli.resolve import (
        encoder_settings,
        open_cache,
        open_model,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress, say
    from embedcli.errors import UsageError
    from embedcli.tasks.distill import DistillSettings
    from embedcli.tasks.distill import distill as make
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    if output is None:
        raise UsageError("where to?", hint="-o DIR, the model folder to make")
    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    reading = ReadOptions(input_format, null, files_from, field, column)
    inputs = reading.inputs(paths, or_stdin=False)
    with (
        Progress("texts", enabled=not quiet) as progress,
        open_cache(cache, no_cache=False, by_default=False) as store,
    ):
        teacher = Vectorizer(
            open_model(model),
            encoder_settings(device=device, jobs=jobs, variant=variant),
            VectorSettings("document", None, "truncate"),
            run.counts,
            cache=store,
            on_notice=run.notice,
        )
        try:
            report = make(
                teacher,
                inputs.records(run.counts, run.on_problem, progress.update) if inputs.paths else iter(()),
                output,
                DistillSettings(name or output.name, dim, description),
                (lambda _step: None) if quiet else say,
            )
        finally:
            teacher.close()
    if as_json:
        typer.echo(json.dumps({"folder": str(output), **asdict(report)}))
    else:
        typer.echo(
            f"{output}: {report.tokens} tokens, fitted to {report.texts} texts, {report.bytes / 1e6:.1f} MB"
        )
        if report.cosine is not None and report.cosine_before is not None:
            typer.echo(
                f"on {report.held_out} texts kept out: cosine to the encoder's vectors {report.cosine:.3f} "
                f"(single tokens alone: {report.cosine_before:.3f})"
                + ("" if report.agreement is None else f", rank correlation of pairs {report.agreement:.3f}")
            )
    run.finish()
