"""The options of `match` alone."""

from typing import Annotated, TypeAlias

import typer

Sides: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[LEFT RIGHT]",
        help="Two files, folders or indexes; one of them may be - for standard input.",
        show_default=False,
    ),
]
How: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--how",
        metavar="HOW",
        help="left: all of LEFT, null where nothing matches; inner: what matches; anti: the others, as is."
        " Default: left.",
        show_default=False,
    ),
]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--top-k",
        metavar="N",
        min=1,
        help="Matches of each record (default: 1); with --drift, records told of on each side (default: 5).",
        show_default=False,
    ),
]
MinScore: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-score",
        metavar="SCORE",
        help="What scores less is no match. Default: no limit; with --comm, that of the model's duplicates.",
        show_default=False,
    ),
]
MinMargin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-margin",
        metavar="SCORE",
        help="What is not so far ahead of the next best is no match.",
        show_default=False,
    ),
]
OneToOne: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--one-to-one",
        help="No two share a record: of the nearest of each, the pairs with the highest sum of scores.",
    ),
]
Blend: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--blend",
        metavar="WEIGHT",
        min=0,
        max=1,
        help="Weight of characters, for typos; with 0 a score is the cosine. Default: 0.4, with --comm 0.",
        show_default=False,
    ),
]
Margin: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--margin",
        metavar="ratio",
        help="Scores over those of the nearest neighbours, for translations.",
        show_default=False,
    ),
]
Neighbors: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--neighbors", metavar="K", min=1, help="Of --margin, on both sides. Default: 4.", show_default=False
    ),
]
LeftField: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--left-field",
        metavar="NAME",
        help="Field or column with LEFT's text, instead of --field and --column; repeat to join.",
    ),
]
RightField: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--right-field", metavar="NAME", help="The same of RIGHT."),
]
Pairs: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--pairs",
        help="Read records with two texts each, add their score: --left-field and --right-field, else the"
        " first two columns, or left_text and right_text.",
    ),
]
String: TypeAlias = Annotated[
    list[str] | None,
    typer.Option("--string", metavar="TEXT", help="Twice, instead of paths: print the score of two texts."),
]
Comm: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--comm",
        help="Compare two collections: what is only in one, reworded or the same; exit 1 if nothing differs.",
    ),
]
Status: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--status",
        metavar="LIST",
        help="What --comm writes, of same, reworded, only_left and only_right. Default: all but same.",
        show_default=False,
    ),
]
Drift: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--drift",
        help="Measure how far RIGHT is from LEFT, show what is new and gone; exit 1 if chance explains it.",
    ),
]
MaxP: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--max-p",
        metavar="P",
        min=0,
        max=1,
        help="With --drift: chance explains what is likelier than this. Default: 0.05.",
        show_default=False,
    ),
]
Seed: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--seed", metavar="N", min=0, help="Of the random numbers of --drift. Default: 0.", show_default=False
    ),
]
To: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--to",
        metavar="FORM",
        help="jsonl or tsv. Default: after the name of -o, else jsonl.",
        show_default=False,
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="With --string and --drift: print JSON.")]
OwnVectors: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--vectors",
        metavar="own",
        help="Use the vectors that the records bring, of any model.",
        show_default=False,
    ),
]
