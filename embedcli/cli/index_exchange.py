"""`embedcli index export` and `embedcli index import`: vectors out of an index, and into one."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from embedcli.cli import options

_SUFFIXES = {".npy": "npy", ".jsonl": "npy", ".parquet": "parquet"}


def export_index(
    output: Annotated[
        str,
        typer.Option(
            "-o",
            "--output",
            metavar="BASE",
            help="Write BASE.npy and BASE.jsonl, or BASE.parquet, all or nothing.",
        ),
    ],
    index: options.IndexOption = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORM", help="npy or parquet. Default: after the name of -o, else npy."),
    ] = None,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Leave out texts, and the fields that they were made of.")
    ] = False,
    quiet: options.Quiet = False,
) -> None:
    """Write all vectors of an index with their records, for other programs.

    \b
    embedcli index export -o notes                     # notes.npy and notes.jsonl
    embedcli index export -i docs.emb -o docs --to parquet
    embedcli index export -o notes && embedcli index import notes.npy -i copy.emb

    Row N of the array belongs to line N of the other file. Vectors are written as they are stored.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import choice, index_to_read
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.errors import UsageError
    from embedcli.tasks.export_index import ExportForm
    from embedcli.tasks.export_index import export_index as export

    run = Run(quiet=quiet)
    suffix = Path(output).suffix
    form = choice("--to", to or _SUFFIXES.get(suffix, "npy"), ExportForm)
    base = output.removesuffix(suffix) if _SUFFIXES.get(suffix) == form else output
    if base.endswith("/") or Path(base).name in ("", "-", ".", ".."):
        raise UsageError(f"-o {output}: is no name of a file", hint="-o BASE writes BASE.npy and BASE.jsonl")
    with Progress("vectors", enabled=not quiet) as progress:
        report = export(
            index_to_read(index),
            base,
            form,
            keep_text=not no_text,
            on_notice=run.notice,
            on_progress=progress.update,
        )
    if not quiet:
        paths = ", ".join(report.paths)
        print(f"{paths}: {report.vectors} vectors of {report.dim} numbers, {report.dtype}", file=sys.stderr)
    run.finish()


def import_index(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE",
            help="FILE.npy with FILE.jsonl, FILE.parquet, or a database of llm.",
            show_default=False,
        ),
    ],
    index: options.IndexOption = None,
    collection: Annotated[
        str | None,
        typer.Option("--collection", metavar="NAME", help="Which collection of a database of llm."),
    ] = None,
    encode: Annotated[
        bool, typer.Option("--encode", help="Encode the texts with this model instead of using the vectors.")
    ] = False,
    accept_model: Annotated[
        bool,
        typer.Option("--accept-model", help="Take a database's vectors for those of this model."),
    ] = False,
    model: options.Model = None,
    variant: options.Variant = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    dim: options.Dim = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype",
            metavar="TYPE",
            help="Stored vectors: float32, float16, int8 or binary. Default: as they were, else float16.",
        ),
    ] = None,
    lock_timeout: options.LockTimeout = 0.0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Put vectors that were made elsewhere into an index, as they are.

    \b
    embedcli index import notes.npy -i notes.emb       # with notes.jsonl beside it
    embedcli index import vectors.parquet -i all.emb
    embedcli index import embeddings.db --collection docs -i docs.emb
    embedcli index import old.npy -i new.emb --encode  # the texts, with this model

    They must be from the model of the index. Records of the same id are replaced; all of them count as
    records of standard input, which stay until they are removed. A run that is killed goes on where it was.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import encoder_settings, open_model
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import STDIN_NAME
    from embedcli.errors import UsageError
    from embedcli.index.file import stored_identity
    from embedcli.tasks.import_index import import_vectors
    from embedcli.tasks.import_survey import ImportSettings
    from embedcli.tasks.places import index_path
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    if source == STDIN_NAME:
        raise UsageError("vectors are imported from files", hint="embedcli index build -i FILE - reads JSONL")
    if index is None:
        raise UsageError("what is imported needs an index to go to", hint="-i FILE")
    place = index_path(index)
    identity = stored_identity(place) if place.exists() else None
    vectorizer = Vectorizer(
        open_model(model or (identity.model if identity else None)),
        encoder_settings(
            device=device, jobs=jobs, variant=variant or (identity.variant if identity else None)
        ),
        VectorSettings(dim=dim or (identity.dim if identity else None), normalize=True),
        run.counts,
        on_notice=run.notice,
    )
    settings = ImportSettings(
        collection=collection,
        dtype=dtype,
        encode=encode,
        accept_model=accept_model,
        lock_timeout_seconds=lock_timeout,
        graph_jobs=jobs or 1,
    )
    try:
        with Progress("vectors", enabled=not quiet) as progress:
            report = import_vectors(
                source,
                place,
                settings,
                vectorizer,
                run.counts,
                run.on_problem,
                on_notice=run.notice,
                on_progress=progress.update,
            )
    finally:
        vectorizer.close()
    if not quiet:
        print(
            f"{place}: {report.added} records added, {report.replaced} replaced, "
            f"{report.unchanged} unchanged, {report.refused} refused; "
            f"{run.counts.written} vectors written, {run.counts.encoded} encoded",
            file=sys.stderr,
        )
    run.finish(
        extra={
            "records_added": report.added,
            "records_replaced": report.replaced,
            "records_unchanged": report.unchanged,
            "records_refused": report.refused,
        }
    )
