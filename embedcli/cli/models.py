"""`embedcli models`: the encoders on this machine."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from embedcli.cli import options

models_app = typer.Typer(
    no_args_is_help=True, help="List, show, check and make encoders.", rich_markup_mode=None
)

ModelName = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="Name or folder. Default: the default model.")
]


@models_app.command("list")
def list_models(as_json: options.AsJson = False) -> None:
    """List the models that can be used, the default one marked with *."""
    from embedcli.cli.resolve import models_folders
    from embedcli.encode.catalog import DEFAULT_MODEL, iter_models
    from embedcli.write.table import write_table
    from embedcli.write.target import open_output

    rows = []
    for model in iter_models(models_folders()):
        manifest = model.manifest
        if as_json:
            typer.echo(json.dumps(_facts(model.folder, manifest)))
            continue
        mark = "*" if manifest.name == DEFAULT_MODEL else ""
        size = sum(entry.bytes for entry in manifest.files.values())
        rows.append(
            (
                mark + manifest.name,
                str(manifest.dim),
                str(manifest.max_tokens),
                "+".join(manifest.variants),
                f"{size / 1e6:.0f} MB",
                manifest.licence,
                ",".join(manifest.languages),
            )
        )
    if not as_json:
        header = ("model", "dim", "max_tokens", "variants", "size", "licence", "languages")
        with open_output(None) as output:
            write_table(header, rows, output)


@models_app.command()
def show(model: ModelName = None, as_json: options.AsJson = False) -> None:
    """Show what a model is, what it is for and what it is not for, and what its quantization cost."""
    from embedcli.cli.resolve import open_model

    found = open_model(model)
    manifest = found.manifest
    if as_json:
        typer.echo(json.dumps(_facts(found.folder, manifest)))
        return
    length = "unit length" if manifest.normalize else "any length"
    lines = [
        ("name", manifest.name),
        ("what", manifest.description),
        ("not for", manifest.not_for),
        ("languages", ", ".join(manifest.languages)),
        ("licence", manifest.licence),
        ("source", f"{manifest.source} at {manifest.revision}"),
        ("folder", str(found.folder)),
        (
            "vectors",
            f"{manifest.dim} numbers{_cut(manifest.dims)}, {length}",
        ),
        ("pooling", manifest.pooling),
        ("reads", f"up to {manifest.max_tokens} tokens; longer text is split or averaged (--on-long)"),
        *(("prompt", f"{role}: {text!r}") for role, text in manifest.prompts.items() if text),
    ]
    for name, variant in manifest.variants.items():
        default = " (default)" if name == manifest.default_variant else ""
        lines += [
            ("variant", f"{name}{default}: {variant.recipe}, for {variant.device}"),
            (
                "fidelity",
                f"{name}: cosine to fp32 {variant.cosine_mean:.3f}, worst {variant.cosine_min:.3f}",
            ),
            ("speed", f"{name}: {variant.speed_ratio:.1f} times that of fp32"),
        ]
    for name, entry in manifest.files.items():
        lines.append(("file", f"{name}, {entry.bytes} bytes, sha256 {entry.sha256}"))
    for key, value in lines:
        typer.echo(f"{key:10} {value}")


def _cut(dims: tuple[int, ...]) -> str:
    return f" (trained to be cut to {', '.join(map(str, dims))})" if dims else ""


def _facts(folder: Any, manifest: Any) -> dict[str, Any]:
    """Return a manifest as JSON has it; the probes are left out."""
    from dataclasses import asdict

    facts = asdict(manifest)
    del facts["probes"]
    return {**facts, "folder": str(folder)}


@models_app.command()
def verify(model: ModelName = None, quiet: options.Quiet = False) -> None:
    """Compare every file of a model with the hashes in its manifest. No network is used."""
    from embedcli.cli.resolve import open_model
    from embedcli.encode.manifest import verify_files

    found = open_model(model)
    verify_files(found.folder, found.manifest)
    if not quiet:
        typer.echo(f"{found.manifest.name}: {len(found.manifest.files)} files are what the manifest says")


@models_app.command()
def test(
    model: ModelName = None,
    device: options.Device = "auto",
    variant: options.Variant = None,
    jobs: options.Jobs = None,
    as_json: options.AsJson = False,
) -> None:
    """Encode the model's probe texts and compare them with the vectors that it must give.

    Exit code 1 if one of them differs.
    """
    from embedcli.cli.resolve import encoder_settings, open_model
    from embedcli.tasks.model_test import MIN_COSINE, run_model_test

    found = open_model(model)
    settings = encoder_settings(device=device, jobs=jobs, variant=variant)
    report = run_model_test(found, settings)
    if as_json:
        from dataclasses import asdict

        typer.echo(json.dumps(asdict(report)))
    else:
        typer.echo(f"{found.manifest.name} {report.variant} on {report.device}: {report.probes} probe texts")
        typer.echo(f"cosine to the expected vectors: at least {report.cosine_min:.6f} (needed: {MIN_COSINE})")
        typer.echo(f"alone and among others: {'identical' if report.is_stable else 'DIFFERENT'}")
        typer.echo(f"speed: {report.texts_per_second:.0f} one-line texts a second")
    raise typer.Exit(0 if report.passed else 1)


@models_app.command()
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
        typer.Option("--source", metavar="WHERE", help="Where the weights come from, such as owner/name."),
    ],
    licence: Annotated[
        str, typer.Option("--licence", metavar="ID", help="SPDX identifier of the weights' licence.")
    ],
    recipe: Annotated[
        str, typer.Option("--recipe", metavar="NAME", help="int8 for CPU, fp16 for GPU, or fp32.")
    ] = "int8",
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
    embedcli models export weights/ -o models/my-model --source owner/name --licence Apache-2.0 --recipe fp16

    Needs the extra `export` (torch and optimum).
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import choice
    from embedcli.cli.terminal import say
    from embedcli.encode.export import ExportSettings, export_model
    from embedcli.encode.export.settings import Recipe

    settings = ExportSettings(
        name=name or output.name,
        source=origin,
        licence=licence,
        revision=revision,
        recipe=choice("--recipe", recipe, Recipe),
        max_tokens=max_tokens,
        languages=tuple(language or ()),
        description=description,
        not_for=not_for,
    )
    manifest = export_model(source, output, settings, (lambda _step: None) if quiet else say)
    typer.echo(f"{output}: {manifest.name}, {', '.join(manifest.variants)}")
