"""`dedupe` as the reader of an endless pipe: how soon a line is answered, and whether memory stays flat.

    python benchmarks/dedupe_stream.py [--lines 1000000] [--window 10000] [-m static]

First, as `tail -f` would: a line is written, then a copy of it, then a new line; printed is the time from writing the
new line until it comes out (the copy must not). Then lines are written as fast as they are read, all different, and
the process's resident memory is printed along the way.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path

ROUNDS = 30
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--lines", type=int, default=1_000_000)
    parser.add_argument("--window", type=int, default=10_000)
    parser.add_argument("-m", "--model", default="static")
    arguments = parser.parse_args()
    command = [sys.executable, "-m", "embedcli", "dedupe", "-q", "-m", arguments.model]
    command += ["--window", str(arguments.window)]
    waits = latencies(command)
    print(
        f"a new line after a copy: median {statistics.median(waits):.3f} s, worst {max(waits):.3f} s of {ROUNDS}"
    )
    flood(command, arguments.lines)


def latencies(command: list[str]) -> list[float]:
    """Seconds from writing a new line to reading it."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    assert process.stdin is not None
    assert process.stdout is not None
    waits = []
    for number in range(ROUNDS + 1):
        process.stdin.write(f"{line(2 * number)}\n".encode())
        process.stdout.read(1 << 16)
        process.stdin.write(f"{line(2 * number).upper()}!\n".encode())
        time.sleep(0.1)
        start = time.perf_counter()
        process.stdin.write(f"{line(2 * number + 1)}\n".encode())
        found = process.stdout.read(1 << 16)
        waits.append(time.perf_counter() - start)
        assert found.decode() == f"{line(2 * number + 1)}\n", found
    process.stdin.close()
    process.wait()
    # The first round loads the encoder.
    return waits[1:]


def flood(command: list[str], lines: int) -> None:
    """Write lines and print the memory after each tenth of them."""
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    kept = [0]

    def count() -> None:
        assert process.stdout is not None
        while block := os.read(process.stdout.fileno(), 1 << 16):
            kept[0] += block.count(b"\n")

    reader = threading.Thread(target=count)
    reader.start()
    start = time.perf_counter()
    for number in range(1, lines + 1):
        process.stdin.write(f"{line(number)}\n".encode())
        if number % (lines // 10) == 0:
            seconds = time.perf_counter() - start
            print(f"{number:9,} lines  {resident_mb(process.pid):5.0f} MB  {number / seconds:7.0f} lines/s")
    process.stdin.close()
    process.wait()
    reader.join()
    print(f"{kept[0]:,} of {lines:,} lines came out")


def line(number: int) -> str:
    """A line of its own for each number, made of words drawn by it."""
    chooser = random.Random(number)
    return " ".join("".join(chooser.choices(LETTERS, k=chooser.randint(3, 8))) for _ in range(10))


def resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text().split()
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
