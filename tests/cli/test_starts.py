"""Where the verbs begin when no state is given, and that one state certifies nothing."""

from __future__ import annotations

import json

import numpy as np
import pytest

import retime as rt
from retime.core.start import distinct, own_start, spread


@pytest.fixture
def tanh_file(tmp_path, rng):
    """A network without bias, whose origin is an unstable fixed point."""
    path = tmp_path / "tanh.npz"
    np.savez(
        path,
        **{"rnn.weight_hh_l0": 1.6 * np.linalg.qr(rng.normal(size=(4, 4)))[0]},
        **{"rnn.weight_ih_l0": np.ones((4, 1))},
    )
    return path


@pytest.fixture
def relu_file(tmp_path, rng):
    """A piecewise-linear network without offset, whose origin is a fixed point."""
    path = tmp_path / "relu.npz"
    W = rng.normal(size=(5, 5)) / 4
    np.savez(path, A=np.full(5, 0.6), W=W, h=np.zeros(5))
    return path


def conditions(found):
    return {c["name"]: c for c in found["certificate"]["conditions"]}


def test_convert_of_a_network_without_bias_measures_away_from_the_origin(run, tanh_file):
    code, out, err = run("convert", tanh_file, "--steps", 200, "--json")
    assert code == 0
    solution = conditions(json.loads(out))["the field's solution over dt is the map"]
    assert not solution["holds"]
    assert solution["margin"] < -0.05
    assert "the orbit begins at a random state (seed 0), because zeros are a fixed point" in err


def test_convert_from_a_fixed_point_proves_nothing(run, tanh_file):
    code, out, _ = run("convert", tanh_file, "--z0", "0,0,0,0", "--steps", 200)
    assert code == 1
    words = " ".join(out.split())
    assert "1 distinct state, which proves nothing" in words
    assert not any(line.startswith("the field's solution") and " yes " in line for line in out.splitlines())


def test_convert_of_an_exact_conversion_from_a_fixed_point_claims_nothing(run, relu_file):
    code, out, _ = run("convert", relu_file, "--z0", "0,0,0,0,0", "--steps", 50)
    assert code == 1
    assert "What you may claim: NOTHING from this orbit" in " ".join(out.split())


def test_convert_and_compare_count_the_states_of_their_orbit(run, relu_file):
    for verb in ("convert", "compare"):
        code, out, _ = run(verb, relu_file, "--steps", 50, "--json")
        found = json.loads(out)
        assert code == 0
        assert found["distinct_states"] > 10


def test_compare_from_a_fixed_point_does_not_say_that_they_are_equal(run, relu_file):
    code, out, _ = run("compare", relu_file, "--z0", "0,0,0,0,0", "--steps", 50)
    assert code == 1
    assert "Not compared: the orbit stays at one state" in out


def test_simulate_and_analyze_begin_where_the_library_does(run, relu_file):
    model = rt.load(relu_file, family="plrnn")
    z, _ = own_start(model)
    code, out, _ = run("simulate", relu_file, "--steps", 5, "--json")
    assert code == 0
    np.testing.assert_array_equal(json.loads(out)["states"], rt.simulate(model, z, steps=5).states)
    _, out, _ = run("analyze", relu_file, "--steps", 200, "--max-period", 0, "--json")
    want = rt.analyze(model, steps=200, max_period=0)
    np.testing.assert_array_equal(json.loads(out)["orbit"]["end"], want.orbit.states[-1])


def test_an_initial_state_of_the_file_that_is_at_rest_is_passed_over(run, tmp_path, relu_file):
    with np.load(relu_file) as arrays:
        np.savez(tmp_path / "two.npz", **arrays, z0=[np.zeros(5), np.full(5, 2.0)])
    _, out, err = run("simulate", tmp_path / "two.npz", "--steps", 1, "--json")
    np.testing.assert_array_equal(json.loads(out)["states"][0], np.full(5, 2.0))
    assert "random" not in err


def test_zeros_are_kept_where_the_inputs_move_them(run, relu_file, tmp_path, rng):
    with np.load(relu_file) as arrays:
        np.savez(tmp_path / "driven.npz", **arrays, C=rng.normal(size=(5, 1)))
    np.save(tmp_path / "s.npy", np.ones((4, 1)))
    _, out, _ = run("simulate", tmp_path / "driven.npz", "--inputs", tmp_path / "s.npy", "--json")
    np.testing.assert_array_equal(json.loads(out)["states"][0], np.zeros(5))


def test_discretize_at_a_state_measures_around_it_too(run, tmp_path, rng):
    model = rt.RateRNN(rng.normal(size=(3, 3)) / 2, None, np.zeros(3), tau=0.5)
    path = rt.save(model, tmp_path / "rate.npz")
    code, out, _ = run("discretize", path, "--step", 0.1, "--method", "rk4", "--at", "0,0,0", "--json")
    assert code == 0
    assert "the 17 states given" in json.loads(out)["certificate"]["claim"]


ONE = np.zeros((256, 2))
NET = rt.TanhRNN([[0.0, 1.2], [-1.2, 0.0]], None, np.zeros(2), time=rt.Discrete(0.1))
RATE = rt.RateRNN([[0.0, 1.2], [-1.2, 0.0]], None, np.zeros(2), tau=1.0)
CASES = {
    "euler field": lambda z: rt.to_continuous(NET, method=rt.EulerField(), states=z),
    "formal log": lambda z: rt.to_continuous(NET, method=rt.FormalLog(3), states=z),
    "retime": lambda z: rt.retime_to(NET, 0.05, method=rt.EulerField(), states=z),
    "discretize": lambda z: rt.to_discrete(RATE, 0.1, method=rt.RungeKutta(rt.RK4), states=z),
    "regions": lambda z: rt.to_discrete(rt.ContinuousPLRNN([-1.0, -2.0], np.eye(2), np.zeros(2)), 0.1, method=rt.ZeroOrderHold(),
                                        states=z),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_no_condition_that_is_measured_on_states_holds_on_one(name, rng):
    known = {"each region's flow is known", "no region met was raised"}  # of regions, not of states
    several, one = CASES[name](rng.normal(size=(5, 2))).certificate, CASES[name](ONE).certificate
    assert any(c.holds for c in several.conditions if c.name not in known)
    assert [c.name for c in one.conditions if c.holds and c.name not in known] == []
    assert any(
        "1 distinct state of the 256 given, which proves nothing" in c.detail + one.claim for c in one.conditions
    )


def test_states_given_twice_are_counted_once(rng):
    z = np.repeat(rng.normal(size=(3, 2)), 4, axis=0)
    assert "3 distinct states of the 12 given" in CASES["euler field"](z).certificate.claim


def test_a_map_that_leads_everything_to_one_state_is_measured_where_it_comes_from():
    dead = rt.TanhRNN(np.zeros((2, 2)), None, [0.5, 0.1])
    assert (
        "because the map leads all of them to one state"
        in rt.to_continuous(dead, method=rt.EulerField()).certificate.claim
    )


def test_regions_are_converted_along_an_orbit_that_moves():
    model = rt.PLRNN([0.5, 0.4], [[0.0, -0.9], [0.9, 0.0]], np.zeros(2))
    conversion = rt.to_continuous(model, throw=False)
    assert "Measured on the 1 of" not in conversion.certificate.scope
    assert len(conversion.model.converted) > 1


def test_distinct_states_are_told_apart_by_their_size():
    z = np.array([[1.0, 0.0], [1.0 + 1e-9, 0.0], [1.1, 0.0], [np.nan, 0.0], [1.0, 0.0]])
    np.testing.assert_array_equal(distinct(z), [0, 2])
    np.testing.assert_array_equal(spread(z, 256), [0, 2])


def test_a_spread_sample_holds_states_of_the_transient():
    z = 0.5 ** np.arange(10_000)[:, None]
    chosen = spread(z, 256)
    assert 15 < len(chosen) < 25
    assert chosen[0] == 0
