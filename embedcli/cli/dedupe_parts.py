"""What was typed for `dedupe` to what its tasks take, and what is said in the end."""

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, get_args

from embedcli.datatypes import DEFAULT_STAGES, Stage
from embedcli.errors import Interrupted, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from embedcli.cli.dedupe_run import Comparing
    from embedcli.cli.run import Run
    from embedcli.datatypes import Duplicate, Record
    from embedcli.tasks.dedupe_run import Tally
    from embedcli.write.duplicates import Sink
    from embedcli.write.target import Output


def read_methods(typed: str | None) -> tuple[Stage, ...]:
    """Return the stages of `--method`, in the order in which they compare.

    Raises:
        UsageError: One is not known, or there is none.
    """
    words = DEFAULT_STAGES if typed is None else typed.split(",")
    known = get_args(Stage)
    for word in words:
        if word not in known:
            raise UsageError(f"--method {word!r} is not known", hint=", ".join(known))
    return tuple(stage for stage in known if stage in words)


_WRITING = ("--check", "--mark", "--output", "--report", "--dropped", "--update")
_EXCLUDE: dict[str, tuple[str, ...]] = {
    "--mark": ("--check", "--report", "--dropped"),
    "--check": ("--output", "--update"),
    "--window": ("--against", "--keep"),
    "--index": ("PATH", "--files-from", "--vectors"),
    "--preview": ("--calibrate", *_WRITING, "--against"),
    "--calibrate": (*_WRITING, "--against", "--threshold", "--vectors", "--index"),
}
_NEED: dict[str, tuple[str, ...]] = {
    "--pairs": ("--calibrate",),
    "--save": ("--calibrate",),
    "--seed": ("--calibrate", "--preview"),
    "--json": ("--calibrate", "--preview"),
}
_OF_STAGE: dict[str, Stage] = {"--threshold": "semantic", "--lexical-threshold": "lexical"}


def check_options(methods: tuple[Stage, ...], typed: dict[str, Any]) -> None:
    """Refuse options that contradict each other, or say nothing here.

    Args:
        methods: From `read_methods`.
        typed: What was typed, by the option's name; None, False, 0 or empty where nothing was.

    Raises:
        UsageError: There are such.
    """
    for option, stage in _OF_STAGE.items():
        if typed[option] is not None and stage not in methods:
            raise UsageError(f"{option} is about the {stage} stage, which --method leaves out")
    for option, others in _EXCLUDE.items():
        for other in others:
            if typed[option] and typed[other]:
                raise UsageError(f"{option} and {other} exclude each other")
    for option, needed in _NEED.items():
        if typed[option] and not any(typed.get(other) for other in needed):
            raise UsageError(f"{option} is about {' and '.join(needed)}")


class Past(NamedTuple):
    """What `--against` names: files with records, and indexes."""

    files: tuple[str, ...]
    indexes: "tuple[Path, ...]"


def read_against(against: list[str] | None, *, update: bool) -> Past:
    """Return what is there already.

    Raises:
        UsageError: `--update` needs one index, and there is none or several.
    """
    from embedcli.tasks.against import is_index
    from embedcli.tasks.places import index_path

    given = against or []
    indexes = tuple(index_path(path) for path in given if is_index(path))
    if update and len(indexes) != 1:
        raise UsageError(
            f"--update adds to one index, and --against names {len(indexes)}",
            hint="--against seen.emb --update; a new one is known by its name, which ends in .emb",
        )
    return Past(tuple(path for path in given if not is_index(path)), indexes)


@contextmanager
def open_sink(
    comparing: "Comparing",
    output: str | None,
    report: str | None,
    dropped: str | None,
    *,
    mark: bool,
    check: bool,
    update: bool,
) -> "Iterator[Sink]":
    """Open what is written to, for a block.

    With `--update`, what was kept is remembered when the block has ended well, or was interrupted after part
    of it was written for good.
    """
    from embedcli.tasks.against import Remembering
    from embedcli.write.duplicates import Filter, Marks
    from embedcli.write.target import open_output

    remembering: Remembering | None = None
    with ExitStack() as stack:

        def opened(path: str | None) -> "Output | None":
            # What is said of records that have left must be there, however the run ends.
            return None if path is None else stack.enter_context(open_output(path, in_place=output is None))

        sink: Sink
        if mark:
            sink = Marks(stack.enter_context(open_output(output)))
        else:
            kept = None if check else stack.enter_context(open_output(output))
            sink = Filter(kept, opened(report), opened(dropped))
        if update and comparing.vectors is not None:
            sink = remembering = Remembering(
                sink, comparing.memories[0], comparing.vectors, commits=output is None
            )
        try:
            yield sink
        except (KeyboardInterrupt, Interrupted):
            if remembering is not None and output is None:
                remembering.commit()
            raise
    if remembering is not None:
        remembering.commit()


def tell_counts(tally: "Tally", how: str, run: "Run", *, is_said: bool) -> None:
    """Put into the counts how many records were kept and dropped, and say it."""
    dropped = sum(tally.dropped.values())
    stages = ", ".join(f"{tally.dropped[stage]} {stage}" for stage in get_args(Stage) if tally.dropped[stage])
    run.measured |= {"kept": tally.kept, "dropped": dropped}
    run.measured |= {stage: tally.dropped[stage] for stage in get_args(Stage)}
    if tally.recall is not None:
        run.measured["recall"] = round(tally.recall.ratio, 4)
    if not is_said:
        return
    total = tally.kept + dropped
    run.notice(
        f"kept {tally.kept} of {total} {'record' if total == 1 else 'records'}"
        + (f" and {tally.blank} blank" if tally.blank else "")
        + (f"; dropped {dropped}: {stages}" if dropped else "")
        + (f" ({how})" if how else "")
    )
    if tally.recall is not None:
        run.notice(
            f"not all were compared with all: of {tally.recall.near} sampled records near to a kept one,"
            f" {tally.recall.ratio:.1%} were found; --plan exact finds all"
        )


def say_first(found: "tuple[Record, Duplicate]", run: "Run") -> None:
    """Say where the first duplicate is, as `sort -c` does."""
    record, duplicate = found
    place = f"{record.path or '-'}:{record.line}"
    run.notice(f"{place}: duplicate of {duplicate.kept} ({duplicate.stage}, {duplicate.score:.4f})")


def restore(report: str, paths: list[str] | None, output: str | None, run: "Run") -> NoReturn:
    """Write what a run has kept with what it dropped back in its place, and end the command.

    Raises:
        UsageError: There is not one output to start from.
        InputError: The report is none, or belongs to another output.
    """
    import sys
    from pathlib import Path

    from embedcli.cli.resolve import input_paths
    from embedcli.datatypes import STDIN_NAME
    from embedcli.tasks.undo import undo
    from embedcli.write.target import open_output

    named = input_paths(paths, None, null=False)
    if len(named) != 1:
        raise UsageError(
            f"--undo needs one output of dedupe, not {len(named)}",
            hint="embedcli dedupe --undo dups.jsonl kept.txt > all.txt",
        )
    if report == named[0] == STDIN_NAME:
        raise UsageError(
            "--undo - and the output of dedupe both want standard input", hint="name one as a file"
        )
    with ExitStack() as stack:

        def opened(path: str) -> "BinaryIO":
            return sys.stdin.buffer if path == STDIN_NAME else stack.enter_context(Path(path).open("rb"))

        undo(opened(report), opened(named[0]), stack.enter_context(open_output(output)))
    run.finish()
