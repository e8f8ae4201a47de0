"""`embedcli eval tune`, as a real process."""

from __future__ import annotations

import json

import pytest

ABOUT = {
    "card": ("My card has not arrived", "where is the card that I ordered"),
    "pass": ("How to reset a forgotten password", "i cannot log in any more"),
    "close": ("Closing an account for good", "delete my account"),
    "rate": ("Exchange rates and currencies", "what do you charge for dollars"),
    "pin": ("Changing the PIN of a card", "new secret number"),
    "top": ("Adding money by bank transfer", "how long does a transfer take"),
}
FEW = (
    "-m",
    "static",
    "--dim",
    64,
    "--dtype",
    "float16",
    "--dtype",
    "int8",
    "--alpha",
    0.6,
    "--fuse",
    "zscore",
)


@pytest.fixture
def collection(write):
    corpus = "".join(
        json.dumps({"_id": key, "title": title, "text": ""}) + "\n" for key, (title, _) in ABOUT.items()
    )
    write("set/corpus.jsonl", corpus)
    write(
        "set/queries.jsonl",
        "".join(json.dumps({"_id": f"q-{key}", "text": text}) + "\n" for key, (_, text) in ABOUT.items()),
    )
    write("set/qrels.tsv", "query-id\tcorpus-id\tscore\n" + "".join(f"q-{key}\t{key}\t1\n" for key in ABOUT))


def test_settings_are_measured_chosen_and_stored(program, collection, write):
    program("index", "build", "-i", "my.emb", "set/corpus.jsonl", "--field", "title", "-m", "static").ok()
    found = program(
        *("eval", "tune", "set", *FEW, "--chunking", "split", "--plot", "plot.html", "--write", "my.emb"),
        *("--json", "--save", "run.json", "--fail-under", "nDCG@10=0"),
    ).ok()
    objects = found.objects
    settings = [each for each in objects if "roles" in each]
    assert {each["dtype"] for each in settings} == {"float16", "int8"}
    assert {each["dim"] for each in settings} == {384, 64}
    assert {each["mode"] for each in settings} == {"hybrid", "dense", "lexical"}
    assert [
        sum(role in each["roles"] for each in settings) for role in ("chosen", "default", "bag of words")
    ] == [1, 1, 1]
    assert all(
        each["query_ms"] > 0 and each["index_bytes"] > 10_000 and each["chunks"] == 6 for each in settings
    )
    assert [each["system"] for each in objects if "low" in each and "roles" not in each] == [
        *("chosen", "default", "best held out", "bag of words")
    ]
    assert "layers, pooling and whitening are left out: static-minilm: has no graph with layers" in found.err
    page = (program.folder / "plot.html").read_text()
    assert page.count("<svg") >= 3
    assert "static-minilm" in page
    stored = json.loads(program("index", "status", "-i", "my.emb", "--json").ok().out)["query_defaults"]
    assert stored["mode"] in ("hybrid", "dense", "lexical")
    assert "search now does --mode" in found.err


def test_what_is_wrong_is_said_before_anything_is_measured(program, collection, write):
    for arguments, reason in (
        (("set/corpus.jsonl", "set/corpus.jsonl"), "--queries and --qrels are needed"),
        (("set", "-m", "static", "--dim", 4000), "gives 1 to 384 numbers"),
    ):
        failed = program("eval", "tune", *arguments)
        assert (failed.code, failed.out) == (2, b"")
        assert reason in failed.err
    write("few.tsv", "q-card\tcard\t1\n")
    failed = program("eval", "tune", "set", "--qrels", "few.tsv", *FEW)
    assert failed.code == 2
    assert "too few queries with a relevant document to choose on one half of them: 1" in failed.err
