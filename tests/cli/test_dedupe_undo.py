"""`embedcli dedupe --undo` as a real process."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program

Write = Callable[..., Path]

TEXTS = ("--method", "exact,normalized,lexical")

INPUTS = {
    "t.txt": b"one thing\nanother\n\nOne thing!\n\xff wrong \xc3\nanother\n\n\xff wrong \xc3\nlast, without an end",
    "t.csv": b'\xef\xbb\xbfid,text\r\n1,"a ""quoted"", cell"\r\n2,"two\r\nlines"\r\n3,"A quoted, cell"\r\n4,two lines\r\n',
    "t.jsonl": b'{"text": "one \\ud83d\\ude00"}\n{"text":"ONE \xf0\x9f\x98\x80"}\n{"text":"two","n":1e400}\n{"n":2,"text":"Two"}',
}


@pytest.mark.parametrize("name", INPUTS)
@pytest.mark.parametrize("keep", ["first", "last"])
def test_the_input_comes_back(program: Program, write: Write, name: str, keep: str) -> None:
    write(name, INPUTS[name])
    program("dedupe", *TEXTS, "--keep", keep, name, "-o", "kept", "--report", "r.jsonl").ok()
    kept = (program.folder / "kept").read_bytes()
    assert len(kept) < len(INPUTS[name])
    assert program("dedupe", "--undo", "r.jsonl", "kept").ok().out == INPUTS[name]
    assert program("dedupe", "--undo", "r.jsonl", "-", stdin=kept).ok().out == INPUTS[name]
    program("dedupe", "--undo", "r.jsonl", "kept", "-o", "kept").ok()
    assert (program.folder / "kept").read_bytes() == INPUTS[name]


def test_what_does_not_belong_together_leaves_no_file(program: Program, write: Write) -> None:
    write("t.txt", INPUTS["t.txt"])
    program("dedupe", *TEXTS, "t.txt", "-o", "kept", "--report", "r.jsonl").ok()
    write("other", (program.folder / "kept").read_bytes().replace(b"another", b"an other"))
    write("old", b"old")
    failed = program("dedupe", "--undo", "r.jsonl", "other", "-o", "old")
    assert failed.code == 2
    assert failed.err.splitlines() == [
        "embedcli: what was kept is not what line 1 of the report tells of",
        "hint: give the report and the output of the same run, both as they were written",
    ]
    assert (program.folder / "old").read_bytes() == b"old"
    failed = program("dedupe", "--undo", "kept", "r.jsonl")
    assert failed.code == 2
    assert failed.out == b""
    assert failed.err.splitlines() == [
        "embedcli: line 1 of the report is none that dedupe wrote",
        "hint: --undo takes what --report wrote",
    ]
    missing = program("dedupe", "--undo", "nowhere", "kept")
    assert (missing.code, missing.out) == (2, b"")


def test_a_large_output_is_not_held_in_memory(program: Program) -> None:
    line = b"x" * 1000 + b"\n"
    kept = program.folder / "kept"
    with kept.open("wb") as stream:
        for _ in range(120_000):
            stream.write(line)
    (program.folder / "r.jsonl").write_bytes(b"")
    code = (
        "import sys; from embedcli.cli.main import main\n"
        "sys.argv = ['embedcli', 'dedupe', '--undo', 'r.jsonl', 'kept', '-o', 'all']\n"
        "try: main()\n"
        "except SystemExit as end: code = end.code or 0\n"
        "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "print(code, peak.split()[1])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=program.folder, capture_output=True, check=True)
    exit_code, peak_kib = done.stdout.split()
    assert exit_code == b"0"
    assert int(peak_kib) < 100_000
    assert (program.folder / "all").stat().st_size == kept.stat().st_size
