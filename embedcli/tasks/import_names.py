"""Which ids imported records get, and which rows are one record."""

from __future__ import annotations

import hashlib
from array import array
from typing import TYPE_CHECKING

from embedcli.index.rows import storable
from embedcli.records.exchange import RefusedRow, follows
from embedcli.records.fingerprint import HASH_BYTES, text_hash

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Chunk
    from embedcli.records.exchange import ImportedRow

    Hashes = npt.NDArray[np.uint64]

_HASH_BYTES = 8
"""Two of a million ids share such a hash with a chance below 10**-7, and the worst is a longer id."""


class Names:
    """The ids of the records of one source, once all its rows were looked at.

    A record keeps its own id. Where records of several paths have the same one, those of them that have a
    path are called `path#id`.
    """

    def __init__(self) -> None:
        self._ids, self._paths, self._long = array("Q"), array("Q"), array("Q")
        self._before: ImportedRow | None = None
        self._ambiguous: frozenset[int] = frozenset()
        self._repeated: frozenset[int] = frozenset()

    def add(self, row: ImportedRow | RefusedRow) -> None:
        """Look at the next row. Memory is 24 bytes a record."""
        if isinstance(row, RefusedRow):
            self._before = None
            return
        if not follows(row, self._before):
            self._ids.append(_hash(row.id))
            self._paths.append(0 if row.path is None else _hash(row.path))
            self._long.append(_hash(_name(row, is_ambiguous=True)))
        self._before = row

    def close(self) -> None:
        """Find out which ids are not unique; O(n log n)."""
        import numpy as np

        ids, paths, long = (
            np.frombuffer(each, dtype=np.uint64) if each else np.zeros(0, dtype=np.uint64)
            for each in (self._ids, self._paths, self._long)
        )
        pairs = np.unique(np.stack((ids, paths), axis=1), axis=0)
        self._ambiguous = _more_than_once(pairs[:, 0])
        is_ambiguous = np.isin(ids, np.array(sorted(self._ambiguous), dtype=np.uint64))
        self._repeated = _more_than_once(np.where(is_ambiguous & (paths != 0), long, ids))

    def name(self, row: ImportedRow) -> str:
        """Return the id that the record of a row gets."""
        return _name(row, is_ambiguous=_hash(row.id) in self._ambiguous)

    def is_repeated(self, name: str) -> bool:
        """Whether several records would get this id, be it from one path."""
        return _hash(name) in self._repeated


def _name(row: ImportedRow, *, is_ambiguous: bool) -> str:
    return storable(f"{row.path}#{row.id}" if is_ambiguous and row.path is not None else row.id)


def _hash(text: str) -> int:
    return int.from_bytes(text_hash(storable(text))[:_HASH_BYTES], "little")


def _more_than_once(hashes: Hashes) -> frozenset[int]:
    import numpy as np

    values, counts = np.unique(hashes, return_counts=True)
    return frozenset(values[counts > 1].tolist())


def content_hash(chunks: Sequence[Chunk], vectors: npt.NDArray[np.float32] | None) -> bytes:
    """Return what tells whether an imported record changed, its own fields and its place left out.

    Args:
        chunks: Its chunks.
        vectors: Shape (len(chunks), dim), or None for a record that is encoded here.
    """
    digest = hashlib.blake2b(digest_size=HASH_BYTES)
    first = chunks[0].line
    for place, chunk in enumerate(chunks):
        spans = (chunk.ordinal, chunk.start, chunk.end, chunk.line - first, chunk.end_line - first)
        digest.update(f"{spans}{len(chunk.text)}\0".encode())
        digest.update(text_hash(chunk.text))
        digest.update(b"" if vectors is None else vectors[place].tobytes())
    return digest.digest()
