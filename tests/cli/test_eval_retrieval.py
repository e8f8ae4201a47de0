"""`embedcli eval retrieval`, as a real process: a test collection, an index, runs of other tools, gates."""

from __future__ import annotations

import json

import pytest
import pytrec_eval

from tests.conftest import Program

TEXTS = {
    "dog": ("Dogs", "The puppy chewed on a slipper."),
    "sleep": ("Sleep", "A young dog needs a lot of sleep."),
    "mount": ("Errors", "error 0x80070057 when mounting the share"),
    "disk": ("Disks", "The parameter is incorrect when a volume is mounted."),
    "bank": ("Money", "My card has not arrived from the bank."),
    "rain": ("Weather", "It will rain in the mountains tomorrow."),
    "soup": ("Food", "Boil the soup for an hour with salt."),
}
QUERIES = {"q1": "puppies and dogs", "q2": "0x80070057", "q3": "where is my bank card", "q4": "unjudged"}
QRELS = "query-id\tcorpus-id\tscore\nq1\tdog\t2\nq1\tsleep\t1\nq2\tmount\t1\nq3\tbank\t1\nq3\tgone\t1\nq5\tdog\t1\nq6\tdog\t0\n"
METRICS = ("nDCG@10", "MRR@10", "MAP", "recall@100", "hit@10")


@pytest.fixture
def collection(write):
    rows = [{"_id": name, "title": title, "text": text} for name, (title, text) in TEXTS.items()]
    write("c/corpus.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("c/queries.jsonl", "".join(json.dumps({"_id": q, "text": t}) + "\n" for q, t in QUERIES.items()))
    write("c/qrels/test.tsv", QRELS)


def retrieval(program: Program, *arguments: object):
    return program("eval", "retrieval", *arguments)


def test_a_collection_is_measured_by_each_way_to_rank_as_trec_eval_would(program, collection):
    outputs = ("--write-runs", "runs", "--save", "s.json", "--per-query", "each.tsv")
    found = retrieval(program, "c", "-m", "static", "--rerank", "maxsim", "--json", *outputs).ok()
    assert [(row["system"], row["metric"]) for row in found.objects] == [
        (system, metric) for system in ("hybrid", "dense", "hybrid + maxsim", "BM25") for metric in METRICS
    ]
    first = found.objects[0]
    assert list(first) == ["task", "system", "metric", "value", "low", "high", "queries", "p", "chance"]
    assert (first["task"], first["queries"]) == ("retrieval", 3)
    assert first["low"] <= first["value"] <= first["high"]
    assert "1 queries without a relevant document are left out" in found.err
    assert "1 queries without judgements are left out" in found.err
    assert "1 judged queries without a text are left out" in found.err
    assert "1 relevant documents are not in the corpus and count as not found\n" in found.err
    # What was written as runs is worth the same to trec_eval, and to `--run`.
    judged = {"q1": {"dog": 2, "sleep": 1}, "q2": {"mount": 1}, "q3": {"bank": 1, "gone": 1}}
    judge = pytrec_eval.RelevanceEvaluator(judged, {"ndcg_cut_10", "map"})
    for system in ("hybrid", "dense", "BM25"):
        run: dict[str, dict[str, float]] = {}
        for line in (program.folder / f"runs/{system}.trec").read_text().splitlines():
            query, _, name, _, score, _ = line.split()
            run.setdefault(query, {})[name] = float(score)
        theirs = judge.evaluate(run)
        for metric, measure in (("nDCG@10", "ndcg_cut_10"), ("MAP", "map")):
            mean = sum(values[measure] for values in theirs.values()) / 3
            ours = next(r for r in found.objects if (r["system"], r["metric"]) == (system, metric))
            assert ours["value"] == pytest.approx(mean, abs=1e-6)
    again = retrieval(
        program,
        *("--run", "runs/hybrid.trec", "--run", "runs/dense.trec", "--run", "runs/BM25.trec"),
        *("--qrels", "c/qrels/test.tsv", "--json"),
    ).ok()
    values = {(row["system"], row["metric"]): row["value"] for row in found.objects}
    of_runs = {(row["system"], row["metric"]): row["value"] for row in again.objects}
    # A judged query without a text is asked of nobody, but a run could have had it.
    assert of_runs["BM25", "nDCG@10"] == pytest.approx(values["BM25", "nDCG@10"] * 3 / 4)
    assert "hybrid finds nothing for 1 judged queries: they count as 0" in again.err
    lines = (program.folder / "each.tsv").read_text().splitlines()
    assert lines[0] == "system\tmetric\titem\tvalue"
    assert len(lines) == 1 + 4 * 3 * len(METRICS)
    assert (program.folder / "runs/hybrid+maxsim.trec").exists()
    saved = json.loads((program.folder / "s.json").read_text())
    assert saved["items"] == ["q1", "q2", "q3"]
    assert saved["about"]["model"] == "static-minilm"


def test_an_index_is_measured_as_it_is_and_limits_give_the_exit_code(program, collection, write):
    program(
        *("index", "build", "-i", "c.emb", "c/corpus.jsonl", "--field", "title", "--field", "text"),
        *("-m", "static", "-q"),
    ).ok()
    write("asked.csv", "id,text\n" + "".join(f"{query},{text}\n" for query, text in QUERIES.items()))
    files = ("-i", "c.emb", "--queries", "asked.csv", "--qrels", "c/qrels/test.tsv")
    gates = ("--fail-under", "RECALL@1=0.99", "--fail-under", "dense:recall@1=0.1")
    found = retrieval(program, *files, "--systems", "bm25,dense", "--metrics", "recall@1,hit@3", *gates)
    assert found.code == 1
    header, first, second = found.lines
    assert header.split() == ["system", "recall@1", "hit@3", "p"]
    assert (first.split()[0], second.split()[0]) == ("BM25", "dense")
    assert "embedcli: missed: BM25 recall@1 0.6667 < 0.99" in found.err
    assert "met: dense recall@1" in found.err
    for wrong, message in (
        (("--chunking", "lines"), "--chunking: an index is as it was built"),
        (("--systems", "sparse"), "--systems sparse: the index holds no sparse vectors"),
        (("--systems", "colbert"), "--systems 'colbert' is not known"),
    ):
        found = retrieval(program, *files, *wrong)
        assert (found.code, found.out) == (2, b"")
        assert found.err.splitlines()[-2 if "hint" in found.err else -1].endswith(message)


def test_one_query_has_no_interval(program, write):
    write("me.trec", "q1 Q0 dog 1 0.5 me\n")
    write("qrels", "q1 0 dog 1\n")
    found = retrieval(program, "--run", "me.trec", "--qrels", "qrels").ok()
    assert b"[" not in found.out
    assert found.err.splitlines()[-1].endswith(": 1 query")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "what is to be measured is not clear"),
        (("c", "--run", "r"), "what is to be measured is not clear"),
        (("-i", "c.emb", "--qrels", "q"), "--queries FILE is needed: what to ask"),
        (("--run", "r"), "--qrels FILE is needed: what is relevant to which query"),
        (("--run", "r", "--qrels", "q", "--alpha", "1"), "--alpha: with --run nothing is searched"),
        (("c", "--metrics", "nDCG@10,speed"), "metric 'speed' is not known"),
        (("c", "--rerank-depth", "3"), "--rerank-depth and --rerank-weight go with --rerank"),
        (("c", "-o", "c/corpus.jsonl"), "-o c/corpus.jsonl would be written over c/corpus.jsonl"),
        (("c", "--fail-under", "AP=1"), "--fail-under: no measure 'AP'"),
        (("nameless", "--qrels", "c/qrels/test.tsv"), "nameless/queries.jsonl:1: a query without an id"),
        (("titles", "--qrels", "c/qrels/test.tsv"), "titles/corpus.jsonl:1: no field 'text'"),
        (("--run", "r", "--qrels", "c/qrels/test.tsv"), "r:2: no line of a run: 'q1 Q0 dog'"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(program, collection, write, arguments, message):
    write("r", "q1 Q0 dog 1 0.5 me\nq1 Q0 dog\n")
    for folder, corpus, queries in (
        ("nameless", {"_id": "dog", "text": "x"}, {"name": "q1", "text": "x"}),
        ("titles", {"_id": "dog", "title": "x"}, {"_id": "q1", "text": "x"}),
    ):
        write(f"{folder}/corpus.jsonl", json.dumps(corpus) + "\n")
        write(f"{folder}/queries.jsonl", json.dumps(queries) + "\n")
    found = retrieval(program, *arguments)
    assert (found.code, found.out) == (2, b"")
    assert found.err.splitlines()[-2] == f"embedcli: {message}"
    assert found.err.splitlines()[-1].startswith("hint: ")
