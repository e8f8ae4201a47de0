"""`embedcli eval stress`, as a real process."""

from __future__ import annotations

import pytest

from embedcli.tasks.evaluate.limit import make_limit, write_limit


def test_probes_have_a_bag_of_words_and_chance_beside_them(program, write):
    typed = ("eval", "stress", "-m", "static", "--probe", "order", "--probe", "negation")
    found = program(*typed, "--fail-under", "order=0.6")
    assert found.code == 1
    assert found.lines[0].split() == ["measure", "static-minilm", "bag", "of", "words", "chance"]
    assert found.lines[1].startswith("order     0.5000 [0.5000 0.5000]  0.5000 [0.5000 0.5000]  0.5000")
    assert found.lines[2].startswith("negation")
    assert "missed: static-minilm order 0.5000 < 0.6" in found.err
    write(
        "a.txt", "".join(f"Line {i} says {i * 7} things. It has {i} words. And an end.\n" for i in range(30))
    )
    own = program("eval", "stress", "a.txt", "-m", "static", "--probe", "typos", "--json").ok()
    assert len(own.objects) == 16
    drift = {each["metric"]: each["value"] for each in own.objects if each["system"] == "static-minilm"}
    assert 0 < drift["misspelt 5%"] < drift["misspelt 50%"]
    assert own.objects[0]["queries"] == 30


def test_named_texts_have_to_be_there_whatever_is_probed(program, write):
    write("blank.txt", "\n \n")
    found = program("eval", "stress", "blank.txt", "-m", "static", "--probe", "negation")
    assert (found.code, found.out) == (2, b"")
    assert found.err.splitlines()[0] == "embedcli: no text in the input"


def test_no_vector_ranks_every_pair_first_and_words_do(program):
    folder = program.folder / "limit"
    folder.mkdir()
    write_limit(make_limit(0, 14), folder)
    found = program("eval", "stress", "--limit", folder, "-m", "static", "--dim", 24, "--json").ok()
    values = {(each["system"], each["metric"]): each["value"] for each in found.objects}
    assert values["dense", "recall@2"] < 0.6
    assert values["BM25", "recall@2"] > 0.98
    assert values["hybrid", "recall@2"] > 0.9
    assert {each["task"] for each in found.objects} == {"limit"}
    assert (found.objects[0]["chance"], found.objects[0]["queries"]) == (pytest.approx(2 / 14), 91)
