"""`eval classify`: how often labels are found from frozen vectors, by few or many examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from embedcli.errors import InputError, UsageError
from embedcli.reports import Evaluation, Measurement
from embedcli.tasks.evaluate.bag_of_words import NAME, TfidfVectors
from embedcli.tasks.evaluate.measured import mean_measurements, statistic_measurements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.tasks.evaluate.labelled_texts import LabelledTexts
    from embedcli.vectors.fit_heads import Kind

    Labels = npt.NDArray[np.int64]
    Rows = npt.NDArray[np.int64]

HEADS: Final[tuple[Kind, ...]] = ("logistic", "knn", "mean")

FOLDS: Final = 5
"""Parts of a file without training texts: each is asked about after learning from the others."""

DRAWS: Final = 5
"""Choices of a few examples, whose figures are averaged."""


class Learning(NamedTuple):
    """What is learnt from.

    Attributes:
        shots: Examples of each label, by column of the table; None for all.
        draws: How many times few examples are chosen.
        seed: Of the folds, the choices and the resamples.
    """

    shots: tuple[int | None, ...] = (None,)
    draws: int = DRAWS
    seed: int = 0


class _Texts(NamedTuple):
    """Texts to learn from or to be asked about, with places of their labels among all labels."""

    texts: list[str]
    vectors: Any
    targets: Labels

    def some(self, rows: Rows) -> _Texts:
        return _Texts([self.texts[row] for row in rows.tolist()], self.vectors[rows], self.targets[rows])


class _Split(NamedTuple):
    """Rows that may be learnt from, and those that are asked about."""

    pool: Rows
    asked: Rows


def evaluate_classification(
    asked: LabelledTexts, train: LabelledTexts | None, learning: Learning
) -> Evaluation:
    """Return how often heads on frozen vectors, and logistic regression on words, find the label.

    Without training texts each text is asked about once in each draw, by heads that learnt from the other
    folds. The heads are those of `classify`, with their usual strengths, and without the labels' names.

    Args:
        asked: Texts that are asked about.
        train: Texts to learn from; None to learn from other folds of `asked`.
        learning: How.

    Raises:
        InputError: There are fewer than two labels, or a label has no training text.
    """
    import numpy as np

    labels = asked.labels if train is None else train.labels
    _check(asked, train)
    place = {label: number for number, label in enumerate(labels)}
    own = np.array([place[label] for label in asked.labels], dtype=np.int64)[asked.targets]
    texts = _Texts(asked.texts, asked.vectors, own)
    learnt = texts if train is None else _Texts(train.texts, train.vectors, train.targets)
    splits = _splits(own, None if train is None else len(train.texts), learning.seed)
    measurements: list[Measurement] = []
    for name in (*HEADS, NAME):
        by_metric: list[tuple[Measurement, Measurement]] = []
        for shots in learning.shots:
            given = np.stack([*_draws(name, learnt, texts, splits, shots, learning)])
            by_metric.append(_measured(name, given, own, shots, learning.seed))
        # All accuracies first: the first is what is compared.
        measurements += [pair[0] for pair in by_metric] + [pair[1] for pair in by_metric]
    frequent = float(np.bincount(own).max() / len(own))
    chance = {_metric("accuracy", shots): frequent for shots in learning.shots}
    about = {"seed": learning.seed, "draws": learning.draws, "labels": len(labels), "folds": len(splits)}
    return Evaluation("classify", asked.ids, "texts", tuple(measurements), chance, about)


def count_alone(texts: LabelledTexts) -> int:
    """Return how many labels have one text only."""
    import numpy as np

    return int((np.bincount(texts.targets) == 1).sum())


def most_examples(asked: LabelledTexts, train: LabelledTexts | None, seed: int) -> int:
    """Return how many texts of one label there are at most to learn from, in any fold."""
    import numpy as np

    learnt = asked if train is None else train
    splits = _splits(asked.targets, None if train is None else len(train.texts), seed)
    return max(int(np.bincount(learnt.targets[split.pool]).max(initial=0)) for split in splits)


def parse_shots(typed: str) -> tuple[int | None, ...]:
    """Return the numbers of examples that `1,4,all` means; None for all.

    Raises:
        UsageError: It means none.
    """
    found: list[int | None] = []
    for word in (part.strip() for part in typed.split(",")):
        if word != "all" and not (word.isascii() and word.isdecimal() and 0 < int(word[:9]) == int(word)):
            raise UsageError(
                f"--shots {typed!r}: {word!r} is no number of examples", hint="--shots 1,4,16,all"
            )
        found.append(None if word == "all" else int(word))
    return tuple(dict.fromkeys(found))


def _check(asked: LabelledTexts, train: LabelledTexts | None) -> None:
    known = asked.labels if train is None else train.labels
    if len(known) < 2:
        raise InputError(f"all texts have the label {known[0]!r}: two at least are needed to choose from")
    strange = sorted(set(asked.labels) - set(known))
    if strange:
        more = f", nor has {len(strange) - 1} more" if len(strange) > 1 else ""
        raise InputError(f"label {strange[0][:60]!r} has no text in --train{more}")


def _splits(targets: Labels, training: int | None, seed: int) -> list[_Split]:
    import numpy as np

    from embedcli.vectors.held_out import dealt_parts

    if training is not None:
        return [_Split(np.arange(training), np.arange(len(targets)))]
    parts = dealt_parts(targets, min(FOLDS, len(targets)), seed)
    return [_Split(np.flatnonzero(parts != part), np.flatnonzero(parts == part)) for part in np.unique(parts)]


def _draws(
    name: str,
    learnt: _Texts,
    asked: _Texts,
    splits: Sequence[_Split],
    shots: int | None,
    learning: Learning,
) -> Iterator[Labels]:
    """Yield the answers of each draw, shape (asked,); with all examples there is nothing to draw."""
    import numpy as np

    for draw in range(1 if shots is None else learning.draws):
        given = np.empty(len(asked.targets), dtype=np.int64)
        for number, split in enumerate(splits):
            rows = split.pool
            if shots is not None:
                chance = np.random.default_rng((learning.seed, draw, number))
                rows = _drawn(learnt.targets, rows, shots, chance)
            given[split.asked] = _answers(name, learnt.some(rows), asked.some(split.asked))
        yield given


def _drawn(targets: Labels, rows: Rows, shots: int, chance: np.random.Generator) -> Rows:
    """Return so many rows of each label, all where there are no more."""
    import numpy as np

    order = chance.permutation(rows)
    order = order[np.argsort(targets[order], kind="stable")]
    own = targets[order]
    # How many of the same label stand before each.
    before = np.arange(len(own)) - np.searchsorted(own, own)
    return np.sort(order[before < shots])


def _answers(name: str, examples: _Texts, asked: _Texts) -> Labels:
    """Return the label of each text that is asked about, shape (n,)."""
    import numpy as np

    from embedcli.vectors.fit_heads import Examples, Fit, fit

    labels, targets = np.unique(examples.targets, return_inverse=True)
    if len(labels) == 1:
        return np.full(len(asked.targets), labels[0])
    vectors, queries = examples.vectors, asked.vectors
    kind: Kind = next((head for head in HEADS if head == name), "logistic")
    if name == NAME:
        words = TfidfVectors(examples.texts)
        vectors, queries = words.vectors(examples.texts), words.vectors(asked.texts)
    head = fit(Examples(vectors, np.eye(len(labels), dtype=bool)[targets]), Fit(kind))
    found: Labels = labels[head.scores(queries).argmax(axis=1)]
    return found


def _metric(name: str, shots: int | None) -> str:
    return name if shots is None else f"{name}@{shots}"


def _measured(
    name: str, given: Labels, own: Labels, shots: int | None, seed: int
) -> tuple[Measurement, Measurement]:
    """Return accuracy and macro-F1 of answers of shape (draws, n)."""
    import numpy as np

    right = (given == own).mean(axis=0)
    accuracy = mean_measurements(name, {_metric("accuracy", shots): right.astype(np.float64)}, seed)
    statistic = {_metric("macro-F1", shots): _macro_f1(given, own)}
    return accuracy[0], statistic_measurements(name, statistic, len(own), seed)[0]


def _macro_f1(given: Labels, own: Labels) -> Callable[[Rows], float]:
    """Return what gives the mean F1 of the labels that some rows have, averaged over draws."""
    import numpy as np

    from embedcli.vectors.label_measures import macro_f1

    def of_rows(rows: Rows) -> float:
        return float(np.mean([macro_f1(each[rows], own[rows]) for each in given]))

    return of_rows
