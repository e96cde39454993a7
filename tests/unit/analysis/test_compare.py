"""`compare`: errors against orbits computed step by step."""

import json

import numpy as np
import pytest

import retime as rt


@pytest.fixture
def pair():
    """A map that turns by about a quarter in four steps and never settles, and its flow."""
    A, W = np.array([[0.93, -0.4], [0.4, 0.93]]), np.array([[-0.1, 0.05], [-0.05, -0.1]])
    model = rt.PLRNN(A, W, [0.2, 0.1], time=rt.Discrete(0.5))
    return model, rt.to_continuous(model).model


def test_one_step_errors_restart_on_the_orbit_of_the_map(pair):
    model, flow = pair
    result = rt.compare(model, flow, [1.0, -0.3], steps=25, switching="state")
    for k in range(25):
        z = result.reference.states[k]
        got = rt.simulate(flow, z, times=[0, 0.5], switching="state").states[-1]
        assert abs(result.one_step_error[k] - np.abs(got - model.step(z)).max()) <= 1e-14  # the order of sums


def test_orbit_errors_are_never_restarted(pair):
    model, flow = pair
    result = rt.compare(model, flow, [1.0, -0.3], steps=25, switching="state")
    path = rt.simulate(flow, [1.0, -0.3], times=0.5 * np.arange(26), switching="state")
    want = np.abs(path.states - result.reference.states).max(axis=1)[1:]
    np.testing.assert_array_equal(result.orbit_error, want)


def test_state_flow_is_exact_on_steps_without_a_crossing(pair):
    model, flow = pair
    result = rt.compare(model, flow, [1.0, -0.3], steps=200, switching="state")
    quiet = np.setdiff1d(np.arange(200), np.union1d(result.crossing_steps, result.switching_steps))
    assert 0 < len(quiet) < 200
    assert result.one_step_error[quiet].max() <= 1e-13
    assert result.summary()["max_one_step_error_without_crossing"] == result.one_step_error[quiet].max()


def test_switching_steps_are_those_after_which_the_pattern_differs(pair):
    model, flow = pair
    result = rt.compare(model, flow, [1.0, -0.3], steps=60)
    patterns = model.pattern(result.reference.states)
    assert result.switching_steps.tolist() == np.flatnonzero((patterns[1:] != patterns[:-1]).any(axis=1)).tolist()
    assert len(result.switching_steps) > 0


def test_two_maps_are_compared_without_a_rule(pair):
    model, _ = pair
    shifted = rt.PLRNN(model.A, model.W, model.h + 0.25, time=model.time)
    result = rt.compare(model, shifted, [1.0, -0.3], steps=10)
    assert result.switching == ""
    np.testing.assert_allclose(result.one_step_error, 0.25, rtol=0, atol=1e-15)


def test_euler_map_approaches_its_ode():
    W, h = np.array([[0.0, 1.5], [-1.5, 0.0]]), np.array([0.3, 0.1])
    ode, errors = rt.ContinuousPLRNN([-1.0, -1.0], W, h), []
    for dt in (0.02, 0.01):
        euler = rt.PLRNN(np.full(2, 1 - dt), dt * W, dt * h, time=rt.Discrete(dt))
        errors.append(rt.compare(euler, ode, [1.0, -1.0], steps=round(2 / dt)).orbit_error[-1])
    assert 1.8 <= errors[0] / errors[1] <= 2.2  # first order


def test_diverging_orbits_keep_their_length():
    model = rt.PLRNN([10.0], [[0.0]], [0.0])
    result = rt.compare(model, rt.to_continuous(model).model, [1.0], steps=300)
    assert result.status == "diverged"
    assert len(result.orbit_error) == len(result.one_step_error) == 300
    json.dumps(result.to_dict(), allow_nan=False)


def test_steps_lost_to_divergence_are_not_reported_as_agreement():
    model = rt.PLRNN([10.0], [[0.0]], [0.0])
    result = rt.compare(model, rt.to_continuous(model).model, [1.0], steps=300)
    assert np.isnan(result.one_step_error[200:]).all()
    assert np.isnan(result.orbit_error[200:]).all()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"steps": 0}, "`steps` is 0; it must be a whole number >= 1"),
        ({"steps": 2.5}, "`steps` is 2.5; it must be a whole number"),
        ({"z0": np.zeros((3, 2))}, "compare follows one orbit"),
        ({"z0": np.zeros(3)}, r"`z0` has shape \(3,\)"),
        ({"switching": "stat"}, "`switching` is 'stat'"),
        ({"inputs": np.zeros((5, 1))}, r"`inputs` has shape \(5, 1\); it must be \(5, 0\)"),
        ({"other": rt.PLRNN([0.5], [[0.0]], [0.0])}, "`other` has 1 states, the map 2"),
    ],
)
def test_wrong_argument_is_refused_with_a_reason(pair, change, match):
    model, flow = pair
    arguments = {"other": flow, "z0": [0.0, 0.0], "steps": 5} | change
    with pytest.raises(ValueError, match=match):
        rt.compare(model, arguments.pop("other"), arguments.pop("z0"), **arguments)


def test_first_argument_must_be_the_map(pair):
    model, flow = pair
    with pytest.raises(TypeError, match="the first argument of compare is the map"):
        rt.compare(flow, model, [0.0, 0.0], steps=3)


@pytest.mark.parametrize("other", [3, None])
def test_other_must_be_a_system(pair, other):
    with pytest.raises(TypeError, match="`other` is"):
        rt.compare(pair[0], other, [0.0, 0.0], steps=3)


def test_two_flows_are_compared_at_given_times_as_their_closed_forms_differ():
    one, other = (rt.LinearSystem([[-a]], [0.0], [[1.0]], time=rt.Continuous()) for a in (1.0, 1.1))
    times = np.array([0.0, 0.5, 1.0, 1.7, 2.2])
    found = rt.compare(one, other, [2.0], times=times)
    t, h = times[1:], np.diff(times)
    np.testing.assert_allclose(found.orbit_error, 2 * (np.exp(-t) - np.exp(-1.1 * t)), atol=1e-9)
    np.testing.assert_allclose(
        found.one_step_error, 2 * np.exp(-times[:-1]) * (np.exp(-h) - np.exp(-1.1 * h)), atol=1e-9
    )
    rows = np.array([[1.0], [0.0], [-1.0], [2.0]])
    by_rows = rt.compare(one, other, [2.0], times=times, inputs=rows)
    held = rt.compare(one, other, [2.0], times=times, inputs=rt.Inputs(times[:-1], rows))
    np.testing.assert_allclose(by_rows.one_step_error, held.one_step_error, atol=1e-9)
    with pytest.raises(ValueError, match="give `times`, not `steps`"):
        rt.compare(one, other, [2.0], steps=3)
    with pytest.raises(ValueError, match="`times` holds one time"):
        rt.compare(one, other, [2.0], times=[0.0])
    with pytest.raises(TypeError, match="first argument of compare is the map"):
        rt.compare(one, rt.to_discrete(one, 0.1, method=rt.ZeroOrderHold()).model, [2.0], times=times)
