"""Measures of rankings: equal to those of trec_eval, and where ties and cut-offs are concerned by hand."""

from __future__ import annotations

import numpy as np
import pytest
import pytrec_eval
from hypothesis import given, settings
from hypothesis import strategies as st

from embedcli.errors import UsageError
from embedcli.vectors.ranking_measures import (
    DEFAULT_METRICS,
    RankingMetric,
    own_rank_values,
    parse_metrics,
    query_values,
    ranked_grades,
)

OF_TREC = {
    "nDCG@1": "ndcg_cut_1",
    "nDCG@5": "ndcg_cut_5",
    "nDCG@10": "ndcg_cut_10",
    "nDCG": "ndcg",
    "MRR": "recip_rank",
    "MAP": "map",
    "MAP@5": "map_cut_5",
    "recall@5": "recall_5",
    "recall@10": "recall_10",
    "precision@5": "P_5",
    "precision@10": "P_10",
    "hit@1": "success_1",
    "hit@5": "success_5",
}
EVERY = ("nDCG@3", "nDCG", "MRR@3", "MRR", "MAP", "MAP@3", "recall@3", "precision@3", "hit@3")


@st.composite
def judged_rankings(draw):
    """Grades of documents, and the places of those that were found, all different."""
    count = draw(st.integers(1, 25))
    grades = draw(st.lists(st.integers(-1, 3), min_size=count, max_size=count).filter(lambda g: max(g) > 0))
    judged = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    found = draw(st.lists(st.integers(0, count - 1), unique=True, max_size=count))
    known = {place: grade for place, grade in enumerate(grades) if judged[place] or grade > 0}
    return known, found


def values(names, known, found):
    metrics = parse_metrics(names)
    grades = np.array([known.get(place, 0) for place in found], dtype=np.float64)
    relevant = np.array([grade for grade in known.values() if grade > 0], dtype=np.float64)
    return dict(zip(names, query_values(metrics, grades, relevant).tolist(), strict=True))


@settings(max_examples=150)
@given(judged_rankings())
def test_measures_are_those_of_trec_eval(drawn):
    known, found = drawn
    mine = values(tuple(OF_TREC), known, found)
    judge = pytrec_eval.RelevanceEvaluator(
        {"q": {f"d{place}": grade for place, grade in known.items()}}, set(OF_TREC.values())
    )
    run = {"q": {f"d{place}": 1.0 - rank / 100 for rank, place in enumerate(found)}}
    theirs = judge.evaluate(run).get("q") or dict.fromkeys(OF_TREC.values(), 0.0)
    assert mine == pytest.approx({name: theirs[measure] for name, measure in OF_TREC.items()}, abs=1e-6)
    # It has no cut-off for the reciprocal rank: that of the first three alone.
    first = judge.evaluate({"q": dict(list(run["q"].items())[:3])}).get("q") or {"recip_rank": 0.0}
    assert values(("MRR@3",), known, found)["MRR@3"] == pytest.approx(first["recip_rank"], abs=1e-6)


@given(st.lists(st.integers(1, 12), min_size=1, max_size=5))
def test_one_relevant_document_is_the_same_by_its_rank(ranks):
    for metric in parse_metrics((*EVERY, *DEFAULT_METRICS)):
        of_rank = own_rank_values(metric, np.array(ranks)).tolist()
        one_by_one = [query_values([metric], np.eye(1, 12, rank - 1)[0], np.ones(1)).item() for rank in ranks]
        assert of_rank == pytest.approx(one_by_one, abs=1e-12), metric


def test_a_tie_counts_against_the_system():
    # All the same: nothing relevant comes before what is not.
    assert ranked_grades([0.5, 0.5, 0.5], [2, 0, 1]).tolist() == [0, 1, 2]
    assert ranked_grades([0.5, 0.9, 0.5], [2, 1, 0]).tolist() == [1, 0, 2]
    assert ranked_grades([], []).tolist() == []


def test_nothing_found_is_zero_and_the_best_order_is_one():
    metrics = parse_metrics(EVERY)
    relevant = np.array([1.0, 3.0, 2.0])
    assert not query_values(metrics, np.zeros(0), relevant).any()
    assert query_values(metrics, np.array([3.0, 2.0, 1.0]), relevant).tolist() == [1.0] * len(EVERY)


def test_names_are_read_in_any_case_and_each_once():
    assert parse_metrics(["ndcg@10", " MAP ", "NDCG@10", "hit@1"]) == [
        RankingMetric("nDCG", 10),
        RankingMetric("MAP"),
        RankingMetric("hit", 1),
    ]
    assert [metric.name for metric in parse_metrics(DEFAULT_METRICS)] == list(DEFAULT_METRICS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nDGC@10", "metric 'nDGC@10' is not known"),
        ("recall", "metric 'recall' says nothing without a cut-off"),
        ("nDCG@0", "metric 'nDCG@0': the cut-off is 1 to 10000"),
        ("nDCG@10001", "metric 'nDCG@10001': the cut-off is 1 to 10000"),
        ("MRR@x", "metric 'MRR@x' is not known"),
        (" ", "no metric is named"),
    ],
)
def test_what_is_no_metric_is_refused(text, message):
    with pytest.raises(UsageError) as caught:
        parse_metrics([text])
    assert str(caught.value) == message
    assert caught.value.hint
