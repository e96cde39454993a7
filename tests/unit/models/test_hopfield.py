"""Hopfield's network: energy, stored patterns, linear part."""

import numpy as np
import pytest
from scipy.integrate import quad

import retime as rt


def symmetric(rng, activation="tanh"):
    T = rng.normal(size=(4, 4))
    options = {"resistance": rng.uniform(0.8, 1.5, 4), "capacitance": rng.uniform(0.5, 2, 4), "gain": 2.0}
    return rt.HopfieldNetwork(T + T.T, rng.normal(size=4), activation=activation, **options)


def test_energy_is_the_sum_of_its_terms_with_the_integral_by_quadrature(rng):
    model, u = symmetric(rng), rng.normal(size=4)
    V = np.tanh(2 * u)
    leak = [quad(np.arctanh, 0, v, epsabs=1e-13)[0] for v in V] / (model.resistance * 2)
    want = -V @ model.T @ V / 2 - model.I @ V + leak.sum()
    np.testing.assert_allclose(model.energy(u), want, rtol=0, atol=1e-12)
    np.testing.assert_allclose(model.energy(np.array([u, -u]))[0], want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
def test_energy_falls_at_the_rate_of_its_closed_form(activation, rng):
    """dE/dt = - sum_i C_i (du_i/dt)^2 dV_i/du_i."""
    model, h = symmetric(rng, activation), 1e-5
    for _ in range(5):
        u = rng.normal(size=4)
        F, V = model.field(u), model.rates(u)
        slope = 2 * (1 - V**2) if activation == "tanh" else 2 * V * (1 - V)
        want = -(model.capacitance * F**2 * slope).sum()
        got = (model.energy(u + h * F) - model.energy(u - h * F)) / (2 * h)
        assert abs(got - want) <= 1e-6  # h^2 times third derivatives, up to 1e4
        assert want < 0


@pytest.mark.parametrize("activation", ["tanh", "logistic"])
@pytest.mark.slow
def test_energy_decreases_along_every_orbit_of_a_symmetric_network(activation, rng):
    model = symmetric(rng, activation)
    path = rt.simulate(model, 2 * rng.normal(size=(6, 4)), times=np.linspace(0, 20, 65))
    E = model.energy(path.states)
    assert E.shape == (65, 6)
    assert (np.diff(E, axis=0) <= 1e-7).all()  # the solver's error per step, times the slope of E
    assert (E[-1] < E[0] - 1e-3).all()


def test_energy_is_finite_where_the_rates_saturate():
    model = rt.HopfieldNetwork(np.zeros((1, 1)), [0.0], gain=1.0)
    np.testing.assert_allclose(model.energy([1e3]), np.log(2), rtol=0, atol=1e-15)  # integral of artanh to 1


@pytest.mark.slow
def test_stored_patterns_are_fixed_points_and_attract():
    patterns = np.array([[1, 1, 1, 1, -1, -1, -1, -1], [1, -1, 1, -1, 1, -1, 1, -1]])  # orthogonal
    model = rt.HopfieldNetwork.storing(patterns, gain=8.0)
    want = patterns.T @ patterns / 8 - np.diag(np.full(8, 2 / 8))
    np.testing.assert_allclose(model.T, want, rtol=0, atol=1e-15)
    noisy = 0.3 * patterns.astype(float)
    noisy[0, 0], noisy[1, 3] = -0.1, 0.1  # one sign wrong in each
    path = rt.simulate(model, noisy, times=np.linspace(0, 40, 9))
    end = path.states[-1]
    np.testing.assert_array_equal(np.sign(end), patterns)
    assert np.abs(model.field(end)).max() <= 1e-6  # at rest, up to the solver's error
    assert (np.linalg.eigvals(model.jacobian(end)).real < 0).all()


def test_patterns_that_are_not_a_matrix_are_refused():
    with pytest.raises(
        rt.ShapeError, match=r"`patterns` has shape \(3,\); it must be \(any, any\) \(patterns, units\)"
    ):
        rt.HopfieldNetwork.storing([1, -1, 1])


def test_linear_part_is_the_leak(rng):
    model = symmetric(rng)
    np.testing.assert_allclose(
        np.diag(model.linear_part), -1 / (model.resistance * model.capacitance), rtol=0, atol=1e-15
    )
    free = rt.HopfieldNetwork(np.zeros((4, 4)), np.zeros(4), resistance=model.resistance, capacitance=model.capacitance)
    u = rng.normal(size=4)
    np.testing.assert_allclose(free.field(u), model.linear_part @ u, rtol=0, atol=1e-14)
