"""`embedcli eval geometry`."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions

if TYPE_CHECKING:
    from embedcli.cli.run import Run
    from embedcli.cli.work import Work
    from embedcli.vectors.geometry import GeometrySurvey

PairFields: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--pairs",
        metavar="A,B",
        help="Records hold two texts that belong together, in these fields or columns; adds alignment.",
        show_default=False,
    ),
]


@with_groups
def geometry(
    paths: options.Paths = None,
    index: options.IndexInput = None,
    pairs: PairFields = None,
    vectors: options.ReadyVectors = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """The shape of vectors: directions used, spread, intrinsic dimension, hubs, copies, broken rows.

    \b
    embedcli eval geometry notes/*.txt
    embedcli eval geometry -i notes/
    embedcli eval geometry --vectors vectors.npy
    embedcli eval geometry --pairs question,answer faq.csv
    embedcli eval geometry tickets.csv --column body --fail-under 'effective rank=50'

    Needs no judgements. --vectors FILE.npy without PATH reads the file alone, whatever its rows are.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.input_records import OWN_VECTORS
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import Work, read_inputs
    from embedcli.errors import InputError, UsageError
    from embedcli.tasks.evaluate.geometry import MEASURES, geometry_evaluation, warnings_of
    from embedcli.vectors.geometry import GeometrySurvey

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    if pairs is not None and (index is not None or vectors is not None):
        raise UsageError("--pairs encodes texts: it does not go with --index and --vectors")
    is_file_alone = vectors not in (None, OWN_VECTORS) and not (paths or index or reading.files_from)
    survey = GeometrySurvey(report.seed)
    with ExitStack() as stack:
        if is_file_alone:
            assert vectors is not None
            gates = read_gates(report, [vectors])
            system, alignment = _survey_file(run, survey, vectors), None
        else:
            typed = read_inputs(paths, index, vectors, reading)
            gates = read_gates(report, [*typed.inputs.paths, *filter(None, [vectors, index])])
            progress = stack.enter_context(Progress("records", enabled=not quiet))
            whole = "geometry is that of one vector a record"
            work = Work(stack, run, progress, typed, encoding, None, whole)
            if pairs is None:
                system, alignment = _survey_records(work, survey), None
            else:
                system, alignment = _survey_pairs(work, survey, pairs)
            run.stop_if_nothing_was_read()
        found = survey.measure(encoding.jobs or 1)
    with run.naming_left_out():
        if not found.rows:
            raise InputError("nothing to measure: no record has a vector")
    for said in warnings_of(found):
        run.notice(said)
    finish_eval(run, geometry_evaluation(system, found, alignment), report, gates, MEASURES)


def _survey_file(run: "Run", survey: "GeometrySurvey", path: str) -> str:
    """Take the rows of a file; return what they are called."""
    from embedcli.tasks.carried import ready_rows
    from embedcli.tasks.evaluate.geometry import iter_rows

    for block in iter_rows(ready_rows(path)):
        survey.add(block)
        run.counts.read += len(block)
    return path


def _survey_records(work: "Work", survey: "GeometrySurvey") -> str:
    """Take the vectors of records; return whose they are."""
    from embedcli.tasks.carried import CarriedVectors
    from embedcli.tasks.evaluate.geometry import iter_vectors

    if work.typed.carries_vectors:
        system = work.typed.rows or "vectors"
        blocks = iter_vectors(work.records(), CarriedVectors(), is_lookup=True)
    else:
        vectorizer = work.vectorizer()
        system = vectorizer.model.manifest.name
        blocks = iter_vectors(work.records(), vectorizer, is_lookup=vectorizer.is_lookup)
    for block in blocks:
        survey.add(block)
    return system


def _survey_pairs(work: "Work", survey: "GeometrySurvey", names: str) -> tuple[str, float | None]:
    """Take both sides of pairs; return whose vectors they are, and their alignment; None without pairs.

    Raises:
        UsageError: These are not two names.
    """
    from embedcli.cli.match_run import typed_pairs
    from embedcli.errors import UsageError
    from embedcli.tasks.evaluate.geometry import pair_vectors
    from embedcli.vectors.geometry import alignment

    sides = tuple(name.strip() for name in names.split(","))
    if len(sides) != 2 or not all(sides):
        raise UsageError(f"--pairs {names!r}: two fields or columns, with a comma between them")
    vectorizer = work.vectorizer()
    found = pair_vectors(typed_pairs(work, sides), vectorizer)
    survey.add(found.left)
    survey.add(found.right)
    return vectorizer.model.manifest.name, alignment(*found) if len(found.left) else None
