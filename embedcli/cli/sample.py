"""`embedcli sample`."""

from embedcli.cli import options
from embedcli.cli import sample_options as own
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def sample(
    paths: options.Paths = None,
    index: options.IndexInput = None,
    diverse: own.Diverse = None,
    representative: own.Representative = None,
    outliers: own.Outliers = None,
    random: own.Random = None,
    like: own.Like = None,
    novel: own.Novel = None,
    hard_negatives: own.HardNegatives = False,
    top_k: own.TopK = None,
    max_score: own.MaxScore = None,
    update: own.Update = False,
    query_field: own.QueryField = None,
    positive_field: own.PositiveField = None,
    corpus: own.Corpus = None,
    guide: own.Guide = None,
    no_guide: own.NoGuide = False,
    margin: own.Margin = None,
    seed: own.Seed = None,
    output: options.Output = None,
    as_json: own.AsJson = False,
    vectors: options.ReadyVectors = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    lock_timeout: options.LockTimeout = 0.0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Choose records that are worth a look; write them as they are, in input order.

    \b
    embedcli sample --diverse 40 tickets.csv --column body > to-label.csv
    embedcli sample --representative 10 reviews.jsonl
    embedcli sample --outliers 20 --json app.log
    embedcli sample --random 1000 --seed 7 < all.txt
    embedcli sample --like @good.txt -n 500 pool.jsonl > more.jsonl
    embedcli sample --novel seen.emb --update < today.log && echo 'something new'
    embedcli sample --hard-negatives -n 5 pairs.jsonl --corpus texts.txt > triplets.jsonl

    No text is chosen twice as long as there are others (but by --random, which draws records), and blank
    records never are. What was chosen, and how well it stands for the rest, is said on standard error.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli import sample_parts as parts
    from embedcli.cli import sample_run as runs
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import read_inputs

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    mode = parts.read_mode(
        {
            "--diverse": diverse,
            "--representative": representative,
            "--outliers": outliers,
            "--random": random,
            "--like": like,
            "--novel": novel,
            "--hard-negatives": hard_negatives,
        },
        top_k,
    )
    parts.check_options(
        mode.name,
        {
            "-n": top_k is not None,
            "--max-score": max_score is not None,
            "--update": update,
            "--query-field": query_field is not None,
            "--positive-field": positive_field is not None,
            "--corpus": bool(corpus),
            "--guide": guide is not None,
            "--no-guide": no_guide,
            "--margin": margin is not None,
            "--seed": seed is not None,
            "--vectors": vectors is not None,
            "--index": index is not None,
            "--json": as_json,
        },
    )
    with ExitStack() as stack:
        work = runs.SampleWork(
            *(stack, run, stack.enter_context(Progress("records", enabled=not quiet))),
            *(read_inputs(paths, index, vectors, reading), encoding, output),
            as_json=as_json,
        )
        found: int | None = None
        if mode.name == "--random":
            runs.choose_random(work, mode.wanted, seed or 0)
        elif mode.name == "--hard-negatives":
            runs.mine(
                work,
                parts.mining(mode, query_field, positive_field, margin, guided=not no_guide),
                corpus,
                guide,
            )
        elif mode.name == "--novel":
            past = parts.Past(novel or "", parts.read_bound(max_score), lock_timeout, update=update)
            found = runs.choose_novel(work, past, mode.most)
        elif mode.name == "--like":
            runs.choose_alike(work, like or [], mode.wanted)
        else:
            runs.choose(work, mode.name, mode.wanted)
    run.finish(EXIT_NOTHING if found == 0 else EXIT_OK)
