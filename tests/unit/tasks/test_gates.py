"""Limits on figures, and saved runs."""

import io
import json

import numpy as np
import pytest

from embedcli.errors import InputError, MissingPathError, UsageError
from embedcli.reports import Evaluation, Measurement
from embedcli.tasks.evaluate.gates import Gate, judge, judge_against, parse_gate
from embedcli.tasks.evaluate.measured import difference_p, figures, mean_measurements, statistic_measurements
from embedcli.tasks.evaluate.saved import read_saved, write_saved
from embedcli.write.figures import write_figure_objects, write_figures, write_items


def evaluation(shift=0.0, count=60, first=0, metric="nDCG@10"):
    values = np.random.default_rng(1).random(100)[first : first + count]
    systems = {"hybrid": values + shift, "BM25": values / 2}
    measurements = [
        each
        for name, own in systems.items()
        for each in mean_measurements(name, {metric: own, "MRR@10": own**2}, 0)
    ]
    measurements += statistic_measurements(
        "hybrid", {"Spearman": lambda rows: float(np.median(values[rows]))}, count, 0
    )
    items = tuple(f"q{number}" for number in range(first, first + count))
    return Evaluation("retrieval", items, "queries", tuple(measurements), {metric: 0.01}, {"seed": 0})


@pytest.mark.parametrize(
    ("text", "gate"),
    [
        ("nDCG@10=0.6", Gate(None, "nDCG@10", 0.6)),
        ("dense:mrr@10=.5", Gate("dense", "mrr@10", 0.5)),
        ("a:b:AP=1", Gate("a:b", "AP", 1.0)),
        ("hybrid + maxsim:MAP=0", Gate("hybrid + maxsim", "MAP", 0.0)),
    ],
)
def test_gates_are_read(text, gate):
    assert parse_gate(text) == gate


@pytest.mark.parametrize(
    "text", ["", "nDCG@10", "=0.5", "nDCG@10=", "nDCG@10=much", "nDCG@10=nan", "dense:=1"]
)
def test_what_is_no_gate(text):
    with pytest.raises(UsageError, match="fail-under"):
        parse_gate(text)


def test_a_gate_is_met_by_the_value_itself():
    found = evaluation()
    value = found.find("BM25", "nDCG@10").value
    assert judge(found, Gate("bm25", "ndcg@10", value)).is_met
    verdict = judge(found, Gate("BM25", "nDCG@10", value + 1e-9))
    assert not verdict.is_met
    assert "BM25 nDCG@10" in verdict.reason
    assert judge(found, Gate(None, "MRR@10", 0.0)).reason.startswith("hybrid MRR@10")
    with pytest.raises(UsageError, match="no system"):
        judge(found, Gate("sparse", "nDCG@10", 0.1))
    with pytest.raises(UsageError, match="no measure"):
        judge(found, Gate(None, "AP", 0.1))


def saved(found, tmp_path):
    path = tmp_path / "run.json"
    buffer = io.BytesIO()
    write_saved(found, buffer)
    path.write_bytes(buffer.getvalue())
    return read_saved(path)


def test_a_saved_run_is_what_it_was(tmp_path):
    found = evaluation()
    again = saved(found, tmp_path)
    assert (again.task, again.items, again.unit, again.about) == (
        found.task,
        found.items,
        found.unit,
        found.about,
    )
    for one, other in zip(found.measurements, again.measurements, strict=True):
        assert (one.system, one.metric, one.value, one.low) == (
            other.system,
            other.metric,
            other.value,
            other.low,
        )
        if one.values is not None:
            np.testing.assert_array_equal(one.values, other.values)
        else:
            np.testing.assert_array_equal(one.resampled, other.resampled)


def test_no_worse_than_a_saved_run(tmp_path):
    before = saved(evaluation(), tmp_path)
    assert judge_against(evaluation(), before).is_met
    assert judge_against(evaluation(0.2), before).is_met
    assert not judge_against(evaluation(-0.2), before).is_met
    assert judge_against(evaluation(-0.2), before, Gate("BM25", "nDCG@10", 0)).is_met
    # The queries of both count, whatever else either has.
    assert not judge_against(evaluation(-0.2, count=50, first=20), before).is_met
    assert judge_against(evaluation(0, count=50, first=20), before).is_met
    assert judge_against(evaluation(), before, Gate(None, "Spearman", 0)).is_met
    with pytest.raises(UsageError, match="no mean"):
        judge_against(evaluation(count=50), before, Gate(None, "Spearman", 0))
    with pytest.raises(UsageError, match="none of the queries"):
        judge_against(evaluation(count=30, first=70), before)
    with pytest.raises(UsageError, match="no measure"):
        judge_against(evaluation(metric="nDCG@5"), before)


def test_of_another_task(tmp_path):
    before = saved(evaluation(), tmp_path)
    other = Evaluation("sts", before.items, "pairs", before.measurements)
    with pytest.raises(UsageError, match="eval retrieval"):
        judge_against(other, before)


@pytest.mark.parametrize(
    "change",
    [
        lambda o: o.update(format="else"),
        lambda o: o.pop("items"),
        lambda o: o["items"].append("q0"),
        lambda o: o["items"].__setitem__(0, 3),
        lambda o: o.update(measurements=[]),
        lambda o: o.update(measurements=3),
        lambda o: o["measurements"][0].update(value="1"),
        lambda o: o["measurements"][0].update(value=True),
        lambda o: o["measurements"][0].update(values=[1.0]),
        lambda o: o["measurements"][0].update(values=["a"] * 60),
        lambda o: o["measurements"][-1].update(resampled=[0.0]),
        lambda o: o.update(chance=[]) or o.update(items={}),
    ],
)
def test_damaged_runs_are_refused(change, tmp_path):
    saved(evaluation(), tmp_path)
    path = tmp_path / "run.json"
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"run\.json: (no saved|a damaged) evaluation"):
        read_saved(path)


@pytest.mark.parametrize("content", [b"", b"[]", b"\xff", b'{"format": 1}', b"[" * 100_000])
def test_what_is_no_run_is_refused(content, tmp_path):
    path = tmp_path / "run.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no saved evaluation") as caught:
        read_saved(path)
    assert "--save" in caught.value.hint
    with pytest.raises(MissingPathError):
        read_saved(tmp_path / "none")
    with pytest.raises(InputError, match="directory"):
        read_saved(tmp_path)


def test_figures_compare_with_the_first_system():
    shown = figures(evaluation())
    assert [each.p for each in shown[:2]] == [None, None]
    assert shown[2].p == pytest.approx(1e-4)
    assert shown[0].chance == 0.01
    assert shown[1].chance is None
    assert all(each.low <= each.value <= each.high for each in shown)


def test_nothing_to_measure():
    found = mean_measurements("dense", {"MRR": np.zeros(0)}, 0) + statistic_measurements(
        "dense", {"AP": lambda _rows: 1.0}, 0, 0
    )
    assert [np.isnan(each.value) for each in found] == [True, True]
    verdict = judge(Evaluation("rank", (), "pairs", tuple(found)), Gate(None, "MRR", 0.0))
    assert verdict == (False, "dense MRR has no value")


def undefined(value, metric="precision"):
    """Return a measurement of three items with resamples, one of which has a value."""
    resampled = np.full(2000, np.nan)
    resampled[0] = 0.5
    return Measurement("dense", metric, value, None, None, None, resampled)


def of(*measurements, task="calibrate"):
    return Evaluation(task, ("a", "b", "c"), "pairs", measurements)


def test_without_a_value_there_is_no_p(tmp_path):
    one, none = undefined(0.5), undefined(float("nan"))
    assert difference_p(one, one) == 1.0
    assert difference_p(one, none) is None
    assert difference_p(none, one) is None
    now, before = of(none), of(one)
    assert judge_against(now, before) == (False, "dense precision has no value")
    assert judge_against(before, saved(now, tmp_path)) == (True, "saved dense precision has no value")


def test_what_nothing_could_test_is_said():
    shape = Measurement("dense", "effective rank", 3.0)
    found = of(shape, task="geometry")
    with pytest.raises(UsageError, match="eval geometry has nothing that could be tested") as caught:
        judge_against(found, found)
    assert caught.value.hint == "--fail-under METRIC=VALUE"
    mixed = of(shape, undefined(0.5))
    with pytest.raises(UsageError, match="effective rank is nothing that could be tested"):
        judge_against(mixed, mixed)


def test_one_item_has_no_interval():
    one = {"dense": np.ones(1)}
    alone = mean_measurements("dense", one, 0) + statistic_measurements("dense", {"AP": lambda _: 1.0}, 1, 0)
    assert [(each.value, each.low, each.high) for each in alone] == [(1.0, None, None)] * 2
    two = mean_measurements("dense", {"MRR": np.ones(2)}, 0)
    assert (two[0].low, two[0].high) == (1.0, 1.0)


def test_written_figures():
    found = evaluation()
    table, lines, items = io.BytesIO(), io.BytesIO(), io.BytesIO()
    write_figures(figures(found), table)
    rows = table.getvalue().decode().splitlines()
    assert rows[0].split() == ["system", "nDCG@10", "MRR@10", "Spearman", "p"]
    assert rows[1].split()[0] == "hybrid"
    assert rows[2].split()[-2:] == ["-", "0.0001"]
    assert rows[3].split() == ["(chance)", "0.0100", "-", "-", "-"]
    write_figure_objects(figures(found), lines)
    first = json.loads(lines.getvalue().splitlines()[0])
    assert list(first) == ["task", "system", "metric", "value", "low", "high", "queries", "p", "chance"]
    assert first["queries"] == 60
    assert write_items(found, items, as_json=False) == 240
    assert items.getvalue().splitlines()[1].split(b"\t")[:3] == [b"hybrid", b"nDCG@10", b"q0"]
    items = io.BytesIO()
    write_items(found, items, as_json=True)
    assert json.loads(items.getvalue().splitlines()[0])["item"] == "q0"


def test_a_figure_without_a_value_is_a_dash():
    measured = mean_measurements("dense", {"MRR": np.zeros(0)}, 0)
    table = io.BytesIO()
    write_figures(figures(Evaluation("rank", (), "pairs", tuple(measured))), table)
    assert table.getvalue() == b"system  MRR\ndense   -\n"
