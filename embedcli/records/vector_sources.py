"""What a named file of vectors is, told by its content, and the reader for it."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING

from embedcli.errors import InputError, MissingPathError, UsageError
from embedcli.records.llm_database import SQLITE_MAGIC, open_llm_database
from embedcli.records.npy_pair import NPY_MAGIC, NpyPair
from embedcli.records.parquet_vectors import PARQUET_MAGIC, open_parquet_vectors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO, Final

    from embedcli.records.exchange import VectorSource

_HEAD_BYTES: Final = 16


@contextlib.contextmanager
def open_vector_source(path: str, collection: str | None = None) -> Iterator[VectorSource]:
    """Open vectors with their records: `.npy` and `.jsonl` side by side, Parquet, or a database of `llm`.

    Args:
        path: The file; of a pair either one.
        collection: Which collection of a database; None for the only one.

    Raises:
        MissingPathError: There is no such file.
        InputError: It is nothing of that kind, or is damaged.
        UsageError: A collection of something that has none.
    """
    with contextlib.ExitStack() as stack:
        stream = stack.enter_context(_opened(path))
        head = stream.read(_HEAD_BYTES)
        is_database = head.startswith(SQLITE_MAGIC)
        if collection is not None and not is_database:
            raise UsageError(f"--collection: {path} is no database of llm")
        source: VectorSource
        if is_database:
            source = stack.enter_context(open_llm_database(path, collection))
        elif head.startswith(PARQUET_MAGIC):
            stream.seek(0)
            source = stack.enter_context(open_parquet_vectors(stream, path))
        elif head.startswith(NPY_MAGIC):
            lines = beside(path, ".jsonl")
            source = NpyPair(stream, _opened_partner(stack, path, lines), (path, lines))
        else:
            vectors = beside(path, ".npy")
            source = NpyPair(_opened_partner(stack, path, vectors), stream, (vectors, path))
        yield source


def beside(path: str, suffix: str) -> str:
    """Return the name of the other file of a pair."""
    base, old = os.path.splitext(path)  # noqa: PTH122  (a name need not be UTF-8)
    return (base if old.lower() in {".npy", ".jsonl"} else path) + suffix


def _opened(path: str) -> BinaryIO:
    """Open a plain file.

    Raises:
        MissingPathError: There is none.
        InputError: It is something else, or cannot be read.
    """
    try:
        # A FIFO would wait for a writer.
        if not stat.S_ISREG(os.stat(path).st_mode):  # noqa: PTH116
            raise InputError(f"{path}: no plain file")
        return open(path, "rb")  # noqa: PTH123
    except (FileNotFoundError, NotADirectoryError):
        raise MissingPathError(path) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error


def _opened_partner(stack: contextlib.ExitStack, path: str, partner: str) -> BinaryIO:
    try:
        return stack.enter_context(_opened(partner))
    except MissingPathError:
        raise InputError(
            f"{path}: no {partner} beside it",
            hint="FILE.npy with FILE.jsonl, a Parquet file, or a database of llm",
        ) from None
