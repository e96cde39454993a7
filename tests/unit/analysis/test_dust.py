"""Zeros are listed as zeros where rounding left something else, and only there."""

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.analysis.dust import tidy, without_dust


def test_the_origin_of_a_network_without_bias_is_exactly_zero(rng):
    for _ in range(2):
        W = rng.normal(size=(5, 5))
        found = rt.find_fixed_points(rt.TanhRNN(W, np.zeros((5, 0)), np.zeros(5)), num_starts=32)
        assert (np.abs(found.points[0]) == 0.0).all()
        assert not np.signbit(found.points[0]).any()


def test_coordinates_that_are_zero_beside_others_are_exactly_zero():
    model = rt.Map(lambda z: jnp.array([0.5 * z[0] * jnp.cos(z[1]), 0.3 * z[1] + 0.7]), 2)
    found = rt.find_fixed_points(model, num_starts=32)
    np.testing.assert_allclose(found.points, [[0.0, 1.0]], rtol=0, atol=1e-12)
    assert found.points[0, 0] == 0.0


def test_a_small_coordinate_behind_a_large_weight_is_kept():
    model = rt.PLRNN([0.7, 0.3], [[1.1e16, 0.0], [-7e15, 0.0]], [-1.3, -0.9])
    found = rt.find_fixed_points(model)
    small = [z for z in found.points if 0 < abs(z[0]) < 1e-14]
    assert len(small) == 1
    np.testing.assert_allclose(small[0][0], 1.3 / (1.1e16 - 0.3) * 1.0, rtol=0.5)


def test_cycles_hold_no_dust():
    model = rt.PLRNN([-1.0 / 3.0, 0.2], [[-3.0, 0.0], [0.0, 0.0]], [1.0, 0.0])
    for cycle in rt.find_cycles(model, 4):
        assert (cycle.points[:, 1] == 0.0).all()
        assert not np.signbit(cycle.points[:, 1]).any()


def test_dust_stays_where_the_state_would_solve_its_equation_less_well():
    z = np.array([[1.0, 1e-16]])
    np.testing.assert_array_equal(without_dust(z, lambda x: np.zeros(len(x))), [[1.0, 0.0]])
    np.testing.assert_array_equal(without_dust(z, lambda x: 1e3 * np.abs(x[:, 1] - 1e-16) * 1e16), z)


@pytest.mark.parametrize(
    ("w", "want"), [(1e-17 + 2j, 2j), (3.0 - 1e-17j, 3.0), (1e-20, 1e-20), (1e-38 + 1e-38j, 1e-38 + 1e-38j)]
)
def test_parts_of_eigenvalues_are_zero_within_rounding_of_their_modulus(w, want):
    assert tidy(np.array([w]))[0] == want


def test_a_rotation_is_neutral_and_not_stable(rng):
    for angle in rng.uniform(0.1, 3.0, 20):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        (kind,) = (found := rt.find_fixed_points(rt.LinearSystem(turn, [1.0, 0.0], np.zeros((2, 0))))).kinds
        assert kind == "neutral"
        assert not found.stable.any()


def test_a_center_of_a_flow_is_neutral_and_not_stable(rng):
    for rate in rng.uniform(0.1, 30.0, 20):
        V = rng.normal(size=(2, 2))
        A = V @ np.array([[0.0, -rate], [rate, 0.0]]) @ np.linalg.inv(V)
        A[1, 1] = -A[0, 0]  # trace 0 exactly
        found = rt.find_fixed_points(rt.LinearSystem(A, [1.0, 0.0], np.zeros((2, 0)), time=rt.Continuous()))
        assert not found.stable.any()
