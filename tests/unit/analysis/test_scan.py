"""Scans against closed forms of border collisions and smooth bifurcations, and against root finders of their own."""

import math
from importlib import import_module

import numpy as np
import pytest
from scipy.optimize import brentq

import retime as rt
from retime.analysis.branches.by_pattern import Follower
from retime.analysis.branches.curve import Curve
from retime.analysis.branches.scanning import scan

module = import_module("retime.analysis.branches.scanning")  # its verb hides it

BORDER = 1e-10  # of intervals of length about 0.1 to 1
CROSSING = 1e-9  # eigenvalue crossings: rounding of eigenvalues of size 1
FOLD = 1e-8  # saddle-nodes


def tent(left, right, level=0.0):
    """z' = left z for z < 0 and right z for z > 0, plus the level."""
    return rt.PLRNN([left], [[right - left]], [level])


def normal_form(left, right):
    """The two-dimensional border-collision normal form; left and right are (trace, determinant)."""
    M = [np.array([[t, 1.0], [-d, 0.0]]) for t, d in (left, right)]
    return rt.PLRNN(M[0], M[1] - M[0], np.zeros(2))


def tanh_unit(w, b):
    return rt.TanhRNN([[w]], np.zeros((1, 0)), [b])


def kinds(result):
    return [e.kind for e in result.events]


def logistic_step(z, s):
    return (1 + s) * z - z * z


def circle(z, s):
    return z * z + s * s - 1


# --- borders -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "kind", "branches"),
    [
        (0.5, -0.5, "border persistence", 1),
        (-1.5, -2.0, "border persistence", 1),
        (0.5, 1.7, "border fold", 2),
        (1.5, -3.0, "border fold", 2),
        (0.5, -1.5, "border flip", 2),
        (-0.4, -2.0, "border flip", 2),
    ],
)
@pytest.mark.parametrize(
    "values", [np.linspace(-1, 1, 9), np.linspace(-1.03, 1, 8)], ids=["on a value", "between values"]
)
def test_skew_tent_map_collides_with_its_border_as_its_slopes_say(left, right, kind, branches, values):
    found = scan(tent(left, right), "h[0]", values, max_period=2)
    (event,) = (e for e in found.events if e.period == 1)
    assert (event.kind, event.predicted, event.border, event.unit) == (kind, kind, True, 0)
    assert abs(event.value) <= BORDER
    assert event.error <= BORDER
    assert len(event.branches) >= branches
    assert found.status == "complete"
    assert found.complete.all()


def test_skew_tent_branches_are_the_closed_form():
    found = scan(tent(0.5, 1.7), "h[0]", np.linspace(-1, 1, 9))
    left, right = sorted(found.branches, key=lambda b: b.points[0, 0, 0])
    assert np.abs(left.points[:, 0, 0] - left.values / 0.5).max() < 1e-14
    assert np.abs(right.points[:, 0, 0] + right.values / 0.7).max() < 1e-14
    assert left.stable.all()
    assert not right.stable.any()
    assert left.values[-1] == right.values[-1] == 0.0


def test_two_cycle_of_a_border_flip_is_the_closed_form():
    a, b = -0.4, -2.0
    found = scan(tent(a, b), "h[0]", np.linspace(-1, 1, 9), max_period=2)
    (cycle,) = (x for x in found.branches if x.period == 2)
    x = (1 + b) / (1 - a * b) * cycle.values  # the point left of the border: x = b y + mu, y = a x + mu
    assert np.abs(cycle.points.min(axis=1)[:, 0] - x).max() < 1e-14
    assert np.abs(cycle.multipliers[:, 0] - a * b).max() < 1e-14
    assert cycle.values[0] == 0.0
    assert found.branches.index(cycle) in found.events[0].branches


def test_three_cycles_are_born_in_a_border_fold_of_cycles():
    a = 0.4
    found = scan(tent(a, -3.0, 1.0), {"W": [[-1.0]]}, np.linspace(-0.5, 1.0, 16), max_period=3)
    (event,) = (e for e in found.events if e.period == 3)
    assert event.kind == event.predicted == "border fold"
    right = -3.0 - event.value
    orbit = [0.0, 1.0]
    orbit += [right * orbit[1] + 1.0]
    assert a * orbit[2] + 1.0 == pytest.approx(0.0, abs=1e-9)  # the orbit of the border returns to it after three steps


def test_feigins_criterion_agrees_with_what_is_measured_and_with_every_pattern_solved(rng):
    seen = set()
    for _ in range(100):
        left, right = rng.uniform(-3, 3, (2, 2))
        model = normal_form(left, right)
        found = scan(model, {"h": [1.0, 0.0]}, [-0.5, 0.7])
        at_border = [e for e in found.events if e.border]
        (event,) = at_border
        assert event.kind == event.predicted
        assert abs(event.value) <= BORDER
        seen.add(event.kind)
        folds = np.prod([1 - t + d for t, d in (left, right)]) < 0
        assert (event.kind == "border fold") == folds
        if not folds:
            assert (event.kind == "border flip") == (admissible_two_cycles(model) % 2 == 1)
    assert seen == {"border persistence", "border fold", "border flip"}


def admissible_two_cycles(model):
    """How many of the levels -1 and 1 have a 2-cycle with a point on either side of the border."""
    M = [model.A, model.A + model.W]
    count = 0
    for level in (-1.0, 1.0):
        h = np.array([level, 0.0])
        x = np.linalg.solve(np.eye(2) - M[1] @ M[0], M[1] @ h + h)
        y = M[0] @ x + h
        count += x[0] < 0 < y[0]
    return count


def test_several_crossings_and_folds_inside_one_interval_are_all_found():
    # z = 3 clip(z, 0, 1) + mu is an S: folds at mu = 0, z = 0 and mu = -2, z = 1
    clipped = rt.ShallowPLRNN([0.0], [[3.0, -3.0]], [[1.0], [1.0]], [0.0], [0.0, -1.0])
    found = scan(clipped, "h1[0]", [-3.0, 1.0])
    assert kinds(found) == ["border fold", "border fold"]
    assert np.abs(np.array([e.value for e in found.events]) - [-2.0, 0.0]).max() <= 4 * BORDER
    assert [float(e.point[0, 0]) for e in found.events] == pytest.approx([1.0, 0.0], abs=1e-9)
    assert len(found.branches) == 3
    middle = next(b for b in found.branches if not b.stable.any())
    assert middle.values == pytest.approx([-2.0, 0.0], abs=1e-9)
    assert all(found.branches.index(middle) in e.branches for e in found.events)


def test_a_border_reached_by_a_weight_is_where_a_root_finder_puts_it(rng):
    n = 5
    A, W, h = rng.uniform(0.2, 0.8, n), 0.15 * rng.normal(size=(n, n)), rng.normal(size=n)
    D = 0.3 * rng.normal(size=(n, n))
    found = scan(rt.PLRNN(A, W, h), {"W": D}, np.linspace(-1, 1, 26))
    borders = [e for e in found.events if e.border]
    assert borders
    for event in borders:
        branch = found.branches[event.branches[0]]
        d = branch.patterns[np.argmin(np.abs(branch.values - event.value)), 0]

        def preactivation(x, d=d, unit=event.unit):
            return np.linalg.solve(np.eye(n) - np.diag(A) - (W + x * D) * d, h)[unit]

        root = brentq(preactivation, event.value - 1e-3, event.value + 1e-3, xtol=1e-14)
        assert event.value == pytest.approx(root, abs=BORDER)


def test_every_fixed_point_of_every_value_is_on_a_branch(rng):
    n = 6
    model = rt.PLRNN(rng.uniform(0.2, 0.8, n), rng.normal(size=(n, n)), rng.normal(size=n))
    values = np.linspace(-3, 3, 13)
    found = scan(model, "W[0, 1]", values)
    total = 0
    for x in values:
        W = model.W.copy()
        W[0, 1] = x
        points = rt.find_fixed_points(rt.PLRNN(model.A, W, model.h)).points
        listed = [b.points[b.values == x][0, 0] for b in found.branches if (b.values == x).any()]
        assert len(listed) == len(points)
        assert all(min(np.abs(p - z).max() for z in listed) < 1e-9 for p in points)
        total += len(points)
    assert total > 0


def test_units_that_cross_together_are_degenerate_and_the_branch_goes_on_where_it_is_the_only_one(rng):
    found = scan(
        rt.PLRNN([0.5, 0.2, 0.1], 0.1 * rng.normal(size=(3, 3)), np.zeros(3)),
        {"h": [1.0, 2.0, -1.0]},
        np.linspace(-1, 1, 4),
    )
    (event,) = found.events
    assert (event.kind, event.border) == ("degenerate", True)
    assert abs(event.value) <= BORDER
    assert len(found.branches) == 1


# --- multipliers inside a region ---------------------------------------------------------------------------------------------


def test_neimark_sacker_inside_a_region_is_where_the_determinant_is_one():
    trace = 0.7
    model = normal_form((0.3, 0.2), (trace, 0.5))
    right = rt.PLRNN(model.A, model.W, [1.0, 0.0])
    direction = np.array([[0.0, 0.0], [-1.0, 0.0]])  # of the determinant
    found = scan(right, {"W": direction}, np.linspace(0.0, 1.0, 8))
    (event,) = found.events
    assert event.kind == "Neimark-Sacker"
    assert event.value == pytest.approx(0.5, abs=CROSSING)
    assert event.multiplier == pytest.approx(trace / 2 + 1j * math.sqrt(1 - trace**2 / 4), abs=CROSSING)
    assert not event.border


def test_flip_inside_a_region_is_where_the_slope_is_minus_one():
    found = scan(tent(0.5, 0.0, 1.0), "W[0, 0]", np.linspace(-2.0, 0.0, 8))
    (event,) = found.events
    assert event.kind == "flip"
    assert event.value == pytest.approx(-1.5, abs=CROSSING)
    (branch,) = found.branches
    assert np.array_equal(branch.stable, branch.values > -1.5)


def test_one_value_lists_its_points():
    found = scan(tent(0.5, 1.7), "h[0]", [-1.0])
    assert sorted(float(b.points[0, 0, 0]) for b in found.branches) == pytest.approx([-2.0, 1 / 0.7], abs=1e-12)
    assert found.complete.tolist() == [True]


def test_a_crossing_exactly_on_a_value_is_found_once():
    found = scan(tent(0.5, 0.0, 1.0), "W[0, 0]", [-2.0, -1.5, 0.0])
    assert kinds(found) == ["flip"]
    assert found.events[0].value == pytest.approx(-1.5, abs=CROSSING)


def test_a_multiplier_one_sends_the_point_to_infinity():
    found = scan(tent(0.5, 0.0, 1.0), "W[0, 0]", np.linspace(0.0, 1.1, 8))
    (event,) = found.events
    assert event.kind == "degenerate"
    assert event.value == pytest.approx(0.5, abs=CROSSING)
    assert "infinity" in event.message
    assert len(found.branches) == 1


def test_flip_of_a_two_cycle_is_where_its_multiplier_is_minus_one():
    # orbit left, right, left, right: multiplier left * right
    found = scan(tent(0.5, -1.5, 1.0), {"A": [1.0], "W": [[-1.0]]}, np.linspace(-0.3, 0.3, 6), max_period=2)
    event = next(e for e in found.events if e.period == 2 and e.kind == "flip")
    assert event.value == pytest.approx(1 / 1.5 - 0.5, abs=CROSSING)


def test_hopf_of_a_continuous_network_is_where_the_trace_vanishes():
    model = rt.ContinuousPLRNN(-np.eye(2), [[0.5, -2.0], [2.0, 0.5]], [2.5, -1.5])  # both units stay on
    found = scan(model, {"A": np.ones(2)}, np.linspace(0.0, 1.0, 8))
    event = next(e for e in found.events if e.kind == "Hopf")
    assert event.value == pytest.approx(0.5, abs=CROSSING)
    assert event.multiplier == pytest.approx(2j, abs=CROSSING)


def test_equilibria_of_a_flow_fold_where_the_signs_of_the_determinants_differ():
    model = rt.ContinuousPLRNN([-1.0], [[3.0]], [0.0])
    found = scan(model, "h[0]", np.linspace(-1, 1, 8))
    (event,) = found.events
    assert event.kind == event.predicted == "border fold"
    assert abs(event.value) <= BORDER


def test_a_converted_flow_has_the_branches_of_its_map_with_rates():
    model = rt.PLRNN([0.5, 0.8], [[0.0, -0.3], [0.2, 0.0]], [0.4, -0.1], time=rt.Discrete(0.1))
    values = np.linspace(-1, 1, 6)
    one, other = scan(model, "h[1]", values), scan(rt.to_continuous(model).model, "h[1]", values)
    assert kinds(one) == kinds(other)
    assert kinds(one)
    for a, b in zip(one.branches, other.branches, strict=True):
        assert np.array_equal(a.points, b.points)
        assert np.abs(np.exp(0.1 * b.multipliers) - a.multipliers).max() < 1e-12


# --- parameters --------------------------------------------------------------------------------------------------------------


def test_an_input_level_is_a_parameter():
    model = rt.PLRNN([0.5], [[-2.0]], [0.3], [[2.0]])
    found = scan(model, "inputs[0]", np.linspace(-1, 1, 8))
    (event,) = found.events
    assert event.kind == "border flip"
    assert event.value == pytest.approx(-0.15, abs=BORDER)
    assert found.parameter == "inputs[0]"


def test_a_direction_and_a_function_give_the_same_scan():
    values = np.linspace(-1, 1, 8)
    one = scan(tent(0.5, -1.5, 0.1), {"h": [2.0]}, values)
    other = scan(tent(0.5, -1.5, 0.1), lambda x: tent(0.5, -1.5, 0.1 + 2 * x), values)
    assert one.events[0].value == other.events[0].value == pytest.approx(-0.05, abs=BORDER)
    assert all(np.array_equal(a.points, b.points) for a, b in zip(one.branches, other.branches, strict=True))


# --- smooth --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values", [np.linspace(-2, 3, 11), np.linspace(-2.03, 3, 9)], ids=["on a value", "between values"]
)
def test_tanh_unit_has_a_flip_at_minus_one_and_a_pitchfork_at_one(values):
    found = scan(tanh_unit(1.0, 0.0), "W_rec[0, 0]", values)
    assert kinds(found) == ["flip", "transcritical or pitchfork"]
    assert [e.value for e in found.events] == pytest.approx([-1.0, 1.0], abs=FOLD)
    assert len(found.events[1].branches) == len(found.branches) == 3
    assert found.status == "heuristic"
    assert not found.complete.any()


@pytest.mark.parametrize("values", [np.linspace(-1, 1, 12), np.array([-1.0, 1.0])], ids=["many values", "two values"])
def test_saddle_nodes_of_a_tanh_unit_are_the_closed_form(values):
    w = 2.0
    s = math.sqrt(1 - 1 / w)  # w (1 - z^2) = 1
    place = w * s - math.atanh(s)
    found = scan(tanh_unit(w, 0.0), "b[0]", values)
    assert kinds(found) == ["saddle-node"] * 2
    assert [e.value for e in found.events] == pytest.approx([-place, place], abs=FOLD)
    assert [abs(float(e.point[0, 0])) for e in found.events] == pytest.approx([s, s], abs=1e-6)
    assert len(found.branches) == 3
    assert all(len(e.branches) == 2 and e.error < 1e-6 for e in found.events)


def test_hopf_of_a_rate_network_is_the_closed_form():
    tau = 2.0
    model = rt.RateRNN(np.zeros((2, 2)), None, np.zeros(2), tau=tau)
    found = scan(model, {"W_rec": [[1.0, -3.0], [3.0, 1.0]]}, np.linspace(0, 2, 6))
    (event,) = found.events
    assert event.kind == "Hopf"
    assert event.value == pytest.approx(1.0, abs=FOLD)
    assert event.multiplier == pytest.approx(3j / tau, abs=1e-7)


def test_neimark_sacker_of_a_tanh_network_is_where_the_rotation_grows():
    c, s = math.cos(0.7), math.sin(0.7)
    model = rt.TanhRNN(np.zeros((2, 2)), np.zeros((2, 0)), np.zeros(2))
    found = scan(model, {"W_rec": [[c, -s], [s, c]]}, np.linspace(0.2, 1.6, 6))
    (event,) = (e for e in found.events if abs(e.value - 1.0) < 0.1)
    assert event.kind == "Neimark-Sacker"
    assert event.value == pytest.approx(1.0, abs=FOLD)
    assert event.multiplier == pytest.approx(c + 1j * s, abs=1e-7)


def test_transcritical_bifurcation_joins_the_branches_that_cross():
    model = rt.Map(logistic_step, 1, num_inputs=1)
    found = scan(model, "inputs[0]", np.linspace(-0.5, 0.77, 9))
    (event,) = found.events
    assert event.kind == "transcritical or pitchfork"
    assert event.value == pytest.approx(0.0, abs=FOLD)
    assert len(event.branches) == len(found.branches) == 2


def test_a_closed_loop_of_equilibria_has_two_saddle_nodes_and_two_branches():
    found = scan(rt.VectorField(circle, 1, num_inputs=1), "inputs[0]", np.linspace(-2, 2, 9))
    assert kinds(found) == ["saddle-node"] * 2
    assert [e.value for e in found.events] == pytest.approx([-1.0, 1.0], abs=FOLD)
    assert len(found.branches) == 2
    for b in found.branches:
        assert np.abs(b.points[:, 0, 0] ** 2 + b.values**2 - 1).max() < 1e-12


# --- smooth branches that cross ---------------------------------------------------------------------------------------------


def cubic(c, r):
    return c[0] * r + c[1] * r * r + c[2] * r**3


def transcritical(c, d, s0):
    """dz/dt = 0 on z = c(s - s0) and on z = d(s - s0), c and d cubic polynomials without a constant."""
    return rt.VectorField(lambda z, s: (z - cubic(c, s - s0)) * (cubic(d, s - s0) - z), 1, num_inputs=1)


def pitchfork(c, k, s0, sign=1.0):
    """dz/dt = 0 on z = c(s - s0), and on a curve through s0 that turns there."""

    def rate(z, s):
        r = s - s0
        y = z - cubic(c, r)
        return y * (sign * (r + k * y * r) - y * y)

    return rt.VectorField(rate, 1, num_inputs=1)


def grids(s0):
    """Values that do not hold s0, and values that do, with as many on either side."""
    hit = np.concatenate([np.linspace(s0 - 0.9, s0, 5), np.linspace(s0, s0 + 0.8, 5)[1:]])
    return [np.linspace(s0 - 0.89, s0 + 0.81, 9), hit]


def check_crossing(found, s0, counts, branches):
    """One crossing at s0 of so many branches; the points listed before, at and after it; stability that changes there only."""
    (event,) = (e for e in found.events if abs(e.value - s0) < 0.05)
    assert event.kind == "transcritical or pitchfork"
    assert abs(event.value - s0) <= event.error < 1e-8
    assert len(event.branches) == branches
    near = [x for x in found.values if abs(x - s0) < 0.3]
    for x in near:
        listed = sum(int((b.values == x).sum()) for b in found.branches)
        assert listed == counts[int(np.sign(x - s0)) + 1]
        if x == s0:
            assert not any(b.stable[b.values == x].any() for b in found.branches)
    assert not [e for e in found.events if e.kind == "degenerate"]


def check_stability(found):
    """No neighboring points of a branch differ in stability without an event of that branch between them."""
    for k, b in enumerate(found.branches):
        for i in np.flatnonzero(b.stable[1:] != b.stable[:-1]):
            assert any(
                k in e.branches and b.values[i] - e.error - 1e-9 <= e.value <= b.values[i + 1] + e.error + 1e-9
                for e in found.events
            )


@pytest.mark.parametrize("is_hit", [False, True], ids=["between values", "on a value"])
@pytest.mark.parametrize("kind", ["transcritical", "pitchfork", "subcritical"])
@pytest.mark.slow
def test_curved_branches_that_cross_keep_apart_and_have_one_event(kind, is_hit, rng):
    s0 = rng.uniform(-0.3, 0.3)
    c, d = rng.uniform(-1, 1, (2, 3))
    c[0], d[0] = c[0] + 1.5, d[0] - 1.5  # slopes that differ, so that no second crossing is near
    is_two = kind == "transcritical"
    model = transcritical(c, d, s0) if is_two else pitchfork(c, 0.3, s0, 1.0 if kind == "pitchfork" else -1.0)
    found = scan(model, "inputs[0]", grids(s0)[is_hit])
    counts = (2, 2, 2) if is_two else (1, 3, 3) if kind == "pitchfork" else (3, 3, 1)
    check_crossing(found, s0, counts, 2 if is_two else 3)
    check_stability(found)


@pytest.mark.parametrize("values", [[-1.0, -0.5, 0.0], [0.0, 0.5, 1.0]], ids=["last", "first"])
def test_a_crossing_of_curved_branches_at_an_end_is_an_event_of_both(values):
    found = scan(transcritical((1, 1, 0), (-1, 1, 0), 0.0), "inputs[0]", values)
    (event,) = found.events
    assert (event.kind, sorted(event.branches)) == ("transcritical or pitchfork", [0, 1])
    assert abs(event.value) <= event.error < 1e-8
    assert [len(b.values) for b in found.branches] == [3, 3]


@pytest.mark.parametrize("values", [np.linspace(2.5, 3.7, 13), np.linspace(2.8, 3.2, 9)], ids=["coarse", "fine"])
def test_two_logistic_steps_have_the_point_and_the_cycle_as_branches_that_cross_at_three(values):
    def steps(z, s):
        z = s[0] * z * (1 - z)
        return s[0] * z * (1 - z)

    found = scan(rt.Map(steps, 1, num_inputs=1), "inputs[0]", values)
    assert [e.kind for e in found.events if abs(e.value - 3.0) < 0.1] == ["transcritical or pitchfork"]
    for b in found.branches:
        r, z = b.values, b.points[:, 0, 0]
        half = np.sqrt(np.maximum((r - 3.0) * (r + 1.0), 0.0))
        curves = [0 * r, 1 - 1 / r, (r + 1 + half) / (2 * r), (r + 1 - half) / (2 * r)]
        assert min(np.abs(z - c).max() for c in curves) < 1e-6
    for x in values:
        listed = sum(int((b.values == x).sum()) for b in found.branches)
        assert listed == (2 if x < 3.0 - 1e-9 else 4)
    check_stability(found)


@pytest.mark.parametrize("values", [np.linspace(0.1, 1.5, 8), np.linspace(0.13, 1.5, 8)])
@pytest.mark.slow
def test_epidemic_threshold_lists_each_branch_once_at_every_value(values):
    found = scan(rt.VectorField(lambda z, s: s * z * (1 - z) - 0.5 * z, 1, num_inputs=1), "inputs[0]", values)
    (event,) = found.events
    assert abs(event.value - 0.5) <= event.error < 1e-8
    assert sorted(event.branches) == [0, 1]
    assert [len(b.values) for b in found.branches] == [8, 8]
    check_stability(found)


@pytest.mark.slow
def test_two_rates_that_cross_at_once_by_symmetry_are_reported_as_degenerate():
    W = -6 * (np.ones((3, 3)) - np.eye(3))
    model = rt.RateRNN(W, np.ones((3, 1)), np.zeros(3), tau=1.0, activation="logistic", form="rate")
    found = scan(model, "inputs[0]", np.linspace(-1, 14, 31))
    z = 0.5 * (1 + np.array([-1, 1]) / math.sqrt(3))  # all states equal, 6 z (1 - z) = 1
    places = np.log(z / (1 - z)) + 12 * z
    events = [e for e in found.events if e.kind == "degenerate"]
    assert [abs(e.value - x) <= e.error < 1e-7 for e, x in zip(events, places, strict=True)] == [True, True]
    assert all("2 rates are 0 at once" in e.message for e in events)
    assert kinds(found).count("saddle-node") == kinds(found).count("transcritical or pitchfork") == 6
    assert len(found.branches) == 13  # one symmetric; two units equal: 3 closed curves of two folds; none equal: 6
    check_stability(found)


def test_a_change_of_stability_that_is_not_located_is_an_event_as_wide_as_its_interval(monkeypatch):
    monkeypatch.setattr(Curve, "brackets", lambda self, a, b: iter(()))
    model = rt.RateRNN(np.zeros((2, 2)), None, np.zeros(2), tau=1.0)
    found = scan(model, {"W_rec": [[1.0, -3.0], [3.0, 1.0]]}, [0.0, 0.8, 1.4])
    (event,) = found.events
    assert event.kind == "Hopf"
    assert event.value - event.error == pytest.approx(0.8)
    assert event.value + event.error == pytest.approx(1.4)
    assert "not located" in event.message


@pytest.mark.slow
def test_a_point_that_leaves_for_infinity_is_seen_early_and_said():
    # Henon map: a z^2 + (1 - b) z - 1 = 0; at a = 0 one of the points is at infinity
    short = rt.Arclength(steps=500)
    found = scan(rt.Map(henon, 2, num_inputs=1), "inputs[0]", np.linspace(-0.2, 0.5, 15), continuation=short)
    lost = [e for e in found.events if e.kind == "degenerate"]
    assert len(lost) == 2
    for e in lost:
        assert e.message == "the point leaves for infinity"
        assert abs(e.value) <= e.error < 1e-3
    assert [e.kind for e in found.events if e not in lost] == ["saddle-node", "flip"]
    assert found.events[0].value == pytest.approx(-0.1225, abs=FOLD)
    assert found.events[-1].value == pytest.approx(0.3675, abs=FOLD)


def test_thresholds_of_the_continuation_are_used_and_kept():
    unit = rt.TanhRNN([[0.5]], None, [0.1])
    found = scan(unit, "b[0]", [0.0, 0.5, 1.0], continuation=rt.Arclength(steps=1))
    assert found.events[0].message == "the branch was followed for 1 steps and left"
    assert found.to_dict()["continuation"]["steps"] == 1
    assert repr(found.continuation) == "Arclength(steps=1)"
    usual = scan(unit, "b[0]", [0.0, 0.5, 1.0])
    assert not usual.events
    assert usual.continuation == rt.Arclength()
    assert scan(tent(0.5, -0.5), "h[0]", [0.0, 1.0]).continuation is None
    with pytest.raises(ValueError, match=r"`continuation` is Arclength\(steps=1\), for smooth systems; PLRNN is"):
        scan(tent(0.5, -0.5), "h[0]", [0.0, 1.0], continuation=rt.Arclength(steps=1))
    with pytest.raises(ValueError, match=r"`window` is 0\.0; it must be a positive finite number"):
        rt.Arclength(window=0.0)


def henon(z, s):
    return (1 - s[0] * z[0] ** 2 + z[1]) * np.array([1.0, 0.0]) + 0.3 * z[0] * np.array([0.0, 1.0])


# --- orbits, budgets, results --------------------------------------------------------------------------------------------------


def test_samples_of_a_stable_point_are_the_point_and_divergence_is_counted():
    found = scan(tent(0.5, -0.5), "h[0]", np.linspace(-1, 1, 5), attractor=7)
    (branch,) = found.branches
    at_values = np.isin(branch.values, found.values)
    assert found.attractor.shape == (5, 7, 1)
    assert np.abs(found.attractor - branch.points[at_values]).max() < 1e-12
    lost = scan(tent(2.0, 2.5), "h[0]", [0.5, 1.0], attractor=3)
    assert np.isnan(lost.attractor).all()
    assert "diverged at 2 values" in lost.message


def test_no_time_gives_an_empty_result_that_says_so():
    found = scan(tent(0.5, -0.5), "h[0]", [0.0, 1.0], time_limit=1e-9)
    assert found.status == "time_limit"
    assert not found.complete.any()
    assert "complete at 0 of 2 values" in found.message


def test_an_interrupt_returns_what_was_found(monkeypatch):
    known, calls = Follower.enumerate, []

    def enumerate_(self, *arguments):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return known(self, *arguments)

    monkeypatch.setattr(Follower, "enumerate", enumerate_)
    found = scan(tent(0.5, -1.5), "h[0]", np.linspace(-1, 1, 9))
    assert found.status == "interrupted"
    assert found.complete.sum() == 2
    assert len(found.branches) == 1
    assert len(found.branches[0].values) == 9


def test_a_result_prints_its_events_and_turns_into_plain_data():
    found = scan(tent(0.5, -1.5), "h[0]", np.linspace(-1, 1, 5), max_period=2)
    assert "border flip" in repr(found)
    assert repr(found).startswith("Scan: 2 branches over h[0], 1 event; complete at every value")
    data = found.to_dict()
    assert data["events"][0]["kind"] == "border flip"
    assert data["branches"][0]["multipliers"][0][0] == [0.5, 0.0]
    assert repr(found.branches[0]).startswith("Branch(fixed points, 5 values from -1 to 1)")


def test_values_are_visited_coarse_first_and_each_once():
    for count in (1, 2, 3, 8, 21):
        order = module._coarse_first(count)
        assert sorted(order) == list(range(count))
    assert module._coarse_first(9)[:3] == [0, 8, 4]


@pytest.mark.parametrize(
    ("arguments", "options", "error", "message"),
    [
        ((3, "h[0]", [0.0]), {}, TypeError, "scan takes a retime model"),
        ((tent(0.5, 0.5), "h[0]", [1.0, 0.0]), {}, ValueError, "strictly increasing"),
        ((tent(0.5, 0.5), "h[1]", [0.0]), {}, ValueError, "index 1"),
        ((tent(0.5, 0.5), "h[0]", [0.0]), {"max_period": 0}, ValueError, "`max_period` is 0"),
        ((tent(0.5, 0.5), "h[0]", [0.0]), {"attractor": -1}, ValueError, "`attractor` is -1"),
        (
            (tanh_unit(1.0, 0.0), "b[0]", [0.0]),
            {"max_period": 2},
            ValueError,
            "cycles are followed for piecewise-affine maps",
        ),
    ],
)
def test_wrong_arguments_say_what_is_wanted(arguments, options, error, message):
    with pytest.raises(error, match=message):
        scan(*arguments, **options)


def test_all_fixed_points_of_corner_patterns_are_kept_apart():
    # two uncoupled tent maps: patterns combine, folds of one unit happen on both branches of the other
    model = rt.PLRNN([0.5, 0.5], np.diag([1.2, 1.2]), [0.0, -0.3])
    found = scan(model, "h[0]", np.linspace(-1.01, 1, 8))
    folds = [e for e in found.events if e.kind == "border fold"]
    assert len(folds) == 2
    assert len(found.branches) == 4
    ends = {tuple(np.round(e.point[0], 9)) for e in folds}
    assert ends == {(0.0, -0.6), (0.0, round(0.3 / 0.7, 9))}
    assert all(e.unit == 0 for e in folds)


def test_a_closed_loop_of_fixed_points_has_two_border_folds_and_two_branches():
    found = scan(tent(0.5, 2.0), lambda x: tent(0.5, 2.0, abs(x) - 1.0), np.linspace(-2.01, 2, 9))
    assert kinds(found) == ["border fold"] * 2
    assert [e.value for e in found.events] == pytest.approx([-1.0, 1.0], abs=BORDER)
    assert len(found.branches) == 2
    assert all(len(e.branches) == 2 for e in found.events)


# --- ends of the range, errors, failures ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [[0.0, 1.0], [-1.0, 0.0], [0.0, 0.5, 1.0], [-1.0, -0.5, 0.0]])
def test_a_border_flip_exactly_at_an_end_is_an_event(values):
    found = scan(tent(0.5, -1.5), "h[0]", values, max_period=2)
    (event,) = found.events
    assert (event.kind, event.value, event.unit) == ("border flip", 0.0, 0)
    assert event.error <= BORDER


@pytest.mark.parametrize(("values", "branches"), [([-1.0, 0.0], 2), ([0.0, 1.0], 1)], ids=["inside", "outside"])
def test_a_border_fold_exactly_at_an_end_is_an_event(values, branches):
    found = scan(tent(0.5, 1.7), "h[0]", values)
    (event,) = found.events
    assert (event.kind, event.value) == ("border fold", 0.0)
    assert len(event.branches) == len(found.branches) == branches


@pytest.mark.parametrize("values", [[-1.5, 0.0], [-2.0, -1.5]])
def test_a_multiplier_on_the_unit_circle_at_an_end_is_an_event(values):
    found = scan(tent(0.5, 0.0, 1.0), "W[0, 0]", values)
    assert kinds(found) == ["flip"]
    assert found.events[0].value == pytest.approx(-1.5, abs=CROSSING)


@pytest.mark.parametrize(("values", "kind"), [([-1.0, 0.0], "flip"), ([0.5, 1.0], "transcritical or pitchfork")])
def test_a_smooth_crossing_at_an_end_is_an_event(values, kind):
    found = scan(tanh_unit(0.5, 0.0), "W_rec[0, 0]", values)
    assert kinds(found) == [kind]
    assert abs(found.events[0].value) == pytest.approx(1.0, abs=FOLD)


def test_a_pitchfork_at_an_end_adds_no_branch_without_length():
    found = scan(tanh_unit(0.5, 0.0), "W_rec[0, 0]", [1.0, 2.0])
    assert len(found.branches) == 3
    assert all(b.values[-1] == 2.0 for b in found.branches)
    assert kinds(found) == ["transcritical or pitchfork"]


def four_logistic_steps(z, s):
    for _ in range(4):
        z = s[0] * z * (1 - z)
    return z


@pytest.mark.slow
def test_errors_of_smooth_events_cover_the_closed_form():
    found = scan(rt.Map(four_logistic_steps, 1, num_inputs=1), "inputs[0]", np.linspace(2.75, 3.25, 12))
    events = [e for e in found.events if e.kind == "transcritical or pitchfork"]
    assert events
    for e in events:  # the flip of the logistic map is at 3
        assert abs(e.value - 3.0) <= e.error < 1e-5


def test_a_function_that_fails_at_the_first_value_is_named_with_it():
    with pytest.raises(ValueError, match=r"`parameter` failed at value -1\.0: ZeroDivisionError"):
        scan(tent(0.5, 0.5), lambda x: 1 / 0, [-1.0, 1.0])


def test_a_function_that_fails_in_the_middle_keeps_what_was_found():
    def make(x):
        if x > 0.6:
            raise RuntimeError("too far")
        return tent(0.5, -0.5, x)

    found = scan(tent(0.5, 0.5), make, [-1.0, 0.4, 0.7, 1.0], attractor=2)
    assert found.status == "heuristic"
    assert found.complete.tolist() == [True, True, False, False]
    assert "`parameter` failed at value 0.6" in found.message
    assert "too far" in found.message
    assert found.branches[0].values[[0, -1]].tolist() == [-1.0, 0.4]
    assert np.isfinite(found.attractor[:2]).all()
    assert np.isnan(found.attractor[2:]).all()


def test_a_function_that_compiles_anew_stops_in_time_and_says_what_to_do():
    def make(x):
        return rt.Map(lambda z, s: x * z * (1 - z), 1)

    found = scan(make(2.0), make, np.linspace(1.5, 3.6, 60), attractor=10, time_limit=0.5)
    assert found.status == "time_limit"
    assert 'give the parameter as an input ("inputs[0]")' in found.message


def test_no_values_are_refused():
    with pytest.raises(ValueError, match="`values` is empty; it must hold at least one value"):
        scan(tent(0.5, 0.5), "h[0]", [])


def test_the_error_of_an_event_holds_what_interpolation_leaves():
    """The multiplier of z = 0 is -exp(10 (p - 0.3)), which no cubic is."""
    found = scan(tanh_unit(1.0, 0.0), lambda p: tanh_unit(-math.exp(10 * (p - 0.3)), 0.0), [0.0, 0.5, 1.0])
    (event,) = found.events
    assert event.kind == "flip"
    assert 1e-14 < abs(event.value - 0.3) <= event.error <= 1e-8


def test_a_steep_branch_is_not_taken_for_one_that_leaves():
    """z goes from -1 to 1 while b goes from -1 to 1, of a range of 300."""
    found = scan(tanh_unit(0.2, 0.0), "b[0]", [-150.0, 0.0, 150.0])
    assert len(found.events) == 0
    assert len(found.branches) == 1
