"""`find_cycles`: against counting formulas, brute force over all sequences of regions, published and degenerate cases."""

from itertools import product

import numpy as np
import pytest

import retime as rt
from interrupts import interrupt
from retime.core.errors import ShapeError


def tent(slope=2.0):
    """The tent map x' = slope (1/2 - |x - 1/2|) in z = x - 1/2, as a PLRNN of one unit: the corner is at 0."""
    return rt.PLRNN([slope], [[-2 * slope]], [slope / 2 - 0.5])


def lyndon(k):
    """Cycles of exact period k of the full tent map: 2^k points of a period that divides k."""
    return (2**k - sum(j * lyndon(j) for j in range(1, k) if k % j == 0)) // k


def linear(A, b):
    A = np.array(A, dtype=float)
    return rt.LinearSystem(A, np.array(b, dtype=float), np.zeros((len(A), 0)), time=rt.Discrete(1.0))


def rotation(turns):
    c, s = np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns)
    return np.array([[c, -s], [s, c]])


def brute_force(model, largest):
    """{period: number of cycles} over all sequences of patterns, points read again; regular systems only."""
    form, found = model.canonical, {}
    patterns = [np.array(d, dtype=bool) for d in product([False, True], repeat=form.num_units)]
    regions = [form.regions(d[None]) for d in patterns]
    n = form.num_states
    for k in range(1, largest + 1):
        cycles = []
        for sequence in product(range(len(patterns)), repeat=k):
            if sequence != min(sequence[j:] + sequence[:j] for j in range(k)) or any(
                k % j == 0 and sequence == sequence[:j] * (k // j) for j in range(1, k)
            ):
                continue
            P, c = np.eye(n), np.zeros(n)
            for i in sequence:
                P, c = regions[i].M[0] @ P, regions[i].M[0] @ c + regions[i].c[0]
            z = np.linalg.solve(np.eye(n) - P, c)
            for i in sequence:
                if (form.pattern(z) != patterns[i]).any():
                    break
                z = model.apply(z)
            else:
                cycles.append(z)
        if cycles:
            found[k] = len(cycles)
    return found


def check(model, found):
    """Every cycle closes, has exactly its period, is listed once, and its multipliers are those of the product of Jacobians."""
    for c in found:
        z = c.points
        np.testing.assert_allclose(
            np.array([model.apply(x) for x in z]), np.roll(z, -1, axis=0), rtol=0, atol=1e-10 * (1 + np.abs(z).max())
        )
        assert len(z) == c.period
        assert len(np.unique(np.round(z, 6), axis=0)) == c.period
        P = np.eye(z.shape[1])
        for x in z:
            P = model.jacobian(x) @ P
        size = max(1.0, np.abs(P).max())
        if not c.on_boundary:
            np.testing.assert_allclose(
                np.sort(np.abs(c.multipliers)), np.sort(np.abs(np.linalg.eigvals(P))), atol=1e-8 * size
            )
            assert c.stable == bool((np.abs(np.linalg.eigvals(P)) < 1).all())
    firsts = [
        (*tuple(np.round(c.points, 6).min(axis=0)), c.period, *tuple(np.round(np.sort(c.points[:, 0]), 6)))
        for c in found
    ]
    assert len(set(firsts)) == len(firsts)


# --- counting formulas -------------------------------------------------------------------------------------------------


def test_cycles_of_the_tent_map_are_as_many_as_counted():
    found = rt.find_cycles(tent(), 7)
    assert found.counts == {k: lyndon(k) for k in range(1, 8)}
    assert found.complete_up_to == 7
    assert found.status == "complete"
    assert not any(c.stable for c in found)
    assert all((np.abs(c.points) <= 0.5 + 1e-12).all() for c in found)
    for c in found:
        np.testing.assert_allclose(np.abs(c.multipliers), [2.0**c.period], atol=1e-9)
    check(tent(), found)


@pytest.mark.slow
def test_cycles_of_the_tent_map_without_proof_are_as_many():
    found = rt.find_cycles(tent(), 6, node_limit=0)
    assert found.counts == {k: lyndon(k) for k in range(1, 7)}
    assert found.complete_up_to == 0
    assert found.status == "heuristic"


def test_a_skew_tent_map_has_the_same_numbers():
    """Slopes 1 / p and -1 / (1 - p) on two branches onto [0, 1]: a full shift whatever p."""
    p = 0.3
    model = rt.ShallowPLRNN([1 / p], [[-1 / p - 1 / (1 - p)]], [[1.0]], [0.0], [-p])
    found = rt.find_cycles(model, 6)
    assert found.counts == {k: lyndon(k) for k in range(1, 7)}
    check(model, found)


def test_a_tent_map_below_the_golden_mean_has_no_three_cycle():
    """Period 3 appears at slope (1 + sqrt 5) / 2 = 1.618; 2-cycles exist from slope 1 on."""
    low, high = rt.find_cycles(tent(1.60), 3), rt.find_cycles(tent(1.64), 3)
    assert low.complete_up_to == high.complete_up_to == 3
    assert 3 not in low.counts
    assert high.counts[3] == 2
    assert low.counts[2] == 1


def test_at_the_golden_mean_the_three_cycle_lies_on_the_boundary():
    golden = (1 + np.sqrt(5)) / 2
    found = rt.find_cycles(tent(golden), 3)
    three = [c for c in found if c.period == 3]
    assert found.complete_up_to == 3
    assert len(three) == 1
    assert three[0].on_boundary
    assert np.abs(three[0].points).min() < 1e-12


# --- published networks and brute force --------------------------------------------------------------------------------


def test_the_published_network_has_its_published_cycles(data):
    with np.load(data / "shallow_plrnn_cycles.npz") as f:
        model = rt.ShallowPLRNN(f["A"], f["W1"], f["W2"], f["h1"], f["h2"])
    found = rt.find_cycles(model, 4)
    assert found.counts == {2: 2, 4: 1}
    assert found.complete_up_to == 4
    assert found.status == "complete"
    first = {tuple(np.round(c.points[0], 5)): np.round(np.abs(c.multipliers), 5).tolist() for c in found}
    assert first[(-8.76588, -24.07809)] == [1.10528, 0.8586]
    assert first[(-2.89832, -0.43374)] == [1.50013, 1.50013]
    four = found[2]
    assert np.abs(four.points - [35.48094, 39.3489]).max(axis=1).min() < 1e-5
    np.testing.assert_allclose(np.abs(four.multipliers), [2.06419, 1.18362], atol=1e-5)
    check(model, found)


@pytest.mark.slow
def test_without_proof_the_published_cycles_are_found_whatever_the_seed(data):
    with np.load(data / "shallow_plrnn_cycles.npz") as f:
        model = rt.ShallowPLRNN(f["A"], f["W1"], f["W2"], f["h1"], f["h2"])
    proven = rt.find_cycles(model, 4)
    for seed in range(3):
        found = rt.find_cycles(model, 4, node_limit=0, seed=seed)
        assert found.counts == {2: 2, 4: 1}
        assert found.complete_up_to == 0
        for a, b in zip(proven, found, strict=True):
            np.testing.assert_allclose(a.points, b.points, atol=1e-9 * np.abs(a.points).max())


@pytest.mark.parametrize("n", [1, 2])
def test_cycles_of_small_random_networks_are_those_of_all_sequences(rng, n):
    number, largest = 0, 6 if n == 1 else 4
    for _ in range(25 if n == 1 else 12):
        model = rt.PLRNN(rng.uniform(-1.2, 1.2, n), 2.5 * rng.normal(size=(n, n)), rng.normal(size=n))
        want = brute_force(model, largest)
        found = rt.find_cycles(model, largest)
        assert found.complete_up_to == largest
        assert found.counts == want
        check(model, found)
        number += sum(want.values())
    assert number > 15


def test_without_proof_small_networks_give_the_same_for_every_seed(rng):
    for _ in range(6):
        model = rt.PLRNN(rng.uniform(-1.2, 1.2, 2), 2.5 * rng.normal(size=(2, 2)), rng.normal(size=2))
        proven = rt.find_cycles(model, 5)
        for seed in range(2):
            assert rt.find_cycles(model, 5, node_limit=0, seed=seed).counts == proven.counts


def test_a_constant_input_moves_the_cycles(rng):
    model = rt.PLRNN([0.5], [[-3.0]], [0.2], [[1.0]])
    for s in (0.0, 0.3, -0.5):
        driven = rt.find_cycles(model, 5, inputs=[s])
        held = rt.find_cycles(rt.PLRNN([0.5], [[-3.0]], [0.2 + s]), 5)
        assert driven.counts == held.counts
        for a, b in zip(driven, held, strict=True):
            np.testing.assert_allclose(a.points, b.points, atol=1e-12)


LONG = ([-0.064, -0.242], [[-0.154, 0.908], [-1.176, -0.953]], [-0.485, 1.218])


def test_a_long_stable_cycle_is_found_by_starting_from_what_is_visited():
    """A 2-unit network with two cycles of 83 points, a stable one, on which orbits end, and an unstable one."""
    model = rt.PLRNN(*LONG)
    z = np.array([0.1, 0.1])
    for _ in range(20_000):
        z = model.apply(z)
    orbit = [z]
    for _ in range(83):
        orbit.append(model.apply(orbit[-1]))
    np.testing.assert_allclose(orbit[83], orbit[0], atol=1e-9)
    found = rt.find_cycles(model, 83, num_starts=16, node_limit=0, time_limit=30, starts=[z])
    long = [c for c in found if c.period == 83]
    assert sorted(c.stable for c in long) == [False, True]
    best = next(c for c in long if c.stable)
    assert np.abs(best.points - z).max(axis=1).min() < 1e-8
    check(model, found)


# --- degenerate --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("turns", "order"), [(1 / 2, 2), (1 / 3, 3), (2 / 5, 5), (1 / 6, 6)])
def test_a_rational_rotation_has_a_continuum_of_cycles_of_its_order(turns, order):
    found = rt.find_cycles(linear(rotation(turns), [1.0, 0.0]), 6)
    assert order in found.degenerate
    assert min(found.degenerate) == order
    assert found.counts == {1: 1}
    assert f"continua of cycles of period {order}" in found.message


def test_a_reflection_beside_a_neutral_mode_has_continua_of_two_periods():
    """z' = (z0, -z1): fixed points fill a line, and everything else is a 2-cycle."""
    found = rt.find_cycles(rt.PLRNN([1.0, -1.0], np.zeros((2, 2)), [0.0, 0.0]), 4)
    assert found.degenerate[:1] == (1,)
    assert 2 in found.degenerate


def test_a_line_of_fixed_points_alone_is_no_continuum_of_longer_cycles():
    found = rt.find_cycles(rt.PLRNN([1.0, 0.5], np.zeros((2, 2)), [0.0, 0.0]), 4)
    assert found.degenerate == (1,)
    assert len(found) == 0


def test_a_linear_map_has_one_fixed_point_and_no_cycle():
    found = rt.find_cycles(linear([[0.5, 0.2], [-0.3, 0.9]], [1.0, 1.0]), 8)
    assert found.counts == {1: 1}
    assert found.complete_up_to == 8


def test_two_cycles_of_slope_minus_one_are_a_continuum():
    """z' = 1 - z for z > 0: z and 1 - z change places."""
    assert rt.find_cycles(rt.PLRNN([-0.5], [[-0.5]], [1.0]), 4).degenerate == (2,)
    assert rt.find_cycles(rt.PLRNN([-3.0, 0.5], [[2.0, 0.0], [0.0, 0.0]], [1.0, 0.0]), 2).degenerate == (2,)


def test_an_isolated_two_cycle_through_a_corner_is_listed_once():
    """0 -> 1 -> 0 with slopes -0.2, -1.5, -0.5 and corners at 0 and 1/2."""
    model = rt.ShallowPLRNN([-0.2], [[-1.3, 1.0]], [[1.0], [1.0]], [1.0], [0.0, -0.5])
    np.testing.assert_allclose([model.apply(np.array([z]))[0] for z in (0.0, 1.0)], [1.0, 0.0], atol=1e-15)
    found = rt.find_cycles(model, 4)
    two = [c for c in found if c.period == 2 and np.abs(c.points).min() < 1e-9]
    assert len(two) == 1
    assert two[0].on_boundary


# --- converted flows and resampled maps --------------------------------------------------------------------------------


def test_clock_flows_have_the_cycles_of_their_map_with_period_k_dt():
    model = rt.PLRNN([0.5, 0.4], [[-1.9, 0.3], [0.2, -1.5]], [1.0, 0.5], time=rt.Discrete(0.1))
    flow = rt.to_continuous(model, throw=False).model
    a, b = rt.find_cycles(model, 4), rt.find_cycles(flow, 0.4)
    assert [c.period for c in a] == [round(c.period / 0.1) for c in b]
    for x, y in zip(a, b, strict=True):
        assert y.period == pytest.approx(0.1 * x.period, abs=1e-12)
        assert y.time == pytest.approx(x.time, abs=1e-12)
        np.testing.assert_allclose(x.points, y.points, atol=1e-12)
        np.testing.assert_allclose(x.multipliers, y.multipliers, atol=1e-12)


@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_cycles_of_a_resampled_map_are_cycles_of_that_map(factor):
    """`retime_to` gives a map of another step: its cycles are orbits of its own `apply`, not of the map it came from."""
    model = rt.PLRNN([0.5, 0.4], [[-1.9, 0.3], [0.2, -1.5]], [1.0, 0.5], time=rt.Discrete(0.1))
    resampled = rt.retime_to(model, 0.1 * factor).model
    try:
        found = rt.find_cycles(resampled, 4)
    except TypeError:
        return  # refusing is honest
    for c in found:
        np.testing.assert_allclose(
            np.array([resampled.apply(z) for z in c.points]), np.roll(c.points, -1, axis=0), atol=1e-9
        )


# --- order, budgets, arguments -----------------------------------------------------------------------------------------


def test_cycles_begin_with_their_smallest_first_coordinate_and_are_sorted_by_period():
    found = rt.find_cycles(tent(), 5)
    assert [c.period for c in found] == sorted(c.period for c in found)
    assert all(np.argmin(c.points[:, 0]) == 0 for c in found)
    again = rt.find_cycles(tent(), 5)
    assert all(np.array_equal(a.points, b.points) for a, b in zip(found, again, strict=True))
    assert found[0] is next(iter(found))
    assert len(found[:2]) == 2


def test_no_time_finds_nothing_and_says_so():
    found = rt.find_cycles(tent(), 4, time_limit=1e-9)
    assert len(found) == 0
    assert found.status == "time_limit"
    assert found.complete_up_to == 0


def test_a_time_limit_is_kept(no_hang):
    rng = np.random.default_rng(4)
    model = rt.PLRNN(rng.uniform(-0.9, 0.9, 20), rng.normal(size=(20, 20)) * 0.5, rng.normal(size=20))
    rt.find_cycles(tent(), 2, node_limit=0)
    found = rt.find_cycles(model, 60, time_limit=0.5)
    assert found.status == "time_limit"
    assert "time ended at period" in found.message


def test_an_interrupted_search_returns_the_cycles_found():
    code = """
import numpy as np
import retime as rt
rng = np.random.default_rng(4)
model = rt.PLRNN(rng.uniform(-0.9, 0.9, 20), rng.normal(size=(20, 20)) * 0.5, rng.normal(size=20))
rt.find_cycles(model, 200, time_limit=0.05)
ready()
found = rt.find_cycles(model, 2000, time_limit=1e6)
answer(status=found.status, message=found.message)
"""
    (found,) = interrupt(code)
    assert found["status"] == "interrupted"
    assert "interrupted at period" in found["message"]


@pytest.mark.parametrize("period", [0, -1, 2.5, True, float("nan"), float("inf"), "3", None])
def test_the_largest_period_is_a_whole_number_of_steps(period):
    with pytest.raises((ValueError, TypeError), match="`max_period` is"):
        rt.find_cycles(tent(), period)


@pytest.mark.parametrize("name", ["time_limit", "node_limit"])
def test_budgets_are_not_negative(name):
    with pytest.raises(ValueError, match=f"`{name}` is -1"):
        rt.find_cycles(tent(), 3, **{name: -1})


def test_what_is_no_model_is_refused():
    with pytest.raises(TypeError, match="`model` is int"):
        rt.find_cycles(3, 3)


def test_starts_and_inputs_of_the_wrong_size_are_refused():
    with pytest.raises(ShapeError, match=r"`starts` has shape \(2,\)"):
        rt.find_cycles(tent(), 3, starts=np.ones(2))
    with pytest.raises(ShapeError, match=r"`inputs` has shape \(2,\)"):
        rt.find_cycles(tent(), 3, inputs=np.ones(2))


def test_maps_take_no_switching():
    with pytest.raises(ValueError, match="`switching` is 'state'"):
        rt.find_cycles(tent(), 3, switching="state")


def test_a_network_whose_regions_are_held_is_refused_in_words():
    network = rt.ContinuousPLRNN([-1.0, -1.0], [[0.0, -4.0], [4.0, 1.5]], [1.0, 0.5])
    held = rt.to_discrete(network, 0.1, method=rt.ZeroOrderHold()).model
    with pytest.raises(TypeError, match="its steps are affine in each region, but no ReLU network"):
        rt.find_cycles(held, 5)


def test_the_growth_rate_of_a_cycle_is_in_model_time():
    """z' = 2 |z| - 1 is steep by 2 at every point: log(2) / dt."""
    tent = rt.PLRNN([-2.0], [[4.0]], [-1.0], time=rt.Discrete(0.1))
    found = rt.find_cycles(tent, 3)
    assert {c.period for c in found} == {1, 2, 3}
    for c in found:
        assert abs(c.growth_rate - 10 * np.log(2.0)) < 1e-12
        assert abs(c.time - 0.1 * c.period) < 1e-15
