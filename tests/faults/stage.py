"""The program on the corpus: builds that are disturbed, and the answers before and after."""

from __future__ import annotations

import contextlib
import json
import select
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from tests.conftest import SECONDS, Finished, Program
from tests.faults.corpus import EVERY_CHUNK, NEW, OLD, QUERY, Content, assert_between, content_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.faults.shim import Shim

SIDECARS = ("-wal", "-shm", "-journal")
"""What SQLite may leave beside a file whose writer was killed."""


class Worker:
    """A process that answers one command after the other; see `worker.py`. It is started when it is needed."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __call__(self, program: Program, *arguments: object) -> Finished:
        """Run a command as `program` would; a death by signal fails the test and names the command."""
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.faults.worker"],
                env=program.environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
        process = self._process
        assert process.stdin is not None
        assert process.stdout is not None
        request = {
            "arguments": [str(each) for each in arguments],
            "folder": str(program.folder),
            "environment": program.environment,
        }
        process.stdin.write(json.dumps(request).encode() + b"\n")
        process.stdin.flush()
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        line = process.stdout.readline() if ready else b""
        if not line:
            self.close()
            assert ready, f"no answer: {arguments}"
            pytest.fail(f"died with {process.returncode}: {arguments}")
        answer = json.loads(line)
        assert "Traceback" not in answer["err"], answer["err"]
        return Finished(answer["code"], answer["out"].encode(), answer["err"])

    def close(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is None:
            return
        for stream in (process.stdin, process.stdout):
            assert stream is not None
            stream.close()
        try:
            process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def needs_command(stage: Stage, name: str) -> None:
    """Skip the test while there is no `index` command of that name."""
    if stage.ask("index", name, "--help").code != 0:
        pytest.skip(f"there is no `index {name}` yet")


class Points:
    """Many points of a sweep in one test: all are tried, and what failed is told at the end."""

    def __init__(self) -> None:
        self._failures: list[str] = []
        self._tried = 0

    @contextlib.contextmanager
    def point(self, name: str) -> Iterator[None]:
        """Try one point."""
        self._tried += 1
        try:
            yield
        except AssertionError as error:
            said = str(error).strip()
            self._failures.append(f"{name}: {said if len(said) < 700 else said[:200] + ' … ' + said[-500:]}")

    def check(self) -> None:
        """Fail if a point failed, naming each."""
        assert self._tried, "nothing was tried"
        assert not self._failures, f"{len(self._failures)} of {self._tried} points\n" + "\n".join(
            self._failures
        )


class Scenario(NamedTuple):
    """A build that is about to run.

    Attributes:
        command: Its arguments.
        before: The files of the index's folder before it.
        old: What the index answers before it; nothing before a first build.
        new: What it answers after it.
    """

    command: tuple[str, ...]
    before: dict[str, bytes]
    old: Content
    new: Content


class Stage:
    """A folder of files and an index of them, alone in its own folder."""

    def __init__(self, program: Program, worker: Worker) -> None:
        self.program, self._worker = program, worker
        self.store = program.folder / "store"
        self.store.mkdir()
        self.index = self.store / "x.emb"
        self.build = ("index", "build", "-i", "store/x.emb", "docs", "-q")

    def ask(self, *arguments: object) -> Finished:
        """Run a command without starting a process for it."""
        return self._worker(self.program, *arguments)

    def write_docs(self, files: Mapping[str, str]) -> None:
        """Make the folder hold just these files; one that is there already with that text stays untouched."""
        docs = self.program.folder / "docs"
        docs.mkdir(exist_ok=True)
        for path in [path for path in docs.rglob("*") if path.is_file()]:
            if str(path.relative_to(docs)) not in files:
                path.unlink()
        for name, text in files.items():
            path = docs / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != text:
                path.write_text(text)

    def clear(self) -> None:
        """Remove the index and everything beside it."""
        shutil.rmtree(self.store)
        self.store.mkdir()

    def restore(self, files: Mapping[str, bytes]) -> None:
        """Make the index's folder hold just these files."""
        self.clear()
        for name, content in files.items():
            (self.store / name).write_bytes(content)

    def stored(self) -> dict[str, bytes]:
        """Return the files of the index's folder."""
        return {path.name: path.read_bytes() for path in self.store.iterdir()}

    def baseline(self) -> Content:
        """Return what a fresh index of the files as they are now answers."""
        self.ask("index", "build", "-i", "fresh.emb", "docs", "-q").ok()
        found = self.content("fresh.emb")
        (self.program.folder / "fresh.emb").unlink()
        return found

    def search(self, index: str | Path = "store/x.emb", *, worker: Worker | None = None) -> Finished:
        """Search for everything; the query's vector comes from a cache, so that no encoder is loaded."""
        return (worker or self._worker)(
            self.program,
            "search",
            QUERY,
            "-i",
            index,
            *EVERY_CHUNK,
            "--cache",
            "queries.db",
        )

    def content(self, index: str | Path = "store/x.emb") -> Content:
        """Return what an index answers; it must open."""
        done = self.search(index)
        assert done.code == (0 if done.out else 1), done.err
        assert done.err == ""
        return content_of(done.objects)

    def status(self) -> dict[str, Any]:
        """Return what `index status` says; the index must open."""
        return dict(json.loads(self.ask("index", "status", "-i", "store/x.emb", "--json").ok().out))

    def scenario(self, name: str) -> Scenario:
        """Return what is about to run: a first build, an update, or the compaction after one."""
        before: dict[str, bytes] = {}
        old: Content = frozenset()
        if name != "first":
            self.write_docs(OLD)
            self.ask(*self.build).ok()
            before, old = self.stored(), self.content()
            assert len(old) == sum(len(text.split("\n\n")) for text in OLD.values())
        self.write_docs(NEW)
        new = self.baseline()
        if name != "compact":
            return Scenario(self.build, before, old, new)
        needs_command(self, "compact")
        self.ask(*self.build).ok()
        return Scenario(("index", "compact", "-i", "store/x.emb"), self.stored(), new, new)

    def disturbed(
        self,
        scenario: Scenario,
        shim: Shim,
        kinds: tuple[str, ...],
        action: str,
        at: int = 0,
        *,
        repeat: bool = False,
    ) -> Finished:
        """Run a scenario from its beginning, as its own process, with a fault."""
        self.restore(scenario.before)
        return self.program(*scenario.command, env=shim.environment(kinds, action, at, repeat=repeat))

    def count_calls(self, scenario: Scenario, shim: Shim, kinds: tuple[str, ...]) -> int:
        """Return how many calls of some kinds an undisturbed run makes."""
        self.disturbed(scenario, shim, kinds, "count").ok()
        assert self.content() == scenario.new
        return shim.calls

    def answer_between(self, scenario: Scenario) -> Content:
        """Return what the index answers, having checked that it is what was committed at some moment.

        Before the first commit there is no index, whatever lies under its name.
        """
        if not scenario.old:
            done = self.search()
            if done.code == 2 and "store/x.emb: no index here" in done.err:
                return scenario.old
        found = self.content()
        assert_between(found, scenario.old, scenario.new)
        assert self.status()["chunks"] == len(found)
        return found

    def finish(self, scenario: Scenario) -> None:
        """Build without a fault: it must go well, answer as a fresh index does, and leave one file."""
        self.ask(*self.build).ok()
        assert self.content() == scenario.new
        assert [path.name for path in self.store.iterdir()] == ["x.emb"]
