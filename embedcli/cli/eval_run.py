"""What is done with an evaluation: shown, saved, and held against limits."""

from typing import TYPE_CHECKING, NamedTuple, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from embedcli.cli.eval_options import ReportOptions
    from embedcli.cli.run import Run
    from embedcli.reports import Evaluation
    from embedcli.tasks.evaluate.gates import Gate
    from embedcli.write.target import Output


class Gates(NamedTuple):
    """The limits of a run, read before it begins.

    Attributes:
        least: What figures have to reach.
        saved: A run that this one may not be worse than; None for none.
    """

    least: "tuple[Gate, ...]"
    saved: "Evaluation | None"


def read_gates(report: "ReportOptions", inputs: "Sequence[str]" = ()) -> Gates:
    """Return the limits that were typed, and refuse outputs that would replace each other or an input.

    Raises:
        UsageError: A limit makes no sense, or two files are one.
        InputError: The saved run cannot be read.
        OutputError: There is no folder for what is to be written.
    """
    from pathlib import Path

    from embedcli.cli.resolve import check_paths
    from embedcli.errors import OutputError
    from embedcli.tasks.evaluate.gates import parse_gate
    from embedcli.tasks.evaluate.saved import read_saved

    # A night's run may take the place of the one that it was compared with.
    written = {"-o": report.output, "--save": report.save, "--per-query": report.per_item}
    check_paths(inputs, written, None)
    for option, path in written.items():
        if path is not None and not Path(path).parent.is_dir():
            raise OutputError(f"{option} {path}: there is no such folder")
    least = tuple(parse_gate(text) for text in report.fail_under or ())
    return Gates(least, None if report.no_worse_than is None else read_saved(Path(report.no_worse_than)))


def check_metrics(gates: Gates, metrics: "Sequence[str]") -> None:
    """Refuse a limit on what will not be measured, before hours of work.

    Raises:
        UsageError: There is one.
    """
    from embedcli.errors import UsageError

    known = {metric.lower() for metric in metrics}
    for gate in gates.least:
        if gate.metric.lower() not in known:
            raise UsageError(f"--fail-under: no measure {gate.metric!r}", hint=", ".join(metrics))


def finish_eval(
    run: "Run",
    evaluation: "Evaluation",
    report: "ReportOptions",
    gates: Gates,
    notes: "Mapping[str, str] | None" = None,
    write_before: "Callable[[Output], None]" = lambda _output: None,
) -> NoReturn:
    """Show an evaluation, save it, and end the command: exit code 1 where a limit was missed.

    What is saved is in place before the exit code is known, so that a run that missed can be looked at.

    Args:
        run: Counts, and says notices.
        evaluation: What was measured.
        report: What was typed about figures.
        gates: From `read_gates`.
        notes: What metrics mean, for a table with a row for each of them; None for a row for each system.
        write_before: Writes what stands before them.
    """
    from embedcli.cli.run import EXIT_NOTHING, EXIT_OK
    from embedcli.cli.terminal import say
    from embedcli.tasks.evaluate.gates import judge, judge_against

    verdicts = [judge(evaluation, gate) for gate in gates.least]
    if gates.saved is not None:
        against = gates.least or (None,)
        verdicts += [judge_against(evaluation, gates.saved, gate) for gate in against]
    _show(run, evaluation, report, notes, write_before)
    missed = [verdict for verdict in verdicts if not verdict.is_met]
    for verdict in verdicts:
        if verdict.is_met:
            run.notice(f"met: {verdict.reason}")
        else:
            say(f"missed: {verdict.reason}")
    run.finish(EXIT_NOTHING if missed else EXIT_OK)


def _show(
    run: "Run",
    evaluation: "Evaluation",
    report: "ReportOptions",
    notes: "Mapping[str, str] | None",
    write_before: "Callable[[Output], None]",
) -> None:
    from embedcli.tasks.evaluate.measured import figures
    from embedcli.tasks.evaluate.saved import write_saved
    from embedcli.write.figures import write_figure_objects, write_figures, write_items, write_measures
    from embedcli.write.target import open_output

    shown = figures(evaluation)
    with open_output(report.output) as output:
        write_before(output)
        if report.as_json:
            write_figure_objects(shown, output)
        elif notes is not None:
            write_measures(shown, notes, output)
        else:
            write_figures(shown, output)
    if report.per_item is not None:
        with open_output(report.per_item) as output:
            count = write_items(evaluation, output, as_json=report.per_item.endswith((".jsonl", ".json")))
        if not count:
            run.notice(f"--per-query: no measure of eval {evaluation.task} is a mean of values of items")
    if report.save is not None:
        with open_output(report.save) as output:
            write_saved(evaluation, output)
    if not report.as_json:
        has_p = notes is None and any(each.p is not None for each in shown)
        run.notice(_legend(evaluation, has_p=has_p))


def _legend(evaluation: "Evaluation", *, has_p: bool) -> str:
    """Return what the numbers of a table mean."""
    import math

    count, unit = len(evaluation.items), evaluation.unit
    if count == 1:
        unit = f"{unit[:-3]}y" if unit.endswith("ies") else unit.removesuffix("s")
    said = f"{count} {unit}"
    # One without a value is shown without its interval.
    if any(each.low is not None and math.isfinite(each.value) for each in evaluation.measurements):
        said += "; in brackets 95 % intervals"
    if has_p:
        said += f"; p: chance alone makes as large a difference to {evaluation.systems[0]}"
        said += f" in {evaluation.metrics[0]}"
    return said
