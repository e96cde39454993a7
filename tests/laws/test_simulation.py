"""What holds for the simulation of every family."""

import numpy as np
import pytest

import retime as rt
from families import FLOW_NAMES, MAP_NAMES, make, stable


def converted(name, rng):
    return rt.PiecewiseAffineFlow(make(name, rng)[0], rt.MatrixLog(), throw=False)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_clock_flow_with_inputs_equals_the_map(name, rng):
    model, _ = make(name, rng)
    result = rt.compare(
        model,
        rt.PiecewiseAffineFlow(model, rt.MatrixLog(), throw=False),
        rng.normal(size=4),
        steps=60,
        inputs=rng.normal(size=(60, 2)),
    )
    assert result.status == "completed"
    assert (result.one_step_error / result.state_size).max() <= 1e-12  # the figure


def test_clock_flow_equals_a_map_that_grows():
    model = rt.PLRNN([1.2], [[0.1]], [1.0])
    result = rt.compare(model, rt.to_continuous(model).model, [1.0], steps=100)
    assert (result.orbit_error / result.state_size).max() <= 1e-12


def run(kind, name, rng, z0, times, s):
    if kind == "own":
        return rt.simulate(stable(name, rng), z0, times=times, inputs=rt.Inputs(np.arange(20.0) * 0.3, s))
    return rt.simulate(converted(name, rng), z0, times=times, inputs=s[: steps(times)], switching=kind)


def steps(times):
    return int(np.ceil(round((times[-1] - times[0]) / 0.3, 9)))


KINDS = [("own", name) for name in FLOW_NAMES] + [(kind, name) for kind in ("clock", "state") for name in MAP_NAMES]


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_batch_is_one_by_one(kind, name, rng):
    z0, s, times, seed = rng.normal(size=(5, 4)), rng.normal(size=(20, 2)), np.linspace(0, 3, 21), rng.integers(2**32)
    batch = run(kind, name, np.random.default_rng(seed), z0, times, s)
    assert batch.states.shape == (21, 5, 4)
    assert len(batch.switch_times) == len(batch.statuses) == 5
    for k in range(5):
        single = run(kind, name, np.random.default_rng(seed), z0[k], times, s)
        np.testing.assert_array_equal(batch.states[:, k], single.states)
        np.testing.assert_array_equal(batch.patterns[:, k], single.patterns)
        np.testing.assert_array_equal(batch.switch_times[k], single.switch_times)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_batch_of_map_orbits_is_one_by_one_with_own_inputs(name, rng):
    model, z0, s = make(name, rng, readout=True)[0], rng.normal(size=(5, 4)), rng.normal(size=(12, 5, 2))
    batch = rt.simulate(model, z0, steps=12, inputs=s)
    for k in range(5):
        single = rt.simulate(model, z0[k], steps=12, inputs=s[:, k])
        np.testing.assert_array_equal(batch.states[:, k], single.states)
        np.testing.assert_allclose(
            batch.outputs[:, k], single.outputs, rtol=0, atol=1e-13
        )  # BLAS sums in another order


@pytest.mark.parametrize(("kind", "name"), KINDS)
def test_irregular_times_pick_from_the_dense_orbit(kind, name, rng):
    z0, s, seed = rng.normal(size=4), rng.normal(size=(20, 2)), rng.integers(2**32)
    dense = np.linspace(0, 4.8, 481)
    some = np.concatenate([[0], np.sort(rng.choice(np.arange(1, 480), 30, replace=False)), [480]])
    full = run(kind, name, np.random.default_rng(seed), z0, dense, s)
    part = run(kind, name, np.random.default_rng(seed), z0, dense[some], s)
    np.testing.assert_allclose(
        part.states, full.states[some], rtol=0, atol=1e-11
    )  # other Taylor steps, order-one states
    np.testing.assert_array_equal(part.switch_units, full.switch_units)


@pytest.mark.parametrize("name", FLOW_NAMES)
def test_flow_continues_the_same_from_an_intermediate_state(name, rng):
    model, z0, times = stable(name, rng), rng.normal(size=4), np.linspace(0, 4.8, 49)
    drive = rt.Inputs(np.arange(20.0) * 0.3, rng.normal(size=(20, 2)), "linear")
    full = rt.simulate(model, z0, times=times, inputs=drive)
    rest = rt.simulate(model, full.states[17], times=times[17:], inputs=drive)
    np.testing.assert_allclose(rest.states, full.states[17:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_clock_flow_continues_the_same_from_a_sample_time(name, rng):
    flow, z0, s, times = converted(name, rng), rng.normal(size=4), rng.normal(size=(16, 2)), np.linspace(0, 4.8, 65)
    full = rt.simulate(flow, z0, times=times, inputs=s)
    rest = rt.simulate(flow, full.states[24], times=times[24:], inputs=s[6:])
    np.testing.assert_allclose(rest.states, full.states[24:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", sorted(set(MAP_NAMES) - {"linear"}))
def test_state_flow_continues_the_same_from_a_switch(name, rng):
    """Regions are entered with auxiliary states 0, so a switch is where any state flow may be restarted."""
    flow, drive = converted(name, rng), rt.Inputs([0.0], rng.normal(size=(1, 2)))
    for _ in range(50):
        z0 = 2 * rng.normal(size=4)
        first = rt.simulate(flow, z0, times=[0, 6.0], inputs=drive, switching="state")
        if first.status == "completed" and len(first.switch_times) > 1:
            break
    times = np.concatenate([[0.0], first.switch_times[0] + np.linspace(0, 3, 16)])
    full = rt.simulate(flow, z0, times=times, inputs=drive, switching="state")
    rest = rt.simulate(flow, full.states[1], times=times[1:], inputs=drive, switching="state")
    np.testing.assert_allclose(rest.states, full.states[1:], rtol=0, atol=1e-10)


@pytest.mark.parametrize("name", MAP_NAMES)
def test_field_of_a_converted_flow_is_the_derivative_of_its_state_flow(name, rng):
    flow, step = converted(name, rng), 1e-5
    checked = 0
    for _ in range(10):
        z, s = 2 * rng.normal(size=4), rng.normal(size=2)
        drive = rt.Inputs([0.0], s[None])
        path = rt.simulate(flow, z, times=[0, step, 2 * step], inputs=drive, switching="state")
        if len(path.switch_times) or flow.region(flow.pattern(z, s)).status == "time_varying":
            continue
        rate = np.abs(flow.region(flow.pattern(z, s)).W).max()
        difference = (-3 * path.states[0] + 4 * path.states[1] - path.states[2]) / (2 * step)
        want = flow.field(z, s)
        # one-sided difference of order 2: (rate step)^2 / 3 of the field, and rounding of the states over the step
        allowed = (rate * 4 * step) ** 2 * (1 + np.abs(want).max()) * (1 + rate) + 1e-15 * 10 / step
        assert np.abs(difference - want).max() <= allowed
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize("name", FLOW_NAMES)
def test_field_of_a_continuous_family_is_the_derivative_of_its_flow(name, rng):
    model, z, s, step = stable(name, rng), rng.normal(size=4), rng.normal(size=2), 1e-5
    path = rt.simulate(model, z, times=[0, step, 2 * step], inputs=rt.Inputs([0.0], s[None]))
    difference = (-3 * path.states[0] + 4 * path.states[1] - path.states[2]) / (2 * step)
    assert np.abs(difference - model.field(z, s)).max() <= 1e-8  # step^2 of order-one rates, rounding / step


@pytest.mark.parametrize("name", MAP_NAMES)
def test_outputs_are_the_readout_of_the_states(name, rng):
    model, _ = make(name, rng, readout=True)
    flow = rt.PiecewiseAffineFlow(model, rt.MatrixLog(), throw=False)
    path = rt.simulate(flow, rng.normal(size=4), times=np.linspace(0, 1.5, 16), inputs=rng.normal(size=(5, 2)))
    np.testing.assert_allclose(
        path.outputs, path.states @ model.readout.B.T + model.readout.b, rtol=0, atol=1e-14 * 100
    )
