"""Looking after an index: what is in it, taking things out, checking, repairing, compacting."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from embedcli.datatypes import STDIN_NAME
from embedcli.errors import DamagedIndexError, EmbedcliError, UsageError
from embedcli.index.file import open_for_reading, open_for_writing, stored_identity
from embedcli.index.reader import IndexReader
from embedcli.index.writer import IndexWriter
from embedcli.records.fingerprint import text_hash
from embedcli.tasks.graphs import renew_graph
from embedcli.tasks.places import hit_path, is_out_of_place, root_from_stored

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from embedcli.index.repair import Repaired
    from embedcli.tasks.vectorize import Vectorizer

_SAMPLE_CHUNKS = 32
_SAMPLE_SEED = 0
SAME_COSINE = 0.99
"""A chunk that is encoded again must be at least this close to its stored vector: float16, int8 and another
machine's rounding stay above it, another model does not."""
SAME_SIGNS = 0.95
"""The same for an index of sign bits alone: the share of equal signs."""


@dataclass(slots=True)
class CheckReport:
    """What a check found.

    Attributes:
        findings: What is wrong, one line each; empty for a sound index.
        notes: What could not be checked, and why.
        repaired: What a repair took out; None where there was nothing to repair, or nobody asked.
    """

    findings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    repaired: Repaired | None = None


def list_sources(index: Path) -> list[dict[str, Any]]:
    """Return path, state, reason, records and chunks of every source, by root and path.

    Raises:
        IndexFileError: There is no index, or it cannot be read.
    """
    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        sizes = reader.sizes()
        return [
            {
                "path": hit_path(source.root, source.path, index) or STDIN_NAME,
                "state": source.state,
                "reason": source.reason,
                "records": sizes.get(source.id, (0, 0))[0],
                "chunks": sizes.get(source.id, (0, 0))[1],
            }
            for source in reader.sources()
        ]


def remove(
    index: Path,
    paths: Sequence[str],
    ids: Sequence[str],
    *,
    lock_timeout_seconds: float = 0.0,
) -> tuple[int, int]:
    """Take files, folders, roots and records out of an index; the files themselves are not touched.

    Args:
        index: The index file.
        paths: Files, folders with all below them, or roots, which are forgotten; `-` for all records from
            standard input.
        ids: Ids of records from standard input.
        lock_timeout_seconds: How long to wait for another writer.

    Returns:
        How many sources and how many chunks went.

    Raises:
        UsageError: The index holds nothing under one of these names; nothing was removed.
        IndexLockedError: Another run is writing.
    """
    identity = stored_identity(index)
    with open_for_writing(index, identity, lock_timeout_seconds=lock_timeout_seconds) as connection:
        reader = IndexReader(index, connection)
        writer = IndexWriter(index, connection, identity, may_shrink=True)
        sources = reader.sources()
        roots = reader.root_ids()
        chosen: set[int] = set()
        forgotten: set[int] = set()
        for path in paths:
            wanted = os.path.abspath(path)  # noqa: PTH100  (`absolute` keeps "..")
            below = {
                source.id
                for source in sources
                if (
                    source.root == STDIN_NAME.encode()
                    if path == STDIN_NAME
                    else source.root != STDIN_NAME.encode()
                    and _lies_in(_place(index, source.root, source.path), wanted)
                )
            }
            own_roots = {
                number
                for stored, number in roots.items()
                if path != STDIN_NAME and _lies_in(_place(index, stored, b""), wanted)
            }
            if not below and not own_roots:
                raise UsageError(f"{path}: not in {index}", hint=f"embedcli index list -i {index}")
            chosen |= below
            forgotten |= own_roots
        records = {record for name in ids for record in reader.stdin_records(name)}
        missing = [name for name in ids if not reader.stdin_records(name)]
        if missing:
            raise UsageError(
                f"{missing[0]}: no record of that id from standard input in {index}",
                hint="records of files go with their file: embedcli index remove PATH",
            )
        chunks = writer.drop_records(sorted(records)) + writer.drop_sources(sorted(chosen))
        for number in forgotten:
            writer.drop_root(number)
        writer.commit()
        renew_graph(reader, writer)
    return len(chosen), chunks


def _place(index: Path, root: bytes, relative: bytes) -> str:
    """Return the absolute path of a stored file; its name in the root where the index is out of place."""
    if is_out_of_place(root, index):
        return os.path.abspath(os.fsdecode(relative))  # noqa: PTH100
    whole = root_from_stored(root, index)
    return str(whole / os.fsdecode(relative) if relative else whole)


def _lies_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip(os.sep) + os.sep)


def compact_index(
    index: Path,
    *,
    lock_timeout_seconds: float = 0.0,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> tuple[int, int]:
    """Drop what was deleted and give its space back; return the file's bytes before and after.

    Raises:
        IndexLockedError: Another run is writing.
        DamagedIndexError: A row or vector is not what was written; nothing was changed.
        OutputError: There is not enough room; nothing was changed.
    """
    from embedcli.index.compact import compact

    before = index.stat().st_size if index.exists() else 0
    identity = stored_identity(index)
    with open_for_writing(index, identity, lock_timeout_seconds=lock_timeout_seconds) as connection:
        compact(index, connection, on_progress)
        writer = IndexWriter(index, connection, identity, may_shrink=True)
        renew_graph(IndexReader(index, connection), writer)
        writer.commit()
    return before, index.stat().st_size


def check_index(
    index: Path,
    vectorizer: Callable[[], Vectorizer] | None,
    *,
    repair: bool = False,
    lock_timeout_seconds: float = 0.0,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> CheckReport:
    """Verify an index: every hash and count, what refers to what, its graph; encode some chunks again.

    Args:
        index: The index file.
        vectorizer: Opens what encodes a sample of the chunks again; None leaves that out.
        repair: Take out what is damaged, so that the next build makes it anew.
        lock_timeout_seconds: How long to wait for another writer, when repairing.
        on_progress: Told how many of how many vectors are verified.

    Raises:
        IndexFileError: There is no index, or it is none.
        DamagedIndexError: It cannot be repaired.
    """
    from embedcli.index import verify as verifying

    report = CheckReport()
    if repair:
        identity = stored_identity(index)
        with open_for_writing(index, identity, lock_timeout_seconds=lock_timeout_seconds) as connection:
            connection.execute("BEGIN IMMEDIATE")
            damage = verifying.verify(
                index, connection, check_lexical=identity.keep_text, on_progress=on_progress
            )
            report.findings = damage.findings
            if damage.is_structural:
                raise DamagedIndexError(
                    f"{index}: {damage.findings[0]}",
                    hint="this cannot be repaired: delete it and build it again, its files are untouched",
                )
            if damage.findings:
                from embedcli.index.repair import repair as take_out

                report.repaired = take_out(index, connection, damage)
            connection.execute("COMMIT")
            _check_graph(IndexReader(index, connection), report, remove_bad=True)
        return report
    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        damage = verifying.verify(index, connection, check_lexical=False, on_progress=on_progress)
        report.findings = damage.findings
        if not damage.is_structural:
            _check_graph(reader, report, remove_bad=False)
            if not damage.findings and vectorizer is not None:
                _check_sample(reader, vectorizer, report)
    if not damage.is_structural and reader.identity.keep_text:
        _check_lexical(index, report)
    return report


def _check_lexical(index: Path, report: CheckReport) -> None:
    """Compare the full-text table with the texts, which SQLite only does where it may write."""
    from embedcli.index.file import open_for_rehearsal
    from embedcli.index.verify import Damage, verify_lexical

    damage = Damage()
    try:
        with open_for_rehearsal(index, stored_identity(index)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            verify_lexical(connection, damage)
    except EmbedcliError as error:
        report.notes.append(f"full-text table not checked: {error}")
    report.findings += damage.findings


def _check_graph(reader: IndexReader, report: CheckReport, *, remove_bad: bool) -> None:
    from embedcli.index.graph import check_graph, graph_path

    state = check_graph(reader)
    if state is None or state.cause == "missing":
        return
    if state.cause == "damaged":
        report.findings.append(f"graph: {graph_path(reader.path)}: {state.reason}")
    else:
        report.notes.append(f"graph: {graph_path(reader.path)}: {state.reason}; it is not used")
    if remove_bad:
        with contextlib.suppress(OSError):
            graph_path(reader.path).unlink()
            report.notes.append(f"{graph_path(reader.path).name} removed; index build --graph makes it anew")


def _check_sample(reader: IndexReader, vectorizer: Callable[[], Vectorizer], report: CheckReport) -> None:
    """Encode some chunks again and compare."""
    import numpy as np

    from embedcli.vectors.metric import cosine

    if not reader.identity.keep_text:
        report.notes.append("no vectors encoded again: the index keeps no text")
        return
    ids = reader.sample_chunks(_SAMPLE_CHUNKS, _SAMPLE_SEED)
    if not ids:
        return
    try:
        encoder = vectorizer()
    except EmbedcliError as error:
        report.notes.append(f"no vectors encoded again: {error}")
        return
    with contextlib.closing(encoder):
        # A vector that came with its record, or that of a cut text, is not what encoding the text gives.
        chunks = [chunk for chunk in reader.chunks(ids) if chunk.text_hash == text_hash(chunk.text or "")]
        fresh = encoder.text_vectors([chunk.text or "" for chunk in chunks])
        stored = reader.vectors([chunk.id for chunk in chunks])
    for chunk, again, kept in zip(chunks, fresh, stored, strict=True):
        likeness = float(cosine(again[np.newaxis], kept)[0])
        limit = SAME_COSINE
        if reader.identity.dtype == "binary":
            likeness, limit = float(np.mean((again > 0) == (kept > 0))), SAME_SIGNS
        if likeness < limit:
            report.findings.append(
                f"chunk {chunk.id}: encoded again it is only {likeness:.3f} like its stored vector"
            )
