"""`search` by sparse vectors: `--mode sparse`, `--sparse-weight`, `--show-terms`."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

    from embedcli.cli.run import Run
    from embedcli.cli.search_index import IndexFacts, IndexSearch
    from embedcli.datatypes import Hit, Record
    from embedcli.tasks.rank_sparse import SparseSide
    from embedcli.tasks.search import SearchSettings


class SparseOptions(NamedTuple):
    """What was typed."""

    show_terms: int | None
    device: str
    jobs: int | None
    quiet: bool

    def check(self, facts: "IndexFacts | None", *, shows_hits: bool) -> None:
        """Refuse to show terms where there are none to show.

        Args:
            facts: What the index says, and what ranks; None for a search without an index.
            shows_hits: Whether hits are printed one by one.

        Raises:
            UsageError: There are none.
        """
        from embedcli.errors import UsageError

        if self.show_terms is None:
            return
        if facts is None or not facts.ranking.uses_sparse:
            raise UsageError(
                "--show-terms is about sparse vectors, which do not rank here",
                hint="--mode sparse, or --sparse-weight, on an index built with --sparse",
            )
        if not shows_hits:
            raise UsageError("--show-terms shows each hit; --trec, -l, -c, -A, -B and -C do not")

    def side(self, asked: "Sequence[Record]", facts: "IndexFacts | None", run: "Run") -> "SparseSide | None":
        """Return the queries as sparse vectors, with the model that the index names; None where none rank.

        Raises:
            UsageError: The index holds no sparse vectors.
        """
        if facts is None or not facts.ranking.uses_sparse:
            return None
        from embedcli.cli.sparse import open_sparse
        from embedcli.cli.terminal import say
        from embedcli.errors import UsageError
        from embedcli.tasks.rank_sparse import sparse_queries
        from embedcli.write.sparse import strongest_terms

        vectorizer = open_sparse(None, facts.identity, run, device=self.device, jobs=self.jobs, role="query")
        if vectorizer is None:
            raise UsageError(
                "the index holds no sparse vectors", hint="embedcli index build --sparse MODEL -i FILE PATH"
            )
        try:
            side = sparse_queries(asked, vectorizer, self.show_terms or 0)
        finally:
            vectorizer.close()
        if self.show_terms is not None and not self.quiet:
            for record, query in zip(asked, side.queries, strict=True):
                terms = strongest_terms(query.vector, query.terms, self.show_terms)
                shown = ", ".join(f"{term} {weight:.2f}" for term, weight in terms.items())
                say(f"{record.text[:60]!r}: {shown or 'no terms'}")
        return side

    def without_vectors(
        self,
        on_index: "IndexSearch",
        asked: "Sequence[Record]",
        wanted: "SearchSettings",
        facts: "IndexFacts",
        run: "Run",
    ) -> "list[list[Hit]]":
        """Return the hits for each query by words alone, or by sparse vectors alone."""
        side = self.side(asked, facts, run)
        if side is None:
            return on_index.by_words(asked, wanted, facts.ranking, run)
        from embedcli.tasks.rank_sparse import search_by_terms

        settings = on_index.settings_without_vectors("sparse")
        return search_by_terms(on_index.places, side, wanted, settings, on_notice=run.notice)
