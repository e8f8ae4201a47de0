"""`embedcli eval calibrate`."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_judged import PairNames
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.cli.run import Run
    from embedcli.datatypes import Vectors
    from embedcli.tasks.background import NearestToProbes
    from embedcli.tasks.evaluate.calibrated import Calibrated
    from embedcli.tasks.vectorize import Vectorizer

Precision: TypeAlias = Annotated[
    float | None,
    typer.Option(
        "--precision",
        metavar="RATIO",
        help="Choose the lowest threshold with this precision. Default: the rule of dedupe --calibrate.",
        show_default=False,
    ),
]
CurveFile: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--curve",
        metavar="FILE",
        help="Write precision and recall at every threshold: TSV, or JSON lines in a FILE.jsonl.",
        show_default=False,
    ),
]


@with_groups
def calibrate(
    paths: options.Paths = None,
    pairs: PairNames = None,
    precision: Precision = None,
    curve: CurveFile = None,
    report: ReportOptions = ReportOptions(),
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Choose a threshold on half of your labelled pairs, and measure it on the other half.

    \b
    embedcli eval calibrate judged.csv --pairs text_a,text_b,is_duplicate
    embedcli eval calibrate judged.csv --precision 0.9 --curve curve.tsv
    embedcli eval calibrate judged.csv --precision 0.9 --fail-under recall=0.5

    Beside it stand the threshold for duplicates that the model brings, the cosine that unrelated texts reach
    by chance (search --min-score auto), and what the words alone do.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_judged import Judgement, judged_inputs, score_pairs
    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.resolve import check_paths
    from embedcli.cli.run import Run
    from embedcli.errors import UsageError
    from embedcli.tasks.evaluate.calibrated import evaluate_calibration
    from embedcli.tasks.judged_pairs import read_label

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    if precision is not None and not 0 < precision <= 1:
        raise UsageError(f"--precision {precision:g}: not a share, above 0 to 1", hint="--precision 0.9")
    judged = judged_inputs(paths, reading, pairs, Judgement("label", read_label))
    check_paths(judged.inputs.paths, {"--curve": curve, "--save": report.save}, report.output)
    gates = read_gates(report, judged.inputs.paths)
    with ExitStack() as stack:
        known = _Known(run)
        scored, vectorizer = score_pairs(stack, judged, encoding, run, known.watch)
        others = known.thresholds(vectorizer)
    found = evaluate_calibration(scored, vectorizer.model.manifest.name, precision, others, report.seed)
    _tell(run, found)
    if curve is not None:
        from embedcli.write.figures import write_curve
        from embedcli.write.target import open_output

        with open_output(curve) as output:
            write_curve(found.curve, output, as_json=curve.endswith((".jsonl", ".json")))
    finish_eval(run, found.evaluation, report, gates)


class _Known:
    """Thresholds that an encoder has without labelled pairs."""

    def __init__(self, run: "Run") -> None:
        self._run = run
        self._near: NearestToProbes | None = None

    def watch(self, vectorizer: "Vectorizer") -> "Callable[[Vectors], None] | None":
        """Return who is told of all vectors; None where the model knows too few English words."""
        from embedcli.errors import UsageError
        from embedcli.tasks.background import NearestToProbes, probe_vectors

        try:
            self._near = NearestToProbes(probe_vectors(vectorizer))
        except UsageError as error:
            self._run.notice(f"no bound for unrelated texts: {error}")
            return None
        return self._near.add

    def thresholds(self, vectorizer: "Vectorizer") -> dict[str, float]:
        """Return them by name."""
        from embedcli.tasks.background import UNRELATED_RATIO

        duplicates = vectorizer.model.manifest.duplicates
        found = {} if duplicates is None else {"for duplicates": duplicates.threshold}
        if self._near is not None:
            found["by chance"] = self._near.bound(UNRELATED_RATIO)
        return found


def _tell(run: "Run", found: "Calibrated") -> None:
    """Say which threshold was chosen, and how it did where it was."""
    chosen, about = found.chosen, found.evaluation.about
    half = int(str(about["pairs"])) - len(found.evaluation.items)
    run.notice(
        f"--threshold {chosen.value:g}: precision {chosen.precision:.3f}, recall {chosen.recall:.3f} on the"
        f" {half} pairs that it was chosen on"
    )
    if not found.is_precise:
        run.notice(f"no threshold has the precision {about['precision']:g} there: the best compromise")
