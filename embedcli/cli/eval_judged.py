"""Judged pairs, as the commands of `eval` that are about pairs read them."""

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import ExitStack

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.reading import ReadOptions
    from embedcli.cli.run import Run
    from embedcli.datatypes import OnProblem, Problem, Record, Vectors
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.judged_pairs import ScoredPairs
    from embedcli.tasks.vectorize import Vectorizer

PairNames: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="A,B,VALUE",
        help="Fields or columns with the two texts and the judgement, by name or number."
        " Default: columns 1,2,3; in JSONL left_text, right_text and score or label.",
        show_default=False,
    ),
]


@dataclass(frozen=True)
class Judgement:
    """What people said of pairs.

    Attributes:
        field: What it is called in JSONL if nobody says: `score` or `label`.
        read: Makes a number of it.
    """

    field: str
    read: "Callable[[str], float]"

    @property
    def hint(self) -> str:
        """How to say where the pairs are."""
        return f"--pairs A,B,{self.field.upper()} names the fields, or columns by number; --no-header"


@dataclass(frozen=True)
class JudgedInputs:
    """Where judged pairs are.

    Attributes:
        inputs: What is read.
        names: The three fields; empty for the default of each record.
        judgement: What people said.
    """

    inputs: "Inputs"
    names: tuple[str, ...]
    judgement: Judgement

    def names_of(self, record: "Record") -> "Sequence[str]":
        """Return what the fields of a record are called."""
        from embedcli.tasks.match_pairs import PAIR_COLUMNS, PAIR_FIELDS

        if self.names:
            return self.names
        self._check_header(record)
        return (*PAIR_COLUMNS, "3") if self.inputs.is_table(record) else (*PAIR_FIELDS, self.judgement.field)

    def _check_header(self, record: "Record") -> None:
        """Refuse a first line of names that holds a judgement instead: it would be lost.

        Raises:
            UsageError: It does.
        """
        from embedcli.errors import UsageError

        if not self.inputs.is_table(record) or not self.inputs.options.get("header", True):
            return
        for name in list(record.fields)[2:3]:
            with contextlib.suppress(ValueError):
                self.judgement.read(name)
                raise UsageError(
                    f"{record.path or '-'}: the first line looks like a record: {name!r} names a column",
                    hint="--no-header; or --pairs A,B,NAME",
                )

    def score(
        self,
        vectorizer: "Vectorizer",
        run: "Run",
        on_progress: "Callable[[int], None]",
        on_vectors: "Callable[[Vectors], None]" = lambda _vectors: None,
    ) -> "ScoredPairs":
        """Read all pairs and return them with their cosines; say what was left out.

        Raises:
            InputError: There are none.
        """
        from embedcli.errors import InputError, MissingPathError
        from embedcli.tasks.judged_pairs import PairReader, score_judged

        on_problem = self._with_hint(run.on_problem)
        reader = PairReader(self.names_of, self.judgement.read, on_problem)
        records = self.inputs.records(run.counts, on_problem, on_progress)
        try:
            found = score_judged(reader.read(records), vectorizer, on_vectors)
        except MissingPathError:
            raise
        except InputError as error:
            hint = "; ".join(filter(None, (self.judgement.hint, error.hint)))
            raise InputError(str(error), hint=hint) from error
        run.stop_if_nothing_was_read()
        if not found.ids:
            raise InputError("no pairs in the input", hint=self.judgement.hint)
        run.counts.written = len(found.ids)
        if reader.blank:
            run.notice(f"{reader.blank} blank {'line' if reader.blank == 1 else 'lines'} left out")
        if found.unknown:
            run.notice(
                f"{found.unknown} pairs count with cosine 0: the model knows no word of one of the texts"
            )
        return found

    def _with_hint(self, on_problem: "OnProblem") -> "OnProblem":
        """Return the same with this command's own option in the hint."""

        def tell(problem: "Problem") -> None:
            hint = (
                self.judgement.hint
                if "--field" in problem.hint or "--column" in problem.hint
                else problem.hint
            )
            on_problem(replace(problem, hint=hint))

        return tell


def judged_inputs(
    paths: list[str] | None, reading: "ReadOptions", pairs: str | None, judgement: Judgement
) -> JudgedInputs:
    """Return where the pairs are.

    Raises:
        UsageError: What was typed makes no sense, or there is nothing to read.
    """
    from embedcli.errors import UsageError
    from embedcli.tasks.match_pairs import PAIR_COLUMNS, PAIR_FIELDS

    if reading.field or reading.column:
        raise UsageError("--field and --column say nothing about pairs", hint=judgement.hint)
    names = () if pairs is None else tuple(name.strip() for name in pairs.split(","))
    if pairs is not None and (len(names) != 3 or len(set(names)) < 3 or not all(names)):
        raise UsageError(f"--pairs {pairs!r}: not the names of three fields", hint=judgement.hint)
    first = names[:1]
    inputs = reading.inputs(paths)
    options = {"text_fields": first or PAIR_FIELDS[:1], "columns": first or PAIR_COLUMNS[:1]}
    return JudgedInputs(replace(inputs, options={**inputs.options, **options}), names, judgement)


def score_pairs(
    stack: "ExitStack",
    judged: JudgedInputs,
    encoding: "EncodeOptions",
    run: "Run",
    on_open: "Callable[[Vectorizer], Callable[[Vectors], None] | None]" = lambda _vectorizer: None,
) -> "tuple[ScoredPairs, Vectorizer]":
    """Open the encoder, read all pairs, and return them with their cosines.

    Args:
        stack: Closes the encoder.
        judged: Where they are.
        encoding: What was typed about the encoder.
        run: Counts, and says notices.
        on_open: Told of the encoder; returns who is told of the vectors.
    """
    from embedcli.cli.terminal import Progress
    from embedcli.errors import UsageError

    if encoding.on_long == "split":
        raise UsageError("--on-long split makes several vectors of a text, and a pair has two")
    vectorizer = encoding.open(stack, run, reads_files=judged.inputs.reads_files)
    progress = stack.enter_context(Progress("pairs", enabled=not run.quiet))
    on_vectors = on_open(vectorizer) or (lambda _vectors: None)
    with run.naming_left_out():
        return judged.score(vectorizer, run, progress.update, on_vectors), vectorizer
