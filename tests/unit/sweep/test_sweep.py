"""Sweeps in this process: what a case is, what a folder holds, what the same call does again."""

import json
import multiprocessing
import os
import random
import subprocess
import sys
import threading
from functools import partial

import numpy as np
import pytest

import retime as rt
from retime.core.status import TrainingStatus
from retime.learn.result import Fit
from retime.sweep import grid, read_sweep
from retime.sweep.cases import described

HERE = {"client": 0}


def square(seed):
    CALLS.append(seed)
    if seed == 3:
        raise ValueError("three is bad")
    return {"square": seed**2, "inner": {"half": seed / 2}, "path": np.arange(seed)}


CALLS = []


@pytest.fixture(autouse=True)
def fresh():
    CALLS.clear()


def seeds(*numbers):
    return [{"seed": k} for k in numbers]


def plain(table):
    return [{k: v for k, v in row.items() if k != "seconds"} for row in table]


# --- cases -------------------------------------------------------------------------------------------------------------


def test_a_grid_is_all_combinations_the_last_changing_fastest():
    assert grid(size=[1, 2], seed=range(2), family="gru") == [
        {"size": 1, "seed": 0, "family": "gru"}, {"size": 1, "seed": 1, "family": "gru"},
        {"size": 2, "seed": 0, "family": "gru"}, {"size": 2, "seed": 1, "family": "gru"},
    ]  # fmt: skip


def test_equal_values_are_described_alike_and_others_are_not():
    model = rt.PLRNN([0.5], [[0.0]], [0.1])
    assert described(model) == described(rt.PLRNN([0.5], [[0.0]], [0.1])) != described(rt.PLRNN([0.5], [[0.0]], [0.2]))
    assert described(np.arange(3.0)) != described(np.arange(3)) != described(np.arange(4))
    assert described(rt.learn.FlipFlop(num_bits=2)) != described(rt.learn.FlipFlop(num_bits=3))
    assert described(np.int64(3)) == described(3)
    assert described((1, 2.5, None, "a")) == [1, 2.5, None, "a"]
    assert described(float("nan")) == {"number": "nan"}


@pytest.mark.parametrize(
    ("cases", "message"),
    [
        ([3], r"`cases\[0\]` is 3; it must be a dictionary"),
        ([{"seed": object()}], r"`cases\[0\]` holds seed, of type builtins.object; it must be numbers"),
        ([{"sed": 0}], r"`cases\[0\]` is {'sed': 0}; the function takes \(seed\)"),
        (seeds(1, 2, 1), r"the same case twice, as number 0 and 2 \(seed=1\)"),
    ],
)
def test_a_bad_case_is_named_before_anything_runs(cases, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        rt.sweep(square, cases, folder=tmp_path / "out", **HERE)
    assert CALLS == []
    assert not (tmp_path / "out").exists()


# --- results -----------------------------------------------------------------------------------------------------------


def test_the_table_holds_arguments_and_numbers_and_the_results_everything(tmp_path):
    found = rt.sweep(square, seeds(4, 3), folder=tmp_path, **HERE)
    four, three = found.table
    assert {k: four[k] for k in ("seed", "status", "square", "inner.half")} == {
        "seed": 4, "status": "completed", "square": 16, "inner.half": 2.0,
    }  # fmt: skip
    assert three["status"] == "failed"
    assert three["error"] == "ValueError: three is bad"
    assert "path" not in four
    np.testing.assert_array_equal(found.results[0]["path"], np.arange(4))
    assert found.results[1] is None
    assert found.status == "failed_cases"
    assert json.loads(json.dumps(found.to_dict()))["table"][0]["square"] == 16
    assert "seed=3: ValueError: three is bad" in repr(found)


def every_kind(seed):
    model = rt.PLRNN([0.5], [[0.0]], [0.1], time=rt.Discrete(0.25))
    return {
        "complex": 1 - 2j, "nan": float("nan"), "text": "a", "none": None, "yes": np.bool_(True), "list": [1, np.arange(2), {"x": -np.inf}],
        "array": np.array([[1 / 3, np.nan]]), "complex array": np.array([1j]), "network": model, "points": rt.find_fixed_points(model),
        "task": rt.learn.FlipFlop(num_bits=1, steps=20).batch(1, seed),
    }  # fmt: skip


def test_what_a_function_returns_comes_back_bit_for_bit(tmp_path):
    found, wanted = rt.sweep(every_kind, seeds(0), folder=tmp_path, **HERE).results[0], every_kind(0)
    for name in ("complex", "text", "none", "yes"):
        assert found[name] == wanted[name]
    assert np.isnan(found["nan"])
    assert found["list"][2]["x"] == -np.inf
    np.testing.assert_array_equal(found["array"], wanted["array"])
    np.testing.assert_array_equal(found["complex array"], wanted["complex array"])
    assert described(found["network"]) == described(wanted["network"])
    assert found["points"] == wanted["points"].to_dict()
    np.testing.assert_array_equal(found["task"][0], np.asarray(wanted["task"].inputs))


def test_networks_are_files_that_load_reads(tmp_path):
    rt.sweep(every_kind, seeds(0), folder=tmp_path, **HERE)
    (file,) = (tmp_path / "cases").glob("*.network.npz")
    assert rt.load(file).time == rt.Discrete(0.25)


def fitted(seed):
    model = rt.TanhRNN([[0.5]], [[1.0]], [0.1])
    return Fit(model, [{"step": 1, "loss": 0.5}], {"loss": 0.25 + seed}, TrainingStatus.STOPPED_EARLY)


def test_a_fit_gives_its_metrics_and_its_network(tmp_path):
    found = rt.sweep(fitted, seeds(1), folder=tmp_path, **HERE)
    assert described(found.results[0]["model"]) == described(fitted(1).model)
    assert found.results[0]["history"] == fitted(1).history
    assert found.table[0]["metrics.loss"] == 1.25
    assert found.table[0]["result.status"] == "stopped_early"  # of the training; `status` is that of the case


def test_an_object_that_no_file_can_hold_is_a_failed_case(tmp_path):
    found = rt.sweep(lambda seed: {"x": {"y": object()}}, seeds(0), folder=tmp_path, **HERE)
    assert "returned a object (x.y); it must be numbers, text, arrays" in found.table[0]["error"]


def test_results_are_read_when_they_are_asked_for(tmp_path):
    found = rt.sweep(square, seeds(1, 2), folder=tmp_path, **HERE)
    for file in (tmp_path / "cases").iterdir():
        file.unlink()
    with pytest.raises(rt.RetimeError, match=r"seed=1-.*\.json cannot be read"):
        found.results[0]


def test_a_summary_has_medians_over_the_seeds(tmp_path):
    found = rt.sweep(lambda size, seed: size + 10 * seed, grid(size=[1, 2], seed=range(3)), folder=tmp_path, **HERE)
    assert [(r["size"], r["cases"], r["completed"], r["value"]) for r in found.summary()] == [
        (1, 3, 3, 11),
        (2, 3, 3, 12),
    ]
    assert found.summary("seed")[2]["value"] == 21.5
    with pytest.raises(ValueError, match="`by` is 'sizes'; it must be of the cases' arguments: size, seed"):
        found.summary("sizes")
    lines = found.to_csv(tmp_path / "table.csv").read_text().splitlines()
    assert lines[0] == "size,seed,status,seconds,value"
    assert len(lines) == 7


@pytest.mark.parametrize(("x", "kind"), [("size", "numbers"), ("family", "names"), (None, "default")])
def test_a_sweep_is_drawn_with_a_dot_per_case_and_a_cross_per_failure(x, kind, tmp_path):
    def run(size, family, seed):
        return {"loss": 1 / (size - 2) + seed}

    found = rt.sweep(run, grid(size=[1, 2, 3], family=["a", "b"], seed=range(2)), folder=tmp_path, **HERE)
    ax = found.plot() if x is None else found.plot(x=x, y="loss")
    dots = sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == ".")
    crosses = sum(len(line.get_xdata()) for line in ax.lines if line.get_marker() == "x")
    assert (dots, crosses) == (8, 4)
    assert ax.get_ylabel() == "loss"
    with pytest.raises(ValueError, match="`y` is 'los'; it must be a column of the table: loss, seconds"):
        found.plot(y="los")


# --- the same call again ------------------------------------------------------------------------------------------------


def test_the_order_of_arguments_makes_no_other_case(tmp_path):
    def run(a, b):
        return [a, b]

    rt.sweep(run, [{"a": 1, "b": 2}], folder=tmp_path, **HERE)
    found = rt.sweep(run, [{"b": 2, "a": 1}], folder=tmp_path, **HERE)
    assert found.results[0] == [1, 2]
    assert len([*(tmp_path / "cases").iterdir()]) == 1


def test_networks_that_look_alike_are_told_apart(tmp_path):
    models = [rt.PLRNN([0.5], [[0.0]], [h]) for h in (0.1, 0.2)]
    found = rt.sweep(rt.find_fixed_points, [{"model": m} for m in models], folder=tmp_path, **HERE)
    assert found.varied == ("model",)
    assert [x["points"] for x in found.results] == [rt.find_fixed_points(m).to_dict()["points"] for m in models]


def test_the_same_call_does_nothing_again_and_further_cases_are_further_rows(tmp_path):
    first = rt.sweep(square, seeds(1, 3), folder=tmp_path, **HERE)
    second = rt.sweep(square, seeds(3, 2, 1), folder=tmp_path, **HERE)
    assert CALLS == [1, 3, 2]
    assert second.table[2] == first.table[0]
    assert second.table[0] == first.table[1]
    assert [row["seed"] for row in rt.sweep(square, seeds(2), folder=tmp_path, **HERE).table] == [2]
    assert CALLS == [1, 3, 2]


def stopped(seed):
    if seed == 2 and not os.environ.get("GO_ON"):
        raise KeyboardInterrupt
    return seed


def test_ctrl_c_returns_what_there_is_and_the_same_call_goes_on(tmp_path, monkeypatch):
    found = rt.sweep(stopped, seeds(0, 1, 2, 3), folder=tmp_path, **HERE)
    assert [row["status"] for row in found.table] == ["completed", "completed", "pending", "pending"]
    assert found.status == "interrupted"
    assert list(found.results) == [0, 1, None, None]
    assert read_sweep(tmp_path).table == found.table
    monkeypatch.setenv("GO_ON", "1")
    assert rt.sweep(stopped, seeds(0, 1, 2, 3), folder=tmp_path, **HERE).status == "completed"


def changed(body):
    space = {}
    exec(f"def run(seed):\n    '''What.'''\n    {body}", space)  # the same name with another body
    return space["run"]


def test_a_changed_function_is_refused_and_a_comment_is_no_change(tmp_path):
    rt.sweep(changed("return seed"), seeds(1, 2), folder=tmp_path, **HERE)
    rt.sweep(changed("return seed  # the seed"), seeds(1, 2), folder=tmp_path, **HERE)
    with pytest.raises(
        rt.RetimeError,
        match=r"run has changed since its results in .* were made. Give another `folder`, or set `again`",
    ):
        rt.sweep(changed("return 2 * seed"), seeds(1, 2, 3), folder=tmp_path, **HERE)
    kept = rt.sweep(changed("return 2 * seed"), seeds(1, 2, 3), folder=tmp_path, again=True, **HERE)
    assert [row["value"] for row in kept.table] == [1, 2, 6]


def test_what_only_failed_is_run_again_by_a_mended_function(tmp_path):
    rt.sweep(changed("return 1 / 0"), seeds(1), folder=tmp_path, **HERE)
    assert rt.sweep(changed("return 1 / 1"), seeds(1), folder=tmp_path, **HERE).table[0]["value"] == 1.0


def test_what_a_partial_or_a_closure_holds_is_part_of_the_function(tmp_path):
    def scaled(seed, factor):
        return factor * seed

    rt.sweep(partial(scaled, factor=2), seeds(1), folder=tmp_path / "a", **HERE)
    with pytest.raises(rt.RetimeError, match="has changed"):
        rt.sweep(partial(scaled, factor=3), seeds(1), folder=tmp_path / "a", **HERE)

    def made(factor):
        return lambda seed: factor * seed

    rt.sweep(made(2), seeds(1), folder=tmp_path / "b", **HERE)
    with pytest.raises(rt.RetimeError, match="has changed"):
        rt.sweep(made(3), seeds(1), folder=tmp_path / "b", **HERE)


def test_another_function_and_a_folder_of_other_things_are_refused(tmp_path):
    rt.sweep(square, seeds(1), folder=tmp_path / "out", **HERE)
    with pytest.raises(rt.RetimeError, match=r"holds results of test_sweep\.square; this is test_sweep\.stopped"):
        rt.sweep(stopped, seeds(1), folder=tmp_path / "out", **HERE)
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(ValueError, match=r"holds .* and no sweep; give a new or an empty folder"):
        rt.sweep(square, seeds(1), folder=tmp_path, **HERE)


def test_a_damaged_file_is_told_and_its_case_run_again(tmp_path, capsys):
    rt.sweep(square, seeds(1, 2), folder=tmp_path, **HERE)
    (file,) = (tmp_path / "cases").glob("seed=2-*.json")
    file.write_text('{"status"')
    assert rt.sweep(square, seeds(1, 2), folder=tmp_path, **HERE).table[1]["square"] == 4
    assert CALLS == [1, 2, 2]


def hold(folder, ready):
    def wait(seed):
        ready.set()
        threading.Event().wait()

    rt.sweep(wait, seeds(0), folder=folder, **HERE)


def test_a_folder_in_use_is_refused_until_its_owner_dies(tmp_path):
    spawn = multiprocessing.get_context("spawn")
    ready = spawn.Event()
    owner = spawn.Process(target=hold, args=(tmp_path, ready))
    owner.start()
    assert ready.wait(60)
    with pytest.raises(rt.RetimeError, match=rf"is in use by process {owner.pid} on .*; wait until that ends"):
        rt.sweep(square, seeds(1), folder=tmp_path, **HERE)
    owner.kill()
    owner.join()
    assert rt.sweep(square, seeds(1), folder=tmp_path, **HERE).table[0]["square"] == 1


def drawn(seed):
    return random.random() + np.random.rand()  # noqa: NPY002  what users' functions draw from


def test_results_do_not_depend_on_the_order_even_with_the_generators_of_the_process(tmp_path):
    before = random.getstate()
    there = rt.sweep(drawn, seeds(1, 2, 3), folder=tmp_path / "a", **HERE).table
    back = rt.sweep(drawn, seeds(3, 2, 1), folder=tmp_path / "b", **HERE).table
    assert plain(there) == plain(back)[::-1]
    assert len({row["value"] for row in there}) == 3
    assert random.getstate() == before


def test_without_dask_cases_run_here_and_it_is_said(tmp_path, monkeypatch, caplog):
    find = __import__("importlib.util").util.find_spec
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None if name == "distributed" else find(name))
    assert rt.sweep(square, seeds(1), folder=tmp_path).table[0]["square"] == 1
    assert "Dask is not installed: the cases run one after another in this process" in caplog.text
    with pytest.raises(
        ValueError, match=r"`timeout` is 1.0, but without Dask .* cannot be ended: pip install 'retime\[sweep\]'"
    ):
        rt.sweep(square, seeds(2), folder=tmp_path, timeout=1)
    with pytest.raises(rt.MissingDependencyError, match=r"`client` needs Dask: pip install"):
        rt.sweep(square, seeds(2), folder=tmp_path, client=2)


def test_the_verb_stays_a_function_whatever_is_imported_first():
    code = "import retime.sweep, retime as rt, pickle; from retime import sweep; assert rt.sweep is sweep and callable(sweep)"
    code += "; assert pickle.loads(pickle.dumps(rt)) is rt"  # functions of a notebook hold it
    subprocess.run([sys.executable, "-c", code], check=True)
