"""A head from labelled examples: which kind, how strong, and what to expect of it, by examples held out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Vectors
    from embedcli.tasks.labelled import Labelled
    from embedcli.vectors.fit_heads import Fit
    from embedcli.vectors.heads import Doubles, Head

HeadKind = Literal["auto", "mean", "knn", "logistic"]

STRENGTHS: Final = (10.0, 1.0)
"""Of logistic regressions that are tried; of equally good ones the first. Measured: docs/classify.md."""


@dataclass(frozen=True, slots=True)
class TrainSettings:
    """How a head is learnt.

    Attributes:
        kind: Of which kind; `auto` for what is right most often on held-out examples.
        neighbors: How many vote.
        many: Whether a text can have several labels, or none.
        seed: Of which examples are held out together.
    """

    kind: HeadKind = "auto"
    neighbors: int = 20
    many: bool = False
    seed: int = 0


class HeldOut(NamedTuple):
    """What a head says of examples that it has not seen.

    Attributes:
        margins: Of each, shape (n,), float64.
        right: Whether the best label is one of its own, shape (n,), bool.
        cut: The score from which on labels are given where there may be several; else None.
        f1: What that comes to on these examples; else None.
    """

    margins: Doubles
    right: npt.NDArray[np.bool_]
    cut: float | None = None
    f1: float | None = None

    @property
    def accuracy(self) -> float:
        """Share of the examples whose best label is right, 0 to 1."""
        return float(self.right.mean())


@dataclass(frozen=True)
class Trained:
    """A head and what is known of it.

    Attributes:
        labels: In the order of its scores.
        head: Gives scores.
        how: What it is, in words.
        many: Whether a text can have several labels.
        examples: How many it learnt from; 0 for one that goes by names.
        held_out: What it says of examples that it has not seen; None where none could be held out.
    """

    labels: tuple[str, ...]
    head: Head
    how: str
    many: bool = False
    examples: int = 0
    held_out: HeldOut | None = None


def train(labelled: Labelled, names: Vectors | None, settings: TrainSettings) -> Trained:
    """Return a head that has learnt from examples. The same bits for any number of threads.

    Args:
        labelled: The examples.
        names: The direction of each label's name or description, shape (labels, dim); None for none. They
            are left out where they mean nothing, and where neighbours vote.
        settings: How.
    """
    from embedcli.vectors.fit_heads import Examples, fit, held_out_raw, names_help, sharpened
    from embedcli.vectors.held_out import STAYS, held_out_parts

    examples = Examples(labelled.vectors, labelled.targets)
    if names is not None and settings.kind != "knn" and names_help(examples, names):
        examples = examples._replace(names=names)
    tried = _candidates(settings)
    parts = held_out_parts(labelled.targets, settings.seed)
    out = parts != STAYS
    targets = labelled.targets[out]
    held_out = None
    if len(targets):
        found = [(how, held_out_raw(examples, how, parts)[out]) for how in tried]
        # Of equally good ones the first.
        how, raw = max(found, key=lambda each: _quality(each[1], targets, many=settings.many))
        head = sharpened(fit(examples, how), raw, targets)
        held_out = _held_out(head, raw, targets, many=settings.many)
    else:
        how = tried[0]
        head = fit(examples, how)
    said = _said(how, with_names=examples.names is not None)
    return Trained(labelled.labels, head, said, settings.many, len(labelled.vectors), held_out)


def _candidates(settings: TrainSettings) -> list[Fit]:
    """Return what is tried, the first one what is taken without a trial."""
    from embedcli.vectors.fit_heads import Fit

    if settings.kind in ("mean", "knn"):
        return [Fit(settings.kind, neighbors=settings.neighbors, many=settings.many)]
    found = [Fit("logistic", strength, many=settings.many) for strength in STRENGTHS]
    return found if settings.kind == "logistic" else [*found, Fit("mean", many=settings.many)]


def _quality(raw: Doubles, targets: npt.NDArray[np.bool_], *, many: bool) -> float:
    """Return what counts where heads are compared, 0 to 1: accuracy, or F1."""
    import numpy as np

    from embedcli.vectors.abstain import choose_cut

    if many:
        return choose_cut(raw, targets)[1]
    return float(targets[np.arange(len(raw)), raw.argmax(axis=1)].mean())


def _held_out(head: Head, raw: Doubles, targets: npt.NDArray[np.bool_], *, many: bool) -> HeldOut:
    import numpy as np

    from embedcli.vectors.abstain import choose_cut
    from embedcli.vectors.heads import margins

    scores = head.finished(raw)
    right = targets[np.arange(len(scores)), scores.argmax(axis=1)]
    cut, f1 = choose_cut(scores, targets) if many else (None, None)
    return HeldOut(margins(scores), right, cut, f1)


def _said(how: Fit, *, with_names: bool) -> str:
    """Return a head in words."""
    about = {
        "mean": "class means",
        "knn": f"the {how.neighbors} nearest examples",
        "logistic": f"logistic regression, C = {how.strength:g}",
    }[how.kind]
    return about + (", and the labels' names" if with_names else "")
