"""Rankings held against judgements: which queries count, and what each system reaches on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from embedcli.errors import InputError
from embedcli.reports import Evaluation
from embedcli.tasks.evaluate.measured import mean_measurements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from embedcli.datatypes import Json, Record
    from embedcli.records.judgements import Found, Judgements
    from embedcli.vectors.ranking_measures import RankingMetric

    OnNotice: TypeAlias = Callable[[str], None]


def with_relevant(judged: Judgements, on_notice: OnNotice) -> Judgements:
    """Return the judgements of the queries for which a document is relevant: no ranking is good for others.

    Args:
        judged: Of all queries.
        on_notice: Told how many are left out.

    Raises:
        InputError: None is left.
    """
    kept = {query: own for query, own in judged.items() if max(own.values()) > 0}
    if not kept:
        raise InputError("no document is judged relevant: all grades are 0 or below")
    if len(kept) < len(judged):
        on_notice(f"{len(judged) - len(kept)} queries without a relevant document are left out")
    return kept


def judged_queries(
    queries: Iterable[Record], judged: Judgements, on_notice: OnNotice
) -> tuple[list[Record], Judgements]:
    """Return the queries that are asked, in their order, and their judgements.

    Args:
        queries: All that there are, ids unique.
        judged: From `with_relevant`.
        on_notice: Told how many of either are left out for want of the other.

    Raises:
        InputError: None has both, or an object has no id.
    """
    every = list(queries)
    if nameless := next((record for record in every if _lacks_id(record)), None):
        raise InputError(f"{nameless.path}:{nameless.line}: a query without an id", hint='"_id" or "id"')
    asked = [record for record in every if record.id in judged and not record.is_blank]
    if not asked:
        raise InputError("none of the judged queries is among the queries", hint="are the ids the same?")
    unjudged = sum(record.id not in judged for record in every)
    if unjudged:
        on_notice(f"{unjudged} queries without judgements are left out")
    if len(asked) < len(judged):
        on_notice(f"{len(judged) - len(asked)} judged queries without a text are left out")
    return asked, {record.id: judged[record.id] for record in asked}


def _lacks_id(record: Record) -> bool:
    """Whether a query of several fields goes by its line alone."""
    return bool(record.fields) and record.id == str(record.line) and not {"_id", "id"} & set(record.fields)


def judged_documents(judged: Judgements) -> set[str]:
    """Return the ids of all documents that are relevant to a query."""
    return {name for own in judged.values() for name, grade in own.items() if grade > 0}


def tell_missing(judged: Judgements, there: Collection[str], on_notice: OnNotice) -> None:
    """Say how much of what is relevant no system can find. It counts as not found, as in trec_eval.

    Raises:
        InputError: Nothing of it is there: ids of another collection, or no collection.
    """
    missing = len(judged_documents(judged) - set(there))
    if not missing:
        return
    if not there:
        raise InputError(
            f"none of the {missing} relevant documents is in the corpus", hint="are the ids the same?"
        )
    none = sum(all(name not in there for name, grade in own.items() if grade > 0) for own in judged.values())
    also = f"; {none} queries have none of theirs there, and reach 0" if none else ""
    on_notice(f"{missing} relevant documents are not in the corpus and count as not found{also}")


def ranking_evaluation(
    found: Mapping[str, Found],
    judged: Judgements,
    metrics: Sequence[RankingMetric],
    seed: int,
    about: Mapping[str, Json],
) -> Evaluation:
    """Return what each system reaches; a query for which it found nothing is 0 in every measure.

    Args:
        found: By system, in the order of the table.
        judged: Of the queries that count, each with a relevant document.
        metrics: In the order of the table.
        seed: Of the resamples.
        about: Goes with the result.
    """
    import numpy as np

    from embedcli.vectors.ranking_measures import query_values, ranked_grades

    relevant = {
        query: np.array([grade for grade in own.values() if grade > 0]) for query, own in judged.items()
    }
    measurements = []
    for system, of_queries in found.items():
        values = np.empty((len(metrics), len(judged)))
        for column, (query, own) in enumerate(judged.items()):
            scores = of_queries.get(query, {})
            grades = [own.get(document, 0.0) for document in scores]
            ranked = ranked_grades(list(scores.values()), grades)
            values[:, column] = query_values(metrics, ranked, relevant[query])
        named = {metric.name: row for metric, row in zip(metrics, values, strict=True)}
        measurements += mean_measurements(system, named, seed)
    return Evaluation("retrieval", tuple(judged), "queries", tuple(measurements), about=about)
