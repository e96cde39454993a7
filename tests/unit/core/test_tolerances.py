"""Sizes and distances of states."""

import numpy as np
import pytest

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
