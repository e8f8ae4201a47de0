"""What words cost beside vectors: one-shot searches of an index by meaning, by words and by both.

    python benchmarks/hybrid.py --corpus text.txt [--chunks 100000 1000000] [--runs 3]
    python benchmarks/hybrid.py --corpus text.txt --chunks 100000 --pruning [--questions packages/queries.jsonl]

The chunks are windows of 60 words that begin at even distances in the text, overlapping where it is short;
their vectors are random, which costs a scan as much as real ones. Seven ordinary questions are asked, each by a
process of its own, in turn. Prints CPU milliseconds of the whole process as medians, with the ratio to a
search by meaning. With `--pruning`, prints instead what is lost by how many chunks may be visited in the search
for candidates, over those questions and the first 60 of `--questions` (JSONL with `text`).
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from embedcli.index import lexical
from embedcli.index.file import open_for_reading
from embedcli.index.lexical import LexicalReader
from embedcli.index.reader import IndexReader

WORDS = 60
MODES = ("dense", "lexical", "hybrid")
QUESTIONS = (
    "how do I undo a commit in git",
    "which program shows the weather on the desktop",
    "a library for reading and writing of PDF files",
    "convert a video to another format from the command line",
    "tool to find duplicate files on disk",
    "What is the best way to back up a database to a remote server?",
    "how can I see which process uses the network",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--chunks", type=int, nargs="+", default=[100_000])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--pruning", action="store_true")
    parser.add_argument("--questions", type=Path)
    arguments = parser.parse_args()
    words = arguments.corpus.read_text(encoding="utf-8", errors="replace").split()
    if arguments.pruning:
        more = arguments.questions.read_text(encoding="utf-8").splitlines() if arguments.questions else []
        asked = [*QUESTIONS, *(json.loads(line)["text"] for line in more[:60])]
        with tempfile.TemporaryDirectory() as work:
            pruning(make_index(Path(work), words, arguments.chunks[0]), asked)
        return
    print(f"{'chunks':>9}" + "".join(f"{mode:>18}" for mode in MODES) + "   CPU ms, ratio to dense")
    for count in arguments.chunks:
        with tempfile.TemporaryDirectory() as work:
            index = make_index(Path(work), words, count)
            costs: dict[str, list[float]] = {mode: [] for mode in MODES}
            for _ in range(arguments.runs):
                for question in QUESTIONS:
                    for mode in MODES:
                        costs[mode].append(cpu_seconds("search", question, "-i", index, "--mode", mode))
            medians = {mode: 1e3 * statistics.median(own) for mode, own in costs.items()}
            cells = [f"{medians[mode]:>10.0f} {medians[mode] / medians['dense']:>6.2f}x" for mode in MODES]
            print(f"{count:>9}" + "".join(cells))


def make_index(work: Path, words: list[str], count: int) -> Path:
    """Return an index of so many chunks."""
    starts = np.linspace(0, len(words) - WORDS, count).astype(int)
    model = json.loads(run("embed", "--string", "x", "--no-text"))["vector_model"]
    with (work / "t.jsonl").open("w", encoding="utf-8") as stream:
        for number, start in enumerate(starts.tolist()):
            row = {"id": str(number), "text": " ".join(words[start : start + WORDS]), "vector_model": model}
            stream.write(json.dumps(row) + "\n")
    chance = np.random.default_rng(0)
    vectors = np.lib.format.open_memmap(work / "t.npy", "w+", np.float16, (count, 384))
    for first in range(0, count, 1 << 15):
        vectors[first : first + (1 << 15)] = chance.normal(size=vectors[first : first + (1 << 15)].shape)
    vectors.flush()
    run("index", "import", work / "t.npy", "-i", work / "x.emb", "-q")
    return work / "x.emb"


def pruning(index: Path, asked: list[str]) -> None:
    """Print what the search for candidates keeps of the exact ranking, by the chunks that it may visit."""
    with open_for_reading(index) as connection:
        reader = LexicalReader(index, connection, IndexReader(index, connection).counts()["chunks"])
        questions = [reader.question(text) for text in asked]
        print("chunks visited  10 best  100 best  ms")
        exact: list[list[int]] = []
        for postings in (10**9, 30_000, 20_000, 10_000, 5_000):
            lexical.POSTINGS = postings  # type: ignore[misc]
            start = time.process_time()
            found = [[hit.row for hit in reader.best(question, 100)] for question in questions]
            milliseconds = 1e3 * (time.process_time() - start) / len(questions)
            exact = exact or found
            kept = [
                statistics.fmean(
                    len({*own[:top]} & {*best[:top]}) / max(1, len(best[:top]))
                    for own, best in zip(found, exact, strict=True)
                )
                for top in (10, 100)
            ]
            print(f"{postings:14}  {kept[0]:7.1%}  {kept[1]:8.1%}  {milliseconds:.0f}")


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "embedcli", *map(str, arguments)]


def run(*arguments: object) -> bytes:
    """Run the program and return what it printed."""
    return subprocess.run(command(*arguments), check=True, stdout=subprocess.PIPE).stdout


def cpu_seconds(*arguments: object) -> float:
    """Return the CPU seconds that a run took in all."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, 1):
        sys.exit(f"failed: {arguments}")
    return usage.ru_utime + usage.ru_stime


if __name__ == "__main__":
    main()
