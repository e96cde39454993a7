"""Answers that were once wrong: each test holds what the right one is."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import retime as rt

C = rt.Continuous()
RATE = rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], [[1.0], [0.0]], [0.1, 0.0], tau=1.0)


def test_regionwise_map_of_a_continuous_network_keeps_its_orbit_when_rescaled():
    m = rt.ContinuousPLRNN([-1.0, -2.0], [[0.0, 0.5], [0.3, 0.0]], [0.1, 0.2])
    d = rt.to_discrete(m, 0.1, method=rt.ZeroOrderHold()).model
    np.testing.assert_allclose(rt.rescale_time(d, 2.0).step([1.0, 1.0]), d.step([1.0, 1.0]), rtol=0, atol=1e-14)
    assert rt.interchange(
        m, "rescale", "discretize", at=[1.0, 1.0], dt=0.1, factor=2.0, method=rt.ZeroOrderHold()
    ).commutes


def test_exponential_euler_with_own_linear_part_is_rescaled_with_it():
    v = rt.VectorField(lambda z: -z + jnp.sin(z), 2)
    d = rt.to_discrete(v, 0.5, method=rt.ExponentialEuler([-1.0, -1.0])).model
    np.testing.assert_allclose(rt.rescale_time(d, 2.0).step([1.0, 1.0]), d.step([1.0, 1.0]), rtol=0, atol=1e-14)
    assert rt.interchange(
        v, "rescale", "discretize", at=[1.0, 1.0], dt=0.1, factor=2.0, method=rt.ExponentialEuler([-1.0, -1.0])
    ).commutes


def test_own_jacobian_written_with_jax_is_double():
    v = rt.VectorField(lambda z: jnp.sin(z), 1, jacobian_of=lambda z: jnp.cos(z)[None])
    assert abs(v.jacobian([0.3])[0, 0] - np.cos(0.3)) <= 1e-15


def test_function_of_jax_with_branches_is_double():
    m = rt.Map(lambda z: jnp.sin(z) if z[0] > 0 else -z, 1)
    assert abs(m.step([0.3])[0] - np.sin(0.3)) <= 1e-15


def test_its_derivative():
    m = rt.Map(lambda z: jnp.sin(z) if z[0] > 0 else -z, 1)
    assert abs(m.jacobian([0.3])[0, 0] - np.cos(0.3)) <= 1e-9


def test_modes_of_a_map_with_a_zero_eigenvalue_without_a_warning():
    m = rt.LinearSystem([0.0, 0.5], [0, 0], np.zeros((2, 1)), time=rt.Discrete(0.1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert m.exponents.real[1] == -np.inf
        np.testing.assert_array_equal(m.time_constants[1], 0.0)
        assert np.isfinite(m.frequencies).all()
        assert m.is_stable


def test_certificate_of_exponential_euler_that_is_unstable_does_not_hold():
    r = rt.RateRNN([[-5.0]], None, [0.0], tau=1.0)
    assert rt.max_stable_dt(r, rt.ExponentialEuler(), at=[0.0]) < 2.0
    c = rt.to_discrete(r, 2.0, method=rt.ExponentialEuler(), states=[[0.0]])
    assert abs(c.model.jacobian([0.0])[0, 0]) > 1
    assert not c.certificate.holds


def test_relu_network_becomes_a_rate_network_and_comes_back():
    m = rt.ReluRNN([[0.5, 1.0], [-1.0, 0.2]], np.ones((2, 1)), [0.0, 1.0], time=rt.Discrete(0.3))
    f = rt.to_continuous(m, method=rt.EulerField()).model
    assert rt.to_discrete(f, 0.3, method=rt.Euler()).model == m


def test_energy_of_a_logistic_network_is_its_documented_integral():
    h = rt.HopfieldNetwork([[0.0]], [0.0], activation="logistic", gain=2.0)
    V = h.rates([0.3])[0]
    assert abs(h.energy([0.3]) - quad(lambda v: np.log(v / (1 - v)), 0, V)[0] / 2) <= 1e-9


def test_condition_one_region_looks_at_the_stages_too():
    m = rt.ContinuousPLRNN([-3.0], [[0.5]], [0.0])
    x = rt.interchange(m, "linearize", "discretize", at=[1.0], dt=1.0, method=rt.Heun())
    assert x.difference > 0.1
    assert x.condition.holds == x.commutes


def test_exponential_euler_of_a_linear_system_commutes_and_says_so():
    m = rt.LinearSystem([-1.0, -2.0], [1, 1], np.ones((2, 1)), time=C)
    x = rt.interchange(m, "linearize", "discretize", at=[1, 2], dt=0.1, method=rt.ExponentialEuler())
    assert x.commutes == x.condition.holds


def test_relu_rate_network_within_one_region_commutes_and_says_so():
    r = rt.RateRNN(np.eye(2) * 0.1, None, np.ones(2), tau=1.0, activation="relu")
    x = rt.interchange(r, "linearize", "discretize", at=[5.0, 5.0], dt=0.1, method=rt.ZeroOrderHold())
    assert x.commutes == x.condition.holds


def test_margin_is_negative_where_the_condition_fails():
    m = rt.LinearSystem([[-0.5, -1.0], [1.0, -0.5]], [0, 0], [[1.0], [0.0]], time=C)
    x = rt.interchange(m, "discretize", "to_continuous", dt=0.2, method=rt.Euler())
    assert not x.condition.holds
    assert x.condition.margin < 0


def test_imaginary_limit_of_adams_bashforth_5_is_zero():
    assert rt.stability_region(rt.AdamsBashforth(5)).imaginary_limit == 0.0


def test_largest_step_of_a_lightly_damped_mode():
    m = rt.LinearSystem([[-1e-7, 1.0], [-1.0, -1e-7]], [0, 0], np.zeros((2, 0)), time=C)
    np.testing.assert_allclose(rt.max_stable_dt(m, rt.Euler(), at=[0, 0]), 2e-7 / (1 + 1e-14), rtol=1e-3)


def test_multistep_zero_steps_with_empty_inputs():
    d = rt.to_discrete(RATE, 0.1, method=rt.AdamsBashforth(2)).model
    assert rt.simulate(d, [1.0, 0.0], steps=0, inputs=np.zeros((0, 1))).states.shape == (1, 4)


def test_multistep_inputs_with_a_batch_axis_of_one():
    d = rt.to_discrete(RATE, 0.1, method=rt.AdamsBashforth(2)).model
    assert rt.simulate(d, [1.0, 0.0], steps=3, inputs=np.zeros((3, 1, 1))).states.shape == (4, 4)


def test_multistep_start_that_overflows_says_so():
    d = rt.to_discrete(rt.VectorField(lambda z: -(z**3), 1), 1.0, method=rt.AdamsBashforth(2)).model
    assert rt.simulate(d, [4.0], steps=5).status == "diverged"


def test_hopfield_errors_name_its_own_parameters():
    with pytest.raises(rt.ShapeError, match="`T` has shape"):
        rt.HopfieldNetwork(np.zeros((2, 3)), np.zeros(2))
    with pytest.raises(rt.ShapeError, match="`I` has shape"):
        rt.HopfieldNetwork(np.zeros((2, 2)), np.zeros(3))


def test_linearize_names_at():
    with pytest.raises(rt.ShapeError, match="`at` has shape"):
        rt.linearize(RATE, np.zeros(3))
    with pytest.raises(rt.ShapeError, match="`at` has shape"):
        rt.max_stable_dt(RATE, rt.Euler(), at=np.zeros(3))
    with pytest.raises(rt.ShapeError, match="`at` has shape"):
        rt.interchange(RATE, "rescale", "linearize", factor=2.0, at=np.zeros(3))


def test_message_of_growth_beyond_1e150():
    p = rt.simulate(rt.VectorField(lambda z: 40.0 * z, 1), [1.0], times=np.linspace(0, 20, 41))
    assert "1e150" in p.message


def test_order_of_a_tableau_is_an_int():
    with pytest.raises(ValueError, match="`order` is True"):
        rt.Tableau("x", [[0]], [1], True)
    with pytest.raises(ValueError, match=r"`order` is 1\.0"):
        rt.Tableau("x", [[0]], [1], 1.0)
