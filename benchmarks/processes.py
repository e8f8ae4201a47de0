"""Whole processes, in CPU seconds: start-up, repeated search, incremental build. Ratios within one run.

    python benchmarks/processes.py [--runs 9]

Each pair takes turns, A B A B, and the ratio of the medians is printed. The texts are made up here.
"""

from __future__ import annotations

import argparse
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SUBJECTS = tuple(
    "river engine market teacher forest signal kitchen letter garden winter doctor bridge".split()
)
VERBS = tuple("carries breaks follows changes keeps opens measures loses repairs crosses".split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=9)
    runs = parser.parse_args().runs
    program = [sys.executable, "-m", "embedcli"]
    script = Path(sys.executable).with_name("embedcli")
    if script.exists():
        program = [str(script)]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ["EMBEDCLI_CACHE_DIR"] = str(work / "cache")
        compare(
            "embedcli --help / import typer",
            [*program, "--help"],
            [sys.executable, "-c", "import typer"],
            runs,
        )
        (work / "10k.txt").write_text("".join(f"{sentence(n)}\n" for n in range(10_000)))
        spend(
            [
                *program,
                "index",
                "build",
                "-q",
                "-i",
                str(work / "x.emb"),
                str(work / "10k.txt"),
                "--chunking",
                "lines",
            ]
        )
        compare(
            "one search over an index of 10,000 chunks / import typer, numpy, onnxruntime, tokenizers",
            [*program, "search", "who repairs the bridge", "-i", str(work / "x.emb")],
            [sys.executable, "-c", "import typer, numpy, onnxruntime, tokenizers"],
            runs,
        )
        repeated_search(program, work)
        incremental_build(program, work)


def sentence(number: int) -> str:
    chooser = random.Random(number)
    words = [chooser.choice(SUBJECTS), chooser.choice(VERBS), "the", chooser.choice(SUBJECTS)]
    return f"In case {number}, the {' '.join(words)} and the {chooser.choice(SUBJECTS)} is {chooser.randrange(99)} years old."


def spend(command: list[str]) -> tuple[float, float]:
    """Run a command and return its CPU seconds and its wall seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, wall


def compare(name: str, one: list[str], other: list[str], runs: int) -> None:
    """Run two commands in turn and print the ratio of their median CPU seconds."""
    spend(one), spend(other)
    pairs = [(spend(one)[0], spend(other)[0]) for _ in range(runs)]
    first, second = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"{name}\n  {1000 * first:.0f} ms / {1000 * second:.0f} ms CPU, median of {runs}: ratio {first / second:.2f}"
    )


def repeated_search(program: list[str], work: Path) -> None:
    """The same question over the same 5,000 lines, twice."""
    path = work / "5k.txt"
    path.write_text("".join(f"{sentence(100_000 + n)}\n" for n in range(5_000)))
    command = [*program, "search", "who repairs the bridge", str(path)]
    first, second = spend(command), spend(command)
    print(
        f"search over 5,000 lines, second time / first time\n"
        f"  {second[1]:.2f} s / {first[1]:.2f} s: ratio {second[1] / first[1]:.3f} (CPU {second[0] / first[0]:.3f})"
    )


def incremental_build(program: list[str], work: Path) -> None:
    """A build over 1,000 files, then nothing changed, then one edited."""
    docs = work / "docs"
    docs.mkdir()
    for number in range(1_000):
        text = "\n\n".join(
            " ".join(sentence(number * 100 + part * 5 + n) for n in range(3)) for part in range(4)
        )
        (docs / f"{number:04}.txt").write_text(text + "\n")
    command = [*program, "index", "build", "-q", "-i", str(work / "docs.emb"), str(docs)]
    first = spend(command)
    # The clock's grain: files this young are hashed, not trusted.
    time.sleep(2.1)
    spend(command)
    nothing = spend(command)
    edited = docs / "0500.txt"
    edited.write_text(
        edited.read_text()
        + "\nA new paragraph that stands at the end of this file and says something else entirely.\n"
    )
    one = spend(command)
    print(
        f"index build over 1,000 files, 4,000 chunks\n"
        f"  first {first[1]:.2f} s; nothing changed {nothing[1]:.2f} s, ratio {nothing[1] / first[1]:.3f}; "
        f"one file edited {one[1]:.2f} s, ratio {one[1] / first[1]:.3f}"
    )


if __name__ == "__main__":
    main()
