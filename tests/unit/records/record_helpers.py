"""Reading bytes and files in tests, with all that came of it."""

from __future__ import annotations

import io
from dataclasses import dataclass, field

from embedcli.datatypes import Counts, Problem, Record, Source
from embedcli.records.read import Records, read_records
from embedcli.records.settings import ReadSettings


class Trickle(io.RawIOBase):
    """A stream that gives few bytes at once, as a slow pipe does."""

    def __init__(self, data: bytes, size: int) -> None:
        self._stream, self._size = io.BytesIO(data), size

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        del size
        return self._stream.read(self._size)


@dataclass
class Outcome:
    records: list[Record]
    problems: list[Problem]
    counts: Counts
    reader: Records = field(repr=False)

    @property
    def texts(self):
        return [record.text for record in self.records]

    @property
    def ids(self):
        return [record.id for record in self.records]

    @property
    def raw(self):
        return b"".join(record.raw for record in self.records)

    @property
    def complaints(self):
        return [(problem.where, problem.reason) for problem in self.problems]


def read(source, stdin=None, **settings) -> Outcome:
    counts, problems = Counts(), []
    reader = read_records(source, ReadSettings(**settings), counts, problems.append, stdin)
    records = list(reader)
    assert counts.read == len(records)
    return Outcome(records, problems, counts, reader)


def read_bytes(data: bytes, size: int | None = None, **settings) -> Outcome:
    stream = io.BytesIO(data) if size is None else Trickle(data, size)
    return read(Source(None), stream, **settings)


def read_file(path, *, named: bool = True, **settings) -> Outcome:
    return read(Source(str(path), str(path), named=named), **settings)
