"""What `search` prints on a terminal: a real one, of 60 columns, its bytes as they come."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios
import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from embedcli.write.columns import columns
from tests.conftest import Program

Write = Callable[..., Path]

WIDTH = 60
RED = "\x1b[01;31m"
SGR = re.compile(r"\x1b\[[0-9;]*m")
LINK = re.compile("\x1b]8;;(.*?)\x1b\\\\(.*?)\x1b]8;;\x1b\\\\")

LONG = (
    "The tax is due in March. All forms are at the office.\nMounting a volume failed again. The dog sleeps on the\n"
    "sofa the whole day. Pens \x1b[31m漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字漢字."
)


@pytest.fixture
def shelf(program: Program, write: Write) -> Program:
    """The program beside `notes.jsonl` with an index of it by the static model, and a text file."""
    texts = [LONG, "Dogs and a dog.", "Nothing else matters here at all."]
    rows = [{"id": f"n{number}", "text": text} for number, text in enumerate(texts)]
    write("notes.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    write("a folder/dögs #1.txt", "one dog\ntwo cats\nthree dogs\n")
    program("index", "build", "-m", "static", "-i", "notes.emb", "notes.jsonl", "-q").ok()
    return program


def on_terminal(
    program: Program, *arguments: object, term: str = "xterm-256color", **environment: str
) -> str:
    """Return what a run writes to a terminal on which nothing is translated; standard error is no part of it."""
    ours, its = pty.openpty()
    settings = termios.tcgetattr(its)
    settings[1] &= ~termios.OPOST
    termios.tcsetattr(its, termios.TCSANOW, settings)
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, WIDTH, 0, 0))
    parts: list[bytes] = []

    def read() -> None:
        while True:
            try:
                parts.append(os.read(ours, 65_536))
            except OSError:
                # Linux's word for the end of what a terminal gives.
                return

    process = program.start(
        *arguments,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=subprocess.PIPE,
        env={"TERM": term, **environment},
    )
    os.close(its)
    reader = threading.Thread(target=read)
    reader.start()
    _, said = process.communicate(timeout=120)
    reader.join()
    os.close(ours)
    assert process.returncode == 0, said
    return b"".join(parts).decode("utf-8")


def bare(shown: str) -> str:
    """Return what is seen."""
    return SGR.sub("", LINK.sub(r"\2", shown))


def test_the_words_are_marked_and_the_line_fits(shelf: Program) -> None:
    for mode in ("hybrid", "lexical"):
        shown = on_terminal(shelf, "search", "dogs sleep", "-i", "notes.emb", "--mode", mode, "-n", 2)
        assert SGR.sub("", shown).count("\x1b]8;;") == 4
        by_line = {bare(line).split(":")[1]: line for line in shown.splitlines()}
        assert f"{RED}Dogs\x1b[m and a {RED}dog\x1b[m." in by_line["2"]
        # It begins with its best sentence, and ends where the terminal does.
        assert bare(by_line["1"]).split(":", 3)[3].startswith("…The dog sleeps on the sofa")
        assert f"…The {RED}dog\x1b[m {RED}sleeps\x1b[m on the sofa" in by_line["1"]
        assert bare(by_line["1"]).endswith("…")
        assert all(columns(bare(line)) <= WIDTH for line in by_line.values())
        again = on_terminal(shelf, "search", "dogs sleep", "-i", "notes.emb", "--mode", mode, "-n", 2)
        assert again == shown


def test_escapes_and_wide_characters_in_the_best_sentence(shelf: Program) -> None:
    shown = on_terminal(shelf, "search", "pens", "-i", "notes.emb", "--mode", "lexical")
    (line,) = shown.splitlines()
    text = bare(line).split(":", 3)[3]
    assert text.startswith("…Pens \\x1b[31m漢字")
    assert "\x1b[31m" not in line.replace(RED, "")
    assert columns(bare(line)) == WIDTH
    assert f"{RED}Pens\x1b[m \\x1b" in line
    assert line.endswith("漢字…")


def test_by_meaning_where_an_encoder_is_and_by_words_where_none_is(shelf: Program) -> None:
    question = "dogs tired sleepy puppy office"
    texts = {}
    for mode in ("dense", "lexical"):
        shown = on_terminal(shelf, "search", question, "-i", "notes.emb", "--mode", mode, "-n", 3)
        texts[mode] = next(line for line in map(bare, shown.splitlines()) if ":1:" in line).split(":", 3)[3]
    assert texts["dense"].startswith("…The dog sleeps on the")
    assert texts["lexical"].startswith("…All forms are at the office.")


def test_path_and_line_are_a_link_on_a_coloured_terminal_alone(shelf: Program, write: Write) -> None:
    command = ("search", "dog", "a folder", "-m", "static", "--chunking", "lines")
    shown = on_terminal(shelf, *command)
    found = LINK.findall(shown)
    assert len(found) == 3
    for url, text in found:
        parts = urlsplit(url)
        assert (parts.scheme, parts.netloc, parts.fragment) == ("file", os.uname().nodename, "")
        assert Path(os.fsdecode(unquote_to_bytes(parts.path))) == shelf.folder / "a folder" / "dögs #1.txt"
        assert url.isascii()
        assert re.fullmatch(r"a folder/dögs #1\.txt:[123]", SGR.sub("", text))
    assert "\x1b]" not in on_terminal(shelf, *command, term="dumb")
    assert "\x1b]" not in on_terminal(shelf, *command, "--color", "always", term="dumb")
    assert "\x1b" not in on_terminal(shelf, *command, NO_COLOR="1")
    piped = shelf(*command, "--color", "always").ok().out.decode()
    assert "\x1b]" not in piped
    assert RED in piped
    assert "\x1b" not in shelf(*command, env={"TERM": "xterm"}).ok().out.decode()
    assert LINK.sub(r"\2", shown) == shelf(*command, "--color", "always").ok().out.decode()


def test_a_pipe_gets_the_whole_text(shelf: Program) -> None:
    whole = " ".join(LONG.split())
    for options in ((), ("--mode", "lexical")):
        plain = shelf("search", "dogs sleep", "-i", "notes.emb", *options, "-n", 2).ok().out.decode()
        assert f":{whole}\n" in plain
        colored = shelf(
            "search", "dogs sleep", "-i", "notes.emb", *options, "-n", 2, "--color", "always"
        ).ok()
        assert f"The {RED}dog\x1b[m {RED}sleeps\x1b[m on the sofa" in colored.out.decode()
        assert SGR.sub("", colored.out.decode()) == SGR.sub("", plain)


def test_marks_in_files_pipes_and_around_hits(shelf: Program) -> None:
    piped = shelf(
        "search", "dog", "-", "-m", "static", "--color", "always", "-n", 2, stdin=b"my dog\nDogs, cats\n"
    ).ok()
    assert piped.out.count(RED.encode() + b"dog\x1b[m") == 1
    assert piped.out.count(RED.encode() + b"Dogs\x1b[m") == 1
    around = shelf(
        *(
            "search",
            "three dogs",
            "a folder/dögs #1.txt",
            "-m",
            "static",
            "-n",
            1,
            "-B",
            2,
            "--color",
            "always",
        )
    ).ok()
    lines = around.out.decode().splitlines()
    assert [RED in line for line in lines] == [False, False, True]
    assert lines[0].endswith("one dog")
    found = shelf(
        "search",
        "x",
        "-i",
        "notes.emb",
        "--lexical-query",
        '"a dog"',
        "--mode",
        "lexical",
        "--color",
        "always",
    )
    assert f"{RED}a dog\x1b[m".encode() in found.ok().out


def test_nul_ends_hits_and_counts(shelf: Program, write: Write) -> None:
    search = ("search", "dogs sleep", "-i", "notes.emb", "--mode", "lexical")
    done = shelf(*search, "-0").ok()
    hits = done.out.split(b"\0")
    assert hits.pop() == b""
    assert len(hits) == 2
    texts = {hit.split(b":", 3)[3].decode() for hit in hits}
    assert texts == {LONG, "Dogs and a dog."}
    assert shelf(*search, "-0c").ok().out == b"notes.jsonl:2\0"
    assert shelf(*search, "-0l").ok().out == b"notes.jsonl\0"
    shown = on_terminal(shelf, *search, "-0", "--color", "never")
    assert LONG.replace("\x1b", "\\x1b") + "\0" in shown
    for form in ("--json", "--trec", "-C1"):
        done = shelf(*search, "-0", form)
        assert (done.code, done.out) == (2, b"")
        assert done.err.startswith("embedcli: -0 ends each hit with NUL; ")
    # With a list of paths it is the list's.
    write("list", "a folder/dögs #1.txt\0")
    listed = ("search", "dog", "--files-from", "list", "-0", "-m", "static")
    assert shelf(*listed).ok().out.count(b"\n") == 3
    assert len(shelf(*listed, "--json").ok().objects) == 3
    assert shelf(*listed, "-l").ok().out == "a folder/dögs #1.txt\0".encode()


def test_json_has_the_span_of_each_hit(shelf: Program, write: Write) -> None:
    text = (
        "First of all. The dog sleeps.\n\nAnother paragraph is about 漢字 and a cat.\n\n"
        + "The end of it. " * 30
    )
    write("whole/a.md", text)
    build = ("index", "build", "-m", "static", "whole", "-q", "--chunking", "sentences")
    shelf(*build, "-i", "whole.emb").ok()
    shelf(*build, "-i", "bare.emb", "--no-text").ok()
    spans = {}
    for name in ("whole --chunking sentences", "-i whole.emb", "-i whole.emb --mode lexical", "-i bare.emb"):
        query = ("search", "the cat", *name.split(), "-m", "static", "--by", "chunk", "--no-collapse")
        found = shelf(*query, "--json", "-n", 9).ok().objects
        assert all(hit["text"] in (None, text[hit["start"] : hit["end"]]) for hit in found)
        spans[name] = {(hit["start"], hit["end"]) for hit in found}
        assert len(spans[name]) == len(found)
    assert len(found) > 2
    assert (
        spans["whole --chunking sentences"]
        == spans["-i whole.emb"]
        == spans["-i bare.emb"]
        >= spans["-i whole.emb --mode lexical"]
    )
    assert list(found[0]).index("start") == list(found[0]).index("end_line") + 1
    lines = shelf("search", "dog", "notes.jsonl", "-m", "static", "--json", "-n", 9).ok().objects
    assert {(hit["start"], hit["end"]) for hit in lines} == {(0, len(hit["text"])) for hit in lines}
