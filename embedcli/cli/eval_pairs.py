"""`embedcli eval pairs`."""

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_judged import PairNames
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def pairs(
    paths: options.Paths = None,
    names: PairNames = None,
    report: ReportOptions = ReportOptions(),
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Measure whether pairs that belong together are told from others: average precision, ROC-AUC, F1.

    \b
    embedcli eval pairs duplicates.csv --pairs text_a,text_b,is_duplicate
    embedcli eval pairs judged.jsonl -m static --json
    embedcli eval pairs judged.csv --fail-under AP=0.9

    F1 is that of decisions by a threshold from the other half of the pairs. The last row is what the words
    alone reach: the cosine of TF-IDF vectors.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_judged import Judgement, judged_inputs, score_pairs
    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.run import Run
    from embedcli.tasks.evaluate.pairs import evaluate_pairs
    from embedcli.tasks.judged_pairs import read_label

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    judged = judged_inputs(paths, reading, names, Judgement("label", read_label))
    gates = read_gates(report, judged.inputs.paths)
    with ExitStack() as stack:
        scored, vectorizer = score_pairs(stack, judged, encoding, run)
    finish_eval(run, evaluate_pairs(scored, vectorizer.model.manifest.name, report.seed), report, gates)
