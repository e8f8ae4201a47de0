"""What is found out about settings of index and query, as it is handed to `write`; all frozen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import numpy.typing as npt

    Doubles = npt.NDArray[np.float64]
    Integers = npt.NDArray[np.int64]


class TuneSetting(NamedTuple):
    """What can be chosen about an index and the queries against it.

    Attributes:
        model: Name of the encoder.
        chunking: `split` for windows of long records, `pool` for one vector a record, else as `index build
            --chunking` has it, with `:N` for its tokens.
        dim: Numbers of a vector.
        dtype: What they are stored as.
        plan: How vectors are searched: `auto` or `signs`.
        mode: `hybrid`, `dense` or `lexical`.
        fusion: How scores are scaled in `hybrid`.
        alpha: Weight of the cosine in `hybrid`, 0 to 1.
        rerank: Whether `--rerank maxsim` looks again.
    """

    model: str
    chunking: str
    dim: int
    dtype: str
    plan: str = "auto"
    mode: str = "hybrid"
    fusion: str = "zscore"
    alpha: float = 0.45
    rerank: bool = False

    @property
    def name(self) -> str:
        """All of it in one line, as tables and saved runs call it."""
        if self.mode == "lexical":
            return f"words alone, {self.chunking} as for {self.model}"
        ranking = f"hybrid {self.fusion} {self.alpha:g}" if self.mode == "hybrid" else self.mode
        parts = [self.model, self.chunking, str(self.dim), self.dtype, ranking]
        parts += ["signs"] if self.plan == "signs" else []
        return " ".join([*parts, *(["maxsim"] if self.rerank else [])])

    @property
    def build_options(self) -> str:
        """What `index build` is told."""
        how, _, tokens = self.chunking.partition(":")
        cut = f"--on-long {how}" if how in ("split", "pool") else f"--chunking {how}"
        cut += f" --chunk-tokens {tokens}" if tokens else ""
        return f"-m {self.model} --dim {self.dim} --dtype {self.dtype} {cut}"

    @property
    def search_options(self) -> str:
        """What `search` is told."""
        said = f"--mode {self.mode}"
        if self.mode == "hybrid":
            said += f" --fuse {self.fusion} --alpha {self.alpha:g}"
        said += " --plan signs" if self.plan == "signs" else ""
        return said + (" --rerank maxsim" if self.rerank else "")


class Tuned(NamedTuple):
    """A setting, and what it gives and costs.

    Attributes:
        setting: Which.
        values: Shape (queries,), float64: the metric of each query, 0 to 1.
        index_bytes: Size of the index file.
        chunks: Vectors in it.
        query_ms: Of one query in a running process: encoding and search.
        text_ms: Of encoding one text, all threads at work.
    """

    setting: TuneSetting
    values: Doubles
    index_bytes: int
    chunks: int
    query_ms: float
    text_ms: float


class Swept(NamedTuple):
    """A change inside the encoder, measured by cosines alone on a sample of the documents.

    Attributes:
        knob: `layer`, `pooling`, `whitening`.
        setting: What it was set to.
        value: Mean of the metric over all queries, 0 to 1.
        change: That less the encoder's own.
        p: How likely chance alone makes as large a difference; 1 for the encoder itself.
        time_ratio: Time of a text, relative to the whole encoder; None where it is the same.
    """

    knob: str
    setting: str
    value: float
    change: float
    p: float
    time_ratio: float | None = None


@dataclass(frozen=True, slots=True)
class Tuning:
    """What was found out about settings.

    Attributes:
        metric: Its name, as in `nDCG@10`.
        points: All that were measured, in the order of measuring.
        chosen_on: Shape (m,), int64: the queries that the choice was made on.
        held_out: Shape (n,), int64: the others.
        frontier: Numbers of the points that no other one beats in metric, bytes and time on the first half.
        usual: Number of the point that is the tool's default.
        chosen: Number of the chosen point.
        best: Number of the best point on the held-out half.
        words: Number of the point that has no vectors: BM25.
        p: Of the points that are shown, by number: how likely chance alone makes as large a difference to the
            best one on the held-out half.
        left: Settings that the time did not suffice for.
        swept: Changes inside the encoder; empty where they were not looked at.
        swept_model: The encoder.
        swept_documents: How many documents it was looked at with.
    """

    metric: str
    points: tuple[Tuned, ...]
    chosen_on: Integers
    held_out: Integers
    frontier: tuple[int, ...]
    usual: int
    chosen: int
    best: int
    words: int
    p: Mapping[int, float]
    left: int = 0
    swept: tuple[Swept, ...] = ()
    swept_model: str = ""
    swept_documents: int = 0

    @property
    def shown(self) -> tuple[int, ...]:
        """Numbers of the points that a reader needs, the best on the held-out half first."""
        named = {*self.frontier, self.usual, self.chosen, self.best, self.words}
        return tuple(sorted(named, key=lambda number: -self.on_held_out(number)))

    def on_held_out(self, number: int) -> float:
        """Return a point's metric on the held-out half."""
        return float(self.points[number].values[self.held_out].mean())

    def on_first_half(self, number: int) -> float:
        """Return it on the half that the choice was made on."""
        return float(self.points[number].values[self.chosen_on].mean())

    def roles(self, number: int) -> tuple[str, ...]:
        """Return what a point is: `chosen`, `default`, `best held out`, `bag of words`, `frontier`."""
        named = {
            "chosen": self.chosen,
            "default": self.usual,
            "best held out": self.best,
            "bag of words": self.words,
        }
        found = [name for name, own in named.items() if own == number]
        return (*found, "frontier") if number in self.frontier else tuple(found)
