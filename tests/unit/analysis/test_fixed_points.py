"""`find_fixed_points`: eigenvalues, degenerate networks, budgets, interruption, arguments."""

import numpy as np
import pytest

import retime as rt
from retime.analysis.fixed_points import leaves, search
from retime.core.errors import ShapeError


def plrnn(rng, n, gain=1.5):
    return rt.PLRNN(rng.uniform(0.2, 0.9, n), gain * rng.normal(size=(n, n)) / np.sqrt(n), rng.normal(size=n))


def linear(A, b, time=None):
    A = np.array(A, dtype=float)
    return rt.LinearSystem(A, np.array(b, dtype=float), np.zeros((len(A), 0)), time=time or rt.Discrete(1.0))


def wide_search(seed=0):
    """60 units: more nodes than are searched in some seconds."""
    return plrnn(np.random.default_rng(seed), 60, 1.2)


# --- closed forms ------------------------------------------------------------------------------------------------------


def test_two_points_of_one_unit_by_hand():
    """z' = z / 2 + 2 relu(z) - 1: z = -2 (multiplier 1/2) and z = 2/3 (multiplier 5/2)."""
    found = rt.find_fixed_points(rt.PLRNN([0.5], [[2.0]], [-1.0]))
    np.testing.assert_allclose(found.points, [[2 / 3], [-2.0]], atol=1e-15)
    np.testing.assert_allclose(found.eigenvalues, [[2.5], [0.5]], atol=1e-15)
    assert found.complete
    assert found.stable.tolist() == [False, True]
    assert found.patterns.tolist() == [[True], [False]]
    assert found.num_unstable.tolist() == [1, 0]


def test_a_network_without_a_fixed_point_is_proven_to_have_none():
    """z' = z / 2 + relu(z) / 2 + 1 lies above the diagonal everywhere."""
    none = rt.find_fixed_points(rt.PLRNN([0.5], [[0.5]], [1.0]))
    assert len(none) == 0
    assert none.complete
    assert not none.continua


def test_time_constants_are_those_of_the_multipliers():
    found = rt.find_fixed_points(rt.PLRNN([0.5, 0.25], np.zeros((2, 2)), [1.0, 1.0], time=rt.Discrete(0.1)))
    np.testing.assert_allclose(found.time_constants[0], [-0.1 / np.log(0.5), -0.1 / np.log(0.25)], rtol=0, atol=1e-15)


@pytest.mark.parametrize("when", [rt.Discrete(0.5), rt.Continuous()])
def test_a_linear_system_has_its_one_point(when):
    A, b = np.array([[0.2, -0.5], [0.3, 0.1]]), np.array([1.0, 2.0])
    found = rt.find_fixed_points(linear(A, b, when))
    want = np.linalg.solve(np.eye(2) - A, b) if when != rt.Continuous() else np.linalg.solve(A, -b)
    np.testing.assert_allclose(found.points, [want], atol=1e-14)
    assert found.complete


def test_a_linear_system_of_one_neutral_mode_has_a_line():
    found = rt.find_fixed_points(linear([[1.0, 0.0], [0.0, 0.5]], [0.0, 1.0]))
    assert found.complete
    assert len(found.continua) == 1
    assert len(found) == 0
    np.testing.assert_allclose(np.abs(found.continua[0].directions[:, 0]), [1.0, 0.0], atol=1e-14)


def test_a_linear_system_with_inconsistent_equations_has_none():
    found = rt.find_fixed_points(linear([[1.0, 0.0], [0.0, 0.5]], [1.0, 1.0]))
    assert found.complete
    assert len(found) == 0
    assert not found.continua


def test_units_without_output_weights_are_still_reported_in_the_patterns(rng):
    W1 = rng.normal(size=(2, 4))
    W1[:, [1, 3]] = 0.0
    W2, h2 = rng.normal(size=(4, 2)), rng.normal(size=4)
    model = rt.ShallowPLRNN([0.5, 0.4], 0.3 * W1, W2, rng.normal(size=2), h2)
    found = rt.find_fixed_points(model)
    assert found.complete
    assert len(found) == 1
    np.testing.assert_array_equal(found.patterns, found.points @ W2.T + h2 > 0)


def test_zero_rows_of_the_input_weights_act_as_constants():
    """Unit 0 is always on with value 2, unit 1 always off: z' = z / 2 + 2 has z = 4."""
    found = rt.find_fixed_points(rt.ShallowPLRNN([0.5], [[1.0, 7.0]], [[0.0], [0.0]], [0.0], [2.0, -3.0]))
    np.testing.assert_allclose(found.points, [[4.0]], atol=1e-14)
    assert found.complete
    assert found.patterns.tolist() == [[True, False]]


def test_duplicated_units_count_as_one(rng):
    W1, W2, h1, h2 = rng.normal(size=(3, 3)), rng.normal(size=(3, 3)), rng.normal(size=3), rng.normal(size=3)
    A = np.array([0.5, 0.3, -0.4])
    one = rt.find_fixed_points(rt.ShallowPLRNN(A, W1, W2, h1, h2))
    two = rt.find_fixed_points(
        rt.ShallowPLRNN(A, np.hstack([W1 / 4, 3 * W1 / 4]), np.vstack([W2, W2]), h1, np.concatenate([h2, h2]))
    )
    assert one.complete
    assert two.complete
    np.testing.assert_allclose(one.points, two.points, atol=1e-12)


def test_opposite_units_leave_a_linear_map():
    """relu(z) - relu(-z) = z: z' = 0.2 z + 0.5 z + 1."""
    found = rt.find_fixed_points(rt.ShallowPLRNN([0.2], [[0.5, -0.5]], [[1.0], [-1.0]], [1.0], [0.0, 0.0]))
    np.testing.assert_allclose(found.points, [[1 / 0.3]], atol=1e-13)
    assert found.complete
    assert len(found) == 1


# --- boundaries --------------------------------------------------------------------------------------------------------


def test_a_point_on_one_boundary_is_found_once():
    found = rt.find_fixed_points(rt.PLRNN([0.5], [[0.3]], [0.0]))
    assert len(found) == 1
    assert found.on_boundary.tolist() == [True]
    assert found.stable.tolist() == [True]
    assert found.complete


@pytest.mark.parametrize("n", [2, 5, 10])
def test_the_corner_of_all_regions_is_one_point(n):
    found = rt.find_fixed_points(rt.PLRNN(np.full(n, 0.5), 0.01 * np.ones((n, n)), np.zeros(n)))
    assert found.complete
    assert len(found) == 1
    assert found.on_boundary.all()
    assert found.stable.all()
    np.testing.assert_allclose(found.points, np.zeros((1, n)), atol=1e-15)


def test_a_corner_of_many_regions_is_stable_only_if_all_of_them_are():
    """Ten boundaries meet at the origin; only where the last unit is on is the map unstable (multiplier 1.5)."""
    n = 10
    W = 1e-3 * (np.ones((n, n)) - np.eye(n))
    W[-1, -1] = 1.0
    model = rt.PLRNN(np.full(n, 0.5), W, np.zeros(n))
    z = np.zeros(n)
    z[-1] = 1e-6
    for _ in range(30):
        z = model.apply(z)
    assert z[-1] > 0.1
    assert rt.find_fixed_points(model).stable.tolist() == [False]


def test_a_line_of_fixed_points_within_a_boundary_is_not_an_isolated_point():
    """z0' = 0.5 z0 + relu(z0), z1' = z1: every (0, z1) is fixed, on the boundary of both regions."""
    found = rt.find_fixed_points(rt.PLRNN([0.5, 1.0], [[1.0, 0.0], [0.0, 0.0]], [0.0, 0.0]))
    assert not found.complete or (len(found) == 0 and found.continua)


# --- continua ----------------------------------------------------------------------------------------------------------


def test_every_state_of_the_identity_is_fixed():
    found = rt.find_fixed_points(rt.PLRNN(np.ones(3), np.zeros((3, 3)), np.zeros(3)))
    assert found.complete
    assert len(found) == 0
    assert [c.directions.shape for c in found.continua] == [(3, 3)]
    assert "dimension 3" in found.message


def test_the_fixed_points_of_the_rectified_identity_are_an_orthant():
    found = rt.find_fixed_points(rt.ReluRNN(np.eye(3), np.zeros((3, 1)), np.zeros(3)))
    assert found.complete
    assert len(found) == 0
    assert [c.pattern.tolist() for c in found.continua] == [[True] * 3]
    assert found.continua[0].directions.shape == (3, 3)
    assert (found.continua[0].point > 0).all()


def test_the_ends_of_a_segment_of_fixed_points_are_not_listed_as_points():
    """z' = 3 z + 2 below -1, z between -1 and 1, 2 z - 1 above 1: the ends of the segment are no points of their own."""
    found = rt.find_fixed_points(rt.ShallowPLRNN([3.0], [[-2.0, 1.0]], [[1.0], [1.0]], [2.0], [1.0, -1.0]))
    assert found.complete
    assert len(found) == 0
    assert [c.pattern.tolist() for c in found.continua] == [[True, False]]
    assert -1 < found.continua[0].point[0] < 1


def test_a_continuum_and_an_isolated_point_are_both_found():
    """Slopes 3, 1/2, 1 with corners at -1 and 1, f(-1) = 0, f(1) = 1: fixed are -3/2 and all z >= 1."""
    both = rt.find_fixed_points(rt.ShallowPLRNN([3.0], [[-2.5, 0.5]], [[1.0], [1.0]], [3.0], [1.0, -1.0]))
    np.testing.assert_allclose(both.points, [[-1.5]], atol=1e-12)
    assert both.complete
    assert len(both.continua) == 1
    assert both.continua[0].point[0] > 1


def test_a_parallel_to_the_diagonal_is_no_continuum():
    """Slopes 2, -1, 1 with corners at -2 and 1; beyond 1 it is z - 5."""
    found = rt.find_fixed_points(rt.ShallowPLRNN([2.0], [[-3.0, 2.0]], [[1.0], [1.0]], [3.0], [2.0, -1.0]))
    np.testing.assert_allclose(np.sort(found.points[:, 0]), [-3.0, -1.5], atol=1e-12)
    assert found.complete
    assert not found.continua


def test_a_singular_region_with_inconsistent_equations_has_no_point():
    """z0' = z0 + 1 where z0 > 0, and z0 / 2 + 1 where z0 < 0: no fixed point of the first state."""
    found = rt.find_fixed_points(rt.PLRNN([0.5, 0.5], [[0.5, 0.0], [0.0, 0.3]], [1.0, -1.0]))
    assert found.complete
    assert len(found) == 0
    assert not found.continua


@pytest.mark.parametrize("size", [1e-12, 1e-6, 1.0, 1e6])
def test_a_line_of_fixed_points_in_a_network_of_any_size_is_a_line(size):
    """z' = z - size relu(z / size - 1): every z <= size is fixed."""
    found = rt.find_fixed_points(rt.ShallowPLRNN([1.0], [[-size / 2]], [[1 / size]], [0.0], [-1.0]))
    assert found.complete
    assert len(found) == 0
    assert len(found.continua) == 1
    tiny = rt.find_fixed_points(rt.ShallowPLRNN([1.0], [[-1.0]], [[size]], [0.0], [-size]))  # the same line, z <= 1
    assert tiny.complete
    assert len(tiny) == 0
    assert len(tiny.continua) == 1


# --- nearly singular and badly scaled ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rest", [1e-9, 1e-11, 1e-12, 1e-13, 1e-14])
def test_a_very_slow_mode_does_not_hide_its_fixed_point(rest):
    """z1' = (1 - rest) z1 + 1 has the one fixed point 1 / (1 - A); z0 is an ordinary mode beside it."""
    slow = 1.0 - rest
    found = rt.find_fixed_points(rt.PLRNN([0.5, slow], np.zeros((2, 2)), [1.0, 1.0]))
    want = [2.0, 1.0 / (1.0 - slow)]
    assert not found.complete or (len(found) == 1 and not found.continua)
    if len(found):
        np.testing.assert_allclose(found.points[0] / want, [1.0, 1.0], atol=1e-9)


@pytest.mark.parametrize("rest", [1e-9, 1e-12, 1e-14])
def test_a_very_slow_flow_does_not_turn_into_a_line_of_equilibria(rest):
    """dz1/dt = rest (5 - z1): one equilibrium, z1 = 5."""
    found = rt.find_fixed_points(rt.ContinuousPLRNN([-1.0, -rest], np.zeros((2, 2)), [1.0, 5 * rest]))
    assert not found.complete or (len(found) == 1 and not found.continua)
    if len(found):
        np.testing.assert_allclose(found.points[0], [1.0, 5.0], atol=1e-9)


def test_time_constants_twelve_decades_apart_keep_their_equilibrium():
    found = rt.find_fixed_points(rt.ContinuousPLRNN([-1e6, -1e-6], np.zeros((2, 2)), [2.0, 3.0]))
    assert not found.complete or len(found) == 1
    if len(found):
        np.testing.assert_allclose(found.points[0], [2e-6, 3e6], rtol=1e-9, atol=0)


@pytest.mark.parametrize("drift", [1.0, 1e-9, 1e-11, 1e-13])
def test_a_slow_drift_is_not_a_line_of_fixed_points(drift):
    """z1' = z1 + drift has no fixed point at all, however small the drift."""
    found = rt.find_fixed_points(rt.PLRNN([0.5, 1.0], np.zeros((2, 2)), [1.0, drift]))
    assert not found.complete or (len(found) == 0 and not found.continua)


def test_a_unit_that_reads_little_and_writes_much_is_not_dropped():
    """z' = 0.5 z + 1e12 relu(1e-13 z) + 1 = 0.6 z + 1 for z > 0."""
    found = rt.find_fixed_points(rt.ShallowPLRNN([0.5], [[1e12]], [[1e-13]], [1.0], [0.0]))
    assert found.complete
    np.testing.assert_allclose(found.points, [[2.5]], atol=1e-9)


def test_networks_of_tiny_numbers_have_their_points():
    found = rt.find_fixed_points(
        rt.ShallowPLRNN([0.5, 0.2], 1e-12 * np.array([[1.0, 2.0], [3.0, -1.0]]), [[1.0, 0.5], [-1.0, 2.0]], [1e-12, 2e-12], [0.0, 0.0])
    )  # fmt: skip
    assert found.complete
    np.testing.assert_allclose(found.points / 1e-12, [[2.0, 2.5]], atol=1e-9)


# --- budgets -----------------------------------------------------------------------------------------------------------


def test_no_time_means_no_proof():
    found = rt.find_fixed_points(plrnn(np.random.default_rng(1), 6), time_limit=1e-9)
    assert not found.complete
    assert found.status == "time_limit"
    assert found.remaining == 1.0
    assert "not complete" in found.message


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_a_budget_of_nodes_is_kept_and_told(limit):
    found = rt.find_fixed_points(wide_search(), node_limit=limit, num_starts=2)
    assert not found.complete
    assert found.status == "node_limit"
    assert found.work <= limit + 2
    assert 0 < found.remaining <= 1
    assert "the budget of nodes" in found.message
    assert found.residuals.max(initial=0.0) < 1e-10


@pytest.mark.parametrize("value", [-1, float("nan"), "3", None, True])
def test_a_budget_of_nodes_is_a_number_that_is_not_negative(value):
    with pytest.raises(ValueError, match=r"`node_limit` is .*>= 0"):
        rt.find_fixed_points(plrnn(np.random.default_rng(1), 3), node_limit=value)


def test_a_time_limit_is_kept_with_the_search_from_starts_included(no_hang):
    model = wide_search()
    found = rt.find_fixed_points(model, time_limit=0.01)
    assert found.status == "time_limit"


def test_a_time_limit_is_kept_where_many_regions_meet_in_one_point(no_hang):
    n = 15
    rt.find_fixed_points(rt.PLRNN(np.full(n, 0.5), 0.01 * np.ones((n, n)), np.zeros(n)), time_limit=0.3)


# --- interruption ------------------------------------------------------------------------------------------------------


def interrupting(function, after):
    """`function`, which presses Ctrl-C instead of its call number `after` (from 0)."""
    calls = iter(range(10**9))

    def call(*args, **options):
        if next(calls) == after:
            raise KeyboardInterrupt
        return function(*args, **options)

    return call


def test_an_interrupted_search_returns_what_it_has(monkeypatch):
    monkeypatch.setattr(search, "wait", interrupting(search.wait, 3))
    found = rt.find_fixed_points(wide_search())
    assert found.status == "interrupted"
    assert not found.complete
    assert found.work > 0
    assert 0 < found.remaining < 1
    assert "Ctrl-C" in found.message


@pytest.mark.parametrize("name", ["search", "first_dictionary"])
def test_an_interruption_in_the_first_moments_forgets_no_branch(monkeypatch, name):
    """The root of the search is not excluded, so it counts as remaining."""
    monkeypatch.setattr(search, name, interrupting(getattr(search, name), 0))
    found = rt.find_fixed_points(wide_search())
    assert found.status == "interrupted"
    assert not found.complete
    assert found.remaining == 1


def test_an_interruption_while_leaves_are_checked_keeps_those_that_were(monkeypatch):
    model = rt.PLRNN(np.full(3, 0.5), np.diag([-0.2, -0.3, -0.4]), [1.0, -1.0, 2.0])
    assert len(rt.find_fixed_points(model)) == 1
    monkeypatch.setattr(leaves, "solve_region", interrupting(leaves.solve_region, 0))
    found = rt.find_fixed_points(model)
    assert found.status == "interrupted"
    assert not found.complete


# --- arguments ---------------------------------------------------------------------------------------------------------


def test_something_else_than_a_model_is_refused():
    with pytest.raises(TypeError, match="`model` is ndarray; find_fixed_points takes"):
        rt.find_fixed_points(np.eye(3))


def test_inputs_of_the_wrong_size_are_refused(rng):
    model = rt.PLRNN([0.5, 0.5], 0.1 * rng.normal(size=(2, 2)), [1.0, 1.0], rng.normal(size=(2, 3)))
    with pytest.raises(ShapeError, match=r"`inputs` has shape \(2,\); it must be \(3,\)"):
        rt.find_fixed_points(model, inputs=np.ones(2))


@pytest.mark.parametrize("starts", [np.zeros(3), np.zeros((4, 2)), np.zeros((0, 3))])
def test_starts_of_the_wrong_shape_are_refused(rng, starts):
    with pytest.raises(ShapeError, match=r"`starts` has shape .* must be \(k, 3\)"):
        rt.find_fixed_points(plrnn(rng, 3), starts=starts)


@pytest.mark.parametrize("number", [-1, 2.5, "many"])
def test_the_number_of_starts_is_a_count(rng, number):
    with pytest.raises((ValueError, TypeError), match="`num_starts`"):
        rt.find_fixed_points(plrnn(rng, 3), complete=False, num_starts=number)


def test_without_proof_the_points_are_those_with_proof_and_nothing_is_claimed(rng):
    model = rt.PLRNN([0.5, 0.4], [[2.0, -1.0], [0.5, 1.5]], [-1.0, -0.3])
    proven, searched = rt.find_fixed_points(model), rt.find_fixed_points(model, complete=False)
    assert searched.status == "heuristic"
    assert not searched.complete
    assert np.isnan(searched.remaining)
    np.testing.assert_allclose(proven.points, searched.points, atol=1e-12)
    assert "no proof" in searched.message


def test_a_search_is_the_same_every_time():
    a, b = (rt.find_fixed_points(plrnn(np.random.default_rng(7), 20)) for _ in range(2))
    assert a.points.tobytes() == b.points.tobytes()
    assert a.work == b.work


def test_the_certificate_says_what_is_claimed(rng):
    found = rt.find_fixed_points(plrnn(rng, 6))
    assert "all fixed points" in found.certificate.claim
    cut = rt.find_fixed_points(wide_search(), node_limit=7, num_starts=2)
    assert "there may be others" in cut.certificate.claim


# --- stability on a boundary


def two_sided(left, right):
    """z' = left z where z_0 < 0, right z where z_0 > 0, continuous where the matrices differ in their first column only."""
    W = np.zeros_like(left)
    W[:, 0] = (right - left)[:, 0]
    return rt.PLRNN(left, W, np.zeros(len(left)))


def test_stable_sides_that_take_turns_in_growing_are_not_stable():
    """A dangerous border collision: both sides have their multipliers inside the unit circle, their orbits leave."""
    net = two_sided(np.array([[-0.62, 1.0], [-0.91, 0.0]]), np.array([[-1.41, 1.0], [-0.92, 0.0]]))
    found = rt.find_fixed_points(net)
    assert found.on_boundary.all()
    assert (np.abs(found.eigenvalues) < 1).all()
    assert not found.stable.any()
    assert "on its side" in repr(found)
    assert np.abs(rt.simulate(net, [1e-3, 1e-3], steps=500).states[-1]).max() > 1e6


def test_an_unstable_side_that_every_orbit_leaves_does_no_harm():
    net = rt.PLRNN([0.5], [[-2.5]], [0.0])  # slopes 0.5 and -2: a product of -1 in two steps, then 0.5 for ever
    assert rt.find_fixed_points(net).stable.tolist() == [True]
    assert rt.find_fixed_points(rt.to_continuous(net).model).stable.tolist() == [True]


def test_stability_on_a_boundary_is_that_of_orbits(rng):
    """Random planar maps in two pieces, their orbits followed here from many directions."""
    decided = {True: 0, False: 0}
    turn = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    for _ in range(60):
        t, d = rng.uniform(-1.5, 1.5, 2), rng.uniform(-0.95, 0.95, 2)
        left, right = (np.array([[t[k], 1.0], [-d[k], 0.0]]) for k in range(2))
        z = np.stack([np.cos(turn), np.sin(turn)])
        for _ in range(600):
            z = np.where(z[0] < 0, left @ z, right @ z)
        sizes = np.linalg.norm(z, axis=0)
        if 1e-4 < sizes.max() < 1e7:
            continue
        want = bool(sizes.max() <= 1e-4)
        decided[want] += 1
        assert rt.find_fixed_points(two_sided(left, right)).stable.tolist() == [want]
    assert min(decided.values()) > 5


@pytest.mark.parametrize(("damping", "growth", "is_stable"), [(-0.5, 0.2, True), (-0.2, 0.5, False)])
def test_a_focus_in_two_halves_is_stable_when_its_turns_shrink(damping, growth, is_stable):
    """Half a turn on each side multiplies by exp(pi a / w): the side that grows is outdone, or not."""
    left, right = (np.array([[2 * a, 1.0], [-(a * a + 1.0), 0.0]]) for a in (damping, growth))
    model = rt.PiecewiseAffineRNN(left, (right - left)[:, :1], [[1.0, 0.0]], np.zeros(2), [0.0], time=rt.Continuous())
    found = rt.find_fixed_points(model)
    assert found.on_boundary.tolist() == [True]
    assert found.stable.tolist() == [is_stable]


@pytest.mark.parametrize(("gap", "kind"), [(1e-9, "stable node"), (1e-11, "stable node"), (1e-13, "neutral")])
def test_a_multiplier_is_neutral_within_1e_12_of_the_unit_circle(gap, kind):
    found = rt.find_fixed_points(rt.PLRNN([1 - gap], [[0.0]], [gap]))
    assert found.kinds == (kind,)
    assert found.stable.tolist() == [kind != "neutral"]


def test_growth_that_passes_does_not_make_a_point_on_a_boundary_unstable():
    """Jordan blocks of 0.999 on both sides: k 0.999^(k-1) is 300 after 500 steps, and 0 in the end."""
    found = rt.find_fixed_points(rt.PLRNN([[0.999, 1.0], [0.0, 0.999]], [[0.0, 0.1], [0.0, 0.0]], [0.0, 0.0]))
    assert found.on_boundary.tolist() == [True]
    assert found.stable.tolist() == [True]


def test_a_point_on_a_boundary_is_one_point_though_its_matrix_is_ill_conditioned(rng):
    """z_1 = 0, known to 1e4 times rounding: it counts for both sides."""
    for _ in range(20):
        Q, R = (np.linalg.qr(rng.normal(size=(3, 3)))[0] for _ in range(2))
        M, W, z = Q @ np.diag([1.0, 0.3, 1e-4]) @ R, np.zeros((3, 3)), np.array([0.0, 1.3, -0.7])
        W[:, 0] = 0.25, 0.1, 0.05
        found = rt.find_fixed_points(rt.PLRNN(np.eye(3) - M, W, M @ z))
        assert found.on_boundary.tolist() == [True]
        np.testing.assert_allclose(found.points[0], z, rtol=0, atol=1e-10)
