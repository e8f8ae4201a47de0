"""Labelled texts, as the commands of `eval` that are about labels read them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from embedcli.cli.classify_learn import LearningWork

if TYPE_CHECKING:
    from collections.abc import Iterable

    from embedcli.cli.eval_options import ReportOptions
    from embedcli.cli.eval_run import Gates
    from embedcli.cli.work import Typed
    from embedcli.datatypes import Record
    from embedcli.tasks.evaluate.labelled_texts import LabelledTexts

Label: TypeAlias = Annotated[
    str, typer.Option("--label", metavar="NAME|N", help="Field or column with the label.")
]


@dataclass
class LabelledWork(LearningWork):
    """A run that measures on labelled texts."""

    whole: str = "eval takes one vector of each"

    def read(self, records: "Iterable[Record]", field: str) -> "LabelledTexts":
        """Return texts with vectors and labels; say what was left out.

        Raises:
            InputError: There are none.
        """
        from embedcli.tasks.evaluate.labelled_texts import read_labelled_texts

        run = self.run
        if self.vectors is None:
            self.open_vectors(None)
        assert self.vectors is not None  # just opened
        with run.naming_left_out():
            found = read_labelled_texts(records, field, self.vectors, run.on_problem)
        run.counts.written += len(found.texts)
        if found.blank:
            run.notice(f"{found.blank} blank {'record' if found.blank == 1 else 'records'} left out")
        if found.unknown:
            run.notice(f"{found.unknown} texts count with a vector of zeros: the model knows no word of them")
        return found


def read_typed(label: str, report: "ReportOptions", typed: "Typed", train: str | None = None) -> "Gates":
    """Check what was typed, and return the limits of the run.

    Raises:
        UsageError: The label is the text, or a file would be lost.
        InputError: A saved run cannot be read.
    """
    from embedcli.cli.classify_parts import check_text_fields
    from embedcli.cli.eval_run import read_gates

    check_text_fields("--label", label, typed.reading)
    return read_gates(report, [*typed.inputs.paths, *filter(None, [train, typed.rows])])
