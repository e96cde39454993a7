"""State-switched flows against matrix exponentials with bisection and against DOP853 restarted at events."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt
from families import stable
from references import dop853_flow, switched_flow

ISSUE = 1e-9  # the issue's figure for every comparison here


def own_regions(model):
    def region(bits):
        M, c, E = model.canonical.regions(bits[None])
        return M[0], c[0], E[0]

    return region


def converted_regions(flow):
    def region(bits):
        r = flow.region(bits)
        return r.W, r.h, r.E

    return region


def agrees(path, want, switches):
    assert path.status == "completed"
    assert len(path.switch_times) == len(switches) > 0
    assert np.abs(path.switch_times - switches).max() <= ISSUE
    assert np.abs(path.states - want).max() <= ISSUE


def test_van_der_pol_over_1000_steps_against_matrix_exponentials(data):
    model = rt.load(data / "vanderpol_plrnn.mat", dt=0.1, family="plrnn")
    z0 = rt.io.initial_states(data / "vanderpol_plrnn.mat")[0]
    flow, times = rt.to_continuous(model).model, np.linspace(0, 100, 1001)
    want, switches = switched_flow(converted_regions(flow), flow.canonical, z0, times, resolution=0.025)
    agrees(rt.simulate(flow, z0, times=times, switching="state"), want, switches)


def test_van_der_pol_against_dop853(data):
    model = rt.load(data / "vanderpol_plrnn.mat", dt=0.1, family="plrnn")
    z0 = rt.io.initial_states(data / "vanderpol_plrnn.mat")[1]
    flow, times = rt.to_continuous(model).model, np.linspace(0, 14, 141)

    def field(z, bits):
        r = flow.region(bits)
        return r.W @ z + r.h

    want, switches = dop853_flow(field, lambda z: z, z0, times)
    agrees(rt.simulate(flow, z0, times=times, switching="state"), want, switches)


def test_lorenz_over_the_first_30_switches(data):
    model = rt.load(data / "lorenz_plrnn.mat", dt=0.1, family="plrnn")
    flow = rt.to_continuous(model).model
    z0 = rt.simulate(model, np.full(10, 0.1), steps=300).states[-1]
    long = rt.simulate(flow, z0, times=np.linspace(0, 40, 401), switching="state")
    assert long.num_switches > 30
    times = np.linspace(0, 0.5 * (long.switch_times[29] + long.switch_times[30]), 200)
    want, switches = switched_flow(converted_regions(flow), flow.canonical, z0, times, resolution=0.002)
    assert len(switches) == 30
    agrees(rt.simulate(flow, z0, times=times, switching="state"), want, switches)


def test_raised_regions_are_entered_with_auxiliary_states_zero(data):
    flow = rt.to_continuous(rt.load(data / "lorenz_plrnn.mat", dt=0.1, family="plrnn")).model
    z0 = rt.simulate(flow.map, np.full(10, 0.1), steps=300).states[-1]
    times = np.linspace(0, 8, 81)
    path = rt.simulate(flow, z0, times=times, switching="state")
    raised = [flow.region(d).auxiliary > 0 for d in path.patterns]
    assert any(raised)
    want, switches = switched_flow(converted_regions(flow), flow.canonical, z0, times, resolution=0.002)
    agrees(path, want, switches)


def oscillating(rng, n):
    """A full A whose skew part keeps the states crossing zero, W and h of a random network."""
    S = rng.normal(size=(n, n))
    return (
        2 * (S - S.T) / np.sqrt(n) - 0.3 * np.eye(n),
        0.7 * rng.normal(size=(n, n)) / np.sqrt(n),
        0.3 * rng.normal(size=n),
    )


@pytest.mark.parametrize("n", [2, 5, 10, 20, 50])
def test_random_continuous_networks_against_matrix_exponentials(n, rng):
    A, W, h = oscillating(rng, n)
    model = rt.ContinuousPLRNN(A, W, h)
    z0, times = rng.normal(size=n), np.concatenate([[0], np.sort(rng.random(60)) * 8])
    want, switches = switched_flow(own_regions(model), model.canonical, z0, times, resolution=0.004)
    agrees(rt.simulate(model, z0, times=times), want, switches)


@pytest.mark.parametrize("n", [2, 10])
def test_random_continuous_networks_against_dop853(n, rng):
    A, W, h = oscillating(rng, n)
    z0, times = rng.normal(size=n), np.linspace(0, 6, 31)
    want, switches = dop853_flow(lambda z, d: A @ z + W @ (d * z) + h, lambda z: z, z0, times)
    agrees(rt.simulate(rt.ContinuousPLRNN(A, W, h), z0, times=times), want, switches)


FAMILIES = ["almost_linear", "clipped", "continuous_almost_linear", "dendritic", "plrnn", "relu", "shallow"]


@pytest.mark.parametrize("hold", ["zero", "linear"])
@pytest.mark.parametrize("name", FAMILIES)
def test_driven_continuous_family_against_matrix_exponentials(name, hold, rng):
    model = stable(name, rng)
    knots = np.concatenate([[0.0], np.sort(rng.random(12)) * 9])
    inputs = rt.Inputs(knots, 2 * rng.normal(size=(13, 2)), hold)
    z0, times = rng.normal(size=4), np.linspace(0.5, 9.5, 60)
    first = np.searchsorted(knots, 0.5, side="right") - 1
    slopes = np.zeros((13, 2))
    if hold == "linear":
        slopes[:-1] = np.diff(inputs.values, axis=0) / np.diff(knots)[:, None]
    drive = {"starts": knots[first:], "values": inputs.values[first:], "slopes": slopes[first:]}
    drive["values"], drive["starts"] = drive["values"].copy(), drive["starts"].copy()
    drive["values"][0] += slopes[first] * (0.5 - knots[first])
    drive["starts"][0] = 0.5
    want, switches = switched_flow(own_regions(model), model.canonical, z0, times, resolution=0.004, **drive)
    path = rt.simulate(model, z0, times=times, inputs=inputs)
    agrees(path, want, switches)


def test_driven_converted_flow_against_matrix_exponentials(rng):
    model = rt.PLRNN(
        rng.uniform(0.3, 0.9, 5), rng.normal(size=(5, 5)) * 0.25, rng.normal(size=5), rng.normal(size=(5, 2))
    )
    flow, inputs = rt.to_continuous(model).model, 2 * rng.normal(size=(30, 2))
    z0, times = rng.normal(size=5), np.linspace(0, 30, 121)
    want, switches = switched_flow(
        converted_regions(flow), flow.canonical, z0, times, resolution=0.01, starts=np.arange(30.0), values=inputs
    )
    agrees(rt.simulate(flow, z0, times=times, inputs=inputs, switching="state"), want, switches)


@pytest.mark.parametrize("name", ["lorenz", "vanderpol"])
def test_shipped_network_against_matrix_exponentials(name):
    shipped = rt.zoo.entry(name)
    model, z0 = shipped.model, shipped.z0
    flow, times = rt.to_continuous(model).model, model.dt * np.arange(120)
    probe = rt.simulate(flow, z0, times=times, switching="state")
    end = probe.switch_times[min(30, probe.num_switches) - 1]  # a chaotic network: 30 switches at most
    times = times[times < min([end, *(start for start, _, _ in probe.sliding)])]  # the reference cannot slide
    assert len(times) > 10
    want, switches = switched_flow(converted_regions(flow), flow.canonical, z0, times, resolution=model.dt / 40)
    agrees(rt.simulate(flow, z0, times=times, switching="state"), want, switches)


@pytest.mark.usefixtures("no_hang")
def test_degenerate_small_integer_networks_against_scipy(rng):
    """Many units start on, rest on and leave their boundaries together; the field is continuous: no events needed."""
    for _ in range(120):
        n = int(rng.integers(1, 5))
        A, W, h = (rng.integers(-2, 3, shape).astype(float) for shape in ((n, n), (n, n), n))
        z0, times = rng.integers(-1, 2, n).astype(float), np.linspace(0, 2, 5)
        path = rt.simulate(rt.ContinuousPLRNN(A, W, h), z0, times=times)
        f = lambda t, z, A=A, W=W, h=h: A @ z + W @ np.maximum(z, 0) + h  # noqa: E731
        want = solve_ivp(f, (0, 2), z0, method="DOP853", rtol=1e-9, atol=1e-11, t_eval=times, max_step=0.1).y.T
        assert path.status == "completed"
        assert np.abs(path.states - want).max() <= 1e-6 * (1 + np.abs(want).max())  # kinks cost DOP853 its order
