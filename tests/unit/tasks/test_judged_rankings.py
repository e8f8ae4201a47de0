"""Which queries of a test collection count."""

from __future__ import annotations

import pytest

from embedcli.datatypes import Record
from embedcli.errors import InputError
from embedcli.tasks.evaluate.judged import judged_queries, tell_missing, with_relevant

JUDGED = {"a": {"one": 1.0, "two": 0.0}, "b": {"three": 2.0}, "c": {"one": 0.0}}


def test_queries_with_something_relevant_and_a_text_count():
    told: list[str] = []
    judged = with_relevant(JUDGED, told.append)
    assert list(judged) == ["a", "b"]
    records = [Record("a", "first"), Record("z", "unjudged"), Record("b", " ")]
    asked, kept = judged_queries(records, judged, told.append)
    assert ([record.id for record in asked], list(kept)) == (["a"], ["a"])
    assert [line.split()[0] for line in told] == ["1", "1", "1"]
    with pytest.raises(InputError, match="none of the judged queries"):
        judged_queries([Record("z", "x")], judged, told.append)
    with pytest.raises(InputError, match="no document is judged relevant"):
        with_relevant({"c": {"one": 0.0}}, told.append)


def test_objects_need_an_id_and_lines_do_not():
    line = Record("1", "x", path="q.jsonl", line=1)
    with pytest.raises(InputError, match="a query without an id"):
        judged_queries([line._replace(fields={"name": "a", "text": "x"})], {"1": {"one": 1.0}}, print)
    for fields in ({}, {"_id": "1", "text": "x"}):
        assert judged_queries([line._replace(fields=fields)], {"1": {"one": 1.0}}, print)[0]


def test_a_corpus_of_other_ids_is_refused_and_gaps_are_told():
    told: list[str] = []
    judged = with_relevant(JUDGED, told.append)
    tell_missing(judged, {"one", "three"}, told.append)
    tell_missing(judged, {"one"}, told.append)
    assert len(told) == 2
    assert told[1].startswith("1 relevant documents are not in the corpus and count as not found; 1 queries")
    with pytest.raises(InputError, match="none of the 2 relevant documents"):
        tell_missing(judged, set(), told.append)
