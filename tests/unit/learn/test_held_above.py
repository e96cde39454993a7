"""Observed units of networks all of whose units are ReLUs: held above their boundaries, where the network is an almost-linear one."""

import numpy as np
import pytest

import retime as rt
from retime.learn import fit
from retime.learn.by_hand import AlmostLinear
from retime.learn.continuous import ExactFlow
from retime.learn.dynamics import Setting
from retime.learn.recordings import recording

MEAN, STD, C = np.array([1.0, -2.0]), np.array([0.5, 4.0]), np.array([3.0, 2.0])


def made(kind, family, rng, P=None):
    """One with random weights, and these."""
    net = kind.network(family, 5, 1, 2, {} if P is None else {"num_relu": P})
    dynamics = kind(Setting(net, "float64", 0.1, "identity", tuple(C)))
    return dynamics, dynamics.parameters(rng) | {"W": rng.normal(size=(5, 5)), "h": rng.normal(size=5)}


def test_a_plrnn_steps_as_the_almost_linear_network_that_was_trained(rng):
    dynamics, p = made(AlmostLinear, "plrnn", rng)
    model = dynamics.model(p, MEAN, STD)
    assert isinstance(model, rt.PLRNN)
    trained = rt.AlmostLinearRNN(p["A"], p["W"], p["h"], p["C"], num_relu=3, time=rt.Discrete(0.1))
    x, s = rng.uniform(-1.0, 1.0, (20, 2)), rng.normal(size=(20, 1))
    z = dynamics.first(p, x)
    np.testing.assert_allclose(model.outputs(z), MEAN + STD * x, rtol=0, atol=1e-12)
    step = trained.step(z - np.r_[C, 0, 0, 0], s)
    np.testing.assert_allclose(model.step(z, s), step + np.r_[C, 0, 0, 0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.outputs(model.step(z, s)), MEAN + STD * step[:, :2], rtol=0, atol=1e-12)
    again = dynamics.weights_of(model)
    for name in ("A", "W", "h", "C"):
        np.testing.assert_allclose(again[name], p[name], rtol=0, atol=1e-12)


def test_a_flow_has_the_rates_of_the_one_that_was_trained(rng):
    dynamics, p = made(ExactFlow, "continuous_plrnn", rng)
    model = dynamics.model(p, MEAN, STD)
    trained = rt.ContinuousPLRNN(*(p[k] / 0.1 for k in ("A", "W", "h", "C")), num_relu=3)
    z, s = dynamics.first(p, rng.uniform(-1.0, 1.0, (20, 2))), rng.normal(size=(20, 1))
    np.testing.assert_allclose(model.field(z, s), trained.field(z - np.r_[C, 0, 0, 0], s), rtol=0, atol=1e-11)
    ends = dynamics.advance(model, z, s, np.full(20, 0.05))
    run = rt.simulate(model, z, times=[0.0, 0.05], inputs=s[None])
    np.testing.assert_allclose(ends, run.states[-1], rtol=0, atol=1e-11)
    again = dynamics.weights_of(model)
    np.testing.assert_allclose(again["h"], p["h"], rtol=0, atol=1e-12)


@pytest.mark.parametrize(("n", "P", "held"), [(4, None, True), (3, None, False), (4, 2, False), (5, 4, True)])
def test_it_is_done_where_observed_units_are_relus_and_as_many_are_not(rng, n, P, held):
    data = recording(rng.normal(size=(50, 2)), missing=False, standardize=True)
    kind, family = (AlmostLinear, "plrnn" if P is None else "alrnn")
    above = kind.above(kind.network(family, n, 0, 2, {} if P is None else {"num_relu": P}), data)
    assert (above is not None) == held
    assert not held or (np.array(above) + data.series[0] > 0.0).all()


@pytest.mark.parametrize("family", ["plrnn", "continuous_plrnn"])
def test_a_fit_goes_on_above_the_boundaries_and_below(rng, family):
    """The data that the first network saw lie above, twice their spread do not; in both cases the network stays what it was."""
    options = {"epochs": 1, "batches": 1, "batch_size": 4, "sequence": 12, "dtype": "float64", "dt": 0.1}
    x = np.sin(0.2 * np.arange(200))[:, None] @ np.ones((1, 2)) + 0.1 * rng.normal(size=(200, 2))
    model = fit(x, family=family, num_states=4, **options).model
    assert (np.linalg.pinv(model.readout.B) @ (x - model.readout.b).T)[:2].min() > 0.5
    for scale in (1.0, 4.0):
        again = fit(scale * x, family=model, learning_rate=1e-30, **options).model
        for name in ("A", "W", "h"):
            np.testing.assert_allclose(getattr(again, name), getattr(model, name), rtol=0, atol=1e-12)
