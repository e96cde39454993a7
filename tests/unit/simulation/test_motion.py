"""A switched system that no family of the library is: every verb works on it, because it says how it moves."""

from dataclasses import dataclass

import numpy as np
import pytest

import retime as rt
from retime.core.arrays import Array, vector
from retime.core.system import SwitchedSystem
from retime.simulation.motion import HeldFlow, SwitchedFlow, SwitchedSteps, motion_of


@dataclass(frozen=True, eq=False, repr=False)
class Relay(SwitchedSystem):
    """z' = a z + b, less `jump` in the first state where z1 > 0: a relay, whose sides do not join."""

    family = "relay"

    a: Array
    b: Array
    jump: float = 1.0

    def __post_init__(self):
        self._set(a=vector("a", self.a), b=vector("b", self.b))
        self._finish()

    def _boundaries(self):
        return np.eye(len(self.a))[:1], np.zeros(1), np.zeros((1, 0))

    def _region(self, pattern):
        c = np.array(self.b)
        c[0] -= self.jump * pattern[0]
        return np.diag(self.a), c, np.zeros((len(c), 0))


@pytest.fixture
def relay():
    return Relay(a=[0.5], b=[1.5], jump=3.0)


@pytest.fixture
def doubling():
    """z' = 2 z + 1 below 0, 2 z - 1 above: the doubling map of [-1, 1]."""
    return Relay(a=[2.0], b=[1.0], jump=2.0)


def by_hand(relay, z, steps):
    states = [np.array(z, dtype=float)]
    for _ in range(steps):
        z = states[-1]
        states.append(relay.a * z + relay.b - np.eye(len(z))[0] * relay.jump * (z[0] > 0))
    return np.array(states)


def test_its_orbit_is_that_of_its_equation(relay):
    path = rt.simulate(relay, [[0.3], [-1.2]], steps=40)
    for k in range(2):
        np.testing.assert_allclose(path.states[:, k], by_hand(relay, path.states[0, k], 40), rtol=0, atol=1e-14)
    above = path.states[:, 0, 0] > 0
    assert path.switch_times[0].tolist() == (np.flatnonzero(above[1:] != above[:-1]) + 1).tolist()


def test_it_has_no_fixed_point_and_a_stable_cycle(relay):
    """Above 0 the map rests at -3, below at 3: neither is on its own side; z1 = 1, -1 is the cycle: 0.5 + 1.5 - 3 = -1."""
    assert len(rt.find_fixed_points(relay)) == 0
    basins = rt.find_basins(relay, (-4.0, 4.0), num=50)
    (only,) = basins.attractors
    np.testing.assert_allclose(np.sort(only.points, axis=None), [-1.0, 1.0], rtol=0, atol=1e-9)


def test_fixed_points_are_those_on_their_own_side():
    found = rt.find_fixed_points(Relay(a=[0.5], b=[1.5], jump=1.0))
    np.testing.assert_allclose(found.points, [[1.0]], rtol=0, atol=1e-9)
    np.testing.assert_allclose(found.eigenvalues, [[0.5]], rtol=0, atol=1e-12)


def test_exponents_are_logarithms_of_its_slopes(doubling, relay):
    found = rt.lyapunov_spectrum(doubling, [0.1234], steps=40)
    np.testing.assert_allclose(found.exponents, [np.log(2.0)], rtol=0, atol=1e-12)
    found = rt.lyapunov_spectrum(relay, [0.3], steps=200)
    np.testing.assert_allclose(found.exponents, np.log([0.5]), rtol=0, atol=1e-12)


def test_a_scan_follows_its_fixed_point():
    found = rt.scan(Relay(a=[0.5], b=[1.5]), "b[0]", np.linspace(1.2, 2.0, 5))
    (branch,) = found.branches
    np.testing.assert_allclose(branch.points[:, 0, 0], 2 * (branch.values - 1.0), rtol=0, atol=1e-9)


def test_as_a_flow_it_slides(relay):
    """dz/dt = -z + 0.5 - 1 (z > 0): both sides point at 0, which is reached from 1 after log 3 and not left."""
    flow = Relay(a=[-1.0], b=[0.5], jump=1.0, time=rt.Continuous())
    path = rt.simulate(flow, [1.0], times=[0.0, 0.5 * np.log(3.0), 3.0])
    np.testing.assert_allclose(path.states[:, 0], [1.0, 1.5 / np.sqrt(3.0) - 0.5, 0.0], rtol=0, atol=1e-12)
    assert path.sliding[0][0] == pytest.approx(np.log(3.0))


def test_how_each_kind_moves(relay):
    flow = rt.to_continuous(rt.PLRNN([0.5], [[0.0]], [0.1])).model
    assert isinstance(motion_of(relay), SwitchedSteps)
    assert isinstance(motion_of(flow), HeldFlow)
    assert isinstance(motion_of(flow, "state"), SwitchedFlow)
    with pytest.raises(ValueError, match='it must be "clock"'):
        motion_of(flow, "sometimes")
