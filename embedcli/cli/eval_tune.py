"""`embedcli eval tune`."""

from embedcli.cli import eval_retrieval_options as asked
from embedcli.cli import eval_tune_options as own
from embedcli.cli import options
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups


@with_groups
def tune(
    paths: own.Collection = None,
    queries: asked.Queries = None,
    qrels: asked.Qrels = None,
    models: own.Models = None,
    metric: own.Metric = "nDCG@10",
    dims: own.Dims = None,
    dtypes: own.Dtypes = None,
    chunkings: own.Chunkings = None,
    alphas: own.Alphas = None,
    fusions: own.Fusions = None,
    rerank: own.Rerank = False,
    within: own.Within = 0.01,
    max_time: own.MaxTime = "10m",
    no_layers: own.NoLayers = False,
    sample: own.Sample = 2000,
    plot: own.Plot = None,
    write: own.Write = None,
    lock_timeout: options.LockTimeout = 0.0,
    fields: options.Field = None,
    device: options.Device = "auto",
    jobs: options.Jobs = None,
    cache: options.CacheFile = None,
    no_cache: options.NoCache = False,
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Find the settings of index and search that suit your data: quality against bytes and time.

    \b
    embedcli eval tune scifact/ --plot scifact.html
    embedcli eval tune scifact/ -m static --dim 256 --dim 64 --max-time 2m
    embedcli eval tune tickets.jsonl --queries asked.jsonl --qrels judged.tsv --write tickets.emb

    One half of the queries chooses, the other half tells what the choice is worth. Indexes are built and
    asked as index build and search do; vectors come from the cache, so that a second run is short.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_run import check_metrics, finish_eval, read_gates
    from embedcli.cli.eval_tune_run import Tried, TuneRun, write_outputs
    from embedcli.cli.resolve import check_paths, seconds_of
    from embedcli.cli.run import Run
    from embedcli.tasks.evaluate.tune import evaluation_of

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    read = [*(paths or ()), *(path for path in (queries, qrels, write) if path)]
    gates = read_gates(report, read)
    check_metrics(gates, [metric])
    check_paths(read, {"--plot": plot, "--save": report.save, "--per-query": report.per_item}, report.output)
    tried = Tried(models, dims, dtypes, chunkings, alphas, fusions, metric)
    tried.check()
    with ExitStack() as stack:
        work = TuneRun(stack, run, device, jobs, cache, no_cache=no_cache)
        source = work.questions(paths or [], queries, qrels, fields)
        settings = work.settings(
            tried,
            rerank=rerank,
            within=within,
            seed=report.seed,
            max_seconds=seconds_of("--max-time", max_time),
        )
        work.check_index(write)
        tuning = work.tune(source, settings, tried.metric)
        if not no_layers:
            tuning = work.sweep(source, tuning, tried.metric, sample, report.seed)
        tables = write_outputs(run, tuning, report, plot, write, lock_timeout)
    evaluation = evaluation_of(tuning, [record.id for record in source.queries], report.seed)
    finish_eval(run, evaluation, report, gates, write_before=tables)
