"""The contract with the shell: streams, exit codes, odd inputs. Every test runs the real program."""

from __future__ import annotations

import json
import os
import pty
import resource
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Program, without_privileges

Write = Callable[..., Path]
COMMANDS = (
    ("embed",),
    ("search",),
    ("doctor",),
    ("index",),
    ("index", "build"),
    ("index", "status"),
    ("models",),
    ("models", "list"),
    ("models", "show"),
    ("models", "verify"),
    ("models", "test"),
    ("models", "add"),
    ("models", "remove"),
    ("models", "lock"),
    ("models", "sync"),
    ("models", "export"),
    ("models", "distill"),
    ("models", "merge"),
    ("cache",),
    ("cache", "status"),
    ("cache", "clear"),
)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_goes_to_stdout_and_says_what_the_command_does(
    program: Program, command: tuple[str, ...]
) -> None:
    done = program(*command, "--help").ok()
    assert done.out.startswith(f"Usage: embedcli {' '.join(command)} ".encode())
    assert done.err == ""


def test_help_leads_with_examples(program: Program) -> None:
    for command in (("--help",), ("embed", "--help"), ("search", "--help"), ("index", "build", "--help")):
        text = program(*command).ok().out.decode()
        assert 0 < text.index("  embedcli ") < text.index("Options:")


def test_version(program: Program) -> None:
    assert program("--version").ok().out.startswith(b"embedcli 0.")


def test_no_command_and_unknown_commands(program: Program) -> None:
    assert program().code == 2 or program().out.startswith(b"Usage")
    assert program("frobnicate").code == 2


@pytest.mark.parametrize(
    "line", ["embedcli --help | true", "embedcli --help | head -1", "embedcli embed --help | head -1"]
)
def test_a_closed_pipe_is_quiet(program: Program, line: str) -> None:
    done = program.shell(line)
    assert (done.code, done.err) == (0, "")


def test_a_reader_that_leaves_in_the_middle(program: Program, write: Write) -> None:
    write("many.txt", "".join(f"line number {number}\n" for number in range(10_000)))
    start = time.monotonic()
    done = program.shell("embedcli embed many.txt --no-cache | head -1")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["text"] == "line number 0"
    assert time.monotonic() - start < 60, "and the rest is not encoded"


@pytest.mark.parametrize(
    "command",
    [
        "embed --string x",
        "embed --string x --to npy",
        "search x a.txt",
        "search x a.txt --json",
        "--help",
        "models list",
        "doctor",
        "embed < /dev/null --to csv",
    ],
)
def test_a_full_device_is_exit_2_with_one_line(program: Program, write: Write, command: str) -> None:
    write("a.txt", "text\n")
    done = program.shell(f"embedcli {command} > /dev/full")
    assert done.code == 2
    assert "No space left on device" in done.err
    assert len(done.err.splitlines()) == 1


def test_an_output_that_cannot_be_written(program: Program) -> None:
    assert "No space left" in program("embed", "--string", "x", "-o", "/dev/full").err
    missing = program("embed", "--string", "x", "-o", "no/such/folder/x.npy")
    assert missing.code == 2
    assert "the folder does not exist" in missing.err


def test_nothing_in_nothing_out(program: Program) -> None:
    for stdin in (b"", None):
        done = (
            program("embed", stdin=stdin)
            if stdin is not None
            else program.shell("embedcli embed < /dev/null")
        )
        assert (done.code, done.out, done.err) == (0, b"", "")


def test_a_terminal_on_stdin_is_wrong_usage_where_input_is_needed(program: Program) -> None:
    master, slave = pty.openpty()
    try:
        for command in (["embed"], ["search", "query"]):
            done = subprocess.run(
                [*program.command, *command],
                stdin=slave,
                capture_output=True,
                cwd=program.folder,
                env=program.environment,
                timeout=60,
                check=False,
            )
            assert done.returncode == 2
            assert b"standard input is a terminal" in done.stderr
    finally:
        os.close(master)
        os.close(slave)


def test_bytes_that_are_not_utf8_are_replaced_and_counted(program: Program, write: Write) -> None:
    write("latin.txt", b"caf\xe9\nplain\nna\xefve\n")
    done = program("embed", "latin.txt", "--stats-json", "s.json").ok()
    assert [line["text"] for line in done.objects] == ["caf\ufffd", "plain", "na\ufffdve"]
    assert "2 texts with bytes that are not UTF-8" in done.err
    assert json.loads((program.folder / "s.json").read_text())["replaced"] == 2


def test_a_line_of_200_megabytes_costs_bounded_memory_and_is_named(program: Program, write: Write) -> None:
    line = b"one two three four five " * 8_738_134
    assert len(line) > 200_000_000
    length = len(line)
    path = write("huge.txt", b"before\n" + line + b"\nafter\n")
    del line

    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (1 << 30, 1 << 30))

    done = program("embed", "huge.txt", "--jobs", 1, preexec_fn=bound)
    path.unlink()
    assert done.code == 3
    assert f"huge.txt:2: a record of {length + 1} bytes" in done.err, "its line feed counted in"
    assert "hint: --max-record-bytes" in done.err
    assert [record["text"] for record in done.objects] == ["before", "after"]


def test_a_long_line_can_be_cut_when_it_is_let_in(program: Program) -> None:
    done = program(
        "embed",
        "--max-record-bytes",
        "64M",
        "--on-long",
        "truncate",
        "--no-text",
        stdin=b"some words " * 3_000_000,
    ).ok()
    assert len(done.objects) == 1
    assert "cut to its beginning" in done.err


def test_a_folder_with_a_binary_file(program: Program, write: Write) -> None:
    write("docs/a.txt", "text\n")
    write("docs/b.png", b"\x89PNG\0\0")
    done = program("embed", "docs").ok()
    assert [line["id"] for line in done.objects] == ["docs/a.txt:1"]
    assert "docs/b.png" in done.err
    forced = program("embed", "docs", "--text").ok()
    assert len(forced.objects) == 2


def test_an_unreadable_file_is_named_and_the_rest_is_done(program: Program, write: Write) -> None:
    write("docs/a.txt", "text\n")
    write("docs/b.txt", "secret\n").chmod(0)
    done = program("embed", "docs", before=without_privileges())
    assert done.code == 3
    assert [line["id"] for line in done.objects] == ["docs/a.txt:1"]
    assert "docs/b.txt" in done.err
    assert "ermission denied" in done.err
    found = program("search", "text", "docs", before=without_privileges())
    assert found.code == 3
    assert found.lines[0].startswith("docs/a.txt:1:")


def test_a_fifo_is_read_when_it_is_named_and_passed_over_in_a_folder(program: Program, write: Write) -> None:
    write("docs/a.txt", "text\n")
    os.mkfifo(program.folder / "docs/pipe")
    assert len(program("embed", "docs").ok().objects) == 1
    done = program.shell("printf 'from the pipe\\n' > docs/pipe & embedcli embed docs/pipe; wait")
    assert done.ok().objects[0]["text"] == "from the pipe"


def test_links(program: Program, write: Write) -> None:
    write("docs/a.txt", "text\n")
    (program.folder / "docs/loop").symlink_to("loop")
    (program.folder / "docs/up").symlink_to("..")
    (program.folder / "docs/out").symlink_to("/etc/hostname")
    (program.folder / "named").symlink_to("docs/a.txt")
    assert len(program("embed", "docs").ok().objects) == 1, "links in a folder are not followed"
    assert program("embed", "named").ok().objects[0]["text"] == "text"
    loop = program("embed", "docs/loop")
    assert loop.code == 2
    assert "docs/loop" in loop.err
    (program.folder / "dangling").symlink_to("nowhere")
    assert program("embed", "dangling").code == 2


def test_bad_json_lines_are_named_and_the_rest_is_done(program: Program, write: Write) -> None:
    write(
        "in.jsonl",
        '{"text": "one"}\n{broken\n{"other": 1}\n{"id": 1, "text": "two"}\n{"id": "1", "text": "again"}\n',
    )
    done = program("embed", "in.jsonl")
    assert done.code == 3
    assert [line["text"] for line in done.objects] == ["one", "two"]
    for place in ("in.jsonl:2", "in.jsonl:3", "in.jsonl:5"):
        assert place in done.err


def test_no_home_no_locale_closed_stdin_no_terminal(program: Program, write: Write) -> None:
    write("a.txt", "naïve café\n")
    done = subprocess.run(
        [
            "env",
            "-i",
            f"PYTHONPATH={program.environment['PYTHONPATH']}",
            "LC_ALL=C",
            *program.command,
            "embed",
            "a.txt",
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        cwd=program.folder,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["text"] == "naïve café"
    closed = program.shell("embedcli embed a.txt <&-")
    assert closed.ok().objects
    assert program.shell("embedcli search cafe <&-").code == 2


def test_memory_limits_are_no_traceback(program: Program) -> None:
    def bound() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (200 << 20, 200 << 20))

    done = subprocess.run(
        [*program.command, "embed", "--string", "x"],
        capture_output=True,
        cwd=program.folder,
        env=program.environment,
        timeout=60,
        check=False,
        preexec_fn=bound,
    )
    assert done.returncode != 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_signals(program: Program, write: Write, number: int, code: int) -> None:
    write("many.txt", "".join(f"line number {number} goes on for a while\n" for number in range(200_000)))
    process = program.start("embed", "many.txt", "-o", "out.jsonl", stderr=subprocess.PIPE)
    time.sleep(2)
    process.send_signal(number)
    start = time.monotonic()
    _, error = process.communicate(timeout=30)
    assert process.returncode == code
    assert time.monotonic() - start < 5
    assert b"Traceback" not in error
    assert [path.name for path in program.folder.iterdir()] == ["many.txt"], "no half-written output"


def test_the_config_file_gives_defaults_below_environment_and_flags(program: Program, write: Write) -> None:
    config = write("config.toml", 'top-k = 1\n[search]\ncolor = "always"\n')
    env = {"EMBEDCLI_CONFIG": str(config)}
    write("a.txt", "one\ntwo\nthree\n")
    done = program("search", "one", "a.txt", env=env).ok()
    assert len(done.lines) == 1
    assert b"\x1b[" in done.out
    assert b"\x1b[" not in program("search", "one", "a.txt", env=env | {"EMBEDCLI_COLOR": "never"}).ok().out
    assert len(program("search", "one", "a.txt", "-n", 3, env=env).ok().lines) == 3
    for text, message in (
        ("topk = 1\n", "no command has an option --topk"),
        ("[serch]\ncolor = 'never'\n", "no command named 'serch'"),
        ("[search]\ncolour = 'never'\n", "[search] has no option --colour"),
        ("broken", "config.toml"),
    ):
        write("config.toml", text)
        done = program("search", "one", "a.txt", env=env)
        assert done.code == 2
        assert message in done.err


def test_nothing_is_read_from_the_working_tree(program: Program, write: Write) -> None:
    write("config.toml", "broken")
    write(".embedcli/config.toml", "broken")
    write("a.txt", "one\n")
    assert program("embed", "a.txt").ok().objects[0]["text"] == "one"


def test_models_and_cache_commands(program: Program, write: Write) -> None:
    assert program("models", "list").ok().lines[1].startswith("*all-MiniLM-L6-v2")
    shown = program("models", "show").ok().out.decode()
    assert "languages other than English" in shown
    assert "Apache-2.0" in shown
    facts = json.loads(program("models", "show", "--json").ok().out)
    assert (facts["dim"], facts["max_tokens"], facts["pooling"]) == (384, 256, "mean")
    assert json.loads(program("models", "list", "--json").ok().lines[0])["name"] == "all-MiniLM-L6-v2"
    assert "are what the manifest says" in program("models", "verify").ok().out.decode()
    report = json.loads(program("models", "test", "--json").ok().out)
    assert report["passed"]
    assert report["cosine_min"] > 0.98
    write("a.txt", "one\ntwo\n")
    program("embed", "a.txt").ok()
    assert json.loads(program("cache", "status", "--json").ok().out)["entries"] == 2
    assert "removed 2 vectors" in program("cache", "clear").ok().err
    assert json.loads(program("cache", "status", "--json").ok().out)["entries"] == 0


def test_doctor_reports_versions_and_faults(program: Program) -> None:
    facts = json.loads(program("doctor", "--json").ok().out)
    assert facts["faults"] == []
    assert "all-MiniLM-L6-v2" in facts["known models"]
    assert facts["cpus"] >= 1
    broken = program("doctor", "--json", env={"EMBEDCLI_MODEL": "nothing"})
    assert broken.code == 2
    assert "no model named 'nothing'" in json.loads(broken.out)["faults"][0]


def test_debug_shows_where_it_failed(program: Program) -> None:
    done = subprocess.run(
        [*program.command, "--debug", "embed", "no-such-file"],
        capture_output=True,
        cwd=program.folder,
        env=program.environment,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert b"Traceback" in done.stderr
