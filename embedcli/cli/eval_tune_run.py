"""A run of `eval tune`: what was typed to what is tried, and what is written in the end."""

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from embedcli.cli.eval_options import ReportOptions
    from embedcli.cli.run import Run
    from embedcli.tasks.evaluate.tune import TuneSettings
    from embedcli.tasks.evaluate.tune_bench import Questions
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.tuning import Tuning
    from embedcli.write.target import Output

_FIELDS = ("title", "text")
_MODELS = (None, "static")
_HINT = "a folder with corpus.jsonl, queries.jsonl and qrels; or documents, with --queries and --qrels"


class Tried(NamedTuple):
    """What was typed about what is tried; None for the default."""

    models: list[str] | None
    dims: list[int] | None
    dtypes: list[str] | None
    chunkings: list[str] | None
    alphas: list[float] | None
    fusions: list[str] | None
    metric: str

    def check(self) -> None:
        """Refuse what is not known, before anything is read.

        Raises:
            UsageError: A word is not known.
        """
        from embedcli.cli.resolve import choice
        from embedcli.datatypes import Chunking, Fusion, StoredDtype
        from embedcli.vectors.ranking_measures import parse_metrics

        parse_metrics([self.metric])
        for dtype in self.dtypes or ():
            choice("--dtype", dtype, StoredDtype)
        for fusion in self.fusions or ():
            choice("--fuse", fusion, Fusion)
        for name in self.chunkings or ():
            how, parted, tokens = name.partition(":")
            if how not in ("split", "pool") or parted:
                choice("--chunking", how, Chunking)
            if parted and not (tokens.isascii() and tokens.isdecimal() and 0 < int(tokens[:7]) < 1_000_000):
                raise UsageError(f"--chunking {name!r}: no number of tokens", hint="as in tokens:128")


@dataclass
class TuneRun:
    """One run.

    Attributes:
        stack: Closes what is opened.
        run: Counts, and says notices.
        device: Of the encoders.
        jobs: Threads; None for as many as there are CPUs.
        cache: From `--cache`.
        no_cache: From `--no-cache`.
        vectorizers: By the model's name, in the order of trying.
    """

    stack: ExitStack
    run: "Run"
    device: str
    jobs: int | None
    cache: str | None
    no_cache: bool
    vectorizers: "dict[str, Vectorizer]" = field(default_factory=dict)

    def questions(
        self, paths: list[str], queries: str | None, qrels: str | None, fields: list[str] | None
    ) -> "Questions":
        """Return documents, queries and judgements.

        Raises:
            UsageError: What is to be read is not clear.
            InputError: A file is not what it should be.
        """
        from embedcli.cli.search_asked import read_queries
        from embedcli.datatypes import Counts
        from embedcli.errors import InputError
        from embedcli.records.judgements import find_collection, read_judgements
        from embedcli.tasks.evaluate.judged import judged_queries, tell_missing, with_relevant
        from embedcli.tasks.evaluate.tune_bench import Questions
        from embedcli.tasks.inputs import Inputs

        if not paths:
            raise UsageError("no test collection", hint=_HINT)
        corpus, asked, judged_by = tuple(paths), queries, qrels
        if asked is None or judged_by is None:
            if len(paths) != 1:
                raise UsageError("--queries and --qrels are needed", hint=_HINT)
            found = find_collection(paths[0], queries, qrels)
            corpus, asked, judged_by = (found.corpus,), found.queries, found.judgements
            fields = fields or list(_FIELDS)
        judged = with_relevant(read_judgements(judged_by), self.run.notice)
        records, judged = judged_queries(read_queries(None, asked, [], self.run), judged, self.run.notice)
        read = {"text_fields": tuple(fields)} if fields else {}
        there = {record.id for record in Inputs(list(corpus), read).records(Counts(), lambda _problem: None)}
        if not there:
            raise InputError(f"{', '.join(corpus)}: no documents in it")
        tell_missing(judged, there, self.run.notice)
        return Questions(corpus, read, records, [judged[record.id] for record in records])

    def settings(
        self, tried: Tried, *, rerank: bool, within: float, seed: int, max_seconds: float
    ) -> "TuneSettings":
        """Open the models and return what is tried.

        Raises:
            UsageError: A model cannot give vectors of so many numbers.
            UnknownModelError: There is no such model.
        """
        from embedcli.cli.resolve import encoder_settings, open_cache, open_model
        from embedcli.tasks.evaluate.tune import TuneSettings
        from embedcli.tasks.vectorize import Vectorizer, VectorSettings

        store = self.stack.enter_context(open_cache(self.cache, no_cache=self.no_cache, by_default=True))
        encoder = encoder_settings(device=self.device, jobs=self.jobs)
        dims: list[tuple[str, tuple[int, ...]]] = []
        for name in dict.fromkeys(tried.models or _MODELS):
            model = open_model(name)
            settings = VectorSettings("document", normalize=True)
            # A cut that the model was not trained for is what is measured: no need to say so.
            vectorizer = Vectorizer(model, encoder, settings, self.run.counts, cache=store)
            self.stack.callback(vectorizer.close)
            known = model.manifest.name
            if known in self.vectorizers:
                continue
            self.vectorizers[known] = vectorizer
            dims.append((known, _dims(vectorizer, tried.dims)))
        usual = TuneSettings(tuple(dims))
        return TuneSettings(
            tuple(dims),
            _usual_first(usual.chunkings, tried.chunkings),
            _usual_first(usual.dtypes, tried.dtypes),
            tuple(tried.alphas or usual.alphas),
            _usual_first(usual.fusions, tried.fusions),
            rerank=rerank,
            within=within,
            seed=seed,
            max_seconds=max_seconds,
        )

    def check_index(self, index: str | None) -> None:
        """Refuse an index that no ranking could be stored in, before hours of work."""
        from embedcli.tasks.evaluate.tune_store import check_storable
        from embedcli.tasks.places import index_path

        if index is not None:
            check_storable(index_path(index), list(self.vectorizers))

    def tune(self, source: "Questions", settings: "TuneSettings", metric: str) -> "Tuning":
        """Measure all that is tried."""
        import tempfile

        from embedcli.cli.terminal import Progress
        from embedcli.encode.processors import usable_cpus
        from embedcli.tasks.evaluate.tune import tune
        from embedcli.tasks.evaluate.tune_bench import Bench
        from embedcli.vectors.ranking_measures import parse_metrics

        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="embedcli-"))
        bench = Bench(
            *(source, self.vectorizers, parse_metrics([metric])[0], Path(folder)),
            jobs=self.jobs or usable_cpus(),
            on_problem=self.run.on_problem,
            on_notice=self.run.notice,
        )
        with Progress("settings", enabled=not self.run.quiet) as progress:
            tuning = tune(bench, settings, progress.update)
        if tuning.left:
            self.run.notice(
                f"{tuning.left} combinations were left out when the time was over; --max-time gives more,"
                " and the cache makes the next run shorter"
            )
        return tuning

    def sweep(self, source: "Questions", tuning: "Tuning", metric: str, sample: int, seed: int) -> "Tuning":
        """Look into the first model that has layers; say why not for the others."""
        from embedcli.cli.terminal import Progress
        from embedcli.errors import ModelError
        from embedcli.tasks.evaluate.encoder_sweep import sample_documents, sweep_encoder
        from embedcli.tasks.evaluate.tune import with_sweep
        from embedcli.vectors.ranking_measures import parse_metrics

        measure = parse_metrics([metric])[0]
        for name, vectorizer in self.vectorizers.items():
            documents = sample_documents(source, sample, seed)
            with Progress(f"layers of {name}", enabled=not self.run.quiet) as progress:
                try:
                    swept = sweep_encoder(
                        *(vectorizer, source, documents, measure), seed=seed, on_step=progress.update
                    )
                except ModelError as error:
                    self.run.notice(f"layers, pooling and whitening are left out: {error}")
                    continue
            self.run.notice(
                f"layers, pooling and whitening of {name}: cosines alone over {len(documents)} documents"
                f" cut to {vectorizer.model.manifest.max_tokens} tokens, all {len(source.queries)} queries"
            )
            return with_sweep(tuning, swept, name, len(documents))
        return tuning


def _usual_first(usual: tuple[str, ...], typed: list[str] | None) -> tuple[str, ...]:
    """Return what is tried: what was typed, but the default always and first."""
    return usual if typed is None else tuple(dict.fromkeys((usual[0], *typed)))


def _dims(vectorizer: "Vectorizer", typed: list[int] | None) -> tuple[int, ...]:
    """Return the numbers to try, all of them first."""
    full = vectorizer.full_dim
    if typed:
        most = max(typed)
        if most > full:
            raise UsageError(
                f"--dim {most}: model {vectorizer.model.manifest.name} gives 1 to {full} numbers"
            )
        return tuple(dict.fromkeys((full, *typed)))
    trained = sorted((dim for dim in vectorizer.model.manifest.dims if dim < full), reverse=True)
    return (full, *(trained[:3] or (max(1, full // 2),)))


def write_outputs(
    run: "Run",
    tuning: "Tuning",
    report: "ReportOptions",
    plot: str | None,
    index: str | None,
    lock_timeout: float,
) -> "Callable[[Output], None]":
    """Write the plot, store the ranking, and return what writes the tables."""
    from embedcli.write.target import open_output
    from embedcli.write.tuning import write_tuning, write_tuning_objects

    if plot is not None:
        from embedcli.write.tuning_plot import write_plot

        with open_output(plot) as output:
            write_plot(tuning, f"Settings by {tuning.metric}, size and time", output)
    if index is not None:
        _store(run, tuning, index, lock_timeout)

    def tables(output: "Output") -> None:
        (write_tuning_objects if report.as_json else write_tuning)(tuning, output)

    return tables


def _store(run: "Run", tuning: "Tuning", index: str, lock_timeout: float) -> None:
    from embedcli.index.file import stored_identity
    from embedcli.tasks.evaluate.tune_store import ranking_for, store_ranking
    from embedcli.tasks.places import index_path

    place = index_path(index)
    identity = stored_identity(place)
    setting = ranking_for(tuning, identity)
    store_ranking(place, setting, lock_timeout_seconds=lock_timeout)
    run.notice(f"{place}: search now does {setting.search_options.removesuffix(' --plan signs')}")
    chosen = tuning.points[tuning.chosen].setting
    if (identity.model, identity.dim, identity.dtype) != (chosen.model, chosen.dim, chosen.dtype):
        run.notice(
            f"{place}: holds {identity.model} {identity.dim} {identity.dtype}; what was chosen needs another"
            f" index: embedcli index build {chosen.build_options} -i FILE PATH"
        )
