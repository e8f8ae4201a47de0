"""The README's console blocks, run as they stand; `--write` as a script puts the real output in."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

from tests.conftest import REPOSITORY, Program

README = REPOSITORY / "README.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_SCORE = re.compile(r"\d\.\d{4}")
SCORE_TOLERANCE = 0.02
"""Integer kernels differ a little between CPUs."""


def examples(text: str) -> list[tuple[str, str]]:
    """Return every command of the console blocks and the output that stands under it."""
    found = []
    for block in _BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            found.append((command, output))
    return found


def run_all(program: Program) -> list[tuple[str, str]]:
    """Run the commands in order, in one copy of the examples, and return what they printed."""
    folder = program.folder / "examples"
    shutil.copytree(REPOSITORY / "examples", folder)
    outputs = []
    for command, _ in examples(README.read_text(encoding="utf-8")):
        done = program.shell(f"{{ {command}; }} 2>&1", cwd=folder)
        outputs.append((command, done.out.decode()))
    return outputs


def test_every_example_prints_what_the_readme_says(program: Program) -> None:
    expected = examples(README.read_text(encoding="utf-8"))
    assert len(expected) >= 8
    for (command, wanted), (_, found) in zip(expected, run_all(program), strict=True):
        assert _SCORE.sub("SCORE", found) == _SCORE.sub("SCORE", wanted), command
        for one, other in zip(_SCORE.findall(wanted), _SCORE.findall(found), strict=True):
            assert abs(float(one) - float(other)) <= SCORE_TOLERANCE, command


def test_the_python_example_runs(program: Program) -> None:
    code = re.search(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)
    assert code is not None
    shutil.copytree(REPOSITORY / "examples", program.folder / "examples")
    (program.folder / "example.py").write_text(code[1])
    done = program.shell(f"{sys.executable} example.py")
    assert done.out.decode().splitlines()[0].startswith("examples/notes/garden.md 8 "), done.err


if __name__ == "__main__":
    import os
    import tempfile

    home = Path(tempfile.mkdtemp())
    environment = {**os.environ, "EMBEDCLI_CACHE_DIR": str(home / "cache"), "PYTHONPATH": str(REPOSITORY)}
    outputs = iter(run_all(Program(home, environment)))

    def fill(match: re.Match[str]) -> str:
        commands = re.findall(r"^\$ .*$", match[1], flags=re.MULTILINE)
        return "```console\n" + "".join(f"$ {c}\n{o}" for c, o in (next(outputs) for _ in commands)) + "```"

    README.write_text(_BLOCK.sub(fill, README.read_text(encoding="utf-8")), encoding="utf-8")
