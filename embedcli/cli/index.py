"""`embedcli index`: build an index, and the group of the commands that look after it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from embedcli.cli import options
from embedcli.cli.groups import with_groups
from embedcli.cli.index_care import check, compact, list_sources, remove
from embedcli.cli.index_exchange import export_index, import_index
from embedcli.cli.reading import ReadOptions

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.tasks.build_settings import BuildSettings
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import Vectorizer

index_app = typer.Typer(
    no_args_is_help=True, help="Build an index file and look after it.", rich_markup_mode=None
)


@index_app.command()
@with_groups
def build(
    paths: options.Paths = None,
    index: options.IndexOption = None,
    chunking: options.IndexChunking = None,
    chunk_tokens: options.ChunkTokens = None,
    chunk_overlap: options.ChunkOverlap = None,
    context_title: options.ContextTitle = None,
    on_long: options.OnLong = None,
    reading: ReadOptions = ReadOptions(),
    model: options.Model = None,
    variant: options.Variant = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    dim: options.Dim = None,
    dtype: Annotated[
        str | None,
        typer.Option(
            "--dtype", metavar="TYPE", help="Stored vectors: float16 (default), float32, int8 or binary."
        ),
    ] = None,
    sparse: Annotated[
        str | None,
        typer.Option(
            "--sparse",
            metavar="MODEL",
            help="Keep sparse vectors too, of a learned sparse model, for search --mode sparse.",
        ),
    ] = None,
    no_text: Annotated[
        bool, typer.Option("--no-text", help="Keep no text in the index: smaller, hits without text.")
    ] = False,
    allow_shrink: Annotated[
        bool,
        typer.Option(
            "--allow-shrink", help="Remove vanished files even if that is a large part of the index."
        ),
    ] = False,
    prune: Annotated[
        bool, typer.Option("--prune", help="Also remove records that standard input no longer holds.")
    ] = False,
    max_time: Annotated[
        str | None,
        typer.Option(
            "--max-time", metavar="TIME", help="Stop after this long, as in 20m; the next run goes on there."
        ),
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Change nothing; print what there is to do and how long it takes."),
    ] = False,
    graph: Annotated[
        bool,
        typer.Option(
            "--graph",
            help="Keep an HNSW graph beside the index, for processes with many queries (extra ann).",
        ),
    ] = False,
    graph_m: Annotated[
        int, typer.Option("--graph-m", metavar="N", min=2, max=256, help="Links of a row in the graph.")
    ] = 16,
    ef_construction: Annotated[
        int,
        typer.Option("--ef-construction", metavar="N", min=1, help="Candidates kept while a graph is built."),
    ] = 200,
    lock_timeout: options.LockTimeout = 0.0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Build an index, or bring it up to date: only what changed is encoded.

    \b
    embedcli index build notes/                 # in notes/.embedcli/index.emb
    embedcli index build                        # refresh the nearest index
    embedcli index build -i docs.emb docs/ --include '*.md'
    embedcli index build -i tickets.emb tickets.jsonl --field title --field body
    embedcli index build --max-time 20m -q      # for cron: stops at a batch, goes on next time

    Files that vanished are removed; a file that cannot be read is kept. A run that is stopped or killed
    goes on where it was.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import (
        choice,
        encoder_settings,
        on_long_of,
        open_model,
        seconds_of,
        stdin_bytes,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.sparse import open_sparse
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Chunking, StoredDtype
    from embedcli.errors import MissingIndexError
    from embedcli.index.file import stored_identity
    from embedcli.tasks.build import build_index
    from embedcli.tasks.build_settings import BuildSettings
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    inputs = reading.inputs(paths, or_stdin=False)
    roots = list(inputs.paths)
    place = _index_to_build(index, roots)
    try:
        identity = stored_identity(place)
    except MissingIndexError:
        identity = None
    wanted_dtype = dtype or (identity.dtype if identity else "float16")
    choice("--dtype", wanted_dtype, StoredDtype)
    vectorizer = Vectorizer(
        open_model(model or (identity.model if identity else None)),
        encoder_settings(
            device=device, jobs=jobs, variant=variant or (identity.variant if identity else None)
        ),
        VectorSettings(
            on_long=on_long_of(on_long, "pool"),
            dim=dim or (identity.dim if identity else None),
            normalize=True,
        ),
        run.counts,
        on_notice=run.notice,
    )
    settings = BuildSettings(
        paths=tuple(roots),
        read=inputs.options,
        chunking=None if chunking is None else choice("--chunking", chunking, Chunking),
        on_long=None if on_long is None else on_long_of(on_long, "split"),
        chunk_tokens=chunk_tokens,
        chunk_overlap=chunk_overlap,
        context_title=context_title,
        dtype=wanted_dtype,
        keep_text=not no_text and (identity is None or identity.keep_text),
        may_shrink=allow_shrink,
        prune=prune,
        lock_timeout_seconds=lock_timeout,
        max_seconds=None if max_time is None else seconds_of("--max-time", max_time),
        graph={"m": graph_m, "ef_construction": ef_construction} if graph else None,
        # With one thread the same vectors give the same graph, byte for byte.
        graph_jobs=jobs or 1,
    )
    sparse_vectorizer = open_sparse(sparse, identity, run, device=device, jobs=jobs)
    if dry_run:
        _rehearse(place, settings, vectorizer, sparse_vectorizer, run)
    try:
        with Progress("files", enabled=not quiet) as progress:
            report = build_index(
                place,
                settings,
                vectorizer,
                run.counts,
                run.on_problem,
                stdin=stdin_bytes(),
                sparse=sparse_vectorizer,
                on_progress=progress.update,
                on_graph=progress.update,
            )
    finally:
        vectorizer.close()
        if sparse_vectorizer is not None:
            sparse_vectorizer.close()
    if report.left is not None:
        run.notice(f"stopped after {max_time}; files left: {report.left}; the next run goes on there")
    if not quiet:
        print(
            f"{place}: {report.added} files added, {report.changed} changed, {report.unchanged} unchanged, "
            f"{report.removed} removed, {report.skipped} left out; "
            f"{run.counts.encoded} chunks encoded, {run.counts.cached} reused, "
            f"{report.dropped_chunks} dropped",
            file=sys.stderr,
        )
    run.finish(
        extra={
            "files_added": report.added,
            "files_changed": report.changed,
            "files_unchanged": report.unchanged,
            "files_removed": report.removed,
            "chunks_dropped": report.dropped_chunks,
            "files_left": report.left or 0,
        }
    )


def _rehearse(
    place: Path,
    settings: "BuildSettings",
    vectorizer: "Vectorizer",
    sparse: "SparseVectorizer | None",
    run: "Run",
) -> NoReturn:
    """Print what a build would do, and end the command."""
    import contextlib

    from embedcli.cli.resolve import stdin_bytes
    from embedcli.cli.terminal import Progress
    from embedcli.tasks.rehearse import rehearse_build

    with contextlib.closing(vectorizer), Progress("files", enabled=not run.quiet) as progress:
        estimate = rehearse_build(
            *(place, settings, vectorizer, run.counts, run.on_problem),
            stdin=stdin_bytes(),
            sparse=sparse,
            on_progress=progress.update,
        )
    if sparse is not None:
        sparse.close()
    report = estimate.report
    facts = {
        "files": f"{report.added} to add, {report.changed} changed, {report.unchanged} unchanged,"
        f" {report.removed} to remove",
        "records": estimate.records,
        "chunks": estimate.chunks,
        "tokens": estimate.tokens,
        "cached": f"{100 * estimate.cached_ratio:.0f} %",
        "minutes": f"{estimate.seconds / 60:.1f}",
    }
    for key, value in facts.items():
        typer.echo(f"{key:9} {value}")
    run.finish(extra={"tokens": estimate.tokens, "chunks": estimate.chunks})


def _index_to_build(given: str | None, roots: list[str]) -> Path:
    """Return the index to write: the one named, the nearest one to refresh, or one in the first root."""
    from embedcli.datatypes import STDIN_NAME
    from embedcli.errors import MissingIndexError, MissingPathError, UsageError
    from embedcli.tasks.places import index_path, nearest_index, new_index_path

    if given is not None:
        return index_path(given)
    if roots:
        if roots[0] == STDIN_NAME:
            raise UsageError("records from standard input need an index to go to", hint="-i FILE")
        if not Path(roots[0]).exists():
            raise MissingPathError(roots[0])
        return new_index_path(roots[0])
    found = nearest_index(Path())
    if found is None:
        raise MissingIndexError(
            "no index here or in a folder above", hint="embedcli index build PATH makes one"
        )
    return found


@index_app.command()
def status(
    index: options.IndexOption = None, as_json: options.AsJson = False, verbose: options.Verbose = False
) -> None:
    """Show what an index holds and how it was made; with -v also the files that were left out."""
    import json

    from embedcli.cli.resolve import index_to_read
    from embedcli.tasks.status import index_facts

    facts = index_facts(index_to_read(index))
    left_out = facts.pop("left_out")
    if as_json:
        typer.echo(json.dumps(facts | ({"left_out": left_out} if verbose else {})))
        return
    for key, value in facts.items():
        shown = ", ".join(map(str, value)) if isinstance(value, list) else value
        typer.echo(f"{key:9} {shown}")
    for entry in left_out if verbose else ():
        typer.echo(f"left out  {entry['path']}: {entry['reason']}")


index_app.command("list")(list_sources)
index_app.command()(remove)
index_app.command()(check)
index_app.command()(compact)
index_app.command("export")(export_index)
index_app.command("import")(import_index)
