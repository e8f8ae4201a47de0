"""`embedcli chunk`."""

from typing import Annotated

import typer

from embedcli.cli import options


def chunk(
    paths: options.Paths = None,
    chunking: options.IndexChunking = None,
    chunk_tokens: options.ChunkTokens = None,
    chunk_overlap: options.ChunkOverlap = None,
    context_title: options.ContextTitle = None,
    on_long: options.OnLong = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print records, an object a line, that every command reads.")
    ] = False,
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
    color: options.Color = "auto",
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Show how texts are cut: what an index would hold a vector of.

    \b
    embedcli chunk notes/ README.md
    embedcli chunk --chunking markdown docs/ --include '*.md'
    embedcli chunk --chunking sentences --json book.txt | embedcli embed > sentences.jsonl

    Prints path:line:text, the text in one line. No chunk is longer than the model takes (--on-long pool
    leaves long ones whole). With --json, each chunk is a record with its place: chunk, start and end in
    characters.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.resolve import (
        chunk_settings,
        encoder_settings,
        input_paths,
        open_model,
        read_options,
        stdin_bytes,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.search_output import hit_style
    from embedcli.tasks.chunk_settings import check_chunking
    from embedcli.tasks.chunks import chunks_as_records
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings
    from embedcli.write.hits import write_place
    from embedcli.write.objects import dump, record_object
    from embedcli.write.target import open_output

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    how = chunk_settings(chunking, on_long, chunk_tokens, chunk_overlap, context_title)
    said = read_options(
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
    )
    inputs = Inputs(input_paths(paths, files_from, null=null), said, stdin=stdin_bytes()).for_chunks(
        how.chunking
    )
    vectorizer = Vectorizer(
        open_model(model), encoder_settings(device="cpu", jobs=1), VectorSettings(), run.counts
    )
    style = hit_style(color)
    text_fields = inputs.settings.columns or inputs.settings.text_fields
    try:
        check_chunking(how, vectorizer)
        with open_output(None) as output:
            records = inputs.records(run.counts, run.on_problem)
            for record in chunks_as_records(records, how, vectorizer, text_fields):
                if as_json:
                    place = {"path": record.path, "line": record.line, "end_line": record.end_line}
                    found = record_object(record, keep_text=True, text_fields=())
                    output.write(dump({**found, **place}) + b"\n")
                else:
                    write_place(record.path, record.line, record.text, output, style)
                run.counts.written += 1
    finally:
        vectorizer.close()
    run.finish()
