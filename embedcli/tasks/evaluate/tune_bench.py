"""One setting of index and query, built and searched as a user would, and what it gives and costs."""

from __future__ import annotations

import time
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.datatypes import Counts
from embedcli.index.lexical_memory import LexicalMemory
from embedcli.tasks.build import build_index
from embedcli.tasks.build_settings import BuildSettings
from embedcli.tasks.open_index import IndexSettings
from embedcli.tasks.ranking import Ranking
from embedcli.tasks.search import SearchSettings, query_vectors
from embedcli.tasks.search_index import open_indexes, search_by_words, search_indexes, search_opened
from embedcli.tasks.vectorize import VectorSettings
from embedcli.tuning import Tuned, TuneSetting

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from embedcli.datatypes import Hit, OnProblem, Record, Vectors
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.tuning import Doubles
    from embedcli.vectors.ranking_measures import RankingMetric

_TIMED: Final = 15
"""Queries that are timed one by one; the median stands for all."""

_TIMED_RERANKED: Final = 3
_TIMED_TEXTS: Final = 64
_DEEPEST: Final = 1000
"""Hits of each query for a metric without a cut-off."""


class Questions(NamedTuple):
    """A test collection.

    Attributes:
        corpus: Paths of the documents.
        read: What was said about reading them, by the names of `ReadSettings`.
        queries: Those with a relevant document.
        judged: For each of them, the grade of each judged document by its id.
    """

    corpus: tuple[str, ...]
    read: Mapping[str, Any]
    queries: Sequence[Record]
    judged: Sequence[Mapping[str, float]]


class _Built(NamedTuple):
    path: Path
    bytes: int
    chunks: int


class Bench:
    """Measures settings, each once. One index is on disk at a time."""

    def __init__(
        self,
        questions: Questions,
        vectorizers: Mapping[str, Vectorizer],
        metric: RankingMetric,
        folder: Path,
        *,
        jobs: int = 1,
        on_problem: OnProblem = lambda _problem: None,
        on_notice: Callable[[str], None] = lambda _notice: None,
    ) -> None:
        """Begin with nothing measured.

        Args:
            questions: What is asked, of what.
            vectorizers: By the model's name: documents at unit length, with the user's cache.
            metric: What is measured.
            folder: An empty one for indexes.
            jobs: Threads.
            on_problem: Told of documents that could not be read.
            on_notice: Told what search says.
        """
        self.questions, self.metric = questions, metric
        self._vectorizers, self._folder, self._jobs = vectorizers, folder, jobs
        self._on_problem, self.notice = on_problem, on_notice
        self._known: dict[TuneSetting, Tuned] = {}
        self._built: tuple[TuneSetting, _Built] | None = None
        self._told: set[str] = set()
        self._search_ms: dict[TuneSetting, float] = {}
        self._encode_ms: dict[str, tuple[float, float]] = {}
        self._query_vectors: dict[tuple[str, int], Vectors] = {}
        self._memories: dict[tuple[str, str], LexicalMemory] = {}

    @property
    def depth(self) -> int:
        """Hits that are looked at for each query."""
        return self.metric.depth or _DEEPEST

    def measure(self, setting: TuneSetting) -> Tuned:
        """Return what a setting gives and costs.

        Raises:
            EmbedcliError: What building and searching an index raise.
        """
        if setting not in self._known:
            built = self._index(setting)
            every = range(len(self.questions.queries))
            hits = self._search(setting, built.path, every, remembers_words=True)
            query_ms, text_ms = self._times(setting, built.path)
            self._known[setting] = Tuned(
                setting, self._values(hits), built.bytes, built.chunks, query_ms, text_ms
            )
        return self._known[setting]

    def _index(self, setting: TuneSetting) -> _Built:
        """Return the index of a setting, built if it is not the one on disk."""
        key = TuneSetting(*setting[:4])
        if self._built is not None and self._built[0] == key:
            return self._built[1]
        if self._built is not None:
            self._built[1].path.unlink()
            with suppress(FileNotFoundError):
                self._built[1].path.with_name(f"{self._built[1].path.name}.lock").unlink()
            self._built = None
        from embedcli.tasks.status import index_facts

        path = self._folder / f"{len(self._known)}.emb"
        counts = Counts()
        settings = BuildSettings(
            self.questions.corpus, self.questions.read, dtype=setting.dtype, **chunking_of(setting.chunking)
        )
        build_index(path, settings, self._vectorizer(setting, "document", counts), counts, self._tell_once)
        facts = index_facts(path)
        self._built = key, _Built(path, facts["bytes"], facts["chunks"])
        return self._built[1]

    def _tell_once(self, problem: Any) -> None:
        if problem.where not in self._told:
            self._told.add(problem.where)
            self._on_problem(problem)

    def _vectorizer(self, setting: TuneSetting, role: Any, counts: Counts | None = None) -> Vectorizer:
        settings = VectorSettings(role, dim=setting.dim, normalize=True)
        return self._vectorizers[setting.model].with_settings(settings, counts)

    def _search(
        self, setting: TuneSetting, index: Path, numbers: Sequence[int], *, remembers_words: bool = False
    ) -> list[list[Hit]]:
        """Return the best documents of some queries.

        BM25 is the same for all numbers and dtypes of a model's vectors: it is computed once, but for timing.
        """
        asked = [self.questions.queries[number] for number in numbers]
        wanted = SearchSettings(self.depth, by="record", merge=False, collapse=False)
        ranking = Ranking(setting.mode, setting.fusion, setting.alpha)  # type: ignore[arg-type]
        how = IndexSettings(method="signs" if setting.plan == "signs" else None, jobs=self._jobs)
        if setting.mode == "lexical":
            return search_by_words([index], asked, wanted, how, ranking, on_notice=self.notice)
        vectorizer = self._vectorizer(setting, "query")
        if (setting.model, setting.dim) not in self._query_vectors:
            self._query_vectors[setting.model, setting.dim] = query_vectors(
                self.questions.queries, vectorizer
            )
        vectors = self._query_vectors[setting.model, setting.dim][list(numbers)]
        if not setting.rerank:
            with ExitStack() as stack:
                opened = open_indexes(stack, [index], how, self.notice)
                if remembers_words and opened[0].lexical is not None:
                    key = setting.model, setting.chunking
                    opened[0].lexical.memory = self._memories.setdefault(key, LexicalMemory(None))
                return search_opened(opened, asked, vectors, vectorizer, wanted, ranking)
        from embedcli.tasks.rerank import DEFAULT_DEPTH, MAXSIM_WEIGHT, maxsim_values, rerank

        more = wanted.at_first(max(DEFAULT_DEPTH, self.depth))
        found = search_indexes(
            *([index], asked, vectors, vectorizer, more, how, ranking), on_notice=self.notice
        )
        values = maxsim_values(asked, found, vectorizer, self._vectorizer(setting, "document"))
        return [
            rerank(hits, own, "maxsim", MAXSIM_WEIGHT, self.depth)
            for hits, own in zip(found, values, strict=True)
        ]

    def _values(self, found: Sequence[Sequence[Hit]]) -> Doubles:
        """Return the metric of each query, shape (queries,)."""
        import numpy as np

        from embedcli.vectors.ranking_measures import query_values, ranked_grades

        values = np.zeros(len(found))
        for number, (hits, judged) in enumerate(zip(found, self.questions.judged, strict=True)):
            relevant = np.array([grade for grade in judged.values() if grade > 0])
            grades = ranked_grades([hit.score for hit in hits], [judged.get(hit.id, 0.0) for hit in hits])
            values[number] = query_values([self.metric], grades, relevant)[0]
        return values

    def _times(self, setting: TuneSetting, index: Path) -> tuple[float, float]:
        """Return the milliseconds of a query, and those of encoding a text."""
        # What the scores are made of takes the same time whatever they weigh.
        key = setting._replace(fusion="zscore", alpha=0.5)
        if key not in self._search_ms:
            count = min(_TIMED_RERANKED if setting.rerank else _TIMED, len(self.questions.queries))
            self._search_ms[key] = _median_ms(
                [lambda number=number: self._search(setting, index, [number]) for number in range(count)]  # type: ignore[misc]
            )
        query_ms, text_ms = self._encoding_ms(setting.model)
        words_alone = setting.mode == "lexical"
        return self._search_ms[key] + (0.0 if words_alone else query_ms), 0.0 if words_alone else text_ms

    def _encoding_ms(self, model: str) -> tuple[float, float]:
        """Return what encoding takes, the cache left aside: one query alone, and a text among many."""
        if model not in self._encode_ms:
            from embedcli.tasks.inputs import Inputs

            vectorizer = self._vectorizers[model]
            encoder, asked = vectorizer.encoder, self.questions.queries[:_TIMED]
            one = _median_ms(
                [lambda text=record.text: encoder.encode([text]) for record in asked]  # type: ignore[misc]
            )
            records = Inputs(list(self.questions.corpus), self.questions.read).records(
                Counts(), lambda _problem: None
            )
            texts = [record.text for record, _ in zip(records, range(_TIMED_TEXTS), strict=False)]
            many = _median_ms([lambda: encoder.encode(texts, on_long="truncate")] * 2) / max(1, len(texts))
            self._encode_ms[model] = one, many
        return self._encode_ms[model]


def chunking_of(name: str) -> dict[str, Any]:
    """Return what `BuildSettings` calls a chunking of these settings."""
    if name in ("split", "pool"):
        return {"on_long": name}
    how, _, tokens = name.partition(":")
    return {"chunking": how, "chunk_tokens": int(tokens) if tokens else None}


def _median_ms(calls: Sequence[Callable[[], object]]) -> float:
    """Return the median time of some calls, the first one, which warms up, made twice."""
    import statistics

    calls[0]()
    times = []
    for call in calls:
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)
