"""Times far from 0 are rounded; samples are recognized all the same, and ask for one row of input per step."""

import numpy as np
import pytest

import retime as rt

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
