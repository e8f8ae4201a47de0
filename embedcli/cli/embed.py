"""`embedcli embed`."""

from pathlib import Path
from typing import Annotated

import typer

from embedcli.cli import options
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions

_BY_SUFFIX = {".npy": "npy", ".csv": "csv", ".raw": "raw", ".bin": "raw"}


@with_groups
def embed(
    paths: options.Paths = None,
    string: Annotated[
        list[str] | None,
        typer.Option("--string", metavar="TEXT", help="Embed this text instead of reading; may be repeated."),
    ] = None,
    output: options.Output = None,
    to: Annotated[
        str | None,
        typer.Option(
            "--to",
            metavar="FORM",
            help="jsonl, npy, raw, base64 or csv. Default: after the name of -o, else jsonl.",
        ),
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="float32, float16, int8, uint8 or binary.")
    ] = "float32",
    dim: options.Dim = None,
    sparse: options.Sparse = None,
    show_terms: Annotated[
        int | None,
        typer.Option(
            "--show-terms",
            metavar="N",
            min=1,
            help="With --sparse, print the N strongest terms of each record to read, instead of JSON.",
        ),
    ] = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Leave the text out of the output.")] = False,
    csv_raw: Annotated[
        bool,
        typer.Option("--csv-raw", help="Write cells that a spreadsheet would run as formulas as they are."),
    ] = False,
    role: Annotated[
        str,
        typer.Option(
            "--role", metavar="ROLE", help="document or query: which of the model's prompts to use."
        ),
    ] = "document",
    prompt: options.Prompt = None,
    normalize: Annotated[
        bool | None,
        typer.Option(
            "--normalize/--no-normalize", help="Give vectors unit length, or not. Default: as the model says."
        ),
    ] = None,
    pooling: options.Pooling = None,
    on_long: options.OnLong = None,
    reading: ReadOptions = ReadOptions(),
    model: options.Model = None,
    variant: options.Variant = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    cache: options.CacheFile = None,
    no_cache: options.NoCache = False,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Turn records into vectors, in input order.

    \b
    embedcli embed < lines.txt > vectors.jsonl
    embedcli embed notes/*.txt -o vectors.npy
    embedcli embed tickets.csv --column subject --column body --to csv
    embedcli embed --string 'one text' --dtype int8
    embedcli embed --sparse my-splade < lines.txt

    A record is a line unless the format says otherwise. Other fields and columns pass through. Text longer
    than the model takes is averaged over windows (--on-long). What this writes, every command reads.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.embed_sparse import check_sparse_options, write_sparse
    from embedcli.cli.resolve import (
        choice,
        encoder_settings,
        on_long_of,
        open_cache,
        open_model,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Role, VectorDtype
    from embedcli.errors import UsageError
    from embedcli.tasks.embed import embed as embed_records
    from embedcli.tasks.inputs import strings_as_records
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings
    from embedcli.write.target import open_output
    from embedcli.write.vectors import VectorFormat, open_vector_writer

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    form = choice("--to", to or _BY_SUFFIX.get(Path(output or "").suffix, "jsonl"), VectorFormat)
    wanted_dtype = choice("--dtype", dtype, VectorDtype)
    if string and (paths or reading.files_from):
        raise UsageError("--string and paths exclude each other")
    settings = VectorSettings(
        choice("--role", role, Role), prompt, on_long_of(on_long, "pool"), dim, normalize=normalize
    )
    encoder = encoder_settings(device=device, jobs=jobs, variant=variant, pooling=pooling)
    if sparse is not None:
        typed = {
            "--dim": dim,
            "--pooling": pooling,
            "--normalize": normalize is not None,
            "--csv-raw": csv_raw,
        }
        check_sparse_options(model, {**typed, "--dtype": dtype != "float32"}, form)
    elif show_terms is not None:
        raise UsageError("--show-terms is about --sparse")
    inputs = reading.inputs(paths, or_stdin=not string)
    text_fields = reading.field or reading.column or ("text",)
    if sparse is not None:
        with Progress("records", enabled=not quiet) as progress:
            write_sparse(
                *(sparse, encoder, settings),
                lambda: (
                    strings_as_records(string, run.counts)
                    if string
                    else inputs.records(run.counts, run.on_problem, progress.update)
                ),
                *(output, run),
                show_terms=show_terms,
                keep_text=not no_text,
                text_fields=text_fields,
            )
        run.finish()
    with (
        Progress("records", enabled=not quiet) as progress,
        open_cache(cache, no_cache=no_cache, by_default=inputs.reads_files) as store,
    ):
        vectorizer = Vectorizer(
            open_model(model), encoder, settings, run.counts, cache=store, on_notice=run.notice
        )
        width = vectorizer.dim
        if wanted_dtype == "binary":
            if width % 8:
                raise UsageError(f"--dtype binary needs a dimension that is a multiple of 8, not {width}")
            width //= 8
        records = (
            strings_as_records(string, run.counts)
            if string
            else inputs.records(run.counts, run.on_problem, progress.update)
        )
        from embedcli.vectors.quantize import quantize

        try:
            with open_output(output) as stream:
                writer = open_vector_writer(
                    form,
                    stream,
                    dtype=wanted_dtype,
                    width=width,
                    vector_model=vectorizer.vector_model,
                    keep_text=not no_text,
                    text_fields=text_fields,
                    csv_raw=csv_raw,
                    is_table=inputs.is_table,
                )
                for batch, vectors in embed_records(records, vectorizer):
                    codes, scale = quantize(vectors, wanted_dtype)
                    writer.write(batch, codes, scale)
                    run.counts.written += len(batch)
                run.stop_if_nothing_was_read()
                writer.close()
        finally:
            vectorizer.close()
    run.finish()
