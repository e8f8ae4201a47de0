"""What ranks the chunks of an index: vectors, words, or both with their scores made one.

By sparse vectors alone: `rank_sparse.py`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple, get_args

from embedcli.datatypes import Fusion, ScorePart, SearchMode
from embedcli.tasks.answers import Ranked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from embedcli.datatypes import Hit, Json, Vector
    from embedcli.index.lexical import LexicalHit, Question
    from embedcli.tasks.open_index import OpenIndex
    from embedcli.tasks.rank_sparse import SparseQuery
    from embedcli.vectors.exact import Candidate

DEFAULT_FUSION: Final[Fusion] = "zscore"
DEFAULT_ALPHA: Final = 0.45
"""Weight of the cosine; the rest is that of BM25. Measured on three collections: docs/search.md."""

DEFAULT_SPARSE_WEIGHT: Final = 0.2
"""Weight of sparse vectors beside these two, in an index that has them. Measured: docs/search.md."""

POOL: Final = 100
"""Chunks that each side puts into the pool, over which scores are scaled. It does not grow with the hits that
are wanted, so that the first ten hits are the same whether ten or fifty are asked for."""

SURE: Final = 20
"""Of the pool's nearest, so many are found as surely as the plan can; so the pool does not depend on the hits
that are wanted either."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """What ranks.

    Attributes:
        mode: `dense` by cosine, `lexical` by BM25, `hybrid` by both, `sparse` by sparse vectors.
        fusion: How scores are scaled in `hybrid`; see `vectors.fuse`.
        alpha: Weight of the cosine in `hybrid`, 0 to 1; BM25 has the rest.
        expression: In FTS5's syntax, looked for instead of the question's words; None for those.
        sparse_weight: Weight of sparse vectors in `hybrid`, beside the two that share 1; 0 leaves them out.
    """

    mode: SearchMode = "hybrid"
    fusion: Fusion = DEFAULT_FUSION
    alpha: float = DEFAULT_ALPHA
    expression: str | None = None
    sparse_weight: float = 0.0

    @property
    def uses_vectors(self) -> bool:
        """Whether cosines are computed."""
        return self.mode in ("dense", "hybrid")

    @property
    def uses_sparse(self) -> bool:
        """Whether sparse vectors rank, alone or with others."""
        return self.mode == "sparse" or (self.mode == "hybrid" and self.sparse_weight > 0)


def ranking_of(
    stored: Mapping[str, Json],
    *,
    keeps_text: bool,
    mode: SearchMode | None = None,
    fusion: Fusion | None = None,
    alpha: float | None = None,
    expression: str | None = None,
    sparse_weight: float | None = None,
    holds_sparse: bool = False,
) -> Ranking:
    """Return what ranks: as said now, else as stored with the index, else the default.

    Args:
        stored: The index's own settings of queries.
        keeps_text: Whether any index has texts; where none has, only vectors can rank.
        mode: See `Ranking`; None where nothing was said.
        fusion: Likewise.
        alpha: Likewise.
        expression: Likewise.
        sparse_weight: Likewise.
        holds_sparse: Whether all indexes hold sparse vectors of one model; else they weigh nothing unless it
            is said.
    """
    known: SearchMode = stored["mode"] if stored.get("mode") in get_args(SearchMode) else "hybrid"
    if known == "sparse" and not holds_sparse:
        known = "hybrid"
    usual: Fusion = stored["fusion"] if stored.get("fusion") in get_args(Fusion) else DEFAULT_FUSION
    weight = stored.get("alpha")
    if not isinstance(weight, int | float) or not 0 <= weight <= 1:
        weight = DEFAULT_ALPHA
    if sparse_weight is None:
        own = stored.get("sparse_weight")
        if not isinstance(own, int | float) or not 0 <= own < math.inf:
            own = DEFAULT_SPARSE_WEIGHT
        sparse_weight = float(own) if holds_sparse else 0.0
    return Ranking(
        mode or (known if keeps_text else "dense"),
        fusion or usual,
        float(weight if alpha is None else alpha),
        expression,
        sparse_weight,
    )


class _Place(NamedTuple):
    """A row of one of several indexes, which are counted from 0."""

    number: int
    row: int


def rank_by_words(
    indexes: Sequence[OpenIndex], text: str, ranking: Ranking, top_k: int
) -> dict[int, list[Ranked]]:
    """Return the best rows of each index by BM25, those that may be among the `top_k` best of all.

    Words are weighed within each index.
    """
    return {
        number: [
            Ranked(hit.row, hit.score, None, {"lexical": ScorePart(hit.score, hit.score, 1.0)})
            for hit in hits
        ]
        for number, hits in enumerate(_word_hits(indexes, _questions(indexes, text, ranking), top_k))
    }


def rank_by_cosine(nearest: Sequence[Sequence[Candidate]]) -> dict[int, list[Ranked]]:
    """Return the nearest rows of each index as they are."""
    return {
        number: [
            Ranked(row, cosine, cosine, {"dense": ScorePart(cosine, cosine, 1.0)}) for row, cosine in rows
        ]
        for number, rows in enumerate(nearest)
    }


def rank_by_both(
    indexes: Sequence[OpenIndex],
    nearest: Sequence[Sequence[Candidate]],
    query: Vector,
    text: str,
    ranking: Ranking,
    top_k: int,
    min_score: float | None,
    sparse: SparseQuery | None = None,
) -> dict[int, list[Ranked]]:
    """Return the best rows of each index by the fused score, those that tie with the last one included.

    The pool is the `POOL` best rows by cosine, the `POOL` best by BM25 and, if they take part, the `POOL`
    best by sparse vectors, over all indexes; each is scored by all. Where more hits are wanted than the pool
    holds, further rows of all sides follow, scaled alike and never above it.

    Args:
        indexes: All that are searched.
        nearest: For each, the best rows by cosine, `max(POOL, top_k)` or all.
        query: Shape (dim,), float32.
        text: The question.
        ranking: How scores are scaled and weighed.
        top_k: Most hits, ties not counted.
        min_score: Lowest cosine of a hit, inclusive; None for no limit. It takes nothing out of the pool.
        sparse: The question's sparse vector; None leaves them out.
    """
    import numpy as np

    from embedcli.tasks.rank_sparse import sparse_scores, with_terms
    from embedcli.vectors.fuse import Part, best_first, fuse

    depth = max(POOL, top_k)
    questions = _questions(indexes, text, ranking)
    worded = _word_hits(indexes, questions, depth)
    by_cosine = {
        _Place(number, found.row): found.cosine for number, rows in enumerate(nearest) for found in rows
    }
    by_words = {_Place(number, hit.row): hit.score for number, hits in enumerate(worded) for hit in hits}
    of_terms = [] if sparse is None else sparse_scores(indexes, sparse)
    by_terms = {
        _Place(number, hit.row): hit.score
        for number, (index, own) in enumerate(zip(indexes, of_terms, strict=False))
        for hit in own.best(depth, index.allowed)
    }
    orders = [_in_order(part)[:depth] for part in (by_cosine, by_words, by_terms)]
    places = sorted({place for order in orders for place in order})
    if not places:
        return {}
    pool = {place for order in orders for place in order[:POOL]}
    for number, (index, question) in enumerate(zip(indexes, questions, strict=True)):
        _complete(index, number, places, by_cosine, by_words, query, question)
    cosines, words = (np.array([part[place] for place in places]) for part in (by_cosine, by_words))
    parts = {
        "dense": Part(cosines, np.full(len(places), query.any()), ranking.alpha),
        "lexical": Part(words, words > 0, 1 - ranking.alpha),
    }
    if sparse is not None:
        weights = np.concatenate(
            [
                own.of([place.row for place in places if place.number == number])
                for number, own in enumerate(of_terms)
            ]
        )
        parts["sparse"] = Part(weights, weights > 0, ranking.sparse_weight)
    fused = fuse(list(parts.values()), np.array([place in pool for place in places]), ranking.fusion)
    near = np.arange(len(places)) if min_score is None else np.flatnonzero(cosines >= min_score)
    ranked: dict[int, list[Ranked]] = {}
    for at in near[best_first(fused.scores[near], top_k)].tolist():
        own = {
            name: ScorePart(float(part.scores[at]), float(scaled[at]), part.weight)
            for (name, part), scaled in zip(parts.items(), fused.scaled, strict=True)
        }
        ranked.setdefault(places[at].number, []).append(
            Ranked(places[at].row, float(fused.scores[at]), float(cosines[at]), own)
        )
    return ranked if sparse is None else with_terms(indexes, ranked, sparse)


def merged_hits(
    indexes: Sequence[OpenIndex], ranked: Mapping[int, Sequence[Ranked]], top_k: int
) -> list[Hit]:
    """Return the best hits of all indexes; equal scores are ordered by index, path and place."""
    hits = [hit for number, index in enumerate(indexes) for hit in index.hits(ranked.get(number, ()), top_k)]
    return sorted(hits, key=lambda hit: -hit.score)[:top_k]


def _in_order(scores: Mapping[_Place, float]) -> list[_Place]:
    return sorted(scores, key=lambda place: (-scores[place], place))


def _questions(indexes: Sequence[OpenIndex], text: str, ranking: Ranking) -> list[Question | None]:
    """Return what is looked for in each index; None for one without words."""
    from embedcli.index.lexical import Question

    if ranking.expression is not None:
        return [Question(expression=ranking.expression) if index.keeps_text else None for index in indexes]
    return [None if index.lexical is None else index.lexical.question(text) for index in indexes]


def _word_hits(
    indexes: Sequence[OpenIndex], questions: Sequence[Question | None], count: int
) -> list[list[LexicalHit]]:
    """Return the best rows of each index by BM25."""
    return [
        []
        if index.lexical is None or question is None
        else index.lexical.best(question, count, index.allowed)
        for index, question in zip(indexes, questions, strict=True)
    ]


def _complete(
    index: OpenIndex,
    number: int,
    places: Sequence[_Place],
    by_cosine: dict[_Place, float],
    by_words: dict[_Place, float],
    query: Vector,
    question: Question | None,
) -> None:
    """Score the rows of an index that one side alone has found on the other side."""
    import numpy as np

    without = [place.row for place in places if place.number == number and place not in by_cosine]
    by_cosine |= {_Place(number, row): cosine for row, cosine in index.cosines(query, without).items()}
    without = [place.row for place in places if place.number == number and place not in by_words]
    scores = np.zeros(len(without))
    if index.lexical is not None and question is not None:
        scores = index.lexical.scores(question, np.array(without, dtype=np.int64))
    by_words |= {_Place(number, row): float(score) for row, score in zip(without, scores, strict=True)}
