"""Thresholds that decide what is listed, from both sides: ten times and a tenth of each give another answer here."""

from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from relays import relay
from retime.analysis.branches.periods import APERIODIC, DIVERGED, affine_period, period_of, shortest
from retime.analysis.cycles.closed_orbits import Loop, close, close_returns
from retime.analysis.cycles.orbit_search import OrbitSearch
from retime.analysis.exponents import statistics
from retime.analysis.fixed_points import resting
from retime.analysis.fixed_points.angles import turned
from retime.analysis.reconstruction.spectra import deviations
from retime.analysis.view import affine_view
from retime.core.patience import Patience
from retime.simulation.variational import SAMPLES, Flown

TURN = 2 * np.pi


@pytest.mark.parametrize(("least", "points"), [(5e-11, 1), (5e-10, 0)])
def test_a_speed_of_1e_10_is_none(least, points):
    """|G| = z^2 + least."""
    model = rt.Map(lambda z: z + z**2 + least, 1)
    assert len(rt.find_fixed_points(model, num_starts=8)) == points


@pytest.mark.parametrize(("least", "listed"), [(0.03, 1), (0.3, 0)])
def test_slow_points_are_listed_up_to_a_twentieth_of_the_usual_speed(least, listed):
    """|G| = least + 1 - cos z, whose median over a turn is least + 1."""
    model = rt.VectorField(lambda z: least + 1 - jnp.cos(z), 1)
    assert len(rt.find_fixed_points(model, period=TURN, num_starts=8).slow_points) == listed


@pytest.mark.parametrize(("above", "side"), [(5e-7, 1), (5e-6, -1)])
def test_an_angle_at_minus_half_a_turn_is_half_a_turn(above, side):
    z = turned(np.array([TURN * (above - 0.5)]), np.array([TURN]))
    assert z[0] == pytest.approx(TURN * (above + 0.5 * side), abs=1e-12)


@pytest.mark.parametrize(("alpha", "count"), [(5e-9, 1), (5e-10, 0), (1 - 5e-10, 0), (1 - 5e-9, 1)])
def test_a_point_that_rests_by_sliding_takes_part_of_both_fields(alpha, count):
    """P + x Q = [[1, -1], [0, x - alpha]] takes (y, 1) to zero for y = 1 and x = alpha."""
    found = resting._pencil(np.array([[1.0, -1.0], [0.0, -alpha]]), np.array([[0.0, 0.0], [0.0, 1.0]]))
    assert [(round(x, 12), float(y[0])) for x, y in found] == [(round(alpha, 12), 1.0)] * count


# --- cycles --------------------------------------------------------------------------------------------------------------

TIMES = np.linspace(0.0, 6 * np.pi, 1201)


def returns_of(orbit, rates):
    return close_returns(TIMES, orbit(TIMES), rates, 4.1 * np.pi, rt.Shooting())


@pytest.mark.parametrize(("decay", "is_tried"), [(0.03, True), (0.2, False)])
def test_a_return_is_tried_up_to_three_tenths_of_the_extent(decay, is_tried):
    """A spiral comes back 0.06 and 0.4 of its extent away."""
    A = np.array([[-decay, -1.0], [1.0, -decay]])
    found = returns_of(
        lambda t: np.exp(-decay * t)[:, None] * np.column_stack([np.cos(t), np.sin(t)]), lambda z: z @ A.T
    )
    assert bool([r for r in found if r.z[0] == 1.0]) == is_tried


@pytest.mark.parametrize(("apart", "period"), [(5e-5, TURN), (5e-4, 2 * TURN)])
def test_of_exact_returns_the_one_after_the_shortest_time_is_tried_first(apart, period):
    """A circle, and beside it one of twice the period, on which the orbit is on the other side after one turn."""
    size, A = apart * np.sqrt(2), np.kron(np.diag([1.0, 0.5]), [[0.0, -1.0], [1.0, 0.0]])
    found = returns_of(
        lambda t: np.column_stack([np.cos(t), np.sin(t), size * np.cos(t / 2), size * np.sin(t / 2)]), lambda z: z @ A.T
    )
    assert found[0].period == pytest.approx(period, rel=1e-6)


class NoisyCircle:
    """dr/dt = 1 - r, dphi/dt = 1, known up to a noise that changes its sign from call to call."""

    def __init__(self, noise):
        self.noise = noise

    def after(self, z, duration):
        r, angle = np.hypot(*z), np.arctan2(z[1], z[0])
        t, k = np.linspace(0.0, duration, SAMPLES + 1), np.exp(-duration)
        states = (1 + (r - 1) * np.exp(-t))[:, None] * np.column_stack([np.cos(angle + t), np.sin(angle + t)])
        out, across = states[-1] / np.hypot(*states[-1]), np.array([-z[1], z[0]]) / r
        derivative = k * np.outer(out, z / r) + (1 + (r - 1) * k) / r * np.outer([-out[1], out[0]], across)
        self.noise = -self.noise
        states[-1] += self.noise
        return Flown(states, derivative, self.rate(states[-1]))

    def rate(self, z):
        r = np.linalg.norm(z, axis=-1, keepdims=True)
        return (1 - r) * z / r + np.stack([-z[..., 1], z[..., 0]], axis=-1)

    def jacobian(self, z):
        r = np.hypot(*z)
        return (1 / r - 1) * np.eye(2) - np.outer(z, z) / r**3 + np.array([[0.0, -1.0], [1.0, 0.0]])


@pytest.mark.parametrize(("noise", "closes"), [(5e-11, True), (5e-10, False)])
def test_a_cycle_is_closed_to_1e_10(noise, closes):
    """The orbit begins and ends twice the noise apart, and the size of its states is 2."""
    found = close(NoisyCircle(noise), np.array([1.0, 0.0]), TURN, 2.0, rt.Shooting())
    assert (found is not None) == closes
    assert found is None or found.period == pytest.approx(TURN, abs=1e-8)


@pytest.mark.parametrize(("off", "is_cycle"), [(5e-7, True), (5e-6, False)])
def test_a_limit_cycle_has_a_multiplier_of_1_within_1e_6(off, is_cycle):
    assert OrbitSearch.is_limit_cycle(SimpleNamespace(rule=rt.Shooting()), np.array([0.3, 1 + off])) == is_cycle


@pytest.mark.parametrize(("start", "rested"), [(0.017, 2), (0.17, 1)])
def test_an_orbit_rests_that_moves_less_than_a_millionth(start, rested):
    """e^(-t / 2) moves by 3e-5 of the start in the last of 20 periods; the search's own start is 0.013."""
    decay = rt.PiecewiseAffineRNN([[-0.5]], [[0.0]], [[1.0]], [0.0], [0.0], time=rt.Continuous())
    found = rt.find_cycles(decay, 1.0, starts=[[start]], shooting=rt.Shooting(starts=1))
    assert f"{rested} rested" in found.message


# --- regions -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reads", [[1.0, 0.0], [0.6, 0.8]], ids=["one state", "both"])
@pytest.mark.parametrize(("radius", "count"), [(5e-9, 3), (5e-10, 2)])
def test_a_region_thinner_than_1e_9_of_the_box_counts_as_empty(reads, radius, count):
    """Two parallel boundaries, 2 radius apart, in a box whose sides are 2."""
    model = rt.ShallowPLRNN(np.zeros(2), np.ones((2, 2)), [reads, reads], np.zeros(2), [0.1, 0.1 + 2 * radius])
    assert len(rt.enumerate_regions(model, (-1.0, 1.0))) == count


@pytest.mark.parametrize(("spread", "is_constant"), [(5e-13, True), (5e-12, False)])
def test_a_spread_of_1e_12_of_the_values_is_rounding(spread, is_constant):
    found = deviations(1.0 + spread * np.array([[1.0], [-1.0]]))
    assert (found == 0).all() == is_constant


# --- exponents -----------------------------------------------------------------------------------------------------------


def test_the_exponent_along_a_boundary_is_known_to_1e_9():
    """dz_2/dt = 1/2 - z_2 on both sides of z_1 = 0, which the fields point to: exponents -1 and, across, -inf."""
    flow = relay([(1, 0.5), (-1, 0.5)], (0,), [[[0, 0], [0, -1]]] * 2)
    found = rt.lyapunov_spectrum(flow, [0.2, 0.3], times=[0.0, 50.0], switching="state")
    np.testing.assert_allclose(found.exponents, [-1.0, -np.inf], rtol=0, atol=3e-9)


def test_rates_that_are_far_apart_are_known_as_well():
    """-1 and -4000 in turned coordinates: vectors that are not orthonormalized in time lose the second one."""
    c, s = np.cos(0.7), np.sin(0.7)
    A = np.array([[c, -s], [s, c]]) @ np.diag([-1.0, -4000.0]) @ np.array([[c, s], [-s, c]])
    flow = rt.PiecewiseAffineRNN(A, np.zeros((2, 1)), [[1.0, 0.0]], [0.0, 0.0], [5.0], time=rt.Continuous())
    found = rt.lyapunov_spectrum(flow, [0.5, 0.5], times=[0.0, 50.0])
    np.testing.assert_allclose(found.exponents, [-1.0, -4000.0], rtol=0, atol=1e-9)


def test_a_tenth_of_a_flows_horizon_is_not_measured():
    decay = rt.ContinuousPLRNN([-1.0], [[0.0]], [0.5])
    found = rt.lyapunov_spectrum(decay, [1.0], times=[0.0, 10.0])
    assert (found.time, found.transient) == pytest.approx((9.0, 1.0), abs=1e-12)


@pytest.mark.parametrize(("apart", "shared"), [(0.5, True), (5.0, False)])
def test_exponents_within_three_errors_of_their_difference_share_the_larger_one(apart, shared):
    """Errors of 0.3 and 0.4: 0.5 of the difference."""
    for errors in ([0.3, 0.4], [0.4, 0.3]):
        found = statistics._shared(np.array([0.0, -apart]), np.array(errors))
        assert found.tolist() == ([0.4, 0.4] if shared else errors)


# --- the same, and far away ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apart", "counts"), [(5e-7, {1: 1, 2: 1}), (5e-8, {1: 1})])
def test_a_cycle_whose_points_are_closer_than_1e_7_is_none(apart, counts):
    """z' = z / 2 + m below 0, -2 z + m above: a cycle of 0.75 m and -m / 2 around the fixed point m / 3."""
    assert rt.find_cycles(rt.PLRNN([0.5], [[-2.5]], [apart / 1.25]), 2).counts == counts


@pytest.mark.parametrize(("farther", "is_same"), [(1e-5, True), (1e-4, False)])
def test_closed_orbits_are_one_within_1e_6_of_period_and_ten_times_that_of_states(farther, is_same):
    t = np.linspace(0, TURN, SAMPLES + 1)
    circle, turned_circle = np.column_stack([np.cos(t), np.sin(t)]), np.column_stack([-np.sin(t), np.cos(t)])
    loop, other = (Loop(TURN, r * circle, r * turned_circle, np.eye(2)) for r in (1.0, 1.0 + farther))
    assert loop.is_same(other) == is_same
    assert loop.is_same(Loop(TURN * (1 + 0.05 * farther), circle, turned_circle, np.eye(2))) == is_same


@pytest.mark.parametrize(("size", "period"), [(5e5, 1), (5e6, DIVERGED)])
def test_an_orbit_does_not_come_back_from_a_million_times_its_start(size, period):
    assert period_of(np.full((8, 1), size), 2, np.zeros(1)) == period


@pytest.mark.parametrize(("size", "is_followed"), [(5e8, True), (5e9, False)])
def test_an_orbit_on_which_a_cycle_is_looked_for_is_given_up_at_1e9(size, is_followed):
    flow = SimpleNamespace(orbit=lambda z, duration, sign, tolerance: np.full((2, 1), size))
    search = SimpleNamespace(patience=Patience(), pace=0.0, flow=flow, rule=rt.Shooting())
    assert (OrbitSearch.orbit(search, np.zeros(1), 1.0, 1.0) is not None) == is_followed


# --- basins --------------------------------------------------------------------------------------------------------------


SETTLING = [
    ({"approaching": 0.0}, 0.9, 138, "fixed_point"),  # 5e-7 to 1e-6 is left
    ({"approaching": 0.0}, 0.9, 116, "undecided"),  # 5e-6 to 1e-5
    ({}, 0.9, 95, "fixed_point"),  # 5e-5 to 1e-4
    ({}, 0.9, 73, "undecided"),
    ({"approaching": 1.0}, 0.9, 52, "fixed_point"),  # the last step is one of 5e-4 to 1e-3
    ({"approaching": 1.0}, 0.9, 30, "undecided"),
    ({"neutral": 1e-6}, 1 - 4e-11, 8, "neutral"),  # of 4e-11 to 8e-11
    ({"neutral": 1e-6}, 1 - 4e-10, 8, "undecided"),
    ({"rest": 1e-5}, 1 - 5e-10, 8, "neutral"),
    ({"rest": 1e-5}, 1 - 5e-9, 8, "undecided"),
]


@pytest.mark.parametrize(("given", "factor", "steps", "kind"), SETTLING)
def test_when_an_orbit_has_settled(given, factor, steps, kind):
    """z_k = factor^k z_0, z_0 between 1 and 2: distances and steps are those of the comments, relative to the width."""
    decay, rule = rt.LinearSystem([factor], [0.0], np.zeros((1, 0))), rt.Settling(extensions=(), **given)
    found = rt.find_basins(decay, (1.0, 2.0), num=4, steps=steps, settling=rule)
    assert [a.kind for a in found.attractors] == [kind]


# --- periods in a stability map --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apart", "period"), [(5e-8, 1), (5e-7, 2)])
def test_states_have_come_back_to_1e_7(apart, period):
    z = np.tile([[0.0], [apart]], (4, 1))
    assert period_of(z, 2, np.zeros(1)) == period


@pytest.mark.parametrize(
    ("away", "gap", "period"), [(5e-3, 1e-3, 1), (5e-2, 1e-3, 2), (1e-13, 5e-13, 1), (1e-13, 5e-14, 2)]
)
def test_an_orbit_that_is_about_to_settle_on_a_shorter_cycle_has_its_period(away, gap, period):
    """z' = -z / 2: a return after two steps to `gap` says that 0 is 4 / 3 gap away, ten times that is believed; 1e-13 is exact."""
    halved = rt.Map(lambda z: -0.5 * z, 1)
    z = np.array([[away + gap], [-away], [away], [-away]])
    assert shortest(halved, np.zeros(0), z, 2) == period


def test_an_orbit_that_leaves_a_point_that_flips_does_not_diverge():
    """z' = 1 + z / 2 - 2 max(z, 0): from beside the fixed point 0.4 all steps of the window are in its region, with slope -1.5."""
    tent = affine_view(rt.PLRNN([0.5], [[-2.0]], [1.0]))
    assert affine_period(tent, np.zeros(0), np.array([0.4 + 1e-5]), 4, 2) == APERIODIC


@pytest.mark.parametrize(("growth", "end"), [(5e2, APERIODIC), (5e3, DIVERGED)])
def test_a_spiral_diverges_once_it_has_grown_a_thousandfold(growth, end):
    """From step 2 to step 12, the last one."""
    c, s = growth**0.1 * np.array([np.cos(1.0), np.sin(1.0)])
    spiral = rt.PiecewiseAffineRNN([[c, -s], [s, c]], np.zeros((2, 1)), np.zeros((1, 2)), np.zeros(2), [1.0])
    assert affine_period(affine_view(spiral), np.zeros(0), np.array([1e3, 0.0]), 4, 2) == end
