"""Sizes and distances of states."""

import numpy as np
import pytest

from retime.analysis.modes import pace
from retime.core.balance import balancing
from retime.core.start import distinct
from retime.core.time import Discrete
from retime.core.tolerances import same_point, size_of, sizes_of


def test_size_is_one_plus_the_largest_entry():
    assert size_of(np.array([3.0, -5.0])) == 6.0
    assert size_of(np.empty(0)) == 1.0
    np.testing.assert_array_equal(sizes_of(np.array([[1.0, -2.0], [0.0, 0.5]])), [3.0, 1.5])
    np.testing.assert_array_equal(sizes_of(np.array([[1.0, -2.0], [0.0, 0.5]]), axis=0), [2.0, 3.0])


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e6])
def test_points_are_the_same_relative_to_their_size(scale):
    a = scale * np.array([1.0, -1.0])
    assert same_point(a, a + 0.9e-8 * (1 + scale), 1e-8)
    assert not same_point(a, a + 1.1e-8 * (1 + scale), 1e-8)


def test_what_is_not_a_number_is_no_point():
    assert not same_point(np.array([np.nan]), np.array([np.nan]), 1e-8)


def test_states_are_told_apart_from_a_millionth_of_their_size_on():
    assert distinct(np.array([[0.0], [3e-7], [3e-6]])).tolist() == [0, 2]


def test_units_of_states_are_changed_from_a_factor_of_64_on():
    near, far = balancing(np.array([[[0.0, 20.0], [1.0, 0.0]], [[0.0, 200.0], [1.0, 0.0]]]))
    assert near.tolist() == [1.0, 1.0]
    assert far.max() / far.min() > 1.0


@pytest.mark.parametrize(("inside", "is_stable"), [(5e-13, False), (5e-12, True)])
def test_a_multiplier_decays_from_1e_12_inside_the_circle_on(inside, is_stable):
    assert Discrete().is_stable(np.array([0.5, -(1 - inside)])) == is_stable
    words = pace(np.log1p(-inside), "steps")
    assert words.startswith("decays") == is_stable


def test_the_rate_of_a_multiplier_0_is_that_of_the_unit_roundoff():
    """By which a regularized region replaces it."""
    assert Discrete(0.5).rates(np.array([0.0]))[0] == pytest.approx(-53 * np.log(2.0) / 0.5, rel=1e-15)
