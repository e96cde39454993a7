"""Thresholds that decide what is listed, from both sides: ten times and a tenth of each give another answer here."""

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from retime.analysis.fixed_points import resting
from retime.analysis.fixed_points.angles import turned

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
