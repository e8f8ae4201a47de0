"""One run of a command that takes records, and perhaps their vectors: what is read, by what, and to where."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedcli.cli.input_records import OWN_VECTORS, input_records
from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.reading import ReadOptions
    from embedcli.cli.run import Run
    from embedcli.cli.terminal import Progress
    from embedcli.datatypes import Head, Record
    from embedcli.index.meta import Identity
    from embedcli.tasks.dedupe import RecordVectors
    from embedcli.tasks.inputs import Inputs
    from embedcli.tasks.pool import Pool
    from embedcli.tasks.vectorize import Vectorizer


class Typed(NamedTuple):
    """What is read.

    Attributes:
        inputs: Paths and standard input.
        source: An index whose chunks are the records instead.
        rows: A file with the vectors of the records.
        carries_vectors: Whether the vectors are ready, of whatever model.
        reading: What was typed about reading.
    """

    inputs: "Inputs"
    source: Path | None
    rows: str | None
    carries_vectors: bool
    reading: "ReadOptions"


def read_inputs(
    paths: list[str] | None, index: str | None, vectors: str | None, reading: "ReadOptions"
) -> Typed:
    """Return what is read.

    Raises:
        UsageError: There is nothing to read, or too much.
    """
    from embedcli.tasks.places import index_path

    if index is not None and (paths or reading.files_from or vectors):
        raise UsageError("--index is read instead of PATH, --files-from and --vectors")
    return Typed(
        reading.inputs(paths, or_stdin=index is None, names_out=True),
        None if index is None else index_path(index),
        None if vectors == OWN_VECTORS else vectors,
        vectors is not None,
        reading,
    )


@dataclass
class Work:
    """One run.

    Attributes:
        stack: Closes what was opened.
        run: Counts, and says notices.
        progress: Shows how far it is.
        typed: What is read.
        encoding: What was typed about the encoder.
        output: Where to write; None for standard output.
        whole: What the command does with records as wholes, for the message that refuses parts of them.
        heads: What stands before the first record, once that is known.
    """

    stack: ExitStack
    run: "Run"
    progress: "Progress"
    typed: Typed
    encoding: "EncodeOptions"
    output: str | None
    whole: str
    heads: "list[Head]" = field(default_factory=list)

    @property
    def jobs(self) -> int:
        """Threads."""
        from embedcli.encode.processors import usable_cpus

        return self.encoding.jobs or usable_cpus()

    def vectorizer(self, identity: "Identity | None" = None) -> "Vectorizer":
        """Return the encoder of documents.

        Raises:
            UsageError: Long texts are to be split.
        """
        if self.encoding.on_long == "split":
            raise UsageError(
                f"--on-long split makes several vectors of a record, and {self.whole}",
                hint="--on-long pool uses all of a text; embedcli chunk --json makes records of parts",
            )
        if identity is None and self.typed.source is not None:
            from embedcli.index.file import stored_identity

            identity = stored_identity(self.typed.source)
        return self.encoding.open(self.stack, self.run, identity, reads_files=self.typed.inputs.reads_files)

    def pool(self, vectors: "RecordVectors | None" = None, *, is_lookup: bool = True) -> "Pool":
        """Return an empty pool that is closed with the run.

        Args:
            vectors: Makes the vectors; None for what was typed: those that are ready, or an encoder's.
            is_lookup: Whether that takes no longer than reading.
        """
        from embedcli.tasks.pool import Pool

        if vectors is None and self.typed.carries_vectors:
            from embedcli.tasks.carried import CarriedVectors

            vectors = CarriedVectors()
        elif vectors is None:
            vectors = vectorizer = self.vectorizer()
            is_lookup = vectorizer.is_lookup
        pool = Pool(vectors, is_lookup=is_lookup)
        self.stack.callback(pool.close)
        return pool

    def records(self) -> "Iterator[Record]":
        """Return what is read, each record with the bytes that are written for it."""
        typed = self.typed
        return input_records(
            typed.inputs,
            typed.source,
            typed.rows,
            self.heads.append,
            self.run,
            self.progress,
            null=typed.reading.null,
        )
