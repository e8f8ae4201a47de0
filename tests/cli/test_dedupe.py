"""`embedcli dedupe` as a real process."""

from __future__ import annotations

import itertools
import json
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import Program

Write = Callable[..., Path]

TICKETS = """\
The refund has not arrived
Cannot log in with my new password
THE REFUND HAS NOT ARRIVED!

Cannot log in with my new password
The refund hasn't arrived yet
The lamp came broken
"""
LINES = TICKETS.splitlines(keepends=True)
LINE = ("--threshold", "0.8")
"""Where these few texts part; what a model's manifest says is measured on many."""


def pause(stream, seconds: float = 20.0) -> bytes:
    """Return what a stream gives next."""
    assert select.select([stream], [], [], seconds)[0], "nothing came"
    return os.read(stream.fileno(), 1 << 16)


def test_kept_records_are_the_bytes_they_were(program: Program, write: Write) -> None:
    write("t.txt", TICKETS)
    done = program("dedupe", "t.txt", *LINE, "--report", "r.jsonl", "--dropped", "d.txt").ok()
    assert done.out.decode() == "".join(LINES[place] for place in (0, 1, 3, 6))
    assert done.err.startswith(
        "embedcli: kept 3 of 6 records and 1 blank; dropped 3: 1 exact, 1 normalized, 1 semantic (cosine >= "
    )
    dropped = (program.folder / "d.txt").read_text()
    assert dropped == "".join(LINES[place] for place in (2, 4, 5))
    report = [json.loads(line) for line in (program.folder / "r.jsonl").read_text().splitlines()]
    assert [(line["dropped"], line["kept"], line["stage"], line["group"]) for line in report] == [
        ("t.txt:3", "t.txt:1", "normalized", 1),
        ("t.txt:5", "t.txt:2", "exact", 2),
        ("t.txt:6", "t.txt:1", "semantic", 1),
    ]
    assert report[0]["score"] == report[1]["score"] == 1
    assert 0.8 < report[2]["score"] < 1
    # From a pipe the same bytes; whatever the blocks and threads.
    for options in ([], ["--block-records", "1"], ["--block-records", "2", "-j", "1"], ["-j", "2"]):
        assert program("dedupe", *LINE, *options, stdin=TICKETS.encode()).ok().out == done.out
    write("kept.txt", done.out)
    assert program("dedupe", "--undo", "r.jsonl", "kept.txt").ok().out == TICKETS.encode()
    lines = (program.folder / "r.jsonl").read_bytes()
    assert program("dedupe", "--undo", "-", "kept.txt", stdin=lines).ok().out == TICKETS.encode()
    assert program("dedupe", "--undo", "-", stdin=lines).code == 2
    other = program("dedupe", "--undo", "r.jsonl", "t.txt", "-o", "all.txt")
    assert (other.code, other.out) == (2, b"")
    assert "hint:" in other.err
    assert not (program.folder / "all.txt").exists()


def test_texts_that_begin_alike_are_compared_whole(program: Program, write: Write) -> None:
    opening = " ".join(f"The committee met on day {number} and heard the report." for number in range(40))
    bread = " ".join(f"Knead the dough for {number} minutes and let it rise again." for number in range(60))
    ships = " ".join(f"Ship {number} left the harbour in a storm without its anchor." for number in range(60))
    texts = [f"{opening} {bread}", f"{opening} {ships}", f"{opening} {bread} ", opening]
    write("t.jsonl", "".join(json.dumps({"text": text}) + "\n" for text in texts))
    for model in ("default", "static"):
        found = program("dedupe", "-m", model, "--method", "semantic", "t.jsonl").ok()
        assert [each["text"] for each in found.objects] == [texts[0], texts[1], texts[3]], model
    # Cut to what the model takes, all begin alike; a much shorter one is another text all the same.
    cut = ("--on-long", "truncate", "--method", "semantic", "t.jsonl")
    assert [each["text"] for each in program("dedupe", *cut).ok().objects] == [texts[0], texts[3]]
    assert len(program("dedupe", *cut, "--length-ratio", "0").ok().objects) == 1


def test_stages_can_be_left_out(program: Program) -> None:
    def kept(method: str) -> list[int]:
        line = LINE if "semantic" in method else ()
        out = program("dedupe", "-q", *line, "--method", method, stdin=TICKETS.encode()).ok().out.decode()
        # Every line but the exact copy is another one.
        return [LINES.index(line) for line in out.splitlines(keepends=True)]

    assert kept("exact") == [0, 1, 2, 3, 5, 6]
    assert kept("normalized") == [0, 1, 3, 5, 6]
    assert kept("semantic") == [0, 1, 3, 6]
    assert kept("lexical,exact") == [0, 1, 3, 5, 6]


def test_another_rule_keeps_another_record(program: Program, write: Write) -> None:
    table = "id,body,date\n" + "".join(
        f"{number},{line.strip()},2026-01-{30 - number:02}\n"
        for number, line in enumerate(LINES)
        if line.strip()
    )
    write("t.csv", table)

    def ids(rule: str) -> list[str]:
        out = program("dedupe", "-q", *LINE, "t.csv", "--column", "body", "--keep", rule).ok().out.decode()
        assert out.startswith("id,body,date\n")
        return [line.split(",")[0] for line in out.splitlines()[1:]]

    assert ids("first") == ["0", "1", "6"]
    assert ids("last") == ["4", "5", "6"]
    assert ids("longest") == ["1", "5", "6"]
    assert ids("newest:date") == ["0", "1", "6"]
    assert ids("max:id") == ["4", "5", "6"]
    write("t.csv", table + "9,Quite another,\n")
    done = program("dedupe", "t.csv", "--column", "body", "--keep", "newest:date").ok()
    assert "1 without a value in 'date'" in done.err
    none = program("dedupe", "t.csv", "--column", "body", "--keep", "max:date", "-o", "out.csv")
    assert (none.code, none.out) == (2, b"")
    assert "no record has such a value in 'date'" in none.err
    assert not (program.folder / "out.csv").exists()


def test_a_table_comes_back_byte_for_byte(program: Program, write: Write) -> None:
    rows = [
        b'1,"say ""no"", she said",a\r\n',
        b'2,"two\r\nlines",b\r\n',
        b"\r\n",
        b'3,"SAY ""NO"", she said",c\r\n',
        b'4,"two\nlines",d\r\n',
        b"5,end,e",
    ]
    head = b"\xef\xbb\xbfid,body,x\r\n"
    write("in.csv", head + b"".join(rows))
    done = program("dedupe", "in.csv", "--column", "body", "--report", "r", "--dropped", "d.csv").ok()
    assert done.out == head + b"".join(rows[place] for place in (0, 1, 2, 5))
    assert (program.folder / "d.csv").read_bytes() == head + rows[3] + rows[4]
    write("kept.csv", done.out)
    assert program("dedupe", "--undo", "r", "kept.csv").ok().out == head + b"".join(rows)
    marked = program("dedupe", "-q", "in.csv", "--column", "body", "--mark").ok().out
    assert marked.startswith(head[:-2] + b",duplicate_group,duplicate_of,duplicate_score,duplicate_stage\r\n")
    assert rows[3][:-2] + b",1,1,1.0,normalized\r\n" in marked
    assert rows[0][:-2] + b",1,,,\r\n" in marked
    assert b"\r\n\r\n" in marked


def test_a_column_is_not_added_twice(program: Program) -> None:
    (program.folder / "in.csv").write_bytes(b"body,duplicate_of\na,x\n")
    refused = program("dedupe", "-q", "in.csv", "--column", "body", "--mark", "-o", "out.csv")
    assert (refused.code, refused.out) == (2, b"")
    assert "the table has a column 'duplicate_of' already\n" in refused.err
    assert not (program.folder / "out.csv").exists()


def test_objects_keep_their_bytes_and_take_marks(program: Program) -> None:
    lines = [
        b'{"text": "one thing",  "n": 1.50}\n',
        b'{"n": 2, "text": "One thing."}\n',
        b'{"text": "one thing", "duplicate_of": "old"}\n',
    ]
    assert program("dedupe", "-q", stdin=b"".join(lines)).ok().out == lines[0]
    marked = program("dedupe", "-q", "--mark", stdin=b"".join(lines)).ok()
    assert marked.out.startswith(b'{"text": "one thing",  "n": 1.50,"duplicate_group":1,')
    found = [
        [line[f"duplicate_{name}"] for name in ("group", "of", "score", "stage")] for line in marked.objects
    ]
    assert found == [[1, None, None, None], [1, "1", 1.0, "normalized"], [1, "1", 1.0, "exact"]]


def test_check_says_the_first_duplicate_and_exits_1(program: Program, write: Write) -> None:
    write("t.txt", TICKETS)
    done = program("dedupe", "--check", "t.txt")
    assert (done.code, done.out) == (1, b"")
    assert done.err == "embedcli: t.txt:3: duplicate of t.txt:1 (normalized, 1.0000)\n"
    silent = program("dedupe", "--check", "-q", "t.txt")
    assert (silent.code, silent.out, silent.err) == (1, b"", "")
    whole = program("dedupe", "--check", *LINE, "t.txt", "--report", "r")
    assert whole.code == 1
    assert "dropped 3" in whole.err
    assert len((program.folder / "r").read_bytes().splitlines()) == 3
    none = program("dedupe", "--check", stdin=b"one thing\nquite another\n")
    assert (none.code, none.out, none.err) == (0, b"", "")


def test_check_reads_no_further_than_it_must(program: Program) -> None:
    done = program.shell("yes | timeout 60 embedcli dedupe --check -q --method exact")
    assert done.code == 1


def test_files_and_indexes_say_what_is_there_already(program: Program, write: Write) -> None:
    write("test.txt", "the refund has not arrived\nA question about lamps\n")
    done = program("dedupe", *LINE, "--against", "test.txt", "--report", "r", stdin=TICKETS.encode()).ok()
    assert done.out.decode() == "".join(LINES[place] for place in (1, 3, 6))
    first = json.loads((program.folder / "r").read_text().splitlines()[0])
    assert (first["dropped"], first["kept"], first["stage"]) == ("1", "test.txt:1", "normalized")
    # An index remembers from run to run.
    seen = ["dedupe", "-q", *LINE, "--against", "seen.emb"]
    missing = program(*seen, stdin=b"x\n")
    assert missing.code == 2
    assert "hint: --update makes one" in missing.err
    assert program(*seen, "--update", stdin=TICKETS.encode()).ok().out.splitlines() == [
        LINES[place].strip().encode() for place in (0, 1, 3, 6)
    ]
    assert program(*seen, "--update", stdin=TICKETS.encode()).ok().out == b"\n"
    more = b"Where is my refund? It has not arrived.\nDo you sell light bulbs?\n"
    assert program(*seen, "--update", stdin=more).ok().out.splitlines()[-1] == b"Do you sell light bulbs?"
    assert program(*seen, stdin=b"Do you sell light bulbs\n").ok().out == b""
    # The same index as input: nothing in it is a duplicate, but of a looser kind.
    assert program("dedupe", "--check", *LINE, "-i", "seen.emb").code == 0
    loose = program("dedupe", "-i", "seen.emb", "--threshold", "0.2").ok()
    assert "dropped" in loose.err
    assert set(loose.objects[0]) >= {"id", "text", "path", "line"}
    assert "vector" not in loose.objects[0]


def test_what_was_written_is_remembered_when_the_run_is_stopped(program: Program) -> None:
    command = ("dedupe", "-q", "--against", "seen.emb", "--update", "-m", "static")
    pipe = subprocess.PIPE
    process = program.start(*command, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    process.stdin.write(b"a line about bread\n")
    process.stdin.flush()
    assert pause(process.stdout) == b"a line about bread\n"
    locked = program(*command, stdin=b"another\n")
    assert locked.code == 75
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert process.returncode == 143
    assert program(*command, stdin=b"A line about bread!\nnews\n").ok().out == b"news\n"


def test_what_was_dropped_is_told_however_a_run_ends(program: Program) -> None:
    pipe = subprocess.PIPE
    side = ("--report", "r.jsonl", "--dropped", "d.txt")
    process = program.start("dedupe", "-q", "-m", "static", *side, stdin=pipe, stdout=pipe, stderr=pipe)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(b"a line about bread\nA LINE about bread\n")
    process.stdin.flush()
    assert pause(process.stdout) == b"a line about bread\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)
    assert (program.folder / "d.txt").read_bytes() == b"A LINE about bread\n"
    assert json.loads((program.folder / "r.jsonl").read_text())["kept"] == "1"


def test_no_file_is_written_twice_or_over_what_is_read(program: Program, write: Write) -> None:
    write("t.txt", TICKETS)
    for options, said in (
        (["--report", "t.txt"], "--report t.txt would be written over t.txt"),
        (["--dropped", "./t.txt"], "--dropped ./t.txt would be written over t.txt"),
        (["--stats-json", "t.txt"], "--stats-json t.txt would be written over t.txt"),
        (["-o", "x", "--report", "x"], "--report x would be written over -o x"),
        (["--dropped", "x", "--report", "x"], "--dropped x would be written over --report x"),
        (["--against", "no/seen.emb", "--update"], "the folder no does not exist"),
    ):
        done = program("dedupe", "t.txt", *options)
        assert (done.code, done.out) == (2, b""), done.err
        assert said in done.err
    assert (program.folder / "t.txt").read_text() == TICKETS
    assert sorted(path.name for path in program.folder.iterdir()) == ["t.txt"]
    # The output may take the place of the input, as with sort.
    program("dedupe", "t.txt", "--method", "exact", "-o", "t.txt").ok()
    assert (program.folder / "t.txt").read_text() == "".join(LINES[place] for place in (0, 1, 2, 3, 5, 6))


def test_files_that_are_one_record_are_named(program: Program, write: Write) -> None:
    for name, text in (("a", "one\ntext\n"), ("b", "ONE text"), ("c", "two\n")):
        write(f"docs/{name}", text)
    whole = ("dedupe", "-q", "--format", "whole", "docs", "--method", "normalized")
    assert program(*whole).ok().out == b"docs/a\ndocs/c\n"
    assert program(*whole, "-0", "--dropped", "d").ok().out == b"docs/a\0docs/c\0"
    assert (program.folder / "d").read_bytes() == b"docs/b\0"


def test_a_pipe_that_pauses_is_answered_at_once(program: Program) -> None:
    pipe = subprocess.PIPE
    process = program.start("dedupe", "-m", "static", "--window", "2", "-q", stdin=pipe, stdout=pipe)
    assert process.stdin is not None
    assert process.stdout is not None

    def says(line: bytes) -> bytes:
        process.stdin.write(line)
        process.stdin.flush()
        return pause(process.stdout)

    assert says(b"disk is full\n") == b"disk is full\n"
    process.stdin.write(b"Disk is full!\n")
    process.stdin.flush()
    time.sleep(0.3)
    assert says(b"user logged in\n") == b"user logged in\n"
    assert says(b"the kettle boils over\n") == b"the kettle boils over\n"
    # Two kept lines later the first one is forgotten.
    assert says(b"Disk is full!\n") == b"Disk is full!\n"
    process.stdin.close()
    assert process.wait(20) == 0
    process.stdout.close()


def test_ready_vectors_are_compared_as_they_are(program: Program, write: Write) -> None:
    lines = b"a\nb\n\nc\n"
    np.save(program.folder / "v.npy", np.array([[1, 0], [0, 2], [0, 0], [3, 0.1]], dtype=np.float32))
    done = program("dedupe", "--vectors", "v.npy", "--threshold", "0.99", stdin=lines).ok()
    assert done.out == b"a\nb\n\n"
    own = b"".join(
        b'{"text":"%s","vector":%s}\n' % pair
        for pair in ((b"a", b"[1,0,0]"), (b"b", b"[0,1,0]"), (b"c", b"[0.01,1,0]"))
    )
    assert program("dedupe", "--vectors", "own", "--threshold", "0.99", stdin=own).ok().out == b"".join(
        own.splitlines(keepends=True)[:2]
    )
    np.save(program.folder / "w.npy", np.eye(6))
    refused = {
        ("--vectors", "v.npy"): "needs --threshold",
        ("--vectors", "v.npy", "--threshold", "0.9"): "4 vectors, and more records than that",
        ("--vectors", "w.npy", "--threshold", "0.9"): "6 vectors for 5 records",
        ("--vectors", "none.npy", "--threshold", "0.9"): "none.npy: No such file",
        ("--vectors", "own", "--threshold", "0.9"): "brings no vector",
    }
    for options, said in refused.items():
        done = program("dedupe", *options, "-o", "out", stdin=b"a\nb\n\nc\nd\n")
        assert done.code == 2
        assert said in done.err
        assert not (program.folder / "out").exists()


def test_what_makes_no_sense_is_refused(program: Program) -> None:
    for options, said in (
        (["--method", ""], "--method '' is not known"),
        (["--method", "exact,meaning"], "--method 'meaning' is not known"),
        (["--method", "exact", "--threshold", "0.9"], "--threshold is about the semantic stage"),
        (
            ["--method", "semantic", "--lexical-threshold", "0.9"],
            "--lexical-threshold is about the lexical stage",
        ),
        (["--keep", "best"], "--keep 'best' is not known"),
        (["--keep", "max"], "--keep 'max' is not known"),
        (["--mark", "--report", "r"], "--mark and --report exclude each other"),
        (["--check", "-o", "x"], "--check and --output exclude each other"),
        (["--window", "9", "--keep", "last"], "--window and --keep exclude each other"),
        (["--update"], "--against names 0"),
        (["--threshold", "1.5"], "--threshold"),
        (["--against", "none.txt"], "none.txt: no such file"),
        (["-i", "none.emb", "x.txt"], "--index and PATH exclude each other"),
    ):
        done = program("dedupe", *options, stdin=b"a\n")
        assert (done.code, done.out) == (2, b""), done.err
        assert said in done.err


def test_a_preview_says_what_the_line_would_do(program: Program, write: Write) -> None:
    write("t.txt", TICKETS)
    done = program("dedupe", "--preview", *LINE, "t.txt").ok()
    assert done.lines[0] == "6 records, 2 of them duplicates by their text alone"
    assert "t.txt:1: The refund has not arrived" in done.out.decode()
    assert [line.split() for line in done.lines if line.endswith("<")][-1] == ["0.8000", "3", "3", "<"]
    found = program("dedupe", "--preview", *LINE, "--json", stdin=TICKETS.encode()).ok().objects[0]
    assert (found["records"], found["threshold"]) == (6, 0.8)
    for kept in found["kept"]:
        line = ("--threshold", str(kept["threshold"]))
        out = program("dedupe", "-q", *line, stdin=TICKETS.encode()).ok().out
        # The blank line is kept, and no record.
        assert len(out.splitlines()) - 1 == kept["kept"]


def test_a_threshold_comes_from_texts_or_from_judged_pairs(program: Program, write: Write) -> None:
    words = ["bread", "harbour", "night", "server", "copy", "garden", "winter", "lamp", "mail", "queue"]
    texts = [
        f"The {one} stood beside the {two}, and then the {three} was gone."
        for one, two, three in itertools.combinations(words, 3)
    ]
    write("texts.txt", "\n".join(texts))
    done = program("dedupe", "--calibrate", "-m", "static", "texts.txt").ok()
    assert done.lines[0].startswith("--threshold 0.")
    assert done.out == program("dedupe", "--calibrate", "-m", "static", "texts.txt").ok().out
    pairs = write("p.csv", "a,b,same\nhello world,Hello world!,1\nfoo bar,something else,0\n")
    found = program("dedupe", "--calibrate", "--pairs", "a,b,same", pairs, "--json").ok().objects[0]
    assert (found["precision"], found["recall"], found["pairs"]) == (1, 1, 2)
    for options, said in (
        (["--calibrate", "t.txt", "--mark"], "--calibrate and --mark exclude each other"),
        (["--calibrate", "--pairs", "a,b", str(pairs)], "not the names of three fields"),
        (["--calibrate", "--save", "texts.txt", "-m", "static"], "stays as it is"),
        (["--calibrate"], "1 different texts"),
        (["--json"], "--json is about --calibrate and --preview"),
        (["--preview", "--method", "exact"], "--preview is about the semantic stage"),
    ):
        refused = program("dedupe", *options, stdin=b"one\n")
        assert (refused.code, refused.out) == (2, b""), options
        assert said in refused.err


def test_nothing_in_is_nothing_out(program: Program, write: Write) -> None:
    for content in (b"", b"\n \n"):
        done = program("dedupe", "--report", "r", stdin=content).ok()
        assert done.out == content
        assert (program.folder / "r").read_bytes() == b""
        assert "kept 0 of 0 records" in done.err
    write("bad.jsonl", b'{"text": "a"}\nno json\n{"text": "A"}\n')
    done = program("dedupe", "bad.jsonl", "--stats-json", "s.json")
    assert (done.code, done.out) == (3, b'{"text": "a"}\n')
    stats = json.loads((program.folder / "s.json").read_text())
    assert (stats["kept"], stats["dropped"], stats["normalized"], stats["skipped"]) == (1, 1, 1, 1)


@pytest.mark.parametrize("reader", ["head -1", "true"])
def test_a_reader_that_goes_away_is_no_error(program: Program, reader: str) -> None:
    done = program.shell(f"seq 20000 | embedcli dedupe -q --method exact | {reader}")
    assert (done.code, done.err) == (0, "")


def test_a_plan_finds_the_same_where_all_are_compared(program: Program) -> None:
    pytest.importorskip("hnswlib")
    lines = "".join(
        f"line {number % 7} of {number % 3} about {'bread' * (number % 5)}\n" for number in range(300)
    )
    found = [
        program("dedupe", "-m", "static", *LINE, "--plan", plan, stdin=lines.encode()).ok()
        for plan in ("exact", "auto", "blocks", "hnsw")
    ]
    # Too few for lists: those compare all, and do not speak of a share.
    assert found[0].out == found[1].out == found[2].out
    assert set(found[3].out.splitlines()) <= set(lines.encode().splitlines())
    refused = program("dedupe", "--plan", "tree", stdin=b"a\n")
    assert (refused.code, refused.out) == (2, b"")
    assert "--plan 'tree' is not known" in refused.err
