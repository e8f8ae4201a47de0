"""The Python API: what the commands do, as functions. Import it from `embedcli`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, get_args

from embedcli.datatypes import DEFAULT_STAGES, Counts, Problem
from embedcli.encode.catalog import EncoderSettings, find_model, iter_models
from embedcli.tasks.vectorize import Vectorizer, VectorSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from embedcli.datatypes import ClusterMember, Duplicate, Hit, OnLong, Role, Stage, Vectors
    from embedcli.encode.catalog import Model
    from embedcli.tasks.build_settings import BuildReport
    from embedcli.tasks.cluster import Method


class Embedder:
    """A model that turns texts into vectors. Close it, or use it in a `with` block.

    Attributes:
        model: The folder and its manifest.
    """

    def __init__(self, model: Model, settings: EncoderSettings) -> None:
        self.model, self._settings = model, settings
        self._vectorizers: dict[VectorSettings, Vectorizer] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def encode(
        self,
        texts: Sequence[str],
        *,
        role: Role = "document",
        on_long: OnLong = "pool",
        dim: int | None = None,
        normalize: bool | None = None,
    ) -> Vectors:
        """Return one vector a text, shape (len(texts), dim), float32, in the order given.

        Args:
            texts: A sequence of strings, not one string.
            role: Which of the model's prompts goes before each text.
            on_long: `pool`, `truncate` or `error`, for texts longer than the model takes.
            dim: Keep only the first numbers.
            normalize: Give vectors unit length, or not; None does as the model says.

        Raises:
            TypeError: `texts` is one string.
            TextTooLongError: A text is too long and `on_long` is `error`.
        """
        if isinstance(texts, str):
            raise TypeError("texts is a sequence of strings; for one text write [text]")
        return self.vectorizer(VectorSettings(role, None, on_long, dim, normalize)).text_vectors(texts)

    def vectorizer(self, settings: VectorSettings) -> Vectorizer:
        """Return the vectorizer for these settings; all of them share one encoder."""
        if settings not in self._vectorizers:
            first = next(iter(self._vectorizers.values()), None)
            fresh = (
                Vectorizer(self.model, self._settings, settings, Counts())
                if first is None
                else first.with_settings(settings)
            )
            self._vectorizers[settings] = fresh
        return self._vectorizers[settings]

    def close(self) -> None:
        """Stop the worker threads."""
        for vectorizer in self._vectorizers.values():
            vectorizer.close()


class Index:
    """An index file and the model that its vectors are from."""

    def __init__(self, path: Path, embedder: Embedder) -> None:
        self.path, self._embedder = path, embedder

    def search(self, query: str, *, top_k: int = 10, min_score: float | None = None) -> list[Hit]:
        """Return the chunks that answer a query best, best first; equal scores by path and place.

        They are ranked as `embedcli search` does on an index: by vectors and words, or as the index says.

        Raises:
            UsageError: The query is blank.
            DamagedIndexError: What was read is not what was written.
        """
        from embedcli.datatypes import Record
        from embedcli.tasks.open_index import IndexSettings
        from embedcli.tasks.ranking import ranking_of
        from embedcli.tasks.search import SearchSettings, query_vectors
        from embedcli.tasks.search_index import search_by_words, search_indexes, settings_of

        # Sparse vectors weigh nothing here: they would need a second model.
        identity, stored, keeps_text, _ = settings_of([self.path])
        queries = self._embedder.vectorizer(VectorSettings("query", dim=identity.dim, normalize=True))
        wanted, ranking = SearchSettings(top_k, min_score), ranking_of(stored, keeps_text=keeps_text)
        asked = [Record("1", query)]
        if ranking.mode == "lexical":
            return search_by_words([self.path], asked, wanted, IndexSettings(), ranking)[0]
        vectors = query_vectors(asked, queries)
        return search_indexes([self.path], asked, vectors, queries, wanted, IndexSettings(), ranking)[0]

    def status(self) -> dict[str, Any]:
        """Return what the index holds, with the keys of `index status --json`."""
        from embedcli.tasks.status import index_facts

        return index_facts(self.path)

    def close(self) -> None:
        """Stop the model's worker threads."""
        self._embedder.close()


def list_models(folders: Sequence[Path] = ()) -> list[Model]:
    """Return the models in the given folders and the shipped ones."""
    return list(iter_models(folders))


def load_model(
    name: str | None = None,
    *,
    folders: Sequence[Path] = (),
    device: str = "auto",
    jobs: int | None = None,
    cache_folder: Path | None = None,
) -> Embedder:
    """Return a model by name or by the path of its folder; the encoder is loaded when it is first used.

    Args:
        name: None for the default model.
        folders: Where to look before the shipped models.
        device: `auto`, `cpu`, `cuda` or `cuda:N`.
        jobs: Worker threads; None for as many as this process has CPUs.
        cache_folder: Where optimized graphs are kept for a faster start; None for nowhere.

    Raises:
        UnknownModelError: There is none of that name.
    """
    return Embedder(find_model(name, folders), EncoderSettings(device, jobs, cache_folder=cache_folder))


def open_index(path: str | Path, model: Embedder | None = None) -> Index:
    """Open an index for searching.

    Args:
        path: The file, or a folder that holds `.embedcli/index.emb`.
        model: The model it was built with; None loads it by its name.

    Raises:
        MissingIndexError: There is none.
    """
    from embedcli.index.file import stored_identity
    from embedcli.tasks.places import index_path

    place = index_path(str(path))
    identity = stored_identity(place)
    return Index(place, model or load_model(identity.model))


def build_index(
    paths: Sequence[str | Path],
    index: str | Path | None = None,
    model: Embedder | None = None,
    on_problem: Callable[[Problem], None] = lambda _problem: None,
    **settings: Any,
) -> BuildReport:
    """Build an index over files and folders, or bring it up to date.

    Args:
        paths: Files and folders; empty refreshes what the index holds.
        index: The index file; None for `.embedcli/index.emb` in the first path.
        model: None for the default model.
        on_problem: Told of each file that could not be read or was left out.
        **settings: Fields of `embedcli.tasks.build_settings.BuildSettings`.

    Raises:
        MissingPathError: A path does not exist.
        IndexMismatchError: The index holds another model's vectors.
        TypeError: A setting is not known.
    """
    from embedcli.tasks.build import build_index as build
    from embedcli.tasks.build_settings import BuildSettings
    from embedcli.tasks.places import index_path, new_index_path

    place = index_path(str(index)) if index is not None else new_index_path(str(paths[0]))
    wanted = replace(BuildSettings(**settings), paths=tuple(map(str, paths)))
    embedder = model or load_model()
    vectorizer = embedder.vectorizer(VectorSettings(normalize=True))
    try:
        return build(place, wanted, vectorizer, Counts(), on_problem)
    finally:
        if model is None:
            embedder.close()


def dedupe(
    texts: Sequence[str],
    *,
    threshold: float | None = None,
    methods: Sequence[Stage] = DEFAULT_STAGES,
    model: Embedder | None = None,
) -> list[Duplicate | None]:
    """Return of what each text is a duplicate, or None for one that is kept.

    Texts are taken in their order; each is compared with those that were kept before it. `Duplicate.kept` is
    the place of the kept text, from 0, as a string. Blank texts are kept.

    Args:
        texts: A sequence of strings, not one string.
        threshold: The lowest cosine of semantic duplicates; None for what the model was calibrated to.
        methods: The stages that compare.
        model: None for the default model.

    Raises:
        TypeError: `texts` is one string.
        UsageError: A stage is not known, or there is no threshold and the model was not calibrated.
    """
    from embedcli.datatypes import Record, Stage
    from embedcli.errors import UsageError
    from embedcli.tasks.dedupe import Deduper, DedupeSettings, threshold_of

    if isinstance(texts, str):
        raise TypeError("texts is a sequence of strings; for one text write [text]")
    if strange := set(methods) - set(get_args(Stage)):
        raise UsageError(f"methods: {min(strange)!r} is not known", hint=", ".join(get_args(Stage)))
    embedder = model or load_model()
    vectorizer = None
    if "semantic" in methods:
        vectorizer = embedder.vectorizer(VectorSettings(normalize=True))
        threshold = threshold_of(embedder.model.manifest) if threshold is None else threshold
    deduper = Deduper(DedupeSettings(tuple(methods), threshold), vectorizer)
    try:
        return deduper.decide([Record(str(place), text) for place, text in enumerate(texts)])
    finally:
        deduper.close()
        if model is None:
            embedder.close()


def cluster(
    texts: Sequence[str],
    *,
    count: int | None = None,
    method: Method | None = None,
    threshold: float | None = None,
    model: Embedder | None = None,
    jobs: int = 1,
    **settings: Any,
) -> list[ClusterMember | None]:
    """Return the cluster of each text, or None for one without a vector, such as a blank one.

    Args:
        texts: A sequence of strings, not one string.
        count: How many clusters.
        method: `kmeans`, `density`, `communities` or `threshold`; None for k-means where `count` or `auto` is
            given, `threshold` where that is, else communities.
        threshold: The lowest cosine to the text in the middle of a cluster.
        model: None for the default model.
        jobs: Threads that compare vectors; their number changes nothing.
        **settings: Other fields of `embedcli.tasks.cluster.ClusterSettings`, such as `auto` and `seed`.

    Raises:
        TypeError: `texts` is one string, or a setting is not known.
        UsageError: The settings make no sense together, or there are fewer texts than clusters.
    """
    from embedcli.datatypes import Record
    from embedcli.tasks.cluster import ClusterSettings, cluster_rows, method_for
    from embedcli.tasks.cluster_report import ClusterReport, count_terms
    from embedcli.tasks.pool import Pool
    from embedcli.vectors.clusters import group_stats

    if isinstance(texts, str):
        raise TypeError("texts is a sequence of strings; for one text write [text]")
    by = method or method_for(count, threshold, auto=bool(settings.get("auto")))
    wanted = ClusterSettings(by, count, threshold=threshold, **settings)
    embedder = model or load_model()
    pool = Pool(embedder.vectorizer(VectorSettings(normalize=True)))
    try:
        vectors = pool.gather(Record(str(place), text) for place, text in enumerate(texts))
        found = cluster_rows(vectors, pool.weights, wanted, jobs)
        stats = group_stats(vectors, found.labels, pool.weights)
        ids = range(len(stats.sizes))
        namer = count_terms(pool, found, len(ids))
        return [*ClusterReport(pool, found, stats, ids, namer.names(ids), namer).members()]
    finally:
        pool.close()
        if model is None:
            embedder.close()
