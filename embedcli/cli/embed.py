"""`embedcli embed`."""

from pathlib import Path
from typing import Annotated

import typer

from embedcli.cli import options

_BY_SUFFIX = {".npy": "npy", ".csv": "csv", ".raw": "raw", ".bin": "raw"}


def embed(
    paths: options.Paths = None,
    string: Annotated[
        list[str] | None,
        typer.Option("--string", metavar="TEXT", help="Embed this text instead of reading; may be repeated."),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option("-o", "--output", metavar="FILE", help="Write here, all or nothing, instead of to standard output."),
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="FORM", help="jsonl, npy, raw, base64 or csv. Default: after the name of -o, else jsonl."),
    ] = None,
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="float32, float16, int8, uint8 or binary.")
    ] = "float32",
    dim: options.Dim = None,
    no_text: Annotated[bool, typer.Option("--no-text", help="Leave the text out of the output.")] = False,
    csv_raw: Annotated[
        bool, typer.Option("--csv-raw", help="Write cells that a spreadsheet would run as formulas as they are.")
    ] = False,
    role: Annotated[
        str, typer.Option("--role", metavar="ROLE", help="document or query: which of the model's prompts to use.")
    ] = "document",
    prompt: options.Prompt = None,
    normalize: Annotated[
        bool | None,
        typer.Option("--normalize/--no-normalize", help="Give vectors unit length, or not. Default: as the model says."),
    ] = None,
    pooling: options.Pooling = None,
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
    max_record_bytes: options.MaxRecord = "16M",
    pre: options.Pre = None,
    pre_glob: options.PreGlob = None,
    text: options.Text = False,
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

    A record is a line unless the format says otherwise. Other fields and columns pass through. Text longer
    than the model takes is averaged over windows (--on-long). What this writes, every command reads.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import (
        choice,
        encoder_settings,
        input_paths,
        on_long_of,
        open_cache,
        open_model,
        read_options,
        stdin_bytes,
        vector_dtype_of,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import STDIN_NAME, Role
    from embedcli.errors import UsageError
    from embedcli.tasks.embed import embed as embed_records
    from embedcli.tasks.inputs import Inputs, strings_as_records
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings
    from embedcli.vectors.quantize import quantize
    from embedcli.write.target import open_output
    from embedcli.write.vectors import FORMS, VectorFormat, open_vector_writer

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    form = choice("--to", to or _BY_SUFFIX.get(Path(output or "").suffix, "jsonl"), VectorFormat)
    wanted_dtype = vector_dtype_of(dtype)
    if string and (paths or files_from):
        raise UsageError("--string and paths exclude each other")
    vectorizer = None
    sources = [] if string else input_paths(paths, files_from, null=null)
