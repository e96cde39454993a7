"""Thresholds of learning, from both sides: ten times and a tenth of each give another answer here."""

from contextlib import nullcontext

import numpy as np
import pytest

from retime.learn import constraints
from retime.learn.recordings import recording


@pytest.mark.parametrize(("above", "holds"), [(5e-13, True), (5e-12, False)])
def test_rounding_may_break_a_constraint_by_1e_12_of_the_weights(above, holds):
    assert constraints._one("a norm of at most 1", 1.0 + above, 1.0, 1.0).holds == holds
    assert constraints._one("a norm of at most 1", 1.0 + 100 * above, 1.0, 100.0).holds == holds


@pytest.mark.parametrize(("spread", "is_constant"), [(5e-13, True), (5e-12, False)])
def test_a_channel_is_constant_that_varies_by_less_than_1e_12_of_its_values(spread, is_constant):
    series = 1.0 + spread * np.tile([[1.0], [-1.0]], (8, 1))
    refused = pytest.raises(ValueError, match="`series` is constant in channel 0") if is_constant else nullcontext()
    with refused:
        assert np.ptp(recording(series, missing=False, standardize=True).series[0]) == pytest.approx(2.0, rel=1e-3)


@pytest.mark.parametrize(("late", "is_even"), [(5e-7, True), (5e-6, False)])
def test_times_are_even_to_a_millionth_of_a_step(late, is_even):
    times = np.arange(8.0)
    times[-1] += late
    found = recording(np.arange(8.0) ** 2, missing=False, standardize=True, times=times)
    assert found.is_even == is_even
