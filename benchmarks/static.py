"""The static encoder beside the default one: whole processes over the same lines, in turn.

    python benchmarks/static.py --corpus lines.txt [--runs 5]

Prints texts a second of the wall clock, start-up counted in, as medians with their ratio; what other outputs
cost; what loading takes, libraries left out; and the size on disk. The default encoder reads a part of the
lines (`--share`), since it takes so much longer; a part makes its start-up count for more.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LOAD = """
import time, numpy, tokenizers, safetensors.numpy
import embedcli.encode.static, embedcli.encode.processors
from embedcli.encode.catalog import EncoderSettings, find_model, open_encoder
start = time.process_time()
open_encoder(find_model("static"), EncoderSettings(jobs=1)).encode(["one text"])
print(time.process_time() - start)
"""


def cpu_seconds() -> float:
    """Return what the processes that have ended spent."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--corpus", type=Path, required=True)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--share", type=float, default=0.1)
    arguments = parser.parse_args()
    lines = list(dict.fromkeys(arguments.corpus.read_text(encoding="utf-8").splitlines()))
    few = lines[:: round(1 / arguments.share)]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        (work / "all.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
        (work / "few.txt").write_text("\n".join(few) + "\n", encoding="utf-8")
        jobs = {
            "default, .npy": (len(few), ["few.txt", "-m", "default", "-o", "a.npy"]),
            "static, .npy": (len(lines), ["all.txt", "-m", "static", "-o", "b.npy"]),
            "static, .npy float16": (
                len(lines),
                ["all.txt", "-m", "static", "-o", "c.npy", "--dtype", "float16"],
            ),
            "static, base64": (len(lines), ["all.txt", "-m", "static", "-o", "d.jsonl", "--to", "base64"]),
            "static, JSONL": (len(lines), ["all.txt", "-m", "static", "-o", "e.jsonl"]),
        }
        rates: dict[str, list[float]] = {job: [] for job in jobs}
        work_rates: dict[str, list[float]] = {job: [] for job in jobs}
        for _ in range(arguments.runs):
            for job, (texts, options) in jobs.items():
                # What the job before wrote must not be on its way to the disk now.
                os.sync()
                start, spent = time.perf_counter(), cpu_seconds()
                subprocess.run(
                    [sys.executable, "-m", "embedcli", "embed", *options, "--no-cache", "-q"],
                    cwd=work,
                    check=True,
                )
                rates[job].append(texts / (time.perf_counter() - start))
                work_rates[job].append(texts / (cpu_seconds() - spent))
    base, work_base = (statistics.median(found["default, .npy"]) for found in (rates, work_rates))
    print(f"{len(lines)} lines, {len(few)} for the default encoder; median of {arguments.runs}")
    print(f"  {'':22} {'texts a second':>17} {'a CPU second':>22}")
    for job, found in rates.items():
        median = statistics.median(found)
        work_median = statistics.median(work_rates[job])
        print(
            f"  {job:22} {median:9.0f} {median / base:6.1f}x {work_median:14.0f} {work_median / work_base:6.1f}x"
        )
    loads = [
        float(subprocess.run([sys.executable, "-c", LOAD], check=True, capture_output=True).stdout)
        for _ in range(arguments.runs)
    ]
    print(f"load and first text: {1000 * statistics.median(loads):.0f} ms CPU")
    from embedcli.encode.catalog import find_model

    size = sum(path.stat().st_size for path in find_model("static").folder.iterdir())
    print(f"size: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
