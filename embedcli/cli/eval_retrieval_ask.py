"""The index of `eval retrieval`: built as `index build` builds it, asked as `search` asks it."""

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.cli.encoding import EncodeOptions
    from embedcli.cli.eval_retrieval_run import Asked, Corpus
    from embedcli.cli.run import Run
    from embedcli.datatypes import Hit, Record
    from embedcli.records.judgements import Found, Judgements
    from embedcli.tasks.evaluate.retrieval import Look
    from embedcli.tasks.rank_sparse import SparseSide
    from embedcli.tasks.ranking import Ranking
    from embedcli.tasks.search_index import IndexesFacts
    from embedcli.tasks.vectorize import Vectorizer

_FIELDS = ("title", "text")


@dataclass
class Asker:
    """Asks an index in one run.

    Attributes:
        stack: Closes what is opened.
        asked: What is asked for.
        encoding: What was typed about the encoder.
        run: Counts, and says notices.
        documents: What made the vectors of the corpus, if that was indexed in this run.
    """

    stack: ExitStack
    asked: "Asked"
    encoding: "EncodeOptions"
    run: "Run"
    documents: "Vectorizer | None" = None

    def index_corpus(self, corpus: str, how: "Corpus") -> Path:
        """Return an index of a corpus that lasts as long as the run.

        Raises:
            InputError: The corpus cannot be read.
            UsageError: What was typed makes no sense.
        """
        import tempfile

        from embedcli.cli.resolve import choice, on_long_of
        from embedcli.cli.terminal import Progress
        from embedcli.datatypes import Chunking
        from embedcli.tasks.build import build_index
        from embedcli.tasks.build_settings import BuildSettings

        if not how.fields:
            _check_text(corpus)
        # A prompt that is typed is that of the queries, as in a search.
        plain = replace(self.encoding, prompt=None)
        self.documents = plain.open(self.stack, self.run, reads_files=True)
        index = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="embedcli-"))) / "corpus.emb"
        on_long = self.encoding.on_long
        settings = BuildSettings(
            paths=(corpus,),
            read={"text_fields": how.fields or _FIELDS},
            chunking=None if how.chunking is None else choice("--chunking", how.chunking, Chunking),
            on_long=None if on_long is None else on_long_of(on_long, "split"),
            chunk_tokens=how.chunk_tokens,
            chunk_overlap=how.chunk_overlap,
            context_title=how.context_title,
        )
        with Progress("documents", enabled=not self.run.quiet) as progress:
            build_index(
                *(index, settings, self.documents, self.run.counts, self.run.on_problem),
                on_record=progress.update,
            )
        return index

    def known(self, index: Path, judged: "Judgements") -> set[str]:
        """Return the relevant documents that are in the index."""
        from embedcli.tasks.evaluate.judged import judged_documents
        from embedcli.tasks.evaluate.retrieval import known_documents

        return known_documents(index, judged_documents(judged))

    def ask(self, index: Path, facts: "IndexesFacts", questions: "Sequence[Record]") -> "dict[str, Found]":
        """Return what each system finds for each question.

        Raises:
            UsageError: The index cannot do what was asked for.
        """
        from embedcli.cli.resolve import choice
        from embedcli.cli.terminal import Progress
        from embedcli.datatypes import Fusion
        from embedcli.encode.processors import usable_cpus
        from embedcli.tasks.evaluate.retrieval import Asking, ask, choose_systems, with_looks
        from embedcli.tasks.open_index import IndexSettings

        asked = self.asked
        fusion = None if asked.fuse is None else choice("--fuse", asked.fuse, Fusion)
        systems = choose_systems(facts, asked.systems, fusion, asked.alpha)
        vectorizer = None
        if any(system.ranking.uses_vectors for system in systems) or "maxsim" in asked.reranks:
            vectorizer = self._of_queries(facts)

        def sparse_side(asked: "Sequence[Record]", ranking: "Ranking") -> "SparseSide | None":
            from embedcli.cli.search_index import IndexFacts
            from embedcli.cli.search_sparse import SparseOptions

            side = SparseOptions(None, self.encoding.device, self.encoding.jobs, quiet=True)
            return side.side(asked, IndexFacts(facts.identity, ranking), self.run)

        looks = [self._look(how, vectorizer) for how in dict.fromkeys(asked.reranks)]
        with Progress("rankings", enabled=not self.run.quiet) as progress:
            settings = IndexSettings(jobs=self.encoding.jobs or usable_cpus())
            asking = Asking(
                *(index, settings, vectorizer, sparse_side, asked.depth),
                on_notice=self.run.notice,
                on_progress=progress.update,
            )
            return ask(asking, questions, with_looks(systems, looks))

    def _of_queries(self, facts: "IndexesFacts") -> "Vectorizer":
        """Return the encoder in the role of a query."""
        from embedcli.tasks.vectorize import VectorSettings

        opened = self.documents or self.encoding.open(self.stack, self.run, facts.identity, reads_files=True)
        return opened.with_settings(
            VectorSettings("query", self.encoding.prompt, "pool", opened.settings.dim, normalize=True)
        )

    def _look(self, how: str, vectorizer: "Vectorizer | None") -> "Look":
        from embedcli.cli.search_rerank import read_rerank
        from embedcli.cli.terminal import Progress
        from embedcli.tasks.evaluate.retrieval import Look

        asked, encoding = self.asked, self.encoding
        found = read_rerank(
            *(how, None, asked.rerank_depth, asked.rerank_weight),
            cascade=False,
            device=encoding.device,
            jobs=encoding.jobs,
        )
        assert found is not None
        second = found

        def again(records: "Sequence[Record]", hits: "list[list[Hit]]") -> "list[list[Hit]]":
            with Progress("looked at again", enabled=not self.run.quiet) as progress:
                depth = second.settings.depth
                return second.again(records, hits, vectorizer, depth, self.run, progress.update)

        return Look("maxsim" if how == "maxsim" else Path(how).name, second.settings.depth, again)


def _check_text(corpus: str) -> None:
    """Refuse a corpus whose documents have no text, only a title.

    Raises:
        InputError: The first one has none.
    """
    from embedcli.datatypes import Counts
    from embedcli.errors import InputError
    from embedcli.tasks.inputs import Inputs

    read = Inputs([corpus], {"text_fields": _FIELDS}).records(Counts(), lambda _problem: None)
    first = next(iter(read), None)
    if first is not None and first.fields and "text" not in first.fields:
        raise InputError(
            f"{corpus}:{first.line}: no field 'text'", hint=f"--field NAME; fields: {', '.join(first.fields)}"
        )
