"""A raised region that is left and entered again ever faster must not end on the wrong side of its boundary."""

from __future__ import annotations

import numpy as np

import retime as rt


def test_accumulating_returns_to_a_raised_region_end_with_a_status():
    model = rt.AlmostLinearRNN(
        [-0.247, -0.421], [[0.337, 0.146], [0.561, -0.304]], [0.057, 0.338], num_relu=1, time=rt.Discrete(0.1)
    )
    flow = rt.to_continuous(model).model
    path = rt.simulate(flow, [0.727, -0.795], times=np.linspace(0, 1, 41), switching="state")
    assert path.status == "switches_accumulate"
    reached = np.isfinite(path.states[:, 0])
    on = model.canonical.preactivation(path.states[reached])[:, 0] > 0
    assert np.array_equal(on, path.patterns[reached, 0])
