"""One model of several: their weights averaged, or their vectors rotated into one space and averaged."""

from __future__ import annotations

import math
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from embedcli.encode.catalog import Model, find_model
from embedcli.errors import MissingExtraError, ModelError, UnknownModelError, UsageError
from embedcli.tasks.known_item import MAX_ITEMS, MIN_ITEMS, find_items, item_ranks, measure, split_item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from embedcli.datatypes import Record
    from embedcli.encode.manifest import Manifest
    from embedcli.encode.merge_folder import Aligned
    from embedcli.tasks.known_item import Item, Measured
    from embedcli.tasks.vectorize import Vectorizer

    OpenVectorizer = Callable[[Model], Vectorizer]

How = Literal["auto", "weights", "average"]

SAMPLED_TEXTS = 22_000
"""Texts that take part, drawn evenly from all: a rotation of some hundred dimensions needs no more."""

MEASURED_EVERY = 5
"""Of the texts to measure by, one in so many is kept out of the fit of a rotation and measured."""


@dataclass(frozen=True, slots=True)
class MergeSettings:
    """What the merged model is to be.

    Attributes:
        name: Its name.
        how: `weights` averages the weights of one network, `average` rotates vectors; `auto` takes the first
            where it can.
        weights: A share for each model, over 0, of any sum; empty for equal ones.
        description: One line for lists of models.
    """

    name: str
    how: How = "auto"
    weights: tuple[float, ...] = ()
    description: str = ""


@dataclass(frozen=True, slots=True)
class MergeReport:
    """What came of it.

    Attributes:
        how: `weights` or `average`.
        reason: Why `auto` did not average the weights; empty where it did, or was not asked.
        parts: Names of the models.
        weights: The share of each, 1 in all.
        dim: Numbers in a vector.
        texts: Texts that the rotation was fitted to; 0 for averaged weights.
        measured: Figures of each model, of all put end to end, and of the merged one.
        unmeasured: Why there are none; empty where there are.
    """

    how: Literal["weights", "average"]
    reason: str
    parts: tuple[str, ...]
    weights: tuple[float, ...]
    dim: int
    texts: int
    measured: tuple[Measured, ...]
    unmeasured: str


def sample_texts(records: Iterable[Record]) -> list[str]:
    """Return distinct texts of some records in their order, at most `SAMPLED_TEXTS`, drawn evenly from all.

    Source: reservoir sampling, J. S. Vitter, "Random sampling with a reservoir", ACM TOMS 11(1), 1985,
    algorithm R; from a fixed seed.
    """
    import numpy as np

    random = np.random.default_rng(0)
    kept: list[tuple[int, str]] = []
    met = 0
    for record in records:
        if not record.text.strip():
            continue
        met += 1
        if len(kept) < SAMPLED_TEXTS:
            kept.append((met, record.text))
        elif (place := int(random.integers(met))) < SAMPLED_TEXTS:
            kept[place] = (met, record.text)
    return list(dict.fromkeys(text for _, text in sorted(kept)))


def merge(
    models: Sequence[Model],
    out: Path,
    settings: MergeSettings,
    texts: Sequence[str],
    open_vectorizer: OpenVectorizer,
    on_step: Callable[[str], None] = lambda _step: None,
) -> MergeReport:
    """Make the folder of a merged model, and measure it on the user's texts.

    Args:
        models: Two or more; for rotated vectors they must be found by name.
        out: The folder to make; must not exist.
        settings: What it is to be.
        texts: To fit a rotation to, and to measure by; may be empty for averaged weights.
        open_vectorizer: Opens one that gives documents' vectors of unit length.
        on_step: Called with a few words before each step.

    Raises:
        UsageError: `out` is there, the shares do not fit, there are too few texts for a rotation, or a model
            cannot be a part.
        ModelError: Weights were asked for, and the networks differ: the first difference is named.
        MissingExtraError: Weights were asked for, and the library onnx is not installed.
        OutputError: The folder cannot be written.
    """
    from embedcli.encode.joined_manifest import join_models
    from embedcli.encode.merge_folder import MergeFacts, write_averaged_vectors, write_averaged_weights

    facts = MergeFacts(settings.name, settings.description, _shares(settings.weights, len(models)))
    if out.exists():
        raise UsageError(f"{out}: exists", hint="another name, or remove it first")
    # By path, which finds the very same; and refuses at once what gives no vectors.
    joined = join_models([f"{model.folder}/" for model in models], [model.manifest for model in models])
    end_to_end = Model(Path(joined.name), joined, models[0].folders)
    graphs, reason = _graphs(models, settings.how)
    fitted: list[str] = []
    if graphs:
        items = find_items(texts)
        on_step("average the weights")
        made = write_averaged_weights(models, graphs, out, facts)
    else:
        items, fitted = _split(texts)
        aligned = _align(models, fitted, open_vectorizer, on_step)
        made = write_averaged_vectors(aligned, out, facts)
    systems = [*models, end_to_end, Model(out, made, models[0].folders)]
    measured, unmeasured = _measure(systems, items, open_vectorizer, on_step)
    if not texts:
        unmeasured = "no texts were given"
    elif unmeasured and not graphs:
        unmeasured += f"; one in {MEASURED_EVERY} is kept out of the fit for that"
    return MergeReport(
        how="weights" if graphs else "average",
        reason=reason,
        parts=tuple(model.manifest.name for model in models),
        weights=facts.shares,
        dim=made.dim,
        texts=len(fitted),
        measured=tuple(measured),
        unmeasured=unmeasured,
    )


def _shares(weights: Sequence[float], count: int) -> tuple[float, ...]:
    """Return the weights so that they add up to 1."""
    if count < 2:
        raise UsageError(f"{count} models to merge, at least 2 are needed")
    given = tuple(weights) or (1.0,) * count
    if len(given) != count:
        raise UsageError(
            f"{len(given)} weights for {count} models", hint="--weight once for each, in their order"
        )
    if not all(math.isfinite(weight) and weight > 0 for weight in given):
        raise UsageError("a weight must be a number over 0")
    return tuple(weight / sum(given) for weight in given)


def _graphs(models: Sequence[Model], how: How) -> tuple[list[Any], str]:
    """Return the graphs whose weights are to be averaged, or none and the reason."""
    if how == "average":
        return [], ""
    from embedcli.encode.merge_weights import find_difference, find_graph_difference, load_graphs

    manifests = [model.manifest for model in models]
    graphs: list[Any] = []
    difference = find_difference(manifests)
    if not difference:
        try:
            graphs = load_graphs(models)
        except MissingExtraError as error:
            if how == "weights":
                raise
            return [], str(error)
        difference = find_graph_difference(graphs, [manifest.name for manifest in manifests])
    if difference and how == "weights":
        raise ModelError(
            f"the weights cannot be averaged: {difference}",
            hint="--how average rotates the vectors into one space instead",
        )
    return ([], difference) if difference else (graphs, "")


def _split(texts: Sequence[str]) -> tuple[list[Item], list[str]]:
    """Return what to measure by, and the texts to fit a rotation to: none is in both."""
    usable = [text for text in texts if split_item(text) is not None]
    held_out = set(usable[MEASURED_EVERY - 1 :: MEASURED_EVERY])
    items = find_items((text for text in usable if text in held_out), MAX_ITEMS)
    if len(items) < MIN_ITEMS:
        # Too few to tell anything: better used for the fit.
        return items, list(texts)
    return items, [text for text in texts if text not in held_out]


def _align(
    models: Sequence[Model],
    texts: Sequence[str],
    open_vectorizer: OpenVectorizer,
    on_step: Callable[[str], None],
) -> list[Aligned]:
    """Return the models with what takes their vectors into the space of the first."""
    from embedcli.encode.alignment import fit_rotation
    from embedcli.encode.merge_folder import Aligned

    needed = max(model.manifest.dim for model in models)
    if len(texts) < needed:
        raise UsageError(
            f"{len(texts)} texts to fit a rotation of {needed} dimensions to: at least as many are needed",
            hint="name more files; a few thousand texts like those that are to be searched do well",
        )
    names = [_installed_name(model) for model in models]
    aligned: list[Aligned] = []
    target = None
    for model, name in zip(models, names, strict=True):
        on_step(f"encode {len(texts)} texts with {model.manifest.name}")
        with closing(open_vectorizer(model)) as vectorizer:
            vectors = vectorizer.text_vectors(texts)
            variant = vectorizer.variant
        aligned.append(
            Aligned(model, name, variant, None if target is None else fit_rotation(target, vectors))
        )
        target = vectors if target is None else target
    return aligned


def _installed_name(model: Model) -> str:
    """Return the name by which a model is found again.

    Raises:
        UsageError: It was named by the path of its folder, and is not found by name.
    """
    name, variant = model.folder.resolve().name, model.manifest.default_variant
    try:
        found: Manifest | None = find_model(name, model.folders).manifest
    except UnknownModelError:
        found = None
    if (
        found is None
        or variant not in found.variants
        or found.fingerprint(variant) != model.manifest.fingerprint(variant)
    ):
        raise UsageError(
            f"{model.folder} is not installed: a model of averaged vectors finds its parts by name",
            hint=f"embedcli models add {model.folder}",
        )
    return name


def _measure(
    systems: Sequence[Model],
    items: Sequence[Item],
    open_vectorizer: OpenVectorizer,
    on_step: Callable[[str], None],
) -> tuple[list[Measured], str]:
    """Return the figures of each system, or none and the reason."""
    if len(items) < MIN_ITEMS:
        return [], (
            f"{len(items)} texts with a first sentence and a rest to measure by, "
            f"at least {MIN_ITEMS} are needed"
        )
    ranks = []
    for model in systems:
        on_step(f"measure {model.manifest.name} on {len(items)} texts")
        with closing(open_vectorizer(model)) as vectorizer:
            ranks.append((model.manifest.name, item_ranks(vectorizer, items)))
    return measure(ranks), ""
