"""`embedcli embed` as a real process."""

from __future__ import annotations

import base64
import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

if TYPE_CHECKING:
    from tests.conftest import Program

Write = Callable[..., Path]
LINES = ["A dog runs along the beach.", "The stock market fell.", "", "naïve café 漢字"]
TEXT = "\n".join(LINES).encode() + b"\n"


def vectors(lines: list[dict[str, object]]) -> np.ndarray:
    return np.array([line["vector"] for line in lines], dtype=np.float32)


def test_lines_become_json_in_input_order(program: Program) -> None:
    found = program("embed", stdin=TEXT).ok().objects
    assert [line["id"] for line in found] == ["1", "2", "3", "4"]
    assert [line["text"] for line in found] == LINES
    assert found[2]["vector"] is None, "a blank line keeps its place"
    rows = vectors([found[0], found[1], found[3]])
    assert rows.shape == (3, 384)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-6)
    assert found[0]["vector_model"].startswith("all-MiniLM-L6-v2:int8:")


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_text_has_the_same_vector_alone_among_others_and_in_any_order(program: Program, jobs: int) -> None:
    texts = [f"Line number {number} is about {topic}." for number in range(150) for topic in ("bread", "war")]
    wanted = program("embed", "--string", texts[77]).ok().objects[0]["vector"]
    there = program("embed", "-j", jobs, stdin="\n".join(texts).encode()).ok().objects
    back = program("embed", "-j", jobs, stdin="\n".join(reversed(texts)).encode()).ok().objects
    assert there[77]["vector"] == wanted
    assert back[-78]["vector"] == wanted
    assert [line["vector"] for line in there] == [line["vector"] for line in reversed(back)]


def test_every_form_holds_the_same_numbers(program: Program, write: Write) -> None:
    write("in.txt", TEXT)
    expected = program("embed", "in.txt").ok().objects
    rows = np.array([line["vector"] or [0] * 384 for line in expected], dtype=np.float32)

    program("embed", "in.txt", "-o", "out.npy").ok()
    np.testing.assert_array_equal(np.load(program.folder / "out.npy"), rows)
    piped = program("embed", "in.txt", "--to", "npy").ok().out
    np.testing.assert_array_equal(np.load(io.BytesIO(piped)), rows)
    assert program("embed", "in.txt", "--to", "raw").ok().out == rows.astype("<f4").tobytes()

    for line, row in zip(program("embed", "in.txt", "--to", "base64").ok().objects, rows, strict=True):
        if line["vector"] is not None:
            assert line["vector_dtype"] == "float32"
            assert base64.b64decode(line["vector"]) == row.astype("<f4").tobytes()

    table = list(csv.DictReader(io.StringIO(program("embed", "in.txt", "--to", "csv").ok().out.decode())))
    assert [line["text"] for line in table] == LINES
    assert np.float32(table[0]["v0"]) == rows[0, 0]
    assert table[2]["v0"] == ""


@pytest.mark.parametrize(
    ("dtype", "stored", "width"),
    [("float16", "<f2", 384), ("int8", "i1", 384), ("uint8", "u1", 384), ("binary", "u1", 48)],
)
def test_vector_dtypes(program: Program, dtype: str, stored: str, width: int) -> None:
    exact = vectors(program("embed", stdin=b"one text\nanother\n").ok().objects)
    found = np.load(
        io.BytesIO(program("embed", "--dtype", dtype, "--to", "npy", stdin=b"one text\nanother\n").ok().out)
    )
    assert found.dtype == np.dtype(stored)
    assert found.shape == (2, width)
    if dtype == "binary":
        restored = np.unpackbits(found, axis=1) * 2.0 - 1
    else:
        restored = found.astype(np.float32) - (128 if dtype == "uint8" else 0)
    cosine = (restored * exact).sum(1) / np.linalg.norm(restored, axis=1)
    assert cosine.min() > (0.75 if dtype == "binary" else 0.999)


def test_dim_cuts_and_normalizes_and_says_that_the_model_was_not_trained_for_it(program: Program) -> None:
    full = vectors(program("embed", "--string", "one text").ok().objects)[0]
    done = program("embed", "--string", "one text", "--dim", 100).ok()
    cut = vectors(done.objects)[0]
    np.testing.assert_allclose(cut, full[:100] / np.linalg.norm(full[:100]), atol=1e-6)
    assert "not trained to be cut to 100" in done.err
    assert program("embed", "--string", "x", "--dim", 385).code == 2


def test_no_normalize_pooling_and_prompt_change_the_vector(program: Program) -> None:
    def run(*options: str) -> np.ndarray:
        return vectors(program("embed", "--string", "one text", *options).ok().objects)[0]

    plain = run()
    raw = run("--no-normalize")
    assert abs(np.linalg.norm(raw) - 1) > 0.01
    np.testing.assert_allclose(raw / np.linalg.norm(raw), plain, atol=1e-6)
    assert (run("--pooling", "cls") != plain).any()
    prompted = run("--prompt", "about: ")
    direct = vectors(program("embed", "--string", "about: one text").ok().objects)[0]
    assert (prompted == direct).all()


def test_fields_pass_through_and_output_is_input(program: Program, write: Write) -> None:
    record = {"id": "a", "title": "Dogs", "text": "A dog runs.", "n": 10**30, "tags": ["x", None], "f": 1.5}
    write("in.jsonl", json.dumps(record) + "\n")
    (first,) = program("embed", "in.jsonl").ok().objects
    assert {key: first[key] for key in record} == record
    write("out.jsonl", json.dumps(first) + "\n")
    done = program("embed", "out.jsonl", "--stats-json", "stats.json").ok()
    assert done.objects == [first]
    stats = json.loads((program.folder / "stats.json").read_text())
    assert stats["encoded"] == 0
    assert stats["cached"] == 1


def test_several_fields_are_joined(program: Program, write: Write) -> None:
    write("in.jsonl", json.dumps({"title": "Dogs", "body": "run fast", "extra": None}) + "\n")
    (found,) = (
        program("embed", "in.jsonl", "--field", "title", "--field", "body", "--field", "extra").ok().objects
    )
    assert found["text"] == "Dogs run fast"
    assert found["vector"] == program("embed", "--string", "Dogs run fast").ok().objects[0]["vector"]


def test_csv_keeps_its_columns(program: Program, write: Write) -> None:
    write("in.csv", 'number,subject,body\n7,"a, b","line\none"\n8,=1+1,two\n')
    (first, second) = (
        program("embed", "in.csv", "--column", "subject", "--column", 3, "--id-field", "number").ok().objects
    )
    assert first["id"] == "7"
    assert first["text"] == "a, b line\none"
    assert second["subject"] == "=1+1"
    table = list(
        csv.reader(
            io.StringIO(program("embed", "in.csv", "--column", "body", "--to", "csv").ok().out.decode())
        )
    )
    assert table[0][:4] == ["number", "subject", "body", "v0"]
    assert table[2][:3] == ["8", "=1+1", "two"], "the user's own cells stay as they are"


def test_formula_cells_from_elsewhere_are_made_harmless(program: Program) -> None:
    assert b"'=1+1," in program("embed", "--to", "csv", stdin=b"=1+1\n").ok().out
    assert b"1,=1+1," in program("embed", "--to", "csv", "--csv-raw", stdin=b"=1+1\n").ok().out


def test_long_text_is_averaged_cut_split_or_refused(program: Program, write: Write) -> None:
    write("long.txt", "alpha beta gamma. " * 300 + "\n")
    pooled = program("embed", "long.txt").ok()
    assert "1 text longer than the model takes, averaged" in pooled.err
    cut = program("embed", "long.txt", "--on-long", "truncate").ok()
    assert "1 text longer than the model takes, cut" in cut.err
    assert pooled.objects[0]["vector"] != cut.objects[0]["vector"]
    again = program("embed", "long.txt", "--on-long", "truncate", "--stats-json", "s.json").ok()
    assert "cut" in again.err, "also from the cache"
    assert json.loads((program.folder / "s.json").read_text())["truncated"] == 1
    parts = program("embed", "long.txt", "--on-long", "split").ok().objects
    assert len(parts) > 3
    assert parts[0]["id"].endswith("#1")
    refused = program("embed", "long.txt", "--on-long", "error")
    assert refused.code == 2
    assert "hint: --on-long pool" in refused.err


def test_identical_texts_are_encoded_once_and_a_second_run_encodes_nothing(
    program: Program, write: Write
) -> None:
    write("in.txt", "same\nother\nsame\nsame\n")
    first = program("embed", "in.txt", "--stats-json", "s.json").ok()
    stats = json.loads((program.folder / "s.json").read_text())
    assert (stats["read"], stats["encoded"], stats["cached"], stats["written"]) == (4, 2, 2, 4)
    second = program("embed", "in.txt", "--stats-json", "s.json").ok()
    assert second.out == first.out
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 0
    program("embed", "in.txt", "--no-cache", "--stats-json", "s.json").ok()
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 2
    program("embed", "in.txt", "--stats-json", "s.json", env={"EMBEDCLI_CACHE": "off"}).ok()
    assert json.loads((program.folder / "s.json").read_text())["encoded"] == 2


def test_a_cache_for_pipes_is_a_file(program: Program) -> None:
    for encoded in (1, 0):
        program("embed", "--cache", "c.db", "--stats-json", "s.json", stdin=b"text\n").ok()
        assert json.loads((program.folder / "s.json").read_text())["encoded"] == encoded
    (program.folder / "c.db").write_bytes(b"garbage")
    program("embed", "--cache", "c.db", stdin=b"text\n").ok()


def test_empty_input_is_valid_in_every_form(program: Program) -> None:
    assert program("embed").ok().out == b""
    assert program("embed", "--to", "base64").ok().out == b""
    assert program("embed", "--to", "raw").ok().out == b""
    assert program("embed", "--to", "csv").ok().out.startswith(b"id,text,v0,")
    empty = np.load(io.BytesIO(program("embed", "--to", "npy").ok().out))
    assert empty.shape == (0, 384)


def test_wrong_usage_is_exit_2_with_a_hint(program: Program) -> None:
    for arguments, message in (
        (["--to", "xml"], "--to 'xml' is not known"),
        (["--dtype", "int4"], "--dtype 'int4' is not known"),
        (["--format", "yaml"], "--format 'yaml' is not known"),
        (["--role", "poet"], "--role 'poet' is not known"),
        (["--device", "cuda"], "no variant for a GPU"),
        (["--device", "gpu"], "device 'gpu' is not one"),
        (["--model", "nothing"], "no model named 'nothing'"),
        (["--string", "x", "in.txt"], "--string and paths"),
        (["-0", "--format", "lines"], "-0 contradicts --format lines"),
        (["--max-record-bytes", "much"], "is not a size"),
    ):
        done = program("embed", *arguments)
        assert done.code == 2, arguments
        assert message in done.err, arguments
        assert done.out == b"", arguments
    assert program("embed", "--nonsense").code == 2


def test_vectors_of_another_model_or_size_are_refused(program: Program, write: Write) -> None:
    write("a.jsonl", json.dumps({"text": "x", "vector": [1.0, 2.0]}) + "\n")
    assert "has 2 numbers" in program("embed", "a.jsonl").err
    write("b.jsonl", json.dumps({"text": "x", "vector": [0.5] * 384, "vector_model": "other:int8:0"}) + "\n")
    done = program("embed", "b.jsonl")
    assert done.code == 2
    assert "is from other:int8:0" in done.err


def test_an_output_file_is_whole_or_untouched(program: Program, write: Write) -> None:
    write("out.jsonl", "old")
    write("in.jsonl", json.dumps({"text": "x", "vector": [1.0]}) + "\n")
    assert program("embed", "in.jsonl", "-o", "out.jsonl").code == 2
    assert (program.folder / "out.jsonl").read_text() == "old"
    assert sorted(path.name for path in program.folder.iterdir()) == ["in.jsonl", "out.jsonl"]


def test_an_input_that_fails_wholly_does_not_replace_the_output(program: Program, write: Write) -> None:
    write("in.csv", "text\none\n")
    write("out.npy", "old")
    done = program("embed", "in.csv", "--column", "Text", "-o", "out.npy")
    assert done.code == 3
    assert (program.folder / "out.npy").read_text() == "old"


def test_the_same_hint_is_given_once(program: Program, write: Write) -> None:
    write("in.jsonl", '{"a": 1}\n{"a": 2}\n')
    assert program("embed", "in.jsonl").err.count("hint:") == 1
