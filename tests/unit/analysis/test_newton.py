"""Newton's search against closed forms, SciPy's solvers, and systems whose solutions are no isolated points."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq, root

import retime as rt
from retime.analysis.fixed_points import multistart
from retime.analysis.fixed_points.multistart import search_smooth
from retime.core.errors import ShapeError

NONE = np.zeros(0)
EXACT = 1e-9  # solutions are polished to rounding; their condition here is below 1e5


def lorenz(z):
    x, y, w = z
    return jnp.array([10 * (y - x), x * (28 - w) - y, x * y - 8 / 3 * w])


def lorenz_in_numpy(z):
    x, y, w = np.asarray(z, dtype=float)
    return np.array([10 * (y - x), x * (28 - w) - y, x * y - 8 / 3 * w])


def gru(rng, n=8, m=2):
    return rt.GRU(*[rng.normal(size=size) for size in [(3 * n, n), (3 * n, m), (3 * n,), (3 * n,)]])


def same_sets(a, b, tolerance):
    apart = np.abs(a[:, None] - b[None]).max(axis=2)
    return a.shape == b.shape and (apart.min(axis=1) <= tolerance).all() and (apart.min(axis=0) <= tolerance).all()


def test_the_three_fixed_points_of_a_scalar_tanh_map():
    model = rt.TanhRNN([[1.5]], [[1.0]], [0.0])
    found = search_smooth(model, np.zeros(1), num_starts=32)
    x = brentq(lambda x: np.tanh(1.5 * x) - x, 0.1, 2.0, xtol=1e-15)
    assert found.status == "heuristic"
    assert same_sets(found.points, np.array([[0.0], [x], [-x]]), EXACT)
    assert not found.continuum
    # sigma_min of a 1 x 1 Jacobian is its modulus
    assert np.abs(found.gaps - [0.5, *2 * [abs(1.5 * (1 - x**2) - 1)]]).max() <= EXACT


def test_a_constant_input_moves_the_fixed_point():
    model = rt.TanhRNN([[0.5]], [[1.0]], [0.0])
    x = brentq(lambda x: np.tanh(0.5 * x + 0.7) - x, 0, 2, xtol=1e-15)
    assert same_sets(search_smooth(model, np.array([0.7]), num_starts=8).points, np.array([[x]]), EXACT)


@pytest.mark.parametrize("f", [lorenz, lorenz_in_numpy])
def test_the_three_equilibria_of_lorenz(f):
    starts = np.array([[1.0, 2.0, 3.0], [6.0, 9.0, 20.0], [-6.0, -9.0, 20.0]])
    found = search_smooth(rt.VectorField(f, 3), NONE, starts=starts, num_starts=4)
    c = np.sqrt(8 / 3 * 27)
    assert same_sets(found.points, np.array([[0, 0, 0], [c, c, 27], [-c, -c, 27]]), EXACT)


def test_a_numpy_map_has_the_same_points_as_its_traced_twin():
    henon = lambda xp: lambda z: xp.stack([1 - 1.4 * z[0] ** 2 + z[1], 0.3 * z[0]])  # noqa: E731
    x = (-0.7 + np.array([1, -1]) * np.sqrt(0.49 + 5.6)) / 2.8  # 1.4 x^2 + 0.7 x - 1 = 0
    want = np.stack([x, 0.3 * x], axis=1)
    starts = [[1.0, 0.0], [-1.0, 0.0]]
    for xp in (np, jnp):
        found = search_smooth(rt.Map(henon(xp), 2), NONE, starts=starts, num_starts=4)
        assert same_sets(found.points, want, EXACT)


@pytest.mark.slow
def test_a_gru_has_all_points_that_scipy_finds_from_many_starts(rng):
    model = gru(rng)
    found = search_smooth(model, np.zeros(2))
    assert np.abs(model.step(found.points) - found.points).max() <= 1e-13
    solved = [
        root(lambda z: model.step(z) - z, z, jac=lambda z: model.jacobian(z) - np.eye(8))
        for z in rng.normal(size=(40, 8))
    ]
    theirs = np.array([r.x for r in solved if r.success])
    theirs = theirs[
        np.abs(theirs).max(axis=1) <= 1
    ]  # beyond, the gates saturate and F(z) - z vanishes at infinity only
    assert len(theirs) > 5
    assert np.abs(found.points).max() < 1
    assert np.abs(theirs[:, None] - found.points).max(axis=2).min(axis=1).max() <= 1e-6  # SciPy's xtol is 1.5e-8


def test_hopfield_rests_near_its_stored_patterns_and_their_negatives(rng):
    x = rng.choice([-1.0, 1.0], size=(2, 24))
    net = rt.HopfieldNetwork.storing(x, gain=3.0)
    found = search_smooth(net, NONE, num_starts=128)
    stable = [u for u in found.points if np.linalg.eigvals(net.jacobian(u)).real.max() < 0]
    signs = {tuple(np.sign(u)) for u in stable}
    assert {tuple(p) for p in np.concatenate([x, -x])} <= signs


def test_a_rate_network_and_its_euler_map_have_the_same_points(rng):
    flow = rt.RateRNN(
        1.8 * rng.normal(size=(6, 6)) / np.sqrt(6), rng.normal(size=(6, 1)), 0.3 * rng.normal(size=6), tau=2.0
    )
    step = rt.to_discrete(flow, 0.1, method=rt.Euler()).model
    a, b = (search_smooth(x, np.array([0.4]), num_starts=96).points for x in (flow, step))
    assert len(a) >= 1
    assert same_sets(a, b, EXACT)


def test_seeds_differ_and_the_set_does_not(rng):
    model = rt.TanhRNN(2.0 * rng.normal(size=(3, 3)), np.zeros((3, 0)), np.zeros(3))
    a, b = (search_smooth(model, NONE, seed=seed) for seed in (1, 2))
    assert a.points.shape == b.points.shape
    assert np.abs(a.points - b.points).max() <= EXACT  # in the same order too


@pytest.mark.slow
def test_the_same_seed_gives_the_same_numbers(rng):
    model = gru(rng, 4)
    a, b = (search_smooth(model, np.zeros(2), num_starts=32, seed=3) for _ in range(2))
    assert np.array_equal(a.points, b.points)
    assert a.endings == b.endings


def test_an_odd_network_has_the_mirror_image_of_every_point(rng):
    model = rt.TanhRNN(2 * np.eye(3) + 0.2 * rng.normal(size=(3, 3)), np.zeros((3, 0)), np.zeros(3))
    found = search_smooth(model, NONE).points
    assert len(found) > 3
    assert same_sets(found, -found, EXACT)


def test_of_the_identity_map_a_few_points_and_all_directions_are_kept():
    found = search_smooth(rt.Map(lambda z: 1.0 * z, 3), NONE)
    assert found.continuum
    assert 1 <= len(found.points) <= 5
    assert all(len(v) == 3 for v in found.null_directions)


def test_a_line_attractor_is_flagged_with_its_direction(rng):
    # every multiple of v is a fixed point
    v = rng.normal(size=4)
    v /= np.linalg.norm(v)
    found = search_smooth(rt.Map(lambda z: 0.5 * z + 0.5 * v * (v @ z), 4), NONE)
    assert found.continuum
    assert len(found.points) <= 5
    for z, d in zip(found.points, found.null_directions, strict=True):
        assert np.abs(z - v * (v @ z)).max() <= EXACT
        assert d.shape == (1, 4)
        assert abs(abs(d[0] @ v) - 1) <= EXACT


def test_a_ring_of_fixed_points_has_its_tangent_as_direction():
    def ring(z):
        x, y = z
        return (1 - (x**2 + y**2)) * z

    found = search_smooth(rt.VectorField(ring, 2), NONE)
    assert np.abs(found.points[0]).max() <= EXACT  # the center is isolated
    assert len(found.null_directions[0]) == 0
    assert 1 <= len(found.points) - 1 <= 5
    for z, d in zip(found.points[1:], found.null_directions[1:], strict=True):
        assert abs(np.linalg.norm(z) - 1) <= EXACT
        assert abs(d[0] @ z) <= 1e-3  # a shift of 0.01 along the circle is off the tangent by half of that


def test_a_degenerate_isolated_point_is_one_point_and_no_continuum():
    found = search_smooth(rt.VectorField(lambda z: -(z**3), 1), NONE)
    assert found.points.shape == (1, 1)
    assert abs(found.points[0, 0]) <= 1e-3  # a triple root: |G| = 1e-10 already at 5e-4
    assert not found.continuum


def test_a_slow_passage_is_a_slow_point_with_its_speed():
    found = search_smooth(rt.VectorField(lambda z: z**2 + 1e-3, 1), NONE)
    assert len(found.points) == 0
    assert np.abs(found.slow).max() <= 1e-3
    assert found.speeds == pytest.approx([1e-3], rel=1e-3)


def test_a_map_without_fixed_points_says_how_its_starts_ended():
    found = search_smooth(rt.Map(lambda z: z + 1.0, 2), NONE, num_starts=16)
    assert len(found.points) == 0
    assert sum(found.endings.values()) == found.num_starts == 16
    assert found.endings["converged"] == 0


def test_given_starts_are_followed_first(rng):
    model = rt.VectorField(lorenz, 3)
    found = search_smooth(model, NONE, starts=[8.0, 8.0, 26.0], num_starts=1)
    c = np.sqrt(72)
    assert same_sets(found.points, np.array([[c, c, 27.0]]), EXACT)
    assert found.num_starts == 1


def test_no_time_gives_the_status_time_limit():
    found = search_smooth(rt.VectorField(lorenz, 3), NONE, time_limit=0.0)
    assert found.status == "time_limit"
    assert found.num_starts > 0


def test_ctrl_c_returns_what_was_found(monkeypatch):
    rounds = []

    def follow_once(*arguments):
        if rounds:
            raise KeyboardInterrupt
        rounds.append(1)
        return follow(*arguments)

    follow = multistart.follow
    monkeypatch.setattr(multistart, "follow", follow_once)
    found = search_smooth(rt.VectorField(lorenz, 3), NONE)
    assert found.status == "interrupted"
    assert len(found.points) == 3


def test_thresholds_of_the_search_are_used_and_kept():
    model = rt.VectorField(lambda z: z - z**3, 1)
    coarse = rt.Multistart(same=0.6, apart=1.0)
    found = rt.find_fixed_points(model, multistart=coarse)
    assert len(found) < len(rt.find_fixed_points(model)) == 3
    assert found.multistart is coarse
    assert repr(coarse) == "Multistart(same=0.6, apart=1.0)"
    assert found.to_dict()["multistart"]["apart"] == 1.0
    ghost = rt.VectorField(lambda z: z**2 + 1e-3, 1)
    assert len(rt.find_fixed_points(ghost).slow_points) == 1
    assert len(rt.find_fixed_points(ghost, multistart=rt.Multistart(slow=1e-30)).slow_points) == 0
    none = rt.find_fixed_points(model, starts=[[0.4]], num_starts=1, multistart=rt.Multistart(iterations=1))
    assert len(none) == 0


def test_a_threshold_that_is_none_is_refused():
    with pytest.raises(ValueError, match=r"`iterations` is 1\.5; it must be a whole number >= 1"):
        rt.Multistart(iterations=1.5)
    with pytest.raises(ValueError, match="`same` is 'near'"):
        rt.Multistart(same="near")
    linear = rt.PLRNN([0.5], [[0.1]], [1.0])
    assert rt.find_fixed_points(linear).multistart is None
    with pytest.raises(ValueError, match="`multistart` is for smooth systems"):
        rt.find_fixed_points(linear, multistart=rt.Multistart())


def test_starts_of_another_size_are_refused():
    with pytest.raises(ShapeError, match=r"`starts` has shape \(2, 2\); it must be \(k, 3\)"):
        search_smooth(rt.VectorField(lorenz, 3), NONE, starts=np.zeros((2, 2)))


def test_no_starts_are_refused():
    with pytest.raises(ValueError, match="`num_starts` is 0"):
        search_smooth(rt.VectorField(lorenz, 3), NONE, num_starts=0)
