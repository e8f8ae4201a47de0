"""Heads learnt from examples: class means, logistic regression, neighbours; what they say of unseen ones."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

import numpy as np
from sklearn.linear_model import LogisticRegression
from threadpoolctl import threadpool_limits

from embedcli.vectors.heads import NAME_SHARPNESS, NEIGHBORS, DirectionHead, LinearHead, NeighborHead
from embedcli.vectors.held_out import STAYS
from embedcli.vectors.normalize import normalize

if TYPE_CHECKING:
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.vectors.heads import Head

    Doubles = npt.NDArray[np.float64]

Kind = Literal["mean", "knn", "logistic"]

NAME_WEIGHT: Final = 2.0
"""A label's name counts as so many examples of it. Measured: docs/classify.md."""

SHARPNESS: Final = 2.0
"""Of a logistic regression where no example can be held out: 1.8 to 3.4 was best for 2 to 8 a label."""

_TRUST: Final = 5.0
"""In the usual sharpness: what the square of its logarithm's change costs in logarithms of likelihood."""

_STEPS: Final = 1000
_SHARPNESSES: Final = np.geomspace(0.1, 100, 121)


class Examples(NamedTuple):
    """Labelled vectors.

    Attributes:
        vectors: Shape (n, dim), float32, unit length.
        targets: Which labels each has, shape (n, labels), bool; at least one each.
        names: One vector for each label, shape (labels, dim), unit length; None where names say nothing.
    """

    vectors: Vectors
    targets: npt.NDArray[np.bool_]
    names: Vectors | None = None


class Fit(NamedTuple):
    """How a head is learnt.

    Attributes:
        kind: Of which kind it is.
        strength: What the examples of a logistic regression count against its regularization (C).
        neighbors: How many vote.
        many: Whether a text can have several labels, or none.
    """

    kind: Kind
    strength: float = 10.0
    neighbors: int = NEIGHBORS
    many: bool = False


def fit(examples: Examples, how: Fit) -> Head:
    """Return a head; the same bits for any number of threads.

    Args:
        examples: At least one; at least two labels. A label without examples needs names.
        how: How.

    Source of class means: Arora et al., "A Theoretical Analysis of Contrastive Unsupervised Representation
        Learning", ICML 2019, section 2. A mean is blended with the name, which weighs the less the more
        examples there are.
    """
    if how.kind == "knn":
        return NeighborHead(examples.vectors, examples.targets, how.neighbors)
    if how.kind == "mean":
        sums = examples.targets.T.astype(np.float64) @ examples.vectors.astype(np.float64)
        if examples.names is not None:
            sums += NAME_WEIGHT * examples.names
        return DirectionHead(normalize(sums))
    with threadpool_limits(1), warnings.catch_warnings():
        # One that has not settled after so many steps is as good as one that has; one example is enough.
        warnings.simplefilter("ignore", UserWarning)
        return _one_by_one(examples, how) if how.many else _all_at_once(examples, how)


def sharpened(head: Head, raw: Doubles, targets: npt.NDArray[np.bool_]) -> Head:
    """Return a head whose probabilities are as likely as can be for held-out examples.

    Few examples that are all told apart would make it as sure as can be: what is usual counts as well, so
    that a tenfold sharpness has to make them exp(26) times as likely.

    Args:
        head: A kind with sharpness; others come back as they are.
        raw: Of the examples, from `held_out_raw`, shape (n, labels).
        targets: Which labels they have.

    Source: temperature scaling, Guo et al., "On Calibration of Modern Neural Networks", ICML 2017, section 4.
    """
    if not isinstance(head, DirectionHead | LinearHead):
        return head
    if isinstance(head, LinearHead) and head.many:
        signs = np.where(targets, 1.0, -1.0)
        costs = [np.logaddexp(0, -signs * raw * value).sum() for value in _SHARPNESSES]
    else:
        own = np.where(targets, raw, 0).sum(axis=1) / targets.sum(axis=1)
        top = raw.max(axis=1, keepdims=True)
        costs = [
            (np.log(np.exp((raw - top) * value).sum(axis=1)) - (own - top[:, 0]) * value).sum()
            for value in _SHARPNESSES
        ]
    usual = SHARPNESS if isinstance(head, LinearHead) else NAME_SHARPNESS
    total = np.array(costs) + _TRUST * np.square(np.log(_SHARPNESSES / usual))
    return replace(head, sharpness=float(_SHARPNESSES[int(np.argmin(total))]))


def held_out_raw(examples: Examples, how: Fit, parts: npt.NDArray[np.int64]) -> Doubles:
    """Return what heads say of the examples that they have not seen, shape (n, labels).

    That is `Head.raw`; rows of zeros for examples that are never held out.

    Args:
        examples: All of them.
        how: How a head is learnt.
        parts: From `held_out_parts`.
    """
    found = np.zeros(examples.targets.shape)
    for part in np.unique(parts[parts != STAYS]):
        out = parts == part
        head = fit(Examples(examples.vectors[~out], examples.targets[~out], examples.names), how)
        found[out] = head.raw(examples.vectors[out])
    return found


def names_help(examples: Examples, names: Vectors) -> bool:
    """Whether names mean something: alone they are right more often than chance, by a fifth of all it can be.

    Names such as `1` and `2` are right as often as chance.

    Source: the measure is J. Cohen, "A coefficient of agreement for nominal scales", 1960, with even chances.
    """
    best = DirectionHead(names).scores(examples.vectors).argmax(axis=1)
    right = examples.targets[np.arange(len(best)), best].mean()
    chance = examples.targets.mean()
    return bool(right - chance >= 0.2 * (1 - chance))


def _with_names(examples: Examples) -> tuple[Vectors, npt.NDArray[np.bool_], npt.NDArray[np.float64]]:
    """Return vectors, targets and weights, the names among them."""
    weights = np.ones(len(examples.targets))
    if examples.names is None:
        return examples.vectors, examples.targets, weights
    labels = len(examples.names)
    return (
        np.concatenate([examples.vectors, examples.names]),
        np.concatenate([examples.targets, np.eye(labels, dtype=bool)]),
        np.concatenate([weights, np.full(labels, NAME_WEIGHT)]),
    )


def _all_at_once(examples: Examples, how: Fit) -> LinearHead:
    """Return a multinomial logistic regression."""
    vectors, targets, weights = _with_names(examples)
    found = LogisticRegression(C=how.strength, max_iter=_STEPS).fit(
        vectors, targets.argmax(axis=1), sample_weight=weights
    )
    coefficients, bias = found.coef_, found.intercept_
    if len(found.classes_) == 2:
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    return LinearHead(coefficients.astype(np.float32), bias.astype(np.float32), SHARPNESS)


def _one_by_one(examples: Examples, how: Fit) -> LinearHead:
    """Return a logistic regression for each label, against all others."""
    vectors, targets, weights = _with_names(examples)
    whole = np.zeros((targets.shape[1], vectors.shape[1]), dtype=np.float32)
    bias = np.zeros(targets.shape[1], dtype=np.float32)
    for label, wanted in enumerate(targets.T):
        if wanted.all() or not wanted.any():
            bias[label] = 100.0 if wanted.all() else -100.0
            continue
        found = LogisticRegression(C=how.strength, max_iter=_STEPS).fit(
            vectors, wanted, sample_weight=weights
        )
        whole[label], bias[label] = found.coef_[0], found.intercept_[0]
    return LinearHead(whole, bias, SHARPNESS, many=True)
