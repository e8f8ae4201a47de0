"""The options of `dedupe` alone."""

from typing import Annotated, TypeAlias

import typer

MethodOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--method",
        metavar="STAGES",
        help="Stages, joined by commas: exact, normalized, lexical, semantic. Default: all but lexical.",
    ),
]
Threshold: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--threshold",
        metavar="COSINE",
        min=-1,
        max=1,
        help="Texts this close by their vectors are duplicates. Default: as calibrated for the model.",
        show_default=False,
    ),
]
LexicalThreshold: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--lexical-threshold",
        metavar="J",
        min=0,
        max=1,
        help="Share of common shingles from which on texts are lexical duplicates. Default: 0.75.",
        show_default=False,
    ),
]
LengthRatio: TypeAlias = Annotated[
    float,
    typer.Option(
        "--length-ratio",
        metavar="R",
        min=0,
        max=1,
        help="A text shorter than this share of the other is no semantic duplicate of it.",
    ),
]
Keep: TypeAlias = Annotated[
    str,
    typer.Option(
        "--keep",
        metavar="RULE",
        help="Which duplicate stays: first, last, longest, shortest, newest:FIELD, max:FIELD or min:FIELD.",
    ),
]
Against: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--against",
        metavar="FILE|INDEX",
        help="Drop also what is already there; nothing of it is written. Repeatable.",
    ),
]
Update: TypeAlias = Annotated[
    bool, typer.Option("--update", help="Add what is kept to the index of --against, made if it is missing.")
]
Window: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--window", metavar="N", min=1, help="Remember only the last N kept records: for endless pipes."
    ),
]
Report: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--report",
        metavar="FILE",
        help="Write a JSON line for each dropped record: what, why, whose duplicate.",
    ),
]
Dropped: TypeAlias = Annotated[
    str | None, typer.Option("--dropped", metavar="FILE", help="Write the dropped records here, unchanged.")
]
Mark: TypeAlias = Annotated[
    bool, typer.Option("--mark", help="Keep everything, and add the group to each record.")
]
Check: TypeAlias = Annotated[
    bool,
    typer.Option("--check", help="Write no records; exit 1 at the first duplicate, as sort -c does."),
]
Undo: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--undo", metavar="REPORT", help="Put back what a run dropped: PATH is its output, REPORT its report."
    ),
]
Calibrate: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--calibrate",
        help="Drop nothing: find the threshold for the model on texts like these, with precision and recall.",
    ),
]
PreviewOption: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--preview",
        help="Drop nothing: show how close records are, the pairs at the line, and what others would keep.",
    ),
]
Pairs: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="A,B,LABEL",
        help="With --calibrate: the records are judged pairs; the fields of both texts and of 1 or 0.",
    ),
]
Save: TypeAlias = Annotated[
    bool,
    typer.Option("--save", help="With --calibrate: write the threshold into the model's own folder."),
]
Seed: TypeAlias = Annotated[
    int,
    typer.Option("--seed", metavar="N", min=0, help="With --calibrate, --preview: which texts are drawn."),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="With --calibrate or --preview: print JSON.")]
Plan: TypeAlias = Annotated[
    str,
    typer.Option(
        "--plan",
        metavar="NAME",
        help="auto, exact, blocks (k-means) or hnsw (extra ann); the last two find most, and say how much.",
    ),
]
BlockRecords: TypeAlias = Annotated[
    int,
    typer.Option("--block-records", metavar="N", min=1, help="Records compared at once. Changes no result."),
]
