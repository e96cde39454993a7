"""Limit cycles of flows: periods and multipliers against integrations and closed forms that know nothing of the search."""

import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt
from relays import relay
from retime.simulation.passage import StateSwitchedFlow


def mckean(inner=-1.0, outer=1.0):
    """dx/dt = y - f(x), dy/dt = -x with f of slope `inner` for |x| < 1 and `outer` beyond: a van der Pol oscillator in pieces."""
    k = inner - outer
    A, W1, W2 = [[-outer, 1.0], [-1.0, 0.0]], [[-k, k], [0.0, 0.0]], [[1.0, 0.0], [1.0, 0.0]]
    return rt.PiecewiseAffineRNN(A, W1, W2, [k, 0.0], [1.0, -1.0], time=rt.Continuous())


@pytest.fixture(scope="module")
def oscillator():
    model = mckean()
    return model, rt.find_cycles(model, 20.0)


def test_one_stable_cycle_is_found_and_closed(oscillator):
    _, found = oscillator
    assert len(found) == 1
    assert found[0].stable
    assert found[0].residual < 1e-10
    assert len(found[0].switch_times) == 4
    assert found.complete_up_to == 0
    assert found.status == "heuristic"


def test_thresholds_of_the_search_are_fields_that_the_result_keeps():
    few = rt.Shooting(starts=2, window=2.5)
    found = rt.find_cycles(mckean(), 20.0, shooting=few)
    assert (len(found), found.starts, found.shooting) == (1, 2, few)
    assert found.to_dict()["shooting"] == few.to_dict()
    assert repr(few) == "Shooting(starts=2, window=2.5)"
    never = rt.find_cycles(mckean(), 20.0, shooting=rt.Shooting(starts=1, settle=0.01, iterations=1))
    assert (len(never), "1 did not return" in never.message) == (0, True)
    with pytest.raises(
        ValueError,
        match=r"`shooting` is Shooting\(\), for a flow; PLRNN is searched as a piecewise-affine map\. Leave it out\.",
    ):
        rt.find_cycles(rt.PLRNN([0.5], [[-2.0]], [1.0]), 2, shooting=rt.Shooting())
    with pytest.raises(
        ValueError, match=r"`multistart` is Multistart\(\), for a smooth map; PiecewiseAffineRNN is searched as a flow"
    ):
        rt.find_cycles(mckean(), 20.0, multistart=rt.Multistart())
    with pytest.raises(ValueError, match='Leave it out, or give switching="state"'):
        rt.find_cycles(rt.to_continuous(rt.PLRNN([0.5], [[0.2]], [1.0])), 20.0, shooting=rt.Shooting())
    with pytest.raises(ValueError, match="`closed`"):
        rt.Shooting(closed=0.0)


def test_its_period_is_that_of_an_integration_with_events(oscillator):
    model, found = oscillator
    settled = solve_ivp(lambda t, z: model.field(z), (0, 200), [0.5, 0.0], rtol=1e-11, atol=1e-12).y[:, -1]

    def upward(t, z):
        return z[0]

    upward.direction = 1.0
    path = solve_ivp(lambda t, z: model.field(z), (0, 40), settled, rtol=1e-12, atol=1e-13, events=upward)
    assert abs(np.diff(path.t_events[0]).mean() - found[0].period) < 1e-8  # of the integration


def test_its_multipliers_are_one_and_the_exponential_of_the_divergence(oscillator):
    """In a plane the other multiplier is exp(integral of the divergence): 1 inside |x| < 1, -1 outside."""
    _, found = oscillator
    c = found[0]
    spans = np.diff(np.append(c.switch_times, c.period))
    inside = (c.patterns[:, 0] & ~c.patterns[:, 1]) @ spans
    want = np.exp(inside - (c.period - inside))
    assert np.abs(np.sort(np.abs(c.multipliers)) - [want, 1.0]).max() < 1e-10


def test_points_are_the_states_at_the_switches(oscillator):
    model, found = oscillator
    c = found[0]
    assert np.abs(np.abs(c.points[:, 0]) - 1.0).max() < 1e-12
    path = rt.simulate(model, c.points[0], times=c.switch_times)
    assert np.abs(path.states - c.points).max() < 1e-11


def test_with_time_reversed_it_is_found_too_but_unstable():
    forward = rt.find_cycles(mckean(), 20.0)[0]
    model = mckean()
    f = model.canonical
    backward = rt.PiecewiseAffineRNN(-f.A, -f.W1, f.W2, -f.h1, f.h2, time=rt.Continuous())
    found = rt.find_cycles(backward, 20.0, starts=forward.points[:1])
    assert [c.stable for c in found] == [False]
    assert abs(found[0].period - forward.period) < 1e-9
    assert abs(np.abs(found[0].multipliers).max() * np.abs(forward.multipliers).min() - 1) < 1e-6


def test_published_van_der_pol_network_under_state_switching(data):
    """MATH: period 133.45 steps, where the map's is 133.43."""
    model = rt.load(data / "vanderpol_plrnn.mat", dt=0.1)
    z0 = rt.simulate(model, np.full(10, 0.1), steps=2000).states[-1]
    found = rt.find_cycles(rt.to_continuous(model).model, 20.0, switching="state", starts=z0[None], time_limit=4.0)
    assert abs(found[0].period / 0.1 - 133.45) < 0.005
    assert found[0].stable
    assert np.abs(found[0].multipliers - 1).min() < 1e-9  # along the orbit: saltation included


@pytest.mark.parametrize(("name", "length"), [("vanderpol", 4.0), ("lorenz", 6.0)])
def test_derivative_across_jumping_fields_is_that_of_finite_differences(data, name, length):
    """The Lorenz network passes regions with an auxiliary state on its way."""
    model = rt.load(data / f"{name}_plrnn.mat", dt=0.1)
    flow = rt.to_continuous(model).model
    z = rt.simulate(model, np.full(10, 0.1), steps=2000).states[-1]
    passage = StateSwitchedFlow(flow, np.zeros(0)).passage(z, length)
    assert len(passage.times) >= 3
    raised = [r.auxiliary > 0 for r in flow.convert(passage.patterns)]
    assert any(raised) == (name == "lorenz")
    step, columns = 1e-6, []
    for i in range(10):
        ends = [
            rt.simulate(flow, z + sign * step * np.eye(10)[i], times=[0, length], switching="state").states[-1]
            for sign in (1, -1)
        ]
        columns.append((ends[0] - ends[1]) / (2 * step))
    assert np.abs(np.array(columns).T - passage.derivative).max() < 1e-6 * (1 + np.abs(passage.derivative).max())


def test_a_flow_that_rests_has_no_cycle_and_says_so(rng):
    model = rt.ContinuousPLRNN(-np.ones(3), 0.1 * rng.normal(size=(3, 3)), rng.normal(size=3))
    found = rt.find_cycles(model, 5.0)
    assert len(found) == 0
    assert "12 rested" in found.message


def test_a_flow_that_diverges_says_so():
    model = rt.ContinuousPLRNN([1.0, 2.0], np.zeros((2, 2)), [1.0, 1.0])
    found = rt.find_cycles(model, 50.0)
    assert len(found) == 0
    assert found.status == "diverged"


def test_an_orbit_without_switches_may_be_given():
    model = rt.ContinuousPLRNN([-1.0, -1.0], np.zeros((2, 2)), [1.0, 1.0])
    assert "rested" in rt.find_cycles(model, 2.0, starts=[[1.0, 2.0]]).message


def test_orbits_that_leave_are_not_said_to_rest():
    model = rt.ContinuousPLRNN([0.1, 0.1], np.zeros((2, 2)), [0.1, 0.1])
    assert "rested" not in rt.find_cycles(model, 2.0).message


@pytest.mark.slow
def test_every_listed_cycle_keeps_the_direction_of_the_orbit():
    """Random converted flows, with auxiliary states too: one multiplier is 1, and the simulated orbit comes back."""
    listed = 0
    for seed in (32, 139, 240):
        g = np.random.default_rng(seed)
        model = rt.PLRNN(g.uniform(-0.2, 0.9, 3), g.normal(size=(3, 3)) * 0.9, g.normal(size=3))
        flow = rt.to_continuous(model, throw=False).model
        for c in rt.find_cycles(flow, 20.0, switching="state", time_limit=2.0):
            listed += any(r.auxiliary for r in flow.convert(c.patterns))
            assert np.abs(c.multipliers - 1).min() < 1e-6 * max(1.0, np.abs(c.multipliers).max())
            path = rt.simulate(flow, c.points[0], times=[0.0, c.period], switching="state")
            if c.stable:
                assert np.abs(path.states[-1] - c.points[0]).max() < 1e-6
    assert listed > 0


# --- cycles that slide along a boundary


def sliding_flow(n, seed):
    """A converted random network; those below end on a cycle that slides (seeds were tried in order)."""
    g = np.random.default_rng(5000 * n + seed)
    A, W, h = g.uniform(0.0, 0.9, n), g.normal(size=(n, n)) * 1.2 / np.sqrt(n), g.normal(size=n) * 0.3
    return rt.to_continuous(rt.PLRNN(A, W, h)).model, g.normal(size=n)


def next_slide(flow, z, unit, after):
    """The state at which the orbit from z begins to slide along the unit's boundary for the first time after a time."""
    slides = rt.simulate(flow, z, times=[0.0, 2.5 * after], switching="state").sliding
    t = float(next(t for t, _, u in slides if u == unit and t > after))
    return t, rt.simulate(flow, z, times=[0.0, t], switching="state").states[-1]


@pytest.mark.parametrize(
    ("n", "seed", "plain"),
    [(3, 91, True), (5, 187, True), (4, 100, False)],
    ids=["long slide", "short slide", "raised regions all around"],
)
@pytest.mark.slow
def test_a_cycle_that_slides_is_closed_and_has_the_multipliers_of_its_return_map(n, seed, plain):
    flow, start = sliding_flow(n, seed)
    found = rt.find_cycles(flow, 20.0, switching="state", starts=start[None], time_limit=5.0)
    c = next(c for c in found if c.stable)
    assert len(c.sliding) == 1
    assert c.residual < 1e-10
    begin, end, unit = c.sliding[0]
    k = int(np.argmin(np.abs(c.switch_times - begin)))
    assert np.abs(c.switch_times - end).min() < 1e-9
    assert c.switch_units[k] == unit

    path = rt.simulate(flow, start, times=[0.0, 400.0], switching="state")
    begins = path.sliding[path.sliding[:, 2] == unit, 0]
    assert abs(np.diff(begins)[-1] - c.period) < 1e-8

    free = [
        r.auxiliary == 0 and not on
        for r, on in zip(flow.convert(c.patterns), np.arange(len(c.points)) == k, strict=True)
    ]
    assert any(free) == plain
    t, back = next_slide(flow, c.points[k], int(unit), 0.5 * c.period)
    assert abs(t - c.period) < 1e-9
    np.testing.assert_allclose(back, c.points[k], rtol=0, atol=1e-9)
    plane = np.linalg.svd(flow.canonical.W2[[int(unit)]])[2][1:]
    ends = [[next_slide(flow, c.points[k] + e * b, int(unit), 0.5 * c.period)[1] for b in plane] for e in (1e-6, -1e-6)]
    R = (np.array(ends[0]) - ends[1]) / 2e-6 @ plane.T
    want = np.sort(np.abs(np.append(np.linalg.eigvals(R), 1.0)))[::-1]
    assert np.abs(np.abs(c.multipliers) - want).max() < 1e-6


def test_a_cycle_whose_sliding_ends_in_a_raised_region_is_closed():
    """Auxiliary states begin where sliding ends, sooner or later for starts beside: without that the derivative has no multiplier 1."""
    g = np.random.default_rng(36046)
    A, W, h = g.uniform(-0.2, 0.95, 4), g.normal(size=(4, 4)) * 0.6, g.normal(size=4) * 0.3
    flow = rt.to_continuous(rt.PLRNN(A, W, h)).model
    z = rt.simulate(flow, g.normal(size=4), times=[0, 600.0], switching="state").states[-1]
    c = next(c for c in rt.find_cycles(flow, 20.0, switching="state", starts=z[None], time_limit=5.0) if c.stable)
    ends = [int(np.argmin(np.abs(c.switch_times - t))) for t in c.sliding[:, 1]]
    assert any(flow.region(c.patterns[k]).auxiliary for k in ends)
    assert np.abs(c.multipliers - 1).min() < 1e-9
    passage = StateSwitchedFlow(flow, np.zeros(0)).passage(z, 5.0)
    sides = [rt.simulate(flow, z + e * np.eye(4), times=[0, 5.0], switching="state").states[-1] for e in (1e-6, -1e-6)]
    assert np.abs((sides[0] - sides[1]).T / 2e-6 - passage.derivative).max() < 1e-7


def test_another_unit_switches_while_the_orbit_slides():
    """From (a, -b): dz_2/dt is 2 until t = a, then 1.5 along the boundary z_1 = 0, and 3.5 from z_2 = 0 on, in closed form."""
    flow = relay([(1, 1), (-1, 2), (1, 3), (-1, 4)], (0, 1))
    found = StateSwitchedFlow(flow, np.zeros(0)).passage(np.array([0.1, -1.0]), 2.0)
    np.testing.assert_allclose(found.end, [0.0, 3.5 * (2.0 - 0.1 - 0.8 / 1.5)], rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.derivative, [[0.0, 0.0], [3.5 * (2.0 / 1.5 - 1.0), 3.5 / 1.5]], rtol=0, atol=1e-12)


def test_a_flow_that_comes_to_rest_while_sliding_rests():
    g = np.random.default_rng(777 * 3 + 39)
    A, W, h = g.uniform(-0.3, 0.9, 3), g.normal(size=(3, 3)) * 1.3 / np.sqrt(3), g.normal(size=3) * 0.3
    found = rt.find_cycles(rt.to_continuous(rt.PLRNN(A, W, h)).model, 20.0, switching="state")
    assert "12 rested" in found.message


def test_orbits_that_diverge_are_not_said_to_slide():
    g = np.random.default_rng(777 * 2 + 11)
    A, W, h = g.uniform(0.2, 0.98, 2), g.normal(size=(2, 2)) * 0.4 / np.sqrt(2), g.normal(size=2) * 0.3
    found = rt.find_cycles(rt.to_continuous(rt.PLRNN(A, W, h)).model, 60.0, switching="state")
    assert "12 ended early or diverged" in found.message


def test_no_time_means_no_search(oscillator):
    model, _ = oscillator
    found = rt.find_cycles(model, 20.0, time_limit=1e-9)
    assert (len(found), found.status) == (0, "time_limit")


def test_a_period_that_is_no_time_is_refused(oscillator):
    model, _ = oscillator
    with pytest.raises(ValueError, match="`max_period` is -1"):
        rt.find_cycles(model, -1)
    with pytest.raises(ValueError, match="`switching` is 'state'; converted flows take"):
        rt.find_cycles(model, 1.0, switching="state")


def test_the_multiplier_that_is_printed_is_not_the_one_along_the_orbit(oscillator):
    _, found = oscillator
    c = found[0]
    other = np.abs(np.delete(c.multipliers, np.argmin(np.abs(c.multipliers - 1))))[0]
    assert c.largest == other < 0.1
    assert f"{other:.6g}" in repr(found)
    assert "largest |multiplier| but for the 1 along the orbit" in repr(found)
    assert f"largest |multiplier| without the 1 along the orbit {other:.6g}" in repr(c)


def test_of_a_cycle_of_a_map_every_multiplier_counts():
    found = rt.find_cycles(rt.PLRNN([0.5], [[-2.0]], [1.0]), 2)
    assert all(c.largest == np.abs(c.multipliers).max() for c in found)
    assert len(found) > 0
    assert "along the orbit" not in repr(found)
