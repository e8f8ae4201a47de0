"""The options of `sample` alone."""

from typing import Annotated, TypeAlias

import typer

Diverse: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--diverse",
        metavar="K",
        min=1,
        help="K records that lie far from each other, so that every topic is among them.",
        show_default=False,
    ),
]
Representative: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--representative",
        metavar="K",
        min=1,
        help="K records that stand for all: as near as can be to as many as can be.",
        show_default=False,
    ),
]
Outliers: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--outliers",
        metavar="K",
        min=1,
        help="The K records that are farthest from their neighbours.",
        show_default=False,
    ),
]
Random: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--random",
        metavar="K",
        min=1,
        help="K records, each with the same chance; needs no model and little memory.",
        show_default=False,
    ),
]
Like: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--like",
        metavar="TEXT|@FILE",
        help="The -n records that are nearest to this text, or to any of the records in FILE; repeatable.",
        show_default=False,
    ),
]
Novel: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--novel",
        metavar="INDEX",
        help="Records that are unlike all that an index holds, at most -n; exit 1 if there are none.",
        show_default=False,
    ),
]
HardNegatives: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--hard-negatives",
        help="For pairs of query and positive: -n near texts that are no positives, as JSON.",
    ),
]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--top-k",
        metavar="N",
        min=1,
        help="Most records of --like and --novel; negatives of a pair (default: 5).",
        show_default=False,
    ),
]
MaxScore: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--max-score",
        metavar="COSINE",
        help="With --novel: how near to the past is still new, -1 to 1. Default: auto, by which 1 % of what"
        " is like the past is new; auto:RATIO for another share.",
        show_default=False,
    ),
]
Update: TypeAlias = Annotated[
    bool,
    typer.Option("--update", help="With --novel: then add all that was read to INDEX, made if missing."),
]
QueryField: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--query-field", metavar="NAME", help="Field or column with a pair's query. Default: query."
    ),
]
PositiveField: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--positive-field", metavar="NAME", help="The one with the text that answers it. Default: positive."
    ),
]
Corpus: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--corpus",
        metavar="PATH",
        help="More texts that negatives are taken from, read as --field and --column say; repeatable.",
    ),
]
Guide: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--guide", metavar="NAME|DIR", help="The model that looks for missed positives. Default: --model."
    ),
]
NoGuide: TypeAlias = Annotated[
    bool, typer.Option("--no-guide", help="Keep negatives that may be missed positives.")
]
Margin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--margin",
        metavar="COSINE",
        min=-2,
        max=2,
        help="Suspect what the guide finds so much farther than the positive, or nearer. Default: 0.1.",
        show_default=False,
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", help="Of the random numbers of --random. Default: 0.", show_default=False
    ),
]
AsJson: TypeAlias = Annotated[
    bool,
    typer.Option("--json", help="Write objects with sample_rank and sample_score, in the order of choice."),
]
