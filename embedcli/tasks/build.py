"""Files into an index: only what changed is encoded, what vanished is removed, a kill loses seconds."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from embedcli.datatypes import STDIN_NAME, Problem, Source
from embedcli.errors import Interrupted, MissingPathError, UsageError
from embedcli.index.file import open_for_writing
from embedcli.index.reader import IndexReader
from embedcli.index.stored import FileStat
from embedcli.index.writer import IndexWriter, fields_json
from embedcli.records.fingerprint import file_hash, text_hash
from embedcli.records.read import read_records
from embedcli.records.source import find_sources
from embedcli.tasks.build_queue import BuildQueue, OutOfTimeError
from embedcli.tasks.build_roots import Root, check_said, open_root
from embedcli.tasks.build_settings import BuildReport, BuildSettings
from embedcli.tasks.chunks import identity_of, record_cuts, record_title
from embedcli.tasks.graphs import check_can_have_graph, renew_graph
from embedcli.tasks.places import root_from_stored, shown_path
from embedcli.tasks.text_fields import text_names, without

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import BinaryIO

    from embedcli.datatypes import Counts, OnProblem, Record
    from embedcli.tasks.build_queue import TextVectors
    from embedcli.tasks.sparse_vectors import SparseVectorizer
    from embedcli.tasks.vectorize import Vectorizer

YOUNG_NS = 2_000_000_000
"""A file this much younger than its last look may have changed again within the clock's grain."""


def build_index(
    index: Path,
    settings: BuildSettings,
    vectorizer: Vectorizer,
    counts: Counts,
    on_problem: OnProblem,
    *,
    stdin: BinaryIO | None = None,
    sparse: SparseVectorizer | None = None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
    on_graph: Callable[[int, int], None] = lambda _done, _total: None,
    on_record: Callable[[int], None] = lambda _done: None,
) -> BuildReport:
    """Bring an index up to date with its files.

    Args:
        index: The index file; made if it does not exist.
        settings: What to read and how.
        vectorizer: Makes the chunks' vectors, at unit length.
        counts: Added to.
        on_problem: Told of each file that could not be read or was left out.
        stdin: What `-` reads.
        sparse: Makes the chunks' sparse vectors; None for an index without.
        on_progress: Told, after each file, how many of how many are done.
        on_graph: Told, while a graph is built, how many of how many rows are in.
        on_record: Told, after each record that was read, how many there were.

    Raises:
        MissingPathError: A root does not exist; nothing was changed.
        IndexMismatchError: The index holds vectors of another model or of other settings.
        MissingExtraError: A graph is wanted, and hnswlib is not installed; nothing was changed.
        ShrinkError: Too much would go; what is new is kept, nothing was removed.
        Interrupted: What was encoded is committed first.
    """
    identity = identity_of(vectorizer, settings.dtype, keep_text=settings.keep_text, sparse=sparse)
    if settings.graph is not None:
        check_can_have_graph(settings.dtype)
    for path in settings.paths:
        if path != STDIN_NAME and not os.path.lexists(path):
            raise MissingPathError(path)
    check_said(settings, vectorizer)
    if not settings.paths and settings.graph is None and not index.exists():
        raise _nothing_to_read(index)
    with open_for_writing(index, identity, lock_timeout_seconds=settings.lock_timeout_seconds) as connection:
        writer = IndexWriter(index, connection, identity, may_shrink=settings.may_shrink)
        build = Build(
            *(index, settings, vectorizer, writer, counts, on_problem, stdin),
            sparse=sparse,
            on_record=on_record,
        )
        try:
            build.run(connection_roots(connection), on_progress)
        except (KeyboardInterrupt, Interrupted):
            build.queue.write_ready()
            raise
        renew_graph(
            IndexReader(index, connection),
            writer,
            settings.graph,
            jobs=settings.graph_jobs,
            on_progress=on_graph,
        )
        return build.report


def _nothing_to_read(index: Path) -> UsageError:
    return UsageError(
        f"{index}: no paths to read", hint="embedcli index build PATH…, or - for standard input"
    )


def connection_roots(connection: Any) -> list[bytes]:
    """Return the stored roots that are paths."""
    return [row[0] for row in connection.execute("SELECT path FROM root WHERE id > 0 ORDER BY id")]


class Build:
    """One run of a build over an open index."""

    def __init__(
        self,
        index: Path,
        settings: BuildSettings,
        vectorizer: Vectorizer,
        writer: IndexWriter,
        counts: Counts,
        on_problem: OnProblem,
        stdin: BinaryIO | None,
        encode_with: TextVectors | None = None,
        sparse: SparseVectorizer | None = None,
        on_record: Callable[[int], None] = lambda _done: None,
    ) -> None:
        """Start with nothing read; `encode_with` makes the vectors in place of the vectorizer."""
        self._index, self._settings, self._vectorizer = index, settings, vectorizer
        self._writer, self._counts, self._stdin = writer, counts, stdin
        self._tell, self._on_record = on_problem, on_record
        self._unreadable: list[str] = []
        self.queue = BuildQueue(writer, encode_with or vectorizer, counts, settings.max_seconds, sparse)
        self.report = BuildReport()

    def run(self, stored_roots: list[bytes], on_progress: Callable[[int, int], None]) -> None:
        """Look at every file of every root of this run."""
        paths = self._settings.paths or tuple(
            shown_path(root_from_stored(stored, self._index)) for stored in stored_roots
        )
        if not paths and self._settings.graph is None:
            raise _nothing_to_read(self._index)
        work: list[tuple[Root, Source, bytes]] = []
        vanished: list[int] = []
        for path in paths:
            if not self._settings.paths and not os.path.lexists(path):
                # Nobody named it now: a disk that is not there must not keep the others from being refreshed.
                hint = f"if it is gone for good: embedcli index remove -i {self._index} {path}"
                self._note(
                    Problem(path, "no such file or directory; what the index has of it stays", hint=hint)
                )
                continue
            root = open_root(path, self._index, self._writer, self._settings, self._vectorizer)
            found = [(source, self._relative(root, source)) for source in self._sources(root, path)]
            work += [(root, source, relative) for source, relative in found]
            if root.path is not None:
                kept = {relative for _, relative in found}
                vanished += [
                    number
                    for relative, number in self._writer.sources_under(root.id).items()
                    if relative not in kept and not self._may_be_there(root.path, relative)
                ]
        # Now, so that a run that is killed at once can be taken up without naming them again.
        self._writer.commit()
        for done, (root, source, relative) in enumerate(work):
            on_progress(done, len(work))
            try:
                self._update(root, source, relative)
                self.queue.check_time()
            except OutOfTimeError:
                self.queue.write_ready()
                self.report.left = len(work) - done
                return
        self.queue.write()
        on_progress(len(work), len(work))
        # Last, so that the vectors of a file that only moved were there to be used again.
        self.report.dropped_chunks += self._writer.drop_sources(vanished)
        self.report.removed += len(vanished)
        self._writer.commit()

    def _sources(self, root: Root, path: str) -> Iterator[Source]:
        if root.path is None:
            yield Source(None)
            return
        home, name = self._index.absolute().parent, self._index.name
        for source in find_sources([path], root.read, self._note):
            # The index may lie in the folder it is made of: it, its lock and its log are no sources.
            found = Path(source.name).absolute()
            if found.parent != home or not found.name.startswith(name):
                yield source

    def _relative(self, root: Root, source: Source) -> bytes:
        """Return a source's path as the index keeps it: relative to the root, empty for the root itself."""
        if root.path is None or source.path is None:
            return STDIN_NAME.encode()
        relative = os.path.relpath(source.path, root.path)
        return b"" if relative == "." else os.fsencode(relative)

    def _note(self, problem: Problem) -> None:
        """Pass a problem on, and remember what could not be read: it has not vanished."""
        if problem.is_error:
            self._unreadable.append(os.path.abspath(problem.where))  # noqa: PTH100  (a name, perhaps no path)
        self._tell(problem)

    def _may_be_there(self, root: Path, relative: bytes) -> bool:
        """Whether a file that was not found lies under something that could not be read."""
        path = os.path.abspath(root / os.fsdecode(relative))  # noqa: PTH100
        return any(path == place or path.startswith(place + os.sep) for place in self._unreadable)

    def _update(self, root: Root, source: Source, relative: bytes) -> None:
        """Bring one source up to date, reading no more of it than its state asks for."""
        settings = root.settings_json()
        stored = self._writer.source(root.id, relative)
        stat = _stat(source)
        if stored is None:
            self.report.added += 1
        same_settings = stored is not None and stored.settings == settings and stored.state != "partial"
        if stored is not None and same_settings and _unchanged(stored.stat, stat):
            self.report.unchanged += 1
            self.report.skipped += stored.state == "skipped"
            return
        content = None
        if stat is not None and source.path is not None:
            try:
                content = file_hash(Path(source.path))
            except OSError as error:
                self._unreadable.append(source.path)
                self._counts.skipped += 1
                self.report.skipped += 1
                self._tell(Problem(source.name, f"cannot be read: {error.strerror}"))
                return
        if stored is not None:
            same = same_settings and content is not None and stored.content_hash == content
            self.report.unchanged += same
            self.report.changed += not same
            if same:
                self._writer.put_source(
                    *(root.id, relative),
                    stat=stat,
                    content_hash=content,
                    state=stored.state,
                    reason=stored.reason,
                    settings=settings,
                )
                self.report.skipped += stored.state == "skipped"
                return
        self._read(root, source, relative, stat, content, settings)

    def _read(
        self,
        root: Root,
        source: Source,
        relative: bytes,
        stat: FileStat | None,
        content: bytes | None,
        settings: str,
    ) -> None:
        """Read a source and queue what is new in it."""
        self.queue.use_on_long(root.chunks.on_long)
        earlier = self._writer.source(root.id, relative)
        may_reuse = earlier is not None and earlier.settings == settings
        number = self._writer.put_source(
            root.id, relative, stat=None, content_hash=None, state="partial", settings=settings
        )
        gone = self._writer.record_ids(number)
        if root.path is None and not self._settings.prune:
            # Records from standard input stay until they are replaced.
            gone = self._writer.unfinished_record_ids(number)
        problems: list[Problem] = []

        def note(problem: Problem) -> None:
            problems.append(problem)
            self._note(problem)

        records = read_records(source, root.read, self._counts, note, self._stdin)
        for record in records:
            self._on_record(self._counts.read)
            if record.is_blank:
                continue
            named = record._replace(id=_stored_id(record, source, relative))
            stored = self._writer.stored_record(number, named.id)
            chunking = root.chunks.chunking or ("paragraphs" if records.format == "whole" else "none")
            text_fields = root.read.columns or root.read.text_fields
            title = record_title(record, text_fields) if root.chunks.context_title else ""
            if not self._settings.keep_text:
                hidden = text_names(text_fields, tuple(named.fields))
                named = named._replace(fields=without(named.fields, hidden))
            fields, content_of_record = fields_json(named), record_hash(named, title)
            if stored is not None and may_reuse and stored.text_hash == content_of_record:
                self._writer.move_record(number, stored, named, fields)
                gone.discard(stored.id)
                continue
            self.queue.add_record(
                number,
                named,
                fields,
                content_of_record,
                record_cuts(record, chunking, root.chunks, self._vectorizer, text_fields),
                root.chunks.on_long,
            )
            if stored is not None:
                # In one commit with what comes in its place: nobody finds both, or neither.
                gone.discard(stored.id)
                self.queue.add_step(partial(self._drop, stored.id))
        errors = [problem for problem in problems if problem.is_error]
        # What could not be read to its end has not vanished.
        is_cut = any(problem.where == source.name for problem in errors)
        skipped = next((problem.reason for problem in problems if not problem.is_error), None)
        self.report.skipped += skipped is not None

        def finish() -> None:
            if is_cut:
                return
            self.report.dropped_chunks += self._writer.drop_records(gone & self._writer.record_ids(number))
            self._writer.put_source(
                *(root.id, relative),
                stat=stat,
                content_hash=content,
                # With a record missing it stays partial: every run looks again, and says so again.
                state="partial" if errors else "skipped" if skipped else "indexed",
                reason=errors[0].reason if errors else skipped,
                settings=settings,
            )

        self.queue.add_step(finish)

    def _drop(self, record: int) -> None:
        self.report.dropped_chunks += self._writer.drop_records([record])


def _stat(source: Source) -> FileStat | None:
    """Return what tells whether a file changed, or None for what is not a regular file."""
    if source.path is None:
        return None
    seen_ns = time.time_ns()
    with contextlib.suppress(OSError):
        path = Path(source.path)
        if path.is_file():
            stat = path.stat()
            return FileStat(stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, seen_ns)
    return None


def _unchanged(stored: FileStat | None, found: FileStat | None) -> bool:
    """Whether a file is surely what it was, without reading it."""
    if stored is None or found is None:
        return False
    is_young = max(stored.mtime_ns, stored.ctime_ns) > stored.seen_ns - YOUNG_NS
    return not is_young and replace(stored, seen_ns=0) == replace(found, seen_ns=0)


def _stored_id(record: Record, source: Source, relative: bytes) -> str:
    """Return the id that an index keeps: one made of the path is made relative to the root."""
    if source.path is None or not record.id.startswith(source.path):
        return record.id
    place = record.id[len(source.path) :]
    if place not in ("", f":{record.line}"):
        return record.id
    return (os.fsdecode(relative) or Path(source.path).name) + place


def record_hash(record: Record, title: str) -> bytes:
    """Return what tells whether a record changed: text, vector that came with it, title that is encoded."""
    content = record.text if record.vector is None else record.text + record.vector.tobytes().hex()
    return text_hash(f"{content}\0title {title}" if title else content)
