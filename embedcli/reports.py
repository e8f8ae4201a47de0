"""What tasks find out about a whole run, as it is handed to `write`; all frozen.

Values of single records stand in `datatypes`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    from embedcli.datatypes import Json, Record

    Doubles = npt.NDArray[np.float64]

Change = Literal["new", "gone"]


class Match(NamedTuple):
    """A record that another one goes with, and how well.

    Attributes:
        record: The one that was found.
        score: What ranks, higher is closer; 0 to 1 for a blend, -1 to 1 for a cosine, from 0 for a ratio.
        margin: The score less that of the best other text; below 0 for one that is not the best, None where
            there is no other.
        cosine: -1 to 1.
        characters: How alike the two are by their characters, 0 to 1; None where that was not looked at.
    """

    record: Record
    score: float
    margin: float | None
    cosine: float
    characters: float | None


class Changed(NamedTuple):
    """A record that stands for what is new, or gone.

    Attributes:
        change: Which of the two.
        record: On the right for what is new, on the left for what is gone.
        score: Mean cosine to its five nearest records on its own side less that to those on the other, up to
            2.
        alike: Other records of its side that are nearer to it than to their nearest ones on the other side.
    """

    change: Change
    record: Record
    score: float
    alike: int


class Drift(NamedTuple):
    """How far two collections are from each other.

    Attributes:
        left: Records with a vector on the left.
        right: Those on the right.
        mean_cosine: Cosine of the two means, -1 to 1; None where a side is empty.
        energy: From 0, the same, to 1; likewise.
        p: How likely chance alone makes as large a difference; likewise.
        changed: What is new, and then what is gone, the newest first.
    """

    left: int
    right: int
    mean_cosine: float | None
    energy: float | None
    p: float | None
    changed: list[Changed]


class NearPair(NamedTuple):
    """Two records of which one is the closest to the other.

    Attributes:
        ids: Of both, in input order.
        texts: Of both.
        cosine: -1 to 1.
    """

    ids: tuple[str, str]
    texts: tuple[str, str]
    cosine: float


class ScoreBin(NamedTuple):
    """How many records have their closest other record at a cosine from `low` up to `high`, that left out."""

    low: float
    high: float
    records: int


class KeptAt(NamedTuple):
    """How many records would be kept at a threshold."""

    threshold: float
    kept: int


@dataclass(frozen=True, slots=True)
class Preview:
    """What a threshold would do, and what others would.

    Attributes:
        threshold: The one in question.
        records: How many there are, blank ones left out.
        by_text: How many of them the stages before the vectors drop.
        alone: Records whose closest other has no place in the histogram: its cosine is below 0, or there is
            none, since their vector is zero or no other text is of a similar length.
        histogram: Of the closest cosines of all other records that the text leaves open; the last bin holds
            1 too.
        above: The pairs that are duplicates by the least, the closest first.
        below: The pairs that are none by the least, the closest first.
        kept: At some thresholds around it, ascending.
    """

    threshold: float
    records: int
    by_text: int
    alone: int
    histogram: tuple[ScoreBin, ...]
    above: tuple[NearPair, ...]
    below: tuple[NearPair, ...]
    kept: tuple[KeptAt, ...]


class ClusterSummary(NamedTuple):
    """What a cluster is like.

    Attributes:
        cluster: Its id; -1 for noise.
        name: The terms that say most of it; None for noise.
        size: How many records are in it.
        share: Of the records that are in a cluster or noise, 0 to 1.
        cohesion: Mean cosine of its records to its centroid; None for noise.
        example: The text that is nearest to the centroid; None for noise.
        example_id: Id of the first record with that text.
        words: More terms, the one that says most first.
    """

    cluster: int
    name: str | None
    size: int
    share: float
    cohesion: float | None = None
    example: str | None = None
    example_id: str | None = None
    words: tuple[str, ...] = ()


class ClusterNode(NamedTuple):
    """A cluster in a tree of them, or a node at which two branches join.

    Attributes:
        node: Its number, that of a cluster's place in a summary, or one above.
        parent: The node above it; None for the root.
        depth: Nodes above it.
        cluster: The cluster's id; None for an inner node.
        name: The terms that say most of all that is below it.
        size: Records below it.
        cosine: Mean cosine between the records of its two branches; None for a cluster.
    """

    node: int
    parent: int | None
    depth: int
    cluster: int | None
    name: str
    size: int
    cosine: float | None


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How often a label was given; None for records left open.

    Attributes:
        label: The label.
        count: Records.
        share: Of all records that have a vector, 0 to 1.
        score: The mean score; None where there are none.
    """

    label: str | None
    count: int
    share: float
    score: float | None


@dataclass(frozen=True, slots=True)
class LabelQuality:
    """How well a label is found.

    Attributes:
        label: The label.
        precision: Of the records that were given it, the share that have it; 0 where none were.
        recall: Of the records that have it, the share that were given it; 0 where none have.
        f1: Their harmonic mean.
        gold: Records that have it.
        given: Records that were given it.
    """

    label: str
    precision: float
    recall: float
    f1: float
    gold: int
    given: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """How many records with a label were given another one (or the same); None for those left open."""

    gold: str
    label: str | None
    count: int


@dataclass(frozen=True, slots=True)
class GoldReport:
    """Answers compared with labels.

    Attributes:
        records: Those with a label of their own and a vector.
        answered: How many of them were answered.
        accuracy: Of `records`, the share with the right answer: all labels right, where there may be several.
        accuracy_answered: Of those answered.
        macro_f1: The mean F1 of the labels that records have.
        micro_f1: F1 of all decisions together.
        labels: Each label that was there or was given, sorted.
        confusion: All cells above 0, by gold and label; empty where a record may have several labels.
    """

    records: int
    answered: int
    accuracy: float
    accuracy_answered: float
    macro_f1: float
    micro_f1: float
    labels: tuple[LabelQuality, ...]
    confusion: tuple[Confusion, ...]


class Figure(NamedTuple):
    """One measured number, as it is shown.

    Attributes:
        task: What was measured: `retrieval`, `sts`, …
        system: Of what.
        metric: In which measure.
        value: NaN where the measure says nothing.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        queries: How many items it is over: queries, pairs, records.
        p: How likely chance alone makes as large a difference to the first system; None for that one, and
            where it cannot be said.
        chance: What guessing gives; None where that is not known.
    """

    task: str
    system: str
    metric: str
    value: float
    low: float | None
    high: float | None
    queries: int
    p: float | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Measurement:
    """One measure of one system, and what is needed to compare it with another.

    Attributes:
        system: Of what.
        metric: In which measure.
        value: NaN where the measure says nothing.
        low: Lower end of the 95 % interval; None where there is none.
        high: Upper end.
        values: Of each item, shape (items,), float64, their mean is `value`; None for a measure that is no
            mean.
        resampled: The measure over resamples of the items, the same ones for all systems of a task, shape
            (RESAMPLES,), float64; None where there is no interval.
    """

    system: str
    metric: str
    value: float
    low: float | None = None
    high: float | None = None
    values: Doubles | None = None
    resampled: Doubles | None = None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What some systems reach in one task.

    Attributes:
        task: `retrieval`, `sts`, …
        items: Ids of what was drawn again for the intervals.
        unit: What these are: `queries`, `pairs`, `texts`.
        measurements: By system, in the order of the table: first the one that everything is compared with,
            last the baseline; of each, the measure first that decides.
        chance: What guessing gives, by metric, where that is known.
        about: What else there is to know to repeat it, as JSON.
    """

    task: str
    items: tuple[str, ...]
    unit: str
    measurements: tuple[Measurement, ...]
    chance: Mapping[str, float] = field(default_factory=dict)
    about: Mapping[str, Json] = field(default_factory=dict)

    @property
    def systems(self) -> tuple[str, ...]:
        """Their names in the order of the table."""
        return tuple(dict.fromkeys(each.system for each in self.measurements))

    @property
    def metrics(self) -> tuple[str, ...]:
        """All measures, in the order in which they are met."""
        return tuple(dict.fromkeys(each.metric for each in self.measurements))

    def find(self, system: str, metric: str) -> Measurement | None:
        """Return one measurement; None where there is none."""
        for each in self.measurements:
            if each.system == system and each.metric == metric:
                return each
        return None
