"""Each tolerance of a conversion, from both sides: ten times and a tenth of it give another answer here."""

import numpy as np
import pytest
from scipy.linalg import expm, logm

import retime as rt
from retime.convert.by_definition import by_definition
from retime.convert.certify import decided
from retime.convert.matched import at_rest_exactly
from retime.convert.measure import probe
from retime.core.balance import balancing
from retime.core.frechet import step_rounding
from retime.core.region import RegionFlow
from retime.core.status import RegionStatus

DT = 0.5
DECAY = rt.LinearSystem([-1.0], [0.0], [[1.0]], time=rt.Continuous())


@pytest.mark.parametrize(("count", "inside", "outside"), [(1, 1e-12, 1e-11), (2, 3e-6, 3e-5), (3, 4e-4, 4e-3)])
def test_zeros_at_minus_one_are_known_to_a_root_of_rounding(count, inside, outside):
    """k of them to 20 (1e-13)^(1/k); numpy.roots finds k equal zeros of a polynomial within that."""
    poles, around = np.full(count + 1, 0.5), 1j * np.exp(2j * np.pi * np.arange(count) / count)
    found = np.roots(np.poly(-np.ones(count))).astype(complex)
    for zeros, left in ((found, 0), (-1 + inside * around, 0), (-1 + outside * around, count)):
        assert len(rt.MatchedPoles().unmapped(zeros, poles, 1.0, DT)[0]) == left


@pytest.mark.parametrize("place", [0.0, 1.0])
def test_what_lies_at_an_integrator_lies_there_to_1e_13(place):
    near, far = place + 5e-14, place + 5e-13
    assert at_rest_exactly(np.array([near, 1.0]), place)[0] == place
    assert at_rest_exactly(np.array([far, 1.0]), place)[0] == far


@pytest.mark.parametrize(("excess", "states"), [(5e-10, 3), (5e-9, 4)])
def test_a_delay_is_a_whole_number_of_steps_to_1e_9_of_one(excess, states):
    """Two steps are two earlier inputs, a little more are three; a little less lets the input through late in the step before."""
    step = rt.to_discrete(DECAY, DT, method=rt.ZeroOrderHold(delay=(2 + excess) * DT)).model
    assert step.num_states == states
    before = rt.to_discrete(DECAY, DT, method=rt.ZeroOrderHold(delay=(2 - excess) * DT)).model
    assert (before.A[0, 1] != 0) == (states == 4)


@pytest.mark.parametrize(("off", "commutes"), [(5e-10, True), (5e-9, False)])
def test_two_orders_are_the_same_to_1e_9(off, commutes):
    """Euler's matrix is 1 - dt: a step that is off by a fraction of dt = 1/2 changes it by that fraction."""
    settings = {"dt": DT, "factor": 1.0, "dt_rescaled": DT * (1 + off), "method": rt.Euler()}
    found = rt.interchange(
        rt.LinearSystem([-1.0], [0.0], np.zeros((1, 0)), time=rt.Continuous()), "rescale", "discretize", **settings
    )
    assert found.difference == pytest.approx(0.5 * off, rel=1e-6, abs=0)
    assert found.commutes == commutes


@pytest.mark.parametrize(("direction", "h"), [(1, [1.0, 1.0, 1.0]), (-1, [0.0, 0.0, 1.0])])
def test_rounding_of_a_step_is_taken_in_balanced_units_and_judged_in_the_states_own_as_well(direction, h):
    """By differences of SciPy's exponential, for a step that hands its states around in a circle, their units 2^10 apart."""
    turn, units, rng = (
        np.roll(np.eye(3), direction, axis=0),
        2.0 ** np.array([0.0, 10.0, 20.0]),
        np.random.default_rng(0),
    )
    L, H = np.real(logm(turn)) * units[:, None] / units, np.array(h)[:, None]
    w, X, found = np.append(balancing(expm(L)[None])[0], 1.0), np.zeros((4, 4)), []
    X[:3] = np.hstack([L, H / H.sum()]) * w / w[:3, None]
    for _ in range(4):
        E = np.zeros((4, 4))
        E[:3] = rng.normal(size=(3, 4))
        E[:, :3] *= np.linalg.norm(X[:, :3]) / np.linalg.norm(E[:, :3])
        E[:, 3] *= np.linalg.norm(X[:, 3]) / np.linalg.norm(E[:, 3])
        change = (expm(X + 1e-6 * E) - expm(X - 1e-6 * E))[:3] / 2e-6
        for own in (np.ones(4), w):
            moved, step = (x * own[:3, None] / own for x in (change, expm(X)[:3]))
            sizes = [np.linalg.norm(moved[:, part]) / np.linalg.norm(step[:, part]) for part in (slice(3), 3)]
            found.append(2.0**-53 * max(sizes))
    balanced, own = max(found[::2]), max(found[1::2])
    assert own > 100 * balanced if direction == 1 else balanced > 1.2 * own  # either may be the larger
    assert step_rounding(L, H, 3) == pytest.approx(max(balanced, own), rel=1e-6, abs=0)


@pytest.mark.parametrize(("excess", "is_decided"), [(4, True), (0.25, False)])
def test_two_negative_eigenvalues_are_told_from_a_pair_beyond_rounding_of_one_product(excess, is_decided):
    """-1 +- sqrt(k 2^-52); rounding moves the k, the discriminant over 2^-52, by sqrt(3) of a normal variable."""
    M = np.array([[-0.5, 0.5], [-0.5 + 2 * excess * 2.0**-52, -1.5]])
    model = rt.PLRNN(np.diag(M), M - np.diag(np.diag(M)), [1.0, 1.0])
    flow = rt.to_continuous(model).model
    flow.region(np.ones(2, dtype=bool))
    assert decided(flow, flow.converted).holds == is_decided


class Off(rt.ZeroOrderHold):
    """The step of dz/dt = -z, off by a fraction `e` of the state."""

    def __init__(self, e):
        object.__setattr__(self, "factor", np.exp(-DT) + e)

    def discretize(self, model, dt):
        return rt.Map(lambda z: self.factor * z, 1, time=rt.Discrete(dt))

    dt = DT

    def held(self, time):
        return FREE

    def apply(self, z, s):
        return self.factor * z


FREE = rt.LinearSystem([-1.0], [0.0], np.zeros((1, 0)), time=rt.Continuous())


@pytest.mark.parametrize(("off", "holds"), [(5e-12, True), (5e-11, False)])
def test_an_exact_method_has_kept_its_word_to_1e_11_of_the_state(off, holds):
    z = [[1.0], [0.0]]  # 1 + |exp(-1/2)| is 1.6
    found = rt.to_discrete(FREE, DT, method=Off(1.6 * off), states=z).certificate.conditions[0]
    assert found.margin == pytest.approx(1e-11 - off, rel=1e-2, abs=0)
    assert found.holds == holds


@pytest.mark.parametrize(("off", "holds"), [(5e-10, True), (5e-9, False)])
def test_a_map_is_the_solution_of_its_equation_to_1e_9(off, holds):
    found = by_definition(Off(1.6 * off), lambda: probe(FREE, [[1.0], [0.0]])).certificate.conditions[1]
    assert found.margin == pytest.approx(1e-9 - off, rel=1e-2, abs=0)
    assert found.holds == holds


@pytest.mark.parametrize(("residual", "is_reproduced"), [(5e-9, True), (5e-8, False)])
def test_what_is_not_held_to_1e_8_is_not_reproduced_however_much_rounding_explains(residual, is_reproduced):
    """[[-1, 1e6], [0, -2]], turned: rounding its entries moves the step by more than 1e-6 of its size."""
    c, none = np.array([[0.8, -0.6], [0.6, 0.8]]), np.zeros((2, 0))
    W = c @ np.array([[-1.0, 1e6], [0.0, -2.0]]) @ c.T
    region = RegionFlow(W, np.zeros(2), none, RegionStatus.PRINCIPAL, 0, residual, 1.0, 0.0, 0.0, 1.0)
    moved = np.linalg.norm(expm(W * (1 + 2.0**-52 * np.eye(2))) - expm(W)) / np.linalg.norm(expm(W))
    assert min(moved, region.rounding) > 1e-6
    assert region.reproduces == is_reproduced
