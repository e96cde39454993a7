"""Bounded attractors that share cells: each is one of its own, and every start is on the right one."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import t as student

import retime as rt
from retime.analysis.basins.find import find_basins
from retime.analysis.basins.interlaced import Averages, Groups, is_drifting
from retime.analysis.basins.settling import Settling


def henon(a):
    return rt.Map(lambda z: jnp.stack([1 - a * z[0] ** 2 + z[1], 0.3 * z[0]]), 2)


def henon_orbits(a, z, steps):
    """States `(steps, b, 2)` after 20,000 steps; far ones are NaN."""
    orbit = []
    for k in range(20_000 + steps):
        z = np.stack([1 - a * z[:, 0] ** 2 + z[:, 1], 0.3 * z[:, 0]], axis=1)
        z[np.abs(z).max(axis=1) > 1e3] = np.nan
        if k >= 20_000:
            orbit.append(z)
    return np.array(orbit)


def polar_map(turn):
    """Attracting circles of radius 1.001 and 1.039, on which the angle goes on by `turn(angle, is_inner)`."""

    def f(z):
        r, angle = jnp.sqrt(z @ z), jnp.arctan2(z[1], z[0])
        r, angle = 1.02 + 0.02 * jnp.tanh(2 * (r - 1.02) / 0.02), angle + turn(angle, r < 1.02)
        return r * jnp.stack([jnp.cos(angle), jnp.sin(angle)])

    return rt.Map(f, 2)


RING = [[0.71, 0.78], [0.68, 0.76]]  # of radii 0.98 to 1.09


def bounded(found):
    return [k for k, a in enumerate(found.attractors) if a.kind in ("bounded", "cycle")]


def agree(labels, truth):
    """Whether two labellings are the same but for the names."""
    pairs = set(zip(labels.tolist(), truth.tolist(), strict=True))
    return len(pairs) == len(set(labels.tolist())) == len(set(truth.tolist()))


def test_two_chaotic_attractors_of_henons_map_are_two():
    # the average of cos 9 z0 is 0.02 on one and 0.17 to 0.23 on the other
    found = find_basins(henon(1.08), (-1.5, 1.5), num=60)
    orbits = henon_orbits(1.08, found.starts.copy(), 1200)
    kept = np.isfinite(orbits[-1]).all(axis=1)
    truth = (np.cos(9 * orbits[:, kept, 0]).mean(axis=0) < 0.1).astype(int)
    assert len(bounded(found)) == 2
    assert 0 < truth.sum() < len(truth)
    assert agree(found.labels[kept], truth)


@pytest.mark.slow
@pytest.mark.parametrize(("a", "period"), [(1.071, 6), (1.074, 12)])
def test_a_cycle_whose_slow_spirals_share_the_cells_of_chaos_leaves_the_chaos_an_attractor(a, period):
    # at a = 1.071 the multiplier is 0.991: starts spiral in for thousands of steps
    found = find_basins(henon(a), (-1.5, 1.5), num=80)
    orbits = henon_orbits(a, found.starts.copy(), period + 1)
    kept = np.isfinite(orbits[-1]).all(axis=1)
    truth = (np.abs(orbits[-1] - orbits[0]).max(axis=1)[kept] < 1e-6).astype(int)
    assert {a.name for a in found.attractors} == {"bounded", f"{period}-cycle", "diverged"}
    assert 0 < truth.sum() < len(truth)
    assert agree(found.labels[kept], truth)


def test_two_quasi_periodic_circles_in_the_same_cells_are_two():
    found = find_basins(polar_map(lambda angle, is_inner: 1.0), RING, num=40)
    assert [a.kind for a in found.attractors] == ["bounded", "bounded"]
    assert agree(found.labels, (np.linalg.norm(found.starts, axis=1) > 1.02).astype(int))


def test_a_long_cycle_beside_a_quasi_periodic_circle_is_an_attractor_of_its_own():
    # inside, the angle is locked to a cycle of 60 steps, longer than `max_period`
    model = polar_map(lambda x, is_inner: jnp.where(is_inner, 2 * jnp.pi * 7 / 60 - 0.01 * jnp.sin(60 * x), 1.0))
    found = find_basins(model, RING, num=40)
    assert [a.kind for a in found.attractors] == ["bounded", "bounded"]
    assert agree(found.labels, (np.linalg.norm(found.starts, axis=1) > 1.02).astype(int))


def test_two_cycles_of_the_same_period_in_the_same_cells_are_two():
    turn = 2 * jnp.pi * 7 / 60
    model = polar_map(lambda x, is_inner: turn - 0.01 * jnp.sin(60 * x))
    found = find_basins(model, RING, num=40)
    assert [a.kind for a in found.attractors] == ["bounded", "bounded"]
    assert agree(found.labels, (np.linalg.norm(found.starts, axis=1) > 1.02).astype(int))


def test_chaos_on_two_sheets_that_are_nearer_than_its_states_is_two_attractors():
    # x' = 3.9 x (1 - x); y goes to 0.005 or -0.005
    model = rt.Map(lambda z: jnp.stack([3.9 * z[0] * (1 - z[0]), 1.5 * z[1] - 2e4 * z[1] ** 3]), 2)
    found = find_basins(model, [[0.01, 0.99], [-0.008, 0.008]], num=60)
    assert [a.kind for a in found.attractors] == ["bounded", "bounded"]
    assert agree(found.labels, (found.starts[:, 1] > 0).astype(int))


@pytest.mark.slow
def test_the_limit_cycle_and_the_chaos_of_lorenz_84_are_two():
    a, b, F, G = 0.255, 4.0, 6.886, 1.347

    def rates(xp, x, y, w):
        return xp.stack([-y * y - w * w - a * x + a * F, x * y - b * x * w - y + G, b * x * y + x * w - w])

    def step(z, h=0.01):  # Runge-Kutta, all starts together
        k = [rates(np, *z)]
        for c in (0.5, 0.5, 1.0):
            k.append(rates(np, *(z + c * h * k[-1])))
        return z + h / 6 * (k[0] + 2 * k[1] + 2 * k[2] + k[3])

    found = find_basins(rt.VectorField(lambda z: rates(jnp, *z), 3), (-3, 3), num=120)
    z, orbit = found.starts.T.copy(), []
    for k in range(42_000):
        z = step(z)
        if k >= 40_000:
            orbit.append(z)
    orbit = np.array(orbit)
    period = 920.43  # steps
    back = np.abs(orbit[-1] + (orbit[-1] - orbit[-2]) * (period - 920) - orbit[-921]).max(axis=0)
    still, closed = np.ptp(orbit, axis=0).max(axis=0) < 1e-3, back < 0.02
    truth = np.where(still, 0, np.where(closed, 1, 2))
    assert sorted(a.name for a in found.attractors) == ["bounded", "cycle of period 9.20429", "fixed_point"]
    assert agree(found.labels, truth)


# --- the numbers that tell sets apart ------------------------------------------------------------------------------------


def test_averages_over_a_quasi_periodic_orbit_do_not_depend_on_the_start_and_have_regular_halves(rng):
    start, steps = rng.uniform(0, 2 * np.pi, 5), np.arange(257)[:, None]
    angle = start + steps * (np.sqrt(5) - 1) * np.pi
    orbits = np.stack([np.cos(angle), np.sin(angle)], axis=2)
    averages = Averages.over(orbits.reshape(-1, 2))
    numbers = averages.of(orbits)
    fine = np.linspace(0, 2 * np.pi, 4096, endpoint=False)
    circle = averages.waves @ (
        (np.stack([np.cos(fine), np.sin(fine)]) - averages.center[:, None]) / averages.scale[:, None]
    )
    exact = np.concatenate([np.cos(circle).mean(axis=1), np.sin(circle).mean(axis=1)])
    assert np.abs(numbers[:, :-1] - exact).max() <= 1e-3
    assert np.abs(numbers[:, -1] - numbers[0, -1]).max() == 0  # below what counts as a difference of the halves


def test_noise_with_one_distribution_is_one_group(rng):
    numbers = rng.normal(size=(40, 12, 85))
    assert len(Groups.of(numbers, Settling())) == 1
    moved = numbers.copy()
    moved[:15, :, 3] += 12.0
    groups = Groups.of(moved, Settling())
    assert len(groups) == 2
    assert agree(groups.of_orbit, (np.arange(40) < 15).astype(int))
    found, is_sure = groups.compare(np.array([moved[0, 0], moved[30, 0], moved[0, 0] - 6.0 * (np.arange(85) == 3)]))
    assert (found[0] != found[1], found[2]) == (True, -1)
    assert is_sure.tolist() == [True, True, False]


def test_a_continuum_of_orbits_is_not_divided(rng):
    level = np.linspace(0, 1, 20)[:, None, None]
    assert len(Groups.of(level + 1e-4 * rng.normal(size=(20, 12, 4)), Settling())) == 1


def triples(numbers):
    """Means of three blocks each."""
    return numbers.reshape(len(numbers), 4, 3, -1).mean(axis=2)


def test_orbits_that_still_approach_are_drifting_and_noise_is_not(rng):
    noise = 0.1 * rng.normal(size=(30, 12, 85))
    assert not is_drifting(noise, triples(noise), Settling()).any()
    noise[4, :, 7] = 0.1 * 0.9 ** np.arange(12)
    assert np.flatnonzero(is_drifting(noise, triples(noise), Settling())).tolist() == [4]


def test_a_slow_beat_of_the_blocks_with_a_cycle_is_no_drift():
    beat = np.tile(0.1 * np.sin(0.1 * np.arange(12))[:, None], (1, 4))[
        None
    ]  # a block is almost a whole number of periods
    assert not is_drifting(beat, np.full((1, 4, 4), 0.05) + 0.003 * np.arange(4)[:, None], Settling()).any()


@pytest.mark.slow
def test_two_limit_cycles_in_the_same_cells_are_two():
    # radii 1 and sqrt(1.08), angular velocities 1.3 and 1
    def field(z):
        r2 = z @ z
        u = (r2 - 1.04) / 0.04
        g, w = -0.08 * (u**3 - u), jnp.where(u > 0, 1.0, 1.3)
        return jnp.stack([g * z[0] - w * z[1], g * z[1] + w * z[0]])

    found = find_basins(rt.VectorField(field, 2), RING, num=40)
    assert sorted(a.period for a in found.attractors) == pytest.approx([2 * np.pi / 1.3, 2 * np.pi], abs=1e-7)
    assert agree(found.labels, (np.linalg.norm(found.starts, axis=1) > np.sqrt(1.04)).astype(int))


@pytest.mark.slow
def test_a_limit_cycle_beside_a_torus_in_the_same_cells_is_an_attractor_of_its_own():
    # beyond radius sqrt(1.04) a second oscillation of amplitude 0.05 and frequency sqrt(2) is kept up; inside it dies out
    def field(z):
        x, y, p, q = z
        u = (x * x + y * y - 1.04) / 0.04
        g, h = -0.08 * (u**3 - u), 0.5 * jnp.tanh(10 * u) - 200 * (p * p + q * q)
        return jnp.stack([g * x - y, g * y + x, h * p - np.sqrt(2) * q, h * q + np.sqrt(2) * p])

    found = find_basins(rt.VectorField(field, 4), [*RING, [-0.05, 0.05], [-0.05, 0.05]], num=40)
    assert sorted(a.kind for a in found.attractors) == ["bounded", "cycle"]
    assert agree(found.labels, ((found.starts[:, :2] ** 2).sum(axis=1) > 1.04).astype(int))


@pytest.mark.parametrize(("orbits", "groups"), [(1, 1), (6, 2)])
def test_a_gap_that_chance_may_leave_divides_no_set(orbits, groups):
    """Means 0.06 apart, scatter 0.007: 8.5 standard errors of two blocks each, which Student's t with 2 degrees of freedom often exceeds."""
    numbers = np.array([[[0.0], [0.01]]] * orbits + [[[0.06], [0.07]]] * orbits)
    assert len(Groups.of(numbers, Settling())) == groups


@pytest.mark.parametrize(("chance", "groups"), [(10**-9.5, 2), (10**-8.5, 1)])
def test_means_differ_that_chance_leaves_apart_once_in_1e9(chance, groups):
    """Two blocks of 12 orbits, scatter 0.01 / sqrt(2): means as far apart as Student's t with 12 degrees of freedom is with a chance."""
    apart = student.isf(chance, 12) * 0.01 / np.sqrt(2) * np.sqrt(2 / 12)
    numbers = np.array([[[0.0], [0.01]]] * 6 + [[[apart], [apart + 0.01]]] * 6)
    assert apart - 0.01 > 0.02  # the gap counts
    assert len(Groups.of(numbers, Settling())) == groups


def test_what_counts_as_a_gap_and_as_chance_may_be_changed():
    """The last case above, a gap of 0.05."""
    numbers = np.array([[[0.0], [0.01]]] * 6 + [[[0.06], [0.07]]] * 6)
    assert [len(Groups.of(numbers, Settling(gap=g))) for g in (0.04, 0.06)] == [2, 1]
    assert len(Groups.of(numbers, Settling(chance=1e-16))) == 1
