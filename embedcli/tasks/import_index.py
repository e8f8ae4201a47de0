"""Vectors that were made elsewhere into an index, used as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from embedcli.errors import Interrupted, UsageError
from embedcli.index.file import open_for_writing, stored_identity
from embedcli.index.reader import IndexReader
from embedcli.index.segments import STORED_DTYPES
from embedcli.index.writer import IndexWriter
from embedcli.records.vector_sources import open_vector_source
from embedcli.tasks.chunks import identity_of
from embedcli.tasks.graphs import renew_graph
from embedcli.tasks.import_records import Import
from embedcli.tasks.import_survey import look_at
from embedcli.tasks.import_vectors import codes_dtype

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from embedcli.datatypes import Counts, OnProblem, VectorDtype
    from embedcli.index.meta import Identity
    from embedcli.tasks.import_records import ImportReport
    from embedcli.tasks.import_survey import ImportSettings, Survey
    from embedcli.tasks.vectorize import Vectorizer

_DEFAULT_DTYPE = "float16"


def import_vectors(
    source_path: str,
    index: Path,
    settings: ImportSettings,
    vectorizer: Vectorizer,
    counts: Counts,
    on_problem: OnProblem,
    *,
    on_notice: Callable[[str], None] = lambda _notice: None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ImportReport:
    """Put vectors with their records into an index, as records of standard input.

    The source is read twice: once to see whether all of it fits, once to write. Vectors get unit length. A
    record of an id that is there already takes its place; one that is the same is left alone.

    Args:
        source_path: `.npy` with `.jsonl` beside it, Parquet, or a database of `llm`.
        index: The index file; made if it does not exist.
        settings: How.
        vectorizer: Of the model that the vectors are from.
        counts: Added to.
        on_problem: Told of each record that was refused.
        on_notice: Told what the source does not say of its model.
        on_progress: Told how many of how many rows are done.

    Raises:
        InputError: The source cannot be read or is not whole; nothing was changed.
        VectorError: Its vectors are of another model or dimension; nothing was changed.
        IndexMismatchError: The index holds vectors of another model or of other settings.
        Interrupted: What was read is committed first.
    """
    with open_vector_source(source_path, settings.collection) as source:
        survey = look_at(source, settings, vectorizer, on_notice)
        identity = _identity(index, settings, vectorizer, survey)
        dtype: VectorDtype = "float32"
        if not settings.encode and source.width is not None:
            dims = (vectorizer.full_dim, vectorizer.dim)
            dtype = codes_dtype(source, survey.dtypes, dims)
        with open_for_writing(
            index, identity, lock_timeout_seconds=settings.lock_timeout_seconds
        ) as connection:
            writer = IndexWriter(index, connection, identity, may_shrink=True)
            reader = IndexReader(index, connection)
            run = Import(
                source, survey, reader, writer, vectorizer, counts, on_problem, encode=settings.encode
            )
            try:
                run.run(dtype, keeps_half=identity.dtype == "float16", on_progress=on_progress)
            except (KeyboardInterrupt, Interrupted):
                run.write_ready()
                raise
            renew_graph(reader, writer, jobs=settings.graph_jobs)
            return run.report


def _identity(index: Path, settings: ImportSettings, vectorizer: Vectorizer, survey: Survey) -> Identity:
    """Return the identity that the index has, or is to have.

    Raises:
        UsageError: The dtype is not known, or the index holds sparse vectors.
    """
    stored = stored_identity(index) if index.exists() and index.stat().st_size else None
    if stored is not None and stored.sparse is not None:
        raise UsageError(
            f"{index}: holds sparse vectors, and an import makes none",
            hint="import into another index: -i FILE",
        )
    said = next(iter(survey.dtypes)) if len(survey.dtypes) == 1 else ""
    default = stored.dtype if stored else said if said in STORED_DTYPES else _DEFAULT_DTYPE
    dtype = settings.dtype or default
    if dtype not in STORED_DTYPES:
        raise UsageError(f"--dtype {dtype!r} is not known", hint=", ".join(STORED_DTYPES))
    # Without any text a new index is one without texts; an empty source says nothing of that.
    keep_text = stored.keep_text if stored else survey.has_text or not survey.rows
    return identity_of(vectorizer, dtype, keep_text=keep_text)
