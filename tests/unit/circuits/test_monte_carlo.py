"""Tolerances of components."""

import shutil

import numpy as np
import pytest

import retime as rt
from retime.circuits.derivation import derive
from retime.circuits.samples import SampledForms, sampled_netlist, spread_of

TAU = 0.01


def test_a_sample_by_its_network_is_what_its_netlist_says():
    circuit = rt.to_circuit(rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], np.zeros((2, 0)), [0.1, 0.0], tau=TAU), level="opamp")
    spread = spread_of(circuit.elements)
    row = spread.draw(1, 0.01, 3e-3, 0)[0]
    form = SampledForms(circuit.elements, spread).form(row)
    assert form.difference(derive(sampled_netlist(circuit.elements, spread, row)).form) <= 1e-12
    assert 1e-3 < form.difference(circuit.form) < 0.2


def test_stages_of_transistors_vary_as_their_own_curves_do():
    circuit = rt.to_circuit(rt.RateRNN([[1.0]], np.zeros((1, 0)), [0.1], tau=TAU), level="transistor")
    spread = spread_of(circuit.elements)
    row = spread.draw(1, 0.01, 1e-3, 3)[0]
    by_slopes = SampledForms(circuit.elements, spread).form(row)
    by_curve = derive(sampled_netlist(circuit.elements, spread, row)).form
    for name in ("W1", "W2", "h1"):
        assert abs(getattr(by_slopes, name) - getattr(by_curve, name)).max() <= 3e-3 * abs(by_curve.W1).max()


def test_errors_grow_with_the_tolerance_and_the_seed_decides():
    circuit = rt.to_circuit(rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], np.zeros((2, 0)), [0.1, 0.0], tau=TAU))
    z0 = [1.0, -0.5]
    fine, coarse = (circuit.monte_carlo(30, tolerance=t, z0=z0) for t in (0.001, 0.01))
    assert np.median(coarse.errors) / np.median(fine.errors) == pytest.approx(10, rel=0.2)  # linear in small deviations
    np.testing.assert_array_equal(circuit.monte_carlo(30, tolerance=0.01, z0=z0).errors, coarse.errors)
    assert coarse.num_survived == 30


def test_fixed_points_periods_and_the_component_that_matters():
    W = np.array([[2.0, 0.0], [0.0, 0.5]])
    circuit = rt.to_circuit(rt.RateRNN(W, np.zeros((2, 0)), np.zeros(2), tau=TAU))
    points = rt.find_fixed_points(circuit, complete=False).points
    found = circuit.monte_carlo(100, tolerance=0.01, points=points, z0=[1.0, 0.2], check=lambda z: z[-1, 0] > 0)
    assert found.num_survived == 100
    assert np.abs(found.fixed_points - points).max() <= 0.1
    assert (found.stable == (np.abs(points[:, 0]) > 1)).all()
    assert found.shares.keys() == {
        "rx1",
        "gx1_y1",
    }  # which set where it rests; the capacitor only how fast it gets there
    turning = rt.to_circuit(rt.RateRNN([[2.0, -2.0], [2.0, 2.0]], np.zeros((2, 0)), np.zeros(2), tau=TAU))
    periods = turning.monte_carlo(10, z0=[0.5, 0.0], times=np.linspace(0, 50 * TAU, 1001)).periods
    assert np.isfinite(periods).all()
    assert 0 < periods.std() / periods.mean() < 0.02


@pytest.mark.skipif(not shutil.which("ngspice"), reason="needs ngspice (apt-get install ngspice)")
def test_a_subsample_by_spice_agrees():
    circuit = rt.to_circuit(rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], np.zeros((2, 0)), [0.1, 0.0], tau=TAU), level="opamp")
    found = circuit.monte_carlo(10, offset=3e-3, z0=[1.0, -0.5], num_spice=2)
    assert (found.agreement, found.num_spice) == (1.0, 2)
    assert "SPICE agrees" in repr(found)


def test_bad_arguments_are_named():
    circuit = rt.to_circuit(rt.LinearSystem([[-1.0]], [0.5], [[1.0]], time=rt.Continuous()))
    for name, value in {
        "num": 0,
        "tolerance": 1.5,
        "offset": -1.0,
        "method": "guess",
        "seed": -1,
        "z0": [[1.0]],
        "points": [[1.0, 2.0]],
    }.items():
        with pytest.raises((ValueError, rt.ShapeError), match=f"`{name}`"):
            circuit.monte_carlo(**{"num": 2, name: value})
