"""`embedcli chunk`."""

from typing import Annotated

import typer

from embedcli.cli import options
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
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
    reading: ReadOptions = ReadOptions(),
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
        open_model,
    )
    from embedcli.cli.run import Run
    from embedcli.cli.search_output import hit_style
    from embedcli.tasks.chunk_settings import check_chunking
    from embedcli.tasks.chunks import chunks_as_records
    from embedcli.tasks.vectorize import Vectorizer, VectorSettings
    from embedcli.write.hits import write_place
    from embedcli.write.objects import dump, record_object
    from embedcli.write.target import open_output

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    how = chunk_settings(chunking, on_long, chunk_tokens, chunk_overlap, context_title)
    inputs = reading.inputs(paths).for_chunks(how.chunking)
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
