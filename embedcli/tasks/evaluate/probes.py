"""What an encoder sees in a text and what it passes over: the probes of `eval stress`.

Each probe has a known answer for a bag of words, so that its figure can be read. Where a text has to be told
from another, equal cosines count as half: that is what guessing gives.
"""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from embedcli.tasks.edits import misspell_text, replace_words, sentences_of
from embedcli.tasks.evaluate import probe_texts
from embedcli.tasks.evaluate.measured import mean_measurements, statistic_measurements
from embedcli.tasks.evaluate.unrelated_words import KINDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.reports import Measurement

    Doubles = npt.NDArray[np.float64]
    Rows = npt.NDArray[np.int64]

    Products = Callable[[Sequence[str], Sequence[str]], Doubles]
    """Cosines of each text of one list with each of another, shape (n, m), float64."""

ITEMS: Final = 120
"""Of each probe: an interval of about 0.09 on both sides at a half."""

SHARES: Final = (0.05, 0.1, 0.25, 0.5)
"""Of words that are misspelt or replaced."""

LEAST_ITEMS: Final = 10
"""Texts that a probe needs: fewer say nothing."""

FOREIGN: Final = 5
"""Sentences of other documents that each of a document's own is told from."""

_LEAST_SENTENCES: Final = 3
_LEAST_WORDS: Final = 6
_MOST_SENTENCES: Final = 12
_HAYSTACKS: Final = 30
_HAY_SENTENCES: Final = 24
_TIE: Final = 1e-6
"""Cosines of the same words in another order may differ by so much, from rounding alone."""

MEANINGS: Final[Mapping[str, str]] = {
    "sentence": "AUC: a sentence is nearer to its document than a foreign one; bag of words: near 1",
    "order": "who did what to whom, from equal words; bag of words: 0.5 exactly",
    "negation": "the same in other words is nearer than the negation; bag of words: 0",
    "numbers": "the nearer number is nearer; bag of words: 0.5 exactly",
    "length": "rank correlation of length and cosine to unrelated texts; 0 is best; bag of words: high",
    **{
        f"misspelt {share:.0%}": "drift, 1 - cosine, words misspelt; bag of words: the share and more"
        for share in SHARES
    },
    **{
        f"replaced {share:.0%}": "drift, words replaced by others; bag of words: the share and more"
        for share in SHARES
    },
    **{
        f"{place} of a text": "recall@1 of long texts by a sentence there; bag of words: alike"
        for place in ("beginning", "middle", "end")
    },
}
"""The measures, and what a bag of words is known to give."""


class TooFewTextsError(Exception):
    """A probe has fewer than `LEAST_ITEMS` texts."""


class Probed(NamedTuple):
    """What a probe finds of one encoder.

    Attributes:
        values: By metric, of each item, shape (items,), where the metric is their mean.
        statistics: By metric, of rows, where it is none.
        items: How many.
        chance: By metric, what guessing gives.
    """

    values: dict[str, Doubles]
    statistics: dict[str, Callable[[Rows], float]]
    items: int
    chance: dict[str, float]

    def measurements(self, system: str, seed: int) -> list[Measurement]:
        """Return the figures with their intervals."""
        return [
            *mean_measurements(system, self.values, seed),
            *statistic_measurements(system, self.statistics, self.items, seed),
        ]


def _means(values: dict[str, Doubles], chance: float | None = None) -> Probed:
    count = len(next(iter(values.values())))
    return Probed(values, {}, count, {} if chance is None else dict.fromkeys(values, chance))


def told_apart(right: Doubles, wrong: Doubles) -> Doubles:
    """Return 1 where the right cosine is larger, 0 where it is smaller, a half where they are equal."""
    import numpy as np

    apart = right - wrong
    found: Doubles = np.where(np.abs(apart) <= _TIE, 0.5, (apart > 0).astype(np.float64))
    return found


def probe_sentences(texts: Sequence[str], products: Products, seed: int) -> Probed:
    """Is this sentence in this document? One of its own against some of other documents.

    Source: the task of M. Zhang et al., "Encouraging paragraph embeddings to remember sentence identity
        improves classification", ACL 2019.
    """
    import numpy as np

    chance = random.Random(f"sentences {seed}")  # noqa: S311  (nothing secret)
    chosen = _long_texts(texts, seed)
    own = [chance.choice(sentences) for _, sentences in chosen]
    near = products([" ".join(sentences) for _, sentences in chosen], own)
    values = np.empty(len(chosen))
    for row in range(len(chosen)):
        others = [at for at, sentence in enumerate(own) if sentence not in chosen[row][1]]
        drawn = chance.sample(others, min(FOREIGN, len(others)))
        foreign = near[row, drawn]
        values[row] = told_apart(np.full(len(drawn), near[row, row]), foreign).mean() if drawn else 0.5
    return _means({"sentence": values}, 0.5)


def probe_choices(name: str, choices: Sequence[probe_texts.Choice], products: Products) -> Probed:
    """Is a text nearer to one that says the same than to one that does not?"""
    _check_count(choices)
    texts, same, other = (list(texts) for texts in zip(*choices, strict=True))
    near = products(texts, [*same, *other])
    right, wrong = near[:, : len(texts)].diagonal(), near[:, len(texts) :].diagonal()
    return _means({name: told_apart(right, wrong)}, 0.5)


def shuffled_choices(texts: Sequence[str], seed: int) -> list[probe_texts.Choice]:
    """Return texts without their last word, the whole text, and the whole text with its words shuffled."""
    chance = random.Random(f"order {seed}")  # noqa: S311  (nothing secret)
    made = []
    for text in _sampled(texts, seed):
        words = text.split()
        order = list(words)
        for _ in range(5):
            if order != words:
                break
            chance.shuffle(order)
        if len(words) >= _LEAST_WORDS and order != words:
            made.append(probe_texts.Choice(" ".join(words[:-1]), " ".join(words), " ".join(order)))
    return made


def probe_length(texts: Sequence[str], products: Products, seed: int) -> Probed:
    """Does a longer text look more like everything? Texts are cut to lengths by chance."""
    import numpy as np

    chance = random.Random(f"length {seed}")  # noqa: S311  (nothing secret)
    cut = [
        " ".join(sentences[: chance.randint(1, min(len(sentences), _MOST_SENTENCES))])
        for _, sentences in _long_texts(texts, seed)
    ]
    near = products(cut, cut)
    np.fill_diagonal(near, 0)
    means = near.sum(axis=1) / max(1, len(cut) - 1)
    lengths = np.array([len(text.split()) for text in cut], dtype=np.float64)
    return Probed({}, {"length": partial(_rank_correlation, lengths, means)}, len(cut), {"length": 0.0})


def _rank_correlation(one: Doubles, other: Doubles, rows: Rows) -> float:
    """Return Spearman's correlation of some rows; NaN where a side is all alike."""
    import numpy as np
    from scipy.stats import rankdata

    first, second = rankdata(one[rows]), rankdata(other[rows])
    first, second = first - first.mean(), second - second.mean()
    spread = float(np.sqrt((first @ first) * (second @ second)))
    return float(first @ second) / spread if spread else float("nan")


def probe_typos(texts: Sequence[str], products: Products, seed: int) -> Probed:
    """How far does a text drift with its words misspelt, or replaced by others?"""
    import numpy as np

    words = [word for kind in KINDS.values() for word in kind]
    chosen = [text for text in _sampled(texts, seed) if len(text.split()) >= _LEAST_WORDS]
    _check_count(chosen)
    edited: dict[str, list[str]] = {}
    for share in SHARES:
        edited[f"misspelt {share:.0%}"] = [misspell_text(text, share, seed) or text for text in chosen]
    for share in SHARES:
        edited[f"replaced {share:.0%}"] = [replace_words(text, words, share, seed) or text for text in chosen]
    near = products(chosen, [text for group in edited.values() for text in group])
    count = len(chosen)
    values = {
        name: np.maximum(0, 1 - near[:, place * count : (place + 1) * count].diagonal())
        for place, name in enumerate(edited)
    }
    return Probed(values, {}, count, {})


def probe_positions(texts: Sequence[str], products: Products, seed: int) -> Probed:
    """Is a sentence found at the beginning, in the middle and at the end of a long text?

    Each text hides one sentence and is looked for by a question that this answers; of equally near texts the
    wrong ones go first.

    Source: the passkey test of D. Zhu et al., "LongEmbed: extending embedding models for long context
        retrieval", EMNLP 2024, with words instead of numbers.
    """
    import numpy as np

    hidden = probe_texts.needles(_HAYSTACKS, seed)
    hay = [sentence for _, sentences in _long_texts(texts, seed) for sentence in sentences]
    values = {}
    for place, name in enumerate(("beginning", "middle", "end")):
        stacks = []
        for number, (needle, _) in enumerate(hidden):
            start = number * _HAY_SENTENCES
            own = [hay[(start + step) % len(hay)] for step in range(_HAY_SENTENCES)]
            at = place * _HAY_SENTENCES // 2
            stacks.append(" ".join([*own[:at], needle, *own[at:]]))
        near = products([question for _, question in hidden], stacks)
        right = near.diagonal().copy()
        np.fill_diagonal(near, -np.inf)
        values[f"{name} of a text"] = (right > near.max(axis=1) + _TIE).astype(np.float64)
    return _means(values, 1 / len(hidden))


def _sampled(texts: Sequence[str], seed: int) -> list[str]:
    """Return at most `ITEMS` of some texts, in their order."""
    from embedcli.tasks.reservoir import sample

    return sample(texts, ITEMS, seed)


def _long_texts(texts: Sequence[str], seed: int) -> list[tuple[str, list[str]]]:
    """Return texts of at least three different sentences, with these, at most `ITEMS`."""
    from embedcli.tasks.reservoir import sample

    def there() -> Iterator[tuple[str, list[str]]]:
        for text in texts:
            sentences = list(dict.fromkeys(sentences_of(text)))
            if len(sentences) >= _LEAST_SENTENCES:
                yield text, sentences

    chosen = sample(there(), ITEMS, seed)
    _check_count(chosen)
    return chosen


def _check_count(items: Sequence[object]) -> None:
    """Refuse to measure on next to nothing.

    Raises:
        TooFewTextsError: There are fewer than `LEAST_ITEMS`.
    """
    if len(items) < LEAST_ITEMS:
        raise TooFewTextsError
