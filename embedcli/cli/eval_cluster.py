"""`embedcli eval cluster`."""

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_labelled import Label
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def cluster(
    paths: options.Paths = None,
    label: Label = "label",
    vectors: options.ReadyVectors = None,
    report: ReportOptions = ReportOptions(),
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Measure whether clusters agree with labels: V-measure, adjusted Rand index, mutual information.

    \b
    embedcli eval cluster tickets.csv --column body --label category
    embedcli eval cluster news.csv --no-header --column 2 --column 3 --label 1
    embedcli eval cluster tickets.jsonl --label category --fail-under V-measure=0.5

    There are as many clusters as labels, by k-means and as communities. The last row is k-means on the words
    alone: TF-IDF vectors.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_labelled import LabelledWork, read_typed
    from embedcli.cli.eval_run import finish_eval
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import read_inputs
    from embedcli.tasks.evaluate.clustering import evaluate_clusters

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    typed = read_inputs(paths, None, vectors, reading)
    gates = read_typed(label, report, typed)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("records", enabled=not quiet))
        work = LabelledWork(stack, run, progress, typed, encoding, None)
        texts = work.read(work.records(), label)
    finish_eval(run, evaluate_clusters(texts, report.seed, work.jobs), report, gates)
