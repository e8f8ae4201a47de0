"""Records on disk: for what has to see all of them before it can write the first."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING

from embedcli.datatypes import Record
from embedcli.write.objects import dump

if TYPE_CHECKING:
    from array import array
    from collections.abc import Iterable, Iterator


class Spool:
    """Records in a temporary file without a name, by their number from 0.

    Memory is 16 bytes for each record. The file takes the records' bytes, texts, fields and vectors; it goes
    where `TMPDIR` says, and is gone when this is closed or the process ends.
    """

    def __init__(self) -> None:
        """Open the file.

        Raises:
            OSError: There is no folder for temporary files.
        """
        from array import array

        self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed by `close`)
        self._starts: array[int] = array("q", [0])
        self._raw_starts: array[int] = array("q")

    def __len__(self) -> int:
        return len(self._raw_starts)

    def close(self) -> None:
        """Give the disk back."""
        self._file.close()

    def keep(self, records: Iterable[Record]) -> Iterator[Record]:
        """Pass records on, each kept first.

        Raises:
            OSError: The disk is full.
        """
        import numpy as np

        for record in records:
            vector = record.vector
            numbers = b"" if vector is None else np.asarray(vector, dtype="<f4").tobytes()
            said = (
                *(record.id, record.text, dict(record.fields), record.path, record.line, record.end_line),
                *(None if vector is None else len(vector), record.vector_model),
            )
            head = dump(said)
            self._file.write(head + numbers + record.raw)
            start = self._starts[-1] + len(head) + len(numbers)
            self._raw_starts.append(start)
            self._starts.append(start + len(record.raw))
            yield record

    def raw(self, number: int) -> bytes:
        """Return the bytes of a record."""
        return self._read(self._raw_starts[number], self._starts[number + 1])

    def record(self, number: int) -> Record:
        """Return a record as it was."""
        import numpy as np

        content = self._read(self._starts[number], self._starts[number + 1])
        raw_start = self._raw_starts[number] - self._starts[number]
        raw = content[raw_start:]
        # Behind the text stand the vector's numbers, if any, so that the head is parsed as far as it goes.
        said, _ = _DECODER.raw_decode(content[:raw_start].decode("utf-8", "replace"))
        name, text, fields, path, line, end_line, dim, model = said
        vector = None
        if dim is not None:
            vector = np.frombuffer(content[raw_start - 4 * dim : raw_start], dtype="<f4").astype(np.float32)
        return Record(name, text, raw, fields, path, line, end_line, vector, model)

    def _read(self, start: int, end: int) -> bytes:
        self._file.seek(start)
        return self._file.read(end - start)


_DECODER = json.JSONDecoder()
