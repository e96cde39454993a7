"""Thresholds that decide what is listed, from both sides: ten times and a tenth of each give another answer here."""

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.analysis.branches.periods import APERIODIC, DIVERGED, affine_period, period_of, shortest
from retime.analysis.fixed_points import resting
from retime.analysis.fixed_points.angles import turned
from retime.analysis.view import affine_view

TURN = 2 * np.pi


@pytest.mark.parametrize(("least", "points"), [(5e-11, 1), (5e-10, 0)])
def test_a_speed_of_1e_10_is_none(least, points):
    """|G| = z^2 + least."""
    model = rt.Map(lambda z: z + z**2 + least, 1)
    assert len(rt.find_fixed_points(model, num_starts=8)) == points


@pytest.mark.parametrize(("least", "listed"), [(0.03, 1), (0.3, 0)])
def test_slow_points_are_listed_up_to_a_twentieth_of_the_usual_speed(least, listed):
    """|G| = least + 1 - cos z, whose median over a turn is least + 1."""
    model = rt.VectorField(lambda z: least + 1 - jnp.cos(z), 1)
    assert len(rt.find_fixed_points(model, period=TURN, num_starts=8).slow_points) == listed


@pytest.mark.parametrize(("above", "side"), [(5e-7, 1), (5e-6, -1)])
def test_an_angle_at_minus_half_a_turn_is_half_a_turn(above, side):
    z = turned(np.array([TURN * (above - 0.5)]), np.array([TURN]))
    assert z[0] == pytest.approx(TURN * (above + 0.5 * side), abs=1e-12)


@pytest.mark.parametrize(("alpha", "count"), [(5e-9, 1), (5e-10, 0), (1 - 5e-10, 0), (1 - 5e-9, 1)])
def test_a_point_that_rests_by_sliding_takes_part_of_both_fields(alpha, count):
    """P + x Q = [[1, -1], [0, x - alpha]] takes (y, 1) to zero for y = 1 and x = alpha."""
    found = resting._pencil(np.array([[1.0, -1.0], [0.0, -alpha]]), np.array([[0.0, 0.0], [0.0, 1.0]]))
    assert [(round(x, 12), float(y[0])) for x, y in found] == [(round(alpha, 12), 1.0)] * count


# --- basins --------------------------------------------------------------------------------------------------------------


SETTLING = [
    ({"approaching": 0.0}, 0.9, 138, "fixed_point"),  # 5e-7 to 1e-6 is left
    ({"approaching": 0.0}, 0.9, 116, "undecided"),  # 5e-6 to 1e-5
    ({}, 0.9, 95, "fixed_point"),  # 5e-5 to 1e-4
    ({}, 0.9, 73, "undecided"),
    ({"approaching": 1.0}, 0.9, 52, "fixed_point"),  # the last step is one of 5e-4 to 1e-3
    ({"approaching": 1.0}, 0.9, 30, "undecided"),
    ({"neutral": 1e-6}, 1 - 4e-11, 8, "neutral"),  # of 4e-11 to 8e-11
    ({"neutral": 1e-6}, 1 - 4e-10, 8, "undecided"),
    ({"rest": 1e-5}, 1 - 5e-10, 8, "neutral"),
    ({"rest": 1e-5}, 1 - 5e-9, 8, "undecided"),
]


@pytest.mark.parametrize(("given", "factor", "steps", "kind"), SETTLING)
def test_when_an_orbit_has_settled(given, factor, steps, kind):
    """z_k = factor^k z_0, z_0 between 1 and 2: distances and steps are those of the comments, relative to the width."""
    decay, rule = rt.LinearSystem([factor], [0.0], np.zeros((1, 0))), rt.Settling(extensions=(), **given)
    found = rt.find_basins(decay, (1.0, 2.0), num=4, steps=steps, settling=rule)
    assert [a.kind for a in found.attractors] == [kind]


# --- periods in a stability map --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apart", "period"), [(5e-8, 1), (5e-7, 2)])
def test_states_have_come_back_to_1e_7(apart, period):
    z = np.tile([[0.0], [apart]], (4, 1))
    assert period_of(z, 2, np.zeros(1)) == period


@pytest.mark.parametrize(
    ("away", "gap", "period"), [(5e-3, 1e-3, 1), (5e-2, 1e-3, 2), (1e-13, 5e-13, 1), (1e-13, 5e-14, 2)]
)
def test_an_orbit_that_is_about_to_settle_on_a_shorter_cycle_has_its_period(away, gap, period):
    """z' = -z / 2: a return after two steps to `gap` says that 0 is 4 / 3 gap away, ten times that is believed; 1e-13 is exact."""
    halved = rt.Map(lambda z: -0.5 * z, 1)
    z = np.array([[away + gap], [-away], [away], [-away]])
    assert shortest(halved, np.zeros(0), z, 2) == period


@pytest.mark.parametrize(("growth", "end"), [(5e2, APERIODIC), (5e3, DIVERGED)])
def test_a_spiral_diverges_once_it_has_grown_a_thousandfold(growth, end):
    """From step 2 to step 12, the last one."""
    c, s = growth**0.1 * np.array([np.cos(1.0), np.sin(1.0)])
    spiral = rt.PiecewiseAffineRNN([[c, -s], [s, c]], np.zeros((2, 1)), np.zeros((1, 2)), np.zeros(2), [1.0])
    assert affine_period(affine_view(spiral), np.zeros(0), np.array([1e3, 0.0]), 4, 2) == end
