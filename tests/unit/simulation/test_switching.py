"""Subtle cases of the event-driven flow."""

import math

import numpy as np
import pytest
from scipy.optimize import brentq

import retime as rt
from relays import relay

CIRCLE = [[0.0, -1, 0], [1, 0, 0], [0, 0, 0]]  # (z1, z2) rotates, z3 gathers what the ReLU passes


def gatherer(rows, offsets, weights=None):
    """z3 integrates sum_i w_i relu(rows_i z + offsets_i) while (z1, z2) rotates by one radian per unit of time."""
    W1 = np.zeros((3, len(rows)))
    W1[2] = 1.0 if weights is None else weights
    return rt.ShallowPLRNN(CIRCLE, W1, rows, np.zeros(3), offsets, time=rt.Continuous())


def test_grazing_from_above_leaves_the_unit_on():
    # relu(1 - cos t) touches zero at t = 0, 2 pi, ...: the integral is t - sin t throughout
    path = rt.simulate(gatherer([[-1.0, 0, 0]], [1.0]), [np.cos(1), np.sin(1), 0], times=[1, 4, 6.2, 6.4, 9])
    want = path.times - np.sin(path.times) - (1 - np.sin(1))
    np.testing.assert_allclose(path.states[:, 2], want, rtol=0, atol=1e-13)


def test_grazing_from_below_leaves_the_unit_off():
    path = rt.simulate(gatherer([[1.0, 0, 0]], [-1.0]), [np.cos(1), np.sin(1), 0], times=[1, 6.2, 6.4, 13])
    np.testing.assert_allclose(path.states[:, 2], 0, rtol=0, atol=1e-14)


@pytest.mark.parametrize("delta", [1e-4, 1e-8, 1e-12])
def test_double_crossing_below_any_step_is_found(delta):
    # cos t > 1 - delta for |t - 2 pi| < arccos(1 - delta)
    half = 2 * np.arcsin(np.sqrt(delta / 2))
    area = 2 * (np.sin(half) - (1 - delta) * half) if delta > 1e-6 else 4 / 3 * delta * np.sqrt(2 * delta)
    path = rt.simulate(
        gatherer([[1.0, 0, 0]], [-(1 - delta)], [1 / area]), [0.0, -1, 0], times=[-np.pi / 2, np.pi, 3 * np.pi]
    )
    assert path.num_switches == 4
    # the height delta of the bump is known to 2^-52 / delta, so is its area
    np.testing.assert_allclose(path.states[:, 2], [0, 1, 2], rtol=0, atol=1e-5 + 10 * 2.0**-52 / delta)


@pytest.mark.parametrize(("speed", "bit"), [(1.0, True), (-1.0, False)])
def test_start_on_a_boundary_takes_the_side_it_moves_to(speed, bit):
    path = rt.simulate(rt.ContinuousPLRNN([0.0], [[0.5]], [speed]), [0.0], times=[0, 1, 2])
    assert path.patterns[:, 0].tolist() == [bit] * 3
    assert len(path.switch_times) == 0
    want = 2 * np.expm1(0.5 * path.times) if bit else -path.times
    np.testing.assert_allclose(path.states[:, 0], want, rtol=0, atol=1e-14 * 10)


def test_start_on_a_boundary_with_zero_speed_is_decided_by_the_curvature():
    # z1 = t^2 / 2 > 0 after the start
    model = rt.ContinuousPLRNN([[0.0, 1], [0, 0]], [[0.0, 0], [1, 0]], [0.0, 1.0])
    path = rt.simulate(model, [0.0, 0.0], times=[0, 0.5, 1.0])
    assert path.patterns[:, 0].all()
    np.testing.assert_allclose(path.states[:, 0], np.cosh(path.times) - 1, rtol=0, atol=1e-14)


def test_unit_at_zero_for_all_time_never_switches():
    model = rt.ContinuousPLRNN([-1.0, -1.0], [[0.5, 0], [0, 0]], [0.0, 1.0])
    path = rt.simulate(model, [0.0, -1.0], times=np.linspace(0, 10, 11))
    assert path.status == "completed"
    assert (path.states[:, 0] == 0).all()
    assert path.switch_units.tolist() == [1]


@pytest.mark.parametrize("copies", [2, 5, 9])
def test_copies_of_a_unit_that_switch_at_once_act_as_one(copies):
    one = gatherer([[1.0, 0, 0]], [0.3])
    many = gatherer([[1.0, 0, 0]] * copies, [0.3] * copies, np.full(copies, 1 / copies))
    times = np.linspace(0, 12, 25)
    want, got = (rt.simulate(m, [1.0, 0, 0], times=times) for m in (one, many))
    np.testing.assert_allclose(got.states, want.states, rtol=0, atol=1e-13)
    assert got.status == "completed"
    assert len(got.switch_times) == copies * len(want.switch_times)


def test_copies_of_a_unit_in_a_converted_flow_act_as_one(rng):
    A, W1, W2, h1, h2 = (
        rng.uniform(0.3, 0.8, 3),
        rng.normal(size=(3, 2)),
        rng.normal(size=(2, 3)),
        rng.normal(size=3),
        rng.normal(size=2),
    )
    one = rt.ShallowPLRNN(A, W1, W2, h1, h2)
    two = rt.ShallowPLRNN(A, np.hstack([W1, W1]) / 2, np.vstack([W2, W2]), h1, np.tile(h2, 2))
    times, z0 = np.linspace(0, 20, 81), [1.0, -1.0, 0.5]
    want, got = (rt.simulate(rt.to_continuous(m).model, z0, times=times, switching="state") for m in (one, two))
    assert want.num_switches > 0
    assert got.status == want.status == "completed"
    np.testing.assert_allclose(got.states, want.states, rtol=0, atol=1e-10)


def test_opposite_units_switch_at_once():
    # relu(z) - relu(-z) = z, whatever the sign
    model = rt.ShallowPLRNN(
        [[0.0, -1], [1, 0]], [[-0.1, 0.1], [0, 0]], [[1.0, 0], [-1, 0]], [0, 0], [0, 0], time=rt.Continuous()
    )
    linear = rt.LinearSystem([[-0.1, -1.0], [1, 0]], [0, 0], np.zeros((2, 0)), time=rt.Continuous())
    times = np.linspace(0, 30, 61)
    want, got = (rt.simulate(m, [1.0, 0.0], times=times) for m in (linear, model))
    np.testing.assert_allclose(got.states, want.states, rtol=0, atol=1e-12)
    assert got.status == "completed"


def test_input_jump_flips_a_unit_at_the_time_of_the_jump():
    model = rt.ReluRNN([[0.0]], [[1.0]], [0.0], time=rt.Continuous())
    path = rt.simulate(model, [0.0], times=[0, 1, 2, 3], inputs=rt.Inputs([0, 0.5, 2.25], [1.0, -1.0, 2.0]))
    np.testing.assert_allclose(path.switch_times, [0.5, 2.25], rtol=0, atol=0)
    np.testing.assert_allclose(path.states[:, 0], [0, 0.5, 0.5, 2.0], rtol=0, atol=1e-15)


def test_linear_input_moves_a_unit_across_its_boundary():
    model = rt.ReluRNN([[0.0]], [[1.0]], [0.0], time=rt.Continuous())
    path = rt.simulate(model, [0.0], times=[0, 2, 4], inputs=rt.Inputs([0, 4], [-1.0, 3.0], "linear"))
    np.testing.assert_allclose(path.switch_times, [1.0], rtol=0, atol=1e-15)
    np.testing.assert_allclose(path.states[:, 0], [0, 0.5, 4.5], rtol=0, atol=1e-14)


def test_both_fields_leaving_the_boundary_is_reported_and_the_maps_side_followed():
    path = rt.simulate(relay([[-1, 0], [1, 0]], [0]), [0.0, 0.0], times=[0, 1, 2], switching="state")
    assert path.status == "nonunique"
    assert path.status_time == 0.0
    np.testing.assert_allclose(path.states[:, 0], [0, -1, -2], rtol=0, atol=1e-15)
    assert "both fields leave" in path.message


def test_two_attracting_boundaries_end_the_solution():
    # z1 > 0: left, z1 < 0: right; z2 likewise, slower: slides on z1 = 0 from t = 1 and reaches the corner at t = 2
    fields = [[1, 0.5], [-1, 0.5], [1, -0.5], [-1, -0.5]]
    path = rt.simulate(relay(fields, [0, 1]), [1.0, 1.0], times=[0, 1.5, 2.5, 3], switching="state")
    assert path.status == "sliding_undefined"
    assert abs(path.status_time - 2.0) <= 1e-12
    np.testing.assert_allclose(path.states[1], [0, 0.25], rtol=0, atol=1e-13)
    assert np.isnan(path.states[2:]).all()
    np.testing.assert_allclose(path.sliding, [[1, 2, 0]], rtol=0, atol=1e-12)


def test_sliding_that_lasts_to_the_end_is_one_interval():
    model = relay([[1, 1], [-1, 1]], [0])
    path = rt.simulate(model, [0.0, 0.0], times=np.linspace(0, 300, 7), switching="state")
    np.testing.assert_allclose(path.states[:, 1], path.times, rtol=0, atol=1e-10)
    np.testing.assert_allclose(path.sliding, [[0, 300, 0]], rtol=0, atol=1e-10)


def test_hundreds_of_switches_are_all_kept():
    path = rt.simulate(gatherer([[1.0, 0, 0]], [0.0]), [1.0, 0, 0], times=[0, 1000.0])
    want = np.pi / 2 + np.pi * np.arange(np.floor(1000 / np.pi + 0.5))
    assert len(path.switch_times) == len(want)
    assert np.abs(path.switch_times - want).max() <= 1e-11  # rounding of 1000 over thousands of steps


def test_entering_a_time_varying_region_ends_a_state_flow():
    # z > 0: M = 1 drifts down; z <= 0: M is nilpotent of index 2
    model = rt.AlmostLinearRNN([[0.0, 1], [0, 0]], [[0.0, -1], [0, 1]], [0.0, -0.25], num_relu=1)
    flow = rt.to_continuous(model, throw=False).model
    assert flow.region([False]).status == "time_varying"
    path = rt.simulate(flow, [0.0, 1.0], times=[0, 2, 5, 6], switching="state")
    assert path.status == "no_flow"
    assert abs(path.status_time - 4.0) <= 1e-12
    assert np.isnan(path.states[2:]).all()
    assert "clock" in path.message


@pytest.mark.usefixtures("no_hang")
def test_unit_that_rests_at_zero_leaves_when_another_unit_lets_it():
    # dz1/dt = 1, dz2/dt = relu(z1): z2 rests at its boundary until z1 passes zero at t = 1, then z2 = (t - 1)^2 / 2
    model = rt.ContinuousPLRNN([0.0, 0.0], [[0.0, 0.0], [1.0, 0.0]], [1.0, 0.0])
    path = rt.simulate(model, [-1.0, 0.0], times=[0, 0.5, 2.0, 3.0])
    np.testing.assert_allclose(path.states[:, 1], [0, 0, 0.5, 2], rtol=0, atol=1e-14)
    assert path.patterns[:, 1].tolist() == [False, False, True, True]


@pytest.mark.usefixtures("no_hang")
def test_units_that_rest_at_zero_are_released_in_a_cascade():
    # found by drawing small integers: z2 rests at zero, z3 returns to zero from below
    A, W = [[-1, 1, -1], [0, 2, 0], [2, 0, 1]], [[1, -1, 1], [-2, -2, 2], [2, 2, 1]]
    path = rt.simulate(rt.ContinuousPLRNN(A, W, [0, 0, 1]), [-1, 0, 0], times=np.linspace(0, 2, 5))
    assert path.status == "completed"
    assert np.isfinite(path.states).all()


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("order", [3, 5, 11])
def test_a_unit_leaves_its_boundary_where_the_first_derivative_that_is_not_zero_points(order, sign):
    """A chain of integrals, all 0 at first: z_1 = +-t^k / k!, and the integral of its positive part."""
    A, W, h = np.diag(np.ones(order), 1), np.zeros((order + 1, order + 1)), np.zeros(order + 1)
    A[order - 1, order], W[order, 0], h[order - 1] = 0.0, 1.0, sign
    path = rt.simulate(rt.ContinuousPLRNN(A, W, h), np.zeros(order + 1), times=[0.0, 1.0, 2.0])
    assert path.status == "completed"
    want = path.times**order / math.factorial(order)
    np.testing.assert_allclose(path.states[:, 0], sign * want, rtol=1e-14)
    np.testing.assert_allclose(path.states[:, -1], path.times * want / (order + 1) * (sign > 0), rtol=1e-14)
    assert len(path.switch_times) == 0


def test_a_raised_region_that_is_left_and_entered_at_once_is_two_switches_and_a_new_auxiliary_state():
    """z - 0.2 = 1.8 0.5^t cos(pi t) comes down to z = 0, where both fields point up: -0.2 0.5^t cos(pi t) from there."""
    flow = rt.to_continuous(rt.PLRNN([0.5], [[-1.0]], [0.3])).model
    path = rt.simulate(flow, [2.0], times=np.linspace(0, 2, 9), switching="state")
    mode = lambda t: 0.5**t * np.cos(np.pi * t)  # noqa: E731
    at = brentq(lambda t: 0.2 + 1.8 * mode(t), 0, 1, xtol=1e-15)
    assert path.switch_units.tolist() == [0, 0]
    np.testing.assert_allclose(path.switch_times, at, rtol=0, atol=1e-13)
    want = 0.2 + np.where(path.times < at, 1.8 * mode(path.times), -0.2 * mode(path.times - at))
    np.testing.assert_allclose(path.states[:, 0], want, rtol=0, atol=1e-13)


@pytest.mark.parametrize(("jump", "switches"), [(1e-12, 0), (1e-11, 1)])
def test_a_unit_carried_on_its_boundary_stays_there_through_a_jump_of_the_input_by_rounding(jump, switches):
    """z1 rests on the boundary z1 - 1 + s = 0 of the second unit; 100 times the rounding of its terms, 3e-12, is no jump."""
    network = rt.ReluRNN([[0.0, 0.0], [1.0, 0.0]], [[0.0], [1.0]], [-1.0, -1.0], time=rt.Continuous())
    path = rt.simulate(network, [1.0, 0.0], times=[0.0, 1.0, 2.0], inputs=rt.Inputs([0.0, 1.0], [[0.0], [jump]]))
    assert path.switch_times.tolist() == [1.0] * switches
