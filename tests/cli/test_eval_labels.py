"""`embedcli eval sts`, `pairs`, `calibrate`, `classify` and `cluster`, as real processes."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from tests.cli.test_classify import table, texts
from tests.cli.test_sample import TOPICS, WORDS

ALIKE = [
    (TOPICS[topic].format(word), TOPICS[topic].format(other))
    for topic in ("bread", "tax")
    for word, other in pairwise(WORDS[:9])
]
APART = [(TOPICS["bread"].format(word), TOPICS["tax"].format(word)) for word in WORDS[:8]] + [
    (TOPICS["dog"].format(word), TOPICS["piano"].format(word)) for word in WORDS[:8]
]


def csv_of(rows, header="left,right,same\n"):
    return header + "".join(",".join(f'"{cell}"' for cell in row) + "\n" for row in rows)


JUDGED = [(*pair, 1) for pair in ALIKE] + [(*pair, 0) for pair in APART]


def evaluate(program, *arguments, stdin=b""):
    return program("eval", *arguments, "-m", "static", stdin=stdin)


def figures(done):
    return {(each["system"], each["metric"]): each for each in done.objects}


def test_pairs_are_told_apart_and_held_against_a_limit(program, write):
    write("pairs.csv", csv_of(JUDGED))
    first = evaluate(program, "pairs", "pairs.csv", "--json", "--fail-under", "AP=0.5").ok()
    found = figures(first)
    assert [*dict.fromkeys(system for system, _ in found)][-1] == "bag of words"
    own = found["static-minilm", "AP"]
    assert own["task"] == "pairs"
    assert own["queries"] == 32
    assert own["chance"] == 0.5
    assert 0.5 < own["low"] <= own["value"] <= own["high"] <= 1
    assert "met: static-minilm AP" in first.err


def test_scores_are_ranked_and_what_is_no_pair_is_named(program, write):
    rows = [(*pair, 4.5) for pair in ALIKE] + [(*pair, 1) for pair in APART]
    write("scored.csv", csv_of([*rows, ("a", " ", 2), ("a", "b", "often")], header="") + "\n")
    found = evaluate(program, "sts", "--no-header", "scored.csv", "--fail-under", "spearman=0.99")
    assert found.code == 3
    assert "scored.csv:33: a text is blank" in found.err
    assert "scored.csv:34: the score is no number; it is 'often'" in found.err
    assert "missed: static-minilm Spearman" in found.err
    assert "1 blank line left out" in found.err
    assert found.lines[0].split() == ["system", "Spearman", "Pearson", "p"]
    assert found.lines[1].startswith("static-minilm ")
    assert found.lines[2].startswith("bag of words ")
    found = evaluate(program, "sts", "scored.csv")
    assert (found.code, found.out) == (2, b"")
    assert "scored.csv: the first line looks like a record: '4.5' names a column" in found.err


@pytest.mark.parametrize(
    ("arguments", "content", "reason"),
    [
        (["sts"], "a,b,score\nx,y,3\n", "all 1 pairs have the same score"),
        (["sts", "--pairs", "a,b,grade"], "a,b,score\nx,y,3\nu,v,2\n", "in.csv:2: no field 'grade'"),
        (["pairs"], "a,b,label\nx,y,2.5\nu,v,3\n", "graded scores: embedcli eval sts"),
        (["pairs"], "a,b,label\nx,\0,1\n", "in.csv: binary, holds NUL bytes\nhint: --text"),
        (["cluster"], "a,label\nx,\0,1\n", "in.csv: binary, holds NUL bytes\nhint: --text"),
        (["pairs", "--pairs", "a,b"], "", "not the names of three fields"),
        (
            ["cluster", "--column", "a"],
            "a,b\nx,1\ny,2\n",
            "no record has a field 'label'; their fields: a, b",
        ),
    ],
)
def test_what_cannot_be_measured_is_said_in_a_line(program, write, arguments, content, reason):
    write("in.csv", content)
    done = evaluate(program, *arguments, "in.csv")
    assert done.code == 2, done.err
    assert done.out == b""
    assert reason in done.err


def test_a_threshold_is_chosen_measured_and_drawn(program, write):
    lines = [{"b": right, "a": left, "same": bool(same)} for left, right, same in JUDGED]
    options = ("--pairs", "a,b,same", "--precision", "0.9", "--curve", "curve.tsv", "--json")
    done = evaluate(program, "calibrate", *options, stdin="\n".join(map(json.dumps, lines)).encode()).ok()
    found = figures(done)
    assert "on the 16 pairs that it was chosen on" in done.err
    systems = [*dict.fromkeys(system for system, _ in found)]
    assert systems == [
        *(f"static-minilm, {name}" for name in ("fitted", "for duplicates", "by chance")),
        "bag of words, fitted",
    ]
    assert found[systems[0], "precision"]["queries"] == 16
    curve = [line.split("\t") for line in (program.folder / "curve.tsv").read_text().splitlines()]
    assert curve[0] == ["threshold", "pairs", "precision", "recall"]
    assert curve[-1][1] == "16"
    assert float(curve[-1][3]) == 1


def test_labels_are_found_and_clusters_agree_with_them(program, write):
    write("train.csv", table(texts(WORDS[:6])))
    write("test.csv", table([*texts(WORDS[6:]), ("", "bread"), ("no label", "")]))
    options = ("test.csv", "--label", "topic", "--json")
    done = evaluate(
        program,
        "classify",
        *options,
        "--train",
        "train.csv",
        "--shots",
        "2,7",
        "--draws",
        "1",
        "--per-query",
        "items.tsv",
    )
    assert done.code == 3
    assert "test.csv:53: no label in field 'topic'" in done.err
    assert "1 blank record left out" in done.err
    assert "--shots 7: no label has more than 6 to learn from: all are taken" in done.err
    assert "--shots 2" not in done.err
    found = figures(done)
    assert [*dict.fromkeys(system for system, _ in found)] == ["logistic", "knn", "mean", "bag of words"]
    assert found["mean", "accuracy@2"]["value"] > 0.8
    assert found["mean", "accuracy@2"]["queries"] == 50
    assert len((program.folder / "items.tsv").read_text().splitlines()) == 1 + 2 * 4 * 50
    clustered = evaluate(program, "cluster", *options)
    assert clustered.code == 3
    found = figures(clustered)
    assert found["k-means", "V-measure"]["value"] > 0.9
    assert found["k-means", "V-measure"]["value"] == pytest.approx(found["k-means", "NMI"]["value"])
    assert {system for system, _ in found} == {"k-means", "communities", "bag of words"}
