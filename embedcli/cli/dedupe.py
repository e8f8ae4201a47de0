"""`embedcli dedupe`."""

from embedcli.cli import dedupe_options as own
from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def dedupe(
    paths: options.Paths = None,
    index: options.IndexInput = None,
    method: own.MethodOption = None,
    threshold: own.Threshold = None,
    lexical_threshold: own.LexicalThreshold = None,
    length_ratio: own.LengthRatio = 0.5,
    keep: own.Keep = "first",
    against: own.Against = None,
    update: own.Update = False,
    window: own.Window = None,
    output: options.Output = None,
    report: own.Report = None,
    dropped: own.Dropped = None,
    mark: own.Mark = False,
    check: own.Check = False,
    undo: own.Undo = None,
    preview: own.PreviewOption = False,
    calibrate: own.Calibrate = False,
    pairs: own.Pairs = None,
    save: own.Save = False,
    seed: own.Seed = 0,
    as_json: own.AsJson = False,
    vectors: options.ReadyVectors = None,
    plan: own.Plan = "auto",
    block_records: own.BlockRecords = 1024,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    lock_timeout: options.LockTimeout = 0.0,
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Drop records that say what a kept one says; write the others as they are, in input order.

    \b
    git log --format=%s | embedcli dedupe --report dups.jsonl
    embedcli dedupe tickets.csv --column body --keep newest:date -o unique.csv
    embedcli dedupe train.jsonl --against test.jsonl > clean.jsonl
    embedcli dedupe feed.jsonl --against seen.emb --update
    tail -f app.log | embedcli dedupe -m static --window 10000
    if embedcli dedupe --check -q questions.txt; then echo 'no duplicates'; fi
    embedcli dedupe --undo dups.jsonl kept.txt > all.txt
    embedcli dedupe --calibrate -m my-model mail.txt --save

    Stages: the same text (exact); the same but for case, spaces and punctuation (normalized); most of the
    characters in common (lexical, if asked for); the same meaning (semantic). Each dropped record was
    compared with the kept one that the report names. Counts are said on standard error. Of texts after one
    pattern, --preview shows which would go.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack
    from dataclasses import replace

    from embedcli.cli import dedupe_parts as parts
    from embedcli.cli.dedupe_calibrate import calibrate_threshold
    from embedcli.cli.dedupe_preview import preview_threshold
    from embedcli.cli.dedupe_run import decide, open_comparing
    from embedcli.cli.resolve import check_paths, choice
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK, Run
    from embedcli.cli.terminal import Progress
    from embedcli.encode.processors import usable_cpus
    from embedcli.tasks.dedupe import DedupeSettings
    from embedcli.tasks.places import index_path
    from embedcli.tasks.preference import Preference
    from embedcli.tasks.star_plan import StarPlan

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    if undo is not None:
        parts.restore(undo, paths, output, run)
    methods, preference = parts.read_methods(method), Preference.parse(keep)
    parts.check_options(
        methods,
        {
            "--check": check,
            "--mark": mark,
            "--preview": preview,
            "--window": window,
            "--index": index,
            "--output": output,
            "--report": report,
            "--dropped": dropped,
            "--update": update,
            "--against": against,
            "--pairs": pairs,
            "--save": save,
            "--seed": seed,
            "--json": as_json,
            "--threshold": threshold,
            "--lexical-threshold": lexical_threshold,
            "--vectors": vectors,
            "--calibrate": calibrate,
            "PATH": paths,
            "--files-from": reading.files_from,
            "--keep": keep != "first",
        },
    )
    if calibrate:
        calibrate_threshold(reading, encoding, paths, run, pairs=pairs, seed=seed, as_json=as_json, save=save)
    # Without a report, one duplicate is all there is to know.
    to_first = check and report is None and dropped is None
    past = parts.read_against(against, update=update)
    inputs = reading.inputs(paths, or_stdin=index is None, names_out=True)
    source = None if index is None else index_path(index)
    others = {"--report": report, "--dropped": dropped, "--stats-json": stats_json}
    check_paths([*inputs.paths, *(against or ())], others, output)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("records", enabled=not quiet))
        comparing = open_comparing(
            *(stack, run, methods, past, encoding, vectors, threshold),
            update=update,
            inputs=inputs,
            source=source,
            lock_timeout=lock_timeout,
        )
        settings = DedupeSettings(
            methods,
            comparing.threshold,
            length_ratio=length_ratio,
            window=window,
            jobs=encoding.jobs or usable_cpus(),
            plan=choice("--plan", plan, StarPlan),
        )
        if lexical_threshold is not None:
            settings = replace(settings, lexical_threshold=lexical_threshold)
        if preview:
            preview_threshold(
                *(inputs, comparing, settings, preference, run, progress), seed=seed, as_json=as_json
            )
        with parts.open_sink(
            comparing, output, report, dropped, mark=mark, check=check, update=update
        ) as sink:
            tally = decide(
                *(inputs, comparing, sink, run, progress, settings, preference, block_records),
                null=reading.null,
                to_first=to_first,
            )
            run.stop_if_nothing_was_read()
    run.counts.written = 0 if check else tally.kept
    if check and tally.first is not None:
        parts.say_first(tally.first, run)
    parts.tell_counts(tally, comparing.how, run, is_said=not to_first)
    run.finish(EXIT_NOTHING if check and tally.first is not None else EXIT_OK)
