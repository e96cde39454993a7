"""State-switched flows of maps with redundant units against those of the same maps without them: units that share a boundary are one."""

import numpy as np
import pytest

import retime as rt

SAME = 1e-9  # of 1 + the largest state


def network(p):
    return rt.PiecewiseAffineRNN(p["A"], p["W1"], p["W2"], p["h1"], p["h2"], C1=p["C1"], C2=p["C2"])


def plain(rng, inputs):
    n, q = int(rng.integers(1, 5)), int(rng.integers(1, 4))
    A = np.diag(rng.uniform(0.2, 0.95, n)) + 0.2 * rng.normal(size=(n, n))
    return {
        "A": A, "W1": 0.7 * rng.normal(size=(n, q)), "W2": rng.normal(size=(q, n)), "h1": 0.5 * rng.normal(size=n),
        "h2": rng.normal(size=q), "C1": np.zeros((n, inputs)), "C2": rng.normal(size=(q, inputs)),
    }  # fmt: skip


def with_unit(p, column, factor, i):
    """The network with one more unit, whose preactivation is `factor` times that of unit i."""
    return {
        **p, "W1": np.column_stack([p["W1"], column]), "W2": np.vstack([p["W2"], factor * p["W2"][i]]),
        "h2": np.append(p["h2"], factor * p["h2"][i]), "C2": np.vstack([p["C2"], factor * p["C2"][i]]),
    }  # fmt: skip


def shared(p, rng, factor):
    """Unit i's work shared with another one, `factor` > 0 times as large."""
    i, share = int(rng.integers(len(p["h2"]))), rng.random()
    column, W1 = p["W1"][:, i].copy(), p["W1"].copy()
    W1[:, i] *= share
    return with_unit({**p, "W1": W1}, (1 - share) * column / factor, factor, i)


def opposite(p, rng, factor):
    """A unit of the opposite row, undone by relu(-g) = relu(g) - g."""
    i, b, W1 = int(rng.integers(len(p["h2"]))), 0.5 * rng.normal(size=len(p["h1"])), p["W1"].copy()
    W1[:, i] -= factor * b
    new = with_unit({**p, "W1": W1}, b, -factor, i)
    b = factor * b
    new["A"], new["h1"] = p["A"] + np.outer(b, p["W2"][i]), p["h1"] + b * p["h2"][i]
    new["C1"] = p["C1"] + np.outer(b, p["C2"][i])
    return new


def cancelled(p, rng, _):
    """Two units of a boundary of their own whose effects cancel, as those of a clipped unit with threshold 0."""
    q, column = len(p["h2"]), rng.normal(size=len(p["h1"]))
    p = {
        **p, "W1": np.column_stack([p["W1"], column]), "W2": np.vstack([p["W2"], rng.normal(size=len(column))]),
        "h2": np.append(p["h2"], rng.normal()), "C2": np.vstack([p["C2"], rng.normal(size=p["C2"].shape[1])]),
    }  # fmt: skip
    return with_unit(p, -column, 1.0, q)


def dead(p, rng, _):
    """A unit that is 0 everywhere."""
    return with_unit(p, rng.normal(size=len(p["h1"])), 0.0, 0)


CHANGES = {"shared": shared, "opposite": opposite, "cancelled": cancelled, "dead": dead}


def pairs(seed, count, names=tuple(CHANGES)):
    """Networks without and with redundant units, a start, and an input that is 0 every other step."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        inputs = int(rng.integers(0, 2))
        p = plain(rng, inputs)
        new = p
        for name in rng.choice(names, int(rng.integers(1, 3))):
            new = CHANGES[name](new, rng, float(rng.choice([1.0, rng.uniform(0.3, 3)])))
        order, rows = rng.permutation(len(new["h2"])), rng.normal(size=(5, inputs))
        rows[::2] = 0.0
        new = {**new, "W1": new["W1"][:, order], "W2": new["W2"][order], "h2": new["h2"][order], "C2": new["C2"][order]}
        yield network(p), network(new), 2 * rng.normal(size=len(p["h1"])), rows if inputs else None


def run(model, z, rows):
    flow = rt.to_continuous(model, throw=False).model
    return rt.simulate(flow, z, times=np.arange(6.0), inputs=rows, switching="state")


def differing(cases):
    """How many cases reach the horizon with or without the redundant units only, or elsewhere."""
    count, completed = 0, 0
    for one, other, z, rows in cases:
        a, b = run(one, z, rows), run(other, z, rows)
        apart = np.abs(a.states - b.states).max() > SAME * (1 + np.abs(a.states).max())
        reached = [x.status == "completed" for x in (a, b)]
        count += reached[0] != reached[1] or (reached[0] and bool(apart))
        completed += reached[0]
    assert completed > 0
    return count


@pytest.mark.parametrize("name", CHANGES)
def test_redundant_units_change_nothing(name):
    assert differing(pairs(3, 40, (name,))) == 0


@pytest.mark.slow
def test_redundant_units_change_nothing_in_600_networks():
    assert differing(pairs(11, 600)) == 0


def test_clipped_unit_with_threshold_zero_is_no_unit():
    full = rt.ShallowPLRNN([0.6], [[0.6, 1.9]], [[0.7], [0.9]], [-1.5], [0.0, -2.0], clipped=True)
    lean = rt.ShallowPLRNN([0.6], [[1.9]], [[0.9]], [-1.5], [-2.0], clipped=True)
    paths = [rt.simulate(rt.to_continuous(m).model, [1.2], times=[0, 1], switching="state") for m in (full, lean)]
    assert abs(paths[0].states[-1, 0] + 1.01287) < 1e-5
    np.testing.assert_allclose(paths[0].states, paths[1].states, rtol=0, atol=1e-13)
    assert sorted(set(paths[0].switch_times.round(9))) == sorted(set(paths[1].switch_times.round(9)))


def test_units_of_one_boundary_flip_together_and_opposite_rows_the_opposite_way():
    model = rt.PiecewiseAffineRNN(
        [0.7, 0.6], 0.05 * np.ones((2, 3)), [[1, 0.5], [2, 1], [-3, -1.5]], [-0.6, -0.4], [-0.5, -1, 1.5]
    )
    path = rt.simulate(rt.to_continuous(model).model, [2.0, 1.0], times=np.linspace(0, 4, 81), switching="state")
    assert path.num_switches > 0
    assert (path.patterns[:, 0] == path.patterns[:, 1]).all()
    assert (path.patterns[:, 0] != path.patterns[:, 2]).all()


def sliding_pair():
    """A network of two units that slides, and the same with its ReLU shared between two rows of different length."""
    A, W, h = np.diag([0.1, 0.3]), np.array([[-1.1], [0.6]]), np.array([-0.8, 0.2])
    A[1, 0] = 0.9
    lean = rt.PiecewiseAffineRNN(A, W, [[0, 1.0]], h, [0.0])
    full = rt.PiecewiseAffineRNN(A, np.column_stack([0.25 * W, 1.5 * W]), [[0, 1.0], [0, 0.5]], h, [0.0, 0.0])
    return [rt.to_continuous(m).model for m in (lean, full)]


def test_sliding_along_a_shared_boundary():
    lean, full = (
        rt.simulate(f, [-0.3, -0.3], times=np.arange(0, 0.75, 0.1), switching="state") for f in sliding_pair()
    )
    assert len(lean.sliding) == len(full.sliding) == 1
    np.testing.assert_allclose(full.states, lean.states, rtol=0, atol=1e-12)
    np.testing.assert_allclose(full.sliding[:, :2], lean.sliding[:, :2], rtol=0, atol=1e-12)


def test_points_of_rest_and_exponents_of_a_flow_that_slides_on_a_shared_boundary():
    lean, full = sliding_pair()
    points = [rt.find_fixed_points(f, switching="state") for f in (lean, full)]
    assert points[0].complete == points[1].complete
    assert len(points[0].points) == len(points[1].points) > 0
    np.testing.assert_allclose(points[1].points, points[0].points, rtol=0, atol=1e-9)
    spectra = [rt.lyapunov_spectrum(f, [-0.3, -0.3], times=[0, 40], switching="state").exponents for f in (lean, full)]
    np.testing.assert_allclose(spectra[1], spectra[0], rtol=0, atol=1e-6)


def test_two_pairs_of_opposite_rows_come_to_an_end():
    rng = np.random.default_rng(5)
    for _ in range(12):
        rows = rng.normal(size=(2, 4))
        model = rt.PiecewiseAffineRNN(
            np.diag(rng.uniform(0.3, 0.9, 4)), 0.6 * rng.normal(size=(4, 4)), np.vstack([rows, -rows]), 0.5 * rng.normal(size=4),
            np.tile(rng.normal(size=2), 2) * [1, 1, -1, -1],
        )  # fmt: skip
        flow, z = rt.to_continuous(model, throw=False).model, rng.normal(size=4)
        short, long = (rt.simulate(flow, z, times=np.arange(T + 1.0), switching="state") for T in (4, 8))
        if np.isfinite(long.status_time) and long.status_time > 4:
            continue
        assert short.status == long.status


def test_many_dead_units_do_not_hide_a_decision():
    A, W, h = np.array([[0.1, 0], [0.9, 0.3]]), np.array([[-1.1], [0.6]]), np.array([-0.8, 0.2])
    W1 = np.column_stack([W, np.ones((2, 12))])
    model = rt.PiecewiseAffineRNN(A, W1, np.vstack([[0, 1.0], np.zeros((12, 2))]), h, np.zeros(13))
    path = rt.simulate(rt.to_continuous(model).model, [-0.3, -0.3], times=[0, 0.7], switching="state")
    assert path.status == "completed"
    assert len(path.sliding) == 1
