"""`embedcli search`."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from embedcli.cli import options

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.cli.run import Run


def search(
    query: Annotated[
        str, typer.Argument(metavar="QUERY", help="What to look for, in your own words.", show_default=False)
    ],
    paths: options.Paths = None,
    index: options.IndexOption = None,
    top_k: Annotated[int, typer.Option("-n", "--top-k", metavar="N", min=1, help="Most hits.")] = 10,
    min_score: Annotated[
        float | None,
        typer.Option(
            "--min-score", metavar="COSINE", min=-1, max=1, help="Only hits at least this close, -1 to 1."
        ),
    ] = None,
    after: Annotated[
        int | None,
        typer.Option("-A", "--after-context", metavar="N", min=0, help="Show N lines after a hit."),
    ] = None,
    before: Annotated[
        int | None,
        typer.Option("-B", "--before-context", metavar="N", min=0, help="Show N lines before a hit."),
    ] = None,
    context: Annotated[
        int, typer.Option("-C", "--context", metavar="N", min=0, help="Show N lines around a hit.")
    ] = 0,
    files_with_hits: Annotated[
        bool, typer.Option("-l", "--files-with-hits", help="Print only the names of files with hits.")
    ] = False,
    count: Annotated[
        bool, typer.Option("-c", "--count", help="Print only how many hits each file has.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print hits as JSON, an object a line.")] = False,
    prompt: options.Prompt = None,
    chunking: Annotated[
        str | None,
        typer.Option(
            "--chunking",
            metavar="HOW",
            help="none, lines, paragraphs or tokens. Default: lines for a named file, paragraphs in folders.",
        ),
    ] = None,
    on_long: options.OnLong = None,
    input_format: options.InputFormat = "auto",
    null: options.Null = False,
    files_from: options.FilesFrom = None,
    field: options.Field = None,
    column: options.ColumnOption = None,
    no_header: options.NoHeader = False,
    id_field: options.IdField = None,
    include: options.Include = None,
    exclude: options.Exclude = None,
    hidden: options.Hidden = False,
    no_ignore: options.NoIgnore = False,
    max_filesize: options.MaxFilesize = None,
    max_record_bytes: options.MaxRecord = None,
    pre: options.Pre = None,
    pre_glob: options.PreGlob = None,
    text: options.Text = False,
    model: options.Model = None,
    variant: options.Variant = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    dim: options.Dim = None,
    pooling: options.Pooling = None,
    cache: options.CacheFile = None,
    no_cache: options.NoCache = False,
    color: options.Color = "auto",
    quiet: Annotated[
        bool, typer.Option("-q", "--quiet", help="Print nothing; the exit code tells if there is a hit.")
    ] = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Find what is closest in meaning: in files, in a pipe, or in an index.

    \b
    embedcli search 'how do I undo a commit' notes/ README.md
    git log --format=%s | embedcli search 'fix for a race' - -n 5
    embedcli search 'late refund' -i tickets.emb --json
    if embedcli search -q --min-score 0.5 'disk full' app.log; then …; fi

    Reads the paths if there are any; else the index (-i, or the nearest .embedcli/index.emb); else standard
    input. Prints path:line:score:text, best first. Exit code 1 if there is no hit.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import (
        choice,
        encoder_settings,
        on_long_of,
        open_cache,
        open_model,
        read_options,
        stdin_bytes,
    )
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.terminal import Progress, terminal_width, wants_color
    from embedcli.datatypes import STDIN_NAME, Chunking
    from embedcli.errors import UsageError
    from embedcli.tasks.inputs import Inputs, SeenLines, lines_around
    from embedcli.tasks.search import SearchSettings, search_index, search_records
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings
    from embedcli.write.hits import (
        HitStyle,
        write_counts,
        write_hits_json,
        write_hits_text,
        write_hits_with_context,
        write_paths,
    )
    from embedcli.write.target import open_output

    if as_json + files_with_hits + count > 1:
        raise UsageError("--json, -l and -c exclude each other")
    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    use_color = wants_color(color, sys.stdout)
    named, place = _where(paths, files_from, index, run, null=null)
    how = None if chunking is None else choice("--chunking", chunking, Chunking)
    wanted = SearchSettings(top_k, min_score)
    lines_before = context if before is None else before
    lines_after = context if after is None else after
    if place is not None:
        from embedcli.index.file import stored_identity

        identity = stored_identity(place)
        model, variant = model or identity.model, variant or identity.variant
        dim, pooling = dim or identity.dim, pooling or identity.pooling
    encoder = encoder_settings(device=device, jobs=jobs, variant=variant, pooling=pooling)
    found_model = open_model(model)
    inputs = Inputs(
        named,
        read_options(
            input_format=input_format,
            null=null and not files_from,
            field=field,
            column=column,
            no_header=no_header,
            id_field=id_field,
            include=include,
            exclude=exclude,
            hidden=hidden,
            no_ignore=no_ignore,
            max_filesize=max_filesize,
            max_record_bytes=max_record_bytes,
            pre=pre,
            pre_glob=pre_glob,
            text=text,
        ),
        stdin=stdin_bytes(),
    )
    seen = SeenLines()
    reads_files = any(path != STDIN_NAME for path in named)
    with open_cache(cache, no_cache=no_cache, by_default=reads_files) as store:
        queries = Vectorizer(
            found_model,
            encoder,
            VectorSettings("query", prompt, "pool", dim, normalize=True),
            run.counts,
            cache=store,
            on_notice=run.notice,
        )
        try:
            if place is not None:
                hits = search_index(place, query, queries, wanted, run.notice)
            else:
                long = on_long_of(on_long, "pool" if how in ("none", "lines") else "split")
                documents = queries.with_settings(VectorSettings("document", None, long, dim, normalize=True))
                with Progress("records", enabled=not quiet) as progress:
                    records = inputs.for_search(how).records(run.counts, run.on_problem, progress.update)
                    if lines_before or lines_after:
                        records = seen.keep(records)
                    hits = search_records(records, query, queries, documents, wanted, how)
        finally:
            queries.close()
    run.counts.written = len(hits)
    if not quiet:
        style = HitStyle(use_color, sys.stdout.isatty(), terminal_width())
        with open_output(None) as output:
            if as_json:
                write_hits_json(hits, query, output)
            elif files_with_hits:
                write_paths(hits, output, STDIN_NAME, b"\0" if null else b"\n")
            elif count:
                write_counts(hits, output, STDIN_NAME)
            elif lines_before or lines_after:
                around = lines_around(hits, lines_before, lines_after, inputs.options, seen)
                write_hits_with_context(hits, around, output, style)
            else:
                write_hits_text(hits, output, style)
    run.finish(EXIT_OK if hits else EXIT_NOTHING, found_wins=quiet)


def _where(
    paths: list[str] | None, files_from: str | None, index: str | None, run: "Run", *, null: bool
) -> tuple[list[str], "Path | None"]:
    """Return what to read: paths, or the index. Paths win over an index, an index over standard input."""
    import os
    import stat
    from pathlib import Path

    from embedcli.cli.resolve import index_to_read, input_paths
    from embedcli.tasks.places import nearest_index

    if paths or files_from:
        return input_paths(paths, files_from, null=null), None
    if index is not None:
        return [], index_to_read(index)
    nearest = nearest_index(Path())
    if nearest is None:
        return input_paths(None, None, null=null), None
    if sys.stdin is not None and not sys.stdin.closed and stat.S_ISFIFO(os.fstat(sys.stdin.fileno()).st_mode):
        run.notice(f"searching the index {nearest}; the path - searches standard input")
    return [], nearest
