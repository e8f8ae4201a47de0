"""Which signatures agree in a whole band with earlier ones: the candidates for a high Jaccard similarity.

A signature is a row of slots, two of which agree with the probability of their sets' Jaccard similarity. Cut
into bands of r slots, two signatures agree in all slots of at least one of b bands with the probability
1 - (1 - J**r)**b: a step that is steeper the more slots there are.

Source: A. Z. Broder, "On the resemblance and containment of documents", 1997 (signatures); J. Leskovec, A.
    Rajaraman and J. D. Ullman, "Mining of Massive Datasets", section 3.4 (bands).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    import numpy.typing as npt

    Slots = npt.NDArray[np.uint32]
    Keys = npt.NDArray[np.uint32]
    Entries = npt.NDArray[np.uint64]
    Places = npt.NDArray[np.int64]

RECALL: Final = 0.99
"""Pairs just at the threshold that have a band in common; of those above it more."""
_MAX_BANDS: Final = 32
"""What a text may cost: 8 bytes and a few lookups a band. With more bands fewer candidates would be wrong."""
_MAX_SLOTS: Final = 16
"""Slots in a band: more would make no difference, since wrong candidates are rare by then."""
_FLUSH_MEMBERS: Final = 4_096
"""Members that are held in a dictionary, at 100 bytes a band, before they are sorted into a run."""
_LOW: Final = np.uint64(0xFFFF_FFFF)
_HALF: Final = np.uint64(32)


class BandPlan(NamedTuple):
    """How a signature is cut: `bands` times `slots` is its length."""

    bands: int
    slots: int

    def recall(self, jaccard: float) -> float:
        """Return the share, 0 to 1, of pairs with that similarity that have a band in common."""
        return 1 - (1 - jaccard**self.slots) ** self.bands


def plan_bands(threshold: float) -> BandPlan:
    """Return the steepest step of at most 32 bands that finds 99 % of the pairs at the threshold.

    Args:
        threshold: Jaccard similarity, over 0 to 1. A low one takes single slots, as many as it needs.
    """
    for slots in range(_MAX_SLOTS, 0, -1):
        agreeing = threshold**slots
        bands = math.ceil(math.log(1 - RECALL) / math.log1p(-agreeing)) if agreeing < 1 else 1
        if bands <= _MAX_BANDS or slots == 1:
            return BandPlan(bands, slots)
    raise AssertionError


class Bands:
    """Which members share a band with given signatures.

    Members are numbers from 0 to 2**32 - 2 that the caller gives. Memory is 8 bytes a band and member, in
    sorted runs that grow by powers of two, and one dictionary for the latest few thousand members.
    """

    def __init__(self, plan: BandPlan) -> None:
        self._plan = plan
        self._runs: list[Entries] = []
        # Most keys have one member: a list for each would take four times as long and twice the room.
        self._recent: dict[int, int | list[int]] = {}
        self._recent_members = 0

    def keys(self, signatures: npt.NDArray[np.uint32]) -> Keys:
        """Return a hash of each band, shape (n, bands), of signatures of shape (n, bands * slots)."""
        bands, slots = self._plan
        cut = signatures.reshape(-1, bands, slots).astype(np.uint64)
        # Above the bits of the slots, so that equal slots of two bands have two keys.
        keys = np.broadcast_to(np.arange(bands, dtype=np.uint64) << _HALF, cut.shape[:2])
        for slot in range(slots):
            keys = mix(keys ^ cut[:, :, slot])
        return (keys >> _HALF).astype(np.uint32)

    def add(self, keys: list[int], member: int) -> None:
        """Add a member; `keys` is its row of `keys` as a list."""
        recent = self._recent
        for key in keys:
            held = recent.setdefault(key, member)
            if isinstance(held, list):
                held.append(member)
            elif held != member:
                recent[key] = [held, member]
        self._recent_members += 1

    def recent(self, keys: list[int]) -> set[int]:
        """Return the members added since the last `settle` that share a band."""
        found: set[int] = set()
        for key in keys:
            held = self._recent.get(key)
            if isinstance(held, list):
                found.update(held)
            elif held is not None:
                found.add(held)
        return found

    def settled(self, keys: Keys) -> SettledMembers:
        """Return what gives the other members that share a band, for each of some rows of `keys`."""
        flat = keys.astype(np.uint64).ravel() << _HALF
        # In their order they are looked up five times as fast: neighbours meet in the cache.
        order = np.argsort(flat)
        in_order = flat[order]
        ranges = []
        for run in self._runs:
            places = np.empty((2, len(flat)), np.int64)
            places[0, order] = np.searchsorted(run, in_order)
            places[1, order] = np.searchsorted(run, in_order | _LOW)
            ranges.append((run, places.reshape(2, *keys.shape)))
        return SettledMembers(ranges, len(keys))

    def settle(self) -> None:
        """Sort the recent members into a run when there are many; what `settled` gave stays valid."""
        if self._recent_members < _FLUSH_MEMBERS:
            return
        pairs = list(_pairs(self._recent))
        self._recent.clear()
        self._recent_members = 0
        keys, members = np.array(pairs, np.uint64).T
        self._runs.append(np.sort(keys << _HALF | members))
        while len(self._runs) > 1 and len(self._runs[-2]) < 2 * len(self._runs[-1]):
            last, longer = self._runs.pop(), self._runs.pop()
            merged = np.concatenate((longer, last))
            # In place: the runs are most of the memory.
            merged.sort()
            self._runs.append(merged)

    def renumber(self, members: npt.NDArray[np.int64]) -> None:
        """Give each member the number at its place in `members`, in the same order; -1 removes it."""
        renumbered = []
        for run in self._runs:
            new = members[(run & _LOW).astype(np.int64)]
            left = new >= 0
            renumbered.append((run[left] & ~_LOW) | new[left].astype(np.uint64))
        self._runs = [run for run in renumbered if len(run)]
        pairs = [(key, int(members[member])) for key, member in _pairs(self._recent)]
        self._recent, self._recent_members = {}, 0
        for key, member in pairs:
            if member >= 0:
                self.add([key], member)
        self._recent_members = len({member for _, member in pairs if member >= 0})


class SettledMembers:
    """Members in sorted runs that share a band with one of the rows asked for."""

    def __init__(self, ranges: list[tuple[Entries, Places]], rows: int) -> None:
        self._ranges = ranges
        found = np.zeros(rows, np.bool_)
        for _, (starts, ends) in ranges:
            found |= (ends > starts).any(axis=1)
        self._found = found

    def of(self, row: int) -> Slots:
        """Return the members that share a band with a row, each once, in ascending order."""
        if not self._found[row]:
            return np.empty(0, np.uint32)
        entries = np.concatenate(list(self._slices(row)))
        return np.unique((entries & _LOW).astype(np.uint32))

    def _slices(self, row: int) -> Iterator[Entries]:
        for run, (starts, ends) in self._ranges:
            for start, end in zip(starts[row], ends[row], strict=True):
                if start < end:
                    yield run[start:end]


def _pairs(recent: dict[int, int | list[int]]) -> Iterator[tuple[int, int]]:
    """Yield each key with each of its members."""
    for key, held in recent.items():
        if isinstance(held, list):
            yield from ((key, member) for member in held)
        else:
            yield key, held


def mix(numbers: Entries) -> Entries:
    """Return other 64-bit numbers, equal only for equal ones, all of whose bits depend on all of theirs.

    Source: G. L. Steele, D. Lea and C. H. Flood, "Fast splittable pseudorandom number generators", OOPSLA
        2014, with the constants of S. Vigna's SplitMix64.
    """
    mixed = numbers + np.uint64(0x9E37_79B9_7F4A_7C15)
    mixed ^= mixed >> np.uint64(30)
    mixed *= np.uint64(0xBF58_476D_1CE4_E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D0_49BB_1331_11EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed
