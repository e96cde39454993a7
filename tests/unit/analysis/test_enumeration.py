"""All regions in a box: against every pattern by SciPy, dense grids and counting formulas."""

from math import comb

import numpy as np
import pytest
from scipy.optimize import linprog

import retime as rt
from references import all_patterns
from retime.analysis.regions import inscribed_ball
from retime.analysis.regions.enumeration import enumerate_regions


def shallow(rng, n, q, **options):
    return rt.ShallowPLRNN(
        np.full(n, 0.5), rng.normal(size=(n, q)), rng.normal(size=(q, n)), np.zeros(n), rng.normal(size=q), **options
    )


def keys(patterns):
    return {tuple(d) for d in np.asarray(patterns).astype(int).tolist()}


def inscribed(W, g, pattern, low, high):
    """Radius of the largest ball in the box and the region, by SciPy; None when there is no point."""
    n, sign = W.shape[1], np.where(pattern, 1.0, -1.0)
    A = np.vstack(
        [np.hstack([-sign[:, None] * W, np.linalg.norm(W, axis=1)[:, None]]), np.eye(n, n + 1), -np.eye(n, n + 1)]
    )
    A[len(W) :, n] = 1
    b = np.concatenate([sign * g, np.full(n, high), np.full(n, -low)])
    found = linprog(np.append(np.zeros(n), -1.0), A_ub=A, b_ub=b, bounds=[(None, None)] * n + [(0, None)])
    return found.x[n] if found.status == 0 else None


def test_regions_are_those_that_scipy_finds_among_all_patterns(rng):
    model = shallow(rng, 3, 7)
    form = model.canonical
    want = {tuple(d.astype(int)): inscribed(form.W2, form.h2, d, -1.0, 2.0) for d in all_patterns(7)}
    want = {d: r for d, r in want.items() if r is not None and r > 1e-8}
    found = enumerate_regions(model, (-1, 2))
    assert found.complete
    assert 20 < len(found) < 100
    assert keys(found.patterns) == set(want)
    radii = [want[tuple(d)] for d in found.patterns.astype(int).tolist()]
    np.testing.assert_allclose(found.radii, radii, rtol=0, atol=1e-7)  # SciPy's tolerance


def test_every_point_lies_in_its_region_with_the_ball_around_it(rng):
    model = shallow(rng, 4, 10)
    found = enumerate_regions(model, (-2, 2))
    assert (model.pattern(found.points) == found.patterns).all()
    form = model.canonical
    margins = np.abs(form.preactivation(found.points)) / np.linalg.norm(form.W2, axis=1)
    walls = 2 - np.abs(found.points).max(axis=1)
    np.testing.assert_allclose(found.radii, np.minimum(margins.min(axis=1), walls), rtol=0, atol=1e-14)
    assert (np.diff(found.radii) <= 0).all()


@pytest.mark.parametrize(("n", "q"), [(1, 6), (2, 9), (3, 7), (4, 3)])
def test_generic_boundaries_make_as_many_regions_as_the_formula_says(rng, n, q):
    found = enumerate_regions(shallow(rng, n, q), (-1e4, 1e4))
    assert len(found) == sum(comb(q, k) for k in range(n + 1))


def test_boundaries_through_the_middle_of_the_box_make_2q_sectors(rng):
    model = rt.ShallowPLRNN([0.5, 0.5], np.zeros((2, 9)), rng.normal(size=(9, 2)), [0, 0], np.zeros(9))
    assert len(enumerate_regions(model, (-1, 1))) == 18


def test_published_network_has_the_regions_of_a_dense_grid_and_more_only_between_its_points(data):
    d = np.load(data / "shallow_plrnn_cycles.npz")
    model = rt.ShallowPLRNN(*(d[k] for k in ("A", "W1", "W2", "h1", "h2")))
    x = np.linspace(-50, 50, 401)
    grid = np.stack(np.meshgrid(x, x), axis=-1).reshape(-1, 2)
    numbers = np.unique(model.pattern(grid) @ 2 ** np.arange(10))
    seen = keys((numbers[:, None] >> np.arange(10)) & 1)
    found = enumerate_regions(model, (-50, 50))
    assert found.complete
    assert len(found) == 56  # ten lines in general position that all cross inside: 1 + 10 + 45
    assert seen <= keys(found.patterns)
    new = [r for d, r in zip(found.patterns.astype(int).tolist(), found.radii, strict=True) if tuple(d) not in seen]
    assert max(new) < 0.25 / np.sqrt(2)  # no grid point fits into a smaller ball


def test_units_that_read_one_state_each_need_no_linear_program():
    found = enumerate_regions(rt.PLRNN(np.full(3, 0.5), np.eye(3), np.zeros(3)), (-1, 2))
    assert found.linear_programs == 0
    assert keys(found.patterns) == keys(all_patterns(3))
    np.testing.assert_allclose(found.radii, [1.0] + [0.5] * 7, rtol=0, atol=0)


def test_thresholds_of_a_dendritic_network_make_a_grid(rng):
    model = rt.DendriticPLRNN([0.5, 0.5], np.eye(2), [0, 0], [1.0, -1, 0.5], rng.uniform(-0.9, 0.9, (3, 2)))
    found = enumerate_regions(model, (-1, 1))
    assert len(found) == 16
    assert (model.pattern(found.points) == found.patterns).all()
    assert keys(found.patterns) >= keys(np.unique(model.pattern(rng.uniform(-1, 1, (1000, 2))), axis=0))


def test_count_of_regions_not_listed_is_exact_for_a_grid():
    found = enumerate_regions(rt.PLRNN(np.full(60, 0.5), np.eye(60), np.zeros(60)), (-1, 1), max_regions=5)
    assert (len(found), found.remaining, found.status) == (5, 2**60 - 5, "node_limit")
    assert "raise max_regions" in found.message


def test_unit_without_a_boundary_in_the_box_keeps_its_sign():
    W2 = [[1.0, 1], [0, 0], [0, 0], [1, -1]]
    model = rt.ShallowPLRNN([0.5, 0.5], np.zeros((2, 4)), W2, [0, 0], [0.1, 1.0, -1.0, 9.0])
    assert keys(enumerate_regions(model, (-1, 1)).patterns) == {(0, 1, 0, 1), (1, 1, 0, 1)}


def test_flat_box_has_the_regions_of_the_square_it_is_scaled_from(rng):
    W2, h2 = rng.normal(size=(8, 2)), rng.normal(size=8)
    square, flat = (rt.ShallowPLRNN([0.5, 0.5], np.zeros((2, 8)), W2 * s, [0, 0], h2) for s in ([1, 1], [1, 1e4]))
    want = keys(enumerate_regions(square, (-2, 2)).patterns)
    assert len(want) > 15
    assert keys(enumerate_regions(flat, [[-2, 2], [-2e-4, 2e-4]]).patterns) == want


def test_copies_of_a_boundary_do_not_add_regions(rng):
    w, g = rng.normal(size=(3, 2)), rng.normal(size=3) * 0.2
    one = rt.ShallowPLRNN([0.5, 0.5], np.zeros((2, 3)), w, [0, 0], g)
    more = rt.ShallowPLRNN([0.5, 0.5], np.zeros((2, 9)), np.vstack([w, 3 * w, -w]), [0, 0], np.hstack([g, 3 * g, -g]))
    assert len(enumerate_regions(more, (-1, 1))) == len(enumerate_regions(one, (-1, 1)))


def test_input_moves_the_boundaries(rng):
    model = rt.ReluRNN(rng.normal(size=(3, 3)), rng.normal(size=(3, 1)), rng.normal(size=3))
    found = enumerate_regions(model, (-5, 5), inputs=[0.7])
    assert (model.pattern(found.points, np.array([0.7])) == found.patterns).all()


def test_flows_and_held_maps_have_the_regions_of_their_network(rng):
    model = shallow(rng, 2, 4)
    flow = rt.to_continuous(model).model
    want = keys(enumerate_regions(model, (-1, 1)).patterns)
    for other in (flow, rt.to_discrete(flow, flow.dt, method=rt.ZeroOrderHold()).model):
        assert keys(enumerate_regions(other, (-1, 1)).patterns) == want


@pytest.mark.parametrize("box", [(-1, 2), [[-1, 2]] * 3, (np.full(3, -1.0), np.full(3, 2.0)), (-1, [2, 2, 2])])
def test_box_may_be_given_in_several_ways(rng, box):
    found = enumerate_regions(shallow(rng, 3, 3), box)
    np.testing.assert_allclose(found.box, [[-1, 2]] * 3, rtol=0, atol=0)


def test_limit_on_regions_says_what_was_left(rng):
    found = enumerate_regions(shallow(rng, 3, 12), (-5, 5), max_regions=7)
    assert (len(found), found.status, found.complete) == (7, "node_limit", False)
    assert found.remaining > 0
    assert f"{found.remaining} branches" in found.message


def test_limit_on_time_returns_what_was_found(rng):
    found = enumerate_regions(shallow(rng, 3, 12), (-5, 5), time_limit=1e-9)
    assert (len(found), found.status, found.remaining) == (0, "time_limit", 1)
    assert found.patterns.shape == (0, 12)


def test_interrupt_returns_what_was_found(rng, monkeypatch):
    largest, calls = inscribed_ball.InscribedBall.largest, []

    def interrupted(self, signs):
        calls.append(1)
        if len(calls) == 60:
            raise KeyboardInterrupt
        return largest(self, signs)

    monkeypatch.setattr(inscribed_ball.InscribedBall, "largest", interrupted)
    found = enumerate_regions(shallow(rng, 3, 12), (-5, 5))
    assert found.status == "interrupted"
    assert len(found) > 0
    assert found.remaining > 0


def test_result_prints_and_becomes_plain_data(rng):
    found = enumerate_regions(shallow(rng, 2, 4), (-1, 1))
    assert "all there are" in repr(found)
    assert found.to_dict()["complete"] is True


@pytest.mark.parametrize(
    ("box", "message"),
    [
        ((1, -1), "state 0 goes from 1.0 to -1.0"),
        ([[0, 1]] * 3, r"has shape \(3, 2\); it must be \(2, 2\)"),
        ((-np.inf, 1), "must be finite"),
    ],
)
def test_wrong_box_is_refused(rng, box, message):
    with pytest.raises(ValueError, match=message):
        enumerate_regions(shallow(rng, 2, 3), box)


def test_wrong_arguments_are_refused(rng):
    with pytest.raises(TypeError, match="`model` is TanhRNN, which has no regions"):
        enumerate_regions(rt.TanhRNN(np.eye(2), np.zeros((2, 0)), np.zeros(2)), (-1, 1))
    with pytest.raises(ValueError, match="`max_regions` is 0"):
        enumerate_regions(shallow(rng, 2, 3), (-1, 1), max_regions=0)
    with pytest.raises(ValueError, match="`time_limit` is -1"):
        enumerate_regions(shallow(rng, 2, 3), (-1, 1), time_limit=-1)
