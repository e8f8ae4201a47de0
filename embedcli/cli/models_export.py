"""`embedcli models export`: a model folder from weights."""

from pathlib import Path
from typing import Annotated

import typer

from embedcli.cli import options


def export(
    source: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="Weights, tokenizer and settings as sentence-transformers keeps them."
        ),
    ],
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="DIR", help="The model folder to make or to add to.")
    ],
    origin: Annotated[
        str,
        typer.Option(
            "--source",
            metavar="WHERE",
            help="Where the weights come from, such as owner/name. Default: the name of FOLDER.",
        ),
    ] = "",
    licence: Annotated[
        str,
        typer.Option(
            "--licence",
            metavar="ID",
            help="SPDX identifier of the weights' licence. Default: what the model's card says.",
        ),
    ] = "",
    recipe: Annotated[
        str,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="int8, int8-dynamic, int8-static or int4 for CPU, fp16 for GPU, fp32; auto: int8, or "
            "int8-dynamic where that does not fit.",
        ),
    ] = "auto",
    exit_layer: Annotated[
        int | None,
        typer.Option(
            "--exit-layer",
            metavar="N",
            min=1,
            help="End after layer N: faster in proportion, and nearly always much worse.",
        ),
    ] = None,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            "--calibrate",
            metavar="FILE",
            help="Your own texts, one a line, to take fixed scales from. Default: some English ones.",
        ),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help="The model's name. Default: the name of DIR.")
    ] = None,
    revision: Annotated[str, typer.Option("--revision", metavar="ID", help="Commit of the source.")] = "",
    max_tokens: Annotated[
        int | None,
        typer.Option(
            "--max-tokens", min=8, help="Tokens that one call takes. Default: what the source says."
        ),
    ] = None,
    pooling: Annotated[
        str,
        typer.Option(
            "--pooling",
            metavar="MODE",
            help="How token vectors become one, where no file says so; splade for a sparse model.",
        ),
    ] = "",
    language: Annotated[
        list[str] | None,
        typer.Option("--language", metavar="CODE", help="A language it was trained for; may be repeated."),
    ] = None,
    description: Annotated[
        str, typer.Option("--description", metavar="TEXT", help="One line for lists.")
    ] = "",
    not_for: Annotated[
        str, typer.Option("--not-for", metavar="TEXT", help="What it does badly, in plain words.")
    ] = "",
    quiet: options.Quiet = False,
) -> None:
    """Make a model folder from weights: export, fuse, quantize, count the operators, measure the loss.

    \b
    embedcli models export weights/ -o models/my-model --source owner/name --licence Apache-2.0
    embedcli models export weights/ -o models/my-model --recipe fp16         (one more variant)
    embedcli models export weights/ -o models/my-model --calibrate mine.txt
    embedcli models export weights/ -o models/my-model --exit-layer 3

    int8 has fixed scales and is for encoders of BERT's shape; int8-static has them for any architecture, and
    int8-dynamic takes them from each text. Needs the extra `export` (torch and optimum).
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import choice
    from embedcli.cli.terminal import say
    from embedcli.encode.export import ExportSettings, export_model
    from embedcli.encode.export.calibrate import read_texts
    from embedcli.encode.export.settings import Recipe

    settings = ExportSettings(
        name=name or output.name,
        source=origin or source.resolve().name,
        licence=licence,
        revision=revision,
        recipe=choice("--recipe", recipe, Recipe),
        max_tokens=max_tokens,
        languages=tuple(language or ()),
        description=description,
        not_for=not_for,
        pooling=pooling or None,
        exit_layer=exit_layer,
        calibration_texts=read_texts(calibrate) if calibrate is not None else (),
    )
    manifest = export_model(source, output, settings, (lambda _step: None) if quiet else say)
    typer.echo(f"{output}: {manifest.name}, {', '.join(manifest.variants)}")
