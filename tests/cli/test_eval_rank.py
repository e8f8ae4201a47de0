"""`embedcli eval rank`, as a real process: pairs, and texts by their first sentence."""

from __future__ import annotations

import json

import pytest

from tests.conftest import REPOSITORY, Program

TINY = REPOSITORY / "tests/compat/models/tiny"

PAIRS = [
    ("How do I reset my password?", "Open the settings and choose a new password."),
    ("My card has not arrived", "A new card takes five days to arrive."),
    ("I want to close my account", "Accounts are closed by the support."),
    ("My card has not arrived", "Call the bank if the card is late."),
    ("How do I get money back?", "Open the settings and choose a new password."),
    ("", "nothing"),
]


def rank(program: Program, *arguments: object, stdin: bytes = b""):
    return program("eval", "rank", "-m", "static", *arguments, stdin=stdin)


def test_pairs_are_found_by_a_model_and_by_words(program, write):
    write(
        "p.jsonl",
        "".join(json.dumps({"id": f"p{n}", "q": q, "a": a}) + "\n" for n, (q, a) in enumerate(PAIRS)),
    )
    found = rank(program, "p.jsonl", "--pairs", "q,a", "--json", "--per-query", "each.jsonl").ok()
    metrics = ("MRR@10", "hit@1", "hit@3")
    assert [(row["system"], row["metric"]) for row in found.objects] == [
        (system, metric) for system in ("static-minilm", "bag of words") for metric in metrics
    ]
    values = {(row["system"], row["metric"]): row for row in found.objects}
    assert {row["queries"] for row in found.objects} == {5}
    # Four different answers: (1 + 1/2 + 1/3 + 1/4) / 4.
    assert values["static-minilm", "MRR@10"]["chance"] == pytest.approx(25 / 48)
    assert values["static-minilm", "hit@3"]["chance"] == 0.75
    assert values["static-minilm", "MRR@10"]["value"] > 0.7
    assert "1 of 6 pairs have a blank text and are left out" in found.err
    each = [json.loads(line) for line in (program.folder / "each.jsonl").read_text().splitlines()]
    own = {
        row["item"]: row["value"]
        for row in each
        if (row["system"], row["metric"]) == ("static-minilm", "MRR@10")
    }
    assert list(own) == ["p0", "p1", "p2", "p3", "p4"]
    # Either of its two answers is right for the card: neither is in the way of the other.
    assert own["p1"] == own["p3"] == 1.0
    # A table without a header, columns by number, a second model, a gate.
    table = "".join(f"{q}\t{a}\n" for q, a in PAIRS if q).encode()
    again = rank(
        *(program, "-", "--format", "tsv", "--no-header", "--pairs", "1,2", "--against", TINY),
        *("--fail-under", "bag of words:MRR@10=1"),
        stdin=table,
    )
    assert again.code == 1
    assert [line.split("  ")[0] for line in again.lines[1:]] == [
        "static-minilm",
        "tiny",
        "bag of words",
        "(chance)",
    ]
    assert f"{values['static-minilm', 'MRR@10']['value']:.4f}" in again.lines[1]


def test_texts_are_found_by_their_first_sentence(program, write):
    texts = [f"{q} That is asked. {a}" for q, a in PAIRS[:4] if q]
    write("t.txt", "".join(f"{text}\n" for text in [*texts, "too short", ""]))
    found = rank(program, "t.txt", "--max-items", 3, "--metrics", "nDCG@3").ok()
    assert found.lines[0].split() == ["system", "nDCG@3", "p"]
    assert "1 of 5 texts have no first sentence and rest of their own, and are left out" in found.err
    assert "3 of them are asked for, spread evenly" in found.err
    assert "3 texts; in brackets 95 % intervals" in found.err


@pytest.mark.parametrize(
    ("arguments", "stdin", "message"),
    [
        (("--pairs", "a"), "", "--pairs 'a': two fields or columns, A,B"),
        ((), "", "0 of 0 texts have a first sentence and a rest, of three words each"),
        ((), "one line\n", "0 of 1 texts have a first sentence and a rest, of three words each"),
        (("--pairs", "a,b"), '{"a": "x y", "b": "z"}\n', "1 pairs with 1 different second texts"),
        (("--on-long", "split"), "x\n", "--on-long split makes several vectors"),
    ],
)
def test_nothing_to_rank_is_one_clear_line(program, arguments, stdin, message):
    found = rank(program, *arguments, "--format", "jsonl" if "{" in stdin else "lines", stdin=stdin.encode())
    assert (found.code, found.out) == (2, b"")
    assert found.err.splitlines()[-2].startswith(f"embedcli: {message}")
