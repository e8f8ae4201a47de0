"""Pairs of records as JSON and as a table."""

from __future__ import annotations

import csv
import io
import json

from embedcli.datatypes import Record
from embedcli.write.matches import MatchForm, MatchWriter
from embedcli.write.target import Output


def written(form: MatchForm, *pairs: tuple[Record | None, Record | None]) -> bytes:
    stream = io.BytesIO()
    writer = MatchWriter(Output(stream, "x"), form, ("left", "score"))
    for left, right in pairs:
        writer.write((left and left.id, 0.5 if right else None), left, right)
    writer.flush()
    return stream.getvalue()


def test_a_table_is_read_back_whatever_is_in_the_texts():
    texts = ['a\tb "c"', "two\nlines", "\r", "plain", ""]
    pairs = [(Record("1\t", text), Record("2", text[::-1])) for text in texts]
    content = written("tsv", *pairs, (None, Record("3", "x"))).decode()
    rows = list(csv.reader(io.StringIO(content, newline=""), delimiter="\t"))
    assert rows[0] == ["left", "score", "left_text", "right_text"]
    assert rows[1:6] == [["1\t", "0.5", text, text[::-1]] for text in texts]
    assert rows[6] == ["", "0.5", "", "x"]
    assert written("tsv") == b"left\tscore\tleft_text\tright_text\n"


def test_objects_have_all_fields_of_both_and_no_vectors():
    left = Record("1", "made of body", fields={"id": 1, "body": "made of body", "n": 10**30})
    right = Record("2", "joined", fields={"text": "its own", "vector": [1]})
    (found,) = (json.loads(line) for line in written("jsonl", (left, right)).splitlines())
    assert found == {
        "left": "1",
        "score": 0.5,
        "left_text": "made of body",
        "left_id": 1,
        "left_body": "made of body",
        "left_n": 10**30,
        "right_text": "its own",
    }
    assert json.loads(written("jsonl", (left, None)))["right_text"] is None
    # Half a surrogate pair, as some JSON has it.
    assert b"\\udc80" in written("jsonl", (Record("1", "\udc80"), None))
