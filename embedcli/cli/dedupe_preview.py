"""`embedcli dedupe --preview`: what a threshold would do, before anything is dropped."""

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, NoReturn

if TYPE_CHECKING:
    from embedcli.cli.dedupe_run import Comparing
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.reports import Preview
    from embedcli.tasks.dedupe import DedupeSettings
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.preference import Preference

MOST_RECORDS: Final = 50_000
"""Records that are looked at, drawn by chance where there are more: all are compared with all, and often."""


def preview_threshold(
    inputs: "Inputs",
    comparing: "Comparing",
    settings: "DedupeSettings",
    preference: "Preference",
    run: "Run",
    progress: "Progress",
    *,
    seed: int,
    as_json: bool,
) -> NoReturn:
    """Read, print what the threshold would do, and end the command.

    Raises:
        UsageError: The semantic stage is left out, so that there is no threshold.
    """
    import numpy as np

    from embedcli.cli.input_records import input_records
    from embedcli.cli.terminal import terminal_width
    from embedcli.errors import UsageError
    from embedcli.tasks.preview import BLOCK_RECORDS, preview
    from embedcli.tasks.reservoir import sample
    from embedcli.write.objects import dump
    from embedcli.write.preview import write_preview
    from embedcli.write.target import open_output

    if comparing.threshold is None or comparing.vectors is None:
        raise UsageError("--preview is about the semantic stage, which --method leaves out")
    found = input_records(
        inputs, comparing.source, comparing.rows, lambda _head: None, run, progress, null=False
    )
    records = [record for record in sample(found, MOST_RECORDS, seed) if not record.is_blank]
    if run.counts.read > MOST_RECORDS:
        run.notice(f"of {run.counts.read} records, {MOST_RECORDS} drawn by chance: fewer have a close one")
    order = sorted(range(len(records)), key=lambda number: preference.key(records[number], number))
    records = [records[number] for number in order]
    blocks = [records[first : first + BLOCK_RECORDS] for first in range(0, len(records), BLOCK_RECORDS)]
    vectors = [comparing.vectors.record_vectors(block) for block in blocks]
    made = np.concatenate(vectors) if vectors else np.zeros((0, 1), dtype=np.float32)
    result = preview(records, made, replace(settings, window=None))
    with open_output(None) as output:
        if as_json:
            output.write(dump(_as_json(result)) + b"\n")
        else:
            write_preview(result, output, terminal_width())
    run.finish()


def _as_json(result: "Preview") -> dict[str, Any]:
    lists = {
        name: [part._asdict() for part in getattr(result, name)]
        for name in ("histogram", "above", "below", "kept")
    }
    return {**asdict(result), **lists}
