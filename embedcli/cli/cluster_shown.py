"""The options of `cluster` about what is written, and about the last run."""

from dataclasses import dataclass
from typing import Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.errors import UsageError

Summary: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--summary",
        help="Write a table of the clusters instead of the records: size, share, cohesion, name, example.",
    ),
]
Tree: TypeAlias = Annotated[
    bool, typer.Option("--tree", help="Write the clusters as a tree instead of the records.")
]
AsJson: TypeAlias = Annotated[
    bool, typer.Option("--json", help="Write what --summary or --tree shows as objects, one a line.")
]
SplitInto: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--split-into",
        metavar="DIR",
        help="Write the records into files, one for each cluster, instead of to standard output. DIR is new,"
        " empty, or of an earlier split.",
        show_default=False,
    ),
]
State: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="Keep the ids of the last run, which FILE remembers, and remember this one; made if missing.",
        show_default=False,
    ),
]
Events: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--events",
        metavar="FILE",
        help="With --state: write which clusters were born, died, split or merged, one object a line.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class ShownOptions:
    """What was typed about what is written."""

    summary: Summary = False
    tree: Tree = False
    as_json: AsJson = False
    split_into: SplitInto = None

    @property
    def writes_records(self) -> bool:
        """Whether the records themselves go to the output."""
        return not (self.summary or self.tree or self.split_into is not None)

    def check(self, output: str | None) -> None:
        """See whether it fits together.

        Raises:
            UsageError: It does not, or the folder of a split holds something else.
        """
        if self.summary and self.tree:
            raise UsageError("--summary and --tree exclude each other")
        if self.as_json and not (self.summary or self.tree):
            raise UsageError(
                "--json goes with --summary and --tree", hint="records are objects, or stay tables"
            )
        if self.split_into is None:
            return
        if output is not None and not (self.summary or self.tree):
            raise UsageError(
                "-o: with --split-into there is nothing else to write", hint="--summary, or no -o"
            )
        from embedcli.write.split import check_folder

        check_folder(self.split_into)


@dataclass(frozen=True)
class StateOptions:
    """What was typed about the last run."""

    state: State = None
    events: Events = None
    lock_timeout: options.LockTimeout = 0.0

    def check(self) -> None:
        """See whether it fits together.

        Raises:
            UsageError: It does not.
        """
        if self.events is not None and self.state is None:
            raise UsageError("--events says what became of the clusters of --state", hint="--state FILE")
        if self.events in {"-", "/dev/stdout"}:
            raise UsageError("--events: standard output is for the records", hint="--events FILE")
