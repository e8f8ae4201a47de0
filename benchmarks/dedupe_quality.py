"""What `dedupe` finds of planted duplicates, what it wrongly drops, how fast and in how much memory.

    python benchmarks/dedupe_quality.py --texts scifact/corpus.jsonl agnews/test.csv --labelled banking77/train.csv

Of each file of --texts (JSONL with title and text; CSV without header, the first column left out), 5,000 texts and
their copies as `embedcli/tasks/edits.py` makes them go through the command, first the texts, then all copies in
random order. A copy is found when it is dropped for a record of its own family: its text, or another copy of it. What
is dropped for another family's is wrong, and `lost` counts the original texts among it. Texts that are duplicates of one
another to begin with, as read and judged, stand in `dedupe_known.tsv` (set, two ids, verdict): those with the verdict
`same` are one family. --judge FILE gets the pairs that no verdict is known for, with their texts.

A file of --labelled (CSV with the columns text and category) is deduplicated at three thresholds; a record that is
dropped for one with another label counts as wrong.

One process each, start-up included, without the cache of vectors unless --cache FILE names one.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embedcli.encode.catalog import find_model
from embedcli.records.normal_form import normal_form
from embedcli.tasks.edits import EDITS, edit_text
from embedcli.tasks.reservoir import sample

TEXTS = 5_000
KNOWN = Path(__file__).with_name("dedupe_known.tsv")
TEXT_STAGES = "exact,normalized"
WAYS = {
    "lexical": ("--method", f"{TEXT_STAGES},lexical"),
    "static": ("--method", f"{TEXT_STAGES},semantic", "-m", "static"),
    "default": ("--method", f"{TEXT_STAGES},semantic", "-m", "default"),
    "all, static": ("-m", "static"),
    "all, default": ("-m", "default"),
}
HIGHER = (0.0, 0.02, 0.03)
"""How far above the calibrated threshold the labelled set is deduplicated."""

Texts = dict[str, str]


@dataclass(frozen=True)
class Spent:
    """What a process took."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--labelled", type=Path, nargs="*", default=[])
    parser.add_argument("--judge", type=Path)
    parser.add_argument("--cache", type=Path)
    parser.add_argument("--ways", nargs="*", choices=WAYS, default=list(WAYS))
    arguments = parser.parse_args()
    os.environ["EMBEDCLI_CACHE"] = str(arguments.cache or "off")
    unjudged: dict[tuple[str, str, str], dict[str, Any]] = {}
    for path in arguments.texts:
        texts = base_texts(path)
        name = path.resolve().parent.name
        families = read_families(name, texts)
        planted = plant(texts)
        made = Counter(split(record)[1] for record, _ in planted)
        print(f"{name}: {len(texts)} texts; copies: " + ", ".join(f"{made[edit]} {edit}" for edit in EDITS))
        print(
            f"{'':18}"
            + "".join(f"{edit:>10}" for edit in EDITS)
            + " precision    F1  lost   rows/s  per CPU s     MB"
        )
        for way in arguments.ways:
            drops, spent = dedupe(planted, *WAYS[way])
            report(way, drops, families, made, spent, len(planted))
            for drop in drops:
                pair = sorted({split(drop["dropped"])[0], split(drop["kept"])[0]}, key=sort_key)
                if (
                    len(pair) == 2
                    and families[pair[0]] != families[pair[1]]
                    and (name, *pair) not in judged()
                ):
                    entry = unjudged.setdefault(
                        (name, *pair), {"set": name, "ids": pair, "texts": [texts[own] for own in pair]}
                    )
                    entry[way] = max(entry.get(way, 0), drop["score"])
    for path in arguments.labelled:
        labelled(path, arguments.ways)
    if arguments.judge:
        arguments.judge.write_text(
            "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in unjudged.values())
        )
    print(f"{len(unjudged)} pairs without a verdict")


def base_texts(path: Path) -> Texts:
    """Return the texts by id: no two with the same normal form, and 5,000 at most, by chance."""
    if path.suffix == ".jsonl":
        rows = map(json.loads, path.open(encoding="utf-8"))
        found = [(str(row["_id"]), f"{row['title']} {row['text']}".strip()) for row in rows]
    else:
        with path.open(encoding="utf-8", newline="") as stream:
            found = [
                (str(number), " ".join(row[1:])) for number, row in enumerate(csv.reader(stream), start=1)
            ]
    distinct = {normal_form(text): (own, text) for own, text in reversed(found)}
    return dict(sample(reversed(distinct.values()), TEXTS, seed=0))


def plant(texts: Texts) -> list[tuple[str, str]]:
    """Return ids and texts: the texts as they are, then their copies, whose ids are `id#edit`."""
    copies = [
        (f"{own}#{edit}", copy)
        for own, text in texts.items()
        for edit in EDITS
        if (copy := edit_text(text, edit)) is not None
    ]
    random.Random(0).shuffle(copies)
    return [*texts.items(), *copies]


def split(record: str) -> tuple[str, str]:
    """Return the id of a record's text, and the edit, empty for the text itself."""
    own, _, edit = record.partition("#")
    return own, edit


def sort_key(own: str) -> tuple[int, str]:
    return len(own), own


def judged() -> dict[tuple[str, str, str], str]:
    """Return the verdicts on pairs of texts: `same` or `other`."""
    with KNOWN.open(encoding="utf-8", newline="") as stream:
        return {(row[0], row[1], row[2]): row[3] for row in csv.reader(stream, delimiter="\t")}


def read_families(name: str, texts: Texts) -> dict[str, str]:
    """Return what each text's family is called: texts that were judged the same share one."""
    family = {own: own for own in texts}
    for (its_set, one, other), verdict in judged().items():
        if its_set == name and verdict == "same" and one in family and other in family:
            new, old = family[one], family[other]
            family.update({own: new for own, called in family.items() if called == old})
    return family


def dedupe(records: list[tuple[str, str]], *options: str) -> tuple[list[dict[str, Any]], Spent]:
    """Run the command and return its report, and what the process took."""
    with tempfile.TemporaryDirectory() as folder:
        given, told = Path(folder, "in.jsonl"), Path(folder, "report.jsonl")
        given.write_text("".join(json.dumps({"id": own, "text": text}) + "\n" for own, text in records))
        command = [sys.executable, "-m", "embedcli", "dedupe", str(given), "-o", f"{folder}/out.jsonl", "-q"]
        start = time.perf_counter()
        child = os.posix_spawn(command[0], [*command, "--report", str(told), *options], os.environ)
        _, status, usage = os.wait4(child, 0)
        seconds = time.perf_counter() - start
        if status:
            sys.exit(f"failed: {options}")
        drops = [json.loads(line) for line in told.open(encoding="utf-8")]
    return drops, Spent(seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024)


def report(
    way: str,
    drops: list[dict[str, Any]],
    families: dict[str, str],
    made: Counter[str],
    spent: Spent,
    rows: int,
) -> None:
    """Print one line of the table."""
    right, wrong, lost = Counter(), 0, 0
    for drop in drops:
        own, edit = split(drop["dropped"])
        if families[own] == families[split(drop["kept"])[0]]:
            # A text that is dropped for its twin is neither found nor wrong: it was not planted.
            right[edit] += 1
        else:
            wrong += 1
            lost += edit == ""
    found = sum(right[edit] for edit in EDITS)
    precision, recall = found / (found + wrong), found / sum(made[edit] for edit in EDITS)
    print(
        f"{way:18}"
        + "".join(f"{right[edit] / made[edit]:10.4f}" if made[edit] else f"{'-':>10}" for edit in EDITS)
        + f"{precision:10.4f}{2 * precision * recall / (precision + recall):6.3f}{lost:6}"
        + f"{rows / spent.seconds:9.0f}{rows / spent.cpu_seconds:11.0f}{spent.peak_bytes / 1e6:7.0f}",
        flush=True,
    )


def labelled(path: Path, ways: list[str]) -> None:
    """Print what is dropped of a labelled set, and the share of it that has the label of what is kept."""
    with path.open(encoding="utf-8", newline="") as stream:
        rows = [
            (str(number), row["text"], row["category"])
            for number, row in enumerate(csv.DictReader(stream), start=1)
        ]
    labels = {own: label for own, _, label in rows}
    print(f"{path.resolve().parent.name}: {len(rows)} records, {len(set(labels.values()))} labels")
    tries = [("lexical", WAYS["lexical"])] if "lexical" in ways else []
    for model in {"static", "default"} & set(ways):
        threshold = find_model(model).manifest.duplicates.threshold
        tries += [
            (f"{model} {at:.4f}", ("-m", model, "--threshold", f"{at:.4f}"))
            for at in (threshold + more for more in HIGHER)
        ]
    for way, options in tries:
        drops, _ = dedupe([(own, text) for own, text, _ in rows], *options)
        same = sum(labels[drop["dropped"]] == labels[drop["kept"]] for drop in drops)
        print(
            f"  {way:18} dropped {len(drops):5} ({len(drops) / len(rows):.1%})  same label {same / len(drops):.4f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
