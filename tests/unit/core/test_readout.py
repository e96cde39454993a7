"""Readouts with functions: what they give, and that every operation keeps them."""

import copy
import pickle

import numpy as np
import pytest
from scipy.special import expit, softmax

import retime as rt
from retime.core.readout import OUTPUT_ACTIVATIONS

n, p = 4, 3
FUNCTIONS = {
    "linear": lambda x: x,
    "tanh": np.tanh,
    "relu": lambda x: np.maximum(x, 0.0),
    "softplus": lambda x: np.log1p(np.exp(x)),
    "logistic": expit,
    "exp": np.exp,
    "softmax": lambda x: softmax(x, axis=-1),
}


@pytest.fixture
def parts(rng):
    return rng.normal(size=(p, n)), rng.normal(size=p), rng.normal(size=n)


def network(rng, readout):
    return rt.ReluRNN(rng.normal(size=(n, n)) / 3, np.zeros((n, 0)), rng.normal(size=n), readout=readout)


def test_every_function_of_the_outputs_is_known():
    assert set(FUNCTIONS) == set(OUTPUT_ACTIVATIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_outputs_of_a_simulation_pass_the_activation(name, rng, parts):
    B, b, _ = parts
    path = rt.simulate(network(rng, rt.Readout(B, b, activation=name)), np.zeros(n), steps=5)
    np.testing.assert_allclose(path.outputs, FUNCTIONS[name](path.states @ B.T + b), rtol=0, atol=1e-14)


def test_outputs_read_the_rates_above_a_threshold(rng, parts):
    B, b, h = parts
    z = rng.normal(size=(2, 5, n))
    model = network(rng, rt.Readout(B, b, rate="relu", threshold=h))
    np.testing.assert_allclose(model.outputs(z), np.maximum(z - h, 0) @ B.T + b, rtol=0, atol=1e-14)


def test_a_threshold_without_a_rate_is_an_offset(parts):
    B, b, h = parts
    readout = rt.Readout(B, b, threshold=h)
    assert readout.is_linear
    np.testing.assert_allclose(readout.b, b - B @ h, rtol=0, atol=1e-14)


def test_softmax_of_large_numbers_is_finite():
    np.testing.assert_array_equal(rt.Readout(np.eye(2) * 1e4, activation="softmax")([1.0, -1.0]), [1.0, 0.0])


def test_linear_readout_is_a_pair_and_another_one_says_what_it_is(parts):
    B, b = rt.Readout(*parts[:2])
    np.testing.assert_array_equal(B, parts[0])
    np.testing.assert_array_equal(b, parts[1])
    with pytest.raises(TypeError, match=r"x = tanh\(B z \+ b\)\) and no pair"):
        B, b = rt.Readout(*parts[:2], activation="tanh")


@pytest.mark.parametrize("option", ["activation", "rate"])
def test_unknown_function_of_a_readout_is_refused(option):
    with pytest.raises(ValueError, match=f"`{option}` of the readout is 'sine'; it must be one of linear|tanh"):
        rt.Readout(np.eye(2), **{option: "sine"})
    with pytest.raises(rt.ShapeError, match=r"readout B.*must be \(any, 4\)"):
        rt.ReluRNN(np.eye(n), np.zeros((n, 0)), np.zeros(n), readout=rt.Readout(np.eye(2), activation="tanh"))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_are_equal(copied, parts):
    readout = rt.Readout(*parts[:2], activation="softmax", rate="tanh", threshold=parts[2])
    assert copied(readout) == readout
    assert hash(copied(readout)) == hash(readout)
    assert readout != rt.Readout(*parts[:2], activation="softmax", rate="tanh")


def test_saved_models_keep_their_readout(rng, parts, tmp_path):
    model = network(rng, rt.Readout(*parts[:2], activation="softmax", rate="relu", threshold=parts[2]))
    assert rt.load(rt.save(model, tmp_path / "m.npz")) == model


@pytest.mark.parametrize("activation", ["softmax", "logistic"])
def test_linearized_outputs_touch_the_outputs(activation, rng, parts):
    B, b, h = parts
    model = network(rng, rt.Readout(B, b, activation=activation, rate="tanh", threshold=h))
    a = rng.normal(size=n)
    tangent = rt.linearize(model, a)
    assert tangent.readout.is_linear
    np.testing.assert_allclose(tangent.outputs(a), model.outputs(a), rtol=0, atol=1e-14)
    for direction in np.eye(n) * 1e-6:
        slope = (model.outputs(a + direction) - model.outputs(a - direction)) / 2e-6
        np.testing.assert_allclose(tangent.readout.B @ direction / 1e-6, slope, rtol=0, atol=1e-9)


def test_feedthrough_acts_inside_the_activation(rng, parts):
    B, b, _ = parts
    D, E = rng.normal(size=(p, 2)), rng.normal(size=(n, 2))
    model = rt.LinearSystem(np.eye(n) / 2, np.zeros(n), E, readout=rt.Readout(B, b, activation="tanh"), D=D)
    z, s = rng.normal(size=n), rng.normal(size=2)
    np.testing.assert_allclose(model.outputs(z, s), np.tanh(B @ z + D @ s + b), rtol=0, atol=1e-14)
    tangent = rt.linearize(model, z, inputs=s)
    step = 1e-6 * np.array([1.0, -2.0])
    slope = (model.outputs(z, s + step) - model.outputs(z, s - step)) / 2
    np.testing.assert_allclose(tangent.D @ step, slope, rtol=0, atol=1e-14)
    np.testing.assert_allclose(tangent.outputs(z, s), model.outputs(z, s), rtol=0, atol=1e-14)


def test_longer_states_keep_the_readout(rng, parts):
    B, b, h = parts
    readout = rt.Readout(B, b, activation="softmax", rate="tanh", threshold=h)
    flow = rt.RateRNN(rng.normal(size=(n, n)), None, np.zeros(n), tau=1.0, readout=readout)
    map_ = rt.to_discrete(flow, 0.1, method=rt.AdamsBashforth(2)).model
    z = rng.normal(size=n)
    np.testing.assert_array_equal(map_.outputs(np.append(z, np.ones(n))), readout(z))


def test_methods_that_shift_the_state_refuse_outputs_of_rates(rng, parts):
    plant = rt.LinearSystem(
        -np.eye(n), np.zeros(n), np.ones((n, 1)), time=rt.Continuous(), readout=rt.Readout(parts[0], rate="tanh")
    )
    for method in (rt.Tustin(), rt.FirstOrderHold()):
        with pytest.raises(ValueError, match=r"shifts the states\. Convert the system without its readout"):
            rt.to_discrete(plant, 0.1, method=method)
    with pytest.raises(ValueError, match="which a state space cannot hold; linearize it first"):
        rt.io.to_control(plant)


def test_shifted_outputs_pass_the_activation(rng, parts):
    B, b, _ = parts
    plant = rt.LinearSystem(-np.eye(n), np.zeros(n), np.ones((n, 1)), time=rt.Continuous(), readout=(B, b))
    bent = rt.LinearSystem(
        -np.eye(n), np.zeros(n), np.ones((n, 1)), time=rt.Continuous(), readout=rt.Readout(B, b, activation="tanh")
    )
    w, s = rng.normal(size=n), np.ones(1)
    for method in (rt.Tustin(), rt.FirstOrderHold()):
        plain, new = (rt.to_discrete(x, 0.1, method=method).model for x in (plant, bent))
        np.testing.assert_allclose(new.outputs(w, s), np.tanh(plain.outputs(w, s)), rtol=0, atol=1e-14)
