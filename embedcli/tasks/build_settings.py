"""What a build is told, and what it tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from embedcli.datatypes import Chunking, OnLong


@dataclass(frozen=True, slots=True)
class BuildSettings:
    """How an index is built. What is None or empty was not said: a known root keeps what it was built with.

    Attributes:
        paths: Roots, `-` for standard input; empty refreshes all roots of the index.
        read: What was said about reading, by the names of `ReadSettings`.
        chunking: How records become chunks; None for `paragraphs` for text files, `none` for everything
            else.
        on_long: What becomes of a chunk that is longer than the model takes; None for `split`.
        chunk_tokens: Most tokens of a chunk; None for as many as the model takes.
        chunk_overlap: Tokens that the windows of a long chunk share.
        context_title: Whether chunks are encoded with the title above them; None for not.
        dtype: What vectors are stored as: `float32`, `float16`, `int8` or `binary`.
        keep_text: Whether the index keeps the chunks' text.
        may_shrink: Switches the shrink guard off.
        prune: Also remove records that standard input no longer holds.
        lock_timeout_seconds: How long to wait for another writer.
        max_seconds: Stop after about this long, at the edge of a batch; the next run goes on there.
        graph: Keep an HNSW graph beside the index, built this way, and renew it after each build that changed
            vectors; None for what the index was told before.
        graph_jobs: Threads that build it.
    """

    paths: tuple[str, ...] = ()
    read: Mapping[str, Any] = field(default_factory=dict)
    chunking: Chunking | None = None
    on_long: OnLong | None = None
    chunk_tokens: int | None = None
    chunk_overlap: int | None = None
    context_title: bool | None = None
    dtype: str = "float16"
    keep_text: bool = True
    may_shrink: bool = False
    prune: bool = False
    lock_timeout_seconds: float = 0.0
    max_seconds: float | None = None
    graph: Mapping[str, int] | None = None
    graph_jobs: int = 1


@dataclass(slots=True)
class BuildReport:
    """What a build did, in files and chunks.

    Attributes:
        left: Files that were not looked at, because the time was over; None where it was not.
    """

    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    skipped: int = 0
    dropped_chunks: int = 0
    left: int | None = None
