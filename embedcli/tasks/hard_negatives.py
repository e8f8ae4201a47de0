"""Texts that are near to a query and no answer to it: `sample --hard-negatives`.

The nearest texts that are not labelled as positives make the hardest negatives, and the worst: among them are
the positives that nobody labelled. So a guide looks at each of them. One that it finds as near to the query
as the pair's own positive is, less a margin, is suspected and left out; so is one that it finds as near to
one of the query's positives as that.

Source: A. V. Solatorio, "GISTEmbed: Guided In-sample Selection of Training Negatives for Text Embedding
Fine-tuning", 2024, for the guide and for the comparison with query and positive. The margin, and looking
through a whole collection and not through a batch, are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.datatypes import Problem, Record
from embedcli.records.fingerprint import text_hash
from embedcli.tasks.pipeline import batches, in_turn, overlapped
from embedcli.tasks.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Counts, Json, OnProblem, Vectors
    from embedcli.tasks.vectorize import Vectorizer

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

MARGIN: Final = 0.1
"""Of one more positive for each query that was hidden, this flags four fifths: docs/sample.md."""

POOL_ROWS: Final = 100
"""So many of the nearest texts are looked at for each query, or ten for each negative that is wanted."""

_BLOCK_PAIRS: Final = 256
_STEP_ROWS: Final = 8192


@dataclass(frozen=True, slots=True)
class MiningSettings:
    """How negatives are chosen.

    Attributes:
        query: The field with the query.
        positive: The field with the text that answers it.
        count: Negatives for each pair.
        guided: Whether suspected ones are left out.
        margin: How much farther than the positive a suspected one may be, as a cosine.
        jobs: Threads; their number changes nothing.
    """

    query: str = "query"
    positive: str = "positive"
    count: int = 5
    guided: bool = True
    margin: float = MARGIN
    jobs: int = 1


class Scored(NamedTuple):
    """A text and its cosine to the query, -1 to 1."""

    text: str
    score: float


class Mined(NamedTuple):
    """A pair with its negatives, the nearest first, and those that were left out among them.

    Attributes:
        record: The pair.
        query: Its query.
        positive: Its positive.
        negatives: At most as many as were asked for.
        suspected: Texts nearer than the last negative that may be positives.
    """

    record: Record
    query: str
    positive: Scored
    negatives: list[Scored]
    suspected: list[Scored]


class _Texts:
    """Different texts on disk, by their number from 0."""

    def __init__(self) -> None:
        self._spool = Spool()
        self._numbers: dict[bytes, int] = {}

    def close(self) -> None:
        self._spool.close()

    def __len__(self) -> int:
        return len(self._numbers)

    def add(self, text: str) -> int:
        """Return the number of a text."""
        key = text_hash(text)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers)
            list(self._spool.keep([Record("", text)]))
        return number

    def text(self, number: int) -> str:
        return self._spool.record(number).text

    def vectors(self, vectorizer: Vectorizer, on_progress: Callable[[int], None]) -> Vectors:
        """Return the vectors of all texts, shape (n, dim), float32, unit length; zeros for a blank one."""
        import numpy as np

        whole = np.zeros((len(self), vectorizer.dim), dtype=np.float32)
        done = 0
        staged = in_turn if vectorizer.is_lookup else overlapped
        texts = (self._spool.record(number) for number in range(len(self)))
        for batch, vectors in staged(batches(texts, lambda each: each.text), vectorizer.record_vectors):
            whole[done : done + len(batch)] = vectors
            done += len(batch)
            on_progress(done)
        return whole


class Mine:
    """Pairs and the texts that negatives are taken from.

    Memory is a vector of each text by each model, and some hundred bytes a pair; texts wait on disk.
    """

    def __init__(self, settings: MiningSettings) -> None:
        """Start without pairs.

        Args:
            settings: How negatives are chosen.

        Raises:
            OSError: There is no folder for temporary files.
        """
        self._settings = settings
        self._pairs = Spool()
        self._queries, self._texts = _Texts(), _Texts()
        self._links: list[tuple[int, int]] = []
        self._positives: dict[int, set[int]] = {}

    def close(self) -> None:
        """Give the disk back."""
        for each in (self._pairs, self._queries, self._texts):
            each.close()

    def add_pairs(self, records: Iterable[Record], counts: Counts, on_problem: OnProblem) -> None:
        """Read pairs; one without a query or without a positive is a problem, a blank line is none.

        A query that comes with several positives has all of them.
        """
        for record in records:
            if not record.fields and record.is_blank:
                continue
            query, positive = (_text_field(record, name) for name in self._fields)
            if query is None or positive is None:
                counts.skipped += 1
                missing = self._fields[0] if query is None else self._fields[1]
                hint = "--query-field and --positive-field name the fields of a pair"
                place = f"{record.path or '-'}:{record.line}"
                on_problem(Problem(place, f"no text in field {missing!r}", hint=hint))
                continue
            list(self._pairs.keep([record._replace(raw=b"", vector=None)]))
            link = (self._queries.add(query), self._texts.add(positive))
            self._links.append(link)
            self._positives.setdefault(link[0], set()).add(link[1])

    @property
    def _fields(self) -> tuple[str, str]:
        return self._settings.query, self._settings.positive

    def add_texts(self, records: Iterable[Record]) -> None:
        """Read texts that are no positives, for negatives alone."""
        for record in records:
            if not record.is_blank:
                self._texts.add(record.text)

    def mine(
        self,
        queries: Vectorizer,
        documents: Vectorizer,
        guide: tuple[Vectorizer, Vectorizer] | None = None,
        on_progress: Callable[[int], None] = lambda _done: None,
    ) -> Iterator[Mined]:
        """Yield each pair with its negatives, in input order. O(queries x texts x dim).

        Args:
            queries: Makes the vectors of queries, of unit length.
            documents: Those of all other texts.
            guide: The same of another model, which looks for missed positives; None for the same model.
            on_progress: Told how many texts have their vectors.
        """
        own = _Space(self._queries.vectors(queries, on_progress), self._texts.vectors(documents, on_progress))
        looks = own
        if guide is not None and self._settings.guided:
            looks = _Space(
                self._queries.vectors(guide[0], on_progress), self._texts.vectors(guide[1], on_progress)
            )
        for start in range(0, len(self._links), _BLOCK_PAIRS):
            links = self._links[start : start + _BLOCK_PAIRS]
            near = self._near(own, looks, list(dict.fromkeys(query for query, _ in links)))
            for place, (query, positive) in enumerate(links, start=start):
                yield self._mined(place, (query, positive), near[query], own, looks)

    def _near(self, own: _Space, looks: _Space, queries: list[int]) -> dict[int, _Near]:
        """Return for each query its nearest texts that are no positives."""
        from embedcli.vectors.exact_batch import BatchCandidates
        from embedcli.vectors.in_blocks import in_blocks

        most = max(len(self._positives[query]) for query in queries)

        def look(part: slice) -> list[_Near]:
            batch = BatchCandidates(own.queries[queries[part]], self._pool_rows + most)
            for start in range(0, len(own.texts), _STEP_ROWS):
                batch.add(own.texts[start : start + _STEP_ROWS], start)
            return [
                self._ordered(query, rows, own, looks)
                for query, rows in zip(queries[part], batch.result(), strict=True)
            ]

        found = in_blocks(len(queries), _BLOCK_PAIRS // 8, look, self._settings.jobs)
        return dict(zip(queries, (each for part in found for each in part), strict=True))

    @property
    def _pool_rows(self) -> int:
        return max(POOL_ROWS, 10 * self._settings.count)

    def _ordered(self, query: int, rows: Rows, own: _Space, looks: _Space) -> _Near:
        """Return the nearest of some texts in their order, with what the guide thinks of them."""
        import numpy as np

        from embedcli.vectors.metric import cosine

        positives = sorted(self._positives[query])
        rows = rows[~np.isin(rows, positives)]
        cosines = cosine(own.texts[rows], own.queries[query])
        order = np.lexsort((rows, -cosines))[: self._pool_rows]
        rows, cosines = rows[order], cosines[order]
        if not self._settings.guided:
            return _Near(rows, cosines, np.full(len(rows), -np.inf))
        texts = looks.texts[rows]
        suspicion = cosine(texts, looks.queries[query])
        for positive in positives:
            np.maximum(suspicion, cosine(texts, looks.texts[positive]), out=suspicion)
        return _Near(rows, cosines, suspicion)

    def _mined(self, place: int, link: tuple[int, int], near: _Near, own: _Space, looks: _Space) -> Mined:
        from embedcli.vectors.metric import cosine

        settings, (query, positive) = self._settings, link
        bar = float(cosine(looks.texts[[positive]], looks.queries[query])[0]) - settings.margin
        negatives: list[Scored] = []
        suspected: list[Scored] = []
        for row, score, suspicion in zip(*(each.tolist() for each in near), strict=True):
            if len(negatives) == settings.count:
                break
            found = Scored(self._texts.text(row), score)
            (suspected if suspicion >= bar else negatives).append(found)
        score = float(cosine(own.texts[[positive]], own.queries[query])[0])
        return Mined(
            self._pairs.record(place),
            self._queries.text(query),
            Scored(self._texts.text(positive), score),
            negatives,
            suspected,
        )


class _Near(NamedTuple):
    """A query's nearest texts, the nearest first.

    Attributes:
        rows: Which texts, shape (n,).
        cosines: To the query, shape (n,).
        suspicion: The highest cosine, by the guide, to the query and to its positives, shape (n,).
    """

    rows: Rows
    cosines: Doubles
    suspicion: Doubles


class _Space(NamedTuple):
    """The vectors of queries and of texts by one model, each of shape (n, dim), float32."""

    queries: Vectors
    texts: Vectors


def _text_field(record: Record, name: str) -> str | None:
    value: Json = record.fields.get(name)
    return value if isinstance(value, str) and value and not value.isspace() else None


def mined_object(mined: Mined, settings: MiningSettings) -> dict[str, Json]:
    """Return a pair as it is written: its own fields, then what was found."""
    found: dict[str, Json] = {
        **mined.record.fields,
        settings.query: mined.query,
        settings.positive: mined.positive.text,
        "positive_score": mined.positive.score,
        "negatives": [each.text for each in mined.negatives],
        "negative_scores": [each.score for each in mined.negatives],
    }
    if settings.guided:
        found["suspected"] = [each.text for each in mined.suspected]
        found["suspected_scores"] = [each.score for each in mined.suspected]
    return found
