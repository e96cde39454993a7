"""Training in continuous time: the exact flow and its gradient against the simulator, closed forms and differences; fits at irregular times."""

import numpy as np
import pytest

import retime as rt
from retime.core.equation import double_precision
from retime.learn import GeneralizedForcing, SparseForcing, fit
from retime.learn.descent import Clipped, FromOptax
from retime.learn.dynamics import Setting
from retime.learn.flow_adjoint import FlowAdjoint
from retime.learn.flow_bound import largest_norm
from retime.learn.solved import SolvedFlow
from retime.learn.windows import Windows

QUICK = {"epochs": 2, "batches": 3, "batch_size": 4, "sequence": 12, "every": 1}


def windows(rng, N, m, T, size=16):
    """Random windows, forced every third sample."""
    shape = (N, T + 1, size)
    strength = np.broadcast_to((np.arange(T + 1) % 3 == 0)[None, :, None], shape).astype(float)
    times = np.cumsum(rng.uniform(0.2, 2.0, (T + 1, size)), axis=0)
    data = rng.normal(size=shape), rng.normal(size=shape), rng.uniform(size=shape) / T, strength
    return Windows(*data, rng.normal(size=(m, T + 1, size)), times)


def network(rng, n, m):
    """A, W, C, h of a network that turns, and so switches often."""
    W = rng.normal(size=(n, n))
    return -rng.uniform(0.05, 0.2, n), 1.5 * (W - W.T), rng.normal(size=(n, m)), 0.5 * rng.normal(size=n)


def differences(function, point, step=1e-6):
    """Central differences of a function of arrays, one array for each."""
    found = []
    for k, a in enumerate(point):
        g = np.zeros_like(a)
        for at in np.ndindex(*a.shape):
            ends = []
            for sign in (1, -1):
                moved = [x.copy() for x in point]
                moved[k][at] += sign * step
                ends.append(function(*moved))
            g[at] = (ends[0] - ends[1]) / (2 * step)
        found.append(g)
    return found


@pytest.mark.parametrize(("n", "P", "N", "m"), [(5, 3, 2, 1), (4, 4, 1, 0)])
def test_loss_is_that_of_the_simulated_flow_and_gradient_that_of_differences(rng, n, P, N, m):
    T = 10
    point, w, z0 = network(rng, n, m), windows(rng, N, m, T), rng.normal(size=(n, 16))
    spans = np.diff(w.times, axis=0)
    room = FlowAdjoint(n, P, N, T, np.dtype("float64"))
    loss, *gradient, by_z0 = room.gradient(*point, z0, w, spans)

    A, W, C, h = point
    model, total, switches = rt.ContinuousPLRNN(A, W, h, C, num_relu=P), 0.0, []
    for b in range(16):
        z, count = z0[:, b].copy(), 0
        for k in range(T):
            held = w.inputs[None, :, k, b] if m else None
            run = rt.simulate(model, z, times=[0.0, spans[k, b]], inputs=held)
            z, count = run.states[-1].copy(), count + len(run.switch_times)
            total += (w.weight[:, k + 1, b] * (z[:N] - w.wanted[:, k + 1, b]) ** 2).sum()
            z[:N] += w.strength[:, k + 1, b] * (w.forced[:, k + 1, b] - z[:N])
        switches.append(count)
    most = int(np.argmax(switches))
    assert np.median(switches) >= 5
    assert switches[most] >= 10
    assert abs(loss / total - 1) <= 1e-12

    found = differences(lambda *p: room.gradient(*p, z0, w, spans)[0], point)
    others = np.arange(16) != most
    start = differences(lambda z: room.gradient(*point, np.where(others, z0, z[:, None]), w, spans)[0], [z0[:, most]])
    for ours, theirs in zip([*gradient, by_z0[:, most]], [*found, start[0]], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6 * max(np.abs(theirs).max(initial=0.0), 1.0))


def test_gradient_is_finite_and_continuous_at_grazing():
    """A turn around (0, 1) with radius 1 touches the boundary of the second unit; a little more crosses it twice."""
    found = []
    for radius in (1.0 - 1e-9, 1.0, 1.0 + 1e-9):
        z0 = np.tile([[radius], [1.0]], 16)
        shape = (1, 2, 16)
        w = Windows(np.zeros(shape), np.zeros(shape), np.ones(shape), np.zeros(shape), np.zeros((0, 2, 16)), None)
        room = FlowAdjoint(2, 1, 1, 1, np.dtype("float64"))
        turn = np.zeros(2), np.array([[0.0, -1.0], [1.0, 0.0]]), np.zeros((2, 0)), np.array([1.0, 0.0])
        loss, *gradient = room.gradient(*turn, z0, w, np.full((1, 16), 6.0))
        assert abs(loss / 16 - np.cos(6.0) ** 2) <= 1e-7
        found.append(np.concatenate([np.ravel(g) for g in gradient]))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(found[2], found[1], rtol=0, atol=1e-2)  # on the other side for a time of 9e-5


def test_one_interval_has_the_derivative_by_its_input(rng):
    """The shortest window: one interval, so that what the input adds is summed as the bias is."""
    point, w, z0 = network(rng, 5, 2), windows(rng, 2, 2, 1), rng.normal(size=(5, 16))
    room, spans = FlowAdjoint(5, 3, 2, 1, np.dtype("float64")), np.diff(w.times, axis=0)
    found = differences(lambda *p: room.gradient(*p, z0, w, spans)[0], point)
    for ours, theirs in zip(room.gradient(*point, z0, w, spans)[1:5], found, strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n", "P"), [(1, 0), (3, 3), (20, 2), (20, 10), (300, 150)])
@pytest.mark.parametrize("size", [1e-20, 1.0, 1e10])
def test_no_region_is_faster_than_the_bound(rng, n, P, size):
    A, W = size * rng.normal(size=n), size * rng.normal(size=(n, n))
    bound, fastest = largest_norm(A, W, P), 0.0
    for _ in range(20):
        on = np.concatenate([np.ones(n - P), rng.random(P) < 0.5])
        fastest = max(fastest, np.linalg.norm(np.diag(A) + W * on, 2))
    assert fastest <= bound * (1 + 1e-12)
    assert bound <= 1.5 * fastest


def test_the_bound_of_what_is_not_finite_is_not_finite():
    for a in (np.nan, np.inf, 1e200):
        assert not np.isfinite(largest_norm(np.array([0.0, a]), np.zeros((2, 2)), 1))
    assert largest_norm(np.zeros(2), np.zeros((2, 2)), 2) == 0.0


def test_defective_generators_need_no_care():
    """z1' = z2, z2' = z3, z3' = 1: no eigenvectors, no inverse."""
    chain = np.diag(np.ones(2), 1)
    z0, t = np.tile([[0.3], [-0.7], [0.2]], 16), np.linspace(0.1, 30.0, 16)
    end = FlowAdjoint(3, 0, 1, 1, np.dtype("float64")).end(
        np.zeros(3), chain, np.zeros((3, 0)), np.array([0.0, 0.0, 1.0]), z0, np.zeros((0, 1, 16)), t[None]
    )
    exact = [0.3 - 0.7 * t + 0.1 * t**2 + t**3 / 6, -0.7 + 0.2 * t + t**2 / 2, 0.2 + t]
    np.testing.assert_allclose(end, exact, rtol=1e-13)


def test_single_precision_is_close_and_runs_that_leave_have_no_loss(rng):
    point, w, z0 = network(rng, 5, 1), windows(rng, 2, 1, 6), rng.normal(size=(5, 16))
    spans = np.diff(w.times, axis=0)
    wide = FlowAdjoint(5, 3, 2, 6, np.dtype("float64")).gradient(*point, z0, w, spans)
    narrow = Windows(*(a.astype("float32") for a in (w.forced, w.wanted, w.weight, w.strength, w.inputs)), w.times)
    room = FlowAdjoint(5, 3, 2, 6, np.dtype("float32"))
    ours = room.gradient(*(a.astype("float32") for a in (*point, z0)), narrow, spans)
    for a, b in zip(wide, ours, strict=True):
        np.testing.assert_allclose(b, a, rtol=0, atol=2e-4 * np.abs(a).max())
    assert room.gradient(np.full(5, 200.0), *point[1:], z0, narrow, spans)[0] == np.inf


@pytest.fixture
def turning(rng):
    """300 irregular samples of a rotation, 0.3 per unit of time, and their times."""
    t = np.cumsum(rng.uniform(0.2, 3.0, 300))
    return 3.0 * np.column_stack([np.cos(0.3 * t), np.sin(0.3 * t)]) + [5.0, -2.0], t


def test_a_rotation_is_found_from_irregular_samples(turning):
    x, t = turning
    recipe = {
        "epochs": 20,
        "batches": 20,
        "sequence": 15,
        "noise": 0.0,
        "learning_rate": (2e-2, 1e-3),
        "clip": 10.0,
        "every": 10,
    }
    found = fit(x, times=t, family="continuous_plrnn", num_states=2, num_relu=0, seed=0, **recipe)
    assert isinstance(found.model, rt.ContinuousPLRNN)
    np.testing.assert_allclose(
        np.abs(np.linalg.eigvals(found.model.jacobian(np.zeros(2))).imag), 0.3, rtol=0, atol=0.01
    )
    z = (x[0] - x.mean(axis=0)) / x.std(axis=0)
    path = rt.simulate(found.model, z, times=t[:10])
    assert np.abs(np.asarray(path.outputs) - x[:10]).max() < 0.5
    assert found.metrics["prediction_error"] < 0.2
    assert np.isnan(found.metrics["spectral_distance"])


def test_several_recordings_with_gaps_inputs_and_their_own_times_repeat_bit_for_bit(turning, rng):
    x, t = turning
    x[40:60:3, 1] = np.nan
    s = rng.normal(size=(300, 1))
    given = {
        "times": [t[:120], t[120:]],
        "inputs": [s[:120], s[120:]],
        "missing": True,
        "forcing": SparseForcing(4),
        **QUICK,
    }
    first, again = (fit([x[:120], x[120:]], family="continuous_plrnn", num_states=5, **given) for _ in range(2))
    assert first.model == again.model
    assert first.model.num_relu == 5
    assert first.model.num_inputs == 1
    assert np.isfinite([h["loss"] for h in first.history]).all()


def test_a_clipped_gradient_has_the_norm_that_is_asked_for():
    import optax

    rule, start = Clipped(FromOptax(optax.sgd(1.0)), 2.0), np.zeros(2)
    for gradient, step in (([3.0, 4.0], [1.2, 1.6]), ([0.3, 0.4], [0.3, 0.4])):
        moved = rule.apply(start, rule.init(start), np.array(gradient), 0)[0]
        np.testing.assert_allclose(moved, -np.array(step), rtol=1e-6)


@pytest.mark.slow
def test_rate_networks_have_the_gradient_of_their_solution_and_advance_as_they_are_simulated(rng):
    w = windows(rng, 2, 1, 4, size=3)
    family = SolvedFlow(Setting(SolvedFlow.network("rate_rnn", 4, 1, 2, {}), "float64"))
    p = family.parameters(rng) | {"b": rng.normal(size=4)}
    names = list(p)
    with double_precision():
        gradient = family.gradient(p, w)[1]
        found = differences(lambda *a: family.gradient(dict(zip(names, a, strict=True)), w)[0], list(p.values()), 1e-4)
    for name, theirs in zip(names, found, strict=True):
        np.testing.assert_allclose(gradient[name], theirs, rtol=0, atol=1e-5)
    model, z = family.model(p, np.zeros(2), np.ones(2)), rng.normal(size=(3, 4))
    elapsed = np.array([0.5, 2.0, 4.0])
    ends = family.advance(model, z, w.inputs[:, 0].T, elapsed)
    for k in range(3):
        run = rt.simulate(model, z[k], times=[0.0, elapsed[k]], inputs=w.inputs[None, :, 0, k])
        np.testing.assert_allclose(ends[k], run.states[-1], rtol=0, atol=1e-7)


@pytest.mark.slow
def test_a_rate_network_is_fitted_at_irregular_times(turning):
    x, t = turning
    steady = {"epochs": 10, "batches": 5, "forcing": GeneralizedForcing(0.2)}  # so that losses are of the same forcing
    found = fit(x, times=t, family="rate_rnn", num_states=4, **QUICK | steady, learning_rate=1e-2)
    assert isinstance(found.model, rt.RateRNN)
    assert found.history[-1]["loss"] < found.history[1]["loss"]  # of the last epoch and the first
