"""What ranks the hits of an index: `--mode`, `--fuse`, `--alpha`, `--lexical-query`, `--sparse-weight`."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

    from embedcli.datatypes import Fusion, SearchMode
    from embedcli.index.meta import Identity
    from embedcli.tasks.ranking import Ranking


class TypedRanking(NamedTuple):
    """The options as they were typed, checked against each other."""

    mode: "SearchMode | None"
    fusion: "Fusion | None"
    alpha: float | None
    expression: str | None
    sparse_weight: float | None

    @property
    def needs_index(self) -> bool:
        """Whether they say something that only an index can do."""
        return any(value is not None for value in self if value != "dense")

    def on_indexes(self, places: "list[Path]", min_score: str | None) -> "tuple[Identity, Ranking]":
        """Return the first index's identity, and what ranks: as typed, as the index says, or the default.

        Raises:
            UsageError: There is a lowest cosine, and nothing that computes one.
        """
        from embedcli.errors import UsageError
        from embedcli.tasks.ranking import ranking_of
        from embedcli.tasks.search_index import settings_of

        identity, stored, keeps_text, holds_sparse = settings_of(places)
        ranking = ranking_of(
            stored,
            keeps_text=keeps_text,
            mode=self.mode,
            fusion=self.fusion,
            alpha=self.alpha,
            expression=self.expression,
            sparse_weight=self.sparse_weight,
            holds_sparse=holds_sparse,
        )
        if min_score is not None and ranking.mode in ("lexical", "sparse"):
            raise UsageError(f"--min-score is a cosine, and --mode {ranking.mode} computes none")
        return identity, ranking


def read_ranking(
    mode: str | None,
    fuse: str | None,
    alpha: float | None,
    expression: str | None,
    sparse_weight: float | None,
    *,
    by_vectors_alone: str | None,
    many: bool,
) -> TypedRanking:
    """Return the options, checked.

    Args:
        mode: From `--mode`; the next four likewise.
        fuse: From `--fuse`.
        alpha: From `--alpha`.
        expression: From `--lexical-query`.
        sparse_weight: From `--sparse-weight`.
        by_vectors_alone: The option that leaves words aside, if there is one.
        many: Whether there are many queries.

    Raises:
        UsageError: Two options contradict each other.
    """
    from embedcli.cli.resolve import choice
    from embedcli.datatypes import Fusion, SearchMode
    from embedcli.errors import UsageError

    how = None if mode is None else choice("--mode", mode, SearchMode)
    fusion = None if fuse is None else choice("--fuse", fuse, Fusion)
    if by_vectors_alone is not None:
        if how not in (None, "dense"):
            raise UsageError(f"{by_vectors_alone} compares vectors alone; --mode {mode} contradicts it")
        how = "dense"
    for option, value in (("--fuse", fuse), ("--alpha", alpha), ("--sparse-weight", sparse_weight)):
        if value is not None and how in ("dense", "lexical", "sparse"):
            raise UsageError(f"{option} is about --mode hybrid")
    if expression is not None and how in ("dense", "sparse"):
        other = by_vectors_alone or f"--mode {how}"
        raise UsageError(f"--lexical-query looks for words, which {other} does not")
    if expression is not None and many:
        raise UsageError("--lexical-query goes with one query, not with --queries")
    return TypedRanking(how, fusion, alpha, expression, sparse_weight)
