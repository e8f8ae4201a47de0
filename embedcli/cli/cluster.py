"""`embedcli cluster`."""

from embedcli.cli import cluster_options as own
from embedcli.cli import options
from embedcli.cli.cluster_shown import ShownOptions, StateOptions
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def cluster(
    paths: options.Paths = None,
    index: options.IndexInput = None,
    method: own.Method = None,
    clusters: own.Clusters = None,
    auto: own.Auto = False,
    threshold: own.Threshold = None,
    resolution: own.Resolution = None,
    min_size: own.MinSize = None,
    assign_noise: own.AssignNoise = False,
    seed: own.Seed = 0,
    shown: ShownOptions = ShownOptions(),
    remembered: StateOptions = StateOptions(),
    output: options.Output = None,
    vectors: options.ReadyVectors = None,
    instruct: own.Instruct = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Put records that mean alike into clusters; write them with their cluster, in input order.

    \b
    embedcli cluster tickets.csv --column body > clustered.csv
    embedcli cluster -k 20 tickets.csv --column body > clustered.csv
    embedcli cluster --auto --summary < answers.txt
    embedcli cluster --method density --min-size 20 app.log > clustered.jsonl
    embedcli cluster --threshold 0.8 -i notes/ > clustered.jsonl
    embedcli cluster -k 20 --split-into topics tickets.csv --column body
    embedcli cluster --state topics.state --events events.jsonl tickets.csv > clustered.csv

    Tables get columns, and objects fields: cluster, cluster_name, cluster_score; lines become objects.
    Clusters are numbered from 0, the largest first; -1 is noise.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.cluster_run import ClusterWork
    from embedcli.cli.resolve import check_paths, choice
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import read_inputs
    from embedcli.tasks.cluster import ClusterSettings, Method, method_for

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    wanted: Method = (
        method_for(clusters, threshold, auto=auto) if method is None else choice("--method", method, Method)
    )
    settings = ClusterSettings(*(wanted, clusters, auto, threshold, resolution, min_size, assign_noise, seed))
    shown.check(output)
    remembered.check()
    typed = read_inputs(paths, index, vectors, reading)
    written = {"--state": remembered.state, "--events": remembered.events, "--stats-json": stats_json}
    check_paths(typed.inputs.paths, written, output)
    with ExitStack() as stack:
        work = ClusterWork(
            *(stack, run, stack.enter_context(Progress("records", enabled=not quiet))),
            *(typed, encoding, output),
            instruct=instruct,
            shown=shown,
            remembered=remembered,
        )
        work.cluster(settings)
    run.finish()
