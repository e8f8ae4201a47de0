"""What the file of an approximate-neighbour graph holds, and whether it can be trusted with a search.

The parts of the file, one after the other, all numbers little-endian:

    magic          8 bytes
    header length  uint32, in bytes
    header         JSON: the fields of `GraphHeader`, the format version and the space
    header hash    uint64, xxh3-64 of everything before it
    links          uint32, (count, 1 + 2m): level 0 of each row: how many links, the linked rows, zeros
    levels         uint8, (count,): the highest level of each row
    upper          uint32, (upper_lists, 1 + m): as links, for levels 1 to levels[row], row after row

Row numbers count the vectors in the order in which they were given. The vectors themselves are not there, so
they cannot disagree with the index.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import xxhash

from embedcli.errors import UsageError

FORMAT_VERSION = 1
MAX_ROWS = (1 << 31) - 1
"""hnswlib keeps row numbers in signed 32-bit integers while it searches."""
MAX_LEVEL = 64
"""Beyond what hnswlib draws: -log(u) / log(m), where u is at least 2**-62 and m at least 2."""
MAX_EF = 1 << 20
MAX_DIM = 1 << 20

_SPACE = "ip"
_SEED_BITS = 32
_MAX_JOBS = 1024


@dataclass(frozen=True, slots=True)
class GraphSettings:
    """How a graph is built.

    Attributes:
        m: Links that a row gets on each upper level, 2 to 256; on level 0 twice as many.
        ef_construction: Candidates kept while a row's neighbours are looked for: more is better and slower.
        seed: Of the random levels, 0 to 2**32 - 1.
        jobs: Threads. With 1 the graph is the same byte for byte each time; with more it is not.

    Raises:
        UsageError: A value is out of range.

    Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using Hierarchical
    Navigable Small World graphs", IEEE TPAMI 42(4), 2020, section 4. The defaults are hnswlib's.
    """

    m: int = 16
    ef_construction: int = 200
    seed: int = 100
    jobs: int = 1

    def __post_init__(self) -> None:
        """Check the ranges."""
        check_range("m", self.m, 2, 256)
        check_range("ef_construction", self.ef_construction, 1, MAX_EF)
        check_range("seed", self.seed, 0, (1 << _SEED_BITS) - 1)
        check_range("jobs", self.jobs, 1, _MAX_JOBS)


class GraphKey(NamedTuple):
    """Which state of an index a graph belongs to.

    Attributes:
        content: Hash of what was indexed, as hexadecimal digits.
        commit: The index's commit number.
    """

    content: str
    commit: int


@dataclass(frozen=True, slots=True)
class GraphHeader:
    """What a graph's file says about itself.

    Attributes:
        settings: How it was built.
        key: What it was built from.
        dim: Numbers in a vector.
        count: Rows.
        ef_search: Candidates kept in a search, as tuned.
        max_level: The highest level, 0 to `MAX_LEVEL`.
        entry_point: The row where each search begins; 0 if there are no rows.
        upper_lists: Link lists above level 0.
        payload_hash: xxh3-128 of the arrays, as hexadecimal digits.

    Raises:
        UsageError: A number is out of range.
    """

    settings: GraphSettings
    key: GraphKey
    dim: int
    count: int
    ef_search: int
    max_level: int
    entry_point: int
    upper_lists: int
    payload_hash: str

    def __post_init__(self) -> None:
        """Check the ranges; what they mean together is checked with the arrays."""
        check_range("commit", self.key.commit, 0, (1 << 63) - 1)
        check_range("dim", self.dim, 1, MAX_DIM)
        check_range("count", self.count, 0, MAX_ROWS)
        check_range("ef_search", self.ef_search, 1, MAX_EF)
        check_range("max_level", self.max_level, 0, MAX_LEVEL)
        check_range("entry_point", self.entry_point, 0, max(self.count - 1, 0))
        check_range("upper_lists", self.upper_lists, 0, self.count * MAX_LEVEL)

    @property
    def payload_bytes(self) -> int:
        """How long the arrays are together."""
        m = self.settings.m
        return 4 * self.count * (1 + 2 * m) + self.count + 4 * self.upper_lists * (1 + m)

    def to_json(self) -> bytes:
        """The header as it stands in the file."""
        fields = asdict(self)
        fields |= fields.pop("settings") | self.key._asdict() | {"format": FORMAT_VERSION, "space": _SPACE}
        del fields["key"]
        return json.dumps(fields, sort_keys=True).encode()

    @classmethod
    def from_json(cls, content: bytes) -> GraphHeader | None:
        """The header read back, its numbers checked; None if it is of another format version.

        Raises:
            ValueError, RecursionError, TypeError, KeyError, UsageError: It is not a header.
        """
        fields: dict[str, Any] = json.loads(content)
        version, space = fields.pop("format"), fields.pop("space")
        if (version, space) != (FORMAT_VERSION, _SPACE):
            return None
        settings = GraphSettings(*(fields.pop(name) for name in ("m", "ef_construction", "seed", "jobs")))
        key = GraphKey(fields.pop("content"), fields.pop("commit"))
        return cls(settings=settings, key=key, **fields)


class GraphLinks(NamedTuple):
    """The arrays of a graph; the head of this module says what they hold."""

    links: npt.NDArray[np.uint32]
    levels: npt.NDArray[np.uint8]
    upper: npt.NDArray[np.uint32]

    @classmethod
    def empty(cls, count: int, upper_lists: int, m: int) -> GraphLinks:
        """Arrays of the right shapes, not filled."""
        return cls(
            np.empty((count, 1 + 2 * m), dtype="<u4"),
            np.empty(count, dtype=np.uint8),
            np.empty((upper_lists, 1 + m), dtype="<u4"),
        )

    def contents(self) -> list[memoryview]:
        """The arrays as the bytes that stand in the file; they share memory."""
        return [array.reshape(-1).view(np.uint8).data for array in self]

    def hash(self) -> str:
        """xxh3-128 of the bytes, as hexadecimal digits."""
        state = xxhash.xxh3_128()
        for content in self.contents():
            state.update(content)
        return state.hexdigest()

    def list_levels(self) -> npt.NDArray[np.int64]:
        """The level of each upper list, from 1; shape (upper_lists,)."""
        levels = self.levels.astype(np.int64)
        return np.arange(len(self.upper)) - np.repeat(np.cumsum(levels) - levels, levels) + 1

    def problem(self, header: GraphHeader) -> str:
        """What could lead a search out of the arrays; empty if nothing. hnswlib checks none of it.

        O(links). The arrays must have the shapes that the header asks for.
        """
        return self._problem_of_levels(header) or self._problem_of_links(header)

    def _problem_of_levels(self, header: GraphHeader) -> str:
        levels = self.levels
        if levels.max(initial=0) != header.max_level:
            return "its highest level is not what its header says"
        if header.count and levels[header.entry_point] != header.max_level:
            return "its entry point is not on the highest level"
        if levels.sum(dtype=np.int64) != len(self.upper):
            return "its upper lists are not as many as its levels ask for"
        return ""

    def _problem_of_links(self, header: GraphHeader) -> str:
        m = header.settings.m
        for lists, room in ((self.links, 2 * m), (self.upper, m)):
            # The whole word: hnswlib takes the count from half of it and marks deleted rows in the other.
            if lists[:, 0].max(initial=0) > room:
                return "a list holds more links than there is room for"
            # Unused places too: hnswlib computes addresses from the one after the last link.
            if lists[:, 1:].max(initial=0) >= max(header.count, 1):
                return "a link leads to a row that does not exist"
        used = np.arange(m) < self.upper[:, :1]
        if (used & (self.levels[self.upper[:, 1:]] < self.list_levels()[:, np.newaxis])).any():
            return "an upper link leads to a row that is not on that level"
        return ""


def check_range(name: str, value: int, low: int, high: int) -> None:
    """Check that a number is whole and within a range, ends included.

    Raises:
        UsageError: It is not.
    """
    if type(value) is not int or not low <= value <= high:
        raise UsageError(f"{name} must be a whole number from {low} to {high}, not {value}")
