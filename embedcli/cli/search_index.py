"""`search` over an index: the options that are about one, and the call."""

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from embedcli.cli.run import Run
    from embedcli.cli.search_ranking import TypedRanking
    from embedcli.datatypes import Hit, Record, Vectors
    from embedcli.index.meta import Identity
    from embedcli.index.plan import Plan, Workload
    from embedcli.tasks.open_index import IndexSettings
    from embedcli.tasks.rank_sparse import SparseSide
    from embedcli.tasks.ranking import Ranking
    from embedcli.tasks.search import SearchSettings
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.set_query import SetQuery
    from embedcli.where import Condition


class IndexFacts(NamedTuple):
    """What the first index says of itself, and what ranks the hits."""

    identity: "Identity"
    ranking: "Ranking"


class IndexSearch(NamedTuple):
    """The indexes and how they are to be searched, as it was typed; the condition is parsed."""

    places: "list[Path]"
    condition: "Condition | None"
    path_globs: list[str] | None
    since: str | None
    exact: bool
    plan: Any
    rescore: int | None
    ef_search: int | None
    jobs: int | None
    explain_plan: bool
    ranking: "TypedRanking"

    def facts(self, min_score: str | None) -> IndexFacts | None:
        """Return what the indexes say of themselves; None where there is none to search.

        Raises:
            UsageError: Something was said that only an index can do, or two options contradict each other.
        """
        from embedcli.errors import UsageError

        if self.exact and self.plan not in ("auto", "exact"):
            raise UsageError(f"--exact contradicts --plan {self.plan}")
        if self.places:
            return IndexFacts(*self.ranking.on_indexes(self.places, min_score))
        if self.path_globs or self.since or self._about_vectors or self.ranking.needs_index:
            raise UsageError(
                "--path, --since, --plan, --exact, --rescore, --ef-search, --explain-plan, --mode, --fuse,"
                " --alpha, --sparse-weight and --lexical-query are about an index",
                hint="-i FILE names one; --include and --exclude narrow folders",
            )
        return None

    @property
    def _about_vectors(self) -> bool:
        return (*(self.exact, self.plan, self.rescore, self.ef_search, self.explain_plan),) != (
            False,
            "auto",
            None,
            None,
            False,
        )

    def by_words(
        self, asked: "Sequence[Record]", wanted: "SearchSettings", ranking: "Ranking", run: "Run"
    ) -> "list[list[Hit]]":
        """Return the hits for each query by words alone."""
        from embedcli.tasks.search_index import search_by_words

        settings = self.settings_without_vectors("lexical")
        return search_by_words(self.places, asked, wanted, settings, ranking, on_notice=run.notice)

    def settings_without_vectors(self, mode: str) -> "IndexSettings":
        """Return how to look where no vectors are looked at.

        Raises:
            UsageError: Something was said that is about them.
        """
        from embedcli.errors import UsageError

        if self._about_vectors:
            raise UsageError(
                "--plan, --exact, --rescore, --ef-search and --explain-plan are about vectors;"
                f" --mode {mode} looks at none"
            )
        return self._settings()

    def by_vectors(
        self,
        asked: "Sequence[Record]",
        vectors: "Vectors",
        vectorizer: "Vectorizer",
        wanted: "SearchSettings",
        ranking: "Ranking",
        run: "Run",
        sparse: "SparseSide | None" = None,
    ) -> "list[list[Hit]]":
        """Return the hits for each query, by vectors or by both, and by sparse ones where they count."""
        from functools import partial

        from embedcli.cli.search_bound import tell_bound
        from embedcli.tasks.search_index import search_indexes

        return search_indexes(
            self.places,
            asked,
            vectors,
            vectorizer,
            wanted,
            self._settings(),
            ranking,
            sparse=sparse,
            on_notice=run.notice,
            on_bound=partial(tell_bound, run),
            on_plan=_say_plan if self.explain_plan else lambda _index, _work, _plan: None,
        )

    def by_set(
        self, query: "SetQuery", vectorizer: "Vectorizer", wanted: "SearchSettings", run: "Run"
    ) -> "list[Hit]":
        """Return the hits for a question made of several vectors."""
        from embedcli.errors import UsageError
        from embedcli.tasks.sets import search_sets

        if self._about_vectors:
            raise UsageError(
                "--like, --and and --not compare every vector;"
                " --plan, --exact, --rescore, --ef-search and --explain-plan have no say"
            )
        return search_sets(self.places, query, vectorizer, wanted, self._settings(), on_notice=run.notice)

    def _settings(self) -> "IndexSettings":
        from embedcli.cli.resolve import choice, since_ns
        from embedcli.encode.processors import usable_cpus
        from embedcli.tasks.open_index import IndexSettings
        from embedcli.tasks.select import Selection

        plan = choice(
            "--plan", "exact" if self.exact else self.plan, Literal["auto", "exact", "signs", "graph"]
        )
        since = None if self.since is None else since_ns(self.since)
        return IndexSettings(
            Selection(self.condition, tuple(self.path_globs or ()), since),
            method=None if plan == "auto" else plan,
            rescored=self.rescore,
            ef_search=self.ef_search,
            jobs=self.jobs or usable_cpus(),
        )


def _say_plan(index: "Path", work: "Workload", plan: "Plan") -> None:
    """Say how an index is searched, and what each way would have cost."""
    from embedcli.cli.terminal import say

    how = {
        "exact": "every vector compared",
        "rows": "the rows that the filter lets through compared",
        "signs": f"sign bits scanned, {min(plan.rescored, work.vectors)} rows compared",
        "graph": "graph walked" + (" after building it" if plan.builds_graph else ""),
    }[plan.method]
    allowed = "" if work.allowed is None else f"{work.allowed} of "
    costs = ", ".join(
        f"{way} {seconds:.2g} s" for way, seconds in sorted(plan.costs.items(), key=lambda cost: cost[1])
    )
    say(
        f"{index}: {plan.method}: {how}; {allowed}{work.vectors} vectors, queries: {work.queries};"
        f" estimated: {costs}"
    )
