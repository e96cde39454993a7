"""The shipped networks do what their descriptions say."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt


def test_unknown_network_is_refused_with_the_list():
    with pytest.raises(ValueError, match=r"'lorentz'; there are adding, addition, chua"):
        rt.zoo.load("lorentz")


def test_load_knows_the_names_of_the_command_line():
    assert rt.load("zoo:vanderpol") is rt.zoo.load("vanderpol")
    with pytest.raises(ValueError, match=r"There is no zoo network 'lorentz'; there are adding, "):
        rt.load("zoo:lorentz")
    with pytest.raises(ValueError, match=r"what it is; drop `dt`, `num_relu`\."):
        rt.load("zoo:vanderpol", dt=0.1, num_relu=2)


def crossings(x: np.ndarray, dt: float) -> np.ndarray:
    """Times at which x crosses zero upwards, by linear interpolation."""
    k = np.flatnonzero((x[:-1] < 0) & (x[1:] >= 0))
    return dt * (k - x[k] / (x[k + 1] - x[k]))


@pytest.mark.parametrize("name", ["vanderpol", "vanderpol_alrnn"])
def test_van_der_pol_network_has_the_true_period_within_two_percent(name):
    entry = rt.zoo.entry(name)
    x = rt.simulate(entry.model, entry.z0, steps=6000).outputs[1000:, 0]
    times = crossings(x, entry.model.dt)
    true = solve_ivp(
        lambda t, y: [y[1], 2 * (1 - y[0] ** 2) * y[1] - y[0]], (0, 100), [2.0, 0.0], max_step=0.01, dense_output=True
    )
    want = np.diff(crossings(true.sol(np.arange(20, 100, 0.001))[0], 0.001)).mean()
    got = (times[-1] - times[0]) / (len(times) - 1)
    assert abs(got / want - 1) < 0.02  # the bound; measured 0.15 % and 0.02 %


@pytest.mark.parametrize("name", ["lorenz", "lorenz_alrnn", "lorenz_plrnn", "lorenz_continuous"])
def test_lorenz_network_stays_chaotic_on_two_lobes(name):
    entry = rt.zoo.entry(name)
    dt = getattr(entry.model.time, "dt", 0.01)

    def run(z0, time):
        is_map = isinstance(entry.model.time, rt.Discrete)
        return rt.simulate(
            entry.model, z0, **{"steps": round(time / dt)} if is_map else {"times": np.arange(0, time, dt)}
        )

    x = run(entry.z0, 1000.0).outputs[round(200 / dt) :]
    # Lorenz-63: standard deviations 7.9, 9.0, 8.6, mean of z 23.55; the left and the right lobe are visited equally often
    assert np.abs(x.std(axis=0) / [7.92, 9.01, 8.62] - 1).max() < 0.1
    assert abs(x[:, 2].mean() - 23.55) < 1.0
    assert 0.35 < (x[:, 0] > 0).mean() < 0.65
    near, far = (run(z0, 60.0).outputs for z0 in (entry.z0 + 1e-9, entry.z0))
    assert np.abs(near - far)[-round(8 / dt) :].max() > 1.0


def test_addition_network_adds_the_marked_numbers():
    entry = rt.zoo.entry("addition")
    s = rt.zoo.addition_inputs(100, 10, 60, seed=3)
    total = s[10, 0] + s[60, 0]
    got = rt.simulate(entry.model, entry.z0, steps=100, inputs=s).outputs[-1, 0]
    assert abs(got - total) < 0.01  # the two-unit solution leaks 1 % of a threshold


def test_adding_network_adds_the_marked_numbers():
    model = rt.zoo.load("adding")
    inputs, targets, _ = rt.learn.AddingProblem(50).batch(200, seed=4)
    z = np.zeros((200, model.num_states))
    for k in range(50):
        z = model.step(z, inputs[:, k])
    assert np.mean((model.outputs(z) - targets[:, -1]) ** 2) < 0.002  # measured 7e-5; answering 1 always has 1/6


def test_sliding_network_slides():
    entry = rt.zoo.entry("sliding")
    path = rt.simulate(rt.to_continuous(entry.model).model, entry.z0, times=np.linspace(0, 2, 21), switching="state")
    assert len(path.sliding) == 1
    start, end, unit = path.sliding[0]
    assert 0.2 < start < end < 0.6
    assert unit == 0


def test_relu_network_has_singular_regions_only():
    entry = rt.zoo.entry("relu")
    flow = rt.to_continuous(entry.model).model
    rt.simulate(flow, entry.z0, steps=300, inputs=np.random.default_rng(0).normal(size=(300, 1)))
    assert {str(r.status) for r in flow.converted.values()} == {"regularized"}


REFERENCE = {
    "lorenz63": lambda z: [10 * (z[1] - z[0]), z[0] * (28 - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]],
    "roessler": lambda z: [-z[1] - z[2], z[0] + 0.2 * z[1], 0.2 + z[2] * (z[0] - 5.7)],
    "chua": lambda z: [15.6 * (z[1] - z[0] - diode(z[0])), z[0] - z[1] + z[2], -28 * z[1]],
    "chua_network": lambda z: [15.6 * (z[1] - z[0] - diode(z[0])), z[0] - z[1] + z[2], -28 * z[1]],
    "henon": lambda z: [1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]],
}


def diode(x):
    """Piecewise linear: slope -1.142857 on [-1, 1], -0.71429 outside."""
    inner, outer = -1.142857, -0.71429
    return inner * x if abs(x) <= 1 else outer * x + (inner - outer) * np.sign(x)


@pytest.mark.parametrize("name", sorted(REFERENCE))
def test_reference_system_has_its_published_equation(name, rng):
    model = rt.zoo.load(name)
    for z in rng.normal(size=(20, model.num_states)) * 3:
        assert np.allclose(model.apply(z), REFERENCE[name](z), atol=1e-13 * 100)


@pytest.mark.slow
def test_chua_as_a_network_follows_the_same_orbit_as_the_vector_field():
    entry, times = rt.zoo.entry("chua_network"), np.linspace(0, 5, 51)
    exact = rt.simulate(entry.model, entry.z0, times=times).states
    solved = rt.simulate(rt.zoo.load("chua"), entry.z0, times=times, tolerance=1e-11).states
    assert np.abs(exact - solved).max() < 1e-6  # chaotic: errors grow by about e^(0.4 t), the field has kinks


@pytest.mark.parametrize("name", ["flip_flop", "flip_flop_relu"])
def test_flip_flop_networks_keep_three_bits(name):
    entry = rt.zoo.entry(name)
    inputs, targets, mask = rt.learn.FlipFlop(num_bits=3).batch(32, seed=5)
    z, right, counted = np.zeros((32, 100)), 0, 0
    for k in range(inputs.shape[1]):
        z = entry.model.step(z, inputs[:, k])
        right += (np.sign(entry.model.outputs(z)) == targets[:, k])[mask[:, k] > 0].sum()
        counted += (mask[:, k] > 0).sum()
    assert right >= 0.99 * counted
    for _ in range(1000):
        z = entry.model.step(z)
    points = rt.find_fixed_points(entry.model, complete=False, starts=z)
    outputs = entry.model.outputs(points.points[points.stable])
    assert {tuple(np.sign(x)) for x in outputs} == {(a, b, c) for a in (-1, 1) for b in (-1, 1) for c in (-1, 1)}
    np.testing.assert_allclose(np.abs(outputs), 1.0, rtol=0, atol=0.1)
    assert len(outputs) == 8
