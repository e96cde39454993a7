"""Times far from 0 are rounded; samples are recognized all the same, and ask for one row of input per step."""

import numpy as np
import pytest

import retime as rt
from retime.simulation.horizon import sample_phases

DT = 1e-3


def driven_map():
    return rt.PLRNN([0.9], [[0.05]], [0.01], C=[[1.0]], time=rt.Discrete(DT))


@pytest.mark.parametrize("switching", ["clock", "state"])
@pytest.mark.parametrize("begin", [0.0, 1e5, 1e7, -1e6])
def test_samples_far_from_zero_take_one_row_per_step(begin, switching):
    model, steps = driven_map(), 37
    rows = 1.5 + np.sin(np.arange(steps))[:, None]  # the state stays positive: both rules follow the map
    times = begin + DT * np.arange(steps + 1)
    path = rt.simulate(rt.to_continuous(model).model, [1.0], times=times, inputs=rows, switching=switching)
    want = rt.simulate(model, [1.0], steps=steps, inputs=rows).states
    rounding = 4 * np.spacing(abs(begin)) / DT if switching == "state" else 0.0  # state flows take the times as given
    np.testing.assert_allclose(path.states, want, rtol=0, atol=1e-11 + 50 * rounding)


@pytest.mark.parametrize("switching", ["clock", "state"])
def test_exponents_far_from_zero_take_one_row_per_step(switching):
    flow, steps = rt.to_continuous(driven_map()).model, 200
    rows, times = np.ones((steps, 1)), DT * np.arange(steps + 1)
    near, far = (
        rt.lyapunov_spectrum(flow, [1.0], times=begin + times, inputs=rows, switching=switching).exponents
        for begin in (0.0, 1e5)
    )
    np.testing.assert_allclose(far, near, rtol=1e-6)


def test_a_time_is_that_of_a_sample_to_a_billionth_of_a_step_or_what_rounding_far_from_zero_makes():
    assert sample_phases(np.array([0.0, 1.0 + 3e-10, 2.0 + 3e-9]), 1.0).tolist() == [0.0, 1.0, 2.0 + 3e-9]
    times = 2.0**44 + np.array(
        [0.0, 1.0 + 2 / 256, 2.0 + 3 / 256]
    )  # known to 1/256, and no more than 1 % of a step is rounding
    assert sample_phases(times, 1.0).tolist() == [0.0, 1.0, 2.0 + 3 / 256]
