"""What people and scripts do that no manual mentions: closed streams, vanished roots, signals while loading."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Program, without_privileges

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Write = Callable[..., object]


@pytest.fixture
def docs(write: Write) -> None:
    write("docs/a.txt", "the fox jumps over the dog\n")
    write("more/b.txt", "the tax form is due in March\n")


@pytest.mark.parametrize(
    ("line", "code"), [("search fox none.txt", 2), ("search fox docs -q", 0), ("index check -i x.emb", 0)]
)
def test_a_closed_stderr_changes_neither_the_exit_code_nor_the_data(
    program: Program, docs: None, line: str, code: int
) -> None:
    program("index", "build", "-q", "-i", "x.emb", "docs").ok()
    done = program.shell(f"embedcli {line} 2>&-")
    assert (done.code, done.out) == (code, b"")


def test_a_closed_stdout_is_a_failure_with_words(program: Program, docs: None) -> None:
    done = program.shell("embedcli search fox docs >&-")
    assert done.code == 2
    assert "cannot write to standard output: it is closed" in done.err
    assert program.shell("embedcli search -q fox docs >&-").code == 0


def test_a_root_that_vanished_does_not_keep_the_others_from_being_refreshed(
    program: Program, docs: None, write: Write
) -> None:
    program("index", "build", "-q", "-i", "x.emb", "docs", "more/b.txt").ok()
    (program.folder / "more/b.txt").unlink()
    write("docs/c.txt", "slugs eat the salad at night\n")
    done = program("index", "build", "-i", "x.emb")
    assert done.code == 3
    assert "more/b.txt: no such file or directory; what the index has of it stays" in done.err
    assert "embedcli index remove -i x.emb more/b.txt" in done.err
    hit = program("search", "slugs", "-i", "x.emb", "-n", "1", "-l").ok()
    assert hit.lines == ["docs/c.txt"]
    assert "tax" in program("search", "tax", "-i", "x.emb", "-n", "1").ok().out.decode()
    program("index", "remove", "-q", "-i", "x.emb", "more/b.txt").ok()
    program("index", "build", "-q", "-i", "x.emb").ok()


def test_a_path_that_is_not_there_makes_no_index(program: Program, docs: None) -> None:
    assert program("index", "build", "-i", "x.emb", "docs", "none").code == 2
    assert not (program.folder / "x.emb").exists()


def test_a_build_that_was_killed_at_once_knows_its_roots(program: Program, write: Write) -> None:
    write("big.txt", "".join(f"line {n} of many about rivers and markets\n\n" for n in range(4000)))
    process = program.start("index", "build", "-q", "-i", "x.emb", "big.txt")
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (program.folder / "x.emb-wal").exists():
        time.sleep(0.02)
    time.sleep(1)
    process.kill()
    process.wait()
    assert program("index", "build", "-i", "x.emb", "--dry-run").code == 0


def test_a_read_only_index_is_sound(program: Program, docs: None) -> None:
    program("index", "build", "-q", "-i", "x.emb", "docs").ok()
    (program.folder / "x.emb").chmod(0o444)
    done = program("index", "check", "-i", "x.emb", before=without_privileges())
    assert (done.code, done.out) == (0, b"")
    assert "full-text table not checked" in done.err


def test_queries_from_a_folder_are_wrong_usage(program: Program, docs: None) -> None:
    done = program("search", "--queries", "docs", "more")
    assert done.code == 2
    assert "--queries docs is a folder" in done.err


def test_a_signal_while_libraries_are_loaded_is_no_bug(program: Program, docs: None) -> None:
    for delay in (0, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3):
        process = subprocess.Popen(
            [sys.executable, "-X", "importtime", "-m", "embedcli", "search", "fox", "docs"],
            cwd=program.folder,
            env={key: value for key, value in program.environment.items() if not key.startswith("COV")},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        assert process.stderr is not None
        # A signal before the program's first module is loaded is the interpreter's own affair.
        while not process.stderr.readline().endswith(b" embedcli\n"):
            assert process.poll() is None
        time.sleep(delay)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        said = [line for line in err.splitlines() if not line.startswith(b"import time:")]
        # Before the handler is set the signal ends the process; after the end of the work there is none.
        assert process.returncode in (130, -signal.SIGINT, 0), err.decode()
        assert b"bug" not in b"".join(said)


def test_one_mistake_is_not_told_for_every_line(program: Program, write: Callable[..., Path]) -> None:
    write("rows.jsonl", '{"body": "a dog"}\n' * 500 + '{"body"\n' * 2)
    done = program("embed", "rows.jsonl")
    lines = done.err.splitlines()
    assert done.code == 3
    assert len([line for line in lines if "no field 'text'" in line]) == 11
    assert any(line.startswith("embedcli: rows.jsonl: 490 more lines: no field 'text'") for line in lines)
    assert [line for line in lines if ":501:" in line]
    assert [line for line in lines if ":502:" in line]
    every = program("embed", "rows.jsonl", "-v")
    assert len([line for line in every.err.splitlines() if "no field 'text'" in line]) == 500


def test_a_field_that_no_record_has_is_named(program: Program, write: Callable[..., Path]) -> None:
    write("rows.jsonl", '{"text": "a dog", "meta": {"lang": "en"}}\n')
    program("index", "build", "-q", "-i", "x.emb", "rows.jsonl").ok()
    for place in (("rows.jsonl",), ("-i", "x.emb")):
        done = program("search", "dog", *place, "--where", 'staus = "open" and id = "x"')
        assert (done.code, done.out) == (1, b"")
        assert done.err == "embedcli: --where: no record has a field 'staus'\n"
        assert program("search", "dog", *place, "--where", 'meta.lang = "de"').err == ""
        assert program("search", "dog", *place, "--where", 'staus = "open"', "-q").err == ""


@pytest.mark.parametrize(
    ("option", "said"),
    [
        (("--column", "body"), "standard input is read as lines, which have no columns"),
        (("--field", "body"), "standard input begins with no object that has the field 'body'"),
    ],
)
def test_a_table_in_a_pipe_is_not_taken_for_lines(
    program: Program, option: tuple[str, str], said: str
) -> None:
    refused = program("embed", *option, stdin=b"body,n\na text,1\n")
    assert (refused.code, refused.out) == (2, b"")
    assert refused.err.startswith(f"embedcli: {said}\nhint: --format ")
    assert program("embed", *option, "-q", stdin=b"").ok().out == b""
    assert program("embed", *option, "-q", "--format", "csv", stdin=b"body,n\na text,1\n").ok().objects
