"""`find_cycles` of smooth systems: closed forms, roots on a grid, SciPy's integrator, published orbits."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

import retime as rt
from retime.analysis.cycles.smooth_maps import Ring
from retime.analysis.fixed_points.newton import Problem

ROUNDING = 1e-9  # points are solved to 1e-10, and multipliers below grow errors by less than 100


def logistic(a):
    return rt.Map(lambda z: a * z * (1 - z), 1)


def henon(a=1.4, b=0.3):
    return rt.Map(lambda z: jnp.array([1 - a * z[0] ** 2 + z[1], b * z[0]]), 2)


def cycles_on_a_grid(f, k):
    """Cycles of least period k of a map of [0, 1]: sign changes of f^k(x) - x."""

    def moved(x):
        y = x
        for _ in range(k):
            y = f(y)
        return y - x

    x = np.linspace(-1e-6, 1, 40_001)
    roots = [brentq(moved, *x[j : j + 2], xtol=1e-15) for j in np.flatnonzero(np.diff(np.sign(moved(x))))]
    orbits = [[root] for root in roots]
    for orbit in orbits:
        while len(orbit) < k:
            orbit.append(f(orbit[-1]))
    whole = [o for o in orbits if not any(k % d == 0 and abs(o[d] - o[0]) < 1e-7 for d in range(1, k))]
    return sorted({tuple(np.round(sorted(o), 7)) for o in whole})


def test_the_logistic_map_has_every_cycle_once():
    a = 3.9
    found = rt.find_cycles(logistic(a), 6, num_starts=128)
    for k in range(1, 7):
        listed = [tuple(np.round(np.sort(c.points[:, 0]), 7)) for c in found if c.period == k]
        want = np.array(cycles_on_a_grid(lambda x: a * x * (1 - x), k))
        assert len(listed) == len(want) > 0
        assert np.abs(np.array(sorted(listed)) - want).max() < 2e-7  # of the rounding to seven digits
    assert found.complete_up_to == 0
    assert found.status == "heuristic"
    assert f"from {found.starts} starts, no proof that there are no others" in found.message


def test_multipliers_of_the_logistic_map_have_their_closed_forms():
    a = 3.5
    found = rt.find_cycles(logistic(a), 2, num_starts=32)
    assert found.counts == {1: 2, 2: 1}
    by_size = sorted(float(c.multipliers[0].real) for c in found)
    assert np.abs(np.array(by_size) - sorted([a, 2 - a, 4 + 2 * a - a * a])).max() < ROUNDING
    assert not any(c.stable for c in found)
    x = found[2].points[:, 0]
    assert abs(x.sum() - (1 + 1 / a)) < ROUNDING
    assert found[2].time == 2.0


def test_the_stable_cycle_beside_its_twin_is_found_in_the_window_of_period_three():
    found = rt.find_cycles(logistic(3.83), 3, num_starts=64)
    three = [c for c in found if c.period == 3]
    assert [c.kind for c in three] == ["stable", "unstable"]
    assert all(abs(c.multipliers[0] - np.prod(3.83 * (1 - 2 * c.points))) < ROUNDING for c in three)


def test_henons_map_has_its_published_cycles():
    """One each of 2 and 4 steps, none of 3 and 5; of two steps in closed form."""
    a, b = 1.4, 0.3
    found = rt.find_cycles(henon(), 5, num_starts=128)
    assert found.counts == {1: 2, 2: 1, 4: 1}
    x = np.sort(found[2].points[:, 0])
    want = ((1 - b) + np.array([-1, 1]) * np.sqrt(4 * a - 3 * (1 - b) ** 2)) / (2 * a)
    assert np.abs(x - want).max() < ROUNDING
    assert abs(np.prod(found[2].multipliers) - b**2) < ROUNDING  # the determinant is -b per step
    assert [c.kind for c in found] == ["saddle"] * 4
    orbit = rt.simulate(henon(), found[3].points[0], steps=4).states
    assert np.abs(orbit[4] - orbit[0]).max() < 1e-8  # multiplier 9


def test_a_tanh_network_that_turns_by_a_right_angle_has_two_cycles():
    """z -> tanh(g R z) takes (c, c) to (-c, c) and (c, 0) to (0, c) where c = tanh(g c)."""
    g = 2.0
    model = rt.TanhRNN(g * np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros((2, 0)), np.zeros(2))
    found = rt.find_cycles(model, 4, num_starts=64)
    c = brentq(lambda x: np.tanh(g * x) - x, 0.5, 1.0, xtol=1e-15)
    assert found.counts == {1: 1, 4: 2}
    corner, side = sorted((x for x in found if x.period == 4), key=lambda x: -np.abs(x.points).min())
    slow = (g * (1 - c * c)) ** 4
    assert np.abs(np.abs(corner.points) - c).max() < ROUNDING
    assert np.abs(corner.multipliers - slow).max() < ROUNDING
    assert np.abs(side.multipliers - [g**4, slow]).max() < 1e-8
    assert [corner.kind, side.kind] == ["stable", "saddle"]


def test_the_same_seed_finds_the_same_and_starts_of_ones_own_help():
    model = logistic(3.9)
    one, two = (rt.find_cycles(model, 3, num_starts=32, seed=4) for _ in range(2))
    assert repr(one) == repr(two)
    assert np.array_equal(one.as_states(), two.as_states())
    given = rt.find_cycles(model, 3, num_starts=1, starts=[[0.1326], [0.181]])
    assert [c.period for c in given].count(3) == 2


def test_a_turn_by_a_third_is_a_continuum_that_is_not_listed():
    a = 2 * np.pi / 3
    R = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
    found = rt.find_cycles(rt.Map(lambda z: R @ z, 2), 3, num_starts=32)
    assert found.degenerate == (3,)
    assert found.counts == {1: 1}
    assert "continua of cycles of period 3" in found.message


def test_the_jacobian_of_a_ring_is_the_difference_of_its_residuals(rng):
    ring = Ring.of(Problem.of(henon(), np.zeros(0), rng), 3)
    z, h = rng.normal(size=6), 1e-6
    want = [(ring.residual((z + h * e)[None]) - ring.residual((z - h * e)[None]))[0] / (2 * h) for e in np.eye(6)]
    assert np.abs(ring.jacobian(z[None])[0] - np.array(want).T).max() < 1e-8


def test_no_time_and_ctrl_c_return_what_there_is(monkeypatch):
    found = rt.find_cycles(logistic(3.9), 4, time_limit=1e-9)
    assert found.status == "time_limit"
    assert "time ended at period 1 of 4" in found.message

    def stop(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr("retime.analysis.cycles.smooth_maps.follow", stop)
    found = rt.find_cycles(logistic(3.9), 4, num_starts=32)
    assert found.status == "interrupted"
    assert found.counts == {1: 2}


def test_a_map_takes_whole_periods_only():
    with pytest.raises(ValueError, match=r"`max_period` is 2\.5"):
        rt.find_cycles(logistic(3.9), 2.5)


def test_thresholds_of_the_search_are_those_given():
    """After one Newton step no start has converged to anything."""
    short = rt.Multistart(iterations=1)
    found = rt.find_cycles(logistic(3.3), 2, num_starts=2, multistart=short)
    assert (len(found), found.multistart) == (0, short)


# --- flows: one field for all, so that one program is compiled


def planar(z, s):
    """dr/dt = mu r + c r^3 - e r^5, dphi/dt = omega, or (share 1) van der Pol's oscillator."""
    mu, omega, c, e, share = s
    x, y = z
    r = x * x + y * y
    grow = mu + c * r - e * r * r
    ring = jnp.array([grow * x - omega * y, omega * x + grow * y])
    return share * jnp.array([y, mu * (1 - x * x) * y - x]) + (1 - share) * ring


@pytest.fixture(scope="module")
def field():
    return rt.VectorField(planar, 2, 5)


@pytest.mark.parametrize(("mu", "period"), [(1.0, 6.6632868593), (2.0, 7.6298744)])
def test_van_der_pols_oscillator_has_its_published_period_and_its_multiplier(field, mu, period):
    found = rt.find_cycles(field, 12.0, inputs=[mu, 0, 0, 0, 1])
    assert len(found) == 1
    c = found[0]
    assert abs(c.period - period) < 1e-7
    assert c.residual < 1e-9

    def rates(t, y):
        x, v, _ = y
        return [v, mu * (1 - x * x) * v - x, mu * (1 - x * x)]

    run = solve_ivp(rates, (0, c.period), [*c.points[0], 0.0], "DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    assert np.abs(run[:2] - c.points[0]).max() < 1e-8
    assert np.abs(np.sort(np.abs(c.multipliers)) - [np.exp(run[2]), 1.0]).max() < 1e-7
    assert c.stable
    assert c.is_limit_cycle
    assert c.kind == "stable"


def test_the_normal_form_of_hopf_has_its_radius_period_and_multiplier(field):
    mu, omega = 0.25, 3.0
    found = rt.find_cycles(field, 4.0, inputs=[mu, omega, -1, 0, 0])
    T = 2 * np.pi / omega
    assert len(found) == 1
    assert abs(found[0].period - T) < 1e-9
    assert np.abs(np.linalg.norm(found[0].points, axis=1) - np.sqrt(mu)).max() < 1e-9
    assert np.abs(found[0].multipliers - [1.0, np.exp(-2 * mu * T)]).max() < 1e-9
    assert np.abs(np.diff(found[0].sample_times) - T / 240).max() < 1e-12


def test_the_cycle_that_repels_is_found_beside_the_one_that_attracts(field):
    """A subcritical bifurcation: r^2 = (1 +- sqrt(1 + 4 mu)) / 2."""
    mu, T = -0.2, 2 * np.pi / 3.0
    found = rt.find_cycles(field, 5.0, inputs=[mu, 3.0, 1, 1, 0])
    squares = (1 + np.array([-1, 1]) * np.sqrt(1 + 4 * mu)) / 2
    want = np.exp((mu + 3 * squares - 5 * squares**2) * T)
    listed = sorted(found, key=lambda c: np.abs(c.points).max())
    assert [c.kind for c in listed] == ["unstable", "stable"]
    radii = [np.linalg.norm(c.points, axis=1).mean() for c in listed]
    assert np.abs(np.array(radii) - np.sqrt(squares)).max() < 1e-9
    assert np.abs([c.transverse[0] for c in listed] - want).max() < 1e-7


def test_of_a_field_without_cycles_the_endings_are_told(field):
    found = rt.find_cycles(field, 3.0, inputs=[-1, 3.0, 0, 0, 0])
    assert len(found) == 0
    assert "12 rested" in found.message
    assert rt.find_cycles(field, 3.0, inputs=[1, 3.0, 1, 0, 0]).status == "diverged"
    assert rt.find_cycles(field, 3.0, time_limit=1e-9).status == "time_limit"


def rossler(c):
    return rt.VectorField(lambda z: jnp.array([-z[1] - z[2], z[0] + 0.2 * z[1], 0.2 + z[2] * (z[0] - c)]), 3)


def lorenz(rho):
    return rt.VectorField(
        lambda z: jnp.array([10 * (z[1] - z[0]), z[0] * (rho - z[2]) - z[1], z[0] * z[1] - 8 / 3 * z[2]]), 3
    )


@pytest.mark.slow
@pytest.mark.parametrize(("c", "period"), [(2.5, 5.748991), (3.5, 11.545218)])
def test_rosslers_band_has_one_loop_or_two(c, period):
    found = [x for x in rt.find_cycles(rossler(c), 20.0) if x.stable]
    assert len(found) == 1
    assert abs(found[0].period - period) < 1e-5
    run = solve_ivp(lambda t, z: rossler_in_numpy(z, c), (0, found[0].period), found[0].points[0], "DOP853", rtol=1e-12, atol=1e-12)  # fmt: skip
    assert np.abs(run.y[:, -1] - found[0].points[0]).max() < 1e-8
    assert (np.diff(np.sign(found[0].points[:, 1])) > 0).sum() == (1 if c < 3 else 2)


def rossler_in_numpy(z, c):
    return [-z[1] - z[2], z[0] + 0.2 * z[1], 0.2 + z[2] * (z[0] - c)]


@pytest.mark.slow
def test_lorenzs_chaos_has_its_published_shortest_orbits():
    """viswanath2003: AB and AAB with its mirror image."""
    found = rt.find_cycles(lorenz(28.0), 3.0)
    assert [round(c.period, 9) for c in found] == [1.558652211, 2.305907264, 2.305907264]
    assert np.abs(found[0].multipliers[:2] - [4.71294726, 1.0]).max() < 1e-6
    assert [c.kind for c in found] == ["saddle"] * 3


@pytest.mark.slow
def test_a_rate_network_oscillates_with_the_period_of_an_integration():
    W = np.array([[2.0, -3.0], [3.0, 2.0]])
    found = rt.find_cycles(rt.RateRNN(W, None, np.zeros(2), tau=1.0), 10.0)
    assert len(found) == 1

    def upward(t, z):
        return z[0]

    upward.direction = 1.0
    run = solve_ivp(
        lambda t, z: W @ np.tanh(z) - z, (0, 100), [1.0, 0.0], "DOP853", rtol=1e-12, atol=1e-12, events=upward
    )
    assert abs(np.diff(run.t_events[0])[-1] - found[0].period) < 1e-8
    assert found[0].stable
