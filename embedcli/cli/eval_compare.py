"""`embedcli eval compare`."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from embedcli.cli import options
from embedcli.cli.encoding import EncodeOptions
from embedcli.cli.eval_options import ReportOptions
from embedcli.cli.groups import with_groups
from embedcli.cli.reading import ReadOptions
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Record, Vectors
    from embedcli.tasks.evaluate.compare import Entry, SideSpec

Sides: TypeAlias = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="A B [PATH]...",
        help="Two models, .npy files or indexes, with @dim=N, @dtype=T, @variant=V, @pooling=P; then texts.",
        show_default=False,
    ),
]
SampleSize: TypeAlias = Annotated[
    int, typer.Option("--sample", metavar="N", min=4, help="Compare at most N texts, drawn at random.")
]


@with_groups
def compare(
    paths: Sides = None,
    sample: SampleSize = 3_000,
    reading: ReadOptions = ReadOptions(),
    encoding: EncodeOptions = EncodeOptions(),
    report: ReportOptions = ReportOptions(),
    quiet: options.Quiet = False,
    verbose: options.Verbose = False,
    stats_json: options.StatsJson = None,
) -> None:
    """Do two encoders find the same texts alike? Shared neighbours, rank-biased overlap, CKA; no judgements.

    \b
    embedcli eval compare default static notes/
    embedcli eval compare default default@dim=128 tickets.csv --column body
    embedcli eval compare default default@dtype=binary notes.txt
    embedcli eval compare old.emb new.emb
    embedcli eval compare a.npy b.npy

    Without PATH the texts are those of the first index; two .npy files are compared row by row. Records and
    indexes are joined by id.
    """  # noqa: D301  (\b keeps the lines apart)
    from embedcli.cli.eval_run import finish_eval, read_gates
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.tasks.evaluate.compare import MAX_TEXTS, MEASURES, parse_side
    from embedcli.tasks.evaluate.compare import compare as compare_sides

    run = Run(quiet=quiet, verbose=verbose, stats_json=stats_json)
    named = list(paths or ())
    if len(named) < 2:
        raise UsageError(
            "two encoders are compared: A and B", hint="embedcli eval compare default static notes/"
        )
    if sample > MAX_TEXTS:
        raise UsageError(f"--sample {sample}: at most {MAX_TEXTS}")
    specs = [parse_side(each) for each in named[:2]]
    files = [spec.name for spec in specs if spec.kind != "model"]
    gates = read_gates(report, [*files, *named[2:]])
    with ExitStack() as stack, run.naming_left_out():
        progress = stack.enter_context(Progress("records", enabled=not quiet))
        work = _CompareWork(stack, run, progress, specs, named[2:], reading, encoding)
        entries = work.entries(sample, report.seed)
        sides = [(spec.typed, work.vectors(spec, entries)) for spec in specs]
        if sides[0][0] == sides[1][0]:
            sides[1] = (f"{sides[1][0]} (2)", sides[1][1])
        found, left_out = compare_sides(sides, entries, report.seed)
    if left_out:
        run.notice(f"{left_out} texts were left out: a side has no vector for them")
    finish_eval(run, found, report, gates, MEASURES)


@dataclass
class _CompareWork:
    """What is compared, and what was typed about it."""

    stack: ExitStack
    run: "Run"
    progress: "Progress"
    specs: "Sequence[SideSpec]"
    paths: list[str]
    reading: ReadOptions
    encoding: EncodeOptions

    def entries(self, count: int, seed: int) -> "list[Entry]":
        """Return the texts to compare.

        Raises:
            UsageError: There is nothing that gives texts to a model.
            InputError: Two files have different numbers of rows.
        """
        from embedcli.errors import InputError
        from embedcli.tasks.carried import ready_rows
        from embedcli.tasks.evaluate import compare as task
        from embedcli.tasks.places import index_path

        kinds = {spec.kind for spec in self.specs}
        if kinds == {"rows"} and not self.paths and not self.reading.files_from:
            one, other = (len(ready_rows(spec.name)) for spec in self.specs)
            if one != other:
                raise InputError(f"{self.specs[1].name}: {other} rows, {self.specs[0].name} has {one}")
            self.run.counts.read = one
            return task.row_entries(one, count, seed)
        ids = [task.index_ids(index_path(spec.name)) for spec in self.specs if spec.kind == "index"]
        chosen = task.choose_entries(self._records(), ids, count, seed)
        self.run.stop_if_nothing_was_read()
        for spec in self.specs:
            if spec.kind == "rows" and len(ready_rows(spec.name)) != chosen.records:
                rows = len(ready_rows(spec.name))
                raise InputError(f"{spec.name}: {rows} vectors for {chosen.records} records")
        if chosen.missing:
            self.run.notice(f"{chosen.missing} records were left out: an index does not have their ids")
        return chosen.entries

    def _records(self) -> "Iterator[Record]":
        from embedcli.cli.input_records import input_records
        from embedcli.tasks.places import index_path

        index = next((spec.name for spec in self.specs if spec.kind == "index"), None)
        is_index = index is not None and not self.paths and not self.reading.files_from
        inputs = self.reading.inputs(self.paths, or_stdin=not is_index)
        source = index_path(index) if is_index and index is not None else None
        return input_records(
            inputs, source, None, lambda _head: None, self.run, self.progress, null=self.reading.null
        )

    def vectors(self, spec: "SideSpec", entries: "Sequence[Entry]") -> "Vectors":
        """Return the vectors of one side, unit length."""
        from embedcli.tasks.carried import ready_rows
        from embedcli.tasks.evaluate import compare as task
        from embedcli.tasks.places import index_path

        if spec.kind == "index":
            return task.as_stored(task.index_vectors(index_path(spec.name), entries), spec)
        if spec.kind == "rows":
            return task.as_stored(task.file_vectors(ready_rows(spec.name), spec.name, entries), spec)
        about = spec.settings
        typed = replace(
            self.encoding,
            model=spec.name,
            variant=about.get("variant", self.encoding.variant),
            pooling=about.get("pooling", self.encoding.pooling),
            dim=spec.dim or self.encoding.dim,
        )
        encoder = typed.open(self.stack, self.run, reads_files=bool(self.paths))
        return task.as_stored(task.encoded(encoder, entries), spec)
