"""Settings of index and query measured: chosen on one half of the queries, told on the other.

The full product of all knobs would take hours. Measured are, for each model, the default; vectors alone,
words alone, and both by several weights; the other fusions with the best of these; then one knob of the index
at a time; then the product of what was not clearly worse, by the model's best ranking, as far as the time
reaches.
What only two knobs together would gain, each of them clearly worse alone, is not found.
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from embedcli.errors import InputError
from embedcli.tuning import TuneSetting, Tuning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from embedcli.reports import Evaluation
    from embedcli.tasks.evaluate.tune_bench import Bench
    from embedcli.tuning import Integers, Swept, Tuned

ALPHAS: Final = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9)
CHUNKINGS: Final = ("split", "pool")
DTYPES: Final = ("float16", "float32", "int8", "binary")
WITHIN: Final = 0.01
MIN_QUERIES: Final = 4

_CLEARLY: Final = 0.05
"""Below this p a lower mean is clearly worse."""


@dataclass(frozen=True, slots=True)
class TuneSettings:
    """What is tried.

    Attributes:
        models: Names and the numbers of their vectors to try, the full number first.
        chunkings: The first one is the default.
        dtypes: Likewise.
        alphas: Weights of the cosine.
        fusions: Ways to scale.
        rerank: Whether the best settings are also tried with a second look.
        within: How much of the metric may be given up for fewer bytes and less time.
        seed: Of the split.
        max_seconds: No new setting of the product is begun after that.
    """

    models: tuple[tuple[str, tuple[int, ...]], ...]
    chunkings: tuple[str, ...] = CHUNKINGS
    dtypes: tuple[str, ...] = DTYPES
    alphas: tuple[float, ...] = ALPHAS
    fusions: tuple[str, ...] = ("zscore", "minmax", "rrf")
    rerank: bool = False
    within: float = WITHIN
    seed: int = 0
    max_seconds: float = 600.0


def split_queries(count: int, seed: int) -> tuple[Integers, Integers]:
    """Return the queries that a choice is made on, and the others, both ascending.

    Raises:
        InputError: There are too few.
    """
    import numpy as np

    if count < MIN_QUERIES:
        raise InputError(
            f"too few queries with a relevant document to choose on one half of them: {count}",
            hint=f"at least {MIN_QUERIES}; some hundred to see a difference",
        )
    order = np.random.default_rng(seed).permutation(count).astype(np.int64)
    return np.sort(order[: count // 2]), np.sort(order[count // 2 :])


def tune(
    bench: Bench, settings: TuneSettings, on_step: Callable[[int, int], None] = lambda _done, _total: None
) -> Tuning:
    """Measure settings and choose one.

    Args:
        bench: Measures.
        settings: What is tried.
        on_step: Told how many of how many settings are measured; their number may grow.

    Raises:
        InputError: There are too few queries.
        EmbedcliError: What building and searching raise.
    """
    chosen_on, held_out = split_queries(len(bench.questions.queries), settings.seed)
    start = time.monotonic()
    search = _Search(bench, settings, chosen_on, on_step)
    for model, dims in settings.models:
        search.one_at_a_time(model, dims)
    left = search.product(start + settings.max_seconds)
    if settings.rerank:
        search.second_look()
    return _report(bench.metric.name, search, held_out, left)


class _Search:
    """The points so far."""

    def __init__(
        self, bench: Bench, settings: TuneSettings, chosen_on: Integers, on_step: Callable[[int, int], None]
    ) -> None:
        self.bench, self.settings, self.chosen_on, self._on_step = bench, settings, chosen_on, on_step
        self.points: dict[TuneSetting, Tuned] = {}
        self.usual = usual_setting(settings)
        self._good: list[tuple[TuneSetting, tuple[tuple[str, ...], tuple[int, ...], tuple[str, ...]]]] = []

    def one_at_a_time(self, model: str, dims: Sequence[int]) -> None:
        """Measure a model with the default, and with one knob turned at a time."""
        base = self.usual._replace(model=model, dim=dims[0])
        rankings = [base, base._replace(mode="dense"), base._replace(mode="lexical")]
        rankings += [base._replace(alpha=alpha) for alpha in self.settings.alphas]
        self._measure(rankings)
        # The other ways to scale with the best weight of the first alone.
        mixed = max((setting for setting in rankings if setting.mode == "hybrid"), key=self.quality)
        rankings += [mixed._replace(fusion=fusion) for fusion in self.settings.fusions]
        turned = [
            [base._replace(chunking=name) for name in self.settings.chunkings],
            [base._replace(dim=dim) for dim in dims],
            [base._replace(dtype=dtype) for dtype in self.settings.dtypes],
        ]
        self._measure([*rankings, base._replace(plan="signs"), *itertools.chain(*turned)])
        best = max(rankings, key=lambda setting: (self.quality(setting), setting == base))
        keep = [[setting for setting in group if self._is_good(setting, base)] for group in turned]
        self._good.append(
            (
                best,
                (
                    tuple(setting.chunking for setting in keep[0]),
                    tuple(setting.dim for setting in keep[1]),
                    tuple(setting.dtype for setting in keep[2]),
                ),
            )
        )

    def product(self, stop_at: float) -> int:
        """Measure the product of what was not clearly worse, while time is left.

        Returns:
            How many settings were left out.
        """
        wanted = [
            best._replace(chunking=chunking, dim=dim, dtype=dtype)
            for best, values in self._good
            for chunking, dim, dtype in itertools.product(*values)
        ]
        todo = [setting for setting in wanted if setting not in self.points]
        # The smallest vectors first: they are what the product is for.
        todo.sort(key=lambda setting: setting.dim * _BITS[setting.dtype])
        for done, setting in enumerate(todo):
            if time.monotonic() > stop_at:
                return len(todo) - done
            self._on_step(len(self.points), len(self.points) + len(todo) - done)
            self.points[setting] = self.bench.measure(setting)
        return 0

    def second_look(self) -> None:
        """Measure the best setting of each model that has token vectors once more, reranked."""
        from embedcli.errors import ModelError

        for best, _ in self._good:
            if best.mode == "lexical":
                continue
            try:
                self.points[best._replace(rerank=True)] = self.bench.measure(best._replace(rerank=True))
            except ModelError as error:
                self.bench.notice(f"{best.model}: not reranked: {error}")

    def quality(self, setting: TuneSetting) -> float:
        """Return the metric on the half that is chosen on."""
        return float(self.points[setting].values[self.chosen_on].mean())

    def _is_good(self, setting: TuneSetting, base: TuneSetting) -> bool:
        """Whether a setting is not clearly worse than another one."""
        from embedcli.vectors.resampling import permutation_p

        if self.quality(setting) >= self.quality(base):
            return True
        own, other = (self.points[point].values[self.chosen_on] for point in (setting, base))
        return permutation_p(own, other, self.settings.seed) >= _CLEARLY

    def _measure(self, wanted: Iterable[TuneSetting]) -> None:
        todo = [setting for setting in dict.fromkeys(wanted) if setting not in self.points]
        for done, setting in enumerate(todo):
            self._on_step(len(self.points), len(self.points) + len(todo) - done)
            self.points[setting] = self.bench.measure(setting)


_BITS: Final = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}


def usual_setting(settings: TuneSettings) -> TuneSetting:
    """Return what the tool does with the first model where nothing is said."""
    model, dims = settings.models[0]
    return TuneSetting(model, settings.chunkings[0], dims[0], settings.dtypes[0], fusion=settings.fusions[0])


def _report(metric: str, search: _Search, held_out: Integers, left: int) -> Tuning:
    """Return the choice and what it is worth on the other half."""
    import numpy as np

    from embedcli.vectors.pareto import pareto_set
    from embedcli.vectors.resampling import permutation_p

    points = tuple(search.points.values())
    on_first = [float(point.values[search.chosen_on].mean()) for point in points]
    on_second = [float(point.values[held_out].mean()) for point in points]
    # Times are known to some ten per cent, and must not keep a point that is no better otherwise.
    costs = np.array(
        [
            (-quality, point.index_bytes, float(f"{point.query_ms:.1g}"))
            for quality, point in zip(on_first, points, strict=True)
        ]
    )
    frontier = tuple(np.flatnonzero(pareto_set(costs)).tolist())
    floor = max(on_first) - search.settings.within
    chosen = min(
        (number for number in frontier if on_first[number] >= floor),
        key=lambda number: (points[number].index_bytes, points[number].query_ms),
    )
    best = max(range(len(points)), key=lambda number: on_second[number])
    numbers = {point.setting: number for number, point in enumerate(points)}
    tuning = Tuning(
        metric=metric,
        points=points,
        chosen_on=search.chosen_on,
        held_out=held_out,
        frontier=frontier,
        usual=numbers[search.usual],
        chosen=chosen,
        best=best,
        words=numbers[search.usual._replace(mode="lexical")],
        p={},
        left=left,
    )
    there = points[best].values[held_out]
    p = {
        number: permutation_p(points[number].values[held_out], there, search.settings.seed)
        for number in tuning.shown
        if number != best
    }
    return replace(tuning, p=p)


def evaluation_of(tuning: Tuning, queries: Sequence[str], seed: int) -> Evaluation:
    """Return the chosen setting, the default, the best and the bag of words on the held-out half.

    Args:
        tuning: What was found out.
        queries: Ids of all queries.
        seed: Of the resamples.
    """
    from embedcli.reports import Evaluation
    from embedcli.tasks.evaluate.measured import mean_measurements

    named = {
        "chosen": tuning.chosen,
        "default": tuning.usual,
        "best held out": tuning.best,
        "bag of words": tuning.words,
    }
    measured = [
        each
        for name, number in named.items()
        for each in mean_measurements(
            name, {tuning.metric: tuning.points[number].values[tuning.held_out]}, seed
        )
    ]
    return Evaluation(
        "tune",
        tuple(queries[row] for row in tuning.held_out.tolist()),
        "queries",
        tuple(measured),
        about={name: tuning.points[number].setting.name for name, number in named.items()},
    )


def with_sweep(tuning: Tuning, swept: Sequence[Swept], model: str, documents: int) -> Tuning:
    """Return a report with what was found out inside the encoder."""
    return replace(tuning, swept=tuple(swept), swept_model=model, swept_documents=documents)
