"""Fixed points of the published 400-unit flip-flop network: the corners it was trained for, and what else it rests in."""

from itertools import product

import numpy as np
import pytest

import retime as rt
from retime.analysis.fixed_points.multistart import search_smooth

pytestmark = pytest.mark.slow  # the search takes seconds
CORNERS = np.array(list(product([-1.0, 1.0], repeat=3)))


@pytest.fixture(scope="module")
def network(data):
    return rt.load(data / "flipflop_simplernn_n400.hdf5", dt=1.0, family="tanh_rnn")


@pytest.fixture(scope="module")
def found(network):
    # fewer than the default 256 starts, for the sake of time: the stable points are the same
    return search_smooth(network, np.zeros(3), num_starts=64)


@pytest.fixture(scope="module")
def stable(network, found):
    # those that an orbit returns to; multipliers are below 0.997 or above 1.0028: factors of 1e-4 and 4,000 in 3,000 steps
    pushed = found.points + 1e-3 * np.random.default_rng(1).normal(size=found.points.shape)
    ends = rt.simulate(network, pushed, steps=3000).states[-1]
    return found.points[np.abs(ends - found.points).max(axis=1) < 1e-4]


def test_every_point_is_a_fixed_point_to_rounding(network, found):
    assert found.status == "heuristic"
    assert np.abs(network.step(found.points) - found.points).max() <= 1e-14


def test_eight_stable_points_are_the_corners_of_the_cube(network, stable):
    outputs = network.outputs(stable)
    for corner in CORNERS:
        assert (np.abs(outputs - corner).max(axis=1) < 0.06).sum() == 1


@pytest.mark.slow
def test_driven_trials_all_end_on_stable_points_that_were_found(network, stable, rng):
    s = np.zeros((250, 64, 3))
    s[10:30] = rng.choice([-1, 1], size=(64, 3))
    for k in range(70, 200, 60):
        s[k : k + 20] = rng.choice([-1, 1], size=(64, 3)) * (rng.random((64, 3)) < 0.5)
    z = rt.simulate(network, np.zeros((64, 400)), steps=250, inputs=s).states[-1]
    z = rt.simulate(network, z, steps=1500).states[-1]
    # the slowest stable mode loses a factor of 100 in 1,500 steps; different points are more than 0.1 apart
    assert np.abs(z[:, None] - stable).max(axis=2).min(axis=1).max() <= 0.02


def test_the_network_without_bias_is_odd_and_so_are_its_points(found, network, stable):
    assert not network.b.any()
    assert np.abs(stable[:, None] + stable).max(axis=2).min(axis=1).max() <= 1e-9


def test_three_pairs_of_further_stable_points_are_no_corners(network, stable):
    outputs = network.outputs(stable)
    far = np.abs(outputs[:, None] - CORNERS).max(axis=2).min(axis=1) > 0.06
    assert (len(stable), far.sum()) == (14, 6)
    want = [(0.984, 0.212, -1.002), (1.025, 0.017, 1.026), (0.358, 1.065, -1.073)]  # measured, up to sign
    for x in want:
        assert (np.abs(outputs - x).max(axis=1) < 2e-3).any()


def test_unstable_points_lie_between(found, stable):
    assert len(found.points) > 2 * len(stable)
    assert np.abs(found.points[0]).max() <= 1e-12  # the origin
    assert not found.continuum
