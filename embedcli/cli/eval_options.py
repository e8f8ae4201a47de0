"""The options that all commands of `eval` share: what is done with the figures."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import typer

from embedcli.cli import options

FailUnder: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--fail-under",
        metavar="METRIC=VALUE",
        help="Exit code 1 where the first system reaches less; SYSTEM:METRIC=VALUE for another; repeatable.",
    ),
]
NoWorseThan: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--no-worse-than",
        metavar="FILE",
        help="Exit code 1 where the first figure (or those of --fail-under) is significantly below FILE's.",
        show_default=False,
    ),
]
Save: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--save", metavar="FILE", help="Write the run as JSON, for --no-worse-than.", show_default=False
    ),
]
PerItem: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--per-query",
        metavar="FILE",
        help="Write the values of each query, pair or record: TSV, or JSON lines in a FILE.jsonl.",
        show_default=False,
    ),
]
Seed: TypeAlias = Annotated[
    int, typer.Option("--seed", metavar="N", min=0, help="Of all that is drawn at random.")
]


@dataclass(frozen=True)
class ReportOptions:
    """What was typed about figures, in the order of the help text."""

    as_json: options.AsJson = False
    output: options.Output = None
    per_item: PerItem = None
    save: Save = None
    fail_under: FailUnder = None
    no_worse_than: NoWorseThan = None
    seed: Seed = 0
