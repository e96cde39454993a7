"""Smooth flows against DOP853 and closed forms: inputs of every kind, long runs, stiff systems, blow-up."""

from itertools import pairwise

import diffrax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import solve_ivp

import retime as rt

N, M = 3, 2
TIMES = np.array([0.5, 0.6, 1.1, 1.15, 2.0, 2.6, 3.1, 3.2, 4.0])


@pytest.fixture(scope="module")
def network():
    """One rate network for the file: (model, dz/dt(z, s))."""
    rng = np.random.default_rng(20200713)
    W, U, b = 1.5 * rng.normal(size=(N, N)), rng.normal(size=(N, M)), rng.normal(size=N)
    return rt.RateRNN(W, U, b, tau=0.8), lambda z, s: (-z + W @ np.tanh(z) + U @ s + b) / 0.8


def solved(equation, z0, times, s, breaks=()):
    """DOP853 restarted where the input is not smooth."""
    edges = np.unique(np.concatenate([times[[0, -1]], [t for t in breaks if times[0] < t < times[-1]]]))
    rows, z = [np.asarray(z0)[None]], np.asarray(z0)
    for span in pairwise(edges):
        wanted = times[(times > span[0]) & (times <= span[1])]
        path = solve_ivp(
            lambda t, y: equation(y, s(t)), span, z, method="DOP853", rtol=1e-12, atol=1e-13,
            t_eval=np.union1d(wanted, span[1]),
        )  # fmt: skip
        rows.append(path.y.T[: len(wanted)])
        z = path.y[:, -1]
    return np.concatenate(rows)


@pytest.mark.parametrize("hold", ["zero", "linear"])
@pytest.mark.slow
def test_given_inputs_between_their_own_times(hold, network, rng):
    """Pieces that begin before the simulation, within its intervals and after its end."""
    model, equation = network
    knots = np.array([0.2, 0.9, 1.0, 1.12, 2.3, 3.15, 5.0])
    inputs, z0 = rt.Inputs(knots, rng.normal(size=(7, M)), hold), rng.normal(size=N)
    path = rt.simulate(model, z0, times=TIMES, inputs=inputs)

    def s(t):
        i = np.clip(np.searchsorted(knots, t, side="right") - 1, 0, 6)
        if hold == "zero" or i == 6:
            return inputs.values[i]
        w = (t - knots[i]) / (knots[i + 1] - knots[i])
        return (1 - w) * inputs.values[i] + w * inputs.values[i + 1]

    want = solved(equation, z0, TIMES, s, knots)
    # 1e-9 per step of the solver, tens of steps, a flow that expands at times; DOP853 reads a jump's new value a stage early
    np.testing.assert_allclose(path.states, want, rtol=0, atol=2e-7)


@pytest.mark.slow
def test_inputs_as_functions_of_time_written_with_jax(network, rng):
    model, equation = network
    z0 = rng.normal(size=N)
    path = rt.simulate(model, z0, times=TIMES, inputs=lambda t: jnp.stack([jnp.sin(3 * t), jnp.exp(-t)]))
    want = solved(equation, z0, TIMES, lambda t: np.array([np.sin(3 * t), np.exp(-t)]))
    np.testing.assert_allclose(path.states, want, rtol=0, atol=2e-7)


@pytest.mark.slow
def test_inputs_as_functions_of_time_written_with_numpy(network, rng):
    model, equation = network
    z0 = rng.normal(size=N)
    path = rt.simulate(model, z0, times=TIMES, inputs=lambda t: np.array([np.sin(3 * float(t)), np.exp(-float(t))]))
    want = solved(equation, z0, TIMES, lambda t: np.array([np.sin(3 * t), np.exp(-t)]))
    np.testing.assert_allclose(path.states, want, rtol=0, atol=2e-7)


@pytest.mark.slow
def test_a_smaller_tolerance_gives_a_smaller_error(network, rng):
    model, equation = network
    z0, times = rng.normal(size=N), np.linspace(0, 10, 9)
    want = solved(equation, z0, times, lambda t: np.zeros(M))
    errors = []
    for tolerance in (1e-5, 1e-10):
        path = rt.simulate(model, z0, times=times, tolerance=tolerance)
        assert path.tolerance == tolerance
        assert f"tolerance {tolerance:.0e}" in repr(path)
        errors.append(np.abs(path.states - want).max())
    assert errors[0] > 100 * errors[1]
    assert errors[0] <= 1e-2
    assert errors[1] <= 1e-8


@pytest.mark.slow
def test_more_samples_than_one_call_takes(network, rng):
    """10,000 irregular samples: three calls of the solver."""
    model, equation = network
    times = np.sort(rng.uniform(0, 30, 10_000))
    z0 = rng.normal(size=(2, N))
    path = rt.simulate(model, z0, times=times)
    assert path.states.shape == (10_000, 2, N)
    for k in range(2):
        want = solve_ivp(
            lambda t, y: equation(y, np.zeros(M)), times[[0, -1]], z0[k], method="DOP853", rtol=1e-12, atol=1e-13,
            t_eval=times,
        ).y.T  # fmt: skip
        np.testing.assert_allclose(path.states[:, k], want, rtol=0, atol=1e-6)  # hundreds of steps of 1e-9


@pytest.mark.slow
def test_stiff_system_with_an_implicit_solver():
    """Van der Pol, mu = 1000, by an implicit solver against SciPy's Radau."""
    mu = 1e3
    model = rt.VectorField(lambda z: jnp.stack([z[1], mu * (1 - z[0] ** 2) * z[1] - z[0]]), 2)
    times = np.array([0.0, 1.0, 500.0, 1200.0])
    path = rt.simulate(model, [2.0, 0.0], times=times, solver=diffrax.Kvaerno5(), tolerance=1e-8)
    assert path.status == "completed"

    def field(t, z):
        return [z[1], mu * (1 - z[0] ** 2) * z[1] - z[0]]

    want = solve_ivp(field, (0, 1200), [2.0, 0.0], method="Radau", rtol=1e-10, atol=1e-12, t_eval=times).y.T
    # the jump near t = 807 amplifies an error of the slow phase before it by about 1e3
    np.testing.assert_allclose(path.states[:, 0], want[:, 0], rtol=0, atol=1e-4)


def test_blow_up_in_finite_time_ends_the_run_at_the_sample_after_it():
    """dz/dt = z^2 from z0 grows without bound at t = 1 / z0."""
    model = rt.VectorField(jnp.square, 1)
    times = np.linspace(0.0, 2.05, 42)
    path = rt.simulate(model, [[1.0], [-1.0], [2.0]], times=times)
    assert path.status == "diverged"
    assert path.statuses == ("diverged", "completed", "diverged")
    assert path.message.startswith("initial state 0: ")
    for k, z0 in ((0, 1.0), (2, 2.0)):
        end = np.flatnonzero(np.isnan(path.states[:, k, 0]))[0]
        assert times[end - 1] <= 1 / z0 + 1e-9
        assert times[end] >= 1 / z0
        assert np.isnan(path.states[end:, k]).all()
        before = times < 0.95 / z0
        want = z0 / (1 - z0 * times[before])
        np.testing.assert_allclose(path.states[before, k, 0], want, rtol=0, atol=1e-6)  # (1 - t)^-2 of 1e-9
    np.testing.assert_allclose(path.states[:, 1, 0], -1 / (1 + times), rtol=0, atol=1e-8)


@pytest.mark.slow
def test_time_of_a_single_blow_up_is_reported():
    path = rt.simulate(rt.VectorField(jnp.square, 1), [1.0], times=np.linspace(0.0, 2.05, 42))
    assert path.status == "diverged"
    assert 1.0 <= path.status_time <= 1.05 + 1e-12
    assert np.isfinite(path.states[path.times < path.status_time]).all()
    assert "diverged at t = " in repr(path)


@pytest.mark.slow
def test_exponential_growth_ends_beyond_the_largest_number():
    model = rt.VectorField(lambda z: 40.0 * z, 1)
    path = rt.simulate(model, [1.0], times=np.linspace(0, 20, 41))
    assert path.status == "diverged"
    exact = 150 * np.log(10) / 40
    assert exact <= path.status_time <= exact + 0.5
    fine = path.states[path.times < path.status_time]
    assert np.isfinite(fine).all()
    assert np.abs(fine).max() < 1e150


@pytest.mark.slow
def test_field_that_is_not_defined_ends_the_run():
    """dz/dt = -sqrt z from 1, a field that is not a number below 1/2."""
    model = rt.VectorField(lambda z: -jnp.sqrt(z) - jnp.where(z > 0.5, 0.0, jnp.nan), 1)
    path = rt.simulate(model, [1.0], times=np.linspace(0, 2, 21))
    assert path.status == "diverged"
    exact = 2 - np.sqrt(2)  # sqrt z = 1 - t / 2 reaches sqrt 1/2
    assert abs(path.status_time - exact) < 1e-4  # the solver stops where its step would be rounding


def test_flow_without_inputs_given_is_driven_by_zero(network, rng):
    model, equation = network
    z0 = rng.normal(size=N)
    path = rt.simulate(model, z0, times=TIMES, inputs=np.zeros((8, M)))
    np.testing.assert_allclose(rt.simulate(model, z0, times=TIMES).states, path.states, rtol=0, atol=2e-7)
    np.testing.assert_allclose(path.states, solved(equation, z0, TIMES, lambda t: np.zeros(M)), rtol=0, atol=2e-7)


@pytest.mark.parametrize("inputs", [None, "held"])
@pytest.mark.slow
def test_default_solver_is_that_of_diffrax_to_rounding(rng, inputs):
    model = rt.RateRNN(rng.normal(size=(3, 3)), rng.normal(size=(3, 1)), rng.normal(size=3), tau=1.0)
    times = np.linspace(0, 10, 101)
    rows = None if inputs is None else rng.normal(size=(100, 1))
    ours = rt.simulate(model, np.zeros(3), times=times, inputs=rows).states
    theirs = rt.simulate(model, np.zeros(3), times=times, inputs=rows, solver=diffrax.Dopri8()).states
    assert np.abs(ours - theirs).max() < 1e-11


@pytest.mark.slow
def test_steps_that_end_just_before_a_new_input_do_not_end_the_run():
    """A constant input, given at many times: slivers of 1e-16 before them once were taken for a blow-up."""
    field = lambda z, s: jnp.stack([z[0] - z[0] ** 3 / 3 - z[1] + s[0], 0.08 * (z[0] + 0.7 - 0.8 * z[1])])  # noqa: E731
    model, times = rt.VectorField(field, 2, 1), np.linspace(0, 60, 257)
    z0 = np.random.default_rng(5).uniform(-3, 3, (120, 2))
    path = rt.simulate(model, z0, times=times, inputs=np.full((256, 1), 0.5), tolerance=1e-8)
    whole = rt.simulate(model, z0, times=times, inputs=rt.Inputs(np.zeros(1), [[0.5]]), tolerance=1e-8)
    assert set(path.statuses) == {"completed"}
    assert np.abs(path.states - whole.states).max() < 1e-5
