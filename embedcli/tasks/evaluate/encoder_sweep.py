"""What the layers, poolings and statistics of an encoder's vectors are worth, by cosines alone on a sample.

The same documents and queries stand behind every figure, that of the encoder as it is among them: only
differences are to be read. Documents are cut to what the model takes.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from embedcli.tuning import Swept

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from embedcli.datatypes import Vectors
    from embedcli.encode.layers import LayerGraph
    from embedcli.encode.onnx import OnnxEncoder
    from embedcli.tasks.evaluate.tune_bench import Questions
    from embedcli.tasks.vectorize import Vectorizer
    from embedcli.tuning import Doubles
    from embedcli.vectors.ranking_measures import RankingMetric

POOLINGS: Final = ("mean", "cls", "max")

_BATCH: Final = 64
_TIMED_TEXTS: Final = 12
_TIMED_ROUNDS: Final = 3


def sample_documents(questions: Questions, size: int, seed: int) -> dict[str, str]:
    """Return texts by id: those that are relevant to a query, and others drawn at random, `size` in all.

    They are more only where more are relevant. O(documents) in memory for their ids.
    """
    import numpy as np

    from embedcli.datatypes import Counts
    from embedcli.tasks.inputs import Inputs

    needed = {name for judged in questions.judged for name, grade in judged.items() if grade > 0}
    inputs = Inputs(list(questions.corpus), questions.read)

    def records() -> Any:
        return inputs.records(Counts(), lambda _problem: None)

    there = [record.id for record in records() if not record.is_blank]
    needed &= set(there)
    others = [name for name in there if name not in needed]
    count = min(len(others), max(0, size - len(needed)))
    drawn = np.random.default_rng(seed).choice(max(1, len(others)), count, replace=False).tolist()
    wanted = needed | {others[number] for number in drawn}
    return {record.id: record.text for record in records() if record.id in wanted}


def sweep_encoder(
    vectorizer: Vectorizer,
    questions: Questions,
    documents: Mapping[str, str],
    metric: RankingMetric,
    *,
    seed: int = 0,
    on_step: Callable[[int, int], None] = lambda _done, _total: None,
) -> list[Swept]:
    """Return what other layers, poolings and whitening make of an encoder, its own first.

    One pass through the graph gives all layers by all poolings.

    Args:
        vectorizer: Of the model, in the role of documents.
        questions: What is asked.
        documents: Texts by id.
        metric: What is measured.
        seed: Of the tests.
        on_step: Told how many of how many texts went through.

    Raises:
        ModelError: The layers of the model cannot be told apart; the message says why.
        OSError: There is no room for a temporary folder.
    """
    from embedcli.encode.layer_folder import read_layers, write_layers

    graph = read_layers(vectorizer.model, vectorizer.variant)
    asked = [record.text for record in questions.queries]
    prompts = vectorizer.model.manifest.prompts
    texts = list(documents.values())
    measure = _Measure(list(documents), questions, metric, seed)
    with tempfile.TemporaryDirectory(prefix="embedcli-") as place:
        manifest = write_layers(
            vectorizer.model, vectorizer.variant, graph, range(graph.layers + 1), Path(place)
        )
        encoder = _open(Path(place), manifest, vectorizer)
        try:
            rows = _encoded(encoder, texts, prompts.get("document", ""), on_step)
            queries = _encoded(encoder, asked, prompts.get("query", ""), lambda _done, _total: None)
        finally:
            encoder.close()
    states = (len(POOLINGS), graph.layers + 1, vectorizer.model.manifest.dim)
    rows, queries = rows.reshape(-1, *states), queries.reshape(-1, *states)
    last, own = graph.layers, POOLINGS.index(_own_pooling(vectorizer))
    usual = measure.values(rows[:, own, last], queries[:, own, last])
    found = [Swept("encoder", "as it is", float(usual.mean()), 0.0, 1.0)]

    def add(knob: str, setting: str, of_rows: Vectors, of_queries: Vectors, ratio: float | None) -> None:
        values = measure.values(of_rows, of_queries)
        found.append(measure.swept(knob, setting, values, usual, ratio))

    ratios = _time_ratios(vectorizer, graph, texts)
    for layer in range(last - 1, -1, -1):
        shown = f"{layer} of {last}"
        pair = rows[:, own, layer], queries[:, own, layer]
        add("layer", shown, *pair, ratios[layer])
        add("layer", f"{shown}, centred", *_centred(*pair), ratios[layer])
    for number, pooling in enumerate(POOLINGS):
        if number != own:
            add("pooling", pooling, rows[:, number, last], queries[:, number, last], None)
    for setting, pair in _without_common(rows[:, own, last], queries[:, own, last]).items():
        add("whitening", setting, *pair, None)
    return found


class _Measure:
    """The metric of a ranking by cosines."""

    def __init__(self, ids: Sequence[str], questions: Questions, metric: RankingMetric, seed: int) -> None:
        import numpy as np

        self._metric, self._seed = metric, seed
        places = {name: row for row, name in enumerate(ids)}
        self._grades = np.zeros((len(questions.queries), len(ids)))
        self._relevant = []
        for number, judged in enumerate(questions.judged):
            self._relevant.append(np.array([grade for grade in judged.values() if grade > 0]))
            for name, grade in judged.items():
                if name in places:
                    self._grades[number, places[name]] = grade

    def values(self, rows: Vectors, queries: Vectors) -> Doubles:
        """Return the metric of each query, shape (queries,)."""
        import numpy as np

        from embedcli.vectors.normalize import normalize
        from embedcli.vectors.ranking_measures import query_values, ranked_grades

        cosines = normalize(np.ascontiguousarray(queries)) @ normalize(np.ascontiguousarray(rows)).T
        return np.array(
            [
                query_values([self._metric], ranked_grades(scores, grades), relevant)[0]
                for scores, grades, relevant in zip(cosines, self._grades, self._relevant, strict=True)
            ]
        )

    def swept(self, knob: str, setting: str, values: Doubles, usual: Doubles, ratio: float | None) -> Swept:
        """Return a change and its test."""
        from embedcli.vectors.resampling import permutation_p

        change = float(values.mean() - usual.mean())
        p = permutation_p(values, usual, self._seed)
        return Swept(knob, setting, float(values.mean()), change, p, ratio)


def _own_pooling(vectorizer: Vectorizer) -> str:
    """Return the model's own pooling.

    Raises:
        ModelError: It is none of those that are compared.
    """
    from embedcli.errors import ModelError

    pooling = vectorizer.model.manifest.pooling
    if pooling not in POOLINGS:
        raise ModelError(f"{vectorizer.model.manifest.name}: pooled by {pooling}")
    return pooling


def _open(
    folder: Path, manifest: Any, vectorizer: Vectorizer, pooling: str = "+".join(POOLINGS)
) -> OnnxEncoder:
    from embedcli.encode.onnx import OnnxEncoder

    whole = vectorizer.encoder
    return OnnxEncoder(
        folder,
        manifest,
        variant=vectorizer.variant,
        device=whole.device,
        jobs=getattr(whole, "jobs", 1),
        pooling=pooling,
    )


def _encoded(
    encoder: OnnxEncoder, texts: Sequence[str], prompt: str, on_step: Callable[[int, int], None]
) -> Vectors:
    """Return the pooled hidden states of texts, each cut to what the model takes."""
    import numpy as np

    parts = []
    for first in range(0, len(texts), _BATCH):
        on_step(first, len(texts))
        parts.append(encoder.encode(texts[first : first + _BATCH], on_long="truncate", prompt=prompt).vectors)
    return np.concatenate(parts)


def _time_ratios(vectorizer: Vectorizer, graph: LayerGraph, texts: Sequence[str]) -> list[float]:
    """Return the time of a text in the graph that ends at each layer, relative to the whole one."""
    from embedcli.encode.layer_folder import write_layers

    some = list(texts[:_TIMED_TEXTS])
    seconds = []
    for layer in range(graph.layers + 1):
        with tempfile.TemporaryDirectory(prefix="embedcli-") as place:
            manifest = write_layers(vectorizer.model, vectorizer.variant, graph, [layer], Path(place))
            encoder = _open(Path(place), manifest, vectorizer, vectorizer.model.manifest.pooling)
            try:
                seconds.append(_fastest(lambda encoder=encoder: encoder.encode(some, on_long="truncate")))  # type: ignore[misc]
            finally:
                encoder.close()
    return [own / seconds[-1] for own in seconds]


def _fastest(call: Callable[[], object]) -> float:
    """Return the shortest time of some calls: what else the machine does only ever adds to it."""
    call()
    times = []
    for _ in range(_TIMED_ROUNDS):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times)


def _centred(rows: Vectors, queries: Vectors) -> tuple[Vectors, Vectors]:
    """Return documents and queries, each without its own mean: a constant in a hidden state goes too."""
    return rows - rows.mean(axis=0), queries - queries.mean(axis=0)


def _without_common(rows: Vectors, queries: Vectors) -> dict[str, tuple[Vectors, Vectors]]:
    """Return vectors centred and whitened in several ways, by what they are called."""
    from embedcli.vectors.normalize import normalize
    from embedcli.vectors.whiten import fit_whitening, whiten

    rows, queries = normalize(rows.copy()), normalize(queries.copy())
    fitted = fit_whitening(rows)
    mean = queries.mean(axis=0)
    return {
        "centred, each side by its own mean": _centred(rows, queries),
        "centred by the documents' mean": (rows - rows.mean(axis=0), queries - rows.mean(axis=0)),
        "whitened, queries by their own mean": (whiten(rows, fitted), whiten(queries, fitted, mean)),
        "whitened by the documents' statistics": (whiten(rows, fitted), whiten(queries, fitted)),
    }
