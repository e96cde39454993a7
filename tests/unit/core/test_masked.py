"""A mask is not ignored: NumPy hands out the number behind it when it makes a plain array."""

import numpy as np
import pytest

import retime as rt

Z = np.ma.array([1.0, 99.0], mask=[False, True])
ROWS = np.ma.array(np.ones((3, 1)), mask=[[False], [True], [False]])
NET = rt.PLRNN([0.5, 0.4], np.zeros((2, 2)), np.ones(2), np.ones((2, 1)))
RATE = rt.RateRNN(np.eye(2) / 2, np.ones((2, 1)), np.zeros(2), tau=1.0)
TANH = rt.TanhRNN(np.eye(2) / 2, np.ones((2, 1)), np.zeros(2))
GRID = np.ma.array([0.0, 0.1, 0.2], mask=[False, True, False])

CALLS = {
    "A": lambda: rt.PLRNN(Z, np.zeros((2, 2)), np.ones(2)),
    "W": lambda: rt.PLRNN([0.5, 0.4], [Z, Z], np.ones(2)),
    "b": lambda: rt.TanhRNN(np.eye(2), None, Z),
    "readout B": lambda: rt.PLRNN([0.5, 0.4], np.zeros((2, 2)), np.ones(2), readout=Z[None]),
    "z0": lambda: rt.simulate(NET, Z, steps=3),
    "z0 of compare": lambda: rt.compare(NET, rt.to_continuous(NET).model, Z, steps=3),
    "inputs": lambda: rt.simulate(NET, np.ones(2), steps=3, inputs=ROWS),
    "inputs of compare": lambda: rt.compare(NET, rt.to_continuous(NET).model, np.ones(2), steps=3, inputs=ROWS),
    "times": lambda: rt.simulate(RATE, np.ones(2), times=GRID),
    "values": lambda: rt.Inputs([0.0, 1.0, 2.0], ROWS),
    "states": lambda: rt.to_continuous(TANH, method=rt.EulerField(), states=Z[None]),
    "at": lambda: rt.linearize(TANH, Z),
    "z": lambda: NET.step(Z),
    "z of a smooth map": lambda: TANH.step(Z),
    "s": lambda: NET.step(np.ones(2), Z[1:]),
    "inputs of a search": lambda: rt.find_fixed_points(NET, inputs=Z[1:]),
    "box": lambda: rt.find_basins(NET, [Z, Z], num=4),
}


@pytest.mark.parametrize("name", CALLS)
def test_masked_entries_are_refused(name):
    with pytest.raises(ValueError, match=r"has masked entries, which are not numbers; fill them"):
        CALLS[name]()


def test_an_array_whose_mask_hides_nothing_is_an_array():
    plain = np.ma.array([0.5, 0.4], mask=[False, False])
    assert rt.PLRNN(plain, np.zeros((2, 2)), np.ones(2)) == rt.PLRNN([0.5, 0.4], np.zeros((2, 2)), np.ones(2))
