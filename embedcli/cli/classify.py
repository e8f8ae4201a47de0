"""`embedcli classify`."""

from embedcli.cli import classify_options as own
from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions


@with_groups
def classify(
    paths: options.Paths = None,
    index: options.IndexInput = None,
    labels: own.Labels = None,
    labels_file: own.LabelsFile = None,
    template: own.Template = None,
    examples: own.Examples = None,
    label_field: own.LabelField = None,
    head: own.HeadOption = None,
    neighbors: own.Neighbors = None,
    save: own.Save = None,
    load: own.Load = None,
    abstain: own.Abstain = None,
    min_score: own.MinScore = None,
    min_margin: own.MinMargin = None,
    multi: own.Multi = False,
    top_k: own.TopK = None,
    counts: own.Counts = False,
    gold: own.Gold = None,
    as_json: own.AsJson = False,
    taxonomy: own.Taxonomy = None,
    hub_correct: own.HubCorrect = False,
    prefix: own.Prefix = "",
    seed: own.Seed = 0,
    output: options.Output = None,
    vectors: options.ReadyVectors = None,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Give each record a label: by the labels' names, by descriptions, or by examples.

    \b
    embedcli classify --labels refund,delivery,password tickets.csv --column body > labelled.csv
    embedcli classify --examples train.csv --label-field category --abstain 0.95 new.csv
    embedcli classify --examples train.csv --save intents.head
    tail -f chat.jsonl | embedcli classify --load intents.head
    embedcli classify --load intents.head --gold category test.csv

    Lines become objects; tables get columns, and objects fields: label (empty or null where a record is left
    open), score, margin. What was learnt, and how many were left open, is said on standard error.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli import classify_parts as parts
    from embedcli.cli.classify_run import ClassifyWork, Deciding
    from embedcli.cli.resolve import check_paths
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import Typed, read_inputs
    from embedcli.datatypes import STDIN_NAME
    from embedcli.tasks.classify import AnswerSettings
    from embedcli.tasks.label_set import LABEL_FIELD

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    parts.check_options(
        {
            "--labels": labels,
            "--labels-file": labels_file,
            "--template": template,
            "--examples": examples,
            "--label-field": label_field,
            "--head": head,
            "--neighbors": neighbors,
            "--save": save,
            "--load": load,
            "--abstain": abstain,
            "--min-score": min_score,
            "--min-margin": min_margin,
            "--multi": multi,
            "-n": top_k,
            "--counts": counts,
            "--gold": gold,
            "--json": as_json,
            "--taxonomy": taxonomy,
            "--hub-correct": hub_correct,
            "--prefix": prefix,
        }
    )
    field = LABEL_FIELD if label_field is None else label_field
    if examples is not None:
        parts.check_text_fields("--label-field", field, reading)
    if gold is not None:
        parts.check_text_fields("--gold", gold, reading)
    learning = parts.Learning(
        *(labels, labels_file, template, examples, field, load),
        parts.train_settings(head, neighbors, many=multi, seed=seed),
    )
    deciding = Deciding(
        AnswerSettings(min_score, min_margin, top_k, multi),
        *(parts.read_target(abstain), taxonomy, hub_correct, counts, gold, as_json, prefix),
    )
    learns_only = save is not None and not paths and index is None and not reading.files_from
    typed = (
        Typed(reading.inputs(None, or_stdin=False), None, None, vectors is not None, reading)
        if learns_only
        else read_inputs(paths, index, vectors, reading)
    )
    parts.check_stdin(
        {"--examples": examples, "--labels-file": labels_file, "--taxonomy": taxonomy},
        stdin_is_taken=STDIN_NAME in typed.inputs.paths,
    )
    files = {"--examples": examples, "--labels-file": labels_file, "--taxonomy": taxonomy, "--load": load}
    read = [*typed.inputs.paths, *filter(None, [*files.values(), vectors, index])]
    check_paths(read, {"--save": save, "--stats-json": stats_json}, output)
    # Only the records themselves may be replaced by what is made of them.
    check_paths([*filter(None, files.values())], {"--output": output}, None)
    with ExitStack() as stack:
        work = ClassifyWork(
            *(stack, run, stack.enter_context(Progress("records", enabled=not quiet))),
            *(typed, encoding, output),
        )
        trained, source = work.learn(learning)
        if save is not None:
            work.save(save, trained, source)
        if not learns_only:
            work.classify(trained, deciding)
    run.finish()
