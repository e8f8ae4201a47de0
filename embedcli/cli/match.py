"""`embedcli match`."""

from embedcli.cli import match_options as own
from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def match(
    paths: own.Sides = None,
    how: own.How = None,
    top_k: own.TopK = None,
    min_score: own.MinScore = None,
    min_margin: own.MinMargin = None,
    one_to_one: own.OneToOne = False,
    blend: own.Blend = None,
    margin: own.Margin = None,
    neighbors: own.Neighbors = None,
    left_field: own.LeftField = None,
    right_field: own.RightField = None,
    comm: own.Comm = False,
    status: own.Status = None,
    drift: own.Drift = False,
    max_p: own.MaxP = None,
    seed: own.Seed = None,
    pairs: own.Pairs = False,
    string: own.String = None,
    output: options.Output = None,
    to: own.To = None,
    as_json: own.AsJson = False,
    vectors: own.OwnVectors = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """For each record of LEFT, find the record of RIGHT that says the same, typos and all.

    \b
    embedcli match asked.txt faq.jsonl --right-field question > answered.jsonl
    embedcli match customers.csv crm.csv --column company --one-to-one --to tsv
    embedcli match new.txt known.emb --how anti --min-score 0.8 > really-new.txt
    embedcli match english.txt german.txt -m my-multilingual --margin ratio --min-score 1.1
    embedcli match --comm monday.txt tuesday.txt --to tsv
    embedcli match --drift last-week.jsonl this-week.jsonl && echo 'something changed'
    embedcli match --pairs pairs.csv > scored.csv
    embedcli match --string 'where is my card' --string 'card has not arrived'

    A score blends the cosine of the vectors with the characters that two texts share, 0 to 1; --blend 0
    leaves the cosine. Exit code 0: something was found; 1: nothing was.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli import match_parts as parts
    from embedcli.cli import match_run as runs
    from embedcli.cli.resolve import choice
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.terminal import Progress
    from embedcli.encode.processors import usable_cpus
    from embedcli.tasks.match import BLEND, NEIGHBORS, MatchSettings
    from embedcli.tasks.match_drift import MAX_P, DriftSettings

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    mode = parts.read_mode(
        {"--pairs": pairs, "--string": bool(string), "--comm": comm, "--drift": drift},
        {
            "--how": how is not None,
            "-n": top_k is not None,
            "--min-score": min_score is not None,
            "--min-margin": min_margin is not None,
            "--one-to-one": one_to_one,
            "--blend": blend is not None,
            "--margin": margin is not None,
            "--neighbors": neighbors is not None,
            "--left-field": bool(left_field),
            "--right-field": bool(right_field),
            "--status": status is not None,
            "--max-p": max_p is not None,
            "--seed": seed is not None,
            "--to": to is not None,
            "--json": as_json,
            "--vectors": vectors is not None,
            "--files-from": reading.files_from is not None,
            "PATH": bool(paths),
        },
    )
    parts.check_numbers(
        {"--min-score": min_score, "--min-margin": min_margin, "--blend": blend, "--max-p": max_p}
    )
    join_how: parts.How = choice("--how", how or "left", parts.How)
    settings = MatchSettings(
        top_k=top_k or 1,
        blend=(0.0 if comm else BLEND) if blend is None else blend,
        ratio=margin is not None and choice("--margin", margin, parts.Margin) == "ratio",
        neighbors=NEIGHBORS if neighbors is None else neighbors,
        min_score=min_score,
        min_margin=min_margin,
        one_to_one=one_to_one or comm,
        jobs=encoding.jobs or usable_cpus(),
    )
    if mode == "LEFT RIGHT":
        parts.check_join(join_how, settings, has_top_k=top_k is not None, has_neighbors=neighbors is not None)
    form, statuses, names = (
        parts.read_form(to, output),
        parts.read_statuses(status),
        parts.pair_names(left_field, right_field) if pairs else (),
    )
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("records", enabled=not quiet))
        sides = parts.read_sides(mode, paths, reading, left_field, right_field, vectors)
        work = runs.MatchWork(
            *(stack, run, progress, sides.left, encoding, output),
            right=sides.right,
            own_vectors=vectors is not None,
            form=form,
        )
        found: float = 0
        if mode == "--string":
            found = runs.score_strings(work, string or [], settings, as_json=as_json)
        elif mode == "--pairs":
            found = runs.score_pairs(work, settings, names)
        elif mode == "--comm":
            found = runs.compare(work, parts.comm_settings(work, settings), statuses)
        elif mode == "--drift":
            wanted = DriftSettings(top_k or DriftSettings().count, seed or 0, settings.jobs)
            found = runs.measure_drift(work, wanted, MAX_P if max_p is None else max_p, as_json=as_json)
        else:
            found = runs.join(work, settings, join_how, are_same=sides.are_same)
    run.finish(EXIT_OK if found else EXIT_NOTHING)
