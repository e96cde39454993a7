"""`EulerField` and `FormalLog`: what they make, and what their certificates say."""

import json

import numpy as np
import pytest

import retime as rt
from families import make, make_smooth


def test_smooth_map_without_a_method_is_refused(rng):
    for name in ("tanh", "gru", "map"):
        with pytest.raises(ValueError, match=r"is smooth: .* Choose method=EulerField\(\)"):
            rt.to_continuous(make_smooth(name, rng)[0])


@pytest.mark.parametrize(
    ("options", "match"),
    [
        ({"states": np.zeros((3, 5))}, r"`states` has shape \(3, 5\); it must be \(k, 4\)"),
        ({"states": np.zeros((3, 4)), "inputs": np.zeros((2, 2))}, r"`inputs` has shape \(2, 2\); it must be \(3, 2\)"),
    ],
)
def test_states_to_measure_on_of_a_wrong_shape_are_refused(options, match, rng):
    with pytest.raises(rt.ShapeError, match=match):
        rt.to_continuous(make_smooth("tanh", rng)[0], method=rt.EulerField(), **options)


def test_elman_networks_become_rate_networks_with_their_step_as_time_constant(rng):
    model, _ = make_smooth("tanh", rng, readout=True)
    field = rt.to_continuous(model, method=rt.EulerField()).model
    assert type(field) is rt.RateRNN
    assert (field.form, field.activation) == ("rate", "tanh")
    np.testing.assert_allclose(field.tau, 0.3, rtol=0, atol=1e-16)
    for name in ("W_rec", "W_in", "b"):
        np.testing.assert_array_equal(getattr(field, name), getattr(model, name))
    np.testing.assert_array_equal(field.readout.B, model.readout.B)
    leaky, _ = make_smooth("leaky_current", rng)
    field = rt.to_continuous(leaky, method=rt.EulerField()).model
    assert (type(field), field.form, field.activation) == (rt.RateRNN, "current", "softplus")
    np.testing.assert_allclose(field.tau, 0.3 / leaky.alpha, rtol=0, atol=1e-15)


def test_fixed_points_of_the_map_are_zeros_of_every_embedding():
    cell = rt.TanhRNN([[1.5, 0.2], [-0.1, 1.2]], np.zeros((2, 1)), [0.1, -0.1], time=rt.Discrete(0.4))
    z = rt.simulate(cell, [1.0, 1.0], steps=2000).states[-1]
    np.testing.assert_allclose(cell.step(z), z, rtol=0, atol=1e-15)
    for method in (rt.EulerField(), rt.FormalLog(2), rt.FormalLog(5)):
        field = rt.to_continuous(cell, method=method).model
        assert np.abs(field.field(z)).max() <= 1e-13


def test_formal_logarithm_of_a_linear_map_is_the_series_of_the_logarithm():
    """log M = sum (-1)^(j+1) (M - 1)^j / j, cut off."""
    M = np.eye(2) + 0.1 * np.array([[0.3, -1.0], [0.8, 0.2]])
    model = rt.LinearSystem(M, np.zeros(2), np.zeros((2, 0)), time=rt.Discrete(0.5))
    field = rt.to_continuous(model, method=rt.FormalLog(4)).model
    D = M - np.eye(2)
    want = (D - D @ D / 2 + D @ D @ D / 3 - D @ D @ D @ D / 4) / 0.5
    np.testing.assert_allclose(field.jacobian(np.zeros(2)), want, rtol=0, atol=1e-15)


def test_formal_logarithm_holds_the_input_along_the_orbit():
    """z' = z + dt s: one step of a straight line, whose logarithm is s."""
    import jax.numpy as jnp

    model = rt.Map(lambda z, s: z + 0.5 * jnp.sin(s), 2, 2, time=rt.Discrete(0.5))
    field = rt.to_continuous(model, method=rt.FormalLog(6)).model
    np.testing.assert_allclose(field.field([1.0, 2.0], [0.3, -0.4]), np.sin([0.3, -0.4]), rtol=0, atol=1e-13)


def test_certificate_of_the_euler_field_claims_the_step_and_not_the_solution(rng):
    certificate = rt.to_continuous(make_smooth("tanh", rng)[0], method=rt.EulerField()).certificate
    step, solution = certificate.conditions
    assert (step.required, step.holds) == (True, True)
    assert (solution.required, solution.holds) == (False, False)
    assert certificate.holds
    assert "The solution of the ODE is another map" in certificate.claim
    json.dumps(certificate.to_dict(), allow_nan=False)


def test_certificate_says_where_the_series_does_not_settle():
    """z' = -z + ...: far from the identity, the differences double from term to term."""
    far = rt.LinearSystem([-0.9, -0.8], [1.0, 0.0], np.zeros((2, 0)))
    states = np.array([[1.0, 2.0], [-1.0, 0.5]])
    certificate = rt.to_continuous(far, method=rt.FormalLog(5), states=states).certificate
    assert not certificate.holds
    assert not next(c for c in certificate.conditions if "settles" in c.name).holds
    near = rt.LinearSystem([0.9, 0.95], [1.0, 0.0], np.zeros((2, 0)))
    assert rt.to_continuous(near, method=rt.FormalLog(5), states=states).certificate.holds


def test_piecewise_affine_map_takes_every_method(rng):
    model, equation = make("plrnn", rng)
    z, s = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    want = np.array([equation(a, u) for a, u in zip(z, s, strict=True)])
    field = rt.to_continuous(model, method=rt.EulerField()).model
    assert type(field) is rt.PLRNN
    np.testing.assert_allclose(field.field(z, s), (want - z) / model.dt, rtol=0, atol=1e-12)
    assert type(rt.to_continuous(model, method=rt.FormalLog(2)).model) is rt.DerivedSystem
    assert type(rt.to_continuous(model).model) is rt.PiecewiseAffineFlow
