"""The program with a preloaded library that makes file calls fail."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import Program
from tests.faults.shim import Shim
from tests.faults.stage import Stage, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def failing_io(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled library."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("preloading a library that makes calls fail needs Linux and a C compiler")
    library = tmp_path_factory.mktemp("shim") / "failing_io.so"
    source = Path(__file__).with_name("failing_io.c")
    subprocess.run(
        [
            compiler,
            "-Wall",
            "-Wextra",
            "-Werror",
            "-shared",
            "-fPIC",
            "-O1",
            "-o",
            library,
            source,
            "-ldl",
            "-lpthread",
        ],
        check=True,
    )
    return library


@pytest.fixture
def program(program: Program) -> Program:
    """The program without coverage: a killed process would leave half a data file."""
    environment = {key: value for key, value in program.environment.items() if not key.startswith("COV")}
    return Program(program.folder, environment)


@pytest.fixture
def shim(failing_io: Path, program: Program, tmp_path: Path) -> Shim:
    return Shim(failing_io, program.folder / "store", tmp_path)


@pytest.fixture(scope="session")
def worker() -> Iterator[Worker]:
    """One process that answers for all tests."""
    worker = Worker()
    yield worker
    worker.close()


@pytest.fixture
def stage(program: Program, worker: Worker) -> Stage:
    return Stage(program, worker)


@pytest.fixture
def built(stage: Stage) -> Stage:
    """An index with deleted vectors in it, and the new files in place."""
    scenario = stage.scenario("update")
    stage.ask(*scenario.command).ok()
    assert stage.content() == scenario.new
    return stage
