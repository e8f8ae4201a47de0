"""A first look at vectors from elsewhere: whether all of them fit, before anything is written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from embedcli.errors import InputError, VectorError
from embedcli.records.exchange import RefusedRow
from embedcli.tasks.import_names import Names
from embedcli.vectors.quantize import CODE_DTYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.records.exchange import ImportedRow, VectorSource
    from embedcli.tasks.vectorize import Vectorizer


@dataclass(frozen=True, slots=True)
class ImportSettings:
    """How vectors are taken over.

    Attributes:
        collection: Which collection of a database of `llm`; None for the only one.
        dtype: What a new index stores vectors as; None for what the vectors say they were stored as, else
            float16.
        encode: Encode the texts and leave the vectors out of account.
        accept_model: Take it that a database's vectors are from the model in use, whatever it says.
        lock_timeout_seconds: How long to wait for another writer.
        graph_jobs: Threads that renew the index's graph, if it keeps one.
    """

    collection: str | None = None
    dtype: str | None = None
    encode: bool = False
    accept_model: bool = False
    lock_timeout_seconds: float = 0.0
    graph_jobs: int = 1


@dataclass(slots=True)
class Survey:
    """What a first pass over a source found.

    Attributes:
        names: The ids that its records get.
        rows: How many rows there are.
        has_text: Whether any of them has a text.
        has_model: Whether any of them says which model it is from.
        dtypes: What they say that they were stored as.
    """

    names: Names = field(default_factory=Names)
    rows: int = 0
    has_text: bool = False
    has_model: bool = False
    dtypes: set[str] = field(default_factory=set)

    def add(self, row: ImportedRow | RefusedRow) -> None:
        """Look at the next row."""
        self.rows += 1
        self.names.add(row)
        if isinstance(row, RefusedRow):
            return
        self.has_text |= row.text is not None
        self.has_model |= row.vector_model is not None
        if row.vector_dtype in CODE_DTYPES:
            self.dtypes.add(row.vector_dtype)


def look_at(
    source: VectorSource,
    settings: ImportSettings,
    vectorizer: Vectorizer,
    on_notice: Callable[[str], None],
) -> Survey:
    """Read a source without its vectors, and refuse it if it does not fit.

    Raises:
        InputError: It cannot be read, is not whole, or holds no texts to encode.
        VectorError: Its vectors are of another model.
    """
    survey = Survey()
    for batch in source.read(with_vectors=False):
        for row in batch.rows:
            survey.add(row)
            if isinstance(row, RefusedRow) or settings.encode:
                continue
            if row.vector_model not in (None, vectorizer.vector_model):
                raise VectorError(
                    f"{row.where}: its vector is from {row.vector_model}, "
                    f"this run uses {vectorizer.vector_model}",
                    hint="--model and --variant for that model, or --encode for the texts",
                )
    survey.names.close()
    if settings.encode:
        if survey.rows and not survey.has_text:
            raise InputError(f"{source.name}: holds no texts to encode")
    elif source.model is not None:
        _check_collection_model(source, settings, vectorizer, on_notice)
    elif survey.rows and not survey.has_model:
        on_notice(f"{source.name}: does not say which model it is from; taken for {vectorizer.vector_model}")
    return survey


def _check_collection_model(
    source: VectorSource,
    settings: ImportSettings,
    vectorizer: Vectorizer,
    on_notice: Callable[[str], None],
) -> None:
    """Refuse a database that names another model, unless told that it is the same one.

    Raises:
        VectorError: It does.
    """
    manifest = vectorizer.model.manifest
    if source.model not in (manifest.name, manifest.source) and not settings.accept_model:
        raise VectorError(
            f"{source.name}: its vectors are from {source.model!r}, this run uses {vectorizer.vector_model}",
            hint="--accept-model if they are the same; --encode encodes the texts with this one",
        )
    on_notice(
        f"{source.name}: from another export of the same model ({source.model}): scores may differ slightly"
    )
