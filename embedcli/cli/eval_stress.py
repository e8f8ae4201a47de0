"""`embedcli eval stress`."""

from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions

if TYPE_CHECKING:
    from contextlib import ExitStack

    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.reports import Evaluation

Paths: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[PATH]...",
        help="Texts to probe with instead of built-in ones; with --limit, a test collection.",
        show_default=False,
    ),
]
Probes: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        "--probe",
        metavar="NAME",
        help="Only this one: sentence, order, negation, numbers, length, typos, position; repeatable.",
        show_default=False,
    ),
]
Limit: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--limit", help="Every pair of documents answers a question: hybrid, dense and BM25 side by side."
    ),
]


@with_groups
def stress(
    paths: Paths = None,
    probe: Probes = None,
    limit: Limit = False,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """What does an encoder see: word order, negation, numbers, one sentence of many, typos, and what not?

    \b
    embedcli eval stress
    embedcli eval stress --probe order --probe negation -m static
    embedcli eval stress notes/ --format whole --probe sentence --probe typos
    embedcli eval stress --limit
    embedcli eval stress --limit limit-small/

    Each row has what guessing gives, and what a bag of words is known to give. negation and numbers have
    texts of their own; the others take those of PATH.
    """  # noqa: D301  (\b keeps the lines apart)
    from contextlib import ExitStack

    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.resolve import choice
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.errors import UsageError
    from embedcli.tasks.evaluate.limit import CAPACITY
    from embedcli.tasks.evaluate.probes import MEANINGS
    from embedcli.tasks.evaluate.stress import PROBES, Probe
    from embedcli.tasks.evaluate.stress import stress as probe_all

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    wanted = [each for each in PROBES if each in {choice("--probe", name, Probe) for name in probe or PROBES}]
    gates = read_gates(report, paths or ())
    if limit:
        if probe or len(paths or ()) > 1:
            raise UsageError("--limit is a test by itself, of one folder at most", hint="without --probe")
        with ExitStack() as stack:
            evaluation = _limit(stack, run, paths[0] if paths else None, encoding, report.seed)
        run.notice(CAPACITY)
        finish_eval(run, evaluation, report, gates)
    with ExitStack() as stack:
        progress = stack.enter_context(Progress("records", enabled=not quiet))
        has_texts = bool(paths or reading.files_from)
        texts = _texts(run, progress, paths, reading, report.seed) if has_texts else None
        vectorizer = encoding.open(stack, run, reads_files=True)
        name = vectorizer.model.manifest.name
        found = probe_all(name, vectorizer, wanted, texts, report.seed, run.notice)
    finish_eval(run, found, report, gates, MEANINGS)


def _limit(
    stack: "ExitStack", run: "Run", folder: str | None, encoding: EncodeOptions, seed: int
) -> "Evaluation":
    """Return what hybrid, dense and BM25 search reach over a set in which pairs answer questions.

    Args:
        stack: Removes what is made.
        run: Counts, and says notices.
        folder: The user's test collection; None for a generated one.
        encoding: What was typed about the encoder.
        seed: Of the generated set, and of the intervals.
    """
    import tempfile
    from dataclasses import replace
    from pathlib import Path

    from embedcli.cli.eval_retrieval_run import Asked, Corpus, Typed, evaluate_index
    from embedcli.tasks.evaluate.limit import METRICS, chance_recall, count_documents, make_limit, write_limit
    from embedcli.vectors.ranking_measures import parse_metrics

    place = folder
    if place is None:
        place = stack.enter_context(tempfile.TemporaryDirectory(prefix="embedcli-"))
        write_limit(make_limit(seed), Path(place))
    asked = Asked(parse_metrics(METRICS), (), (), None, None, None, None, 100, None)
    # A document is one vector: parts of it would be another task.
    whole = Corpus((), "none", None, None, None)
    once = replace(encoding, on_long=encoding.on_long or "pool")
    found = evaluate_index(stack, Typed(place, None, (), None, None), whole, asked, once, seed, run)
    documents = count_documents(place)
    about = {**found.about, "source": folder or "generated", "documents": documents}
    return replace(found, task="limit", chance=chance_recall(documents), about=about)


def _texts(
    run: "Run", progress: "Progress", paths: list[str] | None, reading: ReadOptions, seed: int
) -> list[str]:
    """Return the user's texts, some of them at random where there are many.

    Raises:
        InputError: There are none; also where no probe would have taken them.
    """
    from embedcli.cli.input_records import input_records
    from embedcli.errors import InputError
    from embedcli.tasks.evaluate.stress import MOST_TEXTS
    from embedcli.tasks.reservoir import random_records

    records = input_records(
        reading.inputs(paths), None, None, lambda _head: None, run, progress, null=reading.null
    )
    with run.naming_left_out():
        chosen = random_records(records, MOST_TEXTS, seed)
        run.stop_if_nothing_was_read()
        if all(record.is_blank for record in chosen):
            raise InputError("no text in the input", hint="without PATH, built-in texts are used")
    return [record.text for record in chosen]
