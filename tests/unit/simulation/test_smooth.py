"""Runs of smooth systems: chunks, shapes of inputs, statuses, wrong use."""

import warnings

import jax.numpy as jnp
import numpy as np
import pytest

import retime as rt
from families import make_smooth
from references import map_loop
from retime.simulation import smooth

W = np.array([[0.8, -1.1], [0.9, 0.4]])
CELL = rt.TanhRNN(W, [[1.0], [-0.5]], [0.1, 0.2], time=rt.Discrete(0.5), readout=([[1.0, 2.0]], [0.5]))
RATE = rt.RateRNN(W, [[1.0], [-0.5]], [0.1, 0.2], tau=1.0)


def cell(z, s):
    return np.tanh(W @ z + np.array([1.0, -0.5]) * s[0] + [0.1, 0.2])


# --- maps ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [smooth.CHUNK - 1, smooth.CHUNK, 2 * smooth.CHUNK + 17])
def test_runs_longer_than_a_chunk_are_not_interrupted(steps, rng):
    s = rng.normal(size=(steps, 1))
    path = rt.simulate(CELL, [0.3, -0.2], steps=steps, inputs=s)
    assert path.states.shape == (steps + 1, 2)
    want = map_loop(cell, [0.3, -0.2], s)
    np.testing.assert_allclose(path.states, want, rtol=0, atol=1e-9)  # a contracting orbit, up to transient stretching
    np.testing.assert_allclose(path.times[-1], 0.5 * steps, rtol=0, atol=1e-9)


def test_one_input_may_be_given_as_a_vector(rng):
    s = rng.normal(size=20)
    flat = rt.simulate(CELL, [0.3, -0.2], steps=20, inputs=s)
    column = rt.simulate(CELL, [0.3, -0.2], steps=20, inputs=s[:, None])
    np.testing.assert_array_equal(flat.states, column.states)


def test_zero_steps_give_the_initial_state():
    path = rt.simulate(CELL, [0.3, -0.2], steps=0)
    np.testing.assert_array_equal(path.states, [[0.3, -0.2]])
    np.testing.assert_allclose(path.outputs, [[0.4]], rtol=0, atol=1e-15)
    assert path.patterns.shape == (1, 0)
    assert path.status == "completed"
    assert np.isnan(path.tolerance)


def test_map_that_grows_ends_beyond_the_largest_number():
    model = rt.Map(lambda z: 10.0 * z, 2, time=rt.Discrete(0.5))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = rt.simulate(model, [[1.0, 0.5], [0.0, 0.0], [1e100, 0.0]], steps=200)
    assert path.statuses == ("diverged", "completed", "diverged")
    for k, last in ((0, 149), (2, 49)):  # 10^150 is the first that is not below the limit
        assert np.isfinite(path.states[: last + 1, k]).all()
        assert np.isnan(path.states[last + 1 :, k]).all()
    assert path.status == "diverged"
    assert path.message == "initial state 0: a state exceeded 1e150"
    single = rt.simulate(model, [1.0, 0.5], steps=200)
    assert single.status_time == 75.0


def test_map_that_grows_in_a_later_chunk_ends_there():
    path = rt.simulate(rt.Map(lambda z: 1.07 * z, 1), [1e-9], steps=2 * smooth.CHUNK)
    assert path.status == "diverged"
    assert path.status_time == np.ceil(159 * np.log(10) / np.log(1.07)) > smooth.CHUNK
    k = int(path.status_time)
    assert np.isfinite(path.states[:k]).all()
    assert np.isnan(path.states[k:]).all()


def test_map_that_is_not_a_number_says_so():
    path = rt.simulate(rt.Map(lambda z: jnp.sqrt(1.0 - z), 1), [2.0], steps=3)
    assert path.status == "diverged"
    assert path.status_time == 1.0
    assert "not a number" in path.message


# --- statuses of discretized flows ------------------------------------------------------------------------------------


def test_implicit_step_without_a_solution_is_not_converged():
    """z' = z + dt (z'^2 + 1) has no real solution for dt > 1/2 from z = 0."""
    field = rt.VectorField(lambda z: z**2 + 1.0, 1)
    map_ = rt.to_discrete(field, 0.7, method=rt.RungeKutta(rt.IMPLICIT_EULER)).model
    with pytest.raises(rt.ConvergenceError, match=r"RungeKutta\(implicit Euler\) with dt = 0.7 found no solution"):
        map_.step([0.0])
    path = rt.simulate(map_, [0.0], steps=4)
    assert path.status == "not_converged"
    assert path.status_time == 0.7
    assert "use a smaller dt" in path.message
    np.testing.assert_array_equal(path.states[0], [0.0])
    assert np.isnan(path.states[1:]).all()
    fine = rt.to_discrete(field, 0.1, method=rt.RungeKutta(rt.IMPLICIT_EULER)).model
    np.testing.assert_allclose(fine.step([0.0]), [(1 - np.sqrt(1 - 0.04)) / 0.2], rtol=0, atol=1e-12)


def test_certificate_of_an_implicit_step_without_a_solution_does_not_hold():
    field = rt.VectorField(lambda z: z**2 + 1.0, 1)
    conversion = rt.to_discrete(field, 0.7, method=rt.RungeKutta(rt.IMPLICIT_EULER), states=[[0.0]])
    assert not conversion.certificate.holds


@pytest.mark.parametrize("method", [rt.Euler(), rt.RungeKutta(rt.RK4)], ids=repr)
def test_explicit_method_that_blows_up_diverges_without_a_warning(method):
    """dz/dt = -z^3 with a step far too large: every state grows."""
    map_ = rt.to_discrete(rt.VectorField(lambda z: -(z**3), 1), 1.0, method=method).model
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        path = rt.simulate(map_, [4.0], steps=50)
    assert path.status == "diverged"
    before = path.states[path.times < path.status_time]
    assert len(before) > 1
    assert np.isfinite(before).all()
    assert np.isnan(path.states[path.times >= path.status_time]).all()


def test_multistep_method_is_started_from_the_state_alone(rng):
    model, equation = make_smooth("rate", rng)
    map_ = rt.to_discrete(model, 0.1, method=rt.AdamsBashforth(2)).model
    assert map_.num_states == 8
    z, s = rng.normal(size=4), rng.normal(size=(12, 2))
    path = rt.simulate(map_, z, steps=12, inputs=s)
    want, before = [z], equation(backward(equation, z, s[0], 0.1), s[0])
    for k in range(12):
        now = equation(want[-1], s[k])
        want.append(want[-1] + 0.1 * (1.5 * now - 0.5 * before))
        before = now
    # the first derivative comes from a step backward in time of order 5: 0.1^6
    np.testing.assert_allclose(path.states[:, :4], want, rtol=0, atol=1e-7)
    again = rt.simulate(map_, path.states[5], steps=7, inputs=s[5:])
    np.testing.assert_allclose(again.states, path.states[5:], rtol=0, atol=1e-13)
    batch = rt.simulate(map_, np.array([z, z]), steps=12, inputs=s)
    np.testing.assert_allclose(batch.states[:, 1], path.states, rtol=0, atol=1e-13)


def backward(equation, z, s, dt):
    from scipy.integrate import solve_ivp

    return solve_ivp(lambda t, y: equation(y, s), (0, -dt), z, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]


def test_readout_of_a_multistep_method_reads_the_state_alone(rng):
    model, _ = make_smooth("rate", rng, readout=True)
    map_ = rt.to_discrete(model, 0.1, method=rt.AdamsBashforth(3)).model
    path = rt.simulate(map_, rng.normal(size=4), steps=5)
    want = path.states[:, :4] @ model.readout.B.T + model.readout.b
    np.testing.assert_allclose(path.outputs, want, rtol=0, atol=1e-14)


# --- flows -----------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_solver_that_needs_too_many_steps_says_so(monkeypatch):
    monkeypatch.setattr(smooth, "MAX_STEPS", 20)
    smooth._solver.cache_clear()
    try:
        model = rt.VectorField(lambda z: -1e5 * (z - 1.0), 1)
        path = rt.simulate(model, [2.0], times=np.linspace(0, 1, 5))
    finally:
        smooth._solver.cache_clear()
    assert path.status == "steps_exceeded"
    assert 0 < path.status_time < 0.25
    assert "Kvaerno5" in path.message
    assert np.isnan(path.states[1:]).all()


def test_single_time_gives_the_initial_state():
    path = rt.simulate(RATE, [0.3, -0.2], times=[3.0])
    np.testing.assert_array_equal(path.states, [[0.3, -0.2]])
    assert path.status == "completed"


@pytest.mark.slow
def test_autonomous_flow_does_not_know_when_it_starts():
    times = np.linspace(0, 3, 13)
    a, b = (rt.simulate(RATE, [0.3, -0.2], times=times + t) for t in (0.0, -7.25))
    np.testing.assert_allclose(a.states, b.states, rtol=0, atol=1e-10)  # other steps: times are rounded


def test_solver_and_tolerance_leave_a_trace_in_the_trajectory():
    path = rt.simulate(RATE, [0.3, -0.2], times=np.linspace(0, 3, 13))
    assert path.tolerance == 1e-9
    assert path.to_dict()["tolerance"] == 1e-9
    assert "tolerance 1e-09" in repr(path)


WRONG = {
    "times of a map": (lambda: rt.simulate(CELL, [0, 0], times=[0, 1]), ValueError, "TanhRNN is a map: give `steps`"),
    "no horizon": (lambda: rt.simulate(CELL, [0, 0]), ValueError, "TanhRNN is a map: give `steps`"),
    "steps of a flow": (
        lambda: rt.simulate(RATE, [0, 0], steps=3),
        ValueError,
        "RateRNN is in continuous time: give `times`, not `steps`",
    ),
    "negative steps": (lambda: rt.simulate(CELL, [0, 0], steps=-1), ValueError, "`steps` is -1"),
    "fractional steps": (lambda: rt.simulate(CELL, [0, 0], steps=1.5), ValueError, r"`steps` is 1\.5"),
    "times that repeat": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1, 1]),
        ValueError,
        "`times` must be strictly increasing",
    ),
    "a state too long": (
        lambda: rt.simulate(CELL, [0, 0, 0], steps=1),
        rt.ShapeError,
        r"`z0` has shape \(3,\); it must be \(2,\), or \(b, 2\)",
    ),
    "a state that is NaN": (lambda: rt.simulate(CELL, [0, np.nan], steps=1), ValueError, "`z0` holds nan"),
    "inputs too few": (
        lambda: rt.simulate(CELL, [0, 0], steps=3, inputs=np.zeros((2, 1))),
        rt.ShapeError,
        r"`inputs` has shape \(2, 1\); it must be \(3, 1\), one row per step \(3\)",
    ),
    "inputs of a flow too many": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1, 2], inputs=np.zeros((3, 1))),
        rt.ShapeError,
        r"`inputs` has shape \(3, 1\); it must be \(2, 1\), one row per interval",
    ),
    "inputs too wide": (
        lambda: rt.simulate(CELL, [0, 0], steps=3, inputs=np.zeros((3, 2))),
        rt.ShapeError,
        r"`inputs` has shape \(3, 2\); it must be \(3, 1\)",
    ),
    "Inputs too wide": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1], inputs=rt.Inputs([0.0], np.zeros((1, 2)))),
        rt.ShapeError,
        "`inputs` has 2 columns; the model has 1 inputs",
    ),
    "Inputs that begin late": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1], inputs=rt.Inputs([0.5], [0.0])),
        ValueError,
        "`times` begins at 0.0, before the first input at 0.5",
    ),
    "Inputs of a map": (
        lambda: rt.simulate(CELL, [0, 0], steps=1, inputs=rt.Inputs([0.0], [0.0])),
        TypeError,
        r"`inputs` is Inputs; here it must be an array \(1, 1\)",
    ),
    "a function of a map": (
        lambda: rt.simulate(CELL, [0, 0], steps=1, inputs=lambda t: [t]),
        TypeError,
        "`inputs` is function; here it must be an array",
    ),
    "a function of another width": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1], inputs=lambda t: jnp.stack([t, t])),
        rt.ShapeError,
        r"`inputs` of arguments of shape \(1,\) has shape \(2,\); it must be \(1,\)",
    ),
    "switching": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1], switching="state"),
        ValueError,
        "only converted flows have a choice: RateRNN has none",
    ),
    "tolerance of a map": (
        lambda: rt.simulate(CELL, [0, 0], steps=1, tolerance=1e-6),
        ValueError,
        "`tolerance` and `solver` are for smooth flows; TanhRNN needs none",
    ),
    "tolerance zero": (
        lambda: rt.simulate(RATE, [0, 0], times=[0, 1], tolerance=0.0),
        ValueError,
        r"`tolerance` is 0\.0; it must be a positive finite number",
    ),
    "not a model": (lambda: rt.simulate(np.tanh, [0, 0], steps=1), TypeError, "`model` is ufunc"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_use_is_refused_with_a_reason(name):
    call, error, match = WRONG[name]
    with pytest.raises(error, match=match):
        call()


def test_states_beyond_the_memory_of_the_machine_are_refused_before_the_work():
    model = rt.TanhRNN(np.eye(2), np.zeros((2, 1)), np.zeros(2))
    with pytest.raises(MemoryError, match="Simulate in parts: start the next from the last state"):
        rt.simulate(model, np.zeros((1000, 2)), steps=10**12)
    flow = rt.PLRNN([0.5], [[0.1]], [0.0])
    with pytest.raises(MemoryError, match="this machine has"):
        rt.simulate(flow, [0.0], steps=10**14)
