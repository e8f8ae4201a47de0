"""`embedcli eval retrieval`."""

from contextlib import ExitStack

from embedcli.cli import eval_retrieval_options as own
from embedcli.cli import options, search_options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups


@with_groups
def retrieval(
    folder: own.Collection = None,
    index: own.Index = None,
    runs: own.Runs = None,
    queries: own.Queries = None,
    qrels: own.Qrels = None,
    metrics: own.Metrics = None,
    systems: own.Systems = None,
    rerank: own.Rerank = None,
    rerank_depth: search_options.RerankDepth = None,
    rerank_weight: search_options.RerankWeight = None,
    fuse: search_options.Fuse = None,
    alpha: search_options.Alpha = None,
    depth: own.Depth = None,
    write_runs: own.WriteRuns = None,
    field: own.CorpusField = None,
    chunking: options.IndexChunking = None,
    chunk_tokens: options.ChunkTokens = None,
    chunk_overlap: options.ChunkOverlap = None,
    context_title: options.ContextTitle = None,
    encoding: EncodeOptions = EncodeOptions(),
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Measure a search against judgements: hybrid, dense and BM25 over a test collection or an index.

    \b
    embedcli eval retrieval scifact/
    embedcli eval retrieval scifact/ --rerank maxsim --metrics nDCG@10,recall@100
    embedcli eval retrieval -i docs.emb --queries asked.jsonl --qrels judged.tsv
    embedcli eval retrieval --run ours.trec --run theirs.trec --qrels judged.tsv
    embedcli eval retrieval scifact/ --save monday.json --fail-under nDCG@10=0.7

    Measures are those of trec_eval, 0 to 1; of equal scores the less relevant document goes first. A query
    for which nothing was found counts as 0.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.eval_retrieval_run import Asked, Corpus, Typed, evaluate_index, evaluate_runs
    from embedcli.cli.eval_run import check_metrics, finish_eval, read_gates
    from embedcli.cli.run import Run
    from embedcli.tasks.evaluate.retrieval import search_depth
    from embedcli.vectors.ranking_measures import DEFAULT_METRICS, parse_metrics

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    wanted = parse_metrics(DEFAULT_METRICS if metrics is None else metrics.split(","))
    typed = Typed(folder, index, tuple(runs or ()), queries, qrels)
    typed.check(
        {
            "--systems": systems is not None,
            "--rerank": bool(rerank),
            "--fuse": fuse is not None,
            "--alpha": alpha is not None,
            "--depth": depth is not None,
            "--write-runs": write_runs is not None,
        },
        {
            "--field": bool(field),
            "--chunking": chunking is not None,
            "--chunk-tokens": chunk_tokens is not None,
            "--chunk-overlap": chunk_overlap is not None,
            "--context-title": context_title is not None,
            "--on-long": encoding.on_long is not None,
        },
    )
    gates = read_gates(report, typed.read())
    check_metrics(gates, [metric.name for metric in wanted])
    if typed.runs:
        finish_eval(run, evaluate_runs(typed, wanted, report.seed, run), report, gates)
    asked = Asked(
        wanted,
        tuple(systems.split(",")) if systems else (),
        tuple(rerank or ()),
        rerank_depth,
        rerank_weight,
        fuse,
        alpha,
        depth or search_depth(wanted),
        write_runs,
    )
    corpus = Corpus(tuple(field or ()), chunking, chunk_tokens, chunk_overlap, context_title)
    asked.check()
    with ExitStack() as stack:
        evaluation = evaluate_index(stack, typed, corpus, asked, encoding, report.seed, run)
    finish_eval(run, evaluation, report, gates)
