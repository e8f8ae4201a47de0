from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from embedcli.errors import InputError
from embedcli.tasks.evaluate.tune import TuneSettings, evaluation_of, split_queries, tune
from embedcli.tasks.evaluate.tune_bench import chunking_of
from embedcli.tasks.evaluate.tune_store import ranking_for
from embedcli.tuning import Tuned
from embedcli.write.tuning import write_tuning, write_tuning_objects
from embedcli.write.tuning_plot import write_plot

QUERIES = 40
BITS = {"float32": 32, "float16": 16, "int8": 8, "binary": 1}


class MadeUp:
    """Measures by a formula: int8 costs nothing in quality, binary and a half of the numbers cost much."""

    def __init__(self, name="model"):
        self.questions = SimpleNamespace(queries=[None] * QUERIES)
        self.metric = SimpleNamespace(name="nDCG@10")
        self.measured = []
        self.name = name

    def measure(self, setting):
        self.measured.append(setting)
        mean = 0.7 - 0.3 * (setting.dtype == "binary") - 0.2 * (setting.dim < 100)
        mean += {"dense": -0.15, "lexical": -0.1, "hybrid": -abs(setting.alpha - 0.6) / 5}[setting.mode]
        mean -= 0.05 * (setting.fusion == "rrf")
        noise = np.random.default_rng(len(self.measured)).normal(0, 0.001, QUERIES)
        size = setting.dim * BITS[setting.dtype] * 1000 + 5000
        return Tuned(setting, np.clip(mean + noise, 0, 1), size, 10, 5.0 + setting.alpha, 0.5)


class Sink:
    def __init__(self):
        self.content = b""

    def write(self, content):
        self.content += bytes(content)


@pytest.fixture
def bench():
    return MadeUp()


def tuned(bench, **more):
    return tune(bench, TuneSettings((("model", (100, 50)),), **more))


def test_halves_share_nothing_and_hold_everything():
    first, second = split_queries(11, 5)
    assert (len(first), len(second)) == (5, 6)
    assert sorted([*first, *second]) == list(range(11))
    assert not np.array_equal(first, split_queries(11, 6)[0])
    with pytest.raises(InputError, match="of them: 3"):
        split_queries(3, 0)


def test_the_smallest_index_that_gives_up_little_is_chosen(bench):
    found = tuned(bench)
    chosen = found.points[found.chosen].setting
    assert (chosen.dim, chosen.dtype, chosen.mode) == (100, "int8", "hybrid")
    assert abs(chosen.alpha - 0.6) < 0.1
    assert chosen.fusion in ("zscore", "minmax")
    assert found.chosen in found.frontier
    assert found.points[found.usual].setting.alpha == 0.45
    assert found.points[found.words].setting.mode == "lexical"
    assert found.left == 0
    # What was clearly worse alone has no part in the product.
    assert not [s for s in bench.measured if s.dim == 50 and s.dtype == "int8"]
    assert len(set(bench.measured)) == len(bench.measured)
    # With enough to give up, the smallest of the frontier will do.
    cheap = tuned(MadeUp(), within=1.0)
    assert cheap.points[cheap.chosen].setting.dtype == "binary"
    best = tuned(MadeUp(), within=0.0)
    assert best.on_first_half(best.chosen) == max(map(best.on_first_half, range(len(best.points))))


def test_no_combination_is_begun_when_the_time_is_over(bench):
    assert tuned(bench, max_seconds=-1.0).left > 0


def test_the_held_out_half_alone_is_told(bench):
    found = tuned(bench)
    evaluation = evaluation_of(found, [f"q{number}" for number in range(QUERIES)], 0)
    assert evaluation.systems == ("chosen", "default", "best held out", "bag of words")
    assert evaluation.items == tuple(f"q{number}" for number in found.held_out)
    assert evaluation.measurements[0].value == pytest.approx(found.on_held_out(found.chosen))
    assert evaluation.about["chosen"] == found.points[found.chosen].setting.name


def test_an_index_gets_the_best_ranking_of_its_own_kind(bench):
    found = tuned(bench)
    of = SimpleNamespace
    assert ranking_for(found, of(model="model", dim=100, dtype="int8")) == found.points[found.chosen].setting
    small = ranking_for(found, of(model="model", dim=50, dtype="float16"))
    assert (small.dim, small.alpha) == (50, 0.45)
    assert ranking_for(found, of(model="model", dim=77, dtype="int8")).alpha == pytest.approx(0.6)


def test_tables_objects_and_plot_tell_the_same_and_escape_names():
    import json

    bench = MadeUp()
    found = tune(bench, TuneSettings((("<b>&", (100,)),), alphas=(0.6,)))
    text, lines, page = Sink(), Sink(), Sink()
    write_tuning(found, text)
    write_tuning_objects(found, lines)
    write_plot(found, "Tuning <x>", page)
    shown = text.content.decode()
    assert "--dtype int8 --on-long split" in shown
    assert "--mode hybrid --fuse" in shown
    assert "chosen" in shown
    objects = [json.loads(line) for line in lines.content.splitlines()]
    assert len(objects) == len(found.points)
    chosen = next(each for each in objects if "chosen" in each["roles"])
    assert chosen["value"] == pytest.approx(found.on_held_out(found.chosen))
    assert chosen["chosen_on"] == pytest.approx(found.on_first_half(found.chosen))
    assert (chosen["dtype"], chosen["queries"]) == ("int8", QUERIES // 2)
    html = page.content.decode()
    assert "<b>" not in html
    assert "&lt;b&gt;&amp;" in html
    assert "Tuning &lt;x&gt;" in html
    assert html.count("<title>") == 1 + 2 * (1 + len(found.points))
    assert "http" not in html.replace("http-equiv", "")


def test_chunkings_are_those_of_index_build():
    assert chunking_of("pool") == {"on_long": "pool"}
    assert chunking_of("sentences") == {"chunking": "sentences", "chunk_tokens": None}
    assert chunking_of("tokens:64") == {"chunking": "tokens", "chunk_tokens": 64}


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"metric": "best"}, "metric 'best' is not known"),
        ({"chunkings": ["tokens:x"]}, "no number of tokens"),
        ({"chunkings": ["tokens:0"]}, "no number of tokens"),
        ({"chunkings": ["pool:3"]}, "--chunking 'pool' is not known"),
        ({"dtypes": ["int3"]}, "--dtype 'int3' is not known"),
        ({"fusions": ["sum"]}, "--fuse 'sum' is not known"),
    ],
)
def test_words_that_are_not_known_are_refused(said, reason):
    from embedcli.cli.eval_tune_run import Tried
    from embedcli.errors import UsageError

    nothing = dict.fromkeys(("models", "dims", "dtypes", "chunkings", "alphas", "fusions"))
    Tried(**{**nothing, "metric": "MRR@10", "chunkings": ["pool", "tokens:128", "sentences"]}).check()
    with pytest.raises(UsageError, match=reason):
        Tried(**{**nothing, "metric": "nDCG@10", **said}).check()
