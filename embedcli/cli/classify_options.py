"""The options of `classify` alone."""

from typing import Annotated, TypeAlias

import typer

Labels: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--labels", metavar="A,B,…", help="The labels; without examples, their names say what they mean."
    ),
]
LabelsFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--labels-file",
        metavar="FILE",
        help="Labels, a line each; or JSONL, CSV or TSV with label and description, several for one label.",
    ),
]
Template: TypeAlias = Annotated[
    str | None,
    typer.Option("--template", metavar="TEXT", help="What is encoded of a name: 'This text is about {}'."),
]
Examples: TypeAlias = Annotated[
    str | None,
    typer.Option("--examples", metavar="FILE", help="Learn from labelled records, read like the input."),
]
LabelField: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--label-field", metavar="NAME", help="Field or column with an example's label. Default: label."
    ),
]
HeadOption: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--head",
        metavar="KIND",
        help="auto, mean, knn or logistic. Default: auto, what is best on examples held out.",
    ),
]
Neighbors: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "--neighbors",
        metavar="N",
        min=1,
        help="Examples that vote in --head knn. Default: 20.",
        show_default=False,
    ),
]
Save: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--save", metavar="FILE", help="Write what was learnt; without PATH or -i, nothing else is done."
    ),
]
Load: TypeAlias = Annotated[
    str | None, typer.Option("--load", metavar="FILE", help="Use what --save wrote, and its model.")
]
Abstain: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--abstain",
        metavar="RATIO|auto",
        help="Leave unsure records open, so that of the others this share is right; auto: 0.95.",
    ),
]
MinScore: TypeAlias = Annotated[
    float | None,
    typer.Option("--min-score", metavar="SCORE", help="Leave a record open whose best label has less."),
]
MinMargin: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--min-margin",
        metavar="SCORE",
        min=0,
        help="Leave a record open whose best label is ahead by less.",
        show_default=False,
    ),
]
Multi: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--multi", help="A record can have several labels: all from --min-score on, or as examples say."
    ),
]
TopK: TypeAlias = Annotated[
    int | None,
    typer.Option(
        "-n",
        "--top-k",
        metavar="N",
        min=1,
        help="List the N best labels with their scores.",
        show_default=False,
    ),
]
Counts: TypeAlias = Annotated[
    bool, typer.Option("--counts", help="Write how often each label was given instead of the records.")
]
Gold: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--gold",
        metavar="NAME",
        help="Field or column with the right label: write accuracy, F1 and confusions instead of records.",
    ),
]
Taxonomy: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--taxonomy",
        metavar="FILE",
        help="Lines of parent and child, or of two labels and their distance: the label nearest to all that a"
        " record may be.",
    ),
]
HubCorrect: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--hub-correct",
        help="Take from each label what makes it near to everything; where labels are equally frequent.",
    ),
]
Prefix: TypeAlias = Annotated[
    str,
    typer.Option(
        "--prefix", metavar="TEXT", help="Put before the names of the new fields.", show_default=False
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of which examples are held out together.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Write --counts or --gold as JSON.")]
