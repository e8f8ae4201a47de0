"""Whether 95 % intervals hold the truth in 95 of 100 cases, and how often equal systems are called different.

    python benchmarks/intervals.py
    embedcli eval retrieval scifact/ --per-query values.tsv
    python benchmarks/intervals.py --values values.tsv

Draws experiments of 50, 100 and 300 items from populations whose true value is known: made ones, and with
`--values` the values of single queries as `eval … --per-query` wrote them. Prints the share of experiments whose
interval holds the truth, with the plain percentiles of the same resamples beside it. Takes some minutes.
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.stats import rankdata

from embedcli.vectors.resampling import (
    mean_interval,
    percentile_interval,
    permutation_p,
    resampled_means,
    resampled_statistic,
)

Doubles = npt.NDArray[np.float64]
Draw = Callable[[np.random.Generator, int], Doubles]

SIZES = (50, 100, 300)
MADE: dict[str, Draw] = {
    "nDCG-like: 25 % zeros, 35 % ones": lambda random, count: np.select(
        [random.random(count) < 0.25, random.random(count) < 0.35 / 0.75],
        [0.0, 1.0],
        random.beta(2, 2, count),
    ),
    "hits, 70 % of queries": lambda random, count: (random.random(count) < 0.7).astype(np.float64),
    "hits, 90 % of queries": lambda random, count: (random.random(count) < 0.9).astype(np.float64),
    "reciprocal ranks": lambda random, count: 1.0 / np.minimum(random.geometric(0.45, count), 10),
    "mostly low, skewed": lambda random, count: random.beta(0.3, 3, count),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--values", type=Path)
    parser.add_argument("--experiments", type=int, default=1000)
    arguments = parser.parse_args()
    draws = dict(MADE)
    if arguments.values:
        draws |= {name: drawer(values) for name, values in read_values(arguments.values).items()}
    print(f"{'mean of':44} items  interval  plain percentiles  equal systems with p > .05")
    for name, draw in draws.items():
        truth = draw(np.random.default_rng(0), 4_000_000).mean()
        for count in SIZES:
            held, plain, equal = means(draw, truth, count, arguments.experiments)
            print(f"{name:44} {count:5}  {held:8.1%}  {plain:17.1%}  {equal:26.1%}", flush=True)
    print("\nSpearman of two normal variables with correlation .8")
    for count in SIZES:
        print(f"{'':44} {count:5}  {correlations(count, arguments.experiments // 5):8.1%}", flush=True)


def means(draw: Draw, truth: float, count: int, experiments: int) -> tuple[float, float, float]:
    """Return the shares of intervals and percentiles that hold the mean, and of equal systems not told apart."""
    held = plain = equal = 0
    for number in range(experiments):
        random = np.random.default_rng((1, number, count))
        values = draw(random, count)
        resampled = resampled_means(values, number)
        low, high = mean_interval(values, resampled)
        held += low <= truth <= high
        low, high = percentile_interval(resampled)
        plain += low <= truth <= high
        # Two systems of one quality that fail at different queries.
        other = np.where(random.random(count) < 0.5, values, draw(random, count))
        equal += permutation_p(values, other, number) > 0.05
    return held / experiments, plain / experiments, equal / experiments


def correlations(count: int, experiments: int) -> float:
    """Return the share of intervals of a rank correlation that hold the true one."""
    # Source: K. Pearson, "On further methods of determining correlation", 1907.
    truth = 6 / np.pi * np.arcsin(0.8 / 2)
    held = 0
    for number in range(experiments):
        random = np.random.default_rng((2, number, count))
        one = random.normal(size=count)
        other = 0.8 * one + 0.6 * random.normal(size=count)

        def spearman(rows: npt.NDArray[np.int64], one: Doubles = one, other: Doubles = other) -> float:
            return float(np.corrcoef(rankdata(one[rows]), rankdata(other[rows]))[0, 1])

        low, high = percentile_interval(resampled_statistic(spearman, count, number))
        held += low <= truth <= high
    return held / experiments


def read_values(path: Path) -> dict[str, Doubles]:
    """Return the values of single queries by system and metric."""
    found: dict[str, list[float]] = {}
    with path.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream, delimiter="\t"):
            found.setdefault(f"{row['system']}, {row['metric']}", []).append(float(row["value"]))
    return {name: np.array(values) for name, values in found.items()}


def drawer(values: Doubles) -> Draw:
    """Return what draws from some values as if they were all there are."""
    return lambda random, count: random.choice(values, count)


if __name__ == "__main__":
    main()
