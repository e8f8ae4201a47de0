"""`embedcli cluster`: what is read, found, written and said, as a real process."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.cli.test_sample import planted
from tests.conftest import Program
from tests.models_maker import write_source

Write = Callable[..., Path]

TOPICS = [pair for pair in planted() if pair[0] in ("bread", "tax", "dog", "piano", "volcano")]
LINES = "".join(f"{text}\n" for _, text in TOPICS).encode()
KINDS = [topic for topic, _ in TOPICS]
GRAPH = "the 15-nearest-neighbour graph"
WAYS = {
    "communities": ((), f"communities of {GRAPH}, modularity 0."),
    "communities -k": (("--method", "communities", "-k", 5), f"communities of {GRAPH}, modularity 0."),
    "k-means": (("-k", 5), "k-means; largest"),
    "auto": (("--auto",), "k-means, k = 5: the fewest of 2 to 68 with a silhouette near the highest, 0."),
    "density": (("--method", "density", "--min-size", 5), f"HDBSCAN on {GRAPH}, at least 5 different"),
    "threshold": (("--threshold", 0.6), "stars, cosine to the middle at least 0.6; largest"),
}


def cluster(program: Program, *arguments: object, stdin: bytes = b"", model: str = "static", **options):
    return program("cluster", *arguments, "-m", model, stdin=stdin, **options)


def together(clusters: list[object], kinds: list[str]) -> bool:
    """Whether what is of one kind is in one cluster, and nothing else is."""
    pairs = set(zip(clusters, kinds, strict=True))
    return len(pairs) == len(set(kinds)) == len({each for each, _ in pairs})


# --- what is found


@pytest.mark.parametrize("way", WAYS)
def test_every_method_finds_the_topics_and_says_why(program, way):
    options, reason = WAYS[way]
    done = cluster(program, *options, stdin=LINES).ok()
    objects = done.objects
    assert [each["text"] for each in objects] == [text for _, text in TOPICS]
    assert together([each["cluster"] for each in objects], KINDS)
    assert [*objects[0]] == ["id", "text", "cluster", "cluster_name", "cluster_score"]
    assert all(-1 <= each["cluster_score"] <= 1 for each in objects)
    # The largest first.
    sizes = [sum(each["cluster"] == number for each in objects) for number in range(5)]
    assert sizes == sorted(sizes, reverse=True)
    assert f"5 clusters of {len(KINDS)} records ({reason}" in done.err
    assert f"largest {sizes[0]}, smallest {sizes[4]})" in done.err
    if way in ("communities", "k-means"):
        again = cluster(program, *options, "-j", 1, "-q", stdin=LINES).ok()
        assert (again.out, again.err) == (done.out, "")


def test_noise_is_minus_one_unless_it_is_given_away(program):
    strange = b"colourless green ideas sleep furiously\nkubectl rollout undo deployment\n"
    stdin = LINES + strange + strange[:39]
    ways = ("--threshold", 0.6, "--min-size", 4)
    done = cluster(program, *ways, "--stats-json", "stats.json", stdin=stdin).ok()
    assert [(each["cluster"], each["cluster_name"], each["cluster_score"]) for each in done.objects[-3:]] == [
        (-1, None, None)
    ] * 3
    assert done.err.rstrip().endswith("; 3 noise)")
    stats = json.loads((program.folder / "stats.json").read_text())
    assert (stats["clusters"], stats["noise"], stats["assigned"]) == (5, 3, 0)
    assert stats["written"] == stats["read"] == len(TOPICS) + 3
    given = cluster(program, *ways, "--assign-noise", stdin=stdin).ok()
    assert all(0 <= each["cluster"] < 5 for each in given.objects)
    assert "3 records of the noise given to the nearest)" in given.err
    # A size that copies reach.
    assert cluster(program, "--threshold", 0.6, stdin=stdin).ok().objects[-1]["cluster"] == 5


# --- what is written

FORMS = {
    "bom.csv": b'\xef\xbb\xbfid,"text"\r\n1,"the old\r\ndog"\r\n2,the tax form\r\n3,\r\n4,a dog\r\n',
    "x.jsonl": b'{"text":"the old dog", "n": 1.50}\n{"text": "the tax form"}\n\n {"text":"a dog"}\n',
    "lines.txt": b"the old dog\r\nthe tax form\n  \na dog",
}
WRITTEN = {
    "bom.csv": (
        b'\xef\xbb\xbfid,"text",cluster,cluster_name,cluster_score\r\n1,"the old\r\ndog",0,NAME,SCORE\r\n'
        b"2,the tax form,1,NAME,SCORE\r\n3,,,,\r\n4,a dog,0,NAME,SCORE\r\n"
    ),
    "x.jsonl": (
        b'{"text":"the old dog", "n": 1.50,"cluster":0,"cluster_name":NAME,"cluster_score":SCORE}\n'
        b'{"text": "the tax form","cluster":1,"cluster_name":NAME,"cluster_score":SCORE}\n'
        b'{"id":"x.jsonl:3","text":"","cluster":null,"cluster_name":null,"cluster_score":null}\n'
        b' {"text":"a dog","cluster":0,"cluster_name":NAME,"cluster_score":SCORE}\n'
    ),
    "lines.txt": (
        b'{"id":"lines.txt:1","text":"the old dog","cluster":0,"cluster_name":NAME,"cluster_score":SCORE}\n'
        b'{"id":"lines.txt:2","text":"the tax form","cluster":1,"cluster_name":NAME,"cluster_score":SCORE}\n'
        b'{"id":"lines.txt:3","text":"  ","cluster":null,"cluster_name":null,"cluster_score":null}\n'
        b'{"id":"lines.txt:4","text":"a dog","cluster":0,"cluster_name":NAME,"cluster_score":SCORE}\n'
    ),
}


@pytest.mark.parametrize("name", FORMS)
def test_records_keep_their_bytes_and_their_order(program, write, name):
    write(name, FORMS[name])
    done = cluster(program, "-k", 2, name, "-o", "out").ok()
    assert done.out == b""
    out = (program.folder / "out").read_bytes()
    # What the clusters are called is for other tests.
    shape = re.sub(rb'"[a-z ,]+"(?=,"cluster_score")|(?<=[01],)("[a-z ,]+"|[a-z ]+)(?=,[01]\.)', b"NAME", out)
    shape = re.sub(rb"\b[01]\.\d+(?=[}\r])", b"SCORE", shape)
    assert shape == WRITTEN[name]


def test_null_separated_records_and_files_as_records(program, write):
    done = cluster(program, "-0", "-k", 2, stdin=b"the old\ndog\0the tax form\0a dog\0").ok()
    assert [each["cluster"] for each in done.objects] == [0, 1, 0]
    for name, text in (("a.txt", "the old dog"), ("b.txt", "the tax form"), ("c.txt", "a dog")):
        write(name, text)
    done = cluster(program, "--format", "whole", "-k", 2, "a.txt", "b.txt", "c.txt").ok()
    assert [(each["id"], each["cluster"]) for each in done.objects] == [
        ("a.txt", 0), ("b.txt", 1), ("c.txt", 0),
    ]  # fmt: skip


def test_texts_that_the_model_does_not_know_keep_their_place(program):
    stdin = "a dog\n\u200b\nthe old dog\nthe tax form\n".encode()
    done = cluster(program, "-k", 2, stdin=stdin).ok()
    assert [each["cluster"] for each in done.objects] == [0, None, 0, 1]
    assert "1 texts are in no cluster: the model knows no word of them" in done.err


def test_a_table_that_has_such_a_column_is_refused(program, write):
    write("t.csv", "text,cluster\na dog,1\n")
    done = cluster(program, "-k", 1, "t.csv", "-o", "out")
    assert (done.code, done.out) == (2, b"")
    assert "the table has a column 'cluster' already\nhint: " in done.err.replace("embedcli: hint", "hint")
    assert not (program.folder / "out").exists()


# --- few records, bad input


def test_nothing_and_one_record(program):
    for options in ((), ("--auto", "--assign-noise")):
        done = cluster(program, *options).ok()
        assert done.out == b""
        assert "0 clusters of 0 records (nothing to cluster)" in done.err
    found = cluster(program, stdin=b"a dog\n\n").ok().objects
    assert [each["cluster"] for each in found] == [-1, None]
    one = cluster(program, "-k", 1, stdin=b"a dog\n").ok()
    assert (one.objects[0]["cluster"], one.objects[0]["cluster_score"]) == (0, 1.0)
    assert "1 cluster of 1 records" in one.err
    assert [each["cluster"] for each in cluster(program, stdin=b"a dog\n" * 3).ok().objects] == [0, 0, 0]


@pytest.mark.parametrize(
    ("arguments", "cause", "hint"),
    [
        (("-k", 9), "-k 9: more clusters than different texts, of which there are 2", "-k 2 or less"),
        (("--method", "magic"), "--method 'magic' is not known", "kmeans, density, communities, threshold"),
        (("--method", "kmeans"), "k-means needs to know how many clusters", "-k N, or --auto"),
        (("--method", "threshold"), "stars need a threshold", "--threshold 0.7"),
        (("--threshold", 1.2), "a threshold is from -1 to 1, not 1.2", ""),
        (("-k", 2, "--resolution", 2), "--resolution goes with --method communities, not kmeans", ""),
        (("--instruct", "by tone"), "model static-minilm takes no instructions", "--prompt"),
        (("--instruct", "by tone", "--prompt", "x"), "--instruct and --prompt exclude each other", ""),
        (("--instruct", "by tone", "--vectors", "own"), "--instruct is for an encoder", ""),
        (("--on-long", "split"), "--on-long split makes several vectors of a record", "--on-long pool"),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(program, write, arguments, cause, hint):
    write("out", "as it was")
    done = cluster(program, *arguments, "-o", "out", stdin=b"a dog\nthe tax form\na dog\n")
    assert done.code == 2
    assert cause in done.err
    assert len(done.err.splitlines()) == (2 if hint else 1)
    assert hint in done.err.splitlines()[-1]
    assert (program.folder / "out").read_text() == "as it was"


# --- vectors that are there already


def test_vectors_beside_records_and_in_them(program, write):
    vectors = np.eye(3, dtype=np.float32)[[0, 1, 0, 2, 1]] + 0.01
    np.save(program.folder / "v.npy", vectors)
    write("five.txt", "a\nb\nc\nd\ne\n")
    done = program("cluster", "-k", 3, "--vectors", "v.npy", "five.txt").ok()
    assert [each["cluster"] for each in done.objects] == [0, 1, 0, 2, 1]
    # The vectors stay where they are.
    assert "vector" not in done.objects[0]
    lines = [
        json.dumps({"id": name, "vector": row}) for name, row in zip("abcde", vectors.tolist(), strict=True)
    ]
    done = program("cluster", "-k", 3, "--vectors", "own", stdin="\n".join(lines).encode()).ok()
    assert [each["cluster"] for each in done.objects] == [0, 1, 0, 2, 1]
    assert done.objects[0]["vector"] == pytest.approx(vectors[0].tolist())
    np.save(program.folder / "v.npy", vectors[:4])
    done = program("cluster", "-k", 3, "--vectors", "v.npy", "five.txt")
    assert (done.code, done.out) == (2, b"")


def test_an_index_is_clustered_and_only_read(program, write):
    write("notes.jsonl", "".join(json.dumps({"text": text}) + "\n" for _, text in TOPICS))
    program("index", "build", "notes.jsonl", "-i", "x.emb", "-m", "static").ok()
    before = (program.folder / "x.emb").read_bytes()
    done = program("cluster", "-i", "x.emb", "-k", 5).ok()
    assert together([each["cluster"] for each in done.objects], KINDS)
    assert (program.folder / "x.emb").read_bytes() == before


# --- instructions


def test_an_instruction_goes_before_each_text_in_the_model_s_own_form(program, tmp_path):
    write_source(
        tmp_path / "source",
        hidden=16,
        prompts={"query": "Instruct: find answers\nQuery: ", "document": ""},
    )
    program("models", "add", tmp_path / "source", "--name", "told").ok()
    stdin = LINES[: LINES.index(b"\n", 900) + 1]
    told = cluster(program, "-k", 3, "--instruct", "by  tone", stdin=stdin, model="told").ok()
    typed = cluster(
        program, "-k", 3, "--prompt", "Instruct: by tone\nQuery: ", stdin=stdin, model="told"
    ).ok()
    assert told.out == typed.out
