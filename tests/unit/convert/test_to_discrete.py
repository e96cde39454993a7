"""`to_discrete`: what it accepts, refuses and certifies."""

import json

import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.linalg import expm

import retime as rt
from families import make, make_smooth, stable

RATE = rt.RateRNN([[0.5, -1.0], [1.0, 0.2]], None, [0.1, 0.0], tau=1.0)
ALMOST_NOTHING = np.zeros((2, 0))


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: rt.to_discrete(RATE, 0.0, method=rt.Euler()), ValueError, r"`dt` is 0\.0; it must be a positive"),
        (lambda: rt.to_discrete(RATE, -1, method=rt.Euler()), ValueError, r"`dt` is -1\.0"),
        (
            lambda: rt.to_discrete(RATE, 0.1, method="oiler"),
            ValueError,
            "`method` is 'oiler'; it must be one of euler, heun",
        ),
        (lambda: rt.to_discrete(RATE, 0.1, method=rt.Euler), TypeError, "it must be a method object such as Euler"),
        (lambda: rt.to_discrete(RATE, 0.1, method=rt.EulerField()), TypeError, "it must be a method object"),
        (
            lambda: rt.to_discrete(rt.PLRNN([0.5], [[0.0]], [0.0]), 0.1, method=rt.Euler()),
            TypeError,
            "to_discrete takes a system in continuous time. For another step of a map use retime_to",
        ),
        (
            lambda: rt.to_discrete(RATE, 0.1, method=rt.ZeroOrderHold()),
            TypeError,
            "ZeroOrderHold is exact for linear and piecewise-affine systems; RateRNN is neither",
        ),
        (
            lambda: rt.to_discrete(RATE, 0.1, method=rt.FirstOrderHold()),
            TypeError,
            "FirstOrderHold takes a LinearSystem; RateRNN is none",
        ),
        (
            lambda: rt.to_discrete(rt.VectorField(lambda z: -z, 2), 0.1, method=rt.ExponentialEuler()),
            ValueError,
            r"needs the linear part of VectorField, which names none; pass ExponentialEuler\(L\)",
        ),
        (
            lambda: rt.to_discrete(RATE, 0.1, method=rt.ExponentialEuler(np.eye(3))),
            rt.ShapeError,
            r"`linear` has shape \(3, 3\); it must be \(2, 2\)",
        ),
        (
            lambda: rt.to_discrete(rt.to_continuous(rt.PLRNN([0.5], [[0.1]], [1.0])).model, 1.0, method=rt.Euler()),
            TypeError,
            "has one field per region and no field of the state alone",
        ),
        (
            lambda: rt.to_discrete(RATE, 0.1, method=rt.Euler(), states=np.ones((2, 3))),
            rt.ShapeError,
            r"`states` has shape \(2, 3\); it must be \(k, 2\)",
        ),
        (lambda: rt.AdamsBashforth(6), ValueError, "`steps` is 6; AdamsBashforth has 1 to 5 steps"),
        (lambda: rt.AdamsBashforth(True), ValueError, "`steps` is True"),
        (lambda: rt.RungeKutta("RK4"), TypeError, "`tableau` is 'RK4'; it must be a Tableau, e.g. retime.RK4"),
        (lambda: rt.ExponentialEuler(np.ones((2, 3))), rt.ShapeError, r"`linear` has shape \(2, 3\)"),
    ],
)
def test_wrong_argument_is_refused_with_a_reason(call, error, match):
    with pytest.raises(error, match=match):
        call()


@pytest.mark.parametrize("method", [rt.Euler(), rt.RungeKutta(rt.RK4)], ids=repr)
def test_certificate_states_the_measured_one_step_error(method, rng):
    model, equation = make_smooth("rate", rng)
    z, s = rng.normal(size=(3, 4)), rng.normal(size=(3, 2))
    conversion = rt.to_discrete(model, 0.2, method=method, states=z, inputs=s)
    worst = 0.0
    for a, u in zip(z, s, strict=True):
        exact = solve_ivp(lambda t, y, u=u: equation(y, u), (0, 0.2), a, method="DOP853", rtol=1e-13, atol=1e-14).y[
            :, -1
        ]
        worst = max(worst, np.abs(conversion.model.step(a, u) - exact).max() / (1 + np.abs(exact).max()))
    claim = conversion.certificate.claim
    assert f"one-step error {worst:.2e}" in claim
    assert f"order {method.order}" in claim
    assert "the 3 states given" in claim
    assert conversion.certificate.holds
    json.dumps(conversion.to_dict(), allow_nan=False)


def test_certificate_fails_where_what_decays_would_grow():
    """Rates -1 and dt = 3: one Euler step multiplies by -2."""
    model = rt.LinearSystem([-1.0, -0.1], [0.0, 0.0], ALMOST_NOTHING, time=rt.Continuous())
    certificate = rt.to_discrete(model, 3.0, method=rt.Euler()).certificate
    assert not certificate.holds
    decays = next(c for c in certificate.conditions if "decays" in c.name)
    np.testing.assert_allclose(decays.margin, -1.0, rtol=0, atol=1e-11)  # it has a slack of 1e-12
    certificate = rt.to_discrete(model, 1.5, method=rt.Euler()).certificate
    assert next(c for c in certificate.conditions if "decays" in c.name).holds


def test_certificate_of_a_regionwise_map_counts_the_states_that_stay():
    model = rt.ContinuousPLRNN([-1.0], [[0.5]], [0.0])
    states = np.array([[1.0], [2.0], [-1.0], [3.0]])
    certificate = rt.to_discrete(model, 0.1, method=rt.ZeroOrderHold(), states=states).certificate
    stays = next(c for c in certificate.conditions if "region at the end" in c.name)
    assert stays.holds
    assert certificate.holds
    pushed = rt.ContinuousPLRNN([-1.0], [[0.5]], [2.0])
    certificate = rt.to_discrete(pushed, 1.0, method=rt.ZeroOrderHold(), states=states).certificate
    stays = next(c for c in certificate.conditions if "region at the end" in c.name)
    assert not stays.holds
    assert stays.margin == -0.25  # -1 is pushed over the boundary


def test_exponential_euler_is_exact_for_linear_systems_with_held_inputs(rng):
    A, b, E = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 2))
    model = rt.LinearSystem(A, b, E, time=rt.Continuous())
    got = rt.to_discrete(model, 0.4, method=rt.ExponentialEuler()).model
    want = rt.to_discrete(model, 0.4, method=rt.ZeroOrderHold()).model
    assert type(got) is rt.LinearSystem
    for name in ("A", "b", "E"):
        np.testing.assert_allclose(getattr(got, name), getattr(want, name), rtol=0, atol=1e-14)


def test_exponential_euler_of_a_piecewise_affine_network_is_its_formula(rng):
    model, equation = make("continuous_plrnn", rng)
    step = rt.to_discrete(model, 0.4, method=rt.ExponentialEuler()).model
    assert type(step) is rt.PiecewiseAffineRNN
    L = model.canonical.A
    phi = np.linalg.solve(L, expm(0.4 * L) - np.eye(4))
    z, s = rng.normal(size=4), rng.normal(size=2)
    np.testing.assert_allclose(step.step(z, s), z + phi @ equation(z, s), rtol=0, atol=1e-13)


def test_exponential_euler_with_a_given_linear_part_is_its_formula(rng):
    model, equation = make_smooth("vector_field", rng)
    L = rng.normal(size=(4, 4))
    step = rt.to_discrete(model, 0.4, method=rt.ExponentialEuler(L)).model
    phi = np.linalg.solve(L, expm(0.4 * L) - np.eye(4))
    z, s = rng.normal(size=4), rng.normal(size=2)
    np.testing.assert_allclose(step.step(z, s), z + phi @ equation(z, s), rtol=0, atol=1e-13)
    assert rt.ExponentialEuler([-1.0, -2.0]).linear.shape == (2, 2)


def test_exponential_euler_takes_a_linear_part_that_is_singular(rng):
    model, equation = make_smooth("vector_field", rng)
    z, s = rng.normal(size=4), rng.normal(size=2)
    step = rt.to_discrete(model, 0.4, method=rt.ExponentialEuler(np.zeros(4))).model
    np.testing.assert_allclose(step.step(z, s), z + 0.4 * equation(z, s), rtol=0, atol=1e-14)


def test_one_step_of_adams_bashforth_is_euler():
    one = rt.to_discrete(RATE, 0.1, method=rt.AdamsBashforth(1)).model
    assert one == rt.to_discrete(RATE, 0.1, method=rt.Euler()).model


def test_tustin_without_a_readout_keeps_the_state_and_holds_the_input(rng):
    A, b, E = rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=(3, 2))
    step = rt.to_discrete(rt.LinearSystem(A, b, E, time=rt.Continuous()), 0.2, method=rt.Tustin()).model
    left = np.eye(3) - 0.1 * A
    np.testing.assert_allclose(step.A, np.linalg.solve(left, np.eye(3) + 0.1 * A), rtol=0, atol=1e-13)
    np.testing.assert_allclose(step.b, np.linalg.solve(left, 0.2 * b), rtol=0, atol=1e-13)
    np.testing.assert_allclose(step.E, np.linalg.solve(left, 0.2 * E), rtol=0, atol=1e-13)


@pytest.mark.parametrize("name", ["plrnn", "shallow", "linear", "continuous_almost_linear", "piecewise_affine"])
def test_euler_keeps_piecewise_affine_systems_piecewise_affine(name, rng):
    model = stable(name, rng)
    step = rt.to_discrete(model, 0.1, method=rt.Euler()).model
    z, s = rng.normal(size=(5, 4)), rng.normal(size=(5, 2))
    np.testing.assert_allclose(step.step(z, s), z + 0.1 * model.field(z, s), rtol=0, atol=1e-13)
    assert step.num_units == model.num_units
    np.testing.assert_array_equal(step.pattern(z, s), model.pattern(z, s))
    assert rt.simulate(step, z, steps=3).patterns.shape == (4, 5, model.num_units)
