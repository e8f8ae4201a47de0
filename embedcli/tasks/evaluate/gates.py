"""Limits that a measured figure has to meet, for a check in one line of cron."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import UsageError
from embedcli.tasks.evaluate.measured import difference_p

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.reports import Evaluation, Measurement


class Gate(NamedTuple):
    """The least that a figure may be.

    Attributes:
        system: Of which system; None for the first of the table.
        metric: In which measure, whatever the case of its letters.
        least: The value that is enough.
    """

    system: str | None
    metric: str
    least: float


class Verdict(NamedTuple):
    """What came of a gate.

    Attributes:
        is_met: Whether the figure is good enough.
        reason: Both numbers, in words.
    """

    is_met: bool
    reason: str


def parse_gate(text: str) -> Gate:
    """Return the gate that `METRIC=VALUE` or `SYSTEM:METRIC=VALUE` means.

    Raises:
        UsageError: It is neither.
    """
    name, is_there, value = text.rpartition("=")
    try:
        least = float(value)
    except ValueError:
        least = math.nan
    system, _, metric = name.rpartition(":")
    if not is_there or not metric or not math.isfinite(least):
        raise UsageError(
            f"--fail-under {text!r}: no measure and number", hint="nDCG@10=0.6, or dense:nDCG@10=0.6"
        )
    return Gate(system or None, metric, least)


def for_each_system(gates: Sequence[Gate], systems: Sequence[str]) -> tuple[Gate, ...]:
    """Return gates of which one without a system holds for each: no system is the first among others."""
    return tuple(
        gate._replace(system=system)
        for gate in gates
        for system in (systems if gate.system is None else (gate.system,))
    )


def judge(evaluation: Evaluation, gate: Gate) -> Verdict:
    """Return whether a figure reaches the least that is wanted; one without a value does not.

    Raises:
        UsageError: There is no such system or measure.
    """
    found = measurement_of(evaluation, gate.system, gate.metric)
    if math.isnan(found.value):
        return Verdict(is_met=False, reason=f"{found.system} {found.metric} has no value")
    is_met = found.value >= gate.least
    sign = ">=" if is_met else "<"
    return Verdict(is_met, f"{found.system} {found.metric} {found.value:.4f} {sign} {gate.least:g}")


def judge_against(evaluation: Evaluation, saved: Evaluation, gate: Gate | None = None) -> Verdict:
    """Return whether a figure is not significantly below the same one of a saved run.

    Items that both runs have are compared, pair by pair. A measure that is no mean needs the same items.

    Args:
        evaluation: Of this run.
        saved: Of another one.
        gate: Says which figure; None for the first of the table.

    Raises:
        UsageError: The saved run has no such figure, or is of another task or other items.
    """
    from embedcli.vectors.resampling import SIGNIFICANT

    if saved.task != evaluation.task:
        raise UsageError(f"--no-worse-than: a saved run of eval {saved.task}, not of eval {evaluation.task}")
    now = measurement_of(evaluation, gate and gate.system, gate.metric if gate else evaluation.metrics[0])
    system = now.system if now.system in saved.systems else None
    then = measurement_of(saved, system, now.metric)
    if now.values is None and now.resampled is None:
        raise UsageError(
            f"--no-worse-than: eval {evaluation.task} has nothing that could be tested"
            if all(each.values is None and each.resampled is None for each in evaluation.measurements)
            else f"--no-worse-than: {now.metric} is nothing that could be tested",
            hint="--fail-under METRIC=VALUE",
        )
    now_common, then_common = _common(evaluation, now, saved, then)
    # A value that cannot be told is not good enough.
    for each, whose in ((now_common, ""), (then_common, "saved ")):
        if not math.isfinite(each.value):
            return Verdict(is_met=bool(whose), reason=f"{whose}{each.system} {each.metric} has no value")
    p = difference_p(now_common, then_common)
    if p is None:
        raise UsageError(f"--no-worse-than: {now.metric} was saved without what a test needs")
    is_met = not (now_common.value < then_common.value and p < SIGNIFICANT)
    both = f"{now.system} {now.metric} {now_common.value:.4f}, saved {then.system} {then_common.value:.4f}"
    return Verdict(is_met, f"{both}, p {p:.3g}")


def measurement_of(evaluation: Evaluation, system: str | None, metric: str) -> Measurement:
    """Return a measurement by names as they are typed.

    Raises:
        UsageError: There is none; the hint lists what there is.
    """
    names = {name.lower(): name for name in evaluation.systems}
    name = evaluation.systems[0] if system is None else names.get(system.lower())
    if name is None:
        raise UsageError(f"no system {system!r} was measured", hint=", ".join(evaluation.systems))
    for each in evaluation.measurements:
        if each.system == name and each.metric.lower() == metric.lower():
            return each
    raise UsageError(f"no measure {metric!r} of {name}", hint=", ".join(evaluation.metrics))


def _common(
    evaluation: Evaluation, now: Measurement, saved: Evaluation, then: Measurement
) -> tuple[Measurement, Measurement]:
    """Return two measurements over the items that both have.

    Raises:
        UsageError: There are none, or the measure needs the same ones.
    """
    from dataclasses import replace

    if evaluation.items == saved.items:
        return now, then
    if now.values is None or then.values is None:
        raise UsageError(
            f"--no-worse-than: the saved run is of other {saved.unit}, and {now.metric} is no mean of them",
            hint="save a run of these with --save",
        )
    places = {item: place for place, item in enumerate(saved.items)}
    shared = [(row, places[item]) for row, item in enumerate(evaluation.items) if item in places]
    if not shared:
        raise UsageError(f"--no-worse-than: none of the {saved.unit} of the saved run is in this one")
    own, other = (list(rows) for rows in zip(*shared, strict=True))
    ours, theirs = now.values[own], then.values[other]
    return (
        replace(now, value=float(ours.mean()), values=ours, resampled=None),
        replace(then, value=float(theirs.mean()), values=theirs, resampled=None),
    )
