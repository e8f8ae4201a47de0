"""Judged queries asked of an index, by each way of ranking, through the code of `search`."""

from __future__ import annotations

import math
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.errors import UsageError
from embedcli.tasks.ranking import ranking_of
from embedcli.tasks.search import SearchSettings

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence
    from pathlib import Path

    from embedcli.datatypes import Fusion, Hit, Record, SearchMode
    from embedcli.records.judgements import Found
    from embedcli.tasks.open_index import IndexSettings, OpenIndex
    from embedcli.tasks.rank_sparse import SparseSide
    from embedcli.tasks.ranking import Ranking
    from embedcli.tasks.search_index import IndexesFacts
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.vectors.ranking_measures import RankingMetric

    SecondLook = Callable[[Sequence[Record], list[list[Hit]]], list[list[Hit]]]
    """Takes queries and the first hits of each, gives these hits in a better order."""

BASELINE: Final = "BM25"
"""The bag of words among rankings."""

_MODES: Final[dict[str, SearchMode]] = {
    "hybrid": "hybrid",
    "dense": "dense",
    "sparse": "sparse",
    BASELINE: "lexical",
}

DEFAULT_DEPTH: Final = 100
_QUERIES_AT_A_TIME: Final = 32
"""With some hundred hits each, whose texts are in memory: some 50 MB; no more than an index remembers."""


class Look(NamedTuple):
    """What looks again at the first hits of the first system.

    Attributes:
        name: `maxsim`, or the name of a cross-encoder.
        depth: How many hits it orders anew; those after them stay as they are.
        again: Does it.
    """

    name: str
    depth: int
    again: SecondLook


class System(NamedTuple):
    """A way to rank."""

    name: str
    ranking: Ranking
    look: Look | None = None


@dataclass(frozen=True, slots=True)
class Asking:
    """How an index is asked.

    Attributes:
        index: The index.
        settings: See `IndexSettings`.
        vectorizer: Makes the queries' vectors, with the index's model; None where no system uses them.
        sparse_side: Makes sparse queries, for a ranking that uses them.
        depth: Documents that are asked for, for each query.
        on_notice: Told what is good to know.
        on_progress: Told how many of how many rankings are done.
    """

    index: Path
    settings: IndexSettings
    vectorizer: Vectorizer | None
    sparse_side: Callable[[Sequence[Record], Ranking], SparseSide | None]
    depth: int
    on_notice: Callable[[str], None]
    on_progress: Callable[[int, int], None]


def search_depth(metrics: Sequence[RankingMetric]) -> int:
    """Return how many documents a search needs to give: the deepest cut-off, and at least 100."""
    return max(DEFAULT_DEPTH, *(metric.depth or 0 for metric in metrics))


def choose_systems(
    facts: IndexesFacts, wanted: Sequence[str], fusion: Fusion | None, alpha: float | None
) -> list[System]:
    """Return the ways to rank, the one that `search` would take first, the bag of words last.

    Args:
        facts: What the index says of itself.
        wanted: Names, in the order of the table; empty for all that the index can do.
        fusion: Of a hybrid score; None for what the index says, or the default.
        alpha: Likewise.

    Raises:
        UsageError: A name is not known, or the index lacks what it needs.
    """

    def ranking(mode: SearchMode | None) -> Ranking:
        return ranking_of(
            facts.stored,
            keeps_text=facts.keeps_text,
            holds_sparse=facts.holds_sparse,
            mode=mode,
            fusion=fusion,
            alpha=alpha,
        )

    possible = {
        "hybrid": facts.keeps_text,
        "dense": True,
        "sparse": facts.holds_sparse,
        BASELINE: facts.keeps_text,
    }
    names = {name.lower(): name for name in _MODES}
    if not wanted:
        usual = ranking(None).mode
        ordered = sorted(_MODES, key=lambda name: _MODES[name] != usual)
        chosen = [name for name in ordered if possible[name]]
    else:
        chosen = list(dict.fromkeys(names.get(name.lower(), name) for name in wanted))
    for name in chosen:
        if name not in _MODES:
            raise UsageError(f"--systems {name!r} is not known", hint=", ".join(_MODES))
        if not possible[name]:
            lacks = "sparse vectors" if name == "sparse" else "texts"
            raise UsageError(f"--systems {name}: the index holds no {lacks}")
    return [System(name, ranking(_MODES[name])) for name in chosen]


def with_looks(systems: Sequence[System], looks: Sequence[Look]) -> list[System]:
    """Return the systems, and the first of them with each second look, the baseline still last."""
    again = [System(f"{systems[0].name} + {look.name}", systems[0].ranking, look) for look in looks]
    last = [system for system in systems[1:] if system.name == BASELINE]
    return [*(system for system in systems if system not in last), *again, *last]


def ask(asking: Asking, asked: Sequence[Record], systems: Sequence[System]) -> dict[str, Found]:
    """Return what each system finds: of each query the scores of its best documents, by their best chunks.

    Memory is O(queries x depth) numbers; hits with their texts are held for some queries at a time.

    Raises:
        UsageError: The model or the index does not fit.
        DamagedIndexError: What was read is not what was written.
    """
    from embedcli.tasks.search_index import open_indexes

    found: dict[str, Found] = {system.name: {} for system in systems}
    done, total = 0, len(asked) * len(systems)
    with ExitStack() as stack:
        (index,) = open_indexes(stack, [asking.index], asking.settings, asking.on_notice)
        for start in range(0, len(asked), _QUERIES_AT_A_TIME):
            part = asked[start : start + _QUERIES_AT_A_TIME]
            for system, hits in _ask_all(asking, index, part, systems):
                for record, own in zip(part, hits, strict=True):
                    scores: dict[str, float] = {}
                    for hit in own:
                        scores.setdefault(hit.id, hit.score)
                    found[system.name][record.id] = scores
                done += len(part)
                asking.on_progress(done, total)
    return found


def _ask_all(
    asking: Asking, index: OpenIndex, asked: Sequence[Record], systems: Sequence[System]
) -> Iterator[tuple[System, list[list[Hit]]]]:
    """Yield what each system finds for some queries; what is looked at again is searched once."""
    first: list[list[Hit]] = []
    for number, system in enumerate(systems):
        if system.look is None:
            hits = _search(asking, index, asked, system.ranking)
            first = hits if number == 0 else first
        else:
            hits = _looked_again(asked, first, system.look)
        yield system, hits


def _search(asking: Asking, index: OpenIndex, asked: Sequence[Record], ranking: Ranking) -> list[list[Hit]]:
    from embedcli.tasks.rank_sparse import search_by_terms
    from embedcli.tasks.search import query_vectors
    from embedcli.tasks.search_index import search_opened, search_opened_by_words

    # Half of the other chunks of a record are rarely met among the first ones.
    usual = math.ceil(asking.depth * (1 + (index.chunks_a_record - 1) / 2))
    wanted = SearchSettings(asking.depth, by="record", merge=False, collapse=False, first_chunks=usual)
    if ranking.mode == "lexical":
        return search_opened_by_words([index], asked, wanted, ranking)
    side = asking.sparse_side(asked, ranking) if ranking.uses_sparse else None
    if ranking.mode == "sparse" and side is not None:
        return search_by_terms([asking.index], side, wanted, asking.settings, on_notice=asking.on_notice)
    assert asking.vectorizer is not None
    vectors = query_vectors(asked, asking.vectorizer)
    return search_opened([index], asked, vectors, asking.vectorizer, wanted, ranking, sparse=side)


def _looked_again(asked: Sequence[Record], first: list[list[Hit]], look: Look) -> list[list[Hit]]:
    """Return hits of which the first ones are in a better order, and the others follow as they were."""
    again = look.again(asked, [hits[: look.depth] for hits in first])
    found = []
    for hits, own in zip(first, again, strict=True):
        rest = hits[look.depth :]
        # Scores of a second look are on a scale of their own.
        shift = min(hit.score for hit in own) - rest[0].score - 1 if rest else 0.0
        found.append([*own, *(replace(hit, score=hit.score + shift) for hit in rest)])
    return found


def known_documents(index: Path, wanted: Collection[str]) -> set[str]:
    """Return those of some ids that records of an index have. O(records) in time."""
    from embedcli.index.file import open_for_reading
    from embedcli.index.reader import IndexReader

    with open_for_reading(index) as connection:
        return {name for _, _, name, _ in IndexReader(index, connection).iter_records() if name in wanted}
