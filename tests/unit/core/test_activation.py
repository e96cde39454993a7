"""Activations by name, as a ufunc of NumPy, as a function of jax.numpy and as one of NumPy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import erf, expit

import retime as rt
from families import ACTIVATIONS

W, B = np.array([[0.8, -1.1], [0.9, 0.4]]), np.array([0.1, 0.2])
Z = np.random.default_rng(20200713).normal(size=(7, 2)) * 2


def network(f, form="current"):
    return rt.RateRNN(W, None, B, tau=1.0, activation=f, form=form)


def check(f, reference, atol=1e-14):
    for form in ("current", "rate"):
        drive = reference(Z) @ W.T + B if form == "current" else reference(Z @ W.T + B)
        np.testing.assert_allclose(network(f, form).field(Z), drive - Z, rtol=0, atol=atol)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation_by_name(name):
    check(name, ACTIVATIONS[name])


def test_synonyms_mean_the_same():
    np.testing.assert_array_equal(network("sigmoid").field(Z), network("logistic").field(Z))
    np.testing.assert_array_equal(network("identity").field(Z), network("linear").field(Z))


@pytest.mark.parametrize(("f", "name"), [(np.tanh, "tanh"), (jnp.tanh, "tanh"), (lambda x: jnp.maximum(x, 0), "relu")])
def test_activation_as_a_function_is_the_named_one(f, name):
    check(f, ACTIVATIONS[name])


def test_activation_as_a_ufunc_without_a_counterpart_is_called_back():
    check(expit, ACTIVATIONS["logistic"])


def test_activation_with_branches_is_called_back():
    def clipped(x):
        return np.array([min(max(float(v), -1.0), 1.0) for v in x])

    check(clipped, lambda x: np.clip(x, -1, 1))


def test_named_and_given_tanh_have_the_same_derivative():
    for f in (np.tanh, jnp.tanh):
        np.testing.assert_allclose(network(f).jacobian(Z), network("tanh").jacobian(Z), rtol=0, atol=1e-15)


def test_derivative_of_a_function_called_back_is_a_difference():
    z = Z[:2]
    got = network(erf).jacobian(z)
    want = W * (2 / np.sqrt(np.pi) * np.exp(-(z[:, None] ** 2))) - np.eye(2)
    np.testing.assert_allclose(got, want, rtol=0, atol=1e-10)  # five-point differences of a function of size one


def test_large_arguments_do_not_overflow():
    z = np.array([[800.0, -800.0]])
    for name in ("softplus", "logistic"):
        assert np.isfinite(network(name).field(z)).all()
    np.testing.assert_allclose(
        network("softplus").field(z), np.array([[800 * 0.8, 800 * 0.9]]) + B - z, rtol=0, atol=1e-12
    )


def test_rate_network_with_relu_has_its_piecewise_affine_twin():
    for form in ("current", "rate"):
        tau = np.array([0.5, 2.0])
        model = rt.RateRNN(W, [[1.0], [0.5]], B, tau=tau, activation="relu", form=form, readout=np.eye(2))
        twin = model.piecewise_affine()
        s = np.linspace(-1, 1, 7)[:, None]
        np.testing.assert_allclose(twin.field(Z, s), model.field(Z, s), rtol=0, atol=1e-14)
        assert twin.readout is not None
        linear = rt.RateRNN(W, [[1.0], [0.5]], B, tau=tau, activation="linear", form=form)
        np.testing.assert_allclose(linear.piecewise_affine().field(Z, s), linear.field(Z, s), rtol=0, atol=1e-14)


def test_smooth_network_has_no_piecewise_affine_twin():
    with pytest.raises(ValueError, match="`activation` is 'tanh'; only relu and linear are piecewise affine"):
        network("tanh").piecewise_affine()
