"""Points of rest by sliding, of converted flows under state switching: closed forms, brute force over boundaries, simulated orbits."""

import json
from itertools import product

import numpy as np
import pytest
from scipy.optimize import fsolve

import retime as rt
from retime.analysis.fixed_points import resting as sliding


def random_flow(n, seed):
    g = np.random.default_rng(777 * n + seed)
    A, W, h = g.uniform(-0.3, 0.9, n), g.normal(size=(n, n)) * 1.3 / np.sqrt(n), g.normal(size=n) * 0.3
    return rt.to_continuous(rt.PLRNN(A, W, h)).model, g


def fields(flow, bits, unit):
    """The fields of both sides, without auxiliary states, as functions of z."""
    n, sides = flow.num_states, []
    for on in (False, True):
        r = flow.region(np.where(np.arange(n) == unit, on, bits))
        sides.append(lambda z, r=r: r.W[:n, :n] @ z + r.h[:n])
    return sides


def by_many_starts(flow, g):
    """Points of rest on every piece of every boundary z_i = 0, by `fsolve` in the other states and the share alpha."""
    n, found = flow.num_states, []
    for unit, word in product(range(n), product([False, True], repeat=n)):
        if word[unit]:
            continue
        bits, free = np.array(word), np.arange(n) != unit
        off, on = fields(flow, bits, unit)

        def rest(x, off=off, on=on, free=free):
            z = np.zeros(n)
            z[free] = x[:-1]
            return (1 - x[-1]) * off(z) + x[-1] * on(z)

        for _ in range(20):
            start = np.append(np.where(bits[free], 1, -1) * np.abs(g.normal(size=n - 1)) * 2, g.uniform())
            x, _, code, _ = fsolve(rest, start, full_output=True, xtol=1e-12)
            if code == 1 and np.abs(rest(x)).max() < 1e-10 and 1e-6 < x[-1] < 1 - 1e-6:
                z = np.zeros(n)
                z[free] = x[:-1]
                if ((z > 0) == bits)[free].all() and not any(np.abs(z - y).max() < 1e-6 for y in found):
                    found.append(z)
    return found


def test_one_unit_is_pushed_the_same_way_on_both_sides():
    """Both fields at 0 are the offset times log(M) / (M - 1) > 0."""
    flow = rt.to_continuous(rt.PLRNN([0.5], [[0.3]], [0.4])).model
    for rule in ("clock", "state"):
        found = rt.find_fixed_points(flow, switching=rule)
        assert found.switching == rule
        assert found.complete
        np.testing.assert_allclose(found.points, [[2.0]])
        assert found.sliding_units.tolist() == [-1]


@pytest.mark.parametrize(("n", "seed"), [(3, 15), (3, 39), (4, 3), (4, 8), (4, 11)])
def test_all_points_of_rest_of_a_random_flow_are_found(n, seed):
    flow, g = random_flow(n, seed)
    found = rt.find_fixed_points(flow, switching="state")
    slid = found.points[found.sliding_units >= 0]
    for z in by_many_starts(flow, g):
        assert np.abs(slid - z).max(axis=1).min(initial=np.inf) < 1e-7
    plain = rt.find_fixed_points(flow)
    np.testing.assert_allclose(found.points[found.sliding_units < 0], plain.points, atol=1e-12)
    assert found.complete
    assert "pieces of boundary solved)" in found.message


@pytest.mark.parametrize(("n", "seed"), [(3, 15), (3, 39), (5, 8)])
def test_orbits_come_to_rest_at_the_stable_ones(n, seed):
    flow, _ = random_flow(n, seed)
    found = rt.find_fixed_points(flow, switching="state")
    stable = found.points[found.stable & (found.sliding_units >= 0)]
    assert len(stable) == 1
    ends = [
        rt.simulate(flow, np.random.default_rng(k).normal(size=n), times=[0, 600.0], switching="state")
        for k in range(3)
    ]
    rested = [p for p in ends if len(p.sliding) and p.sliding[-1, 1] == 600.0]
    assert rested
    for path in rested:
        assert np.abs(path.states[-1] - stable[0]).max() < 1e-9
        assert path.sliding[-1, 2] == found.sliding_units[found.stable & (found.sliding_units >= 0)][0]


def test_rates_are_those_at_which_sliding_orbits_approach():
    flow, _ = random_flow(3, 39)
    found = rt.find_fixed_points(flow, switching="state")
    k = int(np.argmax(found.stable & (found.sliding_units >= 0)))
    assert found.eigenvalues[k, -1] == -np.inf
    assert found.time_constants[k, -1] == 0.0
    path = rt.simulate(flow, np.random.default_rng(0).normal(size=3), times=[0, 40.0, 44.0], switching="state")
    gaps = np.abs(path.states[1:] - found.points[k]).max(axis=1)
    assert abs(np.log(gaps[1] / gaps[0]) / 4.0 - found.eigenvalues[k, 0].real) < 1e-3


def test_where_the_pieces_are_too_many_those_that_orbits_slide_on_are_solved(monkeypatch):
    flow, _ = random_flow(3, 39)
    whole = rt.find_fixed_points(flow, switching="state")
    monkeypatch.setattr(sliding, "MOST_UNITS", 2)
    found = rt.find_fixed_points(flow, switching="state")
    assert not found.complete
    assert found.status == "heuristic"
    assert 0 < found.remaining < 1
    assert "no proof that there are no others" in found.message
    k = int(np.argmax(found.stable & (found.sliding_units >= 0)))
    assert np.abs(found.points[k] - whole.points).max(axis=1).min() < 1e-12


def test_twenty_units_do_not_hang(no_hang):
    g = np.random.default_rng(0)
    flow = rt.to_continuous(rt.PLRNN(g.uniform(-0.3, 0.9, 20), g.normal(size=(20, 20)) * 0.2, g.normal(size=20))).model
    assert not rt.find_fixed_points(flow, switching="state", time_limit=10).complete


def test_published_networks_rest_by_sliding_nowhere(data):
    for name in ("vanderpol", "lorenz"):
        flow = rt.to_continuous(rt.load(data / f"{name}_plrnn.mat", dt=0.1)).model
        found = rt.find_fixed_points(flow, switching="state")
        assert found.complete
        assert (found.sliding_units == -1).all()
        assert "none of them by sliding (all 5120 pieces of boundary solved)" in found.message


def test_a_result_reads_well_and_is_plain_data():
    flow, _ = random_flow(3, 39)
    found = rt.find_fixed_points(flow, switching="state")
    assert "slides along 0" in repr(found)
    assert "several at once" in found.certificate.scope
    data = json.loads(json.dumps(found.to_dict()))
    assert data["sliding_units"] == found.sliding_units.tolist()
    assert data["switching"] == "state"
    found.plot()


def test_pieces_on_which_points_of_rest_may_fill_lines_are_not_called_solved():
    """A network beside a unit with slope 1 on both sides of its own boundary: its direction rests everywhere."""
    g = np.random.default_rng(777 * 3 + 39)
    A, W, h = g.uniform(-0.3, 0.9, 3), g.normal(size=(3, 3)) * 1.3 / np.sqrt(3), g.normal(size=3) * 0.3
    wide = np.zeros((4, 4))
    wide[:3, :3] = W
    flow = rt.to_continuous(rt.PLRNN(np.append(A, 1.0), wide, np.append(h, 0.0))).model
    found = rt.find_fixed_points(flow, switching="state")
    assert not found.complete
    assert "no proof that there are no others" in found.message


def test_inputs_move_the_boundaries():
    """Under a held input the network is the one with the input's effect in its offsets."""
    g = np.random.default_rng(777 * 3 + 39)
    A, W, h = g.uniform(-0.3, 0.9, 3), g.normal(size=(3, 3)) * 1.3 / np.sqrt(3), g.normal(size=3) * 0.3
    C = np.array([[0.5], [-0.2], [0.1]])
    driven = rt.to_continuous(rt.PLRNN(A, W, h - 0.7 * C[:, 0], C)).model
    own = rt.find_fixed_points(rt.to_continuous(rt.PLRNN(A, W, h)).model, switching="state")
    found = rt.find_fixed_points(driven, inputs=[0.7], switching="state")
    np.testing.assert_allclose(found.points, own.points, atol=1e-9)


def test_switching_is_for_converted_flows():
    with pytest.raises(ValueError, match="`switching` is 'state'; converted flows take"):
        rt.find_fixed_points(rt.zoo.load("lorenz"), switching="state")
