"""`embedcli eval classify`."""

from typing import Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_labelled import Label
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions

Train: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--train",
        metavar="FILE",
        help="Learn from these labelled records. Default: from the other folds of the input.",
        show_default=False,
    ),
]
Shots: TypeAlias = Annotated[
    str,
    typer.Option("--shots", metavar="N,…", help="Examples of each label to learn from; all for all."),
]
Draws: TypeAlias = Annotated[
    int, typer.Option("--draws", metavar="N", min=1, help="Choices of the examples that are averaged.")
]


@with_groups
def classify(
    paths: options.Paths = None,
    label: Label = "label",
    train: Train = None,
    shots: Shots = "all",
    draws: Draws = 5,
    vectors: options.ReadyVectors = None,
    report: ReportOptions = ReportOptions(),
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Measure how often labels are found from examples: accuracy and macro-F1 of the heads of classify.

    \b
    embedcli eval classify tickets.csv --column body --label category
    embedcli eval classify test.csv --train train.csv --label category --shots 1,4,16,all
    embedcli eval classify tickets.jsonl --label category --fail-under accuracy=0.9

    Without --train each record is asked about after learning from others. The last row is logistic regression
    on the words alone: TF-IDF vectors.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.classify_parts import check_stdin, read_example_records
    from embedcli.cli.eval_labelled import LabelledWork, read_typed
    from embedcli.cli.eval_run import finish_eval
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.cli.work import read_inputs
    from embedcli.datatypes import STDIN_NAME
    from embedcli.tasks.evaluate.classification import (
        Learning,
        count_alone,
        evaluate_classification,
        most_examples,
        parse_shots,
    )

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    learning = Learning(parse_shots(shots), draws, report.seed)
    typed = read_inputs(paths, None, vectors, reading)
    check_stdin({"--train": train}, stdin_is_taken=STDIN_NAME in typed.inputs.paths)
    gates = read_typed(label, report, typed, train)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("records", enabled=not quiet))
        work = LabelledWork(stack, run, progress, typed, encoding, None)
        learnt = None
        if train is not None:
            learnt = work.read(read_example_records(train, reading, "--train"), label)
        texts = work.read(work.records(), label)
    alone = 0 if learnt is not None else count_alone(texts)
    if alone:
        run.notice(
            f"{alone} labels have one text: there is no other to learn them from, and it counts as wrong"
        )
    evaluation = evaluate_classification(texts, learnt, learning)
    most = most_examples(texts, learnt, report.seed)
    for wanted in learning.shots:
        if wanted is not None and wanted > most:
            run.notice(f"--shots {wanted}: no label has more than {most} to learn from: all are taken")
    finish_eval(run, evaluation, report, gates)
