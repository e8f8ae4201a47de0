"""Lexical near-duplicates: which kept text shares most of its characters in a row with a new one.

A text stands for the set of its runs of four characters (`runs`), and the score of two texts is the Jaccard
similarity of their sets, computed exactly. Which pairs are scored is found with MinHash signatures.

Four characters, measured by `benchmarks/near_text.py` against three to six and against words, pairs and
triples of words: 95 % of the copies of titles with a word changed score 0.76 or more, while fewer short
questions of one kind (bank customers') are taken for one another than at what words reach. Three characters
would do as well there, but long texts share most runs of three whatever they say.
"""

from __future__ import annotations

import math
from array import array
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.errors import UsageError
from embedcli.records.runs import jaccard, runs_of, signatures_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.records.runs import Runs
    from embedcli.vectors.bands import BandPlan

    Signature = npt.NDArray[np.uint8]

DEFAULT_JACCARD: Final = 0.75
"""The lowest at which short template-like lines survive: 95 % of the copies of titles with a word
changed reach it, as of abstracts with a sentence left out. Of 13,026 bank customers' questions it drops
5.8 %, of which 96 % for one of the same intent; 0.7 drops 9 %, 0.65 drops 13 %."""
LOWEST_JACCARD: Final = 0.2
"""Below it most texts of one language would be compared with most others."""

_ESTIMATES: Final = 1 << 14
"""Signatures compared at once."""
_SCORED: Final = 100
"""Candidates that are scored for one text: the most likely ones by their signatures."""
_MIN_FORGOTTEN: Final = 4_096


class NearText(NamedTuple):
    """The nearest kept text: the number it was kept under, and the Jaccard similarity, 0 to 1."""

    number: int
    jaccard: float


class NearTexts:
    """Kept texts, among which the one nearest to a new text is found, if it reaches a threshold.

    The score is exact; whether a pair is scored is not certain: of the pairs just at the threshold 99 % are
    found, of those above it more (`recall`). Signatures take fixed seeds, so the same calls give the same
    results everywhere; neither the order of keeping nor how texts are cut into looks matters.

    A kept text costs its normal form (50 bytes and its characters) and some 400 bytes at the default
    threshold, at most 900; half as much again while runs are merged. A new text of n characters takes O(n)
    time, and 30 bytes a character while it is looked at. Where more than 100 kept texts seem to reach the
    threshold, the 100 that agree best by their signatures are scored.

    Attributes:
        threshold: Lowest Jaccard similarity that counts, inclusive.
    """

    def __init__(self, threshold: float = DEFAULT_JACCARD) -> None:
        """Start with nothing kept.

        Args:
            threshold: 0.2 to 1.

        Raises:
            UsageError: The threshold is outside of that.
        """
        if not LOWEST_JACCARD <= threshold <= 1:
            raise UsageError(
                f"a Jaccard threshold of {threshold:g} is outside of {LOWEST_JACCARD:g} to 1",
                hint=f"the default is {DEFAULT_JACCARD:g}",
            )
        self.threshold = threshold
        self._kept = _Kept(threshold)

    def recall(self, jaccard: float) -> float:
        """Return the share, 0 to 1, of pairs with that similarity that are found."""
        return self._kept.plan.recall(jaccard)

    def look(self, forms: Sequence[str]) -> NearLook:
        """Look at new texts: many at once take a fraction of the time that each alone would.

        A look is good until the next one.

        Args:
            forms: Normal forms, any number of them. Empty ones are near to nothing.
        """
        self._kept.tidy()
        return NearLook(self._kept, forms, self.threshold)

    def forget(self, number: int) -> None:
        """Forget what was kept under a number, if anything was."""
        self._kept.forget(number)


class NearLook:
    """Some new texts, each of which can be compared with the kept ones, and kept."""

    def __init__(self, kept: _Kept, forms: Sequence[str], threshold: float) -> None:
        self._kept, self._forms, self._threshold = kept, forms, threshold
        signatures = signatures_of(forms, kept.plan.bands * kept.plan.slots)
        keys = kept.bands.keys(signatures)
        self._settled = kept.bands.settled(keys)
        self._keys: list[list[int]] = keys.tolist()
        self._signatures: npt.NDArray[np.uint8] = signatures.astype("uint8")
        self._scores: dict[int, dict[int, float]] = {}

    def nearest(self, row: int) -> NearText | None:
        """Return the nearest kept text of one of the new ones, those of them kept so far included.

        None where none reaches the threshold. Of equally near ones the one with the lowest number. Asked
        again, only what was kept in between is scored.
        """
        import numpy as np

        members = self._settled.of(row)
        if recent := self._kept.bands.recent(self._keys[row]):
            members = np.concatenate((members, np.array(sorted(recent), np.uint32)))
        if not len(members):
            return None
        runs: Runs | None = None
        scores = self._scores.setdefault(row, {})
        best: NearText | None = None
        for member, number, form in self._kept.likely(self._signatures[row], members):
            if member not in scores:
                runs = runs_of(self._forms[row]) if runs is None else runs
                scores[member] = jaccard(runs, runs_of(form))
            if scores[member] >= self._threshold:
                found = NearText(number, scores[member])
                best = found if best is None else min(best, found, key=_rank)
        return best

    def keep(self, row: int, number: int) -> None:
        """Keep one of the new texts under a number, any int64 that no other kept text has."""
        if self._forms[row]:
            self._kept.add(self._forms[row], number, self._keys[row], self._signatures[row])


class _Kept:
    """Number, form and signature of each kept text, by its place in the order of keeping."""

    def __init__(self, threshold: float) -> None:
        import numpy as np

        from embedcli.vectors.bands import Bands, plan_bands

        self.plan = plan_bands(threshold)
        self.bands = Bands(self.plan)
        self._fewest_slots = _fewest_slots(threshold, self.plan)
        self._signatures = np.empty((0, self.plan.bands * self.plan.slots), np.uint8)
        self._forms: list[str | None] = []
        self._numbers = array("q")
        self._members: dict[int, int] | None = None
        self._forgotten = 0

    def add(self, form: str, number: int, keys: list[int], signature: Signature) -> None:
        """Add a text."""
        import numpy as np

        member = len(self._forms)
        if member == len(self._signatures):
            grown = np.empty((member + member // 2 + 64, self._signatures.shape[1]), np.uint8)
            grown[:member] = self._signatures
            self._signatures = grown
        self._signatures[member] = signature
        self._forms.append(form)
        self._numbers.append(number)
        self.bands.add(keys, member)
        if self._members is not None:
            self._members[number] = member

    def forget(self, number: int) -> None:
        """Forget a text, if there is one of that number."""
        if self._members is None:
            # Only a window forgets; this table would be a third of the memory for all others.
            self._members = {kept: member for member, kept in enumerate(self._numbers)}
        member = self._members.pop(number, None)
        if member is not None:
            self._forms[member] = None
            self._forgotten += 1

    def tidy(self) -> None:
        """Sort what came lately, and give up the room of what was forgotten."""
        if self._forgotten > max(_MIN_FORGOTTEN, len(self._forms) // 2):
            self._compact()
        self.bands.settle()

    def likely(self, signature: Signature, members: npt.NDArray[np.uint32]) -> list[tuple[int, int, str]]:
        """Return place, number and form of those that by their signatures may reach the threshold.

        Args:
            signature: Shape (bands * slots,), uint8.
            members: Places, at least one, each once; forgotten ones among them are left out.
        """
        import numpy as np

        agreeing = np.concatenate(
            [
                np.count_nonzero(self._signatures[members[start : start + _ESTIMATES]] == signature, axis=1)
                for start in range(0, len(members), _ESTIMATES)
            ]
        )
        likely = agreeing >= self._fewest_slots
        ranked = [
            (-count, self._numbers[member], member, form)
            for count, member in zip(agreeing[likely].tolist(), members[likely].tolist(), strict=True)
            if (form := self._forms[member]) is not None
        ]
        if len(ranked) > _SCORED:
            ranked = sorted(ranked)[:_SCORED]
        return [(member, number, form) for _, number, member, form in ranked]

    def _compact(self) -> None:
        import numpy as np

        alive = np.array([form is not None for form in self._forms], np.bool_)
        self.bands.renumber(np.where(alive, np.cumsum(alive) - 1, -1))
        self._signatures = self._signatures[: len(alive)][alive]
        self._numbers = array("q", (self._numbers[member] for member in np.flatnonzero(alive).tolist()))
        self._forms = [form for form in self._forms if form is not None]
        self._members = {kept: member for member, kept in enumerate(self._numbers)}
        self._forgotten = 0


def _rank(near: NearText) -> tuple[float, int]:
    return -near.jaccard, near.number


def _fewest_slots(threshold: float, plan: BandPlan) -> float:
    """Return how many slots must agree for a text to be scored.

    Four standard deviations below what a pair at the threshold has: one of 30,000 such pairs has less. One
    byte a slot is kept, of which one in 256 agrees by chance.
    """
    length = plan.bands * plan.slots
    share = threshold + (1 - threshold) / 256
    return length * share - 4 * math.sqrt(length * share * (1 - share))
