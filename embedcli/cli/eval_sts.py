"""`embedcli eval sts`."""

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_judged import PairNames
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def sts(
    paths: options.Paths = None,
    pairs: PairNames = None,
    report: ReportOptions = ReportOptions(),
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Measure whether cosines rank pairs of texts as people do: Spearman and Pearson correlation.

    \b
    embedcli eval sts stsb-en-test.csv --no-header
    embedcli eval sts judged.jsonl --pairs sentence1,sentence2,score -m static
    embedcli eval sts judged.csv --fail-under spearman=0.8

    The last row is what the words alone reach: the cosine of TF-IDF vectors.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_judged import Judgement, judged_inputs, score_pairs
    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.run import Run
    from embedcli.tasks.evaluate.sts import evaluate_sts
    from embedcli.tasks.judged_pairs import read_score

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    judged = judged_inputs(paths, reading, pairs, Judgement("score", read_score))
    gates = read_gates(report, judged.inputs.paths)
    with ExitStack() as stack:
        scored, vectorizer = score_pairs(stack, judged, encoding, run)
    finish_eval(run, evaluate_sts(scored, vectorizer.model.manifest.name, report.seed), report, gates)
