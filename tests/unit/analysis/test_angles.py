"""States that are angles: listed once, whichever period they were found in."""

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.core.errors import ShapeError

TURN = 2 * np.pi
PENDULUM = rt.VectorField(lambda z: jnp.array([z[1], -jnp.sin(z[0]) - 0.1 * z[1]]), 2)


def standard_map(K):
    return rt.Map(lambda z: jnp.array([z[0] + z[1] + K * jnp.sin(z[0]), z[1] + K * jnp.sin(z[0])]), 2)


def test_a_pendulum_rests_at_two_points():
    found = rt.find_fixed_points(PENDULUM, period=(TURN, None), num_starts=32)
    np.testing.assert_allclose(found.points, [[0.0, 0.0], [np.pi, 0.0]], atol=1e-10)
    assert found.stable.tolist() == [True, False]
    assert len(rt.find_fixed_points(PENDULUM, num_starts=32)) > 2


def test_angles_given_as_starts_in_other_periods_are_the_same_point():
    starts = np.array([[0.1 + TURN * k, 0.0] for k in range(-3, 4)] + [[3.0 - TURN * k, 0.0] for k in range(-3, 4)])
    found = rt.find_fixed_points(PENDULUM, period=[TURN, np.inf], starts=starts, num_starts=14)
    np.testing.assert_allclose(found.points, [[0.0, 0.0], [np.pi, 0.0]], atol=1e-10)


def test_the_standard_map_has_the_points_that_go_once_around_too():
    """On the torus: p = 2 pi k, sin(theta) K = p' - p; for K = 7 also K sin(theta) = +-2 pi."""
    K = 7.0
    found = rt.find_fixed_points(standard_map(K), period=TURN, num_starts=200)
    t = np.arcsin(TURN / K)
    want = {(round(x, 6), 0.0) for x in (0.0, np.pi, t, np.pi - t, -t, t - np.pi)}
    assert {(round(x, 6), abs(round(p, 6))) for x, p in found.points} == want


def test_a_map_that_turns_an_angle_by_a_period_rests():
    turn = rt.Map(lambda z: jnp.array([z[0] + TURN - 0.3 * jnp.sin(z[0] - 1.0)]), 1)
    found = rt.find_fixed_points(turn, period=TURN, num_starts=32)
    np.testing.assert_allclose(found.points[:, 0], [1.0, 1.0 - np.pi], atol=1e-9)
    assert len(rt.find_fixed_points(turn, num_starts=32)) == 0


@pytest.mark.parametrize("period", [3.0, (TURN, 1.0)])
def test_a_period_that_the_system_does_not_have_is_refused(period):
    with pytest.raises(ValueError, match=r"`period` of state [01] is .*but the system changes by"):
        rt.find_fixed_points(PENDULUM, period=period)


@pytest.mark.parametrize(
    ("period", "error", "message"),
    [
        ((1.0, 2.0, 3.0), ShapeError, r"`period` has shape \(3,\); it must be \(2,\)"),
        ((-1.0, None), ValueError, "`period` holds -1.0; every period must be positive"),
        ((float("nan"), None), ValueError, "`period` holds nan; every period must be positive"),
    ],
)
def test_a_wrong_period_is_named(period, error, message):
    with pytest.raises(error, match=message):
        rt.find_fixed_points(PENDULUM, period=period)


def test_a_piecewise_affine_system_has_no_angles():
    with pytest.raises(ValueError, match="`period` is for smooth systems with angles"):
        rt.find_fixed_points(rt.PLRNN([0.5], [[0.1]], [1.0]), period=1.0)
