"""Maps over two parameters against closed forms of the skew tent map and of one tanh unit, and against single searches."""

import math
from importlib import import_module

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq

import retime as rt
from retime.analysis.branches.grid import stability_map
from retime.core.errors import ShapeError

module = import_module("retime.analysis.branches.grid")  # its verb hides it


def tent(left, right, level=1.0):
    return rt.PLRNN([left], [[right - left]], [level])


def tent_map(lefts, rights, **options):
    return stability_map(tent(0.5, 0.5), tent, (lefts, rights), z0=[0.3], **options)


def test_points_and_periods_of_the_skew_tent_map_are_the_closed_form():
    lefts, rights = np.array([-0.7, -0.2, 0.3, 0.9]), np.array([-4.1, -1.3, -1.05, -0.6, 0.8, 1.4])
    found = tent_map(lefts, rights)
    for (i, a), (j, b) in pairs(lefts, rights):
        points = [x for x, inside in ((1 / (1 - a), 1 / (1 - a) < 0), (1 / (1 - b), 1 / (1 - b) > 0)) if inside]
        assert found.num_points[i, j] == len(points)
        assert found.num_stable[i, j] == (1 if abs(b) < 1 else 0)
        if b > 1:
            assert found.period[i, j] == -1
        elif abs(b) < 1:
            assert found.period[i, j] == 1
        elif abs(a * b) < 1:
            assert found.period[i, j] == 2
    assert found.complete.all()
    assert found.status == "complete"


def pairs(first, second):
    return [((i, a), (j, b)) for i, a in enumerate(first) for j, b in enumerate(second)]


def test_a_stable_three_cycle_is_named():
    # left, left, right: multiplier left^2 right; it exists from right < -(1 + left) / left on
    found = tent_map([0.3, 0.4], [-5.5, -5.0])
    assert (found.period == 3).all()
    assert (tent_map([0.3], [-5.5], max_period=2).period == 0).all()


def test_slow_convergence_is_decided_by_solving_for_the_cycle():
    found = tent_map([0.5], [-1.999998, -0.999999], steps=50)
    assert found.period.tolist() == [[2, 1]]


def test_folds_of_a_tanh_unit_bound_the_region_of_three_points():
    ws, bs = np.array([-1.7, -0.4, 0.7, 1.3, 2.2]), np.array([-0.9, -0.31, 0.0, 0.17, 0.62])
    found = stability_map(
        rt.TanhRNN([[1.0]], np.zeros((1, 0)), [0.0]), ("W_rec[0, 0]", "b[0]"), (ws, bs), z0=[0.2], steps=500
    )
    for (i, w), (j, b) in pairs(ws, bs):
        s = math.sqrt(1 - 1 / w) if w > 1 else 0.0
        inside = w > 1 and abs(b) < w * s - math.atanh(s)
        assert found.num_points[i, j] == (3 if inside else 1)
        if not inside:
            z = brentq(lambda z, w=w, b=b: math.tanh(w * z + b) - z, -1, 1)
            assert found.num_stable[i, j] == (abs(w * (1 - z * z)) < 1)
        else:
            assert found.num_stable[i, j] == 2
    assert found.status == "heuristic"
    assert found.period[2, 2] == 1
    assert found.period[0, 2] == 2


def test_counts_are_those_of_single_searches(rng):
    n = 5
    model = rt.PLRNN(rng.uniform(0.2, 0.8, n), rng.normal(size=(n, n)), rng.normal(size=n), np.eye(n))
    grid = (np.linspace(-2, 2, 4), np.linspace(-1, 1, 3))
    found = stability_map(model, ("W[0, 1]", "inputs[2]"), grid, steps=10)
    for (i, w), (j, level) in pairs(*grid):
        W = model.W.copy()
        W[0, 1] = w
        one = rt.find_fixed_points(rt.PLRNN(model.A, W, model.h, model.C), inputs=level * np.eye(n)[2])
        assert (found.num_points[i, j], found.num_stable[i, j]) == (len(one), one.stable.sum())
    assert found.num_points.max() > 0
    assert found.parameters == ("W[0, 1]", "inputs[2]")


def test_a_converted_flow_has_the_map_of_its_map():
    model, grid = tent(0.5, -0.5), (np.array([-0.5, 1.5]), np.array([-1.0, 1.0]))
    one = stability_map(model, ("A[0]", "h[0]"), grid)
    other = stability_map(rt.to_continuous(model).model, ("A[0]", "h[0]"), grid)
    for name in ("num_points", "num_stable", "period"):
        assert np.array_equal(getattr(one, name), getattr(other, name))


def test_a_flow_rests_moves_on_or_diverges():
    model = rt.ContinuousPLRNN([-1.0, -1.0], np.zeros((2, 2)), [1.0, 1.0])
    turn = {"A": [[1.0, 0.0], [0.0, 1.0]]}
    spin = {"A": [[0.0, -1.0], [1.0, 0.0]]}
    found = stability_map(model, (turn, spin), ([0.0, 1.0, 2.0], [0.5, 3.0]), z0=[1.0, 0.0])
    assert found.period.tolist() == [[1, 1], [0, 0], [-1, -1]]
    assert found.num_stable.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_no_time_leaves_the_places_marked():
    found = tent_map([0.1, 0.2], [0.3], time_limit=1e-9)
    assert found.status == "time_limit"
    assert (found.period == -2).all()
    assert (found.num_points == -1).all()
    assert found.message == "time ended after 0 of 2 places"


def test_an_interrupt_keeps_what_was_done(monkeypatch):
    known, calls = module.affine_period, []

    def period(*arguments):
        calls.append(1)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return known(*arguments)

    monkeypatch.setattr(module, "affine_period", period)
    found = tent_map(np.linspace(0.1, 0.5, 5), [0.3])
    assert found.status == "interrupted"
    assert (found.period == 1).sum() == 2


def test_a_result_prints_shares_and_turns_into_plain_data():
    found = tent_map([0.1, 0.2], [0.3, 1.5])
    assert "fixed points complete everywhere" in repr(found)
    assert found.to_dict()["period"] == [[1, -1], [1, -1]]


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"model": 3}, TypeError, "stability_map takes a retime model"),
        ({"parameters": "h[0]"}, TypeError, "must be two"),
        ({"values": [1.0, 2.0, 3.0]}, ValueError, "two increasing arrays"),
        ({"max_period": 0}, ValueError, "`max_period` is 0"),
        ({"steps": 1.5}, ValueError, "`steps` is 1.5"),
        ({"z0": [1.0, 2.0]}, ShapeError, "`z0` has shape"),
    ],
)
def test_wrong_arguments_say_what_is_wanted(change, error, message):
    arguments = {"model": tent(0.5, 0.5), "parameters": ("h[0]", "A[0]"), "values": ([0.0], [0.1])} | change
    options = {k: v for k, v in arguments.items() if k not in ("model", "parameters", "values")}
    with pytest.raises(error, match=message):
        stability_map(arguments["model"], arguments["parameters"], arguments["values"], **options)


def test_a_two_cycle_with_multiplier_near_minus_one_is_no_four_cycle():
    found = tent_map([0.780769], [-1.264103])
    assert found.period.tolist() == [[2]]


def logistic(z, s):
    return s[0] * z * (1 - z) + s[1]


def test_slow_alternation_of_a_smooth_map_is_a_fixed_point():
    found = stability_map(
        rt.Map(logistic, 1, num_inputs=2), ("inputs[0]", "inputs[1]"), ([2.99, 3.2, 3.5], [0.0]), z0=[0.3], steps=1300
    )
    assert found.period[:, 0].tolist() == [1, 2, 4]  # the fixed point has the multiplier -0.99


def test_slow_divergence_is_named():
    assert tent_map([0.5], [1.0001, 1.005]).period.tolist() == [[-1, -1]]


def test_a_function_that_fails_is_named_with_its_place():
    with pytest.raises(ValueError, match=r"`parameters` failed at values \(0\.1, 0\.0\): ZeroDivisionError"):
        stability_map(tent(0.5, 0.5), lambda a, b: tent(a, 1 / b), ([0.1], [0.0]))


def test_an_empty_axis_is_refused():
    with pytest.raises(ValueError, match=r"`values\[1\]` is empty; it must hold at least one value"):
        stability_map(tent(0.5, 0.5), tent, ([0.1], []))


@pytest.mark.slow
def test_points_where_a_field_fades_towards_infinity_are_not_counted():
    """dz/dt = s - 4 z / (1 + z^2) has two zeros and tends to s far out; the Brusselator has one, at (1, b)."""
    fading = rt.VectorField(lambda z, s: s[0] - 4 * z / (1 + z**2) + 0 * s[1], 1, 2)
    found = stability_map(fading, ("inputs[0]", "inputs[1]"), ([0.6], [0.0]))
    assert (found.num_points.item(), found.num_stable.item()) == (2, 1)
    field = lambda z, s: jnp.stack([s[0] - (s[1] + 1) * z[0] + z[0] ** 2 * z[1], s[1] * z[0] - z[0] ** 2 * z[1]])  # noqa: E731
    found = stability_map(rt.VectorField(field, 2, 2), ("inputs[0]", "inputs[1]"), ([1.0], [1.5, 2.5]))
    assert found.num_points.tolist() == [[1, 1]]
    assert found.num_stable.tolist() == [[1, 0]]


def turning(size, angle):
    return size * np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])


def test_growth_by_turning_within_a_region_is_divergence():
    """No direction expands for ever where two states turn; the unit reads the third one, which rests."""

    def model(size, _):
        W = np.zeros((3, 3))
        W[:2, :2], W[2, 2] = turning(size, 1.0), 0.2
        return rt.AlmostLinearRNN([0.0, 0.0, 0.3], W, [0.0, 0.0, 1.0], num_relu=1)

    found = stability_map(model(1, 0), model, ([0.98, 1.1], [0.0]), z0=[1e-3, 0.0, 2.0], steps=150, max_period=4)
    assert found.period[:, 0].tolist() == [1, -1]


def test_a_slow_spiral_from_an_unstable_point_does_not_diverge():
    """It grows by 1.0005 per step near (10, 10), and stays bounded."""

    def model(size, angle):
        M = turning(size, angle)
        return rt.PLRNN(0.3 * np.eye(2), M - 0.3 * np.eye(2), (np.eye(2) - M) @ [10.0, 10.0])

    far = rt.simulate(model(1.0005, 1.0), [10.01, 10.0], steps=60_000).states
    assert 15 < far.max() < 25
    found = stability_map(model(1, 1), model, ([1.0005], [1.0]), z0=[10.01, 10.0], steps=100)
    assert found.period.tolist() == [[0]]
