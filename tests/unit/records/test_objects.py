"""JSONL: texts, ids, fields, vectors, and what is wrong with a line."""

from __future__ import annotations

import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from record_helpers import read_bytes, read_file

from embedcli.vectors.quantize import quantize
from tests.strategies import block_sizes, json_line, json_objects


@given(st.lists(json_objects(), min_size=1, max_size=5), block_sizes)
def test_objects_come_back_as_they_were(values, size):
    data = b"".join(json_line(value) for value in values)
    outcome = read_bytes(data, size, format="jsonl")
    assert outcome.problems == []
    assert outcome.raw == data
    # Equal is not enough: 1 == 1.0 == True, and the order counts.
    assert [json.dumps(record.fields) for record in outcome.records] == [
        json.dumps(value) for value in values
    ]
    for record, value in zip(outcome.records, values, strict=True):
        text = value["text"].replace("\r\n", "\n")
        assert record.text == (text if "\n" in text else text.replace("\r", "\n"))


def objects(*values, **settings):
    return read_bytes(b"".join(map(json_line, values)), format="jsonl", **settings)


def test_numbers_keep_their_digits():
    line = b'{"text": "a", "big": 123456789012345678901234567890, "small": 0.1, "exact": 1e-7}\n'
    fields = read_bytes(line, format="jsonl").records[0].fields
    assert fields == {"text": "a", "big": 123456789012345678901234567890, "small": 0.1, "exact": 1e-7}
    assert type(fields["big"]) is int


def test_text_fields_are_joined_and_null_ones_left_out():
    outcome = objects(
        {"a": "x", "b": "y"},
        {"a": None, "b": "y"},
        {"a": None, "b": None},
        {"b": "y"},
        text_fields=("a", "b"),
    )
    assert outcome.texts == ["x y", "y", "", "y"]


def test_a_blank_line_is_a_blank_record():
    outcome = read_bytes(b'\n{"text":"a"}\n  \r\n', format="jsonl")
    assert [(r.id, r.text, r.raw) for r in outcome.records] == [
        ("1", "", b"\n"),
        ("2", "a", b'{"text":"a"}\n'),
        ("3", "", b"  \r\n"),
    ]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"{", "no JSON"),
        (b"[1]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b'{"text": NaN}', "NaN is no JSON value"),
        (b'{"body": "x", "n": 1}', "no field 'text'; its fields: body, n"),
        (b"{}", "its fields: none"),
        (b'{"text": 5}', "field 'text' is no string"),
        (b'{"text": ["a"]}', "field 'text' is no string"),
        (b'{"text": "a", "n": ' + b"1" * 5000 + b"}", "no JSON that can be read"),
        (b'{"text": ' + b"[" * 100_000, "no JSON"),
        (b'{"text": "a", "vector": [1, "2"]}', "no list of numbers"),
        (b'{"text": "a", "vector": [[1], [2]]}', "no list of numbers"),
        (b'{"text": "a", "vector": [[1], [2, 3]]}', "no list of numbers"),
        (b'{"text": "a", "vector": [true, false]}', "no list of numbers"),
        (b'{"text": "a", "vector": [1, null]}', "no list of numbers"),
        (b'{"text": "a", "vector": {"x": 1}}', "no list of numbers but an object"),
        (b'{"text": "a", "vector": 5}', "no list of numbers but a number"),
        (b'{"text": "a", "vector": []}', "empty"),
        (b'{"text": "a", "vector": ""}', "empty"),
        (b'{"text": "a", "vector": [1, 1e39]}', "no finite number"),
        (b'{"text": "a", "vector": [1e5], "vector_dtype": "float16"}', "no finite number"),
        (b'{"text": "a", "vector": [1e999]}', "no finite number"),
        (
            b'{"text": "a", "vector": [1], "vector_dtype": "int4"}',
            "vector_dtype 'int4' is not one of float32",
        ),
        (b'{"text": "a", "vector": [1], "vector_dtype": ["int8"]}', "is not one of"),
        (b'{"text": "a", "vector": [128], "vector_dtype": "int8"}', "integers from -128 to 127"),
        (b'{"text": "a", "vector": [1.5], "vector_dtype": "int8"}', "integers from"),
        (b'{"text": "a", "vector": [-1], "vector_dtype": "binary"}', "integers from 0 to 255"),
        (b'{"text": "a", "vector": [1], "vector_dtype": "int8", "vector_scale": "x"}', "vector_scale"),
        (b'{"text": "a", "vector": "AAA"}', "no base64"),
        (b'{"text": "a", "vector": "%AAAAAAAAAAAAAAAA"}', "no base64"),
        (b'{"text": "a", "vector": "AAAA"}', "no base64"),
        (b'{"text": "a", "vector": "AADAfw=="}', "no finite number"),
        (b'{"text": "a", "vector": [1], "vector_model": 3}', "vector_model"),
    ],
)
def test_a_wrong_line_is_reported_and_the_rest_is_read(line, reason):
    outcome = read_bytes(b'{"text":"one"}\n' + line + b'\n{"text":"three"}\n', format="jsonl")
    assert outcome.texts == ["one", "three"]
    (problem,) = outcome.problems
    assert (problem.where, problem.is_error) == ("-:2", True)
    assert reason in problem.reason
    assert outcome.counts.skipped == 1


def test_problems_in_a_file_name_path_and_line(tmp_path):
    path = tmp_path / "x.jsonl"
    path.write_bytes(b'{"text":"a"}\n{\n')
    assert [p.where for p in read_file(path).problems] == [f"{path}:2"]


def test_ids_come_from_the_object_or_from_the_place(tmp_path):
    values = [
        {"text": "a", "id": "x"},
        {"text": "b", "_id": 7},
        {"text": "c", "id": None, "_id": 1.5},
        {"text": "d"},
        {"text": "e", "id": True, "_id": {"a": 1}},
        {"text": "f", "id": ""},
    ]
    assert objects(*values).ids == ["x", "7", "1.5", "4", "5", "6"]
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"".join(map(json_line, values)))
    assert read_file(path).ids == ["x", "7", "1.5", *(f"{path}:{line}" for line in (4, 5, 6))]


def test_an_id_field_that_was_asked_for_must_be_there():
    outcome = objects({"text": "a", "key": 10**20}, {"text": "b", "id": "b"}, id_field="key")
    assert outcome.ids == [str(10**20)]
    assert [(where, "'key'" in reason) for where, reason in outcome.complaints] == [("-:2", True)]


def test_a_second_record_with_an_id_is_a_problem():
    outcome = objects({"text": "a", "id": 1}, {"text": "b", "id": "1"}, {"text": "c", "id": "2"})
    assert outcome.texts == ["a", "c"]
    assert [p.where for p in outcome.problems] == ["-:2"]
    assert outcome.problems[0].is_error


@given(st.lists(st.sampled_from([None, "1", "2", "3", "4", "5"]), max_size=6))
def test_ids_are_unique_whatever_mixture_there_is(ids):
    outcome = objects(*({"text": "a"} | ({} if given is None else {"id": given}) for given in ids))
    assert len(set(outcome.ids)) == len(outcome.ids)
    assert len(outcome.ids) + len(outcome.problems) == len(ids)


def test_own_fields_are_kept_in_order_and_vectors_left_out():
    value = {
        "z": 1,
        "vector": [1, 2],
        "text": "a",
        "vector_model": "m:int8:abc",
        "id": "q",
        "vector_dtype": "float32",
    }
    (record,) = objects(value).records
    assert list(record.fields.items()) == [("z", 1), ("text", "a"), ("id", "q")]
    assert record.vector_model == "m:int8:abc"


def test_a_vector_stands_in_for_a_text():
    outcome = objects({"id": "a", "vector": [3, 4.5]}, {"id": "b", "vector": None})
    assert outcome.problems == []
    assert [record.is_blank for record in outcome.records] == [False, True]
    vector = outcome.records[0].vector
    assert vector is not None
    assert (vector.dtype, vector.tolist()) == (np.float32, [3, 4.5])
    assert outcome.records[1].vector is None


@pytest.mark.parametrize("dtype", ["float32", "float16", "int8", "uint8", "binary"])
@pytest.mark.parametrize("form", ["list", "base64"])
@pytest.mark.parametrize("with_scale", [True, False])
def test_every_form_of_a_vector_is_read(dtype, form, with_scale):
    original = np.random.default_rng(5).normal(size=(1, 16)).astype(np.float32)
    codes, scale = quantize(original, dtype)
    value = {"vector_dtype": dtype}
    little = codes[0].astype(codes.dtype.newbyteorder("<"))
    value["vector"] = little.tolist() if form == "list" else base64.b64encode(little.tobytes()).decode()
    if with_scale and scale is not None:
        value["vector_scale"] = float(scale[0])
    (record,) = objects(value).records
    assert record.vector is not None
    assert record.vector.shape == (16,)
    cosine = record.vector @ original[0] / np.linalg.norm(record.vector) / np.linalg.norm(original)
    assert cosine > (0.7 if dtype == "binary" else 0.999)
    if dtype != "binary" and (with_scale or scale is None):
        np.testing.assert_allclose(record.vector, original[0], atol=0.02)


def test_base64_without_a_dtype_is_float32():
    data = np.array([1.5, -2], dtype="<f4").tobytes()
    (record,) = objects({"vector": base64.b64encode(data).decode()}).records
    assert record.vector is not None
    assert record.vector.tolist() == [1.5, -2]


def test_half_a_surrogate_pair_survives():
    (record,) = read_bytes(b'{"text":"a\\ud800"}\n').records
    assert record.text == "a\ud800"
