"""Tables of results: outputs first, in words that say what happens; sorting, rows, and points as arguments."""

from __future__ import annotations

import csv
import json
import pickle
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import retime as rt
from retime.analysis.modes import growth_rates, mode_words
from retime.core.errors import MissingDependencyError
from retime.core.searched import Searched
from retime.core.states import many_states


@pytest.fixture(scope="module")
def bistable():
    """Stable at (2, -2) and (-2, 2), a saddle at (2, 2) / 3; outputs z1 + z2 and z1 - z2 + 1."""
    return rt.PLRNN([0.5, 0.5], [[0.0, -1.0], [-1.0, 0.0]], [1.0, 1.0], readout=([[1.0, 1.0], [1.0, -1.0]], [0.0, 1.0]))


@pytest.fixture(scope="module")
def found(bistable):
    return rt.find_fixed_points(bistable)


@pytest.fixture(scope="module")
def tent():
    """z' = 1.9 z - 3.8 relu(z) + 1: all its cycles are unstable."""
    return rt.PLRNN([1.9], [[-3.8]], [1.0])


def test_a_table_shows_outputs_stable_points_first_and_no_negative_time(found):
    rows = repr(found).splitlines()[1:]
    assert rows[0].split("  ")[-1].strip() == "leading mode"
    assert "outputs" in rows[0]
    assert ["stable" in row for row in rows[2:]] == [True, True, False]
    assert "(0, -3)" in rows[2]
    assert f"decays e-fold in {1 / np.log(2):.3g} steps" in rows[2]
    assert f"grows e-fold in {1 / np.log(1.5):.3g} steps" in rows[4]
    assert not any("-" + str(k) + "." in row.split(")")[1] for row in rows[2:] for k in range(10))
    assert "<td>(0, -3)</td>" in found._repr_html_()


def test_large_states_without_a_readout_are_given_by_their_norm():
    found = rt.find_fixed_points(rt.PLRNN(np.full(5, 0.5), np.zeros((5, 5)), np.ones(5)))
    table = repr(found)
    assert "|state|" in table
    assert f"{2 * np.sqrt(5):.4g}" in table


def test_frequencies_are_those_of_rotations():
    angle = 2 * np.pi / 8
    R = 0.9 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    point = rt.find_fixed_points(rt.LinearSystem(R, [5.0, 5.0], np.zeros((2, 0)), time=rt.Discrete(0.1)))[0]
    assert point.frequency == pytest.approx(1 / 0.8, rel=1e-9)  # once in eight steps of 0.1
    assert mode_words(point.eigenvalues, point.dt) == (f"decays e-fold in {-1 / np.log(0.9):.3g} steps", "0.125")
    assert point.growth_rate == pytest.approx(np.log(0.9) / 0.1, rel=1e-9)
    assert mode_words(np.array([-2.0 + 6.0j, -2.0 - 6.0j]), None) == (
        "decays e-fold in 0.5 of model time",
        f"{3 / np.pi:.3g}",
    )


def test_modes_without_a_time_constant_are_said_in_words():
    assert mode_words(np.array([1.0 + 0j]), 1.0)[0] == "neither grows nor decays"
    assert mode_words(np.array([0.0 + 0j]), 1.0)[0] == "gone in one step"
    assert mode_words(np.array([-np.inf + 0j]), None)[0] == "gone in finite time"
    assert mode_words(np.array([-1.0, np.inf], dtype=complex), None)[0] == "leaves at once"
    assert mode_words(np.array([np.e + 0j]), 1.0)[0] == "grows e-fold in 1 step"
    assert growth_rates(np.array([np.e]), 0.5)[0] == pytest.approx(2.0)


def test_a_result_is_a_sequence_of_points(found, bistable):
    assert [x.index for x in found] == [0, 1, 2]
    assert len(found[:2]) == 2
    assert found[-1].state is not None
    with pytest.raises(IndexError):
        found[3]
    for x in found:
        assert np.allclose(bistable.step(x), x.state, atol=1e-12)  # a point stands for its state
        assert np.allclose(x.outputs, bistable.outputs(x.state), atol=1e-12)
    assert "saddle, outputs (1.333, 1), 1 unstable, grows" in repr(next(x for x in found if x.kind == "saddle"))


def test_sorting_keeps_everything_that_belongs_to_a_point(found):
    far = found.sort("norm", reverse=True)
    assert np.linalg.norm(far.points[0]) == pytest.approx(np.sqrt(8))
    assert far.complete
    for x in far:
        same = next(y for y in found if np.array_equal(y.state, x.state))
        assert (x.kind, x.stable) == (same.kind, same.stable)
        assert np.array_equal(x.outputs, same.outputs)
    assert [x.stable for x in found.sort()] == [True, True, False]
    assert found.sort(lambda x: -x.outputs[1])[0].outputs[1] == pytest.approx(5.0)
    with pytest.raises(ValueError, match="`key` is 'size'; it must be one of stability, norm"):
        found.sort("size")


def test_data_and_copies_leave_the_system_out_or_take_it_along(found):
    assert "searched" not in json.dumps(found.to_dict())
    again = pickle.loads(pickle.dumps(found))
    assert again.searched.model == found.searched.model
    cannot = Searched(lambda z: z)  # stands for a Map of a lambda, which cannot be pickled
    assert pickle.loads(pickle.dumps(replace(found, searched=cannot))).searched is None


def test_rows_are_written_as_csv_and_read_back(found, tmp_path):
    path = found.to_csv(tmp_path / "points.csv")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(r["x2"]) for r in rows] == found.outputs[:, 1].tolist()
    assert [float(r["z1"]) for r in rows] == found.points[:, 0].tolist()
    assert [r["kind"] for r in rows] == list(found.kinds)
    none = rt.find_fixed_points(rt.PLRNN([1.0], [[0.0]], [1.0])).to_csv(tmp_path / "none.csv")
    assert none.read_text().startswith("index,kind,stable")
    assert len(none.read_text().splitlines()) == 1


def test_tables_become_data_frames(found, tent, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=lambda rows: rows))
    assert found.to_dataframe() == found.records()
    path = rt.simulate(tent, [0.1], steps=3)
    assert [r["z1"] for r in path.to_dataframe()] == path.states[:, 0].tolist()
    assert [r["period"] for r in rt.find_cycles(tent, 2).to_dataframe()] == [1, 1, 2]
    assert rt.enumerate_regions(tent, (-1.0, 1.0)).to_dataframe()[0]["pattern"] in ("0", "1")
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'retime\[pandas\]'"):
        found.to_dataframe()


def test_cycles_say_how_neighbors_leave(tent):
    cycles = rt.find_cycles(tent, 2)
    two = cycles[-1]
    assert (two.kind, two.num_unstable) == ("unstable", 1)
    assert two.pace == f"grows e-fold in {1 / np.log(1.9):.3g} steps"  # both slopes are 1.9 in size
    assert "grows e-fold" in repr(cycles)
    assert [c.period for c in cycles.sort("period", reverse=True)] == [2, 1, 1]


def test_points_and_trajectories_are_states_where_states_are_wanted(found, bistable):
    saddle = next(x for x in found if x.kind == "saddle")
    path = rt.simulate(bistable, [1.0, 1.1], steps=20)
    assert np.allclose(rt.simulate(bistable, saddle, steps=3).states, saddle.state, atol=1e-12)
    assert np.array_equal(rt.simulate(bistable, path, steps=1).states[0], path.states[-1])
    assert np.array_equal(rt.linearize(bistable, saddle).A, rt.linearize(bistable, saddle.state).A)
    assert len(rt.linearize(bistable, path)) == 21
    assert np.array_equal(many_states([saddle, path]), np.vstack([saddle.state, path.states]))
    for starts, count in ((found, 3), ([saddle], 1), (saddle, 1)):  # each start leads to itself
        assert len(rt.find_fixed_points(bistable, complete=False, starts=starts)) == count
    ends = rt.find_fixed_points(bistable, complete=False, starts=path)
    assert np.abs(ends.points - path.states[-1]).max(axis=1).min() < 1e-2  # 20 steps leave 2e-3
    assert rt.lyapunov_spectrum(bistable, saddle, steps=50).exponents[0] == pytest.approx(np.log(1.5), abs=1e-5)
    box = rt.analysis.find_basins(bistable, path, num=4, steps=50).box
    assert (box[:, 0] < path.states.min(axis=0)).all()
    with pytest.raises(ValueError, match="this list holds 3 fixed points"):
        rt.simulate(bistable, found, steps=1)
