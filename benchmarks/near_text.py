"""Which shingles tell near-duplicate texts from others, and where the line of the lexical stage lies.

    python benchmarks/near_text.py --texts scifact/corpus.jsonl agnews/test.csv --labelled banking77/train.csv

For runs of three to six characters, and for words, pairs and triples of words: the Jaccard similarity that 95 % of
the copies of each kind (`embedcli/tasks/edits.py`) reach, of texts of at least eight words, from JSONL (title and text)
or CSV (without header, all columns but the first; and its second column, the title, by itself); then, of the lines of --labelled (CSV with
the columns text and category, distinct by normal form), how many a greedy pass drops at some thresholds, and how many
of these for one of the same label. Everything by brute force. At last the time and memory of `NearTexts` itself.
"""

from __future__ import annotations

import argparse
import csv
import json
import random
import resource
import time
from pathlib import Path

import numpy as np
from scipy import sparse

from embedcli.records.near_text import DEFAULT_JACCARD, NearTexts
from embedcli.records.normal_form import normal_form
from embedcli.tasks.edits import EDITS, edit_text

SAMPLE = 500
LEAST_WORDS = 8
THRESHOLDS = (0.65, 0.7, 0.75, 0.8, 0.85)


def characters(count):
    return lambda form: {f" {form} "[place : place + count] for place in range(max(1, len(form) + 3 - count))}


def words(count):
    def shingles(form):
        found = form.split()
        return {" ".join(found[place : place + count]) for place in range(max(1, len(found) + 1 - count))}

    return shingles


SHINGLES = {
    **{f"{count} characters": characters(count) for count in (3, 4, 5, 6)},
    **{f"{count} words": words(count) for count in (1, 2, 3)},
}


def jaccard(first: set[str], second: set[str]) -> float:
    both = len(first & second)
    return both / (len(first) + len(second) - both)


def read_texts(path: Path) -> dict[str, list[str]]:
    if path.suffix == ".jsonl":
        objects = map(json.loads, path.open(encoding="utf-8"))
        return {path.parent.name: [f"{value['title']} {value['text']}" for value in objects]}
    rows = list(csv.reader(path.open(encoding="utf-8", newline="")))
    return {
        path.parent.name: [" ".join(row[1:]) for row in rows],
        f"{path.parent.name}, titles": [row[1] for row in rows],
    }


def copies_line(name: str, texts: list[str], shingles) -> str:
    cells = []
    for edit in EDITS:
        pairs = [(text, copy) for text in texts if (copy := edit_text(text, edit)) is not None]
        if edit in ("exact", "recased") or len(pairs) < SAMPLE // 5:
            continue
        scores = [jaccard(shingles(normal_form(text)), shingles(normal_form(copy))) for text, copy in pairs]
        cells.append(f"{edit} {np.quantile(scores, 0.05):.2f}")
    return f"  {name:<16} " + "   ".join(cells)


def greedy(rows: list[tuple[str, str]], shingles) -> str:
    """Return what a pass drops at each threshold: a row whose nearest kept one reaches it."""
    numbers: dict[str, int] = {}
    sets = [[numbers.setdefault(one, len(numbers)) for one in shingles(form)] for form, _ in rows]
    ends = np.cumsum([0, *map(len, sets)])
    table = sparse.csr_matrix((np.ones(ends[-1], np.float32), np.concatenate(sets), ends))
    sizes = np.diff(ends)
    near: list[tuple[int, int, float]] = []
    for start in range(0, len(rows), 500):
        both = np.asarray((table[start : start + 500] @ table.T).todense())
        scores = both / (sizes[start : start + 500, None] + sizes - both)
        left, right = np.nonzero(scores >= min(THRESHOLDS))
        near += [(start + one, other, scores[one, other]) for one, other in zip(left, right, strict=True)]
    cells = []
    for threshold in THRESHOLDS:
        best: dict[int, tuple[float, int]] = {}
        for row, other, score in near:
            # Pairs come in the order of their rows, so what was kept before a row is known.
            if other < row and other not in best and score >= threshold:
                best[row] = max(best.get(row, (0.0, 0)), (score, -other))
        same = sum(rows[row][1] == rows[-other][1] for row, (_, other) in best.items())
        cells.append(f"{threshold:g}: {len(best) / len(rows):.1%} ({same / max(1, len(best)):.3f})")
    return "   ".join(cells)


def cost(name: str, forms: list[str]) -> str:
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    texts, kept = NearTexts(), 0
    for first in range(0, len(forms), 1000):
        look = texts.look(forms[first : first + 1000])
        for row in range(len(forms[first : first + 1000])):
            if look.nearest(row) is None:
                look.keep(row, first + row)
                kept += 1
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return (
        f"  {name}: {len(forms)} texts, {kept} kept, {len(forms) / seconds:.0f} texts/s, {grown:.0f} MB more"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="+", required=True)
    parser.add_argument("--labelled", type=Path, nargs="+", required=True)
    parser.add_argument("--lines", type=int, default=200_000, help="lines made up to measure time and memory")
    arguments = parser.parse_args()
    chooser = random.Random(1)
    sets = {name: texts for path in arguments.texts for name, texts in read_texts(path).items()}
    labelled: dict[str, str] = {}
    for path in arguments.labelled:
        for row in csv.DictReader(path.open(encoding="utf-8", newline="")):
            labelled.setdefault(normal_form(row["text"]), row["category"])
    # Made-up lines of real words: their times are those of lines that nothing is near to.
    found = " ".join(map(normal_form, next(iter(sets.values())))).split()
    lines = [" ".join(chooser.choices(found, k=chooser.randint(6, 20))) for _ in range(arguments.lines)]
    print(f"time and memory at {DEFAULT_JACCARD}")
    print(cost("made-up lines", lines), cost("labelled", list(labelled)), sep="\n")
    for name, texts in sets.items():
        print(cost(name, [normal_form(text) for text in texts]))
    samples = {}
    for name, texts in sets.items():
        long_enough = [text for text in texts if len(text.split()) >= LEAST_WORDS]
        samples[name] = chooser.sample(long_enough, min(SAMPLE, len(long_enough)))
    for what, shingles in SHINGLES.items():
        print(f"{what}: similarity that 95 % of the copies reach", flush=True)
        for name, texts in samples.items():
            print(copies_line(name, texts, shingles))
        print(f"  {len(labelled)} labelled lines, dropped (for the same label):")
        print(f"  {greedy(list(labelled.items()), shingles)}", flush=True)


if __name__ == "__main__":
    main()
