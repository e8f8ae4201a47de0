"""Shared by all tests: Hypothesis in a fixed profile, and the program as a real process."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from collections.abc import Callable

settings.register_profile(
    "gate",
    derandomize=True,
    # How long an example takes to make or to try says something about the machine alone.
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.load_profile("gate")

REPOSITORY = Path(__file__).resolve().parent.parent
SECONDS = 120


@dataclass(frozen=True)
class Finished:
    """A process that has ended."""

    code: int
    out: bytes
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.decode().splitlines()

    @property
    def objects(self) -> list[Any]:
        return [json.loads(line) for line in self.out.splitlines()]

    def ok(self) -> Finished:
        """Return self, having checked that the run went well."""
        assert self.code == 0, self.err
        return self


@dataclass(frozen=True)
class Program:
    """The program, with its own home, in its own folder."""

    folder: Path
    environment: dict[str, str]

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "embedcli"]

    def __call__(self, *arguments: object, stdin: bytes | None = b"", **options: Any) -> Finished:
        """Run it to its end. No standard input means an empty one."""
        done = subprocess.run(
            [*options.pop("before", []), *self.command, *map(str, arguments)],
            input=stdin,
            capture_output=True,
            cwd=options.pop("cwd", self.folder),
            env=self.environment | options.pop("env", {}),
            timeout=SECONDS,
            check=False,
            **options,
        )
        assert "Traceback" not in done.stderr.decode(errors="replace"), done.stderr.decode(errors="replace")
        return Finished(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))

    def start(self, *arguments: object, **options: Any) -> subprocess.Popen[bytes]:
        """Start it and return the process."""
        return subprocess.Popen(
            [*self.command, *map(str, arguments)],
            cwd=self.folder,
            env=self.environment | options.pop("env", {}),
            **options,
        )

    def shell(self, line: str, **options: Any) -> Finished:
        """Run a line of shell in which `embedcli` is the program."""
        shim = self.folder / ".bin"
        if not shim.exists():
            shim.mkdir()
            script = shim / "embedcli"
            script.write_text(f'#!/bin/sh\nexec {sys.executable} -m embedcli "$@"\n')
            script.chmod(0o755)
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=options.pop("cwd", self.folder),
            env=self.environment
            | {"PATH": f"{shim}:{Path(sys.executable).parent}:{os.environ['PATH']}"}
            | options.pop("env", {}),
            timeout=SECONDS,
            check=False,
        )
        return Finished(done.returncode, done.stdout, done.stderr.decode("utf-8", "replace"))


def bare_environment() -> dict[str, str]:
    """Return the environment without what makes coverage start in subprocesses: it loads modules itself."""
    return {key: value for key, value in os.environ.items() if not key.startswith("COV")}


@pytest.fixture(scope="session")
def graphs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for optimized graphs, so that each process does not make its own."""
    return tmp_path_factory.mktemp("graphs")


@pytest.fixture
def program(tmp_path: Path, graphs: Path) -> Program:
    """The program in an empty folder, with an empty home and an empty vector cache."""
    home = tmp_path / "home"
    cache = home / "cache"
    cache.mkdir(parents=True)
    (cache / "graphs").symlink_to(graphs)
    work = tmp_path / "work"
    work.mkdir()
    keep = {key: os.environ[key] for key in ("PATH", "LANG") if key in os.environ}
    coverage = {key: value for key, value in os.environ.items() if key.startswith("COV")}
    environment = {
        **keep,
        **coverage,
        "HOME": str(home),
        "EMBEDCLI_CACHE_DIR": str(cache),
        "PYTHONPATH": str(REPOSITORY),
        "COLUMNS": "100",
    }
    return Program(work, environment)


@pytest.fixture
def write(program: Program) -> Callable[..., Path]:
    """Write a file in the program's folder."""

    def write_file(name: str, content: str | bytes) -> Path:
        path = program.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def without_privileges() -> list[str]:
    """Return what to put before a command so that file permissions bind it, also for root."""
    if os.geteuid() != 0:
        return []
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        pytest.skip("running as root without setpriv")
    return [setpriv, "--bounding-set=-all", "--inh-caps=-all"]
