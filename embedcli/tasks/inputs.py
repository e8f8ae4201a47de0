"""The inputs of a run: paths and standard input as one stream of records, and the lines around a hit."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from embedcli.datatypes import STDIN_NAME, Counts, Record, Source
from embedcli.records.read import read_records
from embedcli.records.settings import ReadSettings
from embedcli.records.source import find_sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import BinaryIO

    from embedcli.datatypes import Chunking, Hit, OnProblem
    from embedcli.records.read import Records


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a run reads.

    Attributes:
        paths: Files, folders, and `-` for standard input.
        options: What was said about reading, by the names of `ReadSettings`.
        stdin: What `-` reads.
    """

    paths: Sequence[str]
    options: Mapping[str, Any] = field(default_factory=dict)
    stdin: BinaryIO | None = None

    def for_search(self, chunking: Chunking | None) -> Inputs:
        """Return the inputs as a search reads them.

        Files in a folder are read whole, to be cut into paragraphs; named ones line by line, as grep does.
        Asking for a chunking that needs whole texts reads named files and standard input whole too.
        """
        walked = "lines" if chunking == "lines" else "whole"
        named = "lines" if chunking in (None, "none", "lines") else "whole"
        text_as = {"text_as": walked, "named_text_as": named, "stdin_text_as": named}
        return replace(self, options={**text_as, **self.options})

    def for_chunks(self, chunking: Chunking | None) -> Inputs:
        """Return the inputs as an index reads them: text files whole, unless their chunks are their lines."""
        how = "lines" if chunking == "lines" else "whole"
        return replace(
            self,
            options={**dict.fromkeys(("text_as", "named_text_as", "stdin_text_as"), how), **self.options},
        )

    @property
    def settings(self) -> ReadSettings:
        """How files are read."""
        return ReadSettings(**self.options)

    @property
    def reads_files(self) -> bool:
        """Whether anything but standard input is read."""
        return any(path != STDIN_NAME for path in self.paths)

    def is_table(self, record: Record) -> bool:
        """Whether a record is a row of CSV or TSV."""
        if self.settings.format != "auto":
            return self.settings.format in ("csv", "tsv")
        return (record.path or "").removesuffix(".gz").endswith((".csv", ".tsv"))

    def records(
        self,
        counts: Counts,
        on_problem: OnProblem,
        on_progress: Callable[[int], None] = lambda _done: None,
    ) -> Iterator[Record]:
        """Yield all records, source by source in the order of the paths.

        Raises:
            MissingPathError: A path does not exist; nothing was read.
        """
        for records in self.sources(counts, on_problem):
            for record in records:
                yield record
                on_progress(counts.read)

    def sources(self, counts: Counts, on_problem: OnProblem) -> Iterator[Records]:
        """Yield the records of each source by themselves; raises as `records`."""
        settings = self.settings
        for source in find_sources(self.paths, settings, on_problem):
            yield read_records(source, settings, counts, on_problem, self.stdin)


def strings_as_records(texts: Sequence[str], counts: Counts) -> Iterator[Record]:
    """Yield texts from the command line as records with ids from 1."""
    for number, text in enumerate(texts, start=1):
        counts.read += 1
        yield Record(str(number), text, fields={}, line=number, end_line=number)


@dataclass(slots=True)
class SeenLines:
    """The lines of standard input that went by, for showing some of them around a hit. O(input)."""

    lines: dict[int, str] = field(default_factory=dict)

    def keep(self, records: Iterator[Record]) -> Iterator[Record]:
        """Pass records on and remember those of standard input."""
        for record in records:
            if record.path is None:
                self.lines[record.line] = record.text
            yield record


def lines_around(
    hits: Sequence[Hit], before: int, after: int, options: Mapping[str, Any], seen: SeenLines
) -> list[list[tuple[int, str]]]:
    """Return the numbered lines around each hit, the hit's own lines included.

    A file is read again, once; one that has gone since has no lines to show.

    Args:
        hits: From a search.
        before: Lines before a hit.
        after: Lines after it.
        options: How the hits' files were read.
        seen: What was remembered of standard input.
    """
    wanted: dict[str, set[int]] = {}
    for hit in hits:
        span = range(max(1, hit.line - before), hit.end_line + after + 1)
        wanted.setdefault(hit.path or STDIN_NAME, set()).update(span)
    kept = {"max_record_bytes", "pre", "pre_glob", "binary_as_text"}
    settings = ReadSettings(format="lines", **{key: value for key, value in options.items() if key in kept})
    texts: dict[str, dict[int, str]] = {STDIN_NAME: seen.lines}
    for path, numbers in wanted.items():
        if path == STDIN_NAME:
            continue
        texts[path] = {}
        last = max(numbers)
        for record in read_records(Source(path, path), settings, Counts(), lambda _problem: None):
            if record.line in numbers:
                texts[path][record.line] = record.text
            if record.line >= last:
                break
    return [
        [
            (number, texts[hit.path or STDIN_NAME][number])
            for number in range(max(1, hit.line - before), hit.end_line + after + 1)
            if number in texts[hit.path or STDIN_NAME]
        ]
        for hit in hits
    ]
