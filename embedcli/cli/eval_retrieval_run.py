"""The runs of `eval retrieval`: a corpus indexed, queries asked, or runs of other tools read."""

from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from embedcli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.run import Run
    from embedcli.records.judgements import Found
    from embedcli.reports import Evaluation
    from embedcli.vectors.ranking_measures import RankingMetric

_HINT = "a folder; or -i FILE with --queries and --qrels; or --run FILE with --qrels"


@dataclass(frozen=True)
class Typed:
    """What is measured, and by what."""

    folder: str | None
    index: str | None
    runs: tuple[str, ...]
    queries: str | None
    qrels: str | None

    def check(self, about_search: "Mapping[str, bool]", about_corpus: "Mapping[str, bool]") -> None:
        """Refuse what contradicts itself.

        Args:
            about_search: Options that say how a search ranks, and whether they were typed.
            about_corpus: Options that say how a corpus is indexed, likewise.

        Raises:
            UsageError: It does.
        """
        if sum((self.folder is not None, self.index is not None, bool(self.runs))) != 1:
            raise UsageError("what is to be measured is not clear", hint=_HINT)
        if self.folder is None and self.qrels is None:
            raise UsageError("--qrels FILE is needed: what is relevant to which query", hint=_HINT)
        if self.index is not None and self.queries is None:
            raise UsageError("--queries FILE is needed: what to ask", hint=_HINT)
        refused = {} if self.folder is not None else about_corpus
        if self.runs:
            refused = {**refused, **about_search, "--queries": self.queries is not None}
        said = [option for option, is_typed in refused.items() if is_typed]
        if said:
            what = "with --run nothing is searched" if self.runs else "an index is as it was built"
            raise UsageError(f"{', '.join(said)}: {what}", hint=_HINT)

    def read(self) -> list[str]:
        """Return the paths of all that is read."""
        from embedcli.records.judgements import collection_files

        folder = [] if self.folder is None else collection_files(self.folder)
        named = (self.index, self.queries, self.qrels)
        return [*folder, *self.runs, *(path for path in named if path is not None)]


class Corpus(NamedTuple):
    """How a corpus is indexed; see `index build`."""

    fields: tuple[str, ...]
    chunking: str | None
    chunk_tokens: int | None
    chunk_overlap: int | None
    context_title: bool | None


@dataclass(frozen=True)
class Asked:
    """What is asked, and how hits are ranked."""

    metrics: "Sequence[RankingMetric]"
    systems: tuple[str, ...]
    reranks: tuple[str, ...]
    rerank_depth: int | None
    rerank_weight: float | None
    fuse: str | None
    alpha: float | None
    depth: int
    write_runs: str | None

    def check(self) -> None:
        """Refuse a word that is not known, before a corpus is indexed.

        Raises:
            UsageError: There is one.
        """
        from embedcli.cli.resolve import choice
        from embedcli.datatypes import Fusion

        if self.fuse is not None:
            choice("--fuse", self.fuse, Fusion)
        if not self.reranks and (self.rerank_depth is not None or self.rerank_weight is not None):
            raise UsageError("--rerank-depth and --rerank-weight go with --rerank", hint="--rerank maxsim")


def evaluate_runs(typed: Typed, metrics: "Sequence[RankingMetric]", seed: int, run: "Run") -> "Evaluation":
    """Return what runs of other tools reach; a system goes by the name of its file.

    Raises:
        InputError: A file is not what it should be.
        UsageError: Two files have one name.
    """
    from embedcli.records.judgements import read_judgements, read_run
    from embedcli.tasks.evaluate.judged import ranking_evaluation, with_relevant

    assert typed.qrels is not None
    judged = with_relevant(read_judgements(typed.qrels), run.notice)
    names = [Path(path).stem for path in typed.runs]
    if len(set(names)) < len(names):
        names = list(typed.runs)
    if len(set(names)) < len(names):
        raise UsageError("--run names a file twice")
    found = {name: read_run(path, judged) for name, path in zip(names, typed.runs, strict=True)}
    for name, own in found.items():
        if len(own) < len(judged):
            run.notice(f"{name} finds nothing for {len(judged) - len(own)} judged queries: they count as 0")
    return ranking_evaluation(found, judged, metrics, seed, {"qrels": typed.qrels, "runs": list(typed.runs)})


def evaluate_index(
    stack: ExitStack,
    typed: Typed,
    corpus: Corpus,
    asked: Asked,
    encoding: "EncodeOptions",
    seed: int,
    run: "Run",
) -> "Evaluation":
    """Return what the ways to rank reach over a test collection or an index.

    Raises:
        InputError: A file is not what it should be.
        UsageError: What was typed makes no sense for this index.
    """
    from embedcli.cli.eval_retrieval_ask import Asker
    from embedcli.cli.resolve import index_to_read
    from embedcli.cli.search_asked import read_queries
    from embedcli.records.judgements import find_collection, read_judgements
    from embedcli.tasks.evaluate import judged as judging
    from embedcli.tasks.search_index import settings_of

    files = None if typed.folder is None else find_collection(typed.folder, typed.queries, typed.qrels)
    queries, qrels = (typed.queries, typed.qrels) if files is None else (files.queries, files.judgements)
    assert qrels is not None
    judged = judging.with_relevant(read_judgements(qrels), run.notice)
    questions, judged = judging.judged_queries(read_queries(None, queries, [], run), judged, run.notice)
    asker = Asker(stack, asked, encoding, run)
    index = index_to_read(typed.index) if files is None else asker.index_corpus(files.corpus, corpus)
    facts = settings_of([index])
    judging.tell_missing(judged, asker.known(index, judged), run.notice)
    found = asker.ask(index, facts, questions)
    if asked.write_runs is not None:
        _write_runs(found, Path(asked.write_runs))
    about = {
        "source": typed.folder or str(index),
        "qrels": qrels,
        "model": facts.identity.model,
        "variant": facts.identity.variant,
        "depth": asked.depth,
        **({} if files is None else {"chunking": corpus.chunking, "on_long": encoding.on_long}),
    }
    return judging.ranking_evaluation(found, judged, asked.metrics, seed, about)


def _write_runs(found: "Mapping[str, Found]", folder: Path) -> None:
    """Write a run for each system.

    Raises:
        OutputError: The folder cannot be made or written to.
        UsageError: An id cannot stand in a run.
    """
    from embedcli.errors import OutputError
    from embedcli.write.hits import check_trec, write_run
    from embedcli.write.target import open_output

    every = {
        name for of_queries in found.values() for query, own in of_queries.items() for name in (query, *own)
    }
    check_trec(every, "--write-runs", "--per-query FILE writes what each query reaches")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"--write-runs {folder}: {error.strerror}") from error
    for system, of_queries in found.items():
        name = system.replace(" ", "").replace("/", "_")
        with open_output(str(folder / f"{name}.trec")) as output:
            for query, own in of_queries.items():
                write_run(own.items(), query, output)
