"""Judged pairs, read from records."""

from __future__ import annotations

import pytest

from embedcli.datatypes import Record
from embedcli.errors import InputError
from embedcli.tasks.judged_pairs import GradedError, PairReader, item_ids, read_label, read_score


def record(line, *cells, path="p.csv"):
    fields = dict(zip(("a", "b", "score"), cells, strict=False))
    return Record(str(line), str(cells[0]) if cells else "", fields=fields, line=line, path=path)


def read(records, read_value=read_score, names=("a", "b", "score")):
    problems = []
    reader = PairReader(lambda _record: names, read_value, problems.append)
    found = [tuple(pair[1:]) for pair in reader.read(records)]
    return found, [f"{each.where}: {each.reason}" for each in problems], reader.blank


def test_what_is_no_pair_is_named_once_there_is_one():
    rows = [record(1, "x", "y", "bad"), record(2, "x", "y", "1.5"), Record("3", "", line=3, path="p.csv")]
    rows += [record(4, "x", " ", "2"), record(5, "x", "y", None), record(6, "x", "y"), record(7, "u", "v", 3)]
    found, problems, blank = read(rows)
    assert found == [("x", "y", 1.5), ("u", "v", 3.0)]
    assert blank == 1
    assert problems == [
        "p.csv:1: the score is no number; it is 'bad'",
        "p.csv:4: a text is blank",
        "p.csv:5: field 'score' is neither text nor number",
        "p.csv:6: no field 'score'",
    ]
    assert read(rows[1:2], names=("1", "2", "3"))[0] == [("x", "y", 1.5)]


def test_a_name_that_no_record_has_is_one_error():
    rows = [record(line, "x", "y", "1") for line in range(1, 5)]
    with pytest.raises(InputError, match="p.csv:1: no field 'label'"):
        read(rows, names=("a", "b", "label"))
    assert read([]) == ([], [], 0)


@pytest.mark.parametrize("word", ["nan", "inf", "", "1,5", "one"])
def test_scores_are_finite_numbers(word):
    with pytest.raises(ValueError, match="is no number"):
        read_score(word)
    assert read_score(" 1e2 ") == 100


def test_labels_are_yes_or_no():
    assert [read_label(word) for word in ("0", "1", " True", "FALSE", "1.0")] == [0, 1, 1, 0, 1]
    with pytest.raises(ValueError, match=r"not 0 or 1, true or false; it is '2'"):
        read_label("2")


def test_ids_are_all_different():
    rows = [record(1, "x"), record(1, "y", path="q.csv")]
    assert item_ids(rows) == ("p.csv:1", "q.csv:1")
    assert item_ids(rows[:1]) == ("1",)


def test_numbers_that_are_no_labels_are_scores():
    with pytest.raises(GradedError):
        read_label("2.5")
    with pytest.raises(ValueError, match="it is 'yes'") as caught:
        read_label("yes")
    assert not isinstance(caught.value, GradedError)
