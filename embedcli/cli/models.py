"""`embedcli models`: the encoders on this machine."""

import json
from typing import Annotated, Any

import typer

from embedcli.cli import models_add, options
from embedcli.cli.models_distill import distill
from embedcli.cli.models_export import export
from embedcli.cli.models_merge import merge

models_app = typer.Typer(
    no_args_is_help=True, help="List, show, check and make encoders.", rich_markup_mode=None
)

ModelName = Annotated[
    str | None, typer.Argument(metavar="[MODEL]", help="Name or folder. Default: the default model.")
]


@models_app.command("list")
def list_models(
    known: Annotated[
        bool, typer.Option("--known", help="List the well-known families that embedcli knows by name.")
    ] = False,
    as_json: options.AsJson = False,
) -> None:
    """List the models that can be used, the default one marked with *."""
    if known:
        _list_families(as_json=as_json)
        return
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
                manifest.kind,
                str(manifest.dim),
                str(manifest.max_tokens),
                "+".join(manifest.variants),
                f"{size / 1e6:.0f} MB",
                manifest.licence,
                ",".join(manifest.languages),
            )
        )
    if not as_json:
        header = ("model", "kind", "dim", "max_tokens", "variants", "size", "licence", "languages")
        with open_output(None) as output:
            write_table(header, rows, output)


def _list_families(*, as_json: bool) -> None:
    """List the catalogue of families."""
    from dataclasses import asdict

    from embedcli.encode.families import known_families
    from embedcli.write.table import write_table
    from embedcli.write.target import open_output

    if as_json:
        for family in known_families():
            typer.echo(json.dumps(asdict(family)))
        return
    rows = [
        (
            family.repositories[0],
            family.kind,
            str(family.dim),
            family.pooling,
            family.licence or "not stated",
            "code of its own: refused" if family.custom_code else "",
        )
        for family in known_families()
    ]
    with open_output(None) as output:
        write_table(("repository", "kind", "dim", "pooling", "licence", "note"), rows, output)


@models_app.command()
def show(model: ModelName = None, as_json: options.AsJson = False) -> None:
    """Show what a model is, what it is for and what it is not for, and what its quantization cost."""
    from embedcli.cli.resolve import open_model

    found = open_model(model)
    manifest = found.manifest
    if as_json:
        typer.echo(json.dumps(_facts(found.folder, manifest)))
        return
    lines = [
        ("name", manifest.name),
        ("what", manifest.description),
        ("not for", manifest.not_for),
        ("languages", ", ".join(manifest.languages)),
        ("licence", manifest.licence),
        ("source", f"{manifest.source} at {manifest.revision}"),
        ("folder", str(found.folder)),
        ("kind", manifest.kind),
        *_gives(manifest),
        *(("dense", f"{layer.file}, {layer.activation}") for layer in manifest.dense),
        *(("part", f"{part.model}, weight {part.weight:g}") for part in manifest.parts),
        ("reads", _reads(manifest)),
        *(("prompt", f"{role}: {text!r}") for role, text in manifest.prompts.items() if text),
        *_duplicates(manifest),
    ]
    for name, variant in manifest.variants.items():
        default = " (default)" if name == manifest.default_variant else ""
        lines += [
            ("variant", f"{name}{default}: {variant.recipe}, for {variant.device}"),
            ("fidelity", f"{name}: {_fidelity(variant)}"),
            ("speed", f"{name}: {_speed(variant)}"),
        ]
    for name, entry in manifest.files.items():
        lines.append(("file", f"{name}, {entry.bytes} bytes, sha256 {entry.sha256}"))
    for key, value in lines:
        typer.echo(f"{key:10} {value}")


def _duplicates(manifest: Any) -> list[tuple[str, str]]:
    """Return from where on `dedupe` calls texts duplicates, where that was measured."""
    found = manifest.duplicates
    if found is None:
        return []
    shares = f"precision {found.precision:.3f}, recall {found.recall:.3f}"
    measured = f"{shares} on {found.pairs} pairs from {found.texts}"
    return [("duplicates", f"cosine {found.threshold:g} and above: {measured}")]


def _gives(manifest: Any) -> list[tuple[str, str]]:
    """Return what comes out of a model, by the words that `show` has for it."""
    if manifest.kind == "cross-encoder":
        labels = "one number" if manifest.dim == 1 else f"{manifest.dim} numbers, too many for --rerank,"
        return [("scores", f"{labels} for a query and a text, higher is more relevant (search --rerank)")]
    length = "unit length" if manifest.normalize else f"any length, compared by {manifest.similarity}"
    prompt = "" if manifest.pool_prompt else ", the prompt left out"
    return [
        ("vectors", f"{manifest.dim} numbers{_cut(manifest.dims)}, {length}"),
        ("pooling", manifest.pooling + prompt),
    ]


def _reads(manifest: Any) -> str:
    if manifest.kind == "cross-encoder":
        return f"up to {manifest.max_tokens} tokens a pair, the query at most half; the rest is cut"
    return f"up to {manifest.max_tokens} tokens; longer text is split or averaged (--on-long)"


def _fidelity(variant: Any) -> str:
    if not variant.cosine_mean:
        return "not measured"
    return f"cosine to fp32 {variant.cosine_mean:.3f}, worst {variant.cosine_min:.3f}"


def _speed(variant: Any) -> str:
    return f"{variant.speed_ratio:.1f} times that of fp32" if variant.speed_ratio else "not measured"


def _cut(dims: tuple[int, ...]) -> str:
    return f" (trained to be cut to {', '.join(map(str, dims))})" if dims else ""


def _facts(folder: Any, manifest: Any) -> dict[str, Any]:
    """Return a manifest as JSON has it; the probes are left out."""
    from dataclasses import asdict

    facts = asdict(manifest)
    del facts["probes"]
    return {**facts, "folder": str(folder)}


@models_app.command()
def verify(
    model: ModelName = None,
    every: Annotated[bool, typer.Option("--all", help="Verify every model there is.")] = False,
    quiet: options.Quiet = False,
) -> None:
    """Compare every file of a model with the hashes in its manifest. No network is used."""
    from embedcli.cli.resolve import models_folders, open_model
    from embedcli.encode.catalog import iter_models
    from embedcli.encode.manifest import verify_files
    from embedcli.errors import UsageError

    if every and model is not None:
        raise UsageError(f"--all contradicts the model {model!r}")
    wanted = list(iter_models(models_folders())) if every else [open_model(model)]
    for found in wanted:
        if found.manifest.kind == "joined":
            wanted += [open_model(part.model) for part in found.manifest.parts]
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
    """Run the model over its probe texts and compare with the vectors, or scores of pairs, that it must give.

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
        of_pairs = found.manifest.kind == "cross-encoder"
        what = "pairs" if of_pairs else "texts"
        close = (
            "correlation with the expected scores:"
            if of_pairs
            else "cosine to the expected vectors: at least"
        )
        typer.echo(f"{found.manifest.name} {report.variant} on {report.device}: {report.probes} probe {what}")
        typer.echo(f"{close} {report.cosine_min:.6f} (needed: {MIN_COSINE})")
        typer.echo(f"alone and among others: {'identical' if report.is_stable else 'DIFFERENT'}")
        typer.echo(f"speed: {report.texts_per_second:.0f} {'' if of_pairs else 'one-line '}{what} a second")
    raise typer.Exit(0 if report.passed else 1)


for command in (models_add.add, models_add.remove, models_add.lock, models_add.sync, export, distill, merge):
    models_app.command()(command)
