"""An index as files that other programs read, and that `import_index` takes back."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from embedcli.datatypes import STDIN_NAME, Record
from embedcli.errors import UsageError
from embedcli.index.chunk_rows import ChunkRows
from embedcli.index.damage import damaged
from embedcli.index.file import open_for_reading
from embedcli.index.reader import IndexReader
from embedcli.records.exchange import HIDDEN_FIELDS, NAMED_FIELDS, ROW_FIELDS
from embedcli.records.vector_field import OWN_FIELDS
from embedcli.tasks.places import hit_path, is_out_of_place, shown_source
from embedcli.tasks.text_fields import text_names
from embedcli.tasks.vectorize import vector_origin
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any

    import numpy.typing as npt

    from embedcli.datatypes import Json, VectorDtype
    from embedcli.index.chunk_rows import ChunkRow
    from embedcli.index.meta import Identity
    from embedcli.index.segments import Block
    from embedcli.write.archive import ArchiveWriter

ExportForm = Literal["npy", "parquet"]

_WRITE_ROWS = 1024


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written: the files, and how many vectors of what kind."""

    paths: tuple[str, ...]
    vectors: int
    dim: int
    dtype: str


def export_index(
    index: Path,
    base: str,
    form: ExportForm,
    *,
    keep_text: bool = True,
    on_notice: Callable[[str], None] = lambda _notice: None,
    on_progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> ExportReport:
    """Write all vectors of an index, in the order of its chunks, with what belongs to them.

    Memory is that of one segment. The files appear when they are whole.

    Args:
        index: The index file.
        base: The files' name without its ending.
        form: `npy` for `.npy` and `.jsonl`, `parquet` for one file.
        keep_text: Whether texts are written; without them the fields that they were made of go too.
        on_notice: Told when the index was taken out of its folder, or holds what is not exported.
        on_progress: Told how many of how many vectors are written.

    Raises:
        UsageError: A file would take the place of the index, or of one that it was made of.
        DamagedIndexError: What was read is not what was written; nothing is exported.
        VectorError: The index holds sign bits, and not a multiple of 8 to a vector.
        MissingExtraError: Parquet was asked for, and pyarrow is not installed.
        OutputError: A file cannot be written; what was there before is still there.
    """
    paths = tuple(base + suffix for suffix in ((".npy", ".jsonl") if form == "npy" else (".parquet",)))
    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        if any(is_out_of_place(root, index) for root in reader.roots()):
            on_notice(f"{index}: taken out of its folder: paths are relative to where it was")
        if reader.identity.sparse is not None:
            on_notice(f"{index}: its sparse vectors are left out")
        _refuse_own_files(paths, reader)
        export = _Export(reader, ChunkRows(index, connection), keep_text=keep_text)
        total = reader.counts()["chunks"]
        with export.opened(paths, total) as archive:
            done = 0
            for objects, codes in export.rows():
                done += len(objects)
                if done > total:
                    break
                archive.write(objects, codes)
                on_progress(done, total)
            if done != total:
                raise damaged(index, f"{total} chunks are counted, {done} or more found")
        return ExportReport(paths, total, reader.identity.dim, reader.identity.dtype)


def iter_index_records(index: Path) -> Iterator[Record]:
    """Yield what `export_index` writes as records, one for each vector, in the order of the chunks.

    Their bytes are lines of JSON without the vector. The id of a record's later chunks is `id#chunk`.

    Raises:
        DamagedIndexError: What was read is not what was written.
    """
    import numpy as np

    with open_for_reading(index) as connection:
        reader = IndexReader(index, connection)
        export = _Export(reader, ChunkRows(index, connection), keep_text=True)
        model = vector_model(reader.identity)
        for objects, vectors in export.object_vectors():
            for found, vector in zip(objects, vectors, strict=True):
                shown = {key: value for key, value in found.items() if key not in OWN_FIELDS}
                chunk = found["chunk"]
                yield Record(
                    found["id"] if chunk == 1 else f"{found['id']}#{chunk}",
                    found.get("text") or "",
                    dump(shown) + b"\n",
                    shown,
                    *(found["path"], found["line"], found["end_line"]),
                    np.asarray(vector, dtype=np.float32),
                    model,
                )


def _refuse_own_files(paths: Sequence[str], reader: IndexReader) -> None:
    """Refuse to write over the index or a file it was made of.

    Raises:
        UsageError: One of the paths is such a file.
    """
    there = {os.path.realpath(path): path for path in paths if os.path.exists(path)}  # noqa: PTH110
    if not there:
        return
    own: Iterator[str] = (
        shown_source(place.root, place.path, reader.path)
        for place in reader.sources()
        if place.root != STDIN_NAME.encode() and not is_out_of_place(place.root, reader.path)
    )
    for name in (str(reader.path), *own):
        if (path := there.get(os.path.realpath(name))) is not None:
            raise UsageError(f"{path} belongs to the index, and is not written over", hint="another -o BASE")


def vector_model(identity: Identity) -> str:
    """Return what the vectors of an index say they are from, as `Vectorizer.vector_model` does."""
    return vector_origin(identity.model, identity.variant, identity.fingerprint)


def shown_fields(
    fields: Mapping[str, Json], name: str, without: Sequence[str]
) -> tuple[dict[str, Json], dict[str, Json]]:
    """Return a record's own fields, and those of them whose names are taken by the places of its chunks.

    Its text is left out of both, and so is an id that says what the record's id says.

    Args:
        fields: All of them.
        name: The record's id.
        without: Fields that are not to be shown.
    """
    said = {"text", *without, *OWN_FIELDS}
    own = {key: value for key, value in fields.items() if key not in NAMED_FIELDS and key not in said}
    hidden = {
        key: value
        for key, value in fields.items()
        if key in (*ROW_FIELDS, HIDDEN_FIELDS) and key not in said and not (key == "id" and value == name)
    }
    return own, hidden


class _Export:
    """One index on its way out."""

    def __init__(self, reader: IndexReader, chunk_rows: ChunkRows, *, keep_text: bool) -> None:
        self._reader, self._rows, self._keep_text = reader, chunk_rows, keep_text
        # What is stored is what `VectorDtype` names too.
        self._dtype: VectorDtype = reader.identity.dtype  # type: ignore[assignment]
        self._last = {
            "vector_model": vector_model(reader.identity),
            "vector_dtype": reader.identity.dtype,
        }
        self._shown: tuple[int, dict[str, Json]] | None = None

    @contextlib.contextmanager
    def opened(self, paths: tuple[str, ...], total: int) -> Iterator[ArchiveWriter]:
        """Open the files for a block."""
        from embedcli.vectors.quantize import code_width
        from embedcli.write.archive import open_npy_archive
        from embedcli.write.archive_parquet import OwnColumns, open_parquet_archive

        width = code_width(self._reader.identity.dim, self._dtype)
        if len(paths) > 1:
            with open_npy_archive(
                (paths[0], paths[1]), rows=total, width=width, dtype=self._dtype
            ) as archive:
                yield archive
            return
        columns = OwnColumns()
        for number, source, name, _ in self._reader.iter_records():
            columns.observe(self._record_fields(number, source, name))
        with open_parquet_archive(
            paths[0], columns, keep_text=self._keep_text, width=width, dtype=self._dtype
        ) as archive:
            yield archive

    def rows(self) -> Iterator[tuple[list[dict[str, Json]], npt.NDArray[Any]]]:
        """Yield objects and their codes, shape (n, width), some at a time."""
        from embedcli.vectors.quantize import quantize

        for objects, codes in self.object_vectors():
            yield objects, quantize(codes, "binary").codes if self._dtype == "binary" else codes

    def object_vectors(self) -> Iterator[tuple[list[dict[str, Json]], npt.NDArray[Any]]]:
        """Yield objects and their vectors, shape (n, dim), some at a time; those of sign bits are signs."""
        import numpy as np

        for block in self._reader.blocks():
            alive = np.arange(len(block.vectors)) if block.dead is None else np.flatnonzero(~block.dead)
            for start in range(0, len(alive), _WRITE_ROWS):
                part = alive[start : start + _WRITE_ROWS]
                yield [self._object(chunk) for chunk in self._chunks(block, part)], block.vectors[part]

    def _chunks(self, block: Block, rows: npt.NDArray[Any]) -> Iterator[ChunkRow]:
        return self._rows.chunks((rows + block.first).tolist())

    def _object(self, chunk: ChunkRow) -> dict[str, Json]:
        """Return what is said of one vector."""
        record = self._rows.record(chunk.record)
        source = self._rows.source(record.source)
        places = {
            "id": record.name,
            "chunk": chunk.ordinal,
            "path": hit_path(source.root, source.path, self._reader.path),
            "line": chunk.line,
            "end_line": chunk.end_line,
            "start": chunk.start,
            "end": chunk.end,
        }
        if self._keep_text:
            places["text"] = chunk.text
        return {**places, **self._record_fields(chunk.record, record.source, record.name), **self._last}

    def _record_fields(self, number: int, source: int, name: str) -> dict[str, Json]:
        """Return what is shown of a record's own fields; the last record is remembered."""
        if self._shown is None or self._shown[0] != number:
            fields = self._rows.record(number).fields
            without: tuple[str, ...] = ()
            if not self._keep_text:
                settings = self._rows.source(source).settings
                without = text_names(
                    settings.get("columns") or settings.get("text_fields") or (), tuple(fields)
                )
            own, hidden = shown_fields(fields, name, without)
            self._shown = (number, {**own, **({HIDDEN_FIELDS: hidden} if hidden else {})})
        return self._shown[1]
