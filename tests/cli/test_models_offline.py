"""Only `models add` and `models sync` use a network; with none, everything else works and never looks for one."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.compat.make_index import HERE
from tests.conftest import Program, bare_environment

if TYPE_CHECKING:
    from pathlib import Path

WATCH = """
import os, sys

NETWORK = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto")
FETCHING = ("embedcli.fetch", "huggingface_hub")

def watch(event, arguments):
    if event in NETWORK or (event == "import" and arguments[0].startswith(FETCHING)):
        with open(os.environ["WATCHED"], "a") as stream:
            print(event, arguments[0] if event == "import" else arguments, file=stream)
        if event in NETWORK:
            raise OSError("the network is cut")

sys.addaudithook(watch)
"""
"""What Python does is written down and refused; what libraries do below it meets a network without an exit."""


def can_unshare() -> bool:
    """Whether this kernel gives a process a network of its own, with nothing in it."""
    try:
        done = subprocess.run(["unshare", "-rn", "true"], capture_output=True, check=False)
    except OSError:
        return False
    return done.returncode == 0


@pytest.fixture
def watched(tmp_path: Path) -> Path:
    return tmp_path / "watched"


@pytest.fixture
def offline(program: Program, tmp_path: Path, watched: Path) -> Program:
    """The program without a network, and with every attempt at one written down."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(WATCH)
    environment = program.environment | {
        "PYTHONPATH": f"{folder}:{program.environment['PYTHONPATH']}",
        "WATCHED": str(watched),
        "EMBEDCLI_MODELS": str(HERE / "models"),
    }
    return replace(program, environment=environment)


@pytest.fixture
def cut() -> list[str]:
    return ["unshare", "-rn"] if can_unshare() else []


COMMANDS = (
    ("--help",),
    ("--version",),
    ("embed", "notes.txt"),
    ("embed", "-m", "tiny", "notes.txt", "--no-cache"),
    ("search", "dog", "notes.txt"),
    ("index", "build", "notes.txt", "-i", "x.emb"),
    ("index", "status", "-i", "x.emb"),
    ("index", "check", "-i", "x.emb"),
    ("search", "dog", "-i", "x.emb"),
    ("models", "--help"),
    ("models", "list"),
    ("models", "show"),
    ("models", "show", "tiny", "--json"),
    ("models", "verify"),
    ("models", "verify", "--all"),
    ("models", "test"),
    ("models", "add", "--help"),
    ("cache", "status"),
    ("doctor",),
)


def test_every_command_works_without_a_network_and_never_looks_for_one(
    offline: Program, watched: Path, cut: list[str]
) -> None:
    (offline.folder / "notes.txt").write_text("the dog runs\na cat sleeps\n")
    for command in COMMANDS:
        done = offline(*command, before=cut)
        assert done.code == 0, (command, done.err)
        assert done.out or done.err, command
        assert not watched.exists(), (command, watched.read_text())


def test_what_reads_and_removes_models_needs_no_network_either(
    offline: Program, watched: Path, cut: list[str], tmp_path: Path
) -> None:
    models = {"EMBEDCLI_MODELS": str(tmp_path / "models")}
    for command in (
        ("models", "add", HERE / "models" / "tiny"),
        ("models", "lock", "-o", "lock.toml"),
        ("models", "sync", "lock.toml", "--check"),
        ("models", "sync", "lock.toml"),
        ("models", "remove", "tiny"),
    ):
        done = offline(*command, before=cut, env=models)
        assert done.code == 0, (command, done.err)
    assert "socket" not in watched.read_text()


def test_the_watch_sees_what_it_is_for(offline: Program, watched: Path, cut: list[str]) -> None:
    done = offline("models", "add", "hf:owner/name", before=cut, env={"HF_ENDPOINT": "http://127.0.0.1:9"})
    assert done.code == 2
    assert "cannot be reached" in done.err
    seen = watched.read_text()
    assert "import embedcli.fetch" in seen
    assert "socket." in seen


def test_importing_the_command_line_imports_nothing_that_fetches() -> None:
    code = (
        "import sys, embedcli, embedcli.cli.main, embedcli.cli.models_add\n"
        "bad = [name for name in sys.modules if name.startswith(('embedcli.fetch', 'huggingface_hub', 'ssl', 'http.'))]\n"
        "sys.exit(' '.join(bad) or 0)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, env=bare_environment()
    )
    assert done.returncode == 0, done.stderr
