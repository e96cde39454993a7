"""Clock-held flows against the maps they were converted from."""

import numpy as np
import pytest

import retime as rt


def test_van_der_pol_orbit_stays_on_the_map_for_1000_steps(data):
    model = rt.load(data / "vanderpol_plrnn.mat", dt=0.1, family="plrnn")
    z0 = rt.io.initial_states(data / "vanderpol_plrnn.mat")[0]
    result = rt.compare(model, rt.to_continuous(model).model, z0, steps=1000)
    assert result.switching == "clock"
    assert result.orbit_error.max() <= 1e-9  # the figure
    assert (result.one_step_error / result.state_size).max() <= 1e-12


def test_published_networks_step_as_the_map_to_rounding(data):
    models = {
        "lorenz": rt.load(data / "lorenz_plrnn.mat", dt=0.1, family="plrnn"),
        "alrnn": rt.load(data / "lorenz_alrnn_m20_p2.pt", dt=0.01, family="alrnn", num_relu=2),
        "shallow": rt.load(data / "shallow_plrnn_cycles.npz", family="shallow_plrnn"),
    }
    for name, model in models.items():
        result = rt.compare(model, rt.to_continuous(model).model, np.full(model.num_states, 0.1), steps=500)
        assert np.nanmax(result.one_step_error / result.state_size) <= 1e-12, name  # the figure


@pytest.mark.parametrize("name", ["lorenz", "lorenz_plrnn", "vanderpol", "vanderpol_alrnn"])
def test_shipped_networks_step_as_the_map_to_rounding(name):
    shipped = rt.zoo.entry(name)
    model, z0 = shipped.model, shipped.z0
    result = rt.compare(model, rt.to_continuous(model).model, z0, steps=1000)
    assert (result.one_step_error / result.state_size).max() <= 1e-12


@pytest.mark.slow
def test_random_relu_network_of_64_units_with_singular_regions_is_exact(rng):
    model = rt.ReluRNN(rng.normal(size=(64, 64)) * 1.3 / 8, rng.normal(size=(64, 2)), rng.normal(size=64) * 0.2)
    flow = rt.to_continuous(model).model
    result = rt.compare(model, flow, rng.random(64), steps=150, inputs=rng.normal(size=(150, 2)))
    statuses = {r.status for r in flow.converted.values()}
    assert "regularized" in statuses
    assert result.one_step_error.max() <= 1e-9  # the figure


def test_silent_relu_network_is_exact():
    """Every unit off: the region's matrix is zero."""
    model = rt.ReluRNN(np.eye(3) * 0.5, np.ones((3, 1)), -np.ones(3))
    flow = rt.to_continuous(model).model
    assert flow.region(np.zeros(3, bool)).status == "regularized"
    result = rt.compare(model, flow, [2.0, 1.0, 0.5], steps=5)
    assert result.one_step_error.max() <= 1e-14  # 2^-53 of a state of order 1
