"""What `match` finds where it is known what belongs together.

    python benchmarks/match.py banking77/ agnews/ stsb-en-test.csv [--model default static] [--drift] [--rows FILE]

`banking77` is a folder with `train.csv` and `test.csv` (`text`, `category`), `agnews` one with `test.csv` (class,
title, description), `stsb-en-test.csv` has two sentences and a score from 0 to 5 in each line. All of it by the
functions that the command calls, with the vectors that it would make.

- Joins: on the right the questions, titles and second sentences together; on the left 1,000 of them each with typos
  (every tenth character, every fifth), with words in another order, with both, and first sentences whose second one
  says the same (4.5 and above). Share whose best match is the right one: by vectors, by characters, by both. Beside
  it the share of Banking77's training questions, every third, whose nearest test question has the same category.
  With the mean of the two similarities (exponent 1) in place of the power mean, too.
- `--min-score`: how far the best scores of those with a counterpart and of those without lie apart (AUC).
- `--margin ratio`: changed questions, of half of which the original is there, changed titles likewise, and pairs at 4.5
  and above among all first and all second sentences: best F1 of what is matched over all limits, and the limit.
- `--one-to-one`: pairs at 4 and above, each sentence among all others.
- `--comm`: questions and titles against a copy in which some are gone, new, reordered or have a typo.
- with `--drift`: draws from the same titles that are called different (`p` at .05), draws with more and more titles of
  a class that was not there before, and how many of the first five records that are told of are of that class.
- `--pairs`: rank correlation of the scores of all pairs with those that people gave.
- with `--rows FILE`: CPU seconds and memory for the lines of a file against themselves, and for `--one-to-one` of its first
  and its second half, when their candidates are known.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy.stats import spearmanr

from embedcli.datatypes import Counts, Record
from embedcli.encode.catalog import EncoderSettings, find_model
from embedcli.tasks.carried import CarriedVectors
from embedcli.tasks.dedupe import threshold_of
from embedcli.tasks.match import BLEND, MatchSettings, pair_scores, rank, side_of
from embedcli.tasks.match_comm import Comparison
from embedcli.tasks.match_drift import DriftSettings, drift
from embedcli.tasks.match_join import Gathered, join_whole, ranked
from embedcli.tasks.match_one_to_one import one_to_one
from embedcli.tasks.pool import Pool
from embedcli.tasks.vectorize import Vectorizer, VectorSettings
from embedcli.vectors import match_scores

if TYPE_CHECKING:
    from collections.abc import Callable

    Vectors = np.ndarray

JOBS = 2
EACH = 1_000
DRAWS = 40
SAME_MEANING = 4.5
LETTERS = "abcdefghijklmnopqrstuvwxyz"
BLENDS = (0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("banking", type=Path)
    parser.add_argument("agnews", type=Path)
    parser.add_argument("sentences", type=Path)
    parser.add_argument("--model", nargs="+", default=["default", "static"])
    parser.add_argument("--drift", action="store_true")
    parser.add_argument("--rows", type=Path)
    arguments = parser.parse_args()
    train, test = (read_banking(arguments.banking / f"{part}.csv") for part in ("train", "test"))
    with (arguments.agnews / "test.csv").open(encoding="utf-8", newline="") as stream:
        news = [(row[0], row[1]) for row in csv.reader(stream)]
    with arguments.sentences.open(encoding="utf-8", newline="") as stream:
        pairs = [(row[0], row[1], float(row[2])) for row in csv.reader(stream)]
    for name in arguments.model:
        model = find_model(name, ())
        encoder = Encoder(Vectorizer(model, EncoderSettings(), VectorSettings(normalize=True), Counts()))
        print(f"\n{model.manifest.name}")
        if arguments.rows is not None:
            measure(encoder, arguments.rows)
        elif arguments.drift:
            drifts(encoder, news)
        else:
            joins(encoder, [test[0], [title for _, title in news]], pairs, train, test)
            mined(encoder, [test[0], [title for _, title in news]], pairs)
            assigned(encoder, pairs)
            correlated(encoder, pairs)
            compared(encoder, [*test[0], *(title for _, title in news)], threshold_of(model.manifest))


class Encoder:
    """Vectors of texts, each made once."""

    def __init__(self, vectorizer: Vectorizer) -> None:
        self._vectorizer, self._known = vectorizer, {}

    def __call__(self, texts: list[str]) -> Vectors:
        """Return the vectors of texts."""
        fresh = [text for text in dict.fromkeys(texts) if text not in self._known]
        for start in range(0, len(fresh), 256):
            batch = fresh[start : start + 256]
            self._known |= zip(batch, self._vectorizer.text_vectors(batch), strict=True)
        return np.stack([self._known[text] for text in texts])

    def records(self, texts: list[str]) -> list[Record]:
        """Return texts as records that bring their vectors."""
        vectors = self(texts)
        return [Record(str(n), text, vector=vectors[n]) for n, text in enumerate(texts)]

    def gathered(self, texts: list[str], how: MatchSettings) -> Gathered:
        """Return texts as one side."""
        return Gathered(Pool(CarriedVectors(), is_lookup=True), self.records(texts), how)


def read_banking(path: Path) -> tuple[list[str], list[str]]:
    with path.open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    return [row["text"] for row in rows], [row["category"] for row in rows]


def mistyped(text: str, every: int, draw: random.Random) -> str:
    """Leave out, swap, add or replace a character, once for so many of them."""
    for _ in range(max(1, len(text) // every)):
        at = draw.choice([place for place, char in enumerate(text[:-1]) if char.isalpha()])
        other = draw.choice(LETTERS)
        text = draw.choice(
            [
                text[:at] + text[at + 1 :],
                text[:at] + text[at + 1] + text[at] + text[at + 2 :],
                text[:at] + other + text[at:],
                text[:at] + other + text[at + 1 :],
            ]
        )
    return text


def reordered(text: str, draw: random.Random) -> str:
    """Return the words in another order."""
    words = text.split()
    while " ".join(words) == text:
        draw.shuffle(words)
    return " ".join(words)


def can_change(text: str) -> bool:
    return len(text) > 15 and len(set(text.split())) >= 3


def kinds(draw: random.Random) -> dict[str, Callable[[str], str]]:
    return {
        "typos, 10 %": lambda text: mistyped(text, 10, draw),
        "typos, 20 %": lambda text: mistyped(text, 5, draw),
        "reordered": lambda text: reordered(text, draw),
        "both": lambda text: mistyped(reordered(text, draw), 8, draw),
    }


def joins(
    encoder: Encoder,
    lists: list[list[str]],
    pairs: list[tuple[str, str, float]],
    train: tuple[list[str], list[str]],
    test: tuple[list[str], list[str]],
) -> None:
    draw = random.Random(1)
    right = list(dict.fromkeys([*lists[0], *lists[1], *(pair[1] for pair in pairs)]))
    usable = draw.sample([text for text in right if can_change(text)], 4 * EACH)
    asked = {
        kind: [(change(text), text) for text in usable[number * EACH : (number + 1) * EACH]]
        for number, (kind, change) in enumerate(kinds(draw).items())
    }
    asked["paraphrases"] = [
        (left, other) for left, other, score in pairs if score >= SAME_MEANING and left != other
    ]
    place = {text: row for row, text in enumerate(right)}
    known = encoder(right)
    print(
        "\n".join(
            f"{kind}: {len(found)} on the left, {len(right)} on the right" for kind, found in asked.items()
        )
    )
    print("| blend | " + " | ".join(asked) + " | category | mean | AUC |")
    for exponent, blend in [
        *((match_scores.EXPONENT, blend) for blend in BLENDS),
        (1, 0.3),
        (1, 0.4),
        (1, 0.5),
    ]:
        usual, match_scores.EXPONENT = match_scores.EXPONENT, exponent
        how = MatchSettings(blend=blend, jobs=JOBS)
        side = side_of(known, right, how)
        shares, scores = [], []
        for pairs_of_kind in asked.values():
            lefts = [left for left, _ in pairs_of_kind]
            found = rank(side_of(encoder(lefts), lefts, how), side, 1, how)
            shares.append(float(np.mean(found.rows[:, 0] == [place[text] for _, text in pairs_of_kind])))
            scores.append(found.scores[:, 0])
        shares.append(same_category(encoder, train, test, how))
        auc = apart(np.concatenate(scores), without_counterpart(encoder, asked, right, how))
        match_scores.EXPONENT = usual
        name = {0.0: "vectors", 1.0: "characters"}.get(blend, f"{blend:g}") + (
            ", mean" if exponent == 1 else ""
        )
        cells = [f"{100 * share:.1f}" for share in (*shares, float(np.mean(shares)))]
        print("| " + " | ".join([name, *cells, f"{auc:.4f}"]) + " |")


def same_category(
    encoder: Encoder,
    train: tuple[list[str], list[str]],
    test: tuple[list[str], list[str]],
    how: MatchSettings,
) -> float:
    (asked, labels), (known, known_labels) = (train[0][::3], train[1][::3]), test
    found = rank(side_of(encoder(asked), asked, how), side_of(encoder(known), known, how), 1, how)
    return float(np.mean(np.array(known_labels)[found.rows[:, 0]] == labels))


def without_counterpart(
    encoder: Encoder, asked: dict[str, list[tuple[str, str]]], right: list[str], how: MatchSettings
) -> Vectors:
    """Return the best scores of the same left texts where what they are made of is not on the right."""
    gone = {text for found in asked.values() for _, text in found}
    others = [text for text in right if text not in gone]
    lefts = [left for found in asked.values() for left, _ in found]
    side = side_of(encoder(others), others, how)
    return rank(side_of(encoder(lefts), lefts, how), side, 1, how).scores[:, 0]


def apart(above: Vectors, below: Vectors) -> float:
    """Return the chance that one of the first is above one of the second."""
    ordered = np.sort(below)
    lower, upper = (np.searchsorted(ordered, above, side=side) for side in ("left", "right"))
    return float(np.mean((lower + upper) / 2 / len(below)))


def mined(encoder: Encoder, lists: list[list[str]], pairs: list[tuple[str, str, float]]) -> None:
    sets: dict[str, tuple[list[str], list[str], set[tuple[str, str]]]] = {}
    for name, texts in zip(("questions", "titles"), lists, strict=True):
        draw = random.Random(4)
        usable = [text for text in dict.fromkeys(texts) if can_change(text)]
        usable = draw.sample(usable, min(len(usable), 3 * EACH))
        right = usable[: len(usable) // 2]
        for kind, change in kinds(draw).items():
            left = [change(text) for text in usable]
            sets[f"{name}, {kind}"] = (left, right, set(zip(left, right, strict=False)))
    good = {(left, right) for left, right, score in pairs if score >= SAME_MEANING}
    lefts, rights = (list(dict.fromkeys(pair[side] for pair in pairs)) for side in (0, 1))
    sets["paraphrases among sentences"] = (lefts, rights, good)
    print("\n| best F1 (at) | vectors | ratio of them | blend | ratio of it |")
    for name, (lefts, rights, good) in sets.items():
        cells = []
        for blend, ratio in ((0.0, False), (0.0, True), (BLEND, False), (BLEND, True)):
            how = MatchSettings(blend=blend, ratio=ratio, jobs=JOBS)
            found = join_whole(encoder.gathered(lefts, how), encoder.gathered(rights, how), how)
            best = sorted(
                ((match.score, (left.text, match.record.text) in good) for left, (match,) in found),
                reverse=True,
            )
            measures = 2 * np.cumsum([hit for _, hit in best]) / (np.arange(1, len(best) + 1) + len(good))
            at = int(np.argmax(measures))
            cells.append(f"{100 * measures[at]:.1f} ({best[at][0]:.2f})")
        print(f"| {name} | " + " | ".join(cells) + " |")


def assigned(encoder: Encoder, pairs: list[tuple[str, str, float]]) -> None:
    by_right = {right: left for left, right, score in pairs if score >= 4 and left != right}
    chosen = list({left: (left, right) for right, left in by_right.items()}.values())
    for blend in (0.0, BLEND):
        cells = []
        for shared in (True, False):
            how = MatchSettings(blend=blend, one_to_one=not shared, jobs=JOBS)
            sides = [encoder.gathered([pair[side] for pair in chosen], how) for side in (0, 1)]
            right = dict(chosen)
            hits = [
                bool(found) and found[0].record.text == right[left.text]
                for left, found in join_whole(*sides, how)
            ]
            cells.append(f"{'best' if shared else 'one to one'} {100 * np.mean(hits):.1f} %")
        print(f"{len(chosen)} pairs, blend {blend:g}: " + ", ".join(cells))


def correlated(encoder: Encoder, pairs: list[tuple[str, str, float]]) -> None:
    lefts, rights = ([pair[side] for pair in pairs] for side in (0, 1))
    cosines = np.einsum("ij,ij->i", encoder(lefts), encoder(rights)).astype(np.float64)
    rows = np.arange(len(pairs))
    for blend in BLENDS:
        how = MatchSettings(blend=blend or BLEND)
        left, right = (side_of(encoder(texts), texts, how) for texts in (lefts, rights))
        scores = pair_scores(left, rows, right, rows, cosines, blend)[0] if blend else cosines
        print(
            f"{len(pairs)} pairs, blend {blend:g}: Spearman {spearmanr(scores, [p[2] for p in pairs])[0]:.4f}"
        )


def compared(encoder: Encoder, texts: list[str], threshold: float) -> None:
    draw = random.Random(2)
    texts = [text for text in dict.fromkeys(texts) if can_change(text)]
    draw.shuffle(texts)
    gone, new, moved, typed, same = texts[:200], texts[200:400], texts[400:600], texts[600:800], texts[800:]
    left = [*gone, *moved, *typed, *same]
    right = [
        *new,
        *(reordered(text, draw) for text in moved),
        *(mistyped(text, 1000, draw) for text in typed),
        *same,
    ]
    draw.shuffle(left)
    of_right = dict(zip(right, [*new, *moved, *typed, *same], strict=True))
    kind = {
        text: name
        for name, found in (("gone", gone), ("moved", moved), ("typo", typed), ("same", same))
        for text in found
    }
    for min_score, blend in ((threshold, 0.0), (0.8, 0.0), (0.8, BLEND)):
        comparison = Comparison()
        comparison.read(encoder.records(left), encoder.records(right))
        how = MatchSettings(blend=blend, one_to_one=True, min_score=min_score, jobs=JOBS)
        told = dict.fromkeys(("same", "moved", "typo", "gone, wrongly reworded", "wrong pair"), 0)
        for each in comparison.compare(lambda: Pool(CarriedVectors(), is_lookup=True), how):
            if each.left is None or each.right is None:
                continue
            what = kind[each.left.text]
            is_right = of_right[each.right.text] == each.left.text
            told[what if is_right else "gone, wrongly reworded" if what == "gone" else "wrong pair"] += 1
        comparison.close()
        print(f"--comm --min-score {min_score:g} --blend {blend:g}: {told} of {len(same)} same, 200 each")


def drifts(encoder: Encoder, news: list[tuple[str, str]]) -> None:
    vectors = dict(zip((title for _, title in news), encoder([title for _, title in news]), strict=True))
    how, draw = MatchSettings(blend=0), random.Random(3)
    sport = [title for label, title in news if label == "2"]
    others = [title for label, title in news if label != "2"]

    def side(titles: list[str]) -> Gathered:
        records = [Record(str(n), title, vector=vectors[title]) for n, title in enumerate(titles)]
        return Gathered(Pool(CarriedVectors(), is_lookup=True), records, how)

    for share in (0.0, 0.05, 0.1, 0.2, 0.3):
        called, energies, told, count = 0, [], 0, 0
        for seed in range(DRAWS):
            titles = draw.sample(others, 2_000)
            planted = draw.sample(sport, int(1_000 * share))
            found = drift(
                side(titles[:1_000]),
                side([*titles[1_000 : 2_000 - len(planted)], *planted]),
                DriftSettings(seed=seed, jobs=JOBS),
            )
            called += (found.p or 0) <= 0.05
            energies.append(found.energy)
            first = [each.record.text for each in found.changed if each.change == "new"]
            told += sum(text in set(sport) for text in first[:5])
            count += len(first[:5])
        print(
            f"{100 * share:g} % of sport: called different in {called} of {DRAWS} draws, energy {np.mean(energies):.4f},"
            f" {told} of {count} told of are sport"
        )


def measure(encoder: Encoder, path: Path) -> None:
    lines = list(dict.fromkeys(path.read_text(encoding="utf-8", errors="replace").splitlines()))
    vectors = encoder(lines)
    for blend in (0.0, BLEND):
        how = MatchSettings(blend=blend, jobs=JOBS)
        start = time.process_time()
        whole = side_of(vectors, lines, how)
        rank(whole, whole, 2, how, are_same=True)
        seconds = time.process_time() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{len(lines)} lines, blend {blend:g}: {seconds:.1f} s of CPU, {peak:.0f} MiB at most so far")
    how, half = MatchSettings(one_to_one=True, jobs=JOBS), min(len(lines), 20_000) // 2
    left, right = encoder.gathered(lines[:half], how), encoder.gathered(lines[half : 2 * half], how)
    directions = ranked(left, right, how), ranked(right, left, how)
    start = time.process_time()
    one_to_one(left, right, *directions, how)
    print(f"{half} on each side, one to one: {time.process_time() - start:.1f} s of CPU")


if __name__ == "__main__":
    main()
