"""Stability regions and largest stable steps: objects, limits, wrong use."""

import json

import numpy as np
import pytest

import retime as rt


def test_region_contains_what_does_not_grow():
    region = rt.stability_region(rt.RungeKutta(rt.RK4))
    z = np.array([-1.0, -2.78, -2.79, 1j, 2.82j, 2.84j, 0.1])
    np.testing.assert_array_equal(region.contains(z), [True, True, False, True, True, False, False])
    np.testing.assert_allclose(region.factor(z[:1]), [1 - 1 + 1 / 2 - 1 / 6 + 1 / 24], rtol=0, atol=1e-15)
    assert repr(region) == "StabilityRegion(RungeKutta(RK4), negative real axis to 2.785, imaginary axis to 2.828)"


def test_region_of_an_exact_method_is_the_left_half_plane():
    region = rt.stability_region(rt.ZeroOrderHold())
    assert (region.real_limit, region.imaginary_limit) == (np.inf, np.inf)
    assert "negative real axis to all" in repr(region)
    assert json.dumps(region.to_dict(), allow_nan=False)


def test_largest_step_is_the_smallest_over_the_modes():
    model = rt.LinearSystem([-1.0, -4.0, -0.5], np.zeros(3), np.zeros((3, 0)), time=rt.Continuous())
    np.testing.assert_allclose(rt.max_stable_dt(model, rt.Euler(), at=np.zeros(3)), 0.5, rtol=0, atol=1e-13)


def test_a_mode_at_rest_limits_nothing():
    model = rt.LinearSystem([0.0, -4.0], np.zeros(2), np.zeros((2, 0)), time=rt.Continuous())
    np.testing.assert_allclose(rt.max_stable_dt(model, rt.Euler(), at=np.zeros(2)), 0.5, rtol=0, atol=1e-13)


def test_largest_step_depends_on_the_input():
    """tanh saturates: the more input, the slower the unit's own feedback."""
    model = rt.RateRNN([[-9.0]], [[1.0]], [0.0], tau=1.0, form="rate")
    at = [0.0]
    np.testing.assert_allclose(rt.max_stable_dt(model, rt.Euler(), at=at), 0.2, rtol=0, atol=1e-12)
    slope = 1 / np.cosh(2.0) ** 2
    got = rt.max_stable_dt(model, rt.Euler(), at=at, inputs=[2.0])
    np.testing.assert_allclose(got, 2 / (1 + 9 * slope), rtol=0, atol=1e-12)


def test_largest_step_of_exponential_euler_is_that_of_its_own_matrix():
    """dz/dt = -z - 5 tanh z at 0: the step multiplies by e^-dt - 5 (1 - e^-dt), which is -1 at e^-dt = 2/3."""
    model = rt.RateRNN([[-5.0]], None, [0.0], tau=1.0)
    got = rt.max_stable_dt(model, rt.ExponentialEuler(), at=[0.0])
    np.testing.assert_allclose(got, np.log(3 / 2), rtol=0, atol=1e-12)
    leak = rt.RateRNN([[0.5]], None, [0.0], tau=1.0)
    assert rt.max_stable_dt(leak, rt.ExponentialEuler(), at=[0.0]) == np.inf


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda m: rt.stability_region("RK5"), ValueError, "`method` is 'RK5'; it must be one of euler, heun"),
        (lambda m: rt.max_stable_dt(m, rt.RK4, at=[0.0]), TypeError, "it must be a method object such as Euler"),
        (
            lambda m: rt.max_stable_dt(rt.PLRNN([0.5], [[0.0]], [0.0]), rt.Euler(), at=[0.0]),
            TypeError,
            "max_stable_dt takes a system in continuous time",
        ),
        (lambda m: rt.max_stable_dt(m, rt.Euler(), at=[0.0, 1.0]), rt.ShapeError, r"`(at|z)` has shape \(2,\)"),
        (
            lambda m: rt.max_stable_dt(m, rt.Euler(), at=[0.0], inputs=[1.0, 2.0]),
            rt.ShapeError,
            r"`(inputs|s)` has shape \(2,\)",
        ),
    ],
)
def test_wrong_argument_is_refused_with_a_reason(call, error, match):
    with pytest.raises(error, match=match):
        call(rt.RateRNN([[0.5]], [[1.0]], [0.0], tau=1.0))


def test_a_factor_counts_as_one_within_1e_12():
    region = rt.stability_region(rt.Euler())
    np.testing.assert_array_equal(region.contains(np.array([5e-13, 5e-12])), [True, False])


@pytest.mark.parametrize(("rate", "largest"), [(2e-14, 2.0), (1e-12, 0.0)])
def test_a_rate_within_rounding_is_neutral(rate, largest):
    """100 n 2^-52 |J| = 4.4e-14."""
    model = rt.LinearSystem(np.diag([-1.0, rate]), np.zeros(2), np.zeros((2, 0)), time=rt.Continuous())
    np.testing.assert_allclose(rt.max_stable_dt(model, rt.Euler(), at=np.zeros(2)), largest, rtol=0, atol=1e-12)
