"""Which records are duplicates of one that was kept before: stars, never chains.

Records are looked at in one order. Each is compared with the kept ones alone, stage after stage, and is kept
itself if none of them is close enough. A dropped record was therefore compared with the very record that is
named as kept, and no record is dropped because of one that is dropped too.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from embedcli.datatypes import DEFAULT_STAGES, Duplicate
from embedcli.errors import UsageError
from embedcli.records.fingerprint import text_hash
from embedcli.records.near_text import DEFAULT_JACCARD
from embedcli.records.normal_form import normal_form

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.datatypes import Record, Stage, Vectors
    from embedcli.encode.manifest import Manifest
    from embedcli.records.near_text import NearLook, NearTexts
    from embedcli.tasks.star_plan import StarPlan
    from embedcli.vectors.recall import Recall
    from embedcli.vectors.stars import Look, Stars

_NO_ROW = -1


@dataclass(frozen=True, slots=True)
class DedupeSettings:
    """What makes two records duplicates.

    Attributes:
        methods: The stages that compare.
        threshold: The lowest cosine of semantic duplicates; None where that stage is left out.
        lexical_threshold: The lowest Jaccard similarity of lexical duplicates.
        length_ratio: A text that is shorter than this share of the other is no semantic duplicate of it.
        window: How many kept records are remembered, the last ones; None for all.
        jobs: Threads that compare vectors.
        plan: Whether all vectors are compared; see `star_plan`.
    """

    methods: tuple[Stage, ...] = DEFAULT_STAGES
    threshold: float | None = None
    lexical_threshold: float = DEFAULT_JACCARD
    length_ratio: float = 0.5
    window: int | None = None
    jobs: int = 1
    plan: StarPlan = "auto"


def threshold_of(manifest: Manifest) -> float:
    """Return the cosine from which on a model's vectors are those of duplicates.

    Raises:
        UsageError: The model was not calibrated.
    """
    if manifest.duplicates is None:
        raise UsageError(
            f"model {manifest.name} has no calibrated threshold for duplicates",
            hint=f"--threshold, or embedcli dedupe --calibrate TEXTS -m {manifest.name} --save",
        )
    return manifest.duplicates.threshold


class RecordVectors(Protocol):
    """What makes the vectors of records; see `Vectorizer`."""

    def record_vectors(self, records: Sequence[Record]) -> Vectors:
        """Return vectors, shape (n, dim), float32; a row of zeros for a blank record."""
        ...


class _Text(NamedTuple):
    """What the text stages know of a record.

    Attributes:
        hash: Of the text, or of the vector of a record without text.
        normal: The normal form.
        normal_hash: Of that.
    """

    hash: bytes
    normal: str
    normal_hash: bytes


class _Kept(NamedTuple):
    """A kept record: its id and what its place in the tables is known by."""

    id: str
    hash: bytes
    normal_hash: bytes


class Deduper:
    """Decides record after record. Memory is O(kept records), or O(window)."""

    def __init__(self, settings: DedupeSettings, vectors: RecordVectors | None = None) -> None:
        """Start with nothing kept.

        Args:
            settings: What makes a duplicate.
            vectors: Makes the vectors of the semantic stage; None where that is left out.
        """
        self._settings, self._vectors = settings, vectors
        self._stars: Stars | None = None
        self._near: NearTexts | None = None
        if "lexical" in settings.methods:
            from embedcli.records.near_text import NearTexts

            self._near = NearTexts(settings.lexical_threshold)
        self._number = 0
        self._kept: dict[int, _Kept] = {}
        self._order: deque[int] = deque()
        self._by_hash: dict[bytes, int] = {}
        self._by_normal: dict[bytes, int] = {}

    @property
    def seen(self) -> int:
        """How many records were given, those of `keep_all` among them; each has its place as its number."""
        return self._number

    def recall(self) -> Recall | None:
        """Measure what share of the records with a near kept one was found; None where all were compared."""
        return None if self._stars is None else self._stars.recall()

    def close(self) -> None:
        """Stop the threads."""
        if self._stars is not None:
            self._stars.close()

    def keep_all(self, records: Sequence[Record], vectors: Vectors | None = None) -> None:
        """Keep records from the beginning, whatever they are: what is there already (`--against`).

        Args:
            records: Without blank ones.
            vectors: Shape (len(records), dim); None makes them where they are needed.
        """
        import numpy as np

        texts = [_text_of(record) for record in records]
        near = self._near_look(texts)
        numbers = []
        for row, (record, text) in enumerate(zip(records, texts, strict=True)):
            self._number += 1
            numbers.append(self._number)
            self._remember(self._number, record.id, text)
            if near is not None:
                near.keep(row, self._number)
        if self._vectors is not None and records:
            found = self._vectors.record_vectors(records) if vectors is None else vectors
            lengths = np.array([len(text.normal) for text in texts], dtype=np.int64)
            self._opened(found).keep_all(found, np.array(numbers, dtype=np.int64), lengths)

    def decide(self, records: Sequence[Record]) -> list[Duplicate | None]:
        """Return, for each record, of what it is a duplicate, or None for one that is kept.

        The result does not depend on how records are cut into blocks. Blank records are kept and compared
        with nothing.

        Args:
            records: The next ones, in the order in which they are to be looked at.

        Raises:
            TextTooLongError: A text is too long and the vectorizer's `on_long` is `error`.
            VectorError: A vector that came with a record does not fit.
        """
        texts = [None if record.is_blank else _text_of(record) for record in records]
        near = self._near_look(texts)
        places, look = self._look(records, texts, near)
        found: list[Duplicate | None] = []
        for row, (record, text, place) in enumerate(zip(records, texts, places, strict=True)):
            self._number += 1
            duplicate = None
            if text is not None:
                duplicate = self._by_text(text, near, row) or self._by_vector(look, place)
                if duplicate is None:
                    self._remember(self._number, record.id, text)
                    if near is not None:
                        near.keep(row, self._number)
                    if look is not None:
                        look.keep(place, self._number)
                    self._forget()
            found.append(duplicate)
        return found

    def _look(
        self, records: Sequence[Record], texts: Sequence[_Text | None], near: NearLook | None
    ) -> tuple[list[int], Look | None]:
        """Compare the vectors of records whose texts decide nothing yet.

        Returns:
            Where each record stands in what was compared, and that.
        """
        import numpy as np

        if self._vectors is None:
            return [_NO_ROW] * len(records), None
        rows: list[int] = []
        places: list[int] = []
        for row, text in enumerate(texts):
            # What a window will have forgotten when the record's turn comes decides nothing.
            is_open = text is not None and (
                self._settings.window is not None or self._by_text(text, near, row) is None
            )
            places.append(len(rows) if is_open else _NO_ROW)
            if is_open:
                rows.append(row)
        if not rows:
            return places, None
        vectors = self._vectors.record_vectors([records[row] for row in rows])
        lengths = [len(text.normal) for row in rows if (text := texts[row]) is not None]
        return places, self._opened(vectors).look(vectors, np.array(lengths, dtype=np.int64))

    def _opened(self, vectors: Vectors) -> Stars:
        """Return what compares vectors, opened when their dimension is known."""
        if self._stars is None:
            from embedcli.tasks.star_plan import make_stars

            settings = self._settings
            assert settings.threshold is not None  # where vectors are compared
            self._stars = make_stars(
                vectors.shape[1],
                settings.threshold,
                settings.plan,
                jobs=settings.jobs,
                length_ratio=settings.length_ratio,
                window=settings.window,
            )
        return self._stars

    def _near_look(self, texts: Sequence[_Text | None]) -> NearLook | None:
        """Look at the normal forms together, which costs a fraction of one after the other."""
        if self._near is None:
            return None
        return self._near.look(["" if text is None else text.normal for text in texts])

    def _by_vector(self, look: Look | None, place: int) -> Duplicate | None:
        """Return the duplicate that the semantic stage finds."""
        near = None if look is None else look.nearest(place)
        return None if near is None else self._named(near.number, near.cosine, "semantic")

    def _by_text(self, text: _Text, look: NearLook | None, row: int) -> Duplicate | None:
        """Return the duplicate that the text stages find."""
        if (number := self._by_hash.get(text.hash)) is not None:
            return self._named(number, 1.0, "exact")
        if (number := self._by_normal.get(text.normal_hash)) is not None:
            return self._named(number, 1.0, "normalized")
        near = None if look is None else look.nearest(row)
        return None if near is None else self._named(near.number, near.jaccard, "lexical")

    def _named(self, number: int, score: float, stage: Stage) -> Duplicate:
        return Duplicate(self._kept[number].id, number, score, stage)

    def _remember(self, number: int, record_id: str, text: _Text) -> None:
        self._kept[number] = _Kept(record_id, text.hash, text.normal_hash)
        # Of what was there already, several may be equal: the first of them is named.
        if "exact" in self._settings.methods:
            self._by_hash.setdefault(text.hash, number)
        if "normalized" in self._settings.methods:
            self._by_normal.setdefault(text.normal_hash, number)
        if self._settings.window is not None:
            self._order.append(number)

    def _forget(self) -> None:
        """Forget the oldest kept record once there are more than the window takes."""
        window = self._settings.window
        if window is None or len(self._order) <= window:
            return
        number = self._order.popleft()
        kept = self._kept.pop(number)
        self._by_hash.pop(kept.hash, None)
        self._by_normal.pop(kept.normal_hash, None)
        if self._near is not None:
            self._near.forget(number)


def _text_of(record: Record) -> _Text:
    """Return what the text stages compare; a record that is only a vector is equal to those of its vector."""
    if record.vector is not None and (not record.text or record.text.isspace()):
        own = text_hash("vector " + record.vector.tobytes().hex())
        return _Text(own, "", own)
    normal = normal_form(record.text)
    return _Text(text_hash(record.text), normal, text_hash(normal))
