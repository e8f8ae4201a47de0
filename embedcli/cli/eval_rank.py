"""`embedcli eval rank`."""

from embedcli.cli import eval_retrieval_options as own
from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def rank(
    paths: options.Paths = None,
    pairs: own.Pairs = None,
    metrics: own.RankMetrics = None,
    max_items: own.MaxItems = None,
    against: own.Against = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Measure how well each text finds its own other half: needs no judgements.

    \b
    embedcli eval rank notes.jsonl                       # by its first sentence, the rest of each text
    embedcli eval rank papers.jsonl --pairs title,abstract
    embedcli eval rank faq.csv --pairs question,answer --against static
    embedcli eval rank faq.tsv --no-header --pairs 1,2 --fail-under MRR@10=0.8

    Of equal texts one is a candidate; equal cosines count against the model.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_rank_run import evaluate, read_pair_names
    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import Work, read_inputs
    from embedcli.tasks.evaluate.rank import DEFAULT_METRICS
    from embedcli.vectors.ranking_measures import parse_metrics

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    wanted = parse_metrics(DEFAULT_METRICS if metrics is None else metrics.split(","))
    names = read_pair_names(pairs)
    typed = read_inputs(paths, None, None, reading)
    gates = read_gates(report, list(paths or ()))
    with ExitStack() as stack, run.naming_left_out():
        progress = stack.enter_context(Progress("texts", enabled=not quiet))
        work = Work(stack, run, progress, typed, encoding, None, "eval rank compares whole texts")
        evaluation = evaluate(work, names, wanted, max_items, against or (), report.seed)
    finish_eval(run, evaluation, report, gates)
