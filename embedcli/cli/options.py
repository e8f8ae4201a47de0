"""The options that several commands share, each defined once: names, help, environment variable."""

from typing import Annotated, TypeAlias

import typer

Paths: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PATH]...", help="Files and folders; - is standard input.", show_default=False),
]
InputFormat: TypeAlias = Annotated[
    str,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="auto, lines, null, whole, jsonl, csv, tsv or parquet.",
    ),
]
Null: TypeAlias = Annotated[
    bool, typer.Option("-0", "--null", help="Records are separated by NUL: --format null.")
]
FilesFrom: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--files-from",
        metavar="FILE",
        help="Read paths from FILE, a line each (NUL with -0); - is standard input.",
    ),
]
Field: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--field", metavar="NAME", help="JSONL field with the text; repeat to join several. Default: text."
    ),
]
ColumnOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--column",
        metavar="NAME|N",
        help="CSV column with the text, N from 1; repeat to join. Default: text.",
    ),
]
NoHeader: TypeAlias = Annotated[bool, typer.Option("--no-header", help="The first CSV line is a record.")]
IdField: TypeAlias = Annotated[
    str | None,
    typer.Option("--id-field", metavar="NAME", help="Field or column with the id. Default: id, then _id."),
]
Include: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--include", metavar="GLOB", help="In folders, read only files that match."),
]
Exclude: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--exclude", metavar="GLOB", help="In folders, leave out files that match."),
]
Hidden: TypeAlias = Annotated[bool, typer.Option("--hidden", help="In folders, read hidden files too.")]
NoIgnore: TypeAlias = Annotated[bool, typer.Option("--no-ignore", help="Do not honour ignore files.")]
MaxFilesize: TypeAlias = Annotated[
    str | None,
    typer.Option("--max-filesize", metavar="SIZE", help="In folders, leave out larger files: 500K, 10M."),
]
MaxRecord: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-record-bytes", metavar="SIZE", help="Report and pass over a larger record. Default: 16M."
    ),
]
Pre: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pre", metavar="CMD", help="Read what CMD FILE prints instead of each FILE, as in ripgrep."
    ),
]
PreGlob: TypeAlias = Annotated[
    str | None, typer.Option("--pre-glob", metavar="GLOB", help="Use --pre only for files that match.")
]
Text: TypeAlias = Annotated[bool, typer.Option("-a", "--text", help="Read files with NUL bytes as text.")]

Model: TypeAlias = Annotated[
    str | None,
    typer.Option("-m", "--model", metavar="NAME|DIR", envvar="EMBEDCLI_MODEL", help="Model name or folder."),
]
Sparse: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--sparse", metavar="MODEL", help="A learned sparse model: weights of words instead of a vector."
    ),
]
Variant: TypeAlias = Annotated[
    str | None,
    typer.Option("--variant", metavar="NAME", help="Variant of the model. Default: what fits the device."),
]
Device: TypeAlias = Annotated[
    str,
    typer.Option("--device", metavar="DEVICE", envvar="EMBEDCLI_DEVICE", help="auto, cpu, cuda or cuda:N."),
]
Jobs: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "-j",
        "--jobs",
        min=1,
        envvar="EMBEDCLI_JOBS",
        help="Worker threads. Default: the CPUs of this process.",
    ),
]
Prompt: TypeAlias = Annotated[
    str | None,
    typer.Option("--prompt", metavar="TEXT", help="Put before each text instead of the model's prompt."),
]
Pooling: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pooling",
        metavar="NAME",
        help="mean, cls, last_token, max, mean_sqrt_len, weighted_mean, or a+b; not the model's own.",
    ),
]
Dim: TypeAlias = Annotated[
    int | None, typer.Option("--dim", metavar="N", min=1, help="Keep only the first numbers of each vector.")
]
IndexChunking: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--chunking",
        metavar="HOW",
        help="none, lines, sentences, paragraphs, markdown, code, tokens, late or semantic. Default:"
        " paragraphs for text, none for JSONL and CSV.",
    ),
]
ChunkTokens: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--chunk-tokens",
        metavar="N",
        min=1,
        help="Most tokens of a chunk. Default: what the model takes; 128 for late.",
    ),
]
ChunkOverlap: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--chunk-overlap",
        metavar="N",
        min=0,
        help="Tokens that the windows of a long chunk share. Default: 32, or a quarter of short chunks.",
    ),
]
ContextTitle: TypeAlias = Annotated[
    bool | None,
    typer.Option(
        "--context-title/--no-context-title",
        help="Encode each chunk with its title: the headings above it (markdown), or the record's title.",
        show_default=False,
    ),
]
OnLong: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--on-long", metavar="HOW", help="Text beyond the model's limit: split, pool, truncate or error."
    ),
]
CacheFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--cache",
        metavar="FILE",
        envvar="EMBEDCLI_CACHE",
        help="Vector cache: a file, or off. Default: the user's cache, for files named on the command line.",
        show_default=False,
    ),
]
NoCache: TypeAlias = Annotated[bool, typer.Option("--no-cache", help="Do not use a vector cache.")]

IndexOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-i",
        "--index",
        metavar="FILE|DIR",
        envvar="EMBEDCLI_INDEX",
        help="Index file, or a folder that holds one.",
    ),
]
IndexesOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "-i",
        "--index",
        metavar="FILE|DIR",
        help="Index file, or a folder that holds one; repeat to search several. Default: EMBEDCLI_INDEX.",
        show_default=False,
    ),
]
IndexInput: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-i",
        "--index",
        metavar="FILE|DIR",
        help="Instead of paths: what an index holds; it is only read, and the result is written as JSON.",
    ),
]
ReadyVectors: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--vectors",
        metavar="FILE.npy|own",
        help="Use these vectors, of any model, one for each record; own: those that the records bring.",
    ),
]
LockTimeout: TypeAlias = Annotated[
    float,
    typer.Option("--lock-timeout", metavar="SECONDS", min=0, help="Wait this long for another writer."),
]
Output: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "-o", "--output", metavar="FILE", help="Write here, all or nothing, instead of to standard output."
    ),
]
Quiet: TypeAlias = Annotated[bool, typer.Option("-q", "--quiet", help="Print errors only.")]
Verbose: TypeAlias = Annotated[bool, typer.Option("-v", "--verbose", help="Say more on standard error.")]
StatsJson: TypeAlias = Annotated[
    str | None, typer.Option("--stats-json", metavar="FILE", help="Write the run's counts as JSON.")
]
Color: TypeAlias = Annotated[
    str, typer.Option("--color", metavar="WHEN", envvar="EMBEDCLI_COLOR", help="auto, always or never.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON.")]
