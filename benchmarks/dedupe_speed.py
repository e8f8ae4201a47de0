"""Near-duplicates by vectors, beside SemHash: the same vectors given to both, then each from the text on.

    python -m venv sem && sem/bin/pip install semhash model2vec
    python benchmarks/dedupe_speed.py --texts lines.txt --semhash sem/bin/python [--rows 100000]
    python benchmarks/dedupe_speed.py --texts lines.txt --large 1000000 --plans auto,blocks,hnsw

The rows are the vectors of the texts, then noisy mixtures of them; one in five is a noisy copy of an earlier
one, of cosine 0.99 to 0.91. From the text on, one in five is a copy without one of its words. The model hub is
not asked: SemHash gets its own StaticModel made of the table of the shipped static encoder.

A pair within the threshold is resolved where not both of its rows are kept; the recall is the share of pairs
that are, of all pairs that a full product finds, and of the planted ones. Each system runs in a process of
its own; rows a second are of the wall clock, without loading and start-up unless it is the whole command.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
import numpy as np

COPIES = 0.2
DIRECTIONS = 128
BLOCK = 1024


def unit(rows):
    return (rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-9)).astype(np.float32)


class Rows:
    """Rows without end, the same ones each time."""

    def __init__(self, real):
        self.real, self.chooser = real, np.random.default_rng(1)
        centred = real[:8192] - real[:8192].mean(axis=0)
        _, spread, axes = np.linalg.svd(centred, full_matrices=False)
        self.noise = ((spread[:DIRECTIONS] / np.sqrt(len(centred)))[:, None] * axes[:DIRECTIONS]).astype("f4")
        self.used, self.seen = 0, np.empty((0, real.shape[1]), np.float32)

    def block(self, size):
        """Return rows, and for each planted copy the place of its original in `seen`, else -1."""
        copies = int(size * COPIES) if len(self.seen) else 0
        fresh = self.real[self.used : self.used + size - copies]
        self.used += len(fresh)
        more = size - copies - len(fresh)
        if more:
            origin = self.chooser.integers(0, len(self.real), more)
            noise = self.chooser.standard_normal((more, len(self.noise)), dtype=np.float32) @ self.noise
            fresh = np.concatenate((fresh, self.real[origin] + 0.7 * noise))
        fresh = unit(fresh)
        source = self.chooser.integers(0, len(self.seen), copies) if copies else np.empty(0, int)
        strength = self.chooser.uniform(0.1, 0.42, (copies, 1)) / np.sqrt(self.real.shape[1])
        noisy = self.seen[source] + strength * self.chooser.standard_normal((copies, self.real.shape[1]))
        order = self.chooser.permutation(size)
        rows = np.concatenate((fresh, unit(noisy)))[order].astype(np.float32)
        # A part of the rows is enough to copy from, and a million need not stay in memory.
        self.seen = np.concatenate((self.seen, fresh[::32]))
        return rows, np.concatenate((np.full(len(fresh), -1), source))[order]


def stopwatch():
    wall, cpu = time.perf_counter(), time.process_time()
    return lambda: {"seconds": time.perf_counter() - wall, "cpu": time.process_time() - cpu}


def peak_mb(pid="self"):
    """Return the most memory that a process held, on Linux; what `getrusage` says counts its parent's too."""
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
    return next((int(line.split()[1]) / 1024 for line in status.splitlines() if line[:6] == "VmHWM:"), 0.0)


def dedupe(near, rows, first=0):
    """Return which rows are kept."""
    look = near.look(rows, np.ones(len(rows)))
    kept = np.zeros(len(rows), bool)
    for row in range(len(rows)):
        if look.nearest(row) is None:
            look.keep(row, first + row)
            kept[row] = True
    return kept


def child_ours(work, threshold, plan, jobs):
    from embedcli.tasks.star_plan import make_stars

    rows = np.load(work / "rows.npy")
    spent = stopwatch()
    with make_stars(rows.shape[1], threshold, plan, jobs=jobs) as near:
        kept = [dedupe(near, rows[first : first + BLOCK], first) for first in range(0, len(rows), BLOCK)]
    np.save(work / "kept.npy", np.concatenate(kept))
    return spent() | {"peak_mb": peak_mb()}


def child_semhash(work, threshold):
    from semhash import SemHash

    rows = np.load(work / "rows.npy")
    names = [str(row) for row in range(len(rows))]
    spent = stopwatch()
    found = SemHash.from_embeddings(rows, names, model=None).self_deduplicate(threshold)
    result = spent() | {"peak_mb": peak_mb()}
    kept = np.zeros(len(rows), bool)
    kept[[int(name) for name in found.selected]] = True
    np.save(work / "kept.npy", kept)
    return result


def child_semhash_texts(work, threshold):
    from model2vec import StaticModel
    from safetensors.numpy import load_file
    from semhash import SemHash
    from tokenizers import Tokenizer

    lines = (work / "texts.txt").read_text(encoding="utf-8").splitlines()
    spent = stopwatch()
    folder = Path(__file__).resolve().parents[1] / "models" / "static-minilm"
    table = load_file(folder / "table.safetensors")
    vectors = table["rows"].astype(np.float32) * table["scales"][:, None]
    model = StaticModel(vectors, Tokenizer.from_file(str(folder / "tokenizer.json")), normalize=True)
    found = SemHash.from_records(lines, model=model).self_deduplicate(threshold)
    result = spent() | {"peak_mb": peak_mb()}
    selected = set(found.selected)
    np.save(work / "kept.npy", np.array([line in selected for line in lines]))
    np.save(work / "own.npy", model.encode(lines[:1000]))
    return result


def child_large(work, threshold, plan, jobs, count):
    from embedcli.tasks.star_plan import make_stars

    source = Rows(np.load(work / "real.npy"))
    total = {"seconds": 0.0, "cpu": 0.0, "kept": 0, "planted": 0, "planted_found": 0}
    with make_stars(source.real.shape[1], threshold, plan, jobs=jobs) as near:
        for first in range(0, count, BLOCK):
            rows, origin = source.block(min(BLOCK, count - first))
            spent = stopwatch()
            kept = dedupe(near, rows, first)
            for name, value in spent().items():
                total[name] += value
            total["kept"] += int(kept.sum())
            total["planted"] += int((origin >= 0).sum())
            total["planted_found"] += int((~kept & (origin >= 0)).sum())
        total["peak_mb"] = peak_mb()
        spent = stopwatch()
        recall = near.recall()
        total["recall"], total["recall_seconds"] = recall and recall._asdict(), spent()["seconds"]
    return total


CHILDREN = {
    "ours": child_ours,
    "semhash": child_semhash,
    "semhash_texts": child_semhash_texts,
    "large": child_large,
}


def run(python, name, work, *arguments):
    """Run one of the above in a process of its own and return what it says."""
    command = [python, __file__, "--child", json.dumps([name, str(work), *arguments])]
    own = (
        {"PYTHONPATH": str(Path(__file__).resolve().parents[1])}
        if python == sys.executable
        else {"PYTHONPATH": ""}
    )
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, env=os.environ | own)
    return json.loads(done.stdout.splitlines()[-1])


def pairs_of(rows, threshold):
    """Yield the pairs at or above the threshold, by products of all with all."""
    for start in range(0, len(rows), BLOCK):
        part = rows[start : start + BLOCK]
        left, right = np.nonzero(part @ rows[: start + len(part)].T >= threshold)
        before = right < left + start
        yield left[before] + start, right[before]


def judge(rows, pairs, kept, planted=None):
    """Say how many pairs are resolved, and how many rows were dropped that are near to nothing."""
    left, right = pairs
    both = kept[left] & kept[right]
    alone = ~np.isin(np.arange(len(rows)), np.concatenate(pairs))
    said = [f"{kept.sum()} kept", f"recall {1 - both.mean():.4f} of {len(left)} pairs"]
    if planted is not None:
        copies, originals = planted
        missed = kept[copies] & kept[originals]
        said.append(f"{1 - missed.mean():.4f} of {len(copies)} planted")
    return ", ".join([*said, f"{int((alone & ~kept).sum())} dropped without a near one"])


def told(name, count, figures, more):
    print(
        f"{name:<22}{figures['seconds']:8.1f} s {figures['cpu']:8.1f} CPU s {count / figures['seconds']:9.0f} rows/s"
        f" {figures['peak_mb']:7.0f} MB  {more}",
        flush=True,
    )


def compare_vectors(given, work, real):
    source = Rows(real)
    blocks = [source.block(min(BLOCK, given.rows - first)) for first in range(0, given.rows, BLOCK)]
    rows, origin = (np.concatenate(values) for values in zip(*blocks, strict=True))
    np.save(work / "rows.npy", rows)
    fresh = np.flatnonzero(origin < 0)
    # Where the original of a copy stands: every 32nd fresh row of each block was put aside, unshuffled.
    copies = np.flatnonzero(origin >= 0)
    nearest = [fresh[np.argmax(rows[fresh] @ source.seen[place])] for place in np.unique(origin[copies])]
    originals = np.array(nearest)[np.unique(origin[copies], return_inverse=True)[1]]
    pairs = tuple(np.concatenate(side) for side in zip(*pairs_of(rows, given.threshold), strict=True))
    print(f"the same {len(rows)} vectors of {rows.shape[1]} numbers, cosine >= {given.threshold}")
    rates = {}
    for name, python, arguments in (
        ("embedcli exact", sys.executable, ("ours", work, given.threshold, "exact", given.jobs)),
        ("SemHash", given.semhash, ("semhash", work, given.threshold)),
    ):
        figures = run(python, *arguments)
        rates[name] = figures
        told(name, len(rows), figures, judge(rows, pairs, np.load(work / "kept.npy"), (copies, originals)))
    ratios(*rates.values())


def ratios(ours, theirs):
    wall, cpu = (theirs[name] / ours[name] for name in ("seconds", "cpu"))
    print(f"{'':<22}{wall:.1f} times the rows a second, {cpu:.1f} times by CPU seconds\n")


def watched(command):
    """Run a command to its end."""
    before, start, peak = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter(), 0.0
    with subprocess.Popen(command) as process:
        while process.poll() is None:
            peak = max(peak, peak_mb(process.pid))
            time.sleep(0.02)
    assert process.returncode == 0
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return {"seconds": time.perf_counter() - start, "cpu": cpu, "peak_mb": peak}


def compare_texts(given, work, lines):
    chooser = random.Random(1)
    texts = list(lines[: int(given.rows * (1 - COPIES))])
    while len(texts) < given.rows:
        words = chooser.choice(lines).split()
        del words[chooser.randrange(len(words))]
        texts.append(" ".join(words) or "none")
    texts = list(dict.fromkeys(texts))
    chooser.shuffle(texts)
    (work / "texts.txt").write_text("\n".join(texts) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "embedcli"]
    model = ["-m", "static", "-j", str(given.jobs), "-q"]
    subprocess.run(
        [*command, "embed", *model, "-o", str(work / "v.npy"), str(work / "texts.txt")], check=True
    )
    rows = unit(np.load(work / "v.npy"))
    pairs = tuple(np.concatenate(side) for side in zip(*pairs_of(rows, given.threshold), strict=True))
    print(
        f"{len(texts)} lines, each from the text on with the shipped static table, cosine >= {given.threshold}"
    )
    stages = ["--method", "exact,semantic", "--threshold", str(given.threshold), "--length-ratio", "0"]
    ours = watched([*command, "dedupe", *stages, *model, "-o", work / "kept.txt", work / "texts.txt"])
    kept_lines = set((work / "kept.txt").read_text(encoding="utf-8").splitlines())
    told(
        "embedcli dedupe",
        len(texts),
        ours,
        judge(rows, pairs, np.array([text in kept_lines for text in texts])),
    )
    theirs = run(given.semhash, "semhash_texts", work, given.threshold)
    told("SemHash", len(texts), theirs, judge(rows, pairs, np.load(work / "kept.npy")))
    cosines = (unit(np.load(work / "own.npy")) * rows[:1000]).sum(axis=1)
    print(
        f"{'':<22}both encoders agree: cosine {cosines.mean():.5f}, lowest {cosines.min():.5f}, of 1000 lines"
    )
    ratios(ours, theirs)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, help="one text a line; 80,000 and more are best")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--threshold", type=float, default=0.9)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--semhash", help="a Python with semhash and model2vec installed")
    parser.add_argument("--large", type=int, default=0, help="so many rows, embedcli alone")
    parser.add_argument("--plans", default="auto")
    parser.add_argument("--child", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        name, work, *arguments = json.loads(given.child)
        print(json.dumps(CHILDREN[name](Path(work), *arguments)))
        return
    if not given.texts:
        parser.error("--texts is needed")
    lines = [line for line in given.texts.read_text(encoding="utf-8").splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        embed = [
            sys.executable,
            "-m",
            "embedcli",
            "embed",
            "-q",
            "-m",
            "static",
            "-o",
            str(work / "real.npy"),
        ]
        subprocess.run([*embed, str(given.texts)], check=True)
        real = np.load(work / "real.npy")
        np.save(work / "real.npy", unit(real[real.any(axis=1)]))
        if given.semhash:
            compare_vectors(given, work, np.load(work / "real.npy"))
            compare_texts(given, work, lines)
        for plan in given.plans.split(",") if given.large else ():
            figures = run(sys.executable, "large", work, given.threshold, plan, given.jobs, given.large)
            recall = figures["recall"]
            said = (
                f"{figures['kept']} kept, {figures['planted_found']} of {figures['planted']} planted dropped"
            )
            if recall:
                said += (
                    f", {recall['found']} of {recall['near']} near ones found in a sample of {recall['sampled']}"
                    f" ({figures['recall_seconds']:.1f} s)"
                )
            told(f"plan {plan}", given.large, figures, said)


if __name__ == "__main__":
    main()
