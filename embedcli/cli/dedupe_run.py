"""What `dedupe` compares with what, and the run itself."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from embedcli.cli.dedupe_parts import Past
from embedcli.cli.input_records import OWN_VECTORS, input_records
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path
    from typing import BinaryIO

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Stage
    from embedcli.index.meta import Identity
    from embedcli.tasks.dedupe import Deduper, DedupeSettings, RecordVectors
    from embedcli.tasks.dedupe_run import Tally
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.preference import Preference
    from embedcli.tasks.remember import Memory
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.write.duplicates import Sink


@dataclass(frozen=True)
class Comparing:
    """What records are compared by, and with.

    Attributes:
        vectors: Makes vectors; None where none are compared or remembered.
        threshold: The lowest cosine of semantic duplicates; None where that stage is left out.
        how: The same in words.
        past: What is there already.
        memories: The indexes among that, open.
        rows: A file with the vectors of the records; None for none.
        source: An index whose chunks are the records; None for records that are read.
    """

    vectors: "RecordVectors | None"
    threshold: float | None
    how: str
    past: Past
    memories: "tuple[Memory, ...]"
    rows: str | None
    source: "Path | None"


def open_comparing(
    stack: ExitStack,
    run: "Run",
    methods: "tuple[Stage, ...]",
    past: Past,
    encoding: "EncodeOptions",
    ready: str | None,
    threshold: float | None,
    *,
    update: bool,
    inputs: "Inputs",
    source: "Path | None",
    lock_timeout: float,
) -> Comparing:
    """Open model and indexes for as long as the stack is.

    Raises:
        UsageError: There is no threshold, or options contradict each other.
        IndexFileError: An index cannot be used.
    """
    if ready is not None:
        if threshold is None or past.indexes:
            raise UsageError(
                "--vectors compares vectors of any model: it needs --threshold, and no index to compare with",
                hint="--vectors v.npy --threshold 0.9",
            )
        from embedcli.tasks.carried import CarriedVectors

        rows = None if ready == OWN_VECTORS else ready
        return Comparing(CarriedVectors(), threshold, f"cosine >= {threshold:g}", past, (), rows, None)
    if "semantic" not in methods and not past.indexes:
        return Comparing(None, None, "", past, (), None, source)
    there = [*([] if source is None else [source]), *(path for path in past.indexes if path.exists())]
    vectorizer = encoding.open(stack, run, _identity(there), reads_files=inputs.reads_files)
    memories = _open_memories(stack, past, vectorizer, inputs, update=update, lock_timeout=lock_timeout)
    if "semantic" not in methods:
        return Comparing(vectorizer, None, "", past, memories, None, source)
    from embedcli.tasks.dedupe import threshold_of

    cosine = threshold_of(vectorizer.model.manifest) if threshold is None else threshold
    how = f"cosine >= {cosine:g}, {vectorizer.model.manifest.name}"
    return Comparing(vectorizer, cosine, how, past, memories, None, source)


def _identity(indexes: "list[Path]") -> "Identity | None":
    """Return what the vectors of the first index share; None where there is no index."""
    if not indexes:
        return None
    from embedcli.index.file import stored_identity

    return stored_identity(indexes[0])


def _open_memories(
    stack: ExitStack,
    past: Past,
    vectorizer: "Vectorizer",
    inputs: "Inputs",
    *,
    update: bool,
    lock_timeout: float,
) -> "tuple[Memory, ...]":
    if not past.indexes:
        return ()
    from embedcli.tasks.remember import MemorySettings, open_memory

    read = inputs.settings
    settings = MemorySettings(
        update=update,
        text_fields=read.columns or read.text_fields,
        id_field=read.id_field,
        lock_timeout_seconds=lock_timeout,
    )
    return tuple(stack.enter_context(open_memory(path, vectorizer, settings)) for path in past.indexes)


def decide(
    inputs: "Inputs",
    comparing: Comparing,
    sink: "Sink",
    run: "Run",
    progress: "Progress",
    settings: "DedupeSettings",
    preference: "Preference",
    block_records: int,
    *,
    null: bool,
    to_first: bool,
) -> "Tally":
    """Read, decide and write all records; return what came of them."""
    from embedcli.tasks.dedupe import Deduper
    from embedcli.tasks.dedupe_run import Stream, Tally, dedupe_by_preference
    from embedcli.tasks.passing import WatchedStream

    tally = Tally()
    deduper = Deduper(settings, comparing.vectors if comparing.threshold is not None else None)
    try:
        _keep_past(deduper, comparing, inputs, run)
        stream = Stream(deduper, sink, tally, block_records)
        if inputs.stdin is not None:
            watched = WatchedStream(inputs.stdin, stream.flush)
            inputs = replace(inputs, stdin=cast("BinaryIO", watched))
        records = input_records(inputs, comparing.source, comparing.rows, sink.head, run, progress, null=null)
        if preference.is_input_order:
            stream.run(records, to_first=to_first)
        elif without := dedupe_by_preference(
            *(records, preference, deduper, sink, tally), block_records, progress.update
        ):
            run.notice(f"--keep: {without} without a value in {preference.field!r}: kept last")
        tally.recall = deduper.recall()
        return tally
    finally:
        deduper.close()


def _keep_past(deduper: "Deduper", comparing: Comparing, inputs: "Inputs", run: "Run") -> None:
    """Show the deduper what is there already."""
    from embedcli.datatypes import Counts
    from embedcli.tasks.against import keep_memory, keep_records

    if comparing.past.files:
        there = replace(inputs, paths=comparing.past.files)
        keep_records(deduper, there.records(Counts(), run.on_problem))
    for memory in comparing.memories:
        keep_memory(deduper, memory)
