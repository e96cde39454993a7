"""Exponents against published values, plain loops, closed forms and finite differences of simulated flows."""

import numpy as np
import pytest

import retime as rt
from retime.analysis.exponents.growth import starting_vectors
from retime.analysis.exponents.lyapunov import lyapunov_spectrum, max_exponent


def qr_after_every_step(matrices):
    """Sums of log|r_ii| `(n,)`, largest first."""
    n = matrices.shape[1]
    Q, sums = starting_vectors(n, n), np.zeros(n)
    for M in matrices:
        Q, R = np.linalg.qr(M @ Q)
        sums += np.log(np.abs(np.diag(R)))
    return np.sort(sums)[::-1]


def growth_by_differences(model, z0, times, step=1e-6, **options):
    """Logarithms of |r_ii| of the derivative of the state at times[-1] along the starting vectors, from central differences."""
    n = len(z0)
    start = np.concatenate([np.asarray(z0) + step * np.eye(n), np.asarray(z0) - step * np.eye(n)])
    ends = rt.simulate(model, start, times=times, **options).states[-1]
    R = np.linalg.qr((ends[:n] - ends[n:]).T / (2 * step) @ starting_vectors(n, n))[1]
    return np.sort(np.log(np.abs(np.diag(R))))[::-1]


def check(result, published, errors):
    """Within three standard errors, ours and theirs together."""
    tolerance = 3 * np.hypot(result.standard_errors, errors)
    assert (np.abs(result.exponents - published) <= tolerance).all(), (result, tolerance)


def test_network_agrees_with_qr_after_every_step():
    entry = rt.zoo.entry("lorenz")
    path = rt.simulate(entry.model, entry.z0, steps=4000)
    got = lyapunov_spectrum(entry.model, entry.z0, steps=4000, transient=0)
    want = qr_after_every_step(entry.model.jacobian(path.states[:-1])) / (4000 * entry.model.dt)
    np.testing.assert_allclose(got.exponents, want, rtol=0, atol=1e-9)
    np.testing.assert_allclose(got.end, path.states[-1], rtol=0, atol=1e-9)  # the same orbit


def test_published_network_agrees_between_map_and_clock_flow(data):
    model = rt.load(data / "lorenz_plrnn.mat", dt=0.1)
    a = lyapunov_spectrum(model, np.zeros(10), steps=20_000)
    b = lyapunov_spectrum(rt.to_continuous(model).model, np.zeros(10), steps=20_000)
    assert abs(a.exponents[0] - 0.234) <= 0.03
    np.testing.assert_allclose(b.exponents, a.exponents, rtol=0, atol=1e-8)  # conversion residuals are below 1e-10
    assert max(a.sum_error, b.sum_error) <= 1e-6


def test_state_switched_flow_of_the_published_network_is_chaotic_too(data):
    model = rt.load(data / "lorenz_plrnn.mat", dt=0.1)
    r = lyapunov_spectrum(rt.to_continuous(model).model, np.zeros(10), times=[0, 300.0], switching="state", num=2)
    assert r.status == "completed"
    assert 0 < r.exponents[0] < 0.3  # another flow than the clock-held one, and chaotic as well
    assert abs(r.exponents[1]) <= max(3 * r.standard_errors[1], 1e-2)  # along the orbit of an autonomous flow


def test_henon():
    r = lyapunov_spectrum(rt.zoo.load("henon"), [0.1, 0.1], steps=40_000)
    check(r, [0.41919, -1.62316], 0.00013)
    assert abs(r.exponents.sum() - np.log(0.3)) <= 1e-6
    assert r.sum_error <= 1e-6


def test_lorenz():
    entry = rt.zoo.entry("lorenz63")
    r = lyapunov_spectrum(entry.model, entry.z0, times=[0, 400.0])
    check(r, [0.9057, 0, -14.570], [0.0009, 0.0033, 0.0009])
    assert abs(r.exponents[1]) <= 1e-2
    assert abs(r.exponents.sum() + 41 / 3) <= 1e-6
    assert abs(r.kaplan_yorke - 2.062) <= 0.01


@pytest.mark.slow
def test_roessler():
    entry = rt.zoo.entry("roessler")
    r = lyapunov_spectrum(entry.model, entry.z0, times=[0, 1500.0])
    check(r, [0.0712, 0, -5.393], [0.0005, 0.003, 0.0005])
    assert r.sum_error <= 1e-6


def test_chua():
    model, z0 = rt.zoo.load("chua_network"), rt.zoo.entry("chua_network").z0
    r = lyapunov_spectrum(model, z0, times=[0, 4000.0])
    check(r, [0.435, 0, -4.228], 0.004)
    assert abs(r.exponents[1]) <= 1e-2
    assert r.sum_error <= 1e-6


def test_tent_map_has_the_mean_of_its_logarithms():
    tent = rt.PiecewiseAffineRNN([[1.9]], [[-2.9]], [[1.0]], [0.0], [-0.5], time=rt.Discrete(1.0))  # slopes 1.9 and -1
    path = rt.simulate(tent, [0.3], steps=5000)
    slopes = tent.jacobian(path.states[:-1])[:, 0, 0]
    assert len(np.unique(slopes)) == 2
    got = lyapunov_spectrum(tent, [0.3], steps=5000, transient=0)
    assert abs(got.exponents[0] - np.log(np.abs(slopes)).mean()) <= 1e-12


def test_smooth_map_that_is_linear_has_the_logarithms_of_its_moduli(rng):
    W = rng.normal(size=(3, 3)) @ np.diag([0.9, 0.6, 0.3])
    got = lyapunov_spectrum(rt.Map(lambda z: W @ z, 3, time=rt.Discrete(0.5)), rng.normal(size=3), steps=400)
    want = np.sort(np.log(np.abs(np.linalg.eigvals(W))))[::-1] / 0.5
    # equal moduli of a complex pair turn the vectors: the means of a finite stretch differ by its ends
    np.testing.assert_allclose(got.exponents, want, rtol=0, atol=2e-2)
    assert abs(got.exponents.sum() - want.sum()) <= 1e-10


JUMPING = ([0.22, 0.89], [[0.41, -0.91], [0.37, -0.23]], [-0.47, 0.1], [1.5, -1.5])
RAISED = (
    [0.85, 0.87],
    [[-0.53, 0.52], [1.21, -0.02]],
    [-0.74, -0.25],
    [0.1, 1.0],
)  # enters auxiliary states and leaves them


@pytest.mark.parametrize(("weights", "has_auxiliary"), [(JUMPING, False), (RAISED, True)])
def test_switches_between_regions_act_by_their_saltation_matrices(weights, has_auxiliary):
    A, W, h, z0 = weights
    flow = rt.to_continuous(rt.PLRNN(A, W, h, time=rt.Discrete(0.5))).model
    times = np.array([0, 3.0])
    assert rt.simulate(flow, z0, times=times, switching="state").num_switches >= 2
    assert any(r.auxiliary for r in flow.converted.values()) == has_auxiliary
    got = lyapunov_spectrum(flow, z0, times=times, switching="state", transient=0)
    want = growth_by_differences(flow, z0, times, switching="state")
    np.testing.assert_allclose(3 * got.exponents, want, rtol=0, atol=1e-6)  # of the differences
    assert (got.sum_error is None) == has_auxiliary
    assert has_auxiliary or got.sum_error <= 1e-10


def test_moving_boundary_enters_with_its_speed():
    model = rt.ContinuousPLRNN([-1.0, -0.5], [[0.0, 1.5], [-1.2, 0.3]], [0.4, 0.1], C=[[0.5], [1.0]])
    form = rt.PiecewiseAffineRNN(
        model.canonical.A,
        [[1.0], [-0.7]],
        [[1.0, 0.5]],
        [0.4, 0.1],
        [-0.2],
        C1=[[0.5], [1.0]],
        C2=[[0.8]],
        time=rt.Continuous(),
    )
    inputs = rt.Inputs([0, 1.0, 2.0, 4.0], [[0.0], [1.5], [-1.0], [0.5]], hold="linear")
    times = np.array([0, 3.5])
    options = {"inputs": inputs}
    path = rt.simulate(form, [0.1, -0.3], times=times, **options)
    assert path.num_switches >= 2
    got = lyapunov_spectrum(form, [0.1, -0.3], times=times, transient=0, **options)
    want = growth_by_differences(form, [0.1, -0.3], times, **options)
    np.testing.assert_allclose(3.5 * got.exponents, want, rtol=0, atol=1e-6)


def test_input_that_jumps_across_a_boundary_has_no_saltation():
    form = rt.PiecewiseAffineRNN(
        [[-0.5, 1.0], [-1.0, -0.2]], [[1.0], [-2.0]], [[1.0, 0.0]], [0.0, 0.1], [0.0], C1=[[0.0], [0.0]], C2=[[1.0]],
        time=rt.Continuous(),
    )  # fmt: skip
    times, rows = np.array([0, 0.3, 0.6]), [[1.0], [-3.0]]
    assert rt.simulate(form, [0.5, 0.5], times=times, inputs=rows).switch_times.tolist() == [0.3]
    got = lyapunov_spectrum(form, [0.5, 0.5], times=times, inputs=rows, transient=0)
    want = growth_by_differences(form, [0.5, 0.5], times, inputs=rows)
    np.testing.assert_allclose(0.6 * got.exponents, want, rtol=0, atol=1e-8)


def test_sliding_takes_one_direction_to_zero():
    entry = rt.zoo.entry("sliding")
    flow = rt.to_continuous(entry.model).model
    times = np.array([0, 0.45])
    path = rt.simulate(flow, entry.z0, times=times, switching="state")
    assert len(path.sliding) == 1
    got = lyapunov_spectrum(flow, entry.z0, times=times, switching="state", transient=0)
    start = np.concatenate([entry.z0 + 1e-6 * np.eye(2), entry.z0 - 1e-6 * np.eye(2)])
    ends = rt.simulate(flow, start, times=times, switching="state").states[-1]
    sizes = np.linalg.svd((ends[:2] - ends[2:]).T / 2e-6, compute_uv=False)
    assert sizes[1] <= 1e-8
    assert got.exponents[1] == -np.inf
    R = np.linalg.qr((ends[:2] - ends[2:]).T / 2e-6 @ starting_vectors(2, 2))[1]
    assert abs(0.45 * got.exponents[0] - np.log(np.abs(R[0, 0]))) <= 1e-6
    assert "exponent -inf" in got.message


def test_sliding_that_ends_in_a_raised_region_starts_its_auxiliary_states():
    g = np.random.default_rng(36046)
    A, W, h = g.uniform(-0.2, 0.95, 4), g.normal(size=(4, 4)) * 0.6, g.normal(size=4) * 0.3
    flow = rt.to_continuous(rt.PLRNN(A, W, h)).model
    z0 = rt.simulate(flow, g.normal(size=4), times=[0, 600.0], switching="state").states[-1]
    times = np.array([0, 8.3])
    path = rt.simulate(flow, z0, times=times, switching="state")
    assert len(path.sliding) == 2
    assert not flow.region(path.patterns[-1]).auxiliary
    got = lyapunov_spectrum(flow, z0, times=times, switching="state", transient=0, num=2)
    ends = [rt.simulate(flow, z0 + e * np.eye(4), times=times, switching="state").states[-1] for e in (1e-6, -1e-6)]
    R = np.linalg.qr((ends[0] - ends[1]).T / 2e-6 @ starting_vectors(4, 2))[1]
    np.testing.assert_allclose(8.3 * got.exponents, np.log(np.abs(np.diag(R))), rtol=0, atol=1e-6)


def test_largest_exponent_alone_is_that_of_the_spectrum(data):
    model = rt.load(data / "lorenz_plrnn.mat", dt=0.1)
    whole = lyapunov_spectrum(model, np.zeros(10), steps=10_000)
    one = max_exponent(model, np.zeros(10), steps=10_000)
    assert len(one.exponents) == 1
    assert abs(one.exponents[0] - whole.exponents[0]) <= 1e-6  # after the transient both first vectors are the same
