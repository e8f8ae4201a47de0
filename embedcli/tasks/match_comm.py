"""What two collections have in common: `match --comm`.

Records with the same text are told by their texts. Only what is left over gets vectors: of two nights' copies
of a large collection, what changed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, NamedTuple

from embedcli.records.fingerprint import text_hash
from embedcli.tasks.match_join import Gathered, ranked
from embedcli.tasks.match_one_to_one import one_to_one
from embedcli.tasks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from embedcli.datatypes import Record
    from embedcli.reports import Match
    from embedcli.tasks.match import MatchSettings
    from embedcli.tasks.match_one_to_one import Partners
    from embedcli.tasks.pool import Pool

Status = Literal["same", "reworded", "only_left", "only_right"]
"""What became of a record. `reworded` is on both sides in other words, the others are what they say."""


class Compared(NamedTuple):
    """A record of one side, or a pair of both.

    Attributes:
        status: What became of it.
        left: None for what is only on the right.
        right: None for what is only on the left.
        match: How alike the two are; of reworded ones alone.
    """

    status: Status
    left: Record | None
    right: Record | None
    match: Match | None = None


class _Collection:
    """The records of one side on disk, and the numbers of those that have no counterpart yet."""

    def __init__(self) -> None:
        self.spool = Spool()
        self.hashes: list[bytes] = []

    def read(self, records: Iterable[Record]) -> None:
        """Take all records."""
        self.hashes += [_hash(record) for record in self.spool.keep(records)]

    def numbers_by_text(self) -> dict[bytes, list[int]]:
        """Return the numbers of the records of each text."""
        found: dict[bytes, list[int]] = {}
        for number, text in enumerate(self.hashes):
            if text:
                found.setdefault(text, []).append(number)
        return found


def _hash(record: Record) -> bytes:
    """Return what tells whether two records say the same; nothing for a blank one, which says nothing."""
    if record.vector is not None and (not record.text or record.text.isspace()):
        return text_hash("vector " + record.vector.tobytes().hex())
    return b"" if record.is_blank else text_hash(record.text)


class Comparison:
    """Two collections. Memory is a hundred bytes a record, and what `Gathered` takes for what differs."""

    def __init__(self) -> None:
        """Start with both empty.

        Raises:
            OSError: There is no folder for temporary files.
        """
        self._left, self._right = _Collection(), _Collection()

    def close(self) -> None:
        """Give the disk back."""
        self._left.spool.close()
        self._right.spool.close()

    def read(self, left: Iterable[Record], right: Iterable[Record]) -> None:
        """Take all records of both sides."""
        self._left.read(left)
        self._right.read(right)

    def compare(self, new_pool: Callable[[], Pool], settings: MatchSettings) -> Iterator[Compared]:
        """Yield what became of the records: the left ones in input order, then what is only on the right.

        A record has one counterpart at most. Blank ones are passed over.

        Args:
            new_pool: Makes an empty pool.
            settings: How alike two records must be to be reworded; `one_to_one`.
        """
        same = self._same()
        taken = set(same.values())
        lefts = [number for number, text in enumerate(self._left.hashes) if text and number not in same]
        rights = [number for number, text in enumerate(self._right.hashes) if text and number not in taken]
        partners = self._partners(lefts, rights, new_pool, settings) if lefts and rights else None
        place_of = {number: place for place, number in enumerate(lefts)}
        reworded = set()
        for number, text in enumerate(self._left.hashes):
            if not text:
                continue
            record = self._left.spool.record(number)
            if number in same:
                yield Compared("same", record, self._right.spool.record(same[number]))
                continue
            place = place_of[number]
            partner = None if partners is None else partners.number(place)
            if partners is None or partner is None:
                yield Compared("only_left", record, None)
                continue
            reworded.add(partner)
            match = partners.of(place)[0]
            yield Compared("reworded", record, match.record, match)
        for place, number in enumerate(rights):
            if place not in reworded:
                yield Compared("only_right", None, self._right.spool.record(number))

    def _same(self) -> dict[int, int]:
        """Return, for left records, the right ones with the same text, the first for the first."""
        rights = self._right.numbers_by_text()
        return {
            number: other
            for text, numbers in self._left.numbers_by_text().items()
            for number, other in zip(numbers, rights.get(text, ()), strict=False)
        }

    def _partners(
        self, lefts: list[int], rights: list[int], new_pool: Callable[[], Pool], settings: MatchSettings
    ) -> Partners:
        """Return the pairs among records that have no equal, numbered as they stand in the lists."""
        left, right = (
            Gathered(new_pool(), (side.spool.record(number) for number in numbers), settings)
            for side, numbers in ((self._left, lefts), (self._right, rights))
        )
        return one_to_one(left, right, ranked(left, right, settings), ranked(right, left, settings), settings)
