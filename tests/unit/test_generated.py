"""What is generated from the command tree is up to date, complete, and works in the real shells."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMPLETIONS = ROOT / "completions"


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", ROOT / "tools/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["generate"] = module
    spec.loader.exec_module(module)
    return module


def test_every_generated_file_is_up_to_date(generate: ModuleType) -> None:
    stale = [name for name, text in generate.outputs().items() if (ROOT / name).read_text() != text]
    assert stale == [], "run: python tools/generate.py"


def test_every_command_and_option_is_everywhere(generate: ModuleType) -> None:
    commands = generate.describe(generate.get_command(generate.app)).walk()
    assert len(commands) >= 15
    texts = {name: text for name, text in generate.outputs().items() if name.startswith("completions/")}
    texts["completions/embedcli.1"] = texts["completions/embedcli.1"].replace("\\-", "-")
    reference = generate.outputs()["docs/cli-reference.md"]
    for command in commands:
        assert command.help, command.name
        assert f"## {command.name}\n" in reference
        for option in command.options:
            assert option.help, (command.name, option.names)
            for name in option.names:
                assert f"`{name}`" in reference
                for file, text in texts.items():
                    bare = name.lstrip("-")
                    wanted = (
                        name
                        if not file.endswith("fish")
                        else f"-{'l' if name.startswith('--') else 's'} {bare}"
                    )
                    assert wanted in text, (file, name)


def test_short_options_mean_one_thing(generate: ModuleType) -> None:
    meanings: dict[str, set[str]] = {}
    for command in generate.describe(generate.get_command(generate.app)).walk():
        for option in command.options:
            for name in option.names:
                if not name.startswith("--"):
                    meanings.setdefault(name, set()).update(n for n in option.names if n.startswith("--"))
    assert {name: long for name, long in meanings.items() if len(long) > 1} == {}


def complete(line: str) -> list[str]:
    """Return what bash offers at the end of a line."""
    script = f"""
    source {COMPLETIONS / "embedcli.bash"}
    COMP_WORDS=({line.rstrip()}{' ""' if line.endswith(" ") else ""})
    COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
    _embedcli
    printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    return done.stdout.split()


def test_bash_completion() -> None:
    assert {"embed", "search", "index", "models"} <= set(complete("embedcli "))
    assert complete("embedcli se") == ["search"]
    assert set(complete("embedcli index ")) >= {"build", "status"}
    assert complete("embedcli index build --chunki") == ["--chunking"]
    assert complete("embedcli search --top") == ["--top-k"]
    assert complete("embedcli embed pyproj") == ["pyproject.toml"]
    assert complete("embedcli embed -o pyproj") == ["pyproject.toml"]


@pytest.mark.parametrize(("shell", "file"), [("zsh", "_embedcli"), ("fish", "embedcli.fish")])
def test_other_shells_accept_their_scripts(shell: str, file: str) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not installed")
    done = subprocess.run(
        [program, "-n", str(COMPLETIONS / file)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_manual_page_is_valid() -> None:
    text = (COMPLETIONS / "embedcli.1").read_text()
    assert re.match(r"\.\\\" .*\n\.TH EMBEDCLI 1", text)
    man = shutil.which("man")
    if man is None:
        pytest.skip("man is not installed")
    done = subprocess.run(
        [man, "--warnings", "-l", str(COMPLETIONS / "embedcli.1")],
        capture_output=True,
        text=True,
        check=False,
        env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    assert done.stderr == ""
    assert "EXIT STATUS" in done.stdout
