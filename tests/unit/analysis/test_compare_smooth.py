"""`compare` on smooth systems and on maps with another step."""

import numpy as np
import pytest

import retime as rt


@pytest.fixture
def rate(rng):
    return rt.RateRNN(rng.normal(size=(3, 3)), np.zeros((3, 1)), rng.normal(size=3), tau=1.0)


def test_a_map_with_half_the_step_is_compared_at_the_common_times(rate):
    coarse = rt.to_discrete(rate, 0.02, method=rt.RungeKutta(rt.RK4)).model
    fine = rt.to_discrete(rate, 0.01, method=rt.RungeKutta(rt.RK4)).model
    result = rt.compare(coarse, fine, [0.1, -0.2, 0.3], steps=50)
    # the one-step error of RK4 at 0.02 is about 1e-9
    assert 0 < result.one_step_error.max() < 1e-7
    assert len(result.orbit_error) == 50


@pytest.mark.slow
def test_a_map_is_compared_with_the_flow_it_came_from(rate):
    cell = rt.to_discrete(rate, 0.01, method=rt.Euler()).model
    result = rt.compare(cell, rate, [0.1, -0.2, 0.3], steps=20)
    # Euler: dt^2 / 2 |z''| = 5e-5 |z''|
    assert 1e-7 < result.one_step_error.max() < 1e-3
    assert result.switching == ""
    assert result.status == "completed"


def test_a_multistep_map_is_compared_in_the_states_they_share(rate):
    one = rt.to_discrete(rate, 0.01, method=rt.RungeKutta(rt.RK4)).model
    several = rt.to_discrete(rate, 0.01, method=rt.AdamsBashforth(4)).model
    result = rt.compare(one, several, [0.1, -0.2, 0.3], steps=30)
    assert result.orbit_error.max() < 1e-6  # both of order 4


def test_steps_that_do_not_divide_are_refused(rate):
    one, other = (rt.to_discrete(rate, dt, method=rt.Euler()).model for dt in (0.01, 0.007))
    with pytest.raises(ValueError, match="a whole number of its steps"):
        rt.compare(one, other, np.zeros(3), steps=3)


def test_a_system_of_another_size_is_refused(rate):
    cell = rt.to_discrete(rate, 0.01, method=rt.Euler()).model
    with pytest.raises(rt.ShapeError, match="`other` has 2 states, the map 3"):
        rt.compare(cell, rt.zoo.load("henon"), np.zeros(3), steps=3)
