"""All probes of `eval stress`, of an encoder and of a bag of words."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, get_args

from embedcli.errors import InputError
from embedcli.reports import Evaluation
from embedcli.tasks.evaluate import probe_texts, probes
from embedcli.tasks.evaluate.bag_of_words import NAME, TfidfVectors

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import numpy as np
    import numpy.typing as npt

    from embedcli.reports import Measurement
    from embedcli.tasks.evaluate.probes import Probed, Products
    from embedcli.tasks.vectorize import Vectorizer

    Doubles = npt.NDArray[np.float64]

Probe = Literal["sentence", "order", "negation", "numbers", "length", "typos", "position"]
PROBES: Final[tuple[Probe, ...]] = get_args(Probe)

MOST_TEXTS: Final = 2_000
"""Of a user's texts that are kept; the probes draw from these."""

_SENTENCES: Final = 8
_SHORT_SENTENCES: Final = 2


def encoder_products(vectorizer: Vectorizer) -> Products:
    """Return the cosines that an encoder gives; it remembers texts that it met."""
    import numpy as np

    def products(lefts: Sequence[str], rights: Sequence[str]) -> Doubles:
        one, other = (vectorizer.text_vectors(texts).astype(np.float64) for texts in (lefts, rights))
        return one @ other.T

    return products


def word_products(lefts: Sequence[str], rights: Sequence[str]) -> Doubles:
    """Return TF-IDF cosines, shape (n, m), float64; words are of both lists."""
    import numpy as np

    words = TfidfVectors(list(dict.fromkeys([*lefts, *rights])))
    return np.asarray((words.vectors(lefts) @ words.vectors(rights).T).toarray(), dtype=np.float64)


def run_probe(probe: Probe, texts: Sequence[str] | None, products: Products, seed: int) -> Probed | None:
    """Return what a probe finds; None where there are too few texts for it.

    Args:
        probe: Which.
        texts: The user's; None for built-in ones. `negation` and `numbers` always have their own.
        products: Of the encoder.
        seed: Of what is drawn.
    """
    long = probe_texts.documents(probes.ITEMS, _SENTENCES, seed) if texts is None else texts
    short = probe_texts.documents(probes.ITEMS, _SHORT_SENTENCES, seed + 1) if texts is None else texts
    try:
        match probe:
            case "sentence":
                found = probes.probe_sentences(long, products, seed)
            case "order":
                choices = (
                    probe_texts.role_choices(probes.ITEMS, seed)
                    if texts is None
                    else probes.shuffled_choices(texts, seed)
                )
                found = probes.probe_choices(probe, choices, products)
            case "negation":
                found = probes.probe_choices(
                    probe, probe_texts.negation_choices(probes.ITEMS, seed), products
                )
            case "numbers":
                found = probes.probe_choices(probe, probe_texts.number_choices(probes.ITEMS, seed), products)
            case "length":
                found = probes.probe_length(long, products, seed)
            case "typos":
                found = probes.probe_typos(short, products, seed)
            case "position":
                found = probes.probe_positions(long, products, seed)
    except probes.TooFewTextsError:
        return None
    return found


def stress(
    system: str,
    vectorizer: Vectorizer,
    wanted: Sequence[Probe],
    texts: Sequence[str] | None,
    seed: int,
    on_notice: Callable[[str], None],
) -> Evaluation:
    """Return what the probes find of an encoder, and of a bag of words beside it.

    Args:
        system: The encoder's name in the table.
        vectorizer: Makes vectors of unit length.
        wanted: Which probes, in their order.
        texts: The user's; None for built-in ones.
        seed: Of what is drawn.
        on_notice: Told of probes for which there are too few texts.

    Raises:
        InputError: There are too few for all of them.
    """
    measured: dict[str, list[Measurement]] = {system: [], NAME: []}
    items: list[str] = []
    chance: dict[str, float] = {}
    for probe in wanted:
        for name, products in ((system, encoder_products(vectorizer)), (NAME, word_products)):
            found = run_probe(probe, texts, products, seed)
            if found is None:
                on_notice(
                    f"{probe} is left out: it needs {probes.LEAST_ITEMS} texts with enough words or sentences"
                )
                break
            measured[name] += found.measurements(name, seed)
        if found is not None:
            items += [f"{probe}:{number}" for number in range(1, found.items + 1)]
            chance |= found.chance
    if not items:
        raise InputError("too few texts for any probe", hint="without PATH, built-in texts are used")
    # Probes have items of their own: no list of values is over all of them.
    measurements = tuple(replace(each, values=None) for own in measured.values() for each in own)
    return Evaluation("stress", tuple(items), "items", measurements, chance)
